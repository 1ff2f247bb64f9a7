"""MF-PBT: populations with different patience, against the greed of population-based training.

What helps until the next comparison may hurt in the end: a small learning rate looks good now. Doerr et al.,
"Multiple-frequencies population-based training", 2025 (arXiv:2506.03225), train several sub-populations side by side,
with evolution every 1, 2, 4 … intervals. The quick ones find what works now, the slow ones judge by what lasts.

At a rung where a sub-population evolves, its members are ranked and cut into quarters. The last quarter becomes forks
of the first, explored as in PBT. Each of the third quarter, in order, is compared with the best members of the *other*
sub-populations, the n-th that gives way with the n-th best: where the stranger is better, a fork of it takes the
place, with hyperparameters that depend on where it came from, which is the asymmetry of the migration:

* from a slower sub-population with its own hyperparameters, which have stood the longer test;
* from a quicker one its weights only, with the hyperparameters of the best member at home.

Deviations from the paper:

* All sub-populations wait for each other at each rung of the quickest one, as far as PBT would
  (:mod:`tunewell.schedulers.generations`), so that strangers are compared at equal step.
* Strangers come from those only that keep their own place at that rung.
* An empty place, of a trial that diverged, is filled at the next rung whether its sub-population evolves there or not.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tunewell import options
from tunewell.events import Reported
from tunewell.history import History, TrialRecord
from tunewell.protocols import Action, Fork, Verdict
from tunewell.schedulers.exploring import check_fixed, explored
from tunewell.schedulers.generations import Generations
from tunewell.schedulers.pbt import check_shares, truncated
from tunewell.schedulers.populating import check_budget, check_forks, check_numbers, interval_of
from tunewell.schedulers.standing import Heir, Population, Standing
from tunewell.space import Config, Space


@dataclass(frozen=True)
class MFPBT:
    """Population-based training on several time scales.

    Attributes:
        population: all members; each sub-population has an equal share of at least four.
        interval: steps between the comparisons of the quickest; None as for :class:`~tunewell.schedulers.PBT`.
        factors: how many intervals lie between the comparisons of each sub-population; whole numbers, rising.
        perturb: as for PBT.
        resample: as for PBT; the paper draws nothing anew.
        fixed: parameters that keep the donor's value, also where a migrant takes the others from somebody at home.

    Raises:
        ValueError: as :class:`~tunewell.schedulers.PBT`, or factors that are none.
    """

    population: int = 12
    interval: int | None = None
    factors: Sequence[int] = (1, 2, 4)
    perturb: Sequence[float] = (0.8, 1.25)
    resample: float = 0.0
    fixed: Sequence[str] = ()

    def __post_init__(self) -> None:
        check_shares("mf_pbt", 0.25, self.resample, self.perturb, self.fixed)
        if not isinstance(self.factors, Collection):
            raise ValueError(f"mf_pbt expected factors such as (1, 2, 4), rising, got {self.factors!r}")
        for factor in self.factors:
            options.whole("mf_pbt", "each of the factors", factor, 1)
        if not self.factors or any(a >= b for a, b in itertools.pairwise(self.factors)):
            raise ValueError(f"mf_pbt expected factors such as (1, 2, 4), rising, got {self.factors!r}")
        check_numbers("mf_pbt", self.population, self.interval, least=4 * len(self.factors))

    def check_space(self, space: Space) -> None:
        """Refuse names in ``fixed`` that the space does not have.

        Raises:
            ValueError: so it is.
        """
        check_fixed("mf_pbt", self.fixed, space)

    def next_action(self, space: Space, history: History, rng: np.random.Generator) -> Action:
        """Start the founders, fill the places, let the others go on."""
        groups = [f"mf_pbt/{factor}" for factor in self.factors]
        self.check_space(space)
        check_budget("mf_pbt", history, self._size() * len(groups), groups)
        for group in groups:
            check_forks("mf_pbt", history, group, self.fixed)

        def explore(donor: TrialRecord, step: int) -> Config:
            return explored(space, donor.values_after(step), rng, self.perturb, self.resample, self.fixed)

        action = self._common(history).next_action(history, rng, explore)
        if isinstance(action, Fork):  # a migrant's values may be of an earlier space
            return replace(action, config=explored(space, action.config, rng, (1.0,), 0.0))
        return action

    def decide(self, history: History, report: Reported) -> Verdict:
        """Go on, rest or stop at a rung."""
        return self._common(history).decide(history, report)

    def _size(self) -> int:
        return self.population // len(self.factors)

    def _common(self, history: History) -> Generations:
        """Return the generations of all sub-populations, on the rungs of the quickest."""
        size = self._size()
        share = max(1, size // 4)
        factors = {f"mf_pbt/{factor}": factor for factor in self.factors}
        populations = tuple(Population(group, size) for group in factors)
        interval = interval_of(history, populations[0].group, self.interval)

        def evolves(group: str, step: int) -> bool:
            return step // interval % factors[group] == 0

        def at_risk(population: Population, step: int) -> int:
            return size - 2 * share if evolves(population.group, step) else 0

        def heirs(history: History, standing: Standing) -> Sequence[Heir]:
            step = standing.step
            if not evolves(standing.population.group, step):
                return truncated(history, standing, 0, share)
            migrants = _migrants(history, standing, factors, share, self.fixed, lambda group: evolves(group, step))
            return [*truncated(history, standing, share, share), *migrants]

        return Generations("mf_pbt", populations, interval, history.horizon, share, at_risk, heirs)


def _migrants(
    history: History,
    standing: Standing,
    factors: Mapping[str, int],
    share: int,
    fixed: Sequence[str],
    evolves: Callable[[str], bool],
) -> list[Heir]:
    """Return the strangers that take places of the third quarter, and what they bring along.

    Strangers come from those that keep their own place, so that their checkpoints are there. What is ``fixed`` goes
    with the weights, whoever the other values are from.
    """
    home, step = standing.population, standing.step
    safe = {
        trial
        for group in factors
        if group != home.group
        for trial in history.rung(step, group).ranked()[: 2 * share if evolves(group) else None]
    }
    everybody = history.rung(step)
    lost = standing.losers(history, share)
    third = [trial for trial in standing.compared()[2 * share : 3 * share] if trial not in lost]
    bracket = [t for t in third if math.isfinite(standing.rung.loss(t)) and not history.trials[t].by_hand]
    strangers = [
        trial
        for trial in everybody.ranked()
        if trial in safe and math.isfinite(everybody.loss(trial)) and history.trials[trial].has_checkpoint(step)
    ]
    found: list[Heir] = []
    for trial in bracket:
        if not strangers or everybody.rank(strangers[0]) > everybody.rank(trial):
            continue
        stranger = history.trials[strangers.pop(0)]
        slower = factors[stranger.group] > factors[home.group]
        source = stranger if slower else history.trials[standing.rung.ranked()[0]]
        brought = "with its values" if slower else f"with the values of trial {source.number}, the best at home"
        why = f"trial {stranger.number} of {stranger.group} is better here; {brought}"
        own, values = stranger.values_after(step), source.values_after(step)
        kept = {name: own[name] for name in fixed if name in own}
        found.append(Heir(trial, why, stranger.number, {**own, **values, **kept}))
    return found

"""BOHB: Hyperband decides how long trials train, a model of its largest rung which configurations begin.

Falkner, Klein and Hutter, "BOHB: robust and efficient hyperparameter optimization at scale", ICML 2018
(arXiv:1807.01774), Algorithm 2:

    b = the largest rung with at least d + 2 results, for d parameters                                      (1)
    with probability ρ, and while there is no b, a configuration at random                                  (2)
    otherwise, of some draws from l_b, the one with the largest l_b / g_b                                   (3)

where l_b and g_b are the densities of the better and of the other results at b. So the first model is that of early
losses, and it is replaced as soon as later ones are enough. The brackets are :mod:`tunewell.schedulers.hyperband`, the
densities :mod:`tunewell.samplers.tpe`. With ``model="gp"`` a Gaussian process on the losses at b (the same (1) and (2))
decides in the place of (3), by expected improvement: see :mod:`tunewell.samplers.gp`.

Deviations from the paper:

* (3) is our TPE as it stands: the better 15 % are weighted by what they improve, the prior is one of the kernels, and
  draws are from l itself, where the paper has equal weights, no prior, and draws from l with widened kernels. Where the
  paper needs d + 3 results we need d + 2, for the kernel of the prior counts as one.
* Trials in training that have not reached b count as others (TPE) or are believed to reach the posterior mean there
  (process), so that several workers keep apart. The paper leaves them out.
* Trials that diverge before b are the worst there, and those that fail are others; the paper gives both an infinite
  loss. Constraints and several goals order the results as in the samplers.
* Beliefs and priors count: in the model as in the samplers, and in every other draw of (2).
* d counts the parameters with more than one value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from tunewell import options
from tunewell.events import Reported
from tunewell.history import History
from tunewell.numerics.brackets import Table
from tunewell.protocols import Action, Suggestion, Verdict
from tunewell.samplers.gp import GP
from tunewell.samplers.tpe import TPE
from tunewell.samplers.view import look
from tunewell.schedulers.choosing import chosen, explored
from tunewell.schedulers.hyperband import Hyperband
from tunewell.space import Space
from tunewell.surrogate import processes
from tunewell.surrogate.at_step import observe_at
from tunewell.surrogate.cube import cube_of
from tunewell.surrogate.observations import Observations

Model = Literal["tpe", "gp"]


@dataclass(frozen=True)
class BOHB:
    """Hyperband whose new configurations come from a model of the largest rung with enough results.

    A study that names a sampler other than ``"auto"`` has it decide; then this is Hyperband.

    Attributes:
        reduction, min_steps, max_steps: as in :class:`~tunewell.schedulers.hyperband.Hyperband`.
        table: how many trials a bracket starts, as there; by default as in the paper.
        model: ``"tpe"``, a ratio of densities as in the paper, or ``"gp"``, a Gaussian process.
        random: ρ, the share of configurations that no model chooses.

    Raises:
        ValueError: another model or table, or a number out of range.

    >>> import tunewell as tw
    >>> scheduler = tw.schedulers.BOHB(model="gp", max_steps=81)
    """

    reduction: int = 3
    min_steps: int = 1
    max_steps: int | None = None
    table: Table = "floor"
    model: Model = "tpe"
    random: float = 1.0 / 3.0

    def __post_init__(self) -> None:
        options.rungs("bohb", self.reduction, self.min_steps, self.max_steps)
        options.among("bohb", "table", self.table, get_args(Table))
        options.among("bohb", "model", self.model, get_args(Model))
        options.share("bohb", "random", self.random)

    def next_action(self, space: Space, history: History, rng: np.random.Generator) -> Action:
        """Do what Hyperband says; choose the configuration of a trial that it starts."""
        action = self._hyperband.next_action(space, history, rng)
        return chosen(action, history, lambda: self._choose(space, history, rng))

    def decide(self, history: History, report: Reported) -> Verdict:
        """Rest at a rung, unless it is certain to go on."""
        return self._hyperband.decide(history, report)

    def results(self, space: Space, history: History) -> tuple[int, Observations] | None:
        """Return b of (1) and what is known there; None while no rung has enough finite losses."""
        d = len(cube_of(space).free)
        newest = next(reversed(history.groups), "")
        ladder = self._hyperband.ladder(history, newest) if d else {}
        for step, rung in reversed(ladder.items()):
            if len(rung) < d + 2:
                continue
            seen = observe_at(space, history, step, [*ladder])
            if np.isfinite(seen.losses).all(axis=1).sum() >= d + 2:
                return step, seen
        return None

    def _choose(self, space: Space, history: History, rng: np.random.Generator) -> Suggestion:
        with processes.one_thread():
            found = self.results(space, history)
            if found is None or rng.random() < self.random:
                return explored(space, history, rng)  # (2)
            step, seen = found
            basis = f"by the {len(seen.losses)} results at step {step}"
            if self.model == "tpe":
                sampler = TPE(design=len(cube_of(space).free) + 2)
                return Suggestion(sampler.given(seen, space, history, rng), f"ratio of densities {basis}")  # (3)
            process = GP()
            view = look(space, history, 1, process.evaluations, rng, seen=seen)
            if view is None:
                return explored(space, history, rng)
            suggested = process.next(view, space, history, rng)
            return Suggestion(suggested.config, f"{suggested.reason}; {basis}")

    @property
    def _hyperband(self) -> Hyperband:
        return Hyperband(self.reduction, self.min_steps, self.max_steps, self.table)

"""PriorBand: Hyperband whose new configurations come from a prior, from around the best one, or from anywhere.

Mallik et al., "PriorBand: practical hyperparameter optimization in the age of deep learning", NeurIPS 2023
(arXiv:2306.12370). A trial that begins at rung r = 0, 1, ... is drawn

    at random              with probability p_U = 1 / (1 + η^r),                                            (1)
    from the prior         with probability (1 - p_U) S_π / (S_π + S_λ),                                    (2)
    around the incumbent λ with probability (1 - p_U) S_λ / (S_π + S_λ),                                    (3)
    S = Σ_i (K + 1 - i) p(x_i)    under the density of the prior, or of λ,                                  (4)

where x_1 ... x_K are the best 1/η of the largest rung with at least η results. So the longer a trial trains at the
least, the fewer are left to chance; and a prior that the best results contradict loses its share to the incumbent.
Before there is an incumbent its share is the prior's. The brackets are :mod:`tunewell.schedulers.hyperband`.

The prior is what the study holds: the priors of the parameters and what a person believes, as a mixture (see
:mod:`tunewell.surrogate.beliefs`), else the stated defaults, as normal laws of deviation ``spread`` around them. Where
there is none, its share is the incumbent's; and with neither, everything is drawn at random. The very first trial is
the centre of the prior, as in the paper.

Around the incumbent each parameter moves with probability ``mutation``, at least one does: numbers by a normal step of
``spread`` in the unit cube, choices to another one with probability 2 ``spread``.

Deviations from the paper:

* The incumbent is the best at the last rung, so there is one as soon as a trial has trained to its end; the paper takes
  the best loss at any rung, once a bracket's budget is spent.
* Densities are cut off at the ends of the ranges, for numbers as for choices, and those of numbers with few values are
  masses (see :mod:`tunewell.numerics.parzen`).
* A choice that moves goes to another one with probability 2 ``spread``, in the paper always.
* A configuration that was tried is drawn again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from tunewell import options
from tunewell.events import Reported
from tunewell.history import History, Rung
from tunewell.numerics.brackets import Table
from tunewell.numerics.parzen import NARROWEST, Parzen
from tunewell.protocols import Action, Suggestion, Verdict
from tunewell.samplers.tpe import axes_of
from tunewell.samplers.untried import fresh
from tunewell.scales import Floats
from tunewell.schedulers.choosing import chosen
from tunewell.schedulers.hyperband import Hyperband
from tunewell.space import Config, Space
from tunewell.surrogate.beliefs import components
from tunewell.surrogate.cube import cube_of
from tunewell.surrogate.observations import encoded


@dataclass(frozen=True, eq=False)
class Mix:
    """Where the next configuration comes from.

    Attributes:
        random, prior, incumbent: the probabilities (1), (2) and (3).
        prior_law: the density of the prior, None without one.
        incumbent_law: that around the incumbent, None while there is none.
        incumbent_trial: the trial that is the incumbent.
    """

    random: float
    prior: float
    incumbent: float
    prior_law: Parzen | None
    incumbent_law: Parzen | None
    incumbent_trial: int | None


@dataclass(frozen=True)
class PriorBand:
    """Hyperband with new configurations from a prior, from around the best full training, and at random.

    A study that names a sampler other than ``"auto"`` has it decide; then this is Hyperband.

    Attributes:
        reduction, min_steps, max_steps, table: as in :class:`~tunewell.schedulers.hyperband.Hyperband`.
        spread: the standard deviation around the incumbent and around stated defaults, in the unit cube.
        mutation: the probability that a parameter of the incumbent moves.

    Raises:
        ValueError: another table, or a number out of range.

    >>> import tunewell as tw
    >>> rate = tw.Float(1e-5, 1.0, scale="log", prior=tw.Prior(1e-3, "medium"))
    >>> study = tw.Study(tw.Space(learning_rate=rate), scheduler=tw.schedulers.PriorBand(max_steps=27))
    """

    reduction: int = 3
    min_steps: int = 1
    max_steps: int | None = None
    table: Table = "jmlr"
    spread: float = 0.25
    mutation: float = 0.5

    def __post_init__(self) -> None:
        options.rungs("prior_band", self.reduction, self.min_steps, self.max_steps)
        options.among("prior_band", "table", self.table, get_args(Table))
        options.share("prior_band", "spread", self.spread)
        options.share("prior_band", "mutation", self.mutation)
        if self.spread < NARROWEST:
            raise ValueError(f"prior_band expected a spread of at least {NARROWEST}, such as 0.25, got {self.spread!r}")

    def next_action(self, space: Space, history: History, rng: np.random.Generator) -> Action:
        """Do what Hyperband says; choose the configuration of a trial that it starts."""
        action = self._hyperband.next_action(space, history, rng)
        group = getattr(action, "group", "")
        return chosen(action, history, lambda: self._choose(space, history, group, rng))

    def decide(self, history: History, report: Reported) -> Verdict:
        """Rest at a rung, unless it is certain to go on."""
        return self._hyperband.decide(history, report)

    def mix(self, space: Space, history: History, group: str) -> Mix:
        """Return where the configuration of a trial that begins in ``group`` comes from."""
        bracket, rungs = self._hyperband.bracket(history, group), [*self._hyperband.ladder(history, group).values()]
        skipped = len(self._hyperband.rungs(history, group)) - len(bracket.steps) if bracket is not None else 0
        random = 1.0 / (1.0 + self.reduction**skipped)  # (1)
        prior = self._prior(space, history)
        best = self._best(space, history, rungs[-1:], 1)
        if not len(best.units):
            share = 0.0 if prior is None else 1.0 - random
            return Mix(1.0 - share, share, 0.0, prior, None, None)
        around = self._around(space, best.units[0])
        if prior is None:
            return Mix(random, 0.0, 1.0 - random, None, around, best.trials[0])
        top = self._best(space, history, rungs, self.reduction)
        if not len(top.units):
            return Mix(random, 1.0 - random, 0.0, prior, around, best.trials[0])
        of_prior, of_best = _log_score(prior, top.units), _log_score(around, top.units)
        share = float(np.exp(of_prior - np.logaddexp(of_prior, of_best)))
        return Mix(random, (1.0 - random) * share, (1.0 - random) * (1.0 - share), prior, around, best.trials[0])

    def _choose(self, space: Space, history: History, group: str, rng: np.random.Generator) -> Suggestion:
        mix = self.mix(space, history, group)
        u = float(rng.random())
        if mix.prior_law is not None and not history.trials:
            center = mix.prior_law.centers[0]
            return Suggestion(space.decode_one(center.tolist()), "the centre of the prior")
        if u < mix.prior and mix.prior_law is not None:
            law = mix.prior_law
            config = fresh(space, history, rng, lambda: _decoded(space, law.sample(1, rng)[0]))
            return Suggestion(config, f"from the prior, as {_percent(mix.prior)} are")
        if u < mix.prior + mix.incumbent and mix.incumbent_law is not None:
            around = mix.incumbent_law
            config = fresh(space, history, rng, lambda: _decoded(space, self._moved(around, rng)))
            words = f"around trial {mix.incumbent_trial}, the best full training, as {_percent(mix.incumbent)} are"
            return Suggestion(config, words)
        config = fresh(space, history, rng, lambda: space.sample(rng))
        return Suggestion(config, f"at random, as {_percent(mix.random)} are")

    def _moved(self, around: Parzen, rng: np.random.Generator) -> Floats:
        """Return the centre of a law with some of its coordinates drawn anew, shape ``(d,)``."""
        center, drawn = around.centers[0], around.sample(1, rng)[0]
        moving = rng.random(len(center)) < self.mutation
        if len(center):
            moving[rng.integers(len(center))] = True
        return np.asarray(np.where(moving, drawn, center))

    def _prior(self, space: Space, history: History) -> Parzen | None:
        centers, stds = components(cube_of(space), space, history)
        if not len(centers):
            stated = np.array([parameter.has_default for parameter in space.values()], dtype=np.bool_)
            if not stated.any():
                return None
            centers = np.where(stated, space.encode([space.default()]), np.nan)
            stds = np.full(centers.shape, self.spread)
        return _law(space, centers, stds)

    def _around(self, space: Space, unit: Floats) -> Parzen:
        return _law(space, unit[None], np.full((1, len(unit)), self.spread))

    def _best(self, space: Space, history: History, rungs: Sequence[Rung], least: int) -> _Best:
        """Return the best 1/η, at least one, of the largest of the rungs that has at least so many results."""
        for rung in reversed(rungs):
            ranked = [number for number in rung.ranked() if np.isfinite(rung.loss(number))]
            if len(ranked) >= least:
                best = ranked[: max(1, len(ranked) // self.reduction)]
                units, inside = encoded(space, [history.trials[number].params for number in best])
                return _Best([n for n, known in zip(best, inside, strict=True) if known], units[inside])
        return _Best([], np.empty((0, len(space))))

    @property
    def _hyperband(self) -> Hyperband:
        return Hyperband(self.reduction, self.min_steps, self.max_steps, self.table)


@dataclass(frozen=True, eq=False, slots=True)
class _Best:
    """Some trials, the best first, and their coordinates, shape ``(k, d)``."""

    trials: list[int]
    units: Floats


def _law(space: Space, centers: Floats, stds: Floats) -> Parzen:
    """Return equally likely kernels around ``centers``, shape ``(b, d)``; NaN ones say nothing."""
    labels = np.array([parameter.is_categorical for parameter in space.values()], dtype=np.bool_)
    return Parzen(axes_of(space), centers, np.where(labels, 2.0 * stds, stds), np.ones(len(centers)))


def _log_score(law: Parzen, units: Floats) -> float:
    """Return the log of (4) for the best configurations, shape ``(K, d)``, the best first."""
    logs = law.log_density(units) + np.log(np.arange(len(units), 0.0, -1.0))
    return float(np.logaddexp.reduce(logs))


def _decoded(space: Space, unit: Floats) -> Config:
    return space.decode_one(np.nan_to_num(unit, nan=0.5).tolist())


def _percent(share: float) -> str:
    return f"{100.0 * share:.0f} %"

"""Gaussian-process search: fit a process to the losses, try where it expects the most improvement.

The process has a joint and an additive Matérn-5/2 part (:mod:`tunewell.numerics.kernels`) and learnt noise; the
acquisition is by default log expected improvement over the best posterior mean (Ament et al. 2023, arXiv:2310.20708).
Around it:

* Losses are warped: the bad tail is softened, diverged trials count as worse than all.
* While losses are few, the acquisition is averaged over the different ways in which a process explains them (smooth,
  rough, or smooth with noise), each with its share of the posterior.
* Trials still running are believed to reach the posterior mean, so that parallel suggestions keep apart. So are those
  that failed: where nothing comes back, there is nothing to be learnt about losses.
* While trials are running, each suggestion has hyperparameters of its own, drawn from their posterior: the best ones
  place the minimum too surely, and a whole batch would crowd there.
* What failed, diverged, ran out of memory or time teaches a second process where that happens; the log of the
  probability that it does not is added to the acquisition, the more times the more of the newest trials failed, or a
  search with little left to gain would try its luck again and again. So is that of keeping each outcome constraint,
  which has a process of its own (Gardner et al. 2014, "Bayesian optimization with inequality constraints").
* On demand the axes are bent, where that explains the losses better (:mod:`tunewell.numerics.bend_fits`).
* What is believed counts as in πBO, and is dropped when it misleads (:mod:`tunewell.surrogate.beliefs`).
* When the last results have brought nothing worth having, two of three suggestions look for an improvement of at
  least 3 % of the way from the median to the best loss: no budget goes into the sixth digit while another basin may be
  better. Where losses are noisy, what is worth having is a deviation of the noise: trials crowded where they cannot be
  told apart would teach nothing, trials farther away show the slope.
* Of many trials every third is drawn elsewhere: to numbers such as the better ones have, with categories that were
  hardly tried (:mod:`tunewell.samplers.elsewhere`).
* Where the process finds noise, the best configuration is trained again from time to time, and the most promising one
  where that has been done; the first such repeat also tells noise from roughness. On a coarse grid, where the process
  cannot tell, a good one is trained again after about 32 losses, and after 64 if that gave the very same. Otherwise a
  deterministic objective, once seen to be one, is never asked the same twice.
* Several goals are made one by a random weighting for each suggestion (ParEGO, Knowles 2006); the sampler ``ehvi`` is
  better at two to four.

The cost is bounded, see :mod:`tunewell.surrogate.processes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from scipy.special import ndtr

from tunewell import options
from tunewell.history import History
from tunewell.numerics import acquisition
from tunewell.protocols import Exhausted, Suggestion
from tunewell.samplers.acquiring import Measured, Mixture, Sum, Term, first, in_words, largest
from tunewell.samplers.elsewhere import Elsewhere
from tunewell.samplers.view import View, look
from tunewell.space import Config, Space
from tunewell.surrogate import processes
from tunewell.surrogate.cube import cube_of

Acquisition = Literal["log_ei", "noisy_log_ei", "ei", "ucb", "pi", "thompson"]

_DRAWS = 8  # of the best value, for the noisy acquisition
_THOMPSON_POINTS = 256
_EXPECTING = ("log_ei", "noisy_log_ei", "ei")  # all maximised as logarithms, to which that of a weight is added
_ELSEWHERE = 3  # every so many suggestions are drawn elsewhere,
_FIRST_ELSEWHERE = 24  # from so many losses on
_SURE = 0.95  # of the probability of keeping the constraints: from there on it is not worth a word
_KNOWN = 0.1  # of the signal deviation: less is close to what is known


@dataclass(frozen=True)
class GP:
    """Gaussian-process search.

    Attributes:
        acquisition: what to maximise: ``"log_ei"`` and ``"ei"``, expected improvement over the best posterior mean;
            ``"noisy_log_ei"``, averaged over what the best value may truly be; ``"ucb"``, a confidence bound;
            ``"pi"``, the probability of an improvement worth having, 3 % as above; ``"thompson"``, the best point of a
            drawn function.
        initial: configurations before the first fit: the middle of the ranges, then quasi-random ones.
        candidates: random points that the search for the next configuration begins with; the accuracy of the
            suggestion against its cost.
        evaluations: of the log posterior, at most, in a fit of the hyperparameters.
        width: of the confidence bound, in standard deviations.
        warping: whether the process may bend the axes (Snoek et al. 2014, arXiv:1402.0929; by Kumaraswamy's law as in
            HEBO, arXiv:2012.03826): for losses that change fast at one end of a range and hardly at the other.

    Raises:
        ValueError: another acquisition, or a number out of range.

    >>> import tunewell as tw
    >>> sampler = tw.samplers.GP(acquisition="ucb", width=1.5)
    """

    acquisition: Acquisition = "log_ei"
    initial: int = 3
    candidates: int = 224
    evaluations: int = processes.EVALUATIONS
    width: float = 2.0
    warping: bool = False

    def __post_init__(self) -> None:
        if self.acquisition not in get_args(Acquisition):
            known = ", ".join(get_args(Acquisition))
            raise ValueError(f"GP expected an acquisition among {known}, got {self.acquisition!r}")
        for name in ("initial", "candidates", "evaluations"):
            options.whole("GP", name, getattr(self, name), 1)
        options.yes_or_no("GP", "warping", self.warping)
        if not options.between(self.width, 0.0):
            raise ValueError(f"GP expected a width above 0, such as 2.0, got {self.width!r}")

    def suggest(self, space: Space, history: History, rng: np.random.Generator) -> Suggestion:
        """Return the configuration with the largest acquisition found; raise Exhausted when all have been tried."""
        with processes.one_thread():
            view = look(space, history, self.initial, self.evaluations, rng, self.warping)
            if view is None:
                return Suggestion(first(cube_of(space), space, history, rng), "to begin with")
            return view.to_repeat(space, history) or self.next(view, space, history, rng)

    def next(self, view: View, space: Space, history: History, rng: np.random.Generator) -> Suggestion:
        """Return what the acquisition function says, given what the processes see."""
        elsewhere = self._looks_elsewhere(view, history.suggested)
        target = self.target(view, history.suggested, rng)
        if elsewhere:
            units, behind = view.seen.units[view.rows], view.behind[view.rows]
            target = Sum([target, Elsewhere.of(view.cube, units, behind, view.others)])
        try:
            config = largest(view.cube, space, history, target, view.top, self.candidates, rng)
        except Exhausted:
            if not (view.noisy or view.repeats.differ):
                raise
            again = view.top[int(np.argmax(target.value(view.top)))]
            config = space.decode_one(np.nan_to_num(again, nan=0.5).tolist())
            return Suggestion(config, "once more, for the losses are noisy and everything has been tried")
        aim = "; drawn to what the better trials have in common and to categories hardly tried" if elsewhere else ""
        return Suggestion(config, self.reason(view, space, config, history.suggested) + aim)

    def target(self, view: View, suggested: int, rng: np.random.Generator) -> Term:
        """Return what is maximised, given the number of suggestions so far."""
        if view.none_allowed and view.conditions:  # first find out where the constraints are kept
            return Sum(view.conditions)
        return Sum([self._promise(view, suggested, rng), *view.conditions])

    def _looks_elsewhere(self, view: View, suggested: int) -> bool:
        many = len(view.targets) >= _FIRST_ELSEWHERE and not view.none_allowed
        return many and suggested % _ELSEWHERE == 0 and self.acquisition in _EXPECTING

    def _promise(self, view: View, suggested: int, rng: np.random.Generator) -> Term:
        """Return the term that says how promising a point is."""
        cube, model, best = view.cube, view.model, view.best
        if self.acquisition == "ucb":
            return Measured(cube, model, acquisition.bounding(self.width))
        if self.acquisition == "pi":
            return Measured(cube, model, acquisition.improving(best - view.worthwhile))
        if self.acquisition == "thompson":
            return _drawn(view, rng)
        if self.acquisition == "noisy_log_ei":
            drawn = model.sample(view.top[:, cube.free], rng, _DRAWS).min(axis=1)
            return Measured(cube, model, acquisition.averaging([acquisition.expecting(each) for each in drawn]))
        margin = view.margin(suggested)
        return Mixture(
            [Measured(cube, each.model, acquisition.expecting(each.best - margin)) for each in view.explanations],
            [each.log_share for each in view.explanations],
        )

    def reason(self, view: View, space: Space, config: Config, suggested: int) -> str:
        """Say in words why this configuration."""
        units = space.encode([config])
        mean, std = (float(each[0]) for each in view.model.predict(units[:, view.cube.free]))
        better = in_words(float(ndtr((view.best - mean) / std)))
        chance = view.chance_kept(units)
        kept = f", keeps the constraints with one of {in_words(chance)}" if chance < _SURE else ""
        known = "close to what is known" if std < _KNOWN * np.sqrt(view.model.variance) else "little is known there"
        aim = view.aim(suggested) if self.acquisition in ("log_ei", "ei") else ""
        return f"Gaussian process: better than the best with a chance of {better}{kept}, {known}{aim}"


def _drawn(view: View, rng: np.random.Generator) -> Term:
    """Return minus a function drawn from the process: its mean given its drawn values at some points."""
    cube = view.cube
    world = rng.random((_THOMPSON_POINTS, len(cube.counts)))
    near = cube.mutate(view.top[rng.integers(len(view.top), size=_THOMPSON_POINTS // 2)], rng, (-3.0, -0.5), 5)
    points = cube.snap(np.concatenate([world, near]))[:, cube.free]
    values = view.model.sample(points, rng, 1)[0]
    few = np.argsort(values, kind="stable")[: _THOMPSON_POINTS // 4]
    return Measured(cube, view.model.append(points[few], values[few]), acquisition.bounding(0.0))

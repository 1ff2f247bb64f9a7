"""What Gaussian processes see in a history, for samplers to act on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tunewell.events import Constraint, Status
from tunewell.history import OBSERVED, History, TrialRecord
from tunewell.numerics import acquisition, gp
from tunewell.numerics.feasibility import breach_in_medians
from tunewell.numerics.kernels import Indices
from tunewell.protocols import Suggestion
from tunewell.samplers.acquiring import Measured, Term
from tunewell.scales import Floats
from tunewell.space import Space
from tunewell.surrogate import processes
from tunewell.surrogate.accidents import without_accidents
from tunewell.surrogate.beliefs import belief
from tunewell.surrogate.cube import Cube, cube_of
from tunewell.surrogate.incumbent import incumbent
from tunewell.surrogate.noise import Repeats, repeats
from tunewell.surrogate.observations import Observations, observe, tried
from tunewell.surrogate.twins import novelty

_WORTH = 1e-3  # of the way from the median to the best loss: what counts as a gain
_MARGIN = 0.03  # of that way: what is looked for when nothing was gained
_NOISY = 1e-3  # noise variance over signal variance from which on a repeat is worth its price
_FIRST_REPEAT = 12  # losses before it
_REPEAT_EVERY = 8
_TESTED_AT = (32, 64)  # losses, where nothing has told yet whether they are noisy
_SHOWS = 0.01  # of the way from the median to the best loss: smaller noise changes nothing
_LAST = 8  # losses, at least, that say how much trials gain by now
_TOP = 8
_MOST_FAILED = 100  # failed trials, the newest, that are believed in
_WRONG = frozenset({Status.DIVERGED, Status.FAILED, Status.OUT_OF_MEMORY, Status.TIMED_OUT})
_NEWEST = 10  # trials whose failures set the price of one more
_DEAREST = 200.0
_FEWEST_KNOWN = 3  # values of a constrained metric before a process is fitted to them


@dataclass(frozen=True, eq=False)
class Explanation:
    """One way to explain the losses.

    Attributes:
        log_share: the log of how likely it is among those that are considered.
        model: a process on losses.
        best: its smallest posterior mean at a point that was tried and keeps the constraints, if any does.
    """

    log_share: float
    model: gp.GaussianProcess
    best: float


@dataclass(frozen=True, eq=False)
class View:
    """What the processes see in a history.

    Attributes:
        cube: the space.
        seen: what they were given.
        targets: the warped losses, shape ``(n,)``.
        behind: the same, and behind them all what breaks a constraint, shape ``(n,)``.
        rows: those that the processes were given.
        others: trials without a loss, failed or still running, shape ``(m, d)``.
        explanations: the most likely one first.
        top: the points with the smallest posterior means, the best first, shape ``(k, d)``.
        conditions: failure, constraints, beliefs, as terms of the acquisition.
        none_allowed: whether no trial keeps the constraints yet.
        repeats: what trials of the same configuration say about noise.
    """

    cube: Cube
    seen: Observations
    targets: Floats
    behind: Floats
    rows: Indices
    others: Floats
    explanations: list[Explanation]
    top: Floats
    conditions: list[Term]
    none_allowed: bool
    repeats: Repeats

    @property
    def model(self) -> gp.GaussianProcess:
        """The most likely process on losses."""
        return self.explanations[0].model

    @property
    def best(self) -> float:
        """The smallest posterior mean of that process at a point that was tried."""
        return self.explanations[0].best

    @property
    def noisy(self) -> bool:
        """Whether the process finds more noise than can be neglected, and no repeat says otherwise."""
        return self.model.noise > _NOISY and not self.repeats.deterministic

    @property
    def _worth_repeating(self) -> bool:
        """Whether there is noise that may decide who is best: the process finds it, or a repeat has shown it."""
        return self.noisy or (self.repeats.differ and self._deviation > _SHOWS * self.unit)

    def _to_be_tested(self, space: Space, history: History) -> bool:
        """Tell whether it is time for a repeat to show if there is noise.

        On a coarse grid no two configurations are near enough to each other for the process to tell noise from
        roughness. A loss that comes again to the last digit may be chance where few were recorded: it is tested twice.
        """
        if self.repeats.differ or self.cube.smooth.any():
            return False
        tests = len(history.trials) - len(tried(space, history))  # however they went
        return tests < len(_TESTED_AT) and len(self.targets) >= _TESTED_AT[tests]

    @property
    def _deviation(self) -> float:
        """The deviation of the noise as the process finds it, in warped units."""
        return float(np.sqrt(self.model.noise * self.model.variance))

    @property
    def unit(self) -> float:
        """The way from the median to the best loss, in warped units."""
        return max(0.0, float(np.median(self.targets)) - self.best)

    @property
    def hidden(self) -> float:
        """The deviation of the noise, in warped units, 0 where there is none to speak of: smaller gains do not show."""
        return self._deviation if self.noisy else 0.0

    @property
    def stalled(self) -> bool:
        """Whether the last results have brought nothing worth having; where losses are noisy, nothing that shows."""
        last = min(len(self.cube.free), 10) + 2
        if len(self.targets) < 2 * last:
            return False
        reached = self.model.reached[: len(self.rows)] if self.noisy else self.targets
        gained = float(reached[:-last].min() - reached[-last:].min())
        return gained <= max(_WORTH * self.unit, self.hidden)

    @property
    def _gained(self) -> float:
        """By how much the last losses, one a worker, beat all before them, in warped units; infinite of few losses."""
        last = max(_LAST, len(self.seen.pending))
        if len(self.targets) <= last:
            return float("inf")
        return float(self.targets[:-last].min() - self.targets.min())

    @property
    def worthwhile(self) -> float:
        """An improvement that is worth a trial, in warped units: one that noise does not hide."""
        return max(_MARGIN * self.unit, self.hidden)

    def margin(self, suggested: int) -> float:
        """Return how much better than the best a point should be, given the number of suggestions so far.

        Of several trials at a time every second looks for more than a small step, half of what the last losses gained:
        what is believed of the others makes the surroundings of the best one look less attractive, but not enough.
        """
        if suggested % 3 and self.stalled:
            return self.worthwhile
        return min(self.worthwhile, max(0.5 * self._gained, self.hidden)) if self._apart(suggested) else 0.0

    def chance_kept(self, units: Floats) -> float:
        """Return the probability that a point, shape ``(1, d)``, keeps the constraints, as far as they are modelled."""
        kept = [term for term in self.conditions if isinstance(term, Measured) and term.measure is acquisition.log_kept]
        return float(np.exp(sum(float(term.value(units)[0]) for term in kept)))

    def aim(self, suggested: int) -> str:
        """Return in words why more than a small step is looked for, an empty string where none is."""
        if suggested % 3 and self.stalled:
            return "; the last trials brought no gain worth having, so it looks farther"
        return "; others are in training, so it looks farther from them" if self._apart(suggested) else ""

    def _apart(self, suggested: int) -> bool:
        return bool(suggested % 2 and len(self.seen.pending))

    def to_repeat(self, space: Space, history: History) -> Suggestion | None:
        """Return a trial to be repeated, if it is time for that; never one that is in training.

        The best one comes first: a second measurement tells whether it was luck.
        """
        if len(self.targets) < _FIRST_REPEAT or history.suggested % _REPEAT_EVERY:
            return None
        if self._worth_repeating:
            known = "for the losses seem noisy"
        elif self._to_be_tested(space, history):
            known = "to tell whether losses are noisy"
        else:
            return None
        best = incumbent(history) if len(history.goals) == 1 else None
        if best is not None and _measured_once(best, history) and space.allows(best.params):
            why = f"once more, {known}: trial {best.number} is the best so far"
            return Suggestion(best.params, why)
        ended = [unit for unit in self.top if not _stands_in(unit, self.seen.pending)]
        if not ended:
            return None
        config = space.decode_one(np.nan_to_num(ended[0], nan=0.5).tolist())
        return Suggestion(config, f"once more, {known}: so far the most promising configuration")


def _measured_once(best: TrialRecord, history: History) -> bool:
    """Tell whether one configuration, from beginning to end, gave the best loss, and no other trial had the same."""
    if best.fork is not None or best.adjustments:
        return False
    return sum(trial.params == best.params for trial in history.trials) == 1


def look(
    space: Space,
    history: History,
    initial: int,
    evaluations: int,
    rng: np.random.Generator,
    warping: bool = False,
    seen: Observations | None = None,
    around: Floats | None = None,
) -> View | None:
    """Fit processes to a history, or return None while there are fewer than ``initial`` losses to fit them to.

    ``rng`` draws the weights that make several goals one and, while trials are running, the hyperparameters;
    ``evaluations`` are those of a fit's log posterior; with ``warping`` the coordinates may be bent; ``seen`` are
    observations in the place of all; ``around``, shape ``(d,)``, is a configuration near which good ones are believed
    to lie, too.
    """
    cube = cube_of(space)
    seen = without_accidents(cube, observe(space, history) if seen is None else seen)
    if len(seen.losses) < initial or not np.isfinite(seen.losses).all(axis=1).any() or not len(cube.free):
        return None
    weights = rng.dirichlet(np.ones(seen.losses.shape[1]))
    targets = processes.targets_of(seen.losses, weights)
    broken = breach_in_medians(seen.violations) > 0.0
    behind = np.where(broken, targets + np.ptp(targets), targets)
    rows = processes.chosen(seen.units[:, cube.free], behind)
    others = np.concatenate([seen.failed[-_MOST_FAILED:], seen.pending])
    kept = ~broken[rows]
    allowed = np.concatenate([kept if kept.any() else ~kept, np.arange(len(others)) >= len(others) - len(seen.pending)])
    believed = others[:, cube.free]
    explanations = []
    if len(seen.pending):  # what is suggested side by side should not hang on the same guess of the hyperparameters
        found = [(0.0, processes.drawn(cube, seen, seen.losses, weights, rows, rng, evaluations, warping))]
    else:
        found = processes.explanations(cube, seen, seen.losses, weights, rows, evaluations, warping)
    for log_share, model in found:
        whole = model.append(believed) if len(believed) else model
        explanations.append(Explanation(log_share, whole, float(whole.reached[allowed].min())))
    reached = np.where(allowed, explanations[0].model.reached, np.inf)
    points = np.concatenate([seen.units[rows], others])
    return View(
        cube=cube,
        seen=seen,
        targets=targets,
        behind=behind,
        rows=rows,
        others=others,
        explanations=explanations,
        top=points[np.argsort(reached, kind="stable")[: min(_TOP, int(allowed.sum()))]],
        conditions=conditions(cube, space, history, seen, targets, rows, evaluations, around),
        none_allowed=not kept.any(),
        repeats=repeats(seen),
    )


def conditions(
    cube: Cube,
    space: Space,
    history: History,
    seen: Observations,
    targets: Floats,
    rows: Indices,
    evaluations: int = processes.EVALUATIONS,
    around: Floats | None = None,
) -> list[Term]:
    """Return the terms that do not depend on how promising a point is: belief, and the :func:`odds`.

    Args:
        cube, space, history, seen: the study.
        targets: what the belief is judged by, smaller for better, shape ``(n,)``.
        rows: those whose constrained metrics are modelled.
        evaluations: of the log posterior in a fit.
        around: the centre of one more component of the belief, shape ``(d,)``.
    """
    favour = belief(cube, space, history, seen.units, targets, around)
    return [*([] if favour is None else [favour]), *odds(cube, space, history, seen, rows, evaluations)]


def odds(
    cube: Cube,
    space: Space,
    history: History,
    seen: Observations,
    rows: Indices,
    evaluations: int = processes.EVALUATIONS,
) -> list[Term]:
    """Return the logs of probabilities: to tell something new, to work and report all metrics, to keep each constraint.

    Args: see :func:`conditions`.
    """
    terms: list[Term] = []
    fresh = novelty(space, history)
    if fresh is not None:
        terms.append(fresh)
    told, missing = _told(history), np.isnan(seen.violations)
    unsaid = np.flatnonzero(missing[:, ~missing.all(axis=0)].any(axis=1)) if told else None
    failures = processes.of_failures(cube, seen, unsaid, evaluations)
    if failures is not None:
        terms.append(Measured(cube, failures, acquisition.times(_price(history, told), acquisition.log_works)))
    return [*terms, *constraints(cube, seen, rows, evaluations)]


def constraints(cube: Cube, seen: Observations, rows: Indices, evaluations: int = processes.EVALUATIONS) -> list[Term]:
    """Return a term for each constraint, the log of the probability that it is kept, as ``rows`` of what was seen say.

    None for a metric of which hardly anything is known.
    """
    terms: list[Term] = []
    for column in seen.violations.T:
        known = rows[~np.isnan(column[rows])]
        if len(known) >= _FEWEST_KNOWN:
            terms.append(
                Measured(cube, processes.of_constraint(cube, seen, column, known, evaluations), acquisition.log_kept)
            )
    return terms


def _stands_in(unit: Floats, units: Floats) -> bool:
    return bool(np.isclose(units, unit, equal_nan=True).all(axis=1).any())


def _told(history: History) -> list[Constraint]:
    """Return the constraints whose metric is missed where it is not reported, for some trial has reported it.

    None where trials rest or were stopped: what they have not said may be said at the end.
    """
    if history.counts[Status.PAUSED] or history.counts[Status.STOPPED]:
        return []
    return [rule for rule in history.constraints if any(not _missing(trial, [rule]) for trial in history.trials)]


def _missing(trial: TrialRecord, rules: Sequence[Constraint]) -> bool:
    return any(np.isnan(rule.violation(trial.metric(rule.metric))) for rule in rules)


def _price(history: History, told: Sequence[Constraint]) -> float:
    """Return how many times the log of the probability that a trial works counts: once and more, the more have failed.

    By the expected improvement alone a search that has little left to gain on the safe side would try its luck on the
    other side again and again. So the newest trials' share of failures sets the price of one more.
    """
    newest = [history.trials[number] for number in history.rested[-_NEWEST:]]
    wrong = sum(
        trial.status in _WRONG or (trial.status in OBSERVED and (not trial.observed or _missing(trial, told)))
        for trial in newest
    )
    return 1.0 + _DEAREST * wrong / _NEWEST

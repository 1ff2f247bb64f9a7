"""How trainings will go on, as a process of all learning curves of a history sees it (:mod:`tunewell.numerics.curves`).

Losses count by their order (:func:`warps.scores`), several goals by a random weighting that changes from trial to
trial. As with :mod:`.processes`, hyperparameters are fitted at certain numbers of points, to the points at rungs in
the order in which they were reported; and at certain numbers of them those that the process is given are chosen. So
most decisions find the fit and the factor of the matrix in a memo, which changes the time they take and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tunewell.events import Status
from tunewell.history import History
from tunewell.numerics import curves, warps
from tunewell.numerics.feasibility import breach_in_medians
from tunewell.numerics.kernels import Columns, Indices
from tunewell.numerics.trends import Trend
from tunewell.scales import Floats
from tunewell.space import Space
from tunewell.surrogate import processes
from tunewell.surrogate.costs import Costs
from tunewell.surrogate.cube import Cube, cube_of
from tunewell.surrogate.partial import Points, points
from tunewell.surrogate.twins import REPEATS, doubles

_MOST_POINTS = 192  # that the process is given, and those since then
_MOST_OFF = 64  # points between rungs, the best
_SHOWN = 128  # trials that are worth a look
_NO_TOTAL = 0.5  # as if there were as much to come as there has been


@dataclass(frozen=True, eq=False)
class Outlook:
    """The curves of a history and the process of them.

    Attributes:
        cube: the space.
        seen: the curves.
        model: the process, with a point where each trial in training will next be looked at.
        best: the smallest score so far of a trial that keeps its constraints, if any does.
        rungs: steps at which curves are looked at; the last one is the end.
        first: the first step at which losses are reported.
        shown: trials that are worth a look, the best expected end first, shape ``(m,)``.
        ends: the scores that these are expected to end with, shape ``(m,)``.
        doubles: the probability of each trial to go on as another one does, shape ``(N,)``; see :mod:`.twins`.
        speeds: of all trials, the log of the seconds a step takes, relative to the median, shape ``(N,)``.
        costs: of steps of configurations that nobody has tried, relative to the same median.
        left: how many steps of median speed a worker may train until the run's total is used up; inf without one.
        thrift: how far a step costs what it takes, from 0, all cost the same, to 1, its seconds; see :func:`_thrift`.
        closing: whether that is less than a training, and one has been completed.
    """

    cube: Cube
    seen: Points
    model: curves.Curves
    best: float
    rungs: tuple[int, ...]
    first: int
    shown: Indices
    ends: Floats
    doubles: Floats
    speeds: Floats
    costs: Costs
    left: float
    thrift: float
    closing: bool

    @property
    def expected(self) -> float:
        """The best score that what was begun is expected to come to."""
        return min(self.best, float(self.ends.min()))

    def dear(self, speeds: Floats) -> Floats:
        """Return the log of what a step of each speed costs, as far as seconds count by now, shape ``(m,)``."""
        return np.asarray(np.log1p(self.thrift * np.expm1(speeds)))

    @property
    def steps(self) -> int:
        """Of a full training."""
        return self.rungs[-1]

    def ahead(self, trials: Sequence[int], steps: Sequence[float] | Floats) -> tuple[Floats, Floats]:
        """Return mean and deviation of trials' scores, each at a step of its own, both ``(m,)``."""
        numbers = np.array(trials, dtype=np.int64)
        return self.model.ahead(self.seen.units[numbers][:, self.cube.free], numbers, self._time(steps))

    def stages(
        self, units: Floats, trials: Sequence[int], steps: Sequence[int], reach: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Return what is expected of trainings at the last rung in reach, and what each on the way tells and takes.

        Args:
            units: shape ``(m, d)``.
            trials: -1 for a new one, shape ``(m,)``.
            steps: how far each one is, shape ``(m,)``.
            reach: how far each one can come, to a rung ahead at least, shape ``(m,)``.

        Returns:
            The mean score there, ``(m,)``; the deviation of the normal step that it moves by at each of K rungs, and
            the share of a full training up to there from the one before, both ``(m, K)`` and zeros at other rungs.
        """
        rungs, done = np.array(self.rungs), np.array(steps)
        mean, covariance = self.model.together(units[:, self.cube.free], np.array(trials), self._time(rungs))
        tells, takes = np.zeros(mean.shape), np.zeros(mean.shape)
        ahead = np.searchsorted(rungs, done, side="right")
        behind = np.searchsorted(rungs, reach, side="right")
        for first, end in np.unique(np.column_stack([ahead, behind]), axis=0):
            rows, part = np.flatnonzero((ahead == first) & (behind == end)), slice(first, end)
            tells[rows, part] = np.abs(np.linalg.cholesky(covariance[rows, part, part])[:, -1])
            takes[rows, part] = np.diff(np.column_stack([done[rows], np.tile(rungs[part], (len(rows), 1))]), axis=1)
        return mean[np.arange(len(mean)), behind - 1], tells, takes / self.steps

    def _time(self, steps: Sequence[float] | Floats | Indices) -> Floats:
        return time(steps, self.steps, self.first)

    def paused(self, history: History, current: int | None) -> list[int]:
        """Return the trials that may go on, the best expected end first, and the current one among them."""
        kept = [int(number) for number in self.shown if number == current or _waits(history, int(number), self.steps)]
        return kept if current is None or current in kept else [*kept, current]

    def reach(self, history: History, trials: Sequence[int]) -> Floats:
        """Return the steps that trials can come to until the total is used up, shape ``(m,)``."""
        return _reach(history, trials, self.left, self.speeds, self.steps)


def time(steps: Sequence[float] | Floats | Indices | float, horizon: int, first: int = 1) -> Floats:
    """Return t, the log of the steps as a share of that of all; 0 at the ``first`` one at which losses are reported."""
    return np.asarray(np.log(np.maximum(steps, first) / first) / np.log(max(horizon / first, 2.0)))


def look(
    space: Space,
    history: History,
    rungs: Sequence[int],
    fewest: int,
    evaluations: int,
    current: int | None = None,
    trend: Trend | None = None,
) -> Outlook | None:
    """Fit the curves of a history; None while fewer than ``fewest`` points are finite.

    Args:
        space, history: the study.
        rungs: where curves are looked at; the last one is the end.
        fewest: see above.
        evaluations: of the log posterior, at most, in a fit of hyperparameters.
        current: a trial in training that waits for a decision.
        trend: what is usual, over the columns of the cube that may vary.
    """
    cube, seen, horizon = cube_of(space), points(space, history, rungs), rungs[-1]
    if np.isfinite(seen.losses).all(axis=1).sum() < fewest or not len(cube.free):
        return None
    g = seen.losses.shape[1]
    rng = np.random.default_rng([history.seed, len(history.trials), 1])
    scores = _scores(seen.losses, rng.dirichlet(np.ones(g)))
    first = history.cadence.at(1)
    times = time(seen.steps, horizon, first)
    model = _model(cube, seen, times, scores, evaluations, trend)
    running = [n for n in history.running if n != current and seen.placed[n]]
    if running:
        after = [next((rung for rung in rungs if rung > history.trials[n].step), horizon) for n in running]
        times = time(after, horizon, first)
        model = model.grown(seen.units[running][:, cube.free], times, np.array(running, dtype=np.int64))
    twice = doubles(seen, rungs)
    shown = _shown(seen, scores, twice >= REPEATS, current)
    speeds, left = _speeds(seen.paces), _left(history, seen.paces)
    reach = _reach(history, shown, left, speeds, horizon)
    ends, _ = model.ahead(seen.units[shown][:, cube.free], shown, time(reach, horizon, first))
    order = np.argsort(ends, kind="stable")
    allowed = ~_broken(history)[seen.trials]
    best = scores[allowed].min() if allowed.any() else scores.min()
    return Outlook(
        cube=cube,
        seen=seen,
        model=model,
        best=float(best),
        rungs=tuple(rungs),
        first=first,
        shown=shown[order],
        ends=ends[order],
        doubles=twice,
        speeds=speeds,
        costs=_costs(cube, seen, speeds),
        left=left,
        thrift=_thrift(history),
        closing=left < horizon and history.counts[Status.COMPLETED] > 0,
    )


def _waits(history: History, number: int, steps: int) -> bool:
    record = history.trials[number]
    return record.status is Status.PAUSED and record.paused_by == "scheduler" and record.step < steps


def _scores(losses: Floats, weights: Floats) -> Floats:
    """Return what the process is fitted to, shape ``(n,)``, from losses of shape ``(n, g)``."""
    if losses.shape[1] == 1:
        return warps.scores(losses[:, 0])
    ranked = np.stack([warps.scores(column) for column in losses.T], axis=1)
    return warps.standardise(warps.scalarise(ranked, weights))


def _broken(history: History) -> np.ndarray:
    """Return which trials break a constraint, shape ``(N,)``."""
    if not history.constraints:
        return np.zeros(len(history.trials), dtype=np.bool_)
    return np.asarray(breach_in_medians(np.array([trial.margins for trial in history.trials])) > 0.0)


def _model(
    cube: Cube, seen: Points, times: Floats, scores: Floats, evaluations: int, trend: Trend | None
) -> curves.Curves:
    """Return the process: what was chosen of the points at rungs, those since then, and the best between rungs."""
    lasting = np.flatnonzero(seen.lasting)
    lasting = lasting[np.lexsort((seen.trials[lasting], seen.when[lasting]))]
    units, n, even = seen.units[:, cube.free], len(lasting), np.ones(seen.losses.shape[1])
    early = lasting[: processes.refit_at(n)]
    theta = _theta(
        cube.columns,
        units[seen.trials[early]].tobytes(),
        times[early].tobytes(),
        seen.trials[early].tobytes(),
        _scores(seen.losses[early], even).tobytes(),
        evaluations,
        trend,
    )
    old = lasting[: processes.chosen_at(n)]
    head = old
    if len(old) > _MOST_POINTS:
        places = np.concatenate([units[seen.trials[old]], times[old, None]], axis=1)
        head = old[processes.subset(places, _scores(seen.losses[old], even), _MOST_POINTS)]
    off = np.flatnonzero(~seen.lasting)
    off = np.sort(off[np.argsort(scores[off], kind="stable")[:_MOST_OFF]])
    rest = np.concatenate([lasting[len(old) :], off])
    model = _headed(
        cube.columns,
        theta.tobytes(),
        units[seen.trials[head]].tobytes(),
        times[head].tobytes(),
        seen.trials[head].tobytes(),
        trend,
    )
    if len(rest):
        model = model.grown(units[seen.trials[rest]], times[rest], seen.trials[rest])
    return model.given(scores[np.concatenate([head, rest])])


@lru_cache(maxsize=64)
def _theta(
    columns: Columns, units: bytes, times: bytes, trials: bytes, scores: bytes, evaluations: int, trend: Trend | None
) -> Floats:
    """Return the hyperparameters; the memo compares contents."""
    y, t, i = np.frombuffer(scores), np.frombuffer(times), np.frombuffer(trials, dtype=np.int64)
    x = np.frombuffer(units).reshape(len(y), len(columns))
    rows = processes.subset(np.concatenate([x, t[:, None]], axis=1), y, processes.most_fitted(len(columns)))
    theta, _ = curves.fit(curves.Evidence(columns, x[rows], t[rows], i[rows], y[rows], trend=trend), evaluations)
    return theta


@lru_cache(maxsize=16)  # half a megabyte each, at most
def _headed(
    columns: Columns, theta: bytes, units: bytes, times: bytes, trials: bytes, trend: Trend | None
) -> curves.Curves:
    t, i = np.frombuffer(times), np.frombuffer(trials, dtype=np.int64)
    x = np.frombuffer(units).reshape(len(t), len(columns))
    return curves.Curves.of(columns, np.frombuffer(theta), x, t, i, np.zeros(len(t)), trend=trend)


def _shown(seen: Points, scores: Floats, repeats: np.ndarray, current: int | None) -> Indices:
    """Return the trials that are worth a look: all, or of many those with the best scores and an even sample.

    The best are taken from each step at which trials stand in turn. What neighbours came to is not asked here, and
    where early scores mislead, the best are the wrong ones: hence the sample.
    """
    last = np.flatnonzero(np.append(seen.trials[1:] != seen.trials[:-1], True))
    last = last[~repeats[seen.trials[last]]]
    if len(last) > _SHOWN:
        steps, y = seen.steps[last], scores[last]
        order = np.lexsort((y, steps))
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order)) - np.searchsorted(steps[order], steps[order])
        order = np.lexsort((y, place))
        half = _SHOWN // 2
        rest = np.sort(order[half:])
        kept = np.concatenate([order[:half], rest[np.linspace(0, len(rest) - 1, _SHOWN - half).astype(np.int64)]])
        last = last[np.sort(kept)]
    trials = seen.trials[last]
    return trials if current is None or current in trials else np.append(trials, current)


def _speeds(paces: Floats) -> Floats:
    """Return the log of the seconds a step, relative to the median; 0 where they are unknown."""
    known = _known(paces)
    if not known.any():
        return np.zeros(len(paces))
    return np.where(known, np.log(np.where(known, paces, 1.0) / np.median(paces[known])), 0.0)


def _costs(cube: Cube, seen: Points, speeds: Floats) -> Costs:
    """Return what steps cost, told by the trials whose speed is known."""
    known = _known(seen.paces) & seen.placed
    return Costs.of(cube.columns, seen.units[known][:, cube.free], speeds[known])


def _left(history: History, paces: Floats) -> float:
    """Return how many steps of median speed each worker may still train within the totals of the run."""
    run, known, left = history.run, _known(paces), np.inf
    if run is not None and run.steps is not None:
        left = (run.steps - history.steps_done) / max(run.workers, 1)
    if run is not None and run.seconds is not None and known.any():
        left = min(left, (run.seconds - history.active_seconds) / float(np.median(paces[known])))
    return max(left, 0.0)


def _thrift(history: History) -> float:
    """Return by how much the seconds that a step takes beyond the usual cost: the share of the totals that is used up.

    What a second is worth is what it would bring at the end of the run, not what it brings now. While much is left that
    is little: what ends best counts, and not what is cheap. Larger networks are often the better ones, and gains for
    each second put them off for as long as small ones still improve. What takes many times as long stays dear.
    """
    run = history.run
    totals = [] if run is None else [(history.steps_done, run.steps), (history.active_seconds, run.seconds)]
    return min(max((done / total for done, total in totals if total), default=_NO_TOTAL), 1.0)


def _reach(history: History, trials: Sequence[int] | Indices, left: float, speeds: Floats, horizon: int) -> Floats:
    """Return the steps that trials can come to, in ``left`` steps of median speed, shape ``(m,)``."""
    numbers = np.asarray(trials, dtype=np.int64)
    done = np.array([history.trials[number].step for number in numbers])
    return np.asarray(np.minimum(done + left * np.exp(-speeds[numbers]), horizon))


def _known(paces: Floats) -> np.ndarray:
    return np.asarray(np.isfinite(paces) & (paces > 0.0))

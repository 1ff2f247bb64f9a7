"""Gaussian processes on the losses of a history: which trials they are given, and when hyperparameters are fitted.

The cost is bounded: of many trials a process is given the best ones, those near the best one and an even sample of the
rest. Hyperparameters are fitted at fixed numbers of losses, on the losses up to there, so they are a function of the
history. Fits begin at fixed starts; those that explain one goal also where a fit to the losses up to the last milestone
ended, which began where that at the milestone before ended: a few fits to fewer losses, whatever happened in this
process. At the numbers of fits, too, the trials are chosen and the kernel matrix of the chosen ones is factorised; the
trials since then are a few more rows of it. So memos of fits and factors save time and change nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache

import numpy as np
from threadpoolctl import ThreadpoolController

from tunewell.numerics import bend_fits, gp, warps
from tunewell.numerics.bends import Bend
from tunewell.numerics.feasibility import bounded
from tunewell.numerics.gram import Gram
from tunewell.numerics.kernels import Columns, Indices
from tunewell.scales import Floats
from tunewell.surrogate.cube import Cube
from tunewell.surrogate.observations import Observations

EVALUATIONS = 20  # of the log posterior in a fit
MILESTONES = (12, 18, 24, 36, 48, 72, 96, 384, 1536)  # losses of the fits that lead to later ones
_MOST_POINTS = 240  # that a process is given, and those since then
_MOST_SINCE = 32  # losses until they are chosen anew
_MOST_FITTED = (64, 140)  # that hyperparameters are fitted to: in high and in low dimensions
_FIT_SIZE = 80_000  # numbers in the distances by column of a fit, about
_MOST_LABELS = 100  # of each kind
_SURE = 80  # losses from which on the best explanation is alone
_LEAST_SHARE = 0.1
_LEAST_BENT = 12  # losses before coordinates are bent
_LABEL_NOISE = 0.01
_WEAK_NOISE = 0.1  # of losses extrapolated from fewer steps, in units of the signal variance


def targets_of(losses: Floats, weights: Floats) -> Floats:
    """Return what a process is fitted to, shape ``(n,)``, from losses of shape ``(n, g)``.

    Several goals are made one by the augmented Tchebycheff norm with ``weights``, shape ``(g,)``.
    """
    if losses.shape[1] == 1:
        return _softened(losses[:, 0].tobytes())
    soft = np.stack([warps.soften(column) for column in losses.T], axis=1)
    return warps.standardise(warps.scalarise(soft, weights))


@lru_cache(maxsize=4)  # one suggestion asks for the same ones again
def _softened(losses: bytes) -> Floats:
    soft = warps.soften(np.frombuffer(losses))
    soft.flags.writeable = False
    return soft


def explanations(
    cube: Cube,
    seen: Observations,
    losses: Floats,
    weights: Floats,
    rows: Indices,
    evaluations: int = EVALUATIONS,
    warping: bool = False,
) -> list[tuple[float, gp.GaussianProcess]]:
    """Return processes on ``rows`` of ``losses``, shape ``(n, g)``, of what was seen, with the logs of their shares.

    Few losses can be explained in several ways: smooth, rough, or smooth with noise. To choose one is to be sure too
    early, so each has the share of its posterior among them (Bayesian model averaging over modes). The best is first;
    with enough losses it is alone. With ``warping`` one of them may have bent coordinates, see
    :mod:`tunewell.numerics.bends`.
    """
    modes = _explaining(cube, seen, losses, weights, evaluations, warping)
    values = np.array([value for _, value in modes])
    shares = np.exp(values - np.logaddexp.reduce(values))
    kept = [k for k in range(len(modes)) if k == 0 or (shares[k] > _LEAST_SHARE and len(losses) < _SURE)]
    targets = targets_of(losses, weights)
    return [(float(np.log(shares[k])), _with(modes[k][0], cube, seen, targets, rows)) for k in kept]


def drawn(
    cube: Cube,
    seen: Observations,
    losses: Floats,
    weights: Floats,
    rows: Indices,
    rng: np.random.Generator,
    evaluations: int = EVALUATIONS,
    warping: bool = False,
) -> gp.GaussianProcess:
    """Return a process whose hyperparameters are drawn from around the best :func:`explanations`; bends stay."""
    theta, _ = _explaining(cube, seen, losses, weights, evaluations, warping)[0]
    plain, logs = np.split(theta, [2 * len(cube.columns) + 2])
    units, targets = (np.frombuffer(each) for each in _exact(cube, seen, losses, weights))
    points, bend = units.reshape(len(targets), -1), Bend.of(logs)
    evidence = gp.Evidence(cube.columns, points if bend is None else bend.bent(points), targets)
    found = np.concatenate([gp.draw(evidence, plain, rng), logs])
    return _with(found, cube, seen, targets_of(losses, weights), rows)


def likeliest(
    cube: Cube, seen: Observations, losses: Floats, weights: Floats, rows: Indices, evaluations: int = EVALUATIONS
) -> gp.GaussianProcess:
    """Return the best of the :func:`explanations`, with coordinates that may be bent."""
    theta, _ = _explaining(cube, seen, losses, weights, evaluations, warping=True)[0]
    return _with(theta, cube, seen, targets_of(losses, weights), rows)


def _explaining(
    cube: Cube, seen: Observations, losses: Floats, weights: Floats, evaluations: int, warping: bool
) -> list[tuple[Floats, float]]:
    """Return hyperparameters that explain the losses, with their log posteriors, the best first."""
    fitted, origin = _exact(cube, seen, losses, weights), _origin(cube, seen, losses, weights, evaluations)
    others = 2 if len(losses) < _SURE else 1
    return (_bent if warping else _modes)(cube.columns, *fitted, evaluations, origin, others)


def _exact(cube: Cube, seen: Observations, losses: Floats, weights: Floats) -> tuple[bytes, bytes]:
    """Return coordinates and targets of the exact losses up to the number of the last fit."""
    strong = np.flatnonzero(~seen.weak)
    strong = strong[: refit_at(len(strong))]
    return _thinned(cube.columns, seen.units[strong][:, cube.free], targets_of(losses[strong], weights))


def _origin(cube: Cube, seen: Observations, losses: Floats, weights: Floats, evaluations: int) -> bytes:
    """Return the hyperparameters, as bytes, that the fits at the milestones before the newest fit lead to.

    Each begins where the one before it ended. Nothing comes before the first milestone. Every other newest fit begins
    anew, for what the chain has missed; and so does each of several goals, which are made one by weights that are new
    in every suggestion.
    """
    strong = np.flatnonzero(~seen.weak)
    newest = refit_at(len(strong))
    if losses.shape[1] > 1 or newest // _step(newest) % 2:
        return b""
    before = [count for count in MILESTONES if count < newest]
    first = strong[: before[-1] if before else 0]
    units = seen.units[first][:, cube.free]
    return _led(cube.columns, units.tobytes(), losses[first, 0].tobytes(), evaluations)


@lru_cache(maxsize=16)
def _led(columns: Columns, units: bytes, losses: bytes, evaluations: int) -> bytes:
    """Return where the chain of fits at the milestones up to so many losses, those of one goal, ends."""
    values = np.frombuffer(losses)
    points = np.frombuffer(units).reshape(len(values), len(columns))
    theta = b""
    for milestone in (count for count in MILESTONES if count <= len(values)):
        fitted = _thinned(columns, points[:milestone], warps.soften(values[:milestone]))
        theta = _fitted(columns, *fitted, evaluations, theta).tobytes()
    return theta


def _with(theta: Floats, cube: Cube, seen: Observations, targets: Floats, rows: Indices) -> gp.GaussianProcess:
    noise, units = np.where(seen.weak[rows], _WEAK_NOISE, 0.0), seen.units[rows][:, cube.free]
    head = int(np.searchsorted(rows, chosen_at(len(targets))))
    gram = _factorised(cube.columns, theta.tobytes(), units[:head].tobytes(), noise[:head].tobytes())
    if head < len(rows):
        gram = gram.append(units[head:], noise[head:])
    return gp.GaussianProcess.given(gram, targets[rows])


@lru_cache(maxsize=16)  # half a megabyte each, at most
def _factorised(columns: Columns, theta: bytes, units: bytes, noise: bytes) -> Gram:
    extra = np.frombuffer(noise)
    return Gram.of(columns, np.frombuffer(theta), np.frombuffer(units).reshape(len(extra), len(columns)), extra)


def of_failures(
    cube: Cube, seen: Observations, broken: Indices | None = None, evaluations: int = EVALUATIONS
) -> gp.GaussianProcess | None:
    """Return a process on labels, 1 for what went wrong and 0 for what worked, or None while nothing went wrong.

    Wrong is what failed, diverged, ran out of memory or time; and the rows ``broken``, such as those in which a
    constrained metric was not reported.
    """
    diverged = np.flatnonzero(~np.isfinite(seen.losses).all(axis=1))
    wrong = np.isin(np.arange(len(seen.losses)), diverged if broken is None else np.union1d(diverged, broken))
    bad = np.concatenate([seen.failed, seen.units[wrong]])[-_MOST_LABELS:, cube.free]
    good = seen.units[~wrong][-_MOST_LABELS:, cube.free]
    if not len(bad):
        return None
    units = np.concatenate([bad, good])
    labels = np.concatenate([np.ones(len(bad)), np.zeros(len(good))])
    theta = hyperparameters(cube.columns, units, labels, evaluations)
    return gp.GaussianProcess.of(cube.columns, theta, units, labels, _LABEL_NOISE)


def of_constraint(
    cube: Cube, seen: Observations, column: Floats, rows: Indices, evaluations: int = EVALUATIONS
) -> gp.GaussianProcess:
    """Return a process on how far a metric is beyond its bound, in units in which the bound stays at 0.

    The unit is what is usual, or the most that any has to spare, if that is smaller: of metrics that grow by decades
    most are so far beyond that the way to the bound could not be seen. What is infinite counts as ``bounded`` says.
    """
    known = bounded(column[rows])
    kept = np.abs(known[known <= 0.0])
    near = kept.max() if len(kept) else np.quantile(np.abs(known), 0.1)
    scale = float(min(np.median(np.abs(known)), near)) or 1.0
    values, units = np.arcsinh(known / scale), seen.units[:, cube.free][rows]
    theta = hyperparameters(cube.columns, units, values, evaluations)
    return gp.GaussianProcess.of(cube.columns, theta, units, values)


def hyperparameters(columns: Columns, units: Floats, targets: Floats, evaluations: int = EVALUATIONS) -> Floats:
    """Return the hyperparameters for data of any size: ``units`` of shape ``(n, d)``, ``targets`` of shape ``(n,)``."""
    return _fitted(columns, *_thinned(columns, units, targets), evaluations)


def most_fitted(d: int) -> int:
    """Return how many rows of d columns a fit is given."""
    return int(np.clip(np.sqrt(_FIT_SIZE / d), *_MOST_FITTED))


def _thinned(columns: Columns, units: Floats, targets: Floats) -> tuple[bytes, bytes]:
    """Return as many rows as a fit is given, as bytes, so that memos compare contents."""
    rows = subset(units, targets, most_fitted(len(columns)))
    return units[rows].tobytes(), targets[rows].tobytes()


@lru_cache(maxsize=128)
def _fitted(columns: Columns, units: bytes, targets: bytes, evaluations: int, origin: bytes = b"") -> Floats:
    return gp.fit(_evidence(columns, units, targets), len(columns), evaluations, _theta(origin))[0]


@lru_cache(maxsize=64)
def _modes(
    columns: Columns, units: bytes, targets: bytes, evaluations: int, origin: bytes, others: int
) -> list[tuple[Floats, float]]:
    return gp.fit_modes(_evidence(columns, units, targets), len(columns), evaluations, _theta(origin), others)


@lru_cache(maxsize=64)
def _bent(
    columns: Columns, units: bytes, targets: bytes, evaluations: int, origin: bytes, others: int
) -> list[tuple[Floats, float]]:
    """Return modes, and before them the best one with bends where that explains the data better."""
    modes = _modes(columns, units, targets, evaluations, origin, others)
    y = np.frombuffer(targets)
    if len(y) < _LEAST_BENT:
        return modes
    evidence = bend_fits.BentEvidence(columns, np.frombuffer(units).reshape(len(y), len(columns)), y)
    bent = bend_fits.fit_bent(evidence, len(columns), modes[0][0])
    return [bent, *modes] if bent[1] > modes[0][1] else modes


def _theta(origin: bytes) -> Floats | None:
    return np.frombuffer(origin) if origin else None


def _evidence(columns: Columns, units: bytes, targets: bytes) -> gp.Evidence:
    y = np.frombuffer(targets)
    return gp.Evidence(columns, np.frombuffer(units).reshape(len(y), len(columns)), y)


def refit_at(n: int) -> int:
    """Return the largest number up to ``n`` at which hyperparameters are fitted: all to 47, then 24 an octave."""
    return n - n % _step(n)


def chosen_at(n: int) -> int:
    """Return the largest number of losses up to ``n`` at which those that a process is given are chosen."""
    return n - n % min(_step(n), _MOST_SINCE)


def _step(n: int) -> int:
    return 1 << max(0, (n // 24).bit_length() - 1)


def chosen(units: Floats, targets: Floats) -> Indices:
    """Return the rows that a process is given: of many a :func:`subset`, and all that came since it was chosen."""
    old = chosen_at(len(targets))
    return np.concatenate([subset(units[:old], targets[:old], _MOST_POINTS), np.arange(old, len(targets))])


def subset(units: Floats, targets: Floats, most: int) -> Indices:
    """Return at most ``most`` rows, in order: a third the best, a third near the best one, an even sample of the rest.

    Those near are chosen without regard to their losses: under noise, the best alone would look better than they are.
    """
    n = len(targets)
    if n <= most:
        return np.arange(n)
    taken = np.zeros(n, dtype=np.bool_)
    third = most // 3
    taken[np.argpartition(targets, third)[:third]] = True
    away = np.nansum((units - units[int(np.argmin(targets))]) ** 2, axis=1)
    away[taken] = np.inf
    taken[np.argpartition(away, third)[:third]] = True
    rest = np.flatnonzero(~taken)
    taken[rest[np.linspace(0, len(rest) - 1, most - 2 * third).astype(np.int64)]] = True
    return np.flatnonzero(taken)


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep linear algebra on one thread: for matrices this small more threads cost ten times more than they save."""
    with _controller().limit(limits=1):
        yield

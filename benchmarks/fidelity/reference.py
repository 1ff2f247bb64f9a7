"""What random search with full trainings finds on a task, by which all results are measured.

Where the nearest rows answer, its draws are the rows, without replacement, and the best row is the best there is. Where
means answer, they are a thousand random configurations; the best there is, is looked for from the best of these and of
the recorded configurations by small random steps. Live, its draws are the rows, too, which were really trained once;
what is best there is not known, so the best row stands for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from benchmarks.fidelity.replay import Answer, Recorded, task
from tunewell.testing.tables import Training

TARGET = 100  # random full trainings whose median best is the target
DRAWS = 4000
SAMPLE = 1000
CLIMBERS, ROUNDS, TRIES = 20, 40, 8
WIDTHS = (0.2, 0.005)  # of the small steps, first and last


@dataclass(frozen=True)
class Facts:
    """What random search with full trainings finds; ``regrets[k - 1]`` is its median after k of them."""

    least: float
    target: float
    regrets: np.ndarray
    best: np.ndarray  # of each training that may be drawn, in ascending order


@cache
def facts(name: str, answer: Answer) -> Facts:
    """Return the facts of a task."""
    of = task(name, answer)
    if answer != "smooth":
        best = np.sort(_bests([Training(values, values) for values in of.table.values]))
        least = float(best[0])
    else:
        rng = np.random.default_rng(0)
        units = of.space.encode([of.space.sample(rng) for _ in range(SAMPLE)])
        best = np.sort(_bests(of.table.trainings(units)))
        least = _least(of, np.concatenate([units, of.table.units]))
    rng = np.random.default_rng(0)
    drawn = rng.permuted(np.tile(np.arange(len(best)), (DRAWS, 1)), axis=1)[:, :TARGET]
    medians = np.median(np.minimum.accumulate(best[drawn], axis=1), axis=0)
    return Facts(least, float(medians[-1]), medians - least, best)


def _bests(trainings: Sequence[Training]) -> np.ndarray:
    """Return the least loss that each training reports, infinite where there is none, shape ``(n,)``."""
    values = np.array([training.values for training in trainings])
    return np.asarray(np.where(np.isfinite(values), values, np.inf).min(axis=1))


def _least(of: Recorded, units: np.ndarray) -> float:
    """Return the least loss found by small random steps in one to all parameters from the best of these places."""
    rng = np.random.default_rng(1)
    bests = _bests(of.table.trainings(units))
    first = np.argsort(bests)[:CLIMBERS]
    places, losses = units[first], bests[first]
    for width in np.geomspace(*WIDTHS, ROUNDS):
        tried = np.repeat(places, TRIES, axis=0)
        moved = rng.random(tried.shape) < rng.random((len(tried), 1))
        tried = np.clip(np.where(moved, tried + width * rng.standard_normal(tried.shape), tried), 0.0, 1.0)
        tried = of.space.encode(of.space.decode(tried))  # onto the grid of what can be suggested
        found = _bests(of.table.trainings(tried)).reshape(-1, TRIES)
        best = found.argmin(axis=1)
        rows = np.arange(len(places))
        better = found[rows, best] < losses
        places = np.where(better[:, None], tried.reshape(len(places), TRIES, -1)[rows, best], places)
        losses = np.where(better, found[rows, best], losses)
    return float(losses.min())

"""Where else to look: with numbers such as the better trials have, and with categories that were hardly tried.

A search that has settled in one basin finds little reason to leave it. Far away everything is equally unknown, so by
its variance alone a corner of the cube promises more than another optimizer, whose own learning rate nobody has looked
for. Hence some suggestions weigh their acquisition by two guesses of where another basin may be:

* for every ordered column, how many of the better trials have values near there: a Parzen window, as in TPE (Bergstra
  et al. 2011), but wide, and with a uniform share that no value falls below. Trials that only refine the best one do
  not count, or there would be no other basin in sight;
* 1 / (1 + n)² for the n trials with the same combination of categories, as each has best numbers of its own. (Ru et al.
  2020, arXiv:1906.08878, let a bandit choose the categories.)

Of many trials those count that the process is given (:mod:`tunewell.surrogate.processes`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tunewell.numerics.kernels import Indices
from tunewell.scales import Floats
from tunewell.surrogate.cube import Cube

_WINDOW = 0.15  # deviation
_UNIFORM = 0.2  # share
_PLACES = 32  # intervals between which the window is interpolated
_MOST = 32  # trials that it is made of, the best ones
_BAD = 0.9  # share of the trials that are better than a bad one
_REFINED = 0.02  # of the way from a bad loss to the best: what is nearer to the best refines it
_POWER = 2.0
_CODES = 1e6  # more than there are categories


@dataclass(frozen=True, eq=False)
class Elsewhere:
    """The logarithm of both guesses, as a term of an acquisition function.

    Attributes:
        cube: the space.
        heights: the log density of each column at evenly spaced places, shape ``(d, places + 1)``; zeros where it is
            unordered or nothing is known.
        tries: of each combination of categories, how many there were, whatever became of them.
    """

    cube: Cube
    heights: Floats
    tries: Mapping[bytes, int]

    @classmethod
    def of(cls, cube: Cube, units: Floats, targets: Floats, others: Floats) -> Elsewhere:
        """Return what trials say.

        Args:
            cube: the space.
            units: of trials with a loss, shape ``(n, d)``.
            targets: how bad they are, shape ``(n,)``.
            others: trials without a loss, failed or still running, shape ``(m, d)``.
        """
        heights = np.zeros((len(cube.counts), _PLACES + 1))
        better = units[_better(targets)]
        for j in cube.free[~cube.categorical[cube.free]]:
            known = better[~np.isnan(better[:, j]), j]
            if len(known):
                heights[j] = np.log(_UNIFORM + (1.0 - _UNIFORM) * _density(known))
        return cls(cube, heights, Counter(_combinations(cube, np.concatenate([units, others]))))

    def value(self, units: Floats) -> Floats:
        """Return the term at coordinates, shape ``(m, d)`` to ``(m,)``."""
        return self.value_and_slopes(units)[0]

    def value_and_slopes(self, units: Floats) -> tuple[Floats, Floats]:
        """Return the term and its gradient, ``(m,)`` and ``(m, d)``."""
        active, places = ~np.isnan(units), np.nan_to_num(units) * _PLACES
        left = np.minimum(places.astype(np.int64), _PLACES - 1)
        columns = np.arange(units.shape[1])
        low, high = self.heights[columns, left], self.heights[columns, left + 1]
        value = np.where(active, low + (high - low) * (places - left), 0.0).sum(axis=1)
        if self.cube.categorical.any():
            often = [self.tries.get(combination, 0) for combination in _combinations(self.cube, units)]
            value -= _POWER * np.log1p(often)
        return value, np.where(active, (high - low) * _PLACES, 0.0)


def _better(targets: Floats) -> Indices:
    """Return the rows of the better half of trials, those left out that only refine the best one."""
    best = int(np.argmin(targets))
    distinct = targets > targets[best] + _REFINED * (np.quantile(targets, _BAD) - targets[best])
    distinct[best] = True
    rows = np.flatnonzero(distinct)
    half = rows[np.argsort(targets[rows], kind="stable")][: (len(rows) + 1) // 2]
    return half[:_MOST]


def _density(values: Floats) -> Floats:
    """Return the density of values in [0, 1] at evenly spaced places; what the window has outside is reflected."""
    places = np.linspace(0.0, 1.0, _PLACES + 1)
    sources = np.concatenate([values, -values, 2.0 - values])
    away = (places[:, None] - sources) / _WINDOW
    density: Floats = np.exp(-0.5 * away**2).sum(axis=1) / (len(values) * _WINDOW * np.sqrt(2.0 * np.pi))
    return density


def _combinations(cube: Cube, units: Floats) -> list[bytes]:
    """Return what tells the combination of categories of each row, shape ``(n, d)``, from others."""
    codes = np.rint(np.nan_to_num(units[:, cube.categorical], nan=-1.0) * _CODES).astype(np.int32)
    return [row.tobytes() for row in codes]

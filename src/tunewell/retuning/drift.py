"""How far two samples of data lie apart, net of what two samples of the same data would show."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import median

from tunewell.fingerprints import DataSummary, Feature

NOISE = 3.5
"""Standard errors that count as chance: of a hundred columns that did not move, one in a few comparisons exceeds it."""


def largest_shift(then: DataSummary, now: DataSummary) -> tuple[str, float]:
    """Return the column that moved most, and by how many standard deviations; an empty name where none can be compared.

    The shift of a column is its mean's or, where that is more, the median shift of its quantiles, in units of the
    geometric mean of the two standard deviations, less what chance explains. The median, because in a column of few
    values one quantile may jump although nothing happened.
    """
    chance = NOISE * _error(then, now)
    earlier = {feature.name: feature for feature in then.features}
    shifts = [
        (max(0.0, _shift(earlier[feature.name], feature) - chance), feature.name)
        for feature in now.features
        if feature.name in earlier
    ]
    shifts += [
        (_moved(then.categories[name], now.categories[name], _error(then, now)), name)
        for name in then.categories.keys() & now.categories.keys()
    ]
    shift, name = max(shifts, default=(0.0, ""))
    return name, shift


def moved_share(then: DataSummary, now: DataSummary) -> float:
    """Return the share of examples whose label would have to change (total variation), less what chance explains."""
    return _moved(then.classes, now.classes, _error(then, now))


def _shift(then: Feature, now: Feature) -> float:
    moves = [abs(b - a) for a, b in zip(then.quantiles, now.quantiles, strict=True)]
    moved = max(abs(now.mean - then.mean), median(moves))
    spread = math.sqrt(then.std * now.std) or max(then.std, now.std)
    return moved / spread if spread > 0 else (0.0 if moved == 0 else 10.0)


def _moved(then: Mapping[str, float], now: Mapping[str, float], error: float) -> float:
    names = then.keys() | now.keys()
    apart = sum(abs(then.get(name, 0.0) - now.get(name, 0.0)) for name in names) / 2.0
    return max(0.0, apart - 0.5 * error * (math.sqrt(len(names)) + 2.0))


def _error(then: DataSummary, now: DataSummary) -> float:
    """Return the standard error of a difference of means, in standard deviations."""
    return math.sqrt(1.0 / max(1, then.sampled) + 1.0 / max(1, now.sampled))

"""How far two samples of data lie apart, net of what two samples of the same data would show."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import median

from tunewell.fingerprints import DataSummary, Feature

LEAST = 20  # values of a column whose statistics are compared
NOISE = 3.5
"""Standard errors that count as chance: of a hundred columns that did not move, one in a few comparisons exceeds it."""


def largest_shift(then: DataSummary, now: DataSummary) -> tuple[str, float]:
    """Return the column that moved most, and by how many standard deviations; an empty name where none can be compared.

    The shift of a column is its mean's or, where that is more, the median shift of its quantiles, in units of the
    geometric mean of the two standard deviations, each less what chance explains. The median, because in a column of
    few values one quantile may jump although nothing happened. What chance does to a mean follows from both standard
    deviations as they are (Welch): where a few values outweigh all others, they move the mean and its error alike. A
    column that has next to no values left is not compared.
    """
    earlier = {feature.name: feature for feature in then.features}
    shifts = [
        (_shift(before, feature, *counts), feature.name)
        for feature in now.features
        if (before := earlier.get(feature.name)) is not None
        and min(counts := (_present(before, then), _present(feature, now))) >= min(LEAST, then.sampled, now.sampled)
    ]
    shifts += [
        (_moved(then.categories[name], now.categories[name], _error(then.sampled, now.sampled)), name)
        for name in then.categories.keys() & now.categories.keys()
    ]
    shift, name = max(shifts, default=(0.0, ""))
    return name, shift


def largest_loss(then: DataSummary, now: DataSummary) -> tuple[str, float]:
    """Return the column whose share of missing values changed most, and by how much beyond chance, less being negative.

    Columns of fingerprints from before this was looked at are left out.
    """
    earlier = {feature.name: feature.missing for feature in then.features}
    found = [("", 0.0)]
    for feature in now.features:
        before = earlier.get(feature.name)
        if before is not None and feature.missing is not None:
            share = (before * then.sampled + feature.missing * now.sampled) / (then.sampled + now.sampled)
            chance = NOISE * _error(then.sampled, now.sampled) * math.sqrt(share * (1.0 - share))
            apart = feature.missing - before
            found.append((feature.name, math.copysign(max(0.0, abs(apart) - chance), apart)))
    return max(found, key=lambda pair: abs(pair[1]))


def moved_share(then: DataSummary, now: DataSummary) -> float:
    """Return the share of examples whose label would have to change (total variation), less what chance explains."""
    return _moved(then.classes, now.classes, _error(then.sampled, now.sampled))


def _shift(then: Feature, now: Feature, before: float, after: float) -> float:
    """Return by how much a column of so many values before and after moved beyond chance."""
    moves = median(abs(b - a) for a, b in zip(then.quantiles, now.quantiles, strict=True))
    mean = abs(now.mean - then.mean)
    spread = math.sqrt(then.std * now.std) or max(then.std, now.std)
    if spread == 0.0:
        return 0.0 if mean == moves == 0.0 else 10.0
    error = math.hypot(then.std / math.sqrt(before), now.std / math.sqrt(after)) / spread
    return max(0.0, mean / spread - NOISE * error, moves / spread - NOISE * _error(before, after))


def _moved(then: Mapping[str, float], now: Mapping[str, float], error: float) -> float:
    names = then.keys() | now.keys()
    apart = sum(abs(then.get(name, 0.0) - now.get(name, 0.0)) for name in names) / 2.0
    return max(0.0, apart - 0.5 * error * (math.sqrt(len(names)) + 2.0))


def _present(feature: Feature, data: DataSummary) -> float:
    """Return how many values a column's statistics rest on."""
    return data.sampled * (1.0 - (feature.missing or 0.0))


def _error(then: float, now: float) -> float:
    """Return the standard error of a difference of the means of so many values, in standard deviations."""
    return math.sqrt(1.0 / max(1, then) + 1.0 / max(1, now))

"""What coordinates usually do to a score: a mean and length scales for processes that have hardly any data.

The mean is a sum of what coordinates do, each by itself and in pairs.

With u a coordinate of the unit cube, its effect is

    a v + b ((u - c)² - m),        v = u - ½,        m = 1/12 + (½ - c)²,

which is 0 on average over the range: a says which end is better, b how much better it is near c. Of a category, v is a
number that stands for it, and there is no b. A pair's effect is p v v': with p above 0, what is best of one coordinate
falls as the other one rises. A training may make something else of it than a first step does, so a, b and p are given
for both; between them they change linearly in t.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tunewell.scales import Floats

_MEAN_SQUARE = 1.0 / 12.0  # of u - ½

Ends = tuple[float, float]
"""A number at the first step and at the end."""


@dataclass(frozen=True)
class Effect:
    """What one coordinate does; see the module's text.

    Attributes:
        column: which one.
        slope: a.
        bend: b.
        center: c.
        codes: v of each category, empty where the coordinate is a number.
    """

    column: int
    slope: Ends = (0.0, 0.0)
    bend: Ends = (0.0, 0.0)
    center: float = 0.5
    codes: tuple[float, ...] = ()


@dataclass(frozen=True)
class Pair:
    """What two coordinates do together.

    Attributes:
        columns: which ones.
        product: p.
        codes: of each, as of :class:`Effect`.
    """

    columns: tuple[int, int]
    product: Ends
    codes: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())


@dataclass(frozen=True)
class Trend:
    """The sum of effects and of pairs; those of an inactive coordinate are none.

    Attributes:
        effects, pairs: see the module's text.
        lengths: of columns whose length scale is usually another one than that of a coordinate that nothing is known
            of, its log and that of the other one, the difference.
    """

    effects: tuple[Effect, ...] = ()
    pairs: tuple[Pair, ...] = ()
    lengths: tuple[tuple[int, float], ...] = ()

    @property
    def is_flat(self) -> bool:
        """Whether its mean is 0 everywhere."""
        return not (self.effects or self.pairs)

    def value(self, units: Floats, times: Floats) -> Floats:
        """Return the trend at coordinates, shape ``(n, d)``, and times t in [0, 1], shape ``(n,)``."""
        total = np.zeros(len(units))
        for effect in self.effects:
            u = units[:, effect.column]
            found = _at(effect.slope, times) * _place(u, effect.codes)
            if any(effect.bend):
                mean = _MEAN_SQUARE + (0.5 - effect.center) ** 2
                found = found + _at(effect.bend, times) * ((u - effect.center) ** 2 - mean)
            total += np.where(np.isnan(u), 0.0, found)
        for pair in self.pairs:
            one, other = (_place(units[:, c], codes) for c, codes in zip(pair.columns, pair.codes, strict=True))
            total += np.nan_to_num(_at(pair.product, times) * one * other)
        return total

    def slopes(self, units: Floats, time: float) -> Floats:
        """Return the gradient of the trend in the coordinates at one t, shape ``(n, d)``; 0 in categories."""
        found = np.zeros(units.shape)
        for effect in self.effects:
            if not effect.codes:
                u = units[:, effect.column]
                steepness = _at(effect.slope, time) + 2.0 * _at(effect.bend, time) * (u - effect.center)
                found[:, effect.column] += np.where(np.isnan(u), 0.0, steepness)
        for pair in self.pairs:
            for here, there in ((0, 1), (1, 0)):
                if not pair.codes[here]:
                    u, other = (units[:, pair.columns[side]] for side in (here, there))
                    steepness = _at(pair.product, time) * _place(other, pair.codes[there])
                    found[:, pair.columns[here]] += np.where(np.isnan(u) | np.isnan(other), 0.0, steepness)
        return found


def _place(u: Floats, codes: tuple[float, ...]) -> Floats:
    """Return v, NaN where u is."""
    if not codes:
        return u - 0.5
    which = np.minimum(np.nan_to_num(u) * len(codes), len(codes) - 1).astype(np.int64)
    return np.where(np.isnan(u), np.nan, np.array(codes)[which])


def _at(ends: Ends, times: Floats | float) -> Floats | float:
    first, last = ends
    return first + (last - first) * times

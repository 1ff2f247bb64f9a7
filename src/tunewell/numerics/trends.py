"""What coordinates usually do to a score, each by itself: a mean for processes that have hardly any data yet.

With u a coordinate of the unit cube, its effect is

    a (u - ½) + b ((u - c)² - m),        m = 1/12 + (½ - c)²,

which is 0 on average over the range: a says which end is better, b how much better it is near c. A training may make
something else of it than a first step does, so a and b are given for both; between them they change linearly in t.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tunewell.scales import Floats

_MEAN_SQUARE = 1.0 / 12.0  # of u - ½


@dataclass(frozen=True)
class Effect:
    """What one coordinate does; see the module's text.

    Attributes:
        column: which one.
        slope: a at the first step and at the end.
        bend: b at the first step and at the end.
        center: c.
    """

    column: int
    slope: tuple[float, float] = (0.0, 0.0)
    bend: tuple[float, float] = (0.0, 0.0)
    center: float = 0.5


@dataclass(frozen=True)
class Trend:
    """The sum of the effects of some columns; an inactive coordinate has none."""

    effects: tuple[Effect, ...]

    def value(self, units: Floats, times: Floats) -> Floats:
        """Return the trend at coordinates, shape ``(n, d)``, and times t in [0, 1], shape ``(n,)``."""
        total = np.zeros(len(units))
        for effect in self.effects:
            u = units[:, effect.column]
            mean = _MEAN_SQUARE + (0.5 - effect.center) ** 2
            found = _at(effect.slope, times) * (u - 0.5) + _at(effect.bend, times) * ((u - effect.center) ** 2 - mean)
            total += np.where(np.isnan(u), 0.0, found)
        return total

    def slopes(self, units: Floats, time: float) -> Floats:
        """Return the gradient of the trend in the coordinates at one t, shape ``(n, d)``."""
        found = np.zeros(units.shape)
        for effect in self.effects:
            u = units[:, effect.column]
            steepness = _at(effect.slope, time) + 2.0 * _at(effect.bend, time) * (u - effect.center)
            found[:, effect.column] = np.where(np.isnan(u), 0.0, steepness)
        return found


def _at(ends: tuple[float, float], times: Floats | float) -> Floats | float:
    first, last = ends
    return first + (last - first) * times

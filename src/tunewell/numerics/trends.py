"""What coordinates usually do to a score: a mean and length scales for processes that have hardly any data.

The mean is a sum of what coordinates do, each by itself, and of wells, whose bottom others move.

With u a coordinate of the unit cube, its effect is

    a v + b ((u - c)² - m),        v = u - ½,        m = 1/12 + (½ - c)²,

which is 0 on average over the range: a says which end is better, b how much better it is near c. Of a category, v is a
number that stands for it, and there is no b. A well in u is

    h (1 - exp(-e² / 2 w²) - m),        e = u - c + Σ p v',

with a sum over the coordinates u' that move its bottom and m the mean over the range where all of these are in their
middle: a learning rate costs little near the best one, far from it nothing is learnt or all diverges, and how far no
longer matters. With p above 0 what is best of u falls as u' rises. A training may make something else of it than a
first step does, so a, b, h and p are given for both; between them they change linearly in t.

What differs from the mean is alike along the bottom of a well, too: of small batches and large ones the learning rates
that are equally far from their best one are neighbours. So a process compares configurations in *aligned* coordinates,
u + Σ p v' in the place of u with p of the end: in them the bottom lies at c whatever moves it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

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
class Mover:
    """What another coordinate does to the bottom of a well.

    Attributes:
        column: which one.
        shift: p.
        codes: as of :class:`Effect`.
    """

    column: int
    shift: Ends
    codes: tuple[float, ...] = ()


@dataclass(frozen=True)
class Well:
    """What one coordinate does that is good in one place alone; see the module's text.

    Attributes:
        column: which one.
        depth: h.
        center: c.
        width: w.
        movers: what moves its bottom.
    """

    column: int
    depth: Ends
    center: float = 0.5
    width: float = 0.25
    movers: tuple[Mover, ...] = ()

    def value(self, units: Floats, times: Floats) -> Floats:
        """Return what it does at coordinates and times, as of :class:`Trend`."""
        ends = (np.array([-self.center, 1.0 - self.center])) / self.width
        mean = 1.0 - np.sqrt(2.0 * np.pi) * self.width * float(np.diff(ndtr(ends))[0])
        away = self._away(units, times)
        return np.asarray(_at(self.depth, times) * (-np.expm1(-0.5 * away * away) - mean))

    def slopes(self, units: Floats, time: float) -> Floats:
        """Return its gradient in the coordinates at one t, shape ``(n, d)``; 0 in categories."""
        found, away = np.zeros(units.shape), self._away(units, time)
        steepness = np.nan_to_num(_at(self.depth, time) * away * np.exp(-0.5 * away * away) / self.width)
        found[:, self.column] = steepness
        for mover in self.movers:
            if not mover.codes:
                active = np.isfinite(units[:, mover.column])
                found[:, mover.column] += np.where(active, _at(mover.shift, time) * steepness, 0.0)
        return found

    def _away(self, units: Floats, times: Floats | float) -> Floats:
        """Return e / w, NaN where the coordinate is inactive."""
        return np.asarray((units[:, self.column] - self.center + self.moved(units, times)) / self.width)

    def moved(self, units: Floats, times: Floats | float) -> Floats:
        """Return how far its bottom has moved down, shape ``(n,)``; inactive coordinates move nothing."""
        total = np.zeros(len(units))
        for mover in self.movers:
            total += _at(mover.shift, times) * np.nan_to_num(_place(units[:, mover.column], mover.codes))
        return total


@dataclass(frozen=True)
class Trend:
    """The sum of effects and of wells; those of an inactive coordinate are none.

    Attributes:
        effects, wells: see the module's text.
        lengths: of columns whose length scale is usually another one than that of a coordinate that nothing is known
            of, its log and that of the other one, the difference.
    """

    effects: tuple[Effect, ...] = ()
    wells: tuple[Well, ...] = ()
    lengths: tuple[tuple[int, float], ...] = ()

    @property
    def is_flat(self) -> bool:
        """Whether its mean is 0 everywhere."""
        return not (self.effects or self.wells)

    @property
    def columns(self) -> list[int]:
        """The columns that it depends on by themselves, those that others move after these."""
        moved = [well.column for well in self.wells if well.movers]
        every = dict.fromkeys([effect.column for effect in self.effects] + [well.column for well in self.wells])
        return sorted(every, key=lambda column: column in moved)

    def aligned(self, units: Floats) -> Floats:
        """Return coordinates, shape ``(n, d)``, in which the bottoms of wells stay where they are; NaN stays NaN."""
        found = units.copy()
        for well in self.wells:
            found[:, well.column] += well.moved(units, 1.0)
        return found

    def pull_back(self, units: Floats, slopes: Floats) -> Floats:
        """Return the gradient in the coordinates ``units``, given that in aligned ones, all ``(n, d)``."""
        found = slopes.copy()
        for well in self.wells:
            for mover in well.movers:
                if not mover.codes:
                    active = np.isfinite(units[:, mover.column])
                    found[:, mover.column] += np.where(active, mover.shift[1] * slopes[:, well.column], 0.0)
        return found

    def value(self, units: Floats, times: Floats) -> Floats:
        """Return the trend at coordinates, shape ``(n, d)``, and times t in [0, 1], shape ``(n,)``."""
        total = np.zeros(len(units))
        for effect in self.effects:
            u = units[:, effect.column]
            found = _at(effect.slope, times) * _place(u, effect.codes)
            if any(effect.bend):
                mean = _MEAN_SQUARE + (0.5 - effect.center) ** 2
                found = found + _at(effect.bend, times) * ((u - effect.center) ** 2 - mean)
            total += np.nan_to_num(found)
        for well in self.wells:
            total += np.nan_to_num(well.value(units, times))
        return total

    def slopes(self, units: Floats, time: float) -> Floats:
        """Return the gradient of the trend in the coordinates at one t, shape ``(n, d)``; 0 in categories."""
        found = np.zeros(units.shape)
        for effect in self.effects:
            if not effect.codes:
                u = units[:, effect.column]
                steepness = _at(effect.slope, time) + 2.0 * _at(effect.bend, time) * (u - effect.center)
                found[:, effect.column] += np.where(np.isnan(u), 0.0, steepness)
        for well in self.wells:
            found += well.slopes(units, time)
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

"""Scales: laws on the unit interval, in which a uniform coordinate becomes a value with the right law.

=========== ============================================== =========================================
scale       a coordinate u in [0, 1] moves evenly in       meant for
=========== ============================================== =========================================
linear      x                                              dropout, mixing weights
log         log x                                          learning rates, weight decay, widths
reverse_log ``-log(1 - x)``                                momentum, decay rates: what counts is 1 - x
logit       ``log x - log(1 - x)``                         probabilities that may come near 0 and 1
=========== ============================================== =========================================

Three axes use them: :class:`Line` holds real numbers, :class:`Bins` gives each of ``count`` places the same width,
:class:`LogBins` gives the whole number k the stretch from ``log(k - 1/2)`` to ``log(k + 1/2)``. All have the methods of
:class:`Axis`. Encoding works on columns; decoding on one number at a time, because drawing a configuration must be
fast and building dictionaries of Python numbers is a loop in any case.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

ScaleName: TypeAlias = Literal["linear", "log", "reverse_log", "logit"]
Floats: TypeAlias = NDArray[np.float64]

LARGEST = 2**40  # for whole numbers and counts, so that rounding never moves the middle of a bin into the next


@dataclass(frozen=True, slots=True)
class Scale:
    """An increasing map and its inverse, for values strictly between ``above`` and ``below``."""

    warp: Callable[[Floats], Floats]
    unwarp: Callable[[float], float]
    above: float = -math.inf
    below: float = math.inf


def _logistic(y: float) -> float:
    if y > 0.0:
        return 1.0 / (1.0 + math.exp(-y))
    small = math.exp(y)
    return small / (1.0 + small)


SCALES = {
    "linear": Scale(lambda x: x, float),
    "log": Scale(np.log, math.exp, above=0.0),
    "reverse_log": Scale(lambda x: -np.log1p(-x), lambda y: -math.expm1(-y), below=1.0),
    "logit": Scale(lambda x: np.log(x) - np.log1p(-x), _logistic, above=0.0, below=1.0),
}


class Axis(Protocol):
    """Places on the unit interval."""

    @property
    def count(self) -> int | float:
        """The number of places, or ``math.inf``."""
        ...

    def at(self, unit: float) -> Any:
        """Return the place at a coordinate; beyond 0 and 1 lie the ends, NaN raises ValueError."""
        ...

    def units(self, places: Floats) -> Floats:
        """Return the coordinates of places, shape ``(n,)`` to ``(n,)``; of a bin its middle."""
        ...

    def spaced(self, n: int) -> list[Any]:
        """Return at most ``n`` distinct places, evenly spaced, both ends included; one is the middle."""
        ...


def _at_low_end(unit: float) -> bool:
    """Tell the lower end from the upper for a coordinate that is not strictly between 0 and 1."""
    if unit <= 0.0:
        return True
    if unit >= 1.0:
        return False
    raise ValueError(f"expected a coordinate from 0 to 1, got {unit!r}, which marks inactive parameters only")


class Line:
    """The real numbers from ``low`` to ``high``, which may be equal. Both ends are exact in both directions."""

    __slots__ = ("_end", "_start", "_unwarp", "_width", "count", "high", "low", "scale")

    def __init__(self, low: float, high: float, scale: ScaleName) -> None:
        self.low, self.high, self.scale = low, high, scale
        self._unwarp = SCALES[scale].unwarp
        self._start, self._end = SCALES[scale].warp(np.array([low, high])).tolist()
        self._width = self._end - self._start
        self.count: int | float = 1 if low == high else math.inf
        if low < high and not 0.0 < self._width < math.inf:
            raise ValueError(
                f"the range from {low!r} to {high!r} is too wide or too narrow for floating point on the "
                f"{scale} scale: change its ends"
            )

    def at(self, unit: float) -> float:
        if not 0.0 < unit < 1.0:
            return self.low if _at_low_end(unit) else self.high
        y = self._start + unit * self._width
        x = self._unwarp(y if y < self._end else self._end)
        return self.low if x < self.low else self.high if x > self.high else x

    def units(self, places: Floats) -> Floats:
        if self.low == self.high:
            return np.full(len(places), 0.5)
        units: Floats = np.clip((SCALES[self.scale].warp(places) - self._start) / self._width, 0.0, 1.0)
        units[places == self.low], units[places == self.high] = 0.0, 1.0
        return units

    @property
    def span(self) -> tuple[float, float]:
        """Where the line starts on its scale, and how long it is there."""
        return self._start, self._width

    def spaced(self, n: int) -> list[float]:
        units = [i / (n - 1) for i in range(n)] if n > 1 else [0.5]
        return list(dict.fromkeys(self._short(self.at(unit)) for unit in units))

    def _short(self, x: float) -> float:
        """Return the number one would write for x, 0.001 for 0.0009999999999999998; the ends stay as they are."""
        short = float(f"{x:.12g}")
        inside = self.low < x < self.high and self.low < short < self.high
        return short if inside and math.isclose(short, x, rel_tol=1e-14) else x


class Lines:
    """Named lines side by side, none of a single number: many are encoded in little more time than one."""

    __slots__ = ("_ends", "_names", "_starts", "_warps", "_widths")

    def __init__(self, lines: Mapping[str, Line]) -> None:
        self._names = list(lines)
        self._ends = np.array([(line.low, line.high) for line in lines.values()]).reshape(-1, 2).T
        self._starts, self._widths = np.array([line.span for line in lines.values()]).reshape(-1, 2).T
        on: dict[ScaleName, list[int]] = {}
        for j, line in enumerate(lines.values()):
            on.setdefault(line.scale, []).append(j)
        self._warps = [(columns, SCALES[scale].warp) for scale, columns in on.items()]

    def units(self, configs: Sequence[Mapping[str, Any]]) -> Floats | None:
        """Return the coordinates of n configurations, shape ``(n, k)``; None where any lacks a line or is beyond it."""
        try:
            places = np.array([[config[name] for name in self._names] for config in configs], dtype=np.float64)
        except (KeyError, TypeError, ValueError):
            return None
        low, high = self._ends
        if not ((places >= low) & (places <= high)).all():
            return None
        units = np.empty(places.shape)
        for columns, warp in self._warps:
            units[:, columns] = warp(places[:, columns])
        units -= self._starts
        units /= self._widths
        return np.where(places == low, 0.0, np.where(places == high, 1.0, np.minimum(np.maximum(units, 0.0), 1.0)))


class Bins:
    """The places 0 to ``count - 1`` in bins of equal width."""

    __slots__ = ("count",)

    def __init__(self, count: int) -> None:
        self.count = count

    def at(self, unit: float) -> int:
        if not 0.0 < unit < 1.0:
            return 0 if _at_low_end(unit) else self.count - 1
        return int(unit * self.count)  # with unit < 1 the product never rounds up to the count

    def units(self, places: Floats) -> Floats:
        return (places + 0.5) / self.count

    def spaced(self, n: int) -> list[int]:
        n, last = min(n, self.count), self.count - 1
        return [round(i * last / (n - 1)) for i in range(n)] if n > 1 else [self.at(0.5)]


class LogBins:
    """The whole numbers from ``low`` (at least 1) to ``high``, on the log scale."""

    __slots__ = ("_start", "_width", "count", "high", "low")

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high, self.count = low, high, high - low + 1
        self._start = math.log(low - 0.5)
        self._width = math.log(high + 0.5) - self._start

    def at(self, unit: float) -> int:
        if not 0.0 < unit < 1.0:
            return self.low if _at_low_end(unit) else self.high
        k = int(math.exp(self._start + unit * self._width) + 0.5)
        return self.low if k < self.low else self.high if k > self.high else k

    def units(self, places: Floats) -> Floats:
        if self.count == 1:
            return np.full(len(places), 0.5)
        return ((np.log(places - 0.5) + np.log(places + 0.5)) / 2.0 - self._start) / self._width

    def spaced(self, n: int) -> list[int]:
        if n == 1:
            return [self.at(0.5)]
        if n >= self.count:
            return list(range(self.low, self.high + 1))
        return list(dict.fromkeys(round(x) for x in Line(self.low, self.high, "log").spaced(n)))

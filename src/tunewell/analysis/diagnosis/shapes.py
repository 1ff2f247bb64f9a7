"""One curve, summed up: its levels, how it moves and how noisy it is.

The level of a curve "late" is the median of its last eighth, at least of three reports. Noise is the typical size of
what is left of three neighbours in a row when a straight line is taken away, |y_i - (y_{i-1} + y_{i+1}) / 2|: a smooth
curve has none however steep it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tunewell.scales import Floats

TINY = 1e-12
_LATE = 8  # the last eighth is late


@dataclass(frozen=True)
class Shape:
    """One loss curve, summed up.

    Attributes:
        first, soon, least, late: its first value, the median of what comes next, the least of its running medians, and
            its level at the end.
        third_quarter: the median of the third quarter.
        noise: typical distance of a report from a line between its neighbours, in first losses.
        noise_later: the same after the first third, in the units of the curve.
        jump: the largest rise from one report to the next, in first losses.
        peak: the largest value, in first losses.
        spike: how far a value lies above the median of its neighbours at most, in first losses.
        fallen: how much of the first value is gone at the end, as a share of it.
        spread: how far the level of the third quarter of the reports is above that of the last, as a share of all
            that was gained: what of the progress came late.
        slowness: the mean of what was still to be gained, as a share of all: 0 falls at once, 0.5 is a straight line.
    """

    first: float
    soon: float
    least: float
    late: float
    third_quarter: float
    noise: float
    noise_later: float
    jump: float
    peak: float
    spike: float
    fallen: float
    spread: float
    slowness: float


def middle(values: Floats) -> float:
    """Return the median; for a few dozen values much faster than NumPy's."""
    ranked = sorted(values.tolist())
    n = len(ranked)
    return float(ranked[n // 2] if n % 2 else 0.5 * (ranked[n // 2 - 1] + ranked[n // 2]))


def late(values: Floats) -> float:
    """Return the level of the end: the median of the last eighth, of three reports at least."""
    return middle(values[-max(3, len(values) // _LATE) :])


def noise(values: Floats) -> float:
    """Return the median distance of a value from the line between its neighbours, times 1.2: Gaussian sd."""
    if len(values) < 3:
        return 0.0
    left = values[1:-1] - 0.5 * (values[:-2] + values[2:])
    return middle(np.abs(left)) / 0.6745 / math.sqrt(1.5)


def running(values: Floats, width: int) -> Floats:
    """Return the running medians of an odd number of neighbours, shape ``(n - width + 1,)``."""
    rows = np.array([values[k : len(values) - width + 1 + k] for k in range(width)])
    rows.sort(axis=0)
    found: Floats = rows[width // 2]
    return found


def residuals(values: Floats) -> Floats:
    """Return how far each value lies above the median of itself and two neighbours on either side."""
    padded = np.concatenate([values[:1], values[:1], values, values[-1:], values[-1:]])
    return values - running(padded, 5)


def third_quarter(values: Floats) -> float:
    """Return the median of the third quarter."""
    return middle(values[len(values) // 2 : max(len(values) // 2 + 1, 3 * len(values) // 4)])


def later(values: Floats) -> Floats:
    """Return what comes after the first third."""
    return values[len(values) // 3 :]


def unrest(values: Floats) -> float:
    """Return which part of its way a curve went up: 0 falls all the way, 0.5 leads nowhere; NaN if it never moves."""
    steps = np.diff(values)
    way = float(np.abs(steps).sum())
    return float(steps[steps > 0].sum()) / way if way > 0.0 else math.nan


def trend(values: Floats, unit: float) -> float:
    """Return arsinh of the slope over its standard error, of what comes after the first third; NaN for a few values."""
    part = later(values)
    if len(part) < 4:
        return math.nan
    x = np.arange(len(part)) - (len(part) - 1) / 2
    scatter = float(x @ x)
    slope = float(x @ part) / scatter
    left = part - part.sum() / len(part) - slope * x
    error = math.sqrt(float(left @ left) / (len(part) - 2) / scatter) + 1e-7 * unit
    return math.asinh(slope / error)


def change(values: Floats, third: int, unit: float) -> float:
    """Return how much a curve changes between the halves of one of its thirds, as arsinh of thousandths of ``unit``."""
    n = len(values)
    start = third * n // 3
    piece = values[start : max((third + 1) * n // 3, start + 2)]
    half = len(piece) // 2
    return math.asinh((middle(piece[-half:]) - middle(piece[:half])) / unit / 1e-3) if half else math.nan


def shape(values: Floats, unit: float) -> Shape:
    """Return what a curve of at least four finite values comes to; ``unit`` is what it is measured in, above 0."""
    first, end, before = float(values[0]), late(values), third_quarter(values)
    least = min(float(running(values, 3).min()), end)
    gain = max(first - least, TINY)
    wide = max(gain, 0.02 * unit)
    return Shape(
        first=first,
        soon=middle(values[1 : max(4, len(values) // 6)]),
        least=least,
        late=end,
        third_quarter=before,
        noise=noise(values) / unit,
        noise_later=noise(later(values)),
        jump=float(np.diff(values).max()) / unit,
        peak=float(values.max()) / unit,
        spike=float(residuals(values[1:]).max()) / unit,
        fallen=(first - end) / unit,
        spread=min(max((before - end) / wide, -2.0), 2.0),
        slowness=min(max((float(values.sum()) / len(values) - least) / wide, 0.0), 4.0),
    )

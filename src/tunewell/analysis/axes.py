"""Axes: where a value lies on a chart, and which ticks tell so.

A chart's axis follows the scale of what it shows: the four scales of a space (a learning rate on a log axis, a momentum
on a log axis in 1 - x), the columns of a choice, time. Places run from 0 (the low end) to 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunewell.analysis.words import short, shown, tidy_exponent, told_apart
from tunewell.scales import SCALES, Floats
from tunewell.space import Choice, Float, Int, Parameter

LOG_HELPS = 20.0
"""A positive metric that spans more than this factor is drawn on a log axis."""

COLUMNS = 12
"""A whole number with at most this many values is drawn in columns, so that its points do not hide each other."""

JITTER = 0.6
"""The share of a choice's column over which its points are spread."""

_LEAST = 1e-300  # the span that round numbers divide: below it floats are too coarse
_QUARTER = 0.25  # the ends of an axis may lie further apart than the largest float

Tick = tuple[float, str]


@dataclass(frozen=True, slots=True)
class Axis:
    """One direction of a chart.

    Attributes:
        label: what it shows.
        scale: in words, empty for linear.
        ticks: places in [0, 1] with their labels.
        columns: the number of choices, 0 for numbers.
        places_of: values, a sequence of length n, to places, shape ``(n,)``; NaN where the axis has no place.
    """

    label: str
    scale: str
    ticks: tuple[Tick, ...]
    places_of: Callable[[Sequence[Any]], Floats]
    columns: int = 0


def number_axis(
    label: str,
    low: float,
    high: float,
    scale: str = "linear",
    *,
    pad: float = 0.0,
    count: int = 5,
    whole: bool = False,
) -> Axis:
    """Return an axis from ``low`` to ``high`` on one of the four scales, widened by the share ``pad`` at both ends.

    Equal ends give an axis with its one value in the middle. ``whole``: ticks are at whole numbers only.
    """
    law = SCALES[scale]
    start, end = (law.warp(np.array([low, high], dtype=np.float64)) * _QUARTER).tolist()
    margin = pad * (end - start) if end > start else 0.5
    start, end = start - margin, end + margin

    def places_of(values: Sequence[Any]) -> Floats:
        x = np.array([v if _is_number(v) else math.nan for v in values], dtype=np.float64)
        x[~((x > law.above) & (x < law.below))] = np.nan
        places: Floats = (law.warp(x) * _QUARTER - start) / (end - start)
        places[~((places > -1e-9) & (places < 1.0 + 1e-9))] = np.nan
        return np.clip(places, 0.0, 1.0)

    found = [(low, short(low))] if low == high else list((_whole_ticks if whole else _TICKS[scale])(low, high, count))
    at = places_of([value for value, _ in found])
    ticks = tuple((float(place), text) for place, (_, text) in zip(at, found, strict=True) if not math.isnan(place))
    return Axis(label, _WORDS[scale], ticks, places_of)


def choice_axis(label: str, choices: Sequence[Any], *, width: int = 12) -> Axis:
    """Return an axis with one column per choice, in the middle of which its places lie."""
    index = {_key(choice): k for k, choice in enumerate(choices)}
    n = len(choices)

    def places_of(values: Sequence[Any]) -> Floats:
        return np.array([(index.get(_key(value), math.nan) + 0.5) / n for value in values], dtype=np.float64)

    every = math.ceil(n / 24)  # labels that do not fit would only overlap
    labels = told_apart([shown(choice) for choice in choices], width)
    ticks = tuple(((k + 0.5) / n, text) for k, text in enumerate(labels) if k % every == 0)
    return Axis(label, "", ticks, places_of, n)


def parameter_axis(name: str, parameter: Parameter, values: Iterable[Any], *, count: int = 5, width: int = 12) -> Axis:
    """Return the axis of a parameter on its own scale, widened where trials of an earlier space lie outside."""
    values = list(values)
    if isinstance(parameter, Int) and parameter.scale == "linear" and parameter.count <= COLUMNS:
        return choice_axis(name, sorted({*parameter.grid(COLUMNS), *filter(_is_number, values)}), width=width)
    if isinstance(parameter, Float | Int):
        law = SCALES[parameter.scale]
        known = [float(v) for v in values if _is_number(v) and law.above < v < law.below]
        low, high = min([parameter.low, *known]), max([parameter.high, *known])
        return number_axis(name, low, high, parameter.scale, pad=0.03, count=count)
    given = list(parameter.choices) if isinstance(parameter, Choice) else []
    known_keys = {_key(choice) for choice in given}
    for value in values:
        if _key(value) not in known_keys:
            known_keys.add(_key(value))
            given.append(value)
    return choice_axis(name, given, width=width)


def metric_axis(label: str, values: Floats, *, worst_is_high: bool, count: int = 5, kept: Sequence[float] = ()) -> Axis:
    """Return the axis of a metric: log when that helps, and not stretched by a few hopeless values.

    Values far worse than nine tenths of the others have no place (NaN): the chart shows them on its rail, or counts
    them.

    Args:
        values: shape ``(n,)``, not finite ones are left out.
        worst_is_high: whether the metric is minimised.
        kept: those that have a place however bad they are, such as those of a Pareto front.
    """
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return number_axis(label, 0.0, 1.0, count=count)
    low, high = float(finite.min()), float(finite.max())
    scale = "log" if low > 0.0 and high / low > LOG_HELPS else "linear"
    if len(finite) >= 8:
        warped = SCALES[scale].warp(finite)
        usual = _without_hopeless(finite, warped if worst_is_high else -warped)
        needed = [*usual, *filter(math.isfinite, kept)]
        low, high = min(needed), max(needed)
    return number_axis(label, low, high, scale, pad=0.04, count=count)


def step_axis(last: int, *, first: int = 0, label: str = "step", count: int = 6) -> Axis:
    """Return an axis of whole numbers, with no tick between two of them."""
    count = min(count, max(1, last - first))
    return number_axis(label, float(first), float(max(last, first)), pad=0.015, count=count, whole=True)


def jitter(numbers: Sequence[int]) -> Floats:
    """Return offsets in (-1/2, 1/2), shape ``(n,)``, that spread trials evenly and never change: the golden ratio's."""
    return (np.array(numbers, dtype=np.float64) * 0.6180339887498949) % 1.0 - 0.5


def nice_steps(low: float, high: float, count: int, *, whole: bool = False) -> list[float]:
    """Return round numbers in [low, high], about ``count`` of them; ``whole``: between whole ones, whole ones."""
    if not high - low > _LEAST:
        return [low]
    raw = (high - low) / max(1, count)
    power = 10.0 ** math.floor(math.log10(raw))
    sizes = (1.0, 2.0, 5.0, 10.0) if whole else (1.0, 2.0, 2.5, 5.0, 10.0)
    step = power * next(m for m in sizes if m * power >= raw * 0.999)
    step = max(step, 1.0) if whole else step
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def duration_steps(seconds: float, count: int) -> list[float]:
    """Return round times from 0 to ``seconds``, about ``count`` of them."""
    sizes = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400]
    step = next((size for size in sizes if seconds / size <= count), 0)
    if seconds < count or not step:
        return nice_steps(0.0, seconds, count)
    return [float(k * step) for k in range(int(seconds // step) + 1)]


# --- one function a scale: (value, label) pairs within [low, high] ----------------------------------------------------


def _linear_ticks(low: float, high: float, count: int) -> list[tuple[float, str]]:
    if not math.isfinite(high - low):
        return [(low, short(low)), (high, short(high))]
    values = nice_steps(low, high, count)
    if len(values) == 1:
        return [(values[0], short(values[0]))]
    step = values[1] - values[0] if values else 1.0
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 0
    if abs(step * 10**decimals - round(step * 10**decimals)) > 1e-6:
        decimals += 1
    if decimals > 4 or max(abs(low), abs(high)) >= 1e7:
        return [(v, tidy_exponent(f"{v:.3g}")) for v in values]
    return [(v, f"{v if abs(v) > 1e-12 else 0.0:,.{decimals}f}".replace("-", "−")) for v in values]


def _whole_ticks(low: float, high: float, count: int) -> list[tuple[float, str]]:
    return [(v, f"{v:,.0f}".replace("-", "−")) for v in nice_steps(low, high, count, whole=True)]


def _log_values(low: float, high: float, count: int) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for mantissas in ((1, 2, 5), (1, 3), (1,)):
        found = [m * 10.0**e for e in range(first, last + 1) for m in mantissas]
        found = [v for v in found if low * (1 - 1e-9) <= v <= high * (1 + 1e-9)]
        if len(found) <= count + 1:
            return found
    return found[:: math.ceil(len(found) / count)]


def _log_ticks(low: float, high: float, count: int) -> list[tuple[float, str]]:
    values = _log_values(low, high, count)
    if len(values) < 2:
        return _linear_ticks(low, high, min(count, 3))
    return [(v, f"{v:g}" if 1e-3 <= v < 1e4 else tidy_exponent(f"{v:.0e}")) for v in values]


def _reverse_log_ticks(low: float, high: float, count: int) -> list[tuple[float, str]]:
    rests = sorted(_log_values(1.0 - high, 1.0 - low, count), reverse=True)
    if len(rests) < 2:
        return _linear_ticks(low, high, min(count, 3))
    return [(1.0 - rest, f"{1.0 - rest:.{max(0, -math.floor(math.log10(rest) + 1e-9))}f}") for rest in rests]


def _logit_ticks(low: float, high: float, count: int) -> list[tuple[float, str]]:
    tails = [(10.0**-k, k) for k in range(1, 13)]
    places = [(p, k) for p, k in tails[::-1]] + [(0.5, 1)] + [(1.0 - p, k) for p, k in tails]
    found = [(p, f"{p:.{k}f}") for p, k in places if low * (1 - 1e-9) <= p <= high]
    if len(found) < 2:
        return _linear_ticks(low, high, min(count, 3))
    return found[:: math.ceil(len(found) / (count + 1))]


_TICKS = {"linear": _linear_ticks, "log": _log_ticks, "reverse_log": _reverse_log_ticks, "logit": _logit_ticks}
_WORDS = {"linear": "", "log": "log scale", "reverse_log": "log scale in 1 − x", "logit": "logit scale"}


def _without_hopeless(values: Floats, badness: Floats) -> tuple[float, float]:
    """Return the range of the values that are not far worse than nine tenths of all, shape ``(n,)`` both."""
    best, usual = float(badness.min()), float(np.quantile(badness, 0.9, method="nearest"))
    kept = values[badness <= usual + (usual - best)]
    return float(kept.min()), float(kept.max())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _key(value: Any) -> Any:
    """Return what tells choices apart: to Python True is 1, to a person it is not."""
    return (type(value).__name__, repr(value))

"""What a curve looks like, in numbers without units: the same for a loss in nats, in euros squared or per pixel.

Losses are measured in *first losses*, the training loss of the first report (or the validation loss where none is
reported); accuracies in shares; norms and ratios of updates by logarithms of their quotients. The level of a curve
"late" is the median of its last eighth, at least of three reports. Noise is the typical size of what is left of three
neighbours in a row when a straight line is taken away, |y_i - (y_{i-1} + y_{i+1}) / 2|: a smooth curve has none
however steep it is.

A feature that cannot be measured is NaN: whoever reads features says what NaN stands for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tunewell.analysis.diagnosis.curves import Curves
from tunewell.scales import Floats

_TINY = 1e-12
_LATE = 8  # the last eighth is late


@dataclass(frozen=True)
class Shape:
    """One loss curve, summed up.

    Attributes:
        first, least, late: its first value, the least of its running medians, and its level at the end.
        noise: typical distance of a report from a line between its neighbours, in first losses.
        jump: the largest rise from one report to the next, in first losses.
        peak: the largest value, in first losses.
        fallen: how much of the first value is gone at the end, as a share of it.
        spread: how far the level of the third quarter of the reports is above that of the last, as a share of all
            that was gained: what of the progress came late.
        slowness: the mean of what was still to be gained, as a share of all: 0 falls at once, 0.5 is a straight line.
    """

    first: float
    least: float
    late: float
    noise: float
    jump: float
    peak: float
    fallen: float
    spread: float
    slowness: float


def late(values: Floats) -> float:
    """Return the level of the end: the median of the last eighth, of three reports at least."""
    return float(np.median(values[-max(3, len(values) // _LATE) :]))


def noise(values: Floats) -> float:
    """Return the median distance of a value from the line between its neighbours, times 1.2: Gaussian sd."""
    if len(values) < 3:
        return 0.0
    left = values[1:-1] - 0.5 * (values[:-2] + values[2:])
    return float(np.median(np.abs(left)) / 0.6745 / math.sqrt(1.5))


def residuals(values: Floats) -> Floats:
    """Return how far each value lies above the median of itself and two neighbours on either side."""
    padded = np.pad(values, 2, mode="edge")
    return values - np.median(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=1)


def third_quarter(values: Floats) -> float:
    """Return the median of the third quarter."""
    return float(np.median(values[len(values) // 2 : max(len(values) // 2 + 1, 3 * len(values) // 4)]))


def shape(values: Floats, unit: float) -> Shape:
    """Return what a curve of at least three finite values comes to; ``unit`` is what it is measured in, above 0."""
    smooth = np.median(np.lib.stride_tricks.sliding_window_view(values, 3), axis=1)
    first, end, least = float(values[0]), late(values), float(min(smooth.min(), late(values)))
    gain = max(first - least, _TINY)
    return Shape(
        first=first,
        least=least,
        late=end,
        noise=noise(values) / unit,
        jump=float(np.diff(values).max()) / unit,
        peak=float(values.max()) / unit,
        fallen=(first - end) / unit,
        spread=float(np.clip((third_quarter(values) - end) / max(gain, 0.02 * unit), -2.0, 2.0)),
        slowness=float(np.clip(np.mean((values - least) / max(gain, 0.02 * unit)), 0.0, 4.0)),
    )


def measured(curves: Curves) -> dict[str, float]:
    """Return the features of a training by name; NaN for what its curves do not tell.

    Only reports whose losses are finite count; fewer than four of them tell nothing.
    """
    train, val = _finite(curves.train_loss), _finite(curves.val_loss)
    main = train if train is not None else val
    found: dict[str, float] = dict.fromkeys(NAMES, math.nan)
    if main is None:
        return found | _accuracies(curves) | _insides(curves)
    shift = min(0.0, float(min(part.min() for part in (train, val) if part is not None)))
    unit = max(abs(float(main[0]) - shift), _TINY)
    if train is not None:
        one = shape(train, unit)
        found |= _of_training(one, train, unit, shift)
    if val is not None:
        other = shape(val, unit)
        found |= _of_validation(other, val, unit, shift)
    if train is not None and val is not None:
        one, other = shape(train, unit), shape(val, unit)
        found["gap"] = (other.late - one.late) / unit
        found["gap_log"] = _log(other.late - shift, one.late - shift)
        found["val_first"] = _log(other.first - shift, one.first - shift)
        found["val_gained"] = (one.first - other.least) / unit
        found["noise_quotient"] = _log(other.noise + 1e-4, one.noise + 1e-4)
        found["together"] = _together(train[1:], val[1:])
        found["gap_trend"] = (other.late - one.late - third_quarter(val) + third_quarter(train)) / unit
        found["learnt"] = float(np.clip(max(one.fallen, found["val_gained"]) / 0.1, 0.0, 1.0))
        found["gap_grown"] = (other.late - one.late - (other.least - _at(train, val))) / unit
    return found | _accuracies(curves) | _insides(curves)


def either(features: Mapping[str, float], *names: str) -> float:
    """Return the first of several features that is known, NaN where none is."""
    return next((value for name in names if math.isfinite(value := features.get(name, math.nan))), math.nan)


def _of_training(one: Shape, train: Floats, unit: float, shift: float) -> dict[str, float]:
    steps = np.diff(train)
    falls, rises = -steps[steps < 0].sum(), steps[steps > 0].sum()
    soon = float(np.median(train[1 : max(4, len(train) // 6)]))
    return {
        "fallen": one.fallen,
        "level_log": _log(max(one.late, 1e-4 * unit), unit),
        "spread": one.spread,
        "slowness": one.slowness,
        "noise_log": math.log10(one.noise + 1e-4),
        "jump": min(one.jump, 3.0),
        "peak_log": math.log(max(one.peak, 1.0)),
        "risen": float(np.clip((one.late - one.least) / unit, 0.0, 3.0)),
        "falling": _log(third_quarter(train) - shift, one.late - shift),
        "noise_to_fall": math.log10((one.noise + 1e-3) / (max(one.fallen, 0.0) + 1e-2)),
        "spike": min(float(residuals(train[1:]).max()) / unit, 3.0),
        "spike_log": math.log10((float(residuals(train[1:]).max()) / unit + 1e-4) / (one.noise + 1e-3)),
        "unrest": float(rises / max(falls + rises, _TINY * unit)),
        "still": math.log10(abs(one.spread) * max(one.fallen, 0.0) + 1e-4),
        "early": float(np.clip((one.first - soon) / max(one.first - one.least, 0.02 * unit), -1.0, 1.0)),
    }


def _of_validation(other: Shape, val: Floats, unit: float, shift: float) -> dict[str, float]:
    place = int(np.argmin(np.convolve(val, np.ones(3) / 3, mode="valid"))) if len(val) > 3 else 0
    return {
        "val_fallen": other.fallen,
        "val_least_log": _log(max(other.least, 1e-4 * unit), unit),
        "val_risen": float(np.clip((other.late - other.least) / unit, 0.0, 3.0)),
        "val_risen_log": min(_log(max(other.late, 1e-4 * unit), max(other.least, 1e-4 * unit)), 3.0),
        "val_falling": _log(third_quarter(val) - shift, other.late - shift),
        "val_trend": float(np.clip((other.late - third_quarter(val)) / (other.noise * unit + 0.005 * unit), -5.0, 5.0)),
        "val_spike": min(float(residuals(val[1:]).max()) / unit, 3.0),
        "val_spike_log": math.log10((float(residuals(val[1:]).max()) / unit + 1e-4) / (other.noise + 1e-3)),
        "val_noise_log": math.log10(other.noise + 1e-4),
        "val_best_place": place / max(1, len(val) - 3),
        "val_spread": other.spread,
        "val_jump": min(other.jump, 3.0),
    }


def _together(train: Floats, val: Floats) -> float:
    """Return how far the ups and downs of the two curves go together: the correlation of their residuals."""
    n = min(len(train), len(val))
    one, other = residuals(train[-n:]), residuals(val[-n:])
    size = math.sqrt(float((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / size if size > 0.0 else 0.0


def _at(train: Floats, val: Floats) -> float:
    """Return the training loss where the validation loss was least."""
    return float(train[int(np.argmin(val))])


def _accuracies(curves: Curves) -> dict[str, float]:
    found: dict[str, float] = {}
    train, val = _finite(curves.train_accuracy), _finite(curves.val_accuracy)
    if val is not None:
        found["accuracy"] = late(val)
        found["accuracy_gained"] = late(val) - float(val[0])
        found["accuracy_lost"] = float(np.median(np.sort(val)[-3:])) - late(val)
    if train is not None:
        found["train_accuracy"] = late(train)
        found["train_accuracy_gained"] = late(train) - float(train[0])
    if train is not None and val is not None:
        found["accuracy_gap"] = late(train) - late(val)
    return found


def _insides(curves: Curves) -> dict[str, float]:
    found: dict[str, float] = {}
    grad, update, dead = _finite(curves.grad_norm), _finite(curves.update_ratio), _finite(curves.dead_units)
    if grad is not None:
        found["grad_change"] = float(np.clip(_log10(late(grad), float(np.median(grad[:3]))), -4, 4))
        found["grad_peak"] = float(np.clip(_log10(float(grad.max()), float(np.median(grad))), 0, 4))
        found["grad_gone"] = float(late(grad) < 1e-8)
    if update is not None:
        found["update_log"] = float(np.clip(math.log10(late(update) + 1e-8), -8, 1))
        found["update_change"] = float(np.clip(_log10(late(update) + 1e-8, float(np.median(update[:3])) + 1e-8), -4, 4))
        found["update_peak"] = float(np.clip(_log10(float(update.max()) + 1e-8, float(np.median(update)) + 1e-8), 0, 4))
    if dead is not None:
        found["dead"] = late(dead)
    return found


def _finite(values: Floats | None) -> Floats | None:
    """Return the finite values of a curve, None where there are fewer than four."""
    if values is None:
        return None
    kept = values[np.isfinite(values)]
    return kept if len(kept) >= 4 else None


def _log(value: float, unit: float) -> float:
    return float(np.clip(math.log(max(value, _TINY) / max(unit, _TINY)), -8.0, 8.0))


def _log10(value: float, unit: float) -> float:
    return math.log10(max(value, _TINY) / max(unit, _TINY))


NAMES = (
    "fallen", "level_log", "spread", "slowness", "noise_log", "jump", "peak_log", "risen", "unrest", "still",
    "early", "falling", "noise_to_fall", "spike", "spike_log", "val_falling", "val_trend", "val_spike",
    "val_spike_log", "together", "gap_trend", "learnt", "val_fallen", "val_least_log", "val_risen",
    "val_risen_log", "val_noise_log", "val_best_place", "val_spread", "val_jump", "gap", "gap_log",
    "val_first", "val_gained", "noise_quotient", "gap_grown", "accuracy", "accuracy_gained", "accuracy_lost",
    "train_accuracy", "train_accuracy_gained", "accuracy_gap", "grad_change", "grad_peak", "grad_gone",
    "update_log", "update_change", "update_peak", "dead",
)  # fmt: skip

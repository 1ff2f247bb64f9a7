"""What a training looks like, in numbers without units: the same for a loss in nats, in euros squared or per pixel.

Losses are measured in *first losses*, the training loss of the first report (or the validation loss where none is
reported); accuracies in shares; norms and ratios of updates by logarithms of their quotients.

One feature compares two curves that mean the same at the level of chance only: a classifier that gives each of K
classes the same probability has the loss log K and the accuracy 1 / K = exp(-loss), and every better one has an
accuracy above exp(-loss). ``skill`` is log(accuracy) + loss, where the loss is a cross-entropy in nats. An accuracy
far below exp(-loss) is of another kind, such as F1 beside a squared error, and then both are unknown.

How near a loss is to 0 tells nothing where losses may be negative, such as the logarithm of a density: see
:data:`ABOVE_ZERO`. What is less than a ten-thousandth of a first loss counts as a ten-thousandth: a loss that has come
down to rounding errors does not go up and down any more. A feature that cannot be measured is NaN: whoever reads
features says what NaN stands for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from tunewell.analysis.diagnosis.curves import Curves
from tunewell.analysis.diagnosis.shapes import (
    TINY,
    Shape,
    change,
    late,
    later,
    middle,
    noise,
    residuals,
    shape,
    trend,
    unrest,
)
from tunewell.scales import Floats

_NOT_BELOW = 0.1
_NOTHING = 1e-4


def measured(curves: Curves) -> dict[str, float]:
    """Return the features of a training by name; NaN for what its curves do not tell.

    Only reports whose losses are finite count; fewer than four of them tell nothing.
    """
    train, val = finite(curves.train_loss), finite(curves.val_loss)
    main = train if train is not None else val
    found: dict[str, float] = dict.fromkeys(NAMES, math.nan)
    if main is None:
        return found | _accuracies(curves) | _insides(curves)
    shift = min(0.0, float(min(part.min() for part in (train, val) if part is not None)))
    unit = max(abs(float(main[0]) - shift), TINY)
    train, val = (None if part is None else np.maximum(part, shift + _NOTHING * unit) for part in (train, val))
    one = shape(train, unit) if train is not None else None
    other = shape(val, unit) if val is not None else None
    if train is not None and one is not None:
        found |= _of_training(one, train, unit, shift)
    if val is not None and other is not None:
        found |= _of_validation(other, val, unit, shift)
    if train is not None and val is not None and one is not None and other is not None:
        found |= _of_both(one, other, train, val, unit, shift)
    if shift < 0.0:
        found |= dict.fromkeys(ABOVE_ZERO, math.nan)
    return found | _accuracies(curves) | _insides(curves)


def either(features: Mapping[str, float], *names: str) -> float:
    """Return the first of several features that is known, NaN where none is."""
    return next((value for name in names if math.isfinite(value := features.get(name, math.nan))), math.nan)


def _of_training(one: Shape, train: Floats, unit: float, shift: float) -> dict[str, float]:
    return {
        "fallen": one.fallen,
        "level_log": _log(max(one.late, 1e-4 * unit), unit),
        "spread": one.spread,
        "slowness": one.slowness,
        "noise_log": math.log10(one.noise + 1e-4),
        "noise_now": _noise_now(one, unit, shift),
        "jump": min(one.jump, 3.0),
        "peak_log": math.log(max(one.peak, 1.0)),
        "improved": _between((one.first - one.least) / unit, 0.0, 1.0),
        "risen": _between((one.late - one.least) / unit, 0.0, 3.0),
        "falling": _log(one.third_quarter - shift, one.late - shift),
        "noise_to_fall": math.log10((one.noise + 1e-3) / (max(one.fallen, 0.0) + 1e-2)),
        "spike": min(one.spike, 3.0),
        "spike_log": math.log10((one.spike + 1e-4) / (one.noise + 1e-3)),
        "unrest": unrest(train),
        "unrest_later": unrest(later(train)),
        "still": math.log10(abs(one.spread) * max(one.fallen, 0.0) + 1e-4),
        "early": _between((one.first - one.soon) / max(one.first - one.least, 0.02 * unit), -1.0, 1.0),
        "first_log": _drop_at_once(train, unit, shift),
        "trend": trend(train, unit),
    } | {f"change_{third}": change(train, third, unit) for third in range(3)}


def _of_validation(other: Shape, val: Floats, unit: float, shift: float) -> dict[str, float]:
    means = val[:-2] + val[1:-1] + val[2:]
    return {
        "val_fallen": other.fallen,
        "val_least_log": _log(max(other.least, 1e-4 * unit), unit),
        "val_risen": _between((other.late - other.least) / unit, 0.0, 3.0),
        "val_risen_log": min(_log(max(other.late, 1e-4 * unit), max(other.least, 1e-4 * unit)), 3.0),
        "val_falling": _log(other.third_quarter - shift, other.late - shift),
        "val_late_trend": _between((other.late - other.third_quarter) / ((other.noise + 0.005) * unit), -5.0, 5.0),
        "val_trend": trend(val, unit),
        "val_spike": min(other.spike, 3.0),
        "val_spike_log": math.log10((other.spike + 1e-4) / (other.noise + 1e-3)),
        "val_noise_log": math.log10(other.noise + 1e-4),
        "val_noise_now": _noise_now(other, unit, shift),
        "val_best_place": int(np.argmin(means)) / max(1, len(val) - 3),
        "val_spread": other.spread,
        "val_jump": min(other.jump, 3.0),
        "val_unrest": unrest(val),
        "val_unrest_later": unrest(later(val)),
        "val_first_log": _drop_at_once(val, unit, shift),
        "val_improved": _between((other.first - other.least) / unit, 0.0, 1.0),
    } | {f"val_change_{third}": change(val, third, unit) for third in range(3)}


def _of_both(one: Shape, other: Shape, train: Floats, val: Floats, unit: float, shift: float) -> dict[str, float]:
    gained = (one.first - other.least) / unit
    gap = other.late - one.late
    return {
        "gap": gap / unit,
        "gap_log": _log(other.late - shift, one.late - shift),
        "val_first": _log(other.first - shift, one.first - shift),
        "val_gained": gained,
        "noise_quotient": _log(other.noise + 1e-4, one.noise + 1e-4),
        "together": _together(train[1:], val[1:]),
        "gap_trend": (gap - other.third_quarter + one.third_quarter) / unit,
        "learnt": _between(max(one.fallen, gained) / 0.1, 0.0, 1.0),
        "gap_grown": (gap - other.least + float(train[min(int(np.argmin(val)), len(train) - 1)])) / unit,
    }


def _noise_now(one: Shape, unit: float, shift: float) -> float:
    """Return the noise after the first third, relative to the level at the end, as a power of ten."""
    return _log10(one.noise_later + 1e-5 * unit, max(one.late - shift, 1e-3 * unit))


def _drop_at_once(values: Floats, unit: float, shift: float) -> float:
    """Return how far the first report is above the next two: a rate that is too high throws the loss up at once."""
    next_two = 0.5 * float(values[1] + values[2]) - shift
    return _log(max(float(values[0]) - shift, 1e-4 * unit), max(next_two, 1e-4 * unit))


def _together(train: Floats, val: Floats) -> float:
    """Return how far the ups and downs of the two curves go together: the correlation of their residuals."""
    n = min(len(train), len(val))
    one, other = residuals(train[-n:]), residuals(val[-n:])
    size = math.sqrt(float(one @ one) * float(other @ other))
    return float(one @ other) / size if size > 0.0 else 0.0


def _accuracies(curves: Curves) -> dict[str, float]:
    found: dict[str, float] = {}
    train, val = _shares(curves.train_accuracy), _shares(curves.val_accuracy)
    if val is not None:
        now = later(val)
        found["accuracy"] = late(val)
        found["accuracy_gained"] = late(val) - float(val[0])
        found["accuracy_lost"] = float(np.sort(val)[-2]) - late(val)
        found["accuracy_still"] = float((np.diff(now) == 0.0).sum()) / max(len(now) - 1, 1)
        found["accuracy_noise"] = noise(now)
        found["accuracy_unrest"] = unrest(val)
    if train is not None:
        found["train_accuracy"] = late(train)
        found["train_accuracy_gained"] = late(train) - float(train[0])
    if train is not None and val is not None:
        found["accuracy_gap"] = late(train) - late(val)
    for name, right, loss in (
        ("skill", val, finite(curves.val_loss)),
        ("train_skill", train, finite(curves.train_loss)),
    ):
        if right is None or loss is None:
            continue
        above = late(right) - math.exp(-max(late(loss), 0.0))
        if above > -_NOT_BELOW:
            found[name] = _between(math.log(max(late(right), 1e-3)) + late(loss), -1.0, 6.0)
            found[f"{name}_above"] = _between(above, -1.0, 1.0)
    return found


def _insides(curves: Curves) -> dict[str, float]:
    found: dict[str, float] = {}
    grad, update, dead = finite(curves.grad_norm), finite(curves.update_ratio), finite(curves.dead_units)
    if grad is not None:
        found["grad_change"] = _between(_log10(late(grad), middle(grad[:3])), -4.0, 4.0)
        found["grad_peak"] = _between(_log10(float(grad.max()), middle(grad)), 0.0, 4.0)
        found["grad_gone"] = float(late(grad) < 1e-8)
    if update is not None:
        now = max(late(update), 0.0) + 1e-8
        found["update_log"] = _between(math.log10(now), -8.0, 1.0)
        found["update_change"] = _between(_log10(now, max(middle(update[:3]), 0.0) + 1e-8), -4.0, 4.0)
        found["update_peak"] = _between(_log10(float(update.max()) + 1e-8, middle(update) + 1e-8), 0.0, 4.0)
    if dead is not None:
        found["dead"] = late(dead)
    return found


def finite(values: Floats | None) -> Floats | None:
    """Return the finite values of a curve, None where there are fewer than four."""
    if values is None:
        return None
    kept = values[np.isfinite(values)]
    return kept if len(kept) >= 4 else None


def as_shares(values: Floats) -> Floats:
    """Return accuracies as shares, where they may have been told in per cent."""
    return values / 100.0 if float(values.max()) > 1.5 else values


def _shares(values: Floats | None) -> Floats | None:
    kept = finite(values)
    return None if kept is None else as_shares(kept)


def _between(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def _log(value: float, unit: float) -> float:
    return _between(math.log(max(value, TINY) / max(unit, TINY)), -8.0, 8.0)


def _log10(value: float, unit: float) -> float:
    return math.log10(max(value, TINY) / max(unit, TINY))


ABOVE_ZERO = (
    "fallen", "level_log", "falling", "noise_now", "first_log", "val_fallen", "val_least_log", "val_risen_log",
    "val_falling", "val_noise_now", "val_first_log", "gap_log", "val_first",
)  # fmt: skip
"""Features that only losses have which cannot be negative."""
NAMES = (
    "fallen", "level_log", "spread", "slowness", "noise_log", "noise_now", "jump", "peak_log", "improved", "risen",
    "falling", "noise_to_fall", "spike", "spike_log", "unrest", "unrest_later", "still", "early", "first_log", "trend",
    "change_0", "change_1", "change_2", "val_fallen", "val_least_log", "val_risen", "val_risen_log", "val_falling",
    "val_late_trend", "val_trend", "val_spike", "val_spike_log", "val_noise_log", "val_noise_now", "val_best_place",
    "val_spread", "val_jump", "val_unrest", "val_unrest_later", "val_first_log", "val_improved", "val_change_0",
    "val_change_1", "val_change_2", "gap", "gap_log", "val_first", "val_gained", "noise_quotient", "together",
    "gap_trend", "learnt", "gap_grown", "accuracy", "accuracy_gained", "accuracy_lost", "accuracy_still",
    "accuracy_noise", "accuracy_unrest", "train_accuracy", "train_accuracy_gained", "accuracy_gap", "skill",
    "skill_above", "train_skill", "train_skill_above", "grad_change", "grad_peak", "grad_gone", "update_log",
    "update_change", "update_peak", "dead",
)  # fmt: skip

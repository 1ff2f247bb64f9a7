"""Evidence in words: what in the curves speaks for a label, with the numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from tunewell.analysis.diagnosis.curves import LARGEST, Curves
from tunewell.analysis.diagnosis.features import either
from tunewell.analysis.diagnosis.guessing import guessing
from tunewell.analysis.diagnosis.labels import Label
from tunewell.analysis.words import percent, short, tidy_exponent
from tunewell.scales import Floats


def evidence(label: Label, curves: Curves, features: Mapping[str, float]) -> tuple[str, ...]:
    """Return what speaks for a label, in words; each sentence is true of the curves, whatever the label."""
    return tuple(_SAYING[label](curves, features))


def best_place(curves: Curves) -> int | None:
    """Return which report had the best validation, None where there is none."""
    values = _validation(curves)
    return None if values is None else int(np.argmin(np.where(np.isfinite(values), values, np.inf)))


def is_past(curves: Curves, place: int) -> bool:
    """Whether the validation has been worse than at ``place`` for two reports or more."""
    values = _validation(curves)
    return values is not None and int(np.isfinite(values[place + 1 :]).sum()) >= 2


def has_improved(curves: Curves) -> bool:
    """Whether the validation is better now than at first."""
    values = _validation(curves)
    known = [] if values is None else values[np.isfinite(values)].tolist()
    return len(known) > 1 and bool(known[-1] < known[0])


def _validation(curves: Curves) -> Floats | None:
    """Return what the validation tells, the less the better, None where it tells nothing."""
    if curves.val_loss is not None and np.isfinite(curves.val_loss).any():
        return curves.val_loss
    if curves.val_accuracy is not None and np.isfinite(curves.val_accuracy).any():
        return np.asarray(-curves.val_accuracy)
    return None


Sentences = Iterator[str]


def _level(name: str, values: Floats | None) -> Sentences:
    """Where a loss began and where it is."""
    known = values[np.isfinite(values)] if values is not None else np.empty(0)
    if len(known) >= 2:
        yield f"the {name} loss went from {short(float(known[0]))} to {short(float(known[-1]))}"


def _main(curves: Curves) -> Sentences:
    """Where the training loss began and is, or the validation loss where it is all there is."""
    if curves.train_loss is not None:
        yield from _level("training", curves.train_loss)
    else:
        yield from _level("validation", curves.val_loss)


def _diverging(curves: Curves, features: Mapping[str, float]) -> Sentences:
    for name, values in (("training", curves.train_loss), ("validation", curves.val_loss)):
        if values is None or not len(values):
            continue
        odd = np.flatnonzero(np.isinf(values))
        if len(odd):
            yield f"the {name} loss is no number below {short(LARGEST)} at step {curves.steps[odd[0]]:g}"
        elif len(known := values[np.isfinite(values)]) and known[-1] > known[0]:
            yield f"the {name} loss has risen from {short(float(known[0]))} to {short(float(known[-1]))}"
    if features["grad_peak"] > 1.0:
        yield f"the gradient's norm reached {10 ** features['grad_peak']:.0f} times its median"
    if curves.train_loss is None and curves.val_loss is None:
        yield from _collapsed(curves, features)


def _collapsed(curves: Curves, features: Mapping[str, float]) -> Sentences:
    lost = features["accuracy_lost"]
    if lost > 0.0:
        yield f"the accuracy has fallen by {percent(lost)} points from its best"


def _too_high(curves: Curves, features: Mapping[str, float]) -> Sentences:
    yield from _main(curves)
    unrest = features["unrest"]
    if unrest > 0.2:
        yield f"{percent(unrest)} of its way it went up"
    if features["risen"] > 0.02:
        yield f"it stands {percent(features['risen'])} of its first value above its best"
    if features["update_log"] > -2.0:
        yield f"an update changes the weights by {percent(10 ** features['update_log'])}; a thousandth is usual"
    if features["dead"] > 0.3:
        yield f"{percent(features['dead'])} of the units are dead"
    yield from _guessing(curves)
    if features.get("rate", 0.0) > 0.0:
        yield from _configured(features)


def _guessing(curves: Curves) -> Sentences:
    """Whether a classifier is no better than one that gives every class the same probability."""
    if said := guessing(curves):
        yield said


def _too_low(curves: Curves, features: Mapping[str, float]) -> Sentences:
    yield from _main(curves)
    falling = either(features, "falling", "val_falling")
    if falling > 0.01:
        yield f"it still fell by {percent(1.0 - math.exp(-falling))} between the third quarter and the end"
    if features["noise_log"] < -2.0:
        yield f"it is smooth: neighbours differ by {percent(10 ** features['noise_log'])} of the first loss"
    if features["update_log"] < -3.3:
        share = tidy_exponent(f"{10 ** features['update_log']:.0e}")
        yield f"an update changes the weights by {share} of their size; a thousandth is usual"
    if features.get("rate", 0.0) < 0.0:
        yield from _configured(features)


def _plateau(curves: Curves, features: Mapping[str, float]) -> Sentences:
    yield from _main(curves)
    changed = either(features, "falling", "val_falling")
    if math.isfinite(changed):
        yield f"since the third quarter it has changed by {percent(abs(changed))}"
    if features["update_change"] < -0.7:
        yield f"updates have become {10 ** -features['update_change']:.0f} times smaller than they were"


def _overfitting(curves: Curves, features: Mapping[str, float]) -> Sentences:
    place = best_place(curves)
    if curves.val_loss is not None and place is not None and not is_past(curves, place):
        yield from _level("validation", curves.val_loss)
    elif curves.val_loss is not None and place is not None:
        best, now = float(curves.val_loss[place]), float(curves.val_loss[np.isfinite(curves.val_loss)][-1])
        yield f"the validation loss was best at step {curves.steps[place]:g} with {short(best)} and is {short(now)} now"
    yield from _level("training", curves.train_loss)
    if features["accuracy_gap"] > 0.05:
        yield f"training is right {percent(features['accuracy_gap'])} more often than validation"


def _underfitting(curves: Curves, features: Mapping[str, float]) -> Sentences:
    yield from _level("training", curves.train_loss)
    yield from _level("validation", curves.val_loss)
    gap = features["gap"]
    if abs(gap) < 0.1:
        yield f"training and validation are {percent(abs(gap))} of the first loss apart: nothing is learnt by heart"


def _unstable(curves: Curves, features: Mapping[str, float]) -> Sentences:
    name = "training" if curves.train_loss is not None else "validation"
    spike = either(features, "spike", "val_spike")
    yield f"the {name} loss jumps: it rose {percent(spike)} of its first value above its neighbours"
    if features["grad_peak"] > 0.7:
        yield f"the gradient's norm reached {10 ** features['grad_peak']:.0f} times its median"


def _noisy(curves: Curves, features: Mapping[str, float]) -> Sentences:
    if math.isfinite(features["val_noise_log"]):
        share = percent(10 ** features["val_noise_log"])
        yield f"the validation loss jumps by {share} of the first loss from report to report"
    if features["noise_quotient"] > 0.5:
        yield f"that is {math.exp(features['noise_quotient']):.0f} times what the training loss does"
    if abs(features["together"]) < 0.5:
        yield "the two do not go up and down together"


def _data(curves: Curves, features: Mapping[str, float]) -> Sentences:
    yield from _level("training", curves.train_loss)
    yield from _level("validation", curves.val_loss)
    gained = features["val_gained"]
    if gained < 0.05:
        yield "the validation never became better than at the beginning of training"
    elif features["gap"] < -0.05:
        yield f"validation is better than training by {percent(-features['gap'])} of the first loss"


def _configured(features: Mapping[str, float]) -> Sentences:
    """What speaks against the hyperparameters themselves."""
    rate = features.get("rate", 0.0)
    if abs(rate) > 0.0:
        side, than = ("above", "highest") if rate > 0.0 else ("below", "lowest")
        yield f"the learning rate is {10 ** (abs(rate) + 1.0):.0f} times {side} the {than} usual default"


def _nothing(curves: Curves, features: Mapping[str, float]) -> Sentences:
    yield from _level("training", curves.train_loss)
    yield from _level("validation", curves.val_loss)
    if features["update_log"] < -6.0:
        yield "the weights do not change at all"
    if features["dead"] > 0.9:
        yield f"{percent(features['dead'])} of the units are dead"
    if features["grad_gone"] > 0.5:
        yield "the gradient is zero"
    yield from _guessing(curves)
    yield from _configured(features)


def _healthy(curves: Curves, features: Mapping[str, float]) -> Sentences:
    yield from _level("training", curves.train_loss)
    yield from _level("validation", curves.val_loss)


def _uncertain(curves: Curves, features: Mapping[str, float]) -> Sentences:
    yield from _healthy(curves, features)
    yield from _guessing(curves)


def _too_early(curves: Curves, features: Mapping[str, float]) -> Sentences:
    yield "there is 1 report" if len(curves.steps) == 1 else f"there are {len(curves.steps)} reports"
    yield from _level("training", curves.train_loss)


_SAYING = {
    Label.DIVERGING: _diverging,
    Label.RATE_TOO_HIGH: _too_high,
    Label.RATE_TOO_LOW: _too_low,
    Label.PLATEAU: _plateau,
    Label.OVERFITTING: _overfitting,
    Label.UNDERFITTING: _underfitting,
    Label.UNSTABLE: _unstable,
    Label.NOISY_EVALUATION: _noisy,
    Label.DATA_PROBLEM: _data,
    Label.NOTHING_LEARNT: _nothing,
    Label.HEALTHY: _healthy,
    Label.TOO_EARLY: _too_early,
    Label.UNCERTAIN: _uncertain,
}

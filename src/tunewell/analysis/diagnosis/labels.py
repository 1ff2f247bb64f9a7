"""The labels: what a training may suffer from, and what is to be done about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tunewell.analysis.diagnosis.actions import Action
from tunewell.analysis.diagnosis.configuration import USUAL_DROPOUT, number_of
from tunewell.analysis.diagnosis.features import either


class Label(StrEnum):
    """What a training suffers from, or that it does not."""

    DIVERGING = "diverging"
    RATE_TOO_HIGH = "rate-too-high"
    RATE_TOO_LOW = "rate-too-low"
    PLATEAU = "plateau"
    OVERFITTING = "overfitting"
    UNDERFITTING = "underfitting"
    UNSTABLE = "unstable"
    NOISY_EVALUATION = "noisy-evaluation"
    DATA_PROBLEM = "data-problem"
    NOTHING_LEARNT = "nothing-learnt"
    HEALTHY = "healthy"
    TOO_EARLY = "too-early"
    UNCERTAIN = "uncertain"

    @property
    def ill(self) -> bool:
        """Whether something is wrong."""
        return self not in (Label.HEALTHY, Label.TOO_EARLY, Label.UNCERTAIN)


@dataclass(frozen=True, slots=True)
class Meaning:
    """A label in words, the hyperparameter it is about, and what is to be done."""

    words: str
    role: str
    actions: tuple[Action, ...]


_LOWER = Action("multiply", "learning_rate", 0.1, "divide the learning rate by 10")
_LOWER_MUCH = Action("multiply", "learning_rate", 0.01, "divide the learning rate by 100")
_LOWER_SOME = Action("multiply", "learning_rate", 10.0**-0.5, "divide the learning rate by 3")
_RAISE = Action("multiply", "learning_rate", 10.0**0.5, "raise the learning rate 3 times")
_RAISE_MUCH = Action("multiply", "learning_rate", 10.0, "raise the learning rate 10 times")
_RAISE_FAR = Action("multiply", "learning_rate", 100.0, "raise the learning rate 100 times")
_DROPOUT = Action("at_least", "dropout", 0.5, "use a dropout of 0.5 or more")
_DECAY = Action("multiply", "weight_decay", 10.0, "use ten times the weight decay")
_CLIP = Action("at_most", "gradient_clipping", 1.0, "clip gradients at a norm of 1")
_LARGER = Action("multiply", "hidden_units", 4.0, "make the model larger, say four times as wide")
_LESS_DROPOUT = Action("at_most", "dropout", 0.1, "use a dropout of 0.1 or less")
_LESS_DECAY = Action("multiply", "weight_decay", 0.01, "use a hundredth of the weight decay")
_CHECK = Action("check", "", 0.0, "check that inputs differ, weights reach the optimizer, and units are not all dead")

NOTHING, MUCH = 0.02, 0.5
"""How much of the first loss is gone where next to nothing is learnt, and where a good deal is."""
FAR = 1.0
"""A rate is far too high from a hundred times the usual default on: see :mod:`.configuration`."""

MEANINGS: Mapping[Label, Meaning] = {
    Label.DIVERGING: Meaning("the training diverges", "learning_rate", (_LOWER,)),
    Label.RATE_TOO_HIGH: Meaning("the learning rate is too high", "learning_rate", (_LOWER,)),
    Label.RATE_TOO_LOW: Meaning("the learning rate is too low", "learning_rate", (_RAISE_MUCH,)),
    Label.PLATEAU: Meaning(
        "the training has come to a standstill early",
        "schedule",
        (Action("check", "schedule", 0.0, "hold the learning rate longer: let it decay later, or by a cosine"),),
    ),
    Label.OVERFITTING: Meaning("the network overfits", "dropout", (_DROPOUT, _LOWER_SOME, _DECAY)),
    Label.UNDERFITTING: Meaning("the network underfits", "hidden_units", (_LARGER, _LESS_DROPOUT, _LESS_DECAY)),
    Label.UNSTABLE: Meaning("the training is unstable", "learning_rate", (_CLIP, _LOWER_SOME)),
    Label.NOISY_EVALUATION: Meaning(
        "the evaluation is noisy",
        "",
        (Action("check", "", 0.0, "evaluate on more examples, or take the mean of several reports"),),
    ),
    Label.DATA_PROBLEM: Meaning(
        "data or labels are suspect",
        "",
        (Action("check", "", 0.0, "look at some examples beside their labels, of training and validation alike"),),
    ),
    Label.NOTHING_LEARNT: Meaning("nothing is learnt", "learning_rate", (_CHECK,)),
    Label.HEALTHY: Meaning("the training looks healthy", "", ()),
    Label.TOO_EARLY: Meaning("it is too early to say", "", ()),
    Label.UNCERTAIN: Meaning("nothing is certain", "", ()),
}
"""What each label means. Some actions depend on the curves as well: see :func:`advised`."""


def advised(
    label: Label,
    features: Mapping[str, float],
    best_step: int | None,
    params: Mapping[str, Any],
    usual_norm: float | None = None,
) -> tuple[Action, ...]:
    """Return what is to be done, the most useful first, about a training with such hyperparameters.

    How far the learning rate is to be moved was measured on recorded trainings: a hundred times where it is far from
    what is usual, or nothing was learnt at all, three times where a good deal was learnt, otherwise ten times. So was
    that clipping calms, at a norm of 1 or at ``usual_norm``, the median of the norms reported, where that is larger. A
    lower rate beside it costs a training that was unstable little, and helps one that only seemed so.
    """
    actions, improved = MEANINGS[label].actions, either(features, "improved", "val_improved")
    if label is Label.OVERFITTING and best_step is not None:
        stop = Action("stop", "", float(best_step), f"stop at step {best_step}, where the validation was best")
        return (stop, *actions)
    if label is Label.UNDERFITTING and (number_of("dropout", params) or 0.0) > USUAL_DROPOUT:
        return (_LESS_DROPOUT, _LARGER, _LESS_DECAY)
    if label is Label.RATE_TOO_HIGH or (label is Label.DIVERGING and not improved > NOTHING):
        return (_lowered(features),)
    if label is Label.RATE_TOO_LOW:
        return (_raised(features),)
    if label is Label.NOTHING_LEARNT:
        return (*_moved(features), *actions)
    if label is Label.UNSTABLE:
        return _calmed(usual_norm, number_of("gradient_clipping", params))
    return actions


def _calmed(usual_norm: float | None, clipped_at: float | None) -> tuple[Action, ...]:
    """Return what to do about jumps: clip at the usual norm of the gradients, unless they are, and lower the rate."""
    clip = _CLIP
    amount = float(f"{usual_norm or 0.0:.2g}")
    if amount > _CLIP.amount:
        clip = Action("at_most", _CLIP.role, amount, f"clip gradients at their usual norm, {amount:g}")
    most = 1.5 * clip.amount  # the norms reported may be those of clipped gradients
    return (_LOWER_SOME,) if 0.0 < (clipped_at or 0.0) <= most else (clip, _LOWER_SOME)


def _lowered(features: Mapping[str, float]) -> Action:
    return _LOWER_MUCH if features.get("rate", 0.0) > FAR else _LOWER


def _raised(features: Mapping[str, float]) -> Action:
    fallen = either(features, "fallen", "val_fallen")
    return _RAISE_FAR if fallen < NOTHING else _RAISE if fallen > MUCH else _RAISE_MUCH


def _moved(features: Mapping[str, float]) -> tuple[Action, ...]:
    """Return what to do about the rate of a training that has learnt nothing, where something speaks against it."""
    rate = features.get("rate", 0.0)
    if rate > FAR:
        return (_LOWER_MUCH,)
    return (_RAISE_FAR,) if rate < 0.0 else ()

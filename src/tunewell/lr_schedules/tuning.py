"""Schedules as a part of a search space: which shape, and the options that only it has."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from tunewell.lr_schedules import shapes
from tunewell.lr_schedules.shapes import LrSchedule
from tunewell.parameters import Choice, Float, Int, Parameter
from tunewell.space import Space
from tunewell.values import listed, nearest, whole

_SHAPES: Mapping[str, type[LrSchedule]] = {
    "constant": shapes.Constant,
    "step": shapes.Step,
    "exponential": shapes.Exponential,
    "linear": shapes.Linear,
    "polynomial": shapes.Polynomial,
    "cosine": shapes.Cosine,
    "cosine_restarts": shapes.CosineRestarts,
    "one_cycle": shapes.OneCycle,
    "warmup_stable_decay": shapes.WarmupStableDecay,
    "inverse_square_root": shapes.InverseSquareRoot,
}
NAMES = tuple(_SHAPES)
"""The schedules by name."""

_OPTIONS: Mapping[
    str, tuple[str, tuple[str, ...]]
] = {  # a parameter: the field that it sets, the schedules that have it
    "decay_factor": ("factor", ("step",)),
    "min_learning_rate_ratio": (
        "end",
        ("exponential", "linear", "polynomial", "cosine", "cosine_restarts", "warmup_stable_decay"),
    ),
    "polynomial_power": ("power", ("polynomial",)),
    "restart_cycles": ("cycles", ("cosine_restarts",)),
    "rise_ratio": ("rise", ("one_cycle",)),
    "decay_ratio": ("decay", ("warmup_stable_decay",)),
}
USUAL = ("constant", "linear", "cosine", "warmup_stable_decay")
"""One schedule of each kind: no decay, a straight line, a smooth one, and one that decays late."""


def space(names: Sequence[str] = USUAL, *, warmup: bool = True) -> Space:
    """Return a space of schedules: ``schedule``, and the options of each, active only with it.

    ``tw.Space(learning_rate=..., **tw.lr_schedules.space())`` adds them to a space of one's own. The names of the
    parameters are those of :func:`tunewell.knowledge.names` where it knows them.

    By default there are four of the ten schedules, one of each kind: every further one is a branch of the space that
    has to be tried to be known, with options of its own, and differs little from one of the four (``polynomial`` and
    ``exponential`` lie near ``linear`` and ``cosine``, ``one_cycle`` is a warm-up and a cosine) or wants a plan of its
    own (the shares of ``step``, the cycles of ``cosine_restarts``, the timescale of ``inverse_square_root``).

    Args:
        names: the schedules to choose from, of :data:`NAMES`; ``NAMES`` itself for all ten.
        warmup: whether the length of the warm-up is tuned too, as a share of all steps (``warmup_ratio``).

    Raises:
        TypeError: ``names`` is one string.
        ValueError: an unknown schedule, or none.

    >>> list(space(["constant", "step"], warmup=False))
    ['schedule', 'decay_factor']
    >>> len(space(NAMES)["schedule"].choices)
    10
    """
    if isinstance(names, str):
        raise TypeError(f"names expected a list of schedules, got {names!r}: write [{names!r}]")
    if not names:
        raise ValueError(f"names expected at least one schedule of {listed(NAMES)}, got none")
    for name in names:
        _known(name)
    default = "cosine" if "cosine" in names else names[0]
    known: dict[str, Parameter] = {"schedule": Choice(list(names), default=default, tier=3)}
    warmed = [name for name in names if name != "one_cycle"]  # which has a rise of its own
    if warmup and warmed:
        known["warmup_ratio"] = Float.of("warmup_ratio", when={"schedule": warmed})
    for option, (_, owners) in _OPTIONS.items():
        active = [name for name in names if name in owners]
        if active:
            known[option] = _parameter(option, active)
    return Space(known)


def _parameter(option: str, active: list[str]) -> Parameter:
    when = {"schedule": active}
    if option == "polynomial_power":
        return Float(1.0, 4.0, scale="log", default=2.0, tier=4, when=when)
    if option == "restart_cycles":
        return Int(2, 5, default=3, tier=4, when=when)
    if option == "rise_ratio":
        return Float(0.1, 0.5, default=0.3, tier=4, when=when)
    if option == "decay_ratio":
        return Float(0.05, 0.5, scale="log", default=0.2, tier=4, when=when)
    return Float.of(option, when=when)


def from_params(params: Mapping[str, Any], *, steps: int) -> LrSchedule:
    """Return the schedule of a configuration that was drawn from :func:`space`; other parameters are ignored.

    Args:
        params: such as ``trial.params``. Of restarts there are no more than the training has steps.
        steps: how many updates of the weights the training has, warm-up included.

    Raises:
        KeyError: there is no ``"schedule"``.
        ValueError: an unknown schedule, or a number that it does not take.

    >>> from_params({"learning_rate": 0.1, "schedule": "cosine", "warmup_ratio": 0.05}, steps=200)
    Cosine(steps=200, warmup=10, end=0.0)
    """
    if "schedule" not in params:
        raise KeyError(
            f"expected 'schedule' among the parameters, got {listed(params) or 'none'}: see tw.lr_schedules.space"
        )
    steps = whole(steps, "steps")
    shape = _known(params["schedule"])
    fields = {field.name for field in dataclasses.fields(shape)}
    options = {field: params[name] for name, (field, _) in _OPTIONS.items() if name in params and field in fields}
    warmup = max(0, min(round(params.get("warmup_ratio", 0.0) * steps), steps - shape.least_steps))
    if "cycles" in options:  # a training may be too short for as many as were drawn
        options["cycles"] = max(1, min(options["cycles"], steps - warmup))
    return shape(steps, warmup=warmup, **options)


def _known(name: Any) -> type[LrSchedule]:
    if name not in _SHAPES:
        raise ValueError(f"expected a schedule of {listed(NAMES)}, got {name!r}{nearest(name, NAMES)}")
    return _SHAPES[name]

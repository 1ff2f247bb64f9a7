"""What is usual of the hyperparameters of a space, known by their names, before any of them was tried.

Where a parameter's name is known, and somebody gave it a range, good values usually lie in certain parts of it: a
learning rate near the middle, a width near the upper end, a dropout near the lower one (:mod:`.knowledge.effects`).
This is the mean that a model of trainings begins with, and what the first ones are chosen by. It says nothing of
parameters that have a prior: there somebody knows more. How far it is believed is the model's business.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from tunewell import knowledge
from tunewell.history import History
from tunewell.knowledge.effects import UsualEffect, usual_effects
from tunewell.numerics.trends import Effect, Trend
from tunewell.parameters import Choice, Float, Int, Parameter
from tunewell.space import Config, Space
from tunewell.surrogate.cube import cube_of
from tunewell.surrogate.observations import tried, values_of
from tunewell.tiers import default_of, optimizer_of

_RATIOS = ("log", "reverse_log")
_EDGE = 0.1


@lru_cache(maxsize=64)
def trend_of(space: Space) -> Trend | None:
    """Return what is usual in a space, over the columns that may vary; None where no name is known."""
    known = usual_effects()
    certain = any(knowledge.find(name) in known for name in space)
    names, found = list(space), []
    for place, column in enumerate(cube_of(space).free):
        name = names[column]
        called = knowledge.find(name, ambiguous=certain) or ""
        if called in known and not space[name].is_categorical and space[name].prior is None:
            found.append(effect_of(int(place), space, name, known[called]))
    return Trend(tuple(found)) if found else None


def promising(space: Space, history: History, draws: int, rng: np.random.Generator) -> Config | None:
    """Return the configuration with the best usual end of some random ones; None where nothing new or usual is."""
    trend, cube = trend_of(space), cube_of(space)
    if trend is None:
        return None
    units = cube.snap(cube.believe(rng.random((draws, len(space)))))
    seen = tried(space, history)
    for row in np.argsort(trend.value(units[:, cube.free], np.ones(draws)), kind="stable"):
        config = space.decode_one(units[row].tolist())
        if values_of(space, config) not in seen:
            return config
    return None


def effect_of(column: int, space: Space, name: str, usual: UsualEffect) -> Effect:
    """Return what is usual of a parameter as an effect on a column, as strong as the range is wide.

    Whether the middle is good is known of the scale that a hyperparameter should have, and not of another one. A
    default near an end of the range, or beyond it, is not what somebody had in mind who gave the range.
    """
    parameter = space[name]
    span, ratios = _span(parameter)
    much = min(span / usual.span, 1.0) if usual.span else 1.0
    bent = much if ratios or not usual.span else 0.0
    default = default_of(space, "generic", optimizer_of(space, "generic")).get(name, parameter.default_value)
    place = float(parameter.to_unit(default))
    if not _EDGE < place < 1.0 - _EDGE:
        place = 0.5
    return Effect(
        column,
        (much * usual.slope[0], much * usual.slope[1]),
        (bent * usual.bend[0], bent * usual.bend[1]),
        0.5 + usual.towards_default * (place - 0.5),
    )


def _span(parameter: Parameter) -> tuple[float, bool]:
    """Return how wide a range is, in decades where its scale is one of ratios, and whether it is."""
    if isinstance(parameter, Float | Int):
        low, high = float(parameter.low), float(parameter.high)
        if parameter.scale == "reverse_log":
            low, high = 1.0 - high, 1.0 - low
        if parameter.scale in _RATIOS:
            return math.log10(high / low), True
        return high - low, False
    choices = parameter.choices if isinstance(parameter, Choice) else ()
    numbers = [value for value in choices if isinstance(value, int | float) and value > 0]
    if not numbers or len(numbers) < len(choices):
        return math.inf, False
    return math.log10(max(numbers) / min(numbers)), True

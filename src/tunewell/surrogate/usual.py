"""What is usual of the hyperparameters of a space, known by their names, before any of them was tried.

Where a parameter's name is known, and somebody gave it a range, good values usually lie in certain parts of it: a
learning rate near the middle, a dropout near the lower end (:mod:`tunewell.knowledge.effects`). This is the mean that a
model of trainings begins with, and what the first ones are drawn by. It says nothing of parameters that have a prior or
that somebody believes something about: there somebody knows more. How far the mean is believed is the model's business.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from tunewell import knowledge
from tunewell.history import History
from tunewell.knowledge.effects import UsualEffect, usual_effects
from tunewell.numerics.trends import Effect, Trend
from tunewell.parameters import Choice, Float, Int, Parameter
from tunewell.space import Config, Space
from tunewell.surrogate.cube import cube_of
from tunewell.surrogate.observations import tried, values_of
from tunewell.tiers import optimizer_of

_EDGE = 0.1  # of the range: a known default nearer to an end is not what the range was given for
_LEAST = 0.02  # of a score: smaller effects are none
_HEAT = 0.1  # of a score: draws are likelier by exp(-difference / this)
_PLACES, _DRAWS = 64, 50


def trend_of(space: Space, history: History) -> Trend | None:
    """Return what is usual in a space, over the columns that may vary; None where nothing is known."""
    said = frozenset(name for belief in history.beliefs for name in belief.config)
    return _trend(space, said)


@lru_cache(maxsize=64)
def _trend(space: Space, said: frozenset[str]) -> Trend | None:
    known = usual_effects()
    certain = any(knowledge.find(name) in known for name in space)
    optimizer, names = optimizer_of(space, "generic"), list(space)
    found: list[Effect] = []
    for place, column in enumerate(cube_of(space).free):
        name, parameter = names[column], space[names[column]]
        called = knowledge.find(name, ambiguous=certain) or ""
        if called in known and parameter.prior is None and name not in said:
            usual = knowledge.explain(called, optimizer=optimizer).default.value
            default = parameter.default_value if parameter.has_default else usual
            effect = effect_of(int(place), parameter, known[called], default)
            found += [] if effect is None else [effect]
    return Trend(tuple(found)) if found else None


def promising(space: Space, history: History, rng: np.random.Generator) -> Config | None:
    """Return a configuration, not tried yet, drawn where ends of trainings are usually good.

    Other parameters follow their priors, or are drawn at random. None where nothing is usual, or where some draws
    have all been tried.
    """
    trend, cube = trend_of(space, history), cube_of(space)
    if trend is None:
        return None
    seen = tried(space, history)
    for _ in range(_DRAWS):
        unit = cube.believe(rng.random((1, len(space))))[0]
        for column, center, _ in cube.beliefs if not history.trials else ():
            unit[column] = center
        for effect in trend.effects:
            places = (np.arange(_PLACES) + rng.random()) / _PLACES
            scores = Trend((replace(effect, column=0),)).value(places[:, None], np.ones(_PLACES))
            odds = np.exp((scores.min() - scores) / _HEAT)
            unit[cube.free[effect.column]] = rng.choice(places, p=odds / odds.sum())
        config = space.decode_one(np.nan_to_num(cube.snap(unit[None])[0], nan=0.5).tolist())
        if values_of(space, config) not in seen:
            return config
    return None


def effect_of(column: int, parameter: Parameter, usual: UsualEffect, default: Any) -> Effect | None:
    """Return what is usual of a parameter as an effect on a column, as strong as the range is wide; None for none.

    Whether the middle is good is known of the scale that a hyperparameter should have, and not of another one. Choices
    have to be numbers in order. A default that nobody stated counts only well within the range.
    """
    ends = _ends(parameter)
    if ends is None:
        return None
    much = min(_span(min(ends), max(ends), usual) / usual.span, 1.0) if usual.span else 1.0
    bent = much if isinstance(parameter, Choice) or getattr(parameter, "scale", "") == usual.scale else 0.0
    turned = -1.0 if ends[0] > ends[1] else 1.0
    slope = (turned * much * usual.slope[0], turned * much * usual.slope[1])
    bend = (bent * usual.bend[0], bent * usual.bend[1])
    if max(map(abs, (*slope, *bend))) < _LEAST:
        return None
    place = _place(parameter, default)
    if place is None or (not parameter.has_default and not _EDGE < place < 1.0 - _EDGE):
        place = 0.5
    return Effect(column, slope, bend, 0.5 + usual.towards_default * (place - 0.5))


def _ends(parameter: Parameter) -> tuple[float, float] | None:
    """Return the first and the last value of a parameter whose values are numbers in order, None for another one."""
    if isinstance(parameter, Float | Int):
        return float(parameter.low), float(parameter.high)
    values = parameter.choices if isinstance(parameter, Choice) and parameter.ordered else ()
    if len(values) < 2 or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        return None
    signs = {b > a for a, b in itertools.pairwise(values)}
    first, last = (
        float(max(min(value, 1e300), -1e300)) for value in (values[0], values[-1])
    )  # 10**400 is a choice, too
    return (first, last) if len(signs) == 1 else None


def _span(low: float, high: float, usual: UsualEffect) -> float:
    """Return how wide a range is, in the unit of an effect; what has no logarithm is as wide as it takes."""
    if usual.scale == "reverse_log":
        low, high = 1.0 - high, 1.0 - low
    elif usual.scale != "log":
        return high - low
    return math.log10(high) - math.log10(low) if low > 0.0 else usual.span


def _place(parameter: Parameter, default: Any) -> float | None:
    """Return the coordinate of a default, None where it is no value of the parameter."""
    if isinstance(parameter, Choice) and default not in list(parameter.choices):
        return None
    if isinstance(parameter, Float | Int) and not parameter.low <= default <= parameter.high:
        return None
    return float(parameter.to_unit(default))

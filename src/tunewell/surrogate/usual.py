"""What is usual of the hyperparameters of a space, known by their names, before any of them was tried.

Where a parameter's name is known, and somebody gave it a range, good values usually lie in certain parts of it: a
learning rate near the middle, higher with large batches, a dropout near the lower end; and it is known how much a
little of it changes (:mod:`tunewell.knowledge.effects`). This is the mean that a model of trainings begins with, and
what the first ones are drawn by. The mean says nothing of parameters that have a prior or that somebody believes
something about: there somebody knows more. How far it is believed is the model's business.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from tunewell import knowledge
from tunewell.history import History
from tunewell.knowledge.effects import UsualEffect, usual_effects
from tunewell.numerics.trends import Effect, Mover, Trend, Well
from tunewell.parameters import Choice, Float, Int, Parameter
from tunewell.space import Config, Space
from tunewell.surrogate.cube import cube_of
from tunewell.surrogate.observations import tried, values_of
from tunewell.tiers import optimizer_of

_EDGE = 0.1  # of the range: a known default nearer to an end is not what the range was given for
WIDTH = 0.235
"""Of wells, as a share of the span: with it they tell most of recorded tables, see ``learn_effects``."""
_LEAST = 0.02  # of a score, or of a range: smaller effects are none
_HEAT = 0.4  # of a score: draws are likelier by exp(-difference / this), as the usual is far from sure
_PLACES, _DRAWS = 64, 50
_SCHEDULE = "schedule"


def trend_of(space: Space, history: History) -> Trend | None:
    """Return what is usual in a space, over the columns that may vary; None where nothing is known."""
    said = frozenset(name for belief in history.beliefs for name in belief.config)
    return _trend(space, said)


@lru_cache(maxsize=64)
def _trend(space: Space, said: frozenset[str]) -> Trend | None:
    columns = columns_of(space, usual_effects())
    return trend_from(columns, [c for c in columns if c.parameter.prior is None and c.name not in said])


def columns_of(space: Space, known: Mapping[str, UsualEffect]) -> list[Column]:
    """Return the columns of a space that something is known of, of those that may vary."""
    optimizer, names = optimizer_of(space, "generic"), list(space)
    called, found = called_in(space, known), []
    for place, column in enumerate(cube_of(space).free):
        name, parameter = names[column], space[names[column]]
        if name in called:
            usual = knowledge.explain(called[name], optimizer=optimizer).default.value
            default = parameter.default_value if parameter.has_default else usual
            same = (space[other] for other in called if called[other] == called[name])
            alike = sum(other.count > 1 and not _exclusive(parameter, other) for other in same)
            found.append(Column(int(place), name, called[name], parameter, known[called[name]], default, alike))
    return found


def trend_from(columns: Sequence[Column], silent: Sequence[Column]) -> Trend | None:
    """Return the trend of columns, with the mean of those that nobody said anything about; None where it is none."""
    effects = tuple(effect for column in silent if (effect := column.effect) is not None)
    wells = tuple(well for column in silent if (well := column.well(silent)) is not None)
    lengths = tuple((column.place, length) for column in columns if (length := column.length) is not None)
    return Trend(effects, wells, lengths) if effects or wells or lengths else None


def _exclusive(one: Parameter, other: Parameter) -> bool:
    """Whether two parameters are never active together, as a parent has other values for each."""
    here, there = one.when or {}, other.when or {}
    return any(not set(here[parent]) & set(there[parent]) for parent in here.keys() & there.keys())


def called_in(space: Space, known: Mapping[str, UsualEffect]) -> dict[str, str]:
    """Return the names under which parameters of a space are known, of those that something is known of.

    A name that may mean something else counts beside one that does not. What is known of words counts for choices of
    such words alone; beside a hyperparameter that is known, an unknown name with the words of schedules is one.
    """
    certain = any(knowledge.find(name) in known for name in space)
    found = {}
    for name, parameter in space.items():
        called = knowledge.find(name, ambiguous=certain)
        if called is None and certain and _SCHEDULE in known and _falls(parameter, known[_SCHEDULE].codes):
            called = _SCHEDULE
        if called is None or called not in known:
            continue
        codes = known[called].codes
        if _codes(parameter, codes) if codes else not parameter.is_categorical:
            found[name] = called
    return found


def _falls(parameter: Parameter, schedules: Mapping[str, float]) -> bool:
    """Whether a choice is one of schedules: all of its words are, and one that falls is used of little else."""
    words = {str(value).lower() for value in parameter.choices} if isinstance(parameter, Choice) else {""}
    return words <= schedules.keys() and any(schedules[word] > 0.0 and word != "linear" for word in words)


def promising(space: Space, history: History, rng: np.random.Generator) -> Config | None:
    """Return a configuration, not tried yet, drawn where ends of trainings are usually good.

    Other parameters follow their priors, or are drawn at random. None where nothing is usual, or where some draws
    have all been tried.
    """
    trend, cube = trend_of(space, history), cube_of(space)
    if trend is None or trend.is_flat:
        return None
    seen, columns = tried(space, history), trend.columns  # what others move is drawn when these are known
    for _ in range(_DRAWS):
        unit = cube.believe(rng.random((1, len(space))))[0]
        for column, center, _ in cube.beliefs if not history.trials else ():
            unit[column] = center
        free = np.tile(unit[cube.free], (_PLACES, 1))
        free[:, columns] = np.nan
        for column in columns:
            places = (np.arange(_PLACES) + rng.random()) / _PLACES
            free[:, column] = places
            scores = trend.value(free, np.ones(_PLACES))
            odds = np.exp((scores.min() - scores) / _HEAT)
            free[:, column] = rng.choice(places, p=odds / odds.sum())
        unit[cube.free] = free[0]
        config = space.decode_one(np.nan_to_num(cube.snap(unit[None])[0], nan=0.5).tolist())
        if values_of(space, config) not in seen:
            return config
    return None


@dataclass(frozen=True)
class Column:
    """A parameter that something is usual of.

    Attributes:
        place: its column, of those that may vary.
        name: its own.
        called: the name that it is known under.
        parameter: itself.
        usual: what is usual of it.
        default: its default, or the usual one.
        alike: how many parameters are known under that name and may be active with it: together they do what one does.
    """

    place: int
    name: str
    called: str
    parameter: Parameter
    usual: UsualEffect
    default: Any
    alike: int = 1

    @property
    def strength(self) -> float:
        """How much of an effect its range has, negative where its values fall; 0 where they are no numbers in order."""
        ends = _ends(self.parameter)
        if ends is None:
            return 0.0
        much = min(_span(min(ends), max(ends), self.usual) / self.usual.span, 1.0) if self.usual.span else 1.0
        return -much if ends[0] > ends[1] else much

    @property
    def codes(self) -> tuple[float, ...]:
        """The numbers that stand for its choices, empty where they are none of the names that are known."""
        return _codes(self.parameter, self.usual.codes)

    @property
    def on_its_scale(self) -> bool:
        """Whether it lies as the effect is stated: of choices the middle is that of those given."""
        return isinstance(self.parameter, Choice) or getattr(self.parameter, "scale", "") == self.usual.scale

    @property
    def length(self) -> float | None:
        """How long its length scale usually is, see :class:`Trend`; None where nothing is known of it."""
        much = 1.0 if self.codes else abs(self.strength)
        known = self.usual.length if much and self.on_its_scale else None
        return None if known is None else known - math.log(much)

    @property
    def effect(self) -> Effect | None:
        """What is usual of it alone, as strong as its range is wide; None for none.

        Whether the middle is good is known of the scale that a hyperparameter should have, and not of another one.
        """
        usual, codes = self.usual, self.codes
        strength = (1.0 if codes else self.strength) / self.alike
        bent = abs(strength) if self.on_its_scale and not codes else 0.0
        slope = (strength * usual.slope[0], strength * usual.slope[1])
        bend = (bent * usual.bend[0], bent * usual.bend[1])
        if max(map(abs, (*slope, *bend))) < _LEAST:
            return None
        return Effect(self.place, slope, bend, 0.5 if codes else self.center, codes)

    @property
    def center(self) -> float:
        """The coordinate of its usual place; a default that nobody stated counts only well within the range."""
        place = _place(self.parameter, self.default)
        if place is None or (not self.parameter.has_default and not _EDGE < place < 1.0 - _EDGE):
            place = 0.5
        return 0.5 + self.usual.towards_default * (place - 0.5)

    def well(self, others: Sequence[Column]) -> Well | None:
        """Return the well in it, with those of other columns that move its bottom; None for none.

        A narrow range shows a part of the well. On another scale than the usual one nothing is known of it.
        """
        if not (any(self.usual.depth) and self.strength and self.on_its_scale):
            return None
        depth = (self.usual.depth[0] / self.alike, self.usual.depth[1] / self.alike)
        movers = tuple(mover for other in others if (mover := self._mover(other)) is not None)
        return Well(self.place, depth, self.center, WIDTH / abs(self.strength), movers)

    def _mover(self, other: Column) -> Mover | None:
        """Return what another column does to its well, as far as that one's range is wide; None for nothing.

        Nothing where one is there for some values of the other: then its range was given for these.
        """
        shift = self.usual.beside.get(other.called)
        apart = other.name not in (self.parameter.when or {}) and self.name not in (other.parameter.when or {})
        if shift is None or not apart or not other.on_its_scale:
            return None
        much = (1.0 if other.codes else other.strength) / other.alike / self.strength
        ends = (much * shift[0], much * shift[1])
        return Mover(other.place, ends, other.codes) if max(map(abs, ends)) >= _LEAST else None


def _codes(parameter: Parameter, known: Mapping[str, float]) -> tuple[float, ...]:
    """Return numbers for a parameter's choices, 0 on average, and 0 for one that is not known.

    Empty unless at least two choices are known, and differ.
    """
    if not known or not isinstance(parameter, Choice) or parameter.ordered:
        return ()
    found = [known.get(str(value).lower(), math.nan) for value in parameter.choices]
    if len({code for code in found if not math.isnan(code)}) < 2:
        return ()
    mean = float(np.nanmean(found))
    return tuple(0.0 if math.isnan(code) else code - mean for code in found)


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

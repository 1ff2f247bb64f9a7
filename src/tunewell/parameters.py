"""Hyperparameters: a range or a set of choices, on the scale where equal steps matter equally."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Literal, Self, TypeAlias

import numpy as np

from tunewell import knowledge
from tunewell.scales import LARGEST, SCALES, Axis, Bins, Floats, Line, LogBins, ScaleName
from tunewell.values import (
    UNSET,
    Value,
    canonical_text,
    fingerprint_of,
    grid_points,
    jsonable,
    listed,
    nearest,
    plain,
    set_frozen,
    to_choice,
    to_float,
    whole,
)

Confidence: TypeAlias = Literal["low", "medium", "high"]

_STD = {"low": 0.3, "medium": 0.15, "high": 0.075}


@dataclass(frozen=True, slots=True)
class Prior:
    """A belief about where good values lie.

    ``center`` is in the parameter's own units. ``confidence`` is a standard deviation in the unit cube, around the
    centre's coordinate: 0.3 for ``"low"`` (hardly more than a hint), 0.15 for ``"medium"``, 0.075 for ``"high"`` (two
    thirds of the belief on 15 % of the range). What it means for an unordered choice is left to the sampler.

    Raises:
        ValueError: on any other confidence.
    """

    center: Any
    confidence: Confidence = "medium"

    def __post_init__(self) -> None:
        if self.confidence not in list(_STD):  # not the dictionary: what came may be unhashable
            hint = nearest(self.confidence, _STD)
            raise ValueError(f"confidence must be 'low', 'medium' or 'high', got {self.confidence!r}{hint}")

    @property
    def std(self) -> float:
        """The standard deviation in the unit cube."""
        return _STD[self.confidence]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Parameter:
    """What :class:`Float`, :class:`Int` and :class:`Choice` share.

    ``default`` is where an expert would start, ``prior`` a belief about good values, ``tier`` the order of importance
    (1 is tuned first), ``note`` a remark for people, ``when`` the conditions under which the parameter is active: a
    mapping from a parent's name to one value or a list of values. All parents must hold; any value of a list will do.

    A parameter is an axis (places on the unit interval) and a value for each place.
    """

    default: Any = None
    prior: Prior | None = None
    tier: int | None = None
    note: str = ""
    when: Mapping[str, Any] | None = None
    _axis: Axis = field(init=False)

    @classmethod
    def of(cls, name: str, *, domain: str = "generic", optimizer: str | None = None, **given: Any) -> Self:
        """Return the parameter of a known hyperparameter: its usual range, scale, default and tier.

        Args:
            name: such as ``"learning_rate"``, or an alias such as ``"lr"``; :func:`tunewell.knowledge.names` lists all.
            domain: where it is tuned, a key of :data:`tunewell.knowledge.DOMAINS`.
            optimizer: under which, a key of :data:`tunewell.knowledge.OPTIMIZERS`; None: whichever.
            given: arguments of the class, in place of what is known. A usual default that they leave out gives way to
                the nearest end of the range, or to none.

        Raises:
            TypeError: the name is no string.
            ValueError: an unknown name, domain or optimizer, or a name whose parameter is of another class.

        >>> Float.of("weight_decay", domain="llm_pretraining")
        Float(0.01, 1.0, scale='log', default=0.1, tier=3)
        """
        known = knowledge.explain(name, domain=domain, optimizer=optimizer)
        kind = _KINDS[known.kind]
        if not issubclass(kind, cls):
            raise ValueError(
                f"expected a hyperparameter of class {cls.__name__}, got {name!r} of class {known.kind}: "
                f"write {known.kind}.of({name!r})"
            )
        arguments = {**known.arguments, **given}
        if "default" in given:
            return kind(**arguments)
        usual = arguments.pop("default")
        without = kind(**arguments)
        if isinstance(without, Float | Int):
            usual = min(max(usual, without.low), without.high)
        try:
            return replace(without, default=usual)
        except ValueError:  # none of the given choices, or between two steps
            return without

    def check(self, value: Any) -> Any:
        """Return ``value`` as plain Python of the right type; raise ValueError when it is not a possible value."""
        raise NotImplementedError

    def allows(self, value: Any) -> bool:
        """Whether a value is a possible one."""
        try:
            self.check(value)
        except ValueError:
            return False
        return True

    def _at(self, place: Any) -> Any:
        """Return the value at a place of the axis."""
        raise NotImplementedError

    def _places(self, values: Sequence[Any]) -> Floats:
        """Return the places of ``n`` values on the axis, shape ``(n,)``; raise ValueError on an impossible one."""
        raise NotImplementedError

    def from_unit(self, unit: float) -> Any:
        """Return the value at a coordinate; coordinates beyond 0 and 1 give the ends, NaN raises ValueError."""
        return self._at(self._axis.at(unit))

    def to_units(self, values: Sequence[Any]) -> Floats:
        """Return the coordinates, shape ``(n,)``, of ``n`` values as :meth:`check` returns them.

        Raises:
            ValueError: a value out of range or not among the choices.
        """
        return self._axis.units(self._places(values))

    @property
    def line(self) -> Line | None:
        """The axis of a range of real numbers, None of anything else."""
        return self._axis if isinstance(self._axis, Line) and self.count > 1 else None

    def to_unit(self, value: Any) -> float:
        """Return the coordinate of a value; raise ValueError when it is not a possible value."""
        return float(self.to_units([self.check(value)])[0])

    def grid(self, n: int) -> list[Any]:
        """Return at most ``n`` values, evenly spaced on the scale, both ends included; one is the default value."""
        n = grid_points(n)
        return [self._at(place) for place in self._axis.spaced(n)] if n > 1 else [self.default_value]

    @property
    def count(self) -> int | float:
        """The number of distinct values, or ``math.inf``."""
        return self._axis.count

    @property
    def is_categorical(self) -> bool:
        """Whether the values have no order."""
        return False

    @property
    def has_default(self) -> bool:
        """Whether a default was stated."""
        return self.default is not type(self).default  # the class attribute is what "not given" looks like

    @property
    def default_value(self) -> Any:
        """The stated default, or the middle of the scale (of a choice: the first)."""
        return self.default if self.has_default else self._at(self._axis.spaced(1)[0])

    def to_json(self) -> dict[str, Any]:
        """Return the parameter as plain JSON data; what was not given is left out."""
        data = {name: jsonable(value) for name, value in self._given()}
        if self.prior is not None:
            data["prior"] = {"center": jsonable(self.prior.center), "confidence": self.prior.confidence}
        return {"type": type(self).__name__, **data}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Parameter:
        """Rebuild a parameter from :meth:`to_json`."""
        given = dict(data)
        kind = _KINDS.get(given.pop("type", ""))
        if kind is None:
            raise ValueError(f"expected a parameter of type {listed(_KINDS)}, got {data!r}")
        if "prior" in given:
            given["prior"] = Prior(**given["prior"])
        if "when" in given:
            given["when"] = {parent: list(plain(values)) for parent, values in given["when"].items()}
        return kind(**{name: value if name == "when" else plain(value) for name, value in given.items()})

    def _given(self) -> list[tuple[str, Any]]:
        """Return the arguments that differ from the signature's defaults, the positional ones first."""
        arguments = sorted((f for f in fields(self) if f.init), key=lambda f: bool(f.kw_only))
        pairs = [(f.name, getattr(self, f.name), f.default) for f in arguments]
        return [(name, value) for name, value, usual in pairs if value is not usual and value != usual]

    def _check_shared(self) -> None:
        """Check and tidy what all parameters share; called last in ``__post_init__``."""
        if self.has_default:
            set_frozen(self, default=self._inside(self.default, "default"))
        if self.prior is not None:
            if not isinstance(self.prior, Prior):
                raise TypeError(f"prior must be a Prior, got {self.prior!r}: write Prior(center, confidence)")
            set_frozen(self, prior=Prior(self._inside(self.prior.center, "prior's center"), self.prior.confidence))
        if self.tier is not None and (isinstance(self.tier, bool) or not isinstance(self.tier, int) or self.tier < 1):
            raise ValueError(f"tier must be a whole number from 1 (tuned first) on, got {self.tier!r}")
        if not isinstance(self.note, str):
            raise TypeError(f"note must be a string, got {self.note!r}: put it in quotes")
        if self.when is not None:
            set_frozen(self, when=_tidy_when(self.when))

    def _inside(self, value: Any, what: str) -> Any:
        try:
            return self.check(value)
        except ValueError as error:
            raise ValueError(f"{what}: {error}") from None

    def __repr__(self) -> str:
        shown = dict(self._given())
        if self.when is not None:
            shown["when"] = {p: values[0] if len(values) == 1 else values for p, values in self.when.items()}
        positional = [repr(list(v) if name == "choices" else v) for name, v in shown.items() if name in _POSITIONAL]
        named = [f"{name}={v!r}" for name, v in shown.items() if name not in _POSITIONAL]
        return f"{type(self).__name__}({', '.join(positional + named)})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Parameter):
            return NotImplemented
        return canonical_text(self.to_json()) == canonical_text(other.to_json())  # tells 1 from True and from 1.0

    def __hash__(self) -> int:
        return int(fingerprint_of(canonical_text(self.to_json()))[:15], 16)

    def __reduce__(self) -> tuple[Any, ...]:
        return Parameter.from_json, (self.to_json(),)


_POSITIONAL = {"low", "high", "choices"}


def _tidy_when(when: Any) -> Mapping[str, list[Value]] | None:
    """Return ``when`` in one form: parents in alphabetical order, each with a list of values."""
    if not isinstance(when, Mapping):
        raise TypeError(f"when must be a mapping from a parent's name to its values, got {when!r}")
    tidy: dict[str, list[Value]] = {}
    for parent in sorted(when, key=str):
        if not isinstance(parent, str):
            raise TypeError(f"when must name its parents by strings, got {parent!r}")
        values = when[parent] if isinstance(when[parent], list) else [when[parent]]
        if not values:
            raise ValueError(f"when needs at least one value of {parent!r}, got an empty list: no value could hold")
        tidy[parent] = [to_choice(value) for value in values]
    return MappingProxyType(tidy) if tidy else None


def _check_range(kind: str, low: float, high: float, scale: Any, known: Iterable[str]) -> None:
    known = list(known)
    if scale not in known:
        raise ValueError(f"scale of {kind} must be one of {listed(known)}, got {scale!r}{nearest(scale, known)}")
    if low > high:
        raise ValueError(f"{kind} needs low <= high, got low={low!r}, high={high!r}: swap them")
    above, below = SCALES[scale].above, SCALES[scale].below
    if low <= above:
        raise ValueError(f"scale {scale!r} needs low above {above:g}, got low={low!r}: raise it or use 'linear'")
    if high >= below:
        raise ValueError(f"scale {scale!r} needs high below {below:g}, got high={high!r}: lower it or use 'linear'")


def _check_number(value: Any, low: float, high: float, kind: str) -> Any:
    value = plain(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"expected a {kind} from {low!r} to {high!r}, got {value!r}")
    return value


def _steps_between(low: float, high: float, step: float) -> int:
    """Return how many steps lead from low to high, which must be a whole number (within 1e-9 of itself)."""
    steps = (high - low) / step
    if steps >= LARGEST:
        raise ValueError(f"step {step!r} is too fine for the range from {low!r} to {high!r}: leave the step out")
    if abs(steps - round(steps)) > 1e-9 * max(1.0, steps):
        reached = low + math.floor(steps) * step
        raise ValueError(
            f"step must lead from low to high, got low={low!r}, high={high!r}, step={step!r}: "
            f"set high to {reached:.12g} or {reached + step:.12g}"
        )
    return round(steps)


def _check_step(step: float, scale: str) -> None:
    if scale != "linear":
        raise ValueError(f"step needs the linear scale, got scale={scale!r}: leave the step out")
    if step <= 0:
        raise ValueError(f"step must be above 0, got {step!r}: give the distance between neighbouring values")


@dataclass(frozen=True, eq=False, repr=False)
class Float(Parameter):
    """A real number from ``low`` to ``high``, both included and in the user's units; the two may be equal.

    ``scale`` is ``"linear"``, ``"log"``, ``"reverse_log"`` (log in 1 - x) or ``"logit"``. With ``step`` (linear scale
    only) the values are ``low, low + step, ..., high``, rounded to the decimals of ``low`` and ``step``.

    Raises:
        TypeError: a bound or step that is no number.
        ValueError: an inverted or infinite range, one the scale cannot hold, a step that does not lead from ``low`` to
            ``high``, a default or prior outside.

    >>> Float(0.25, 64.0, scale="log").grid(5)
    [0.25, 1.0, 4.0, 16.0, 64.0]
    """

    low: float
    high: float
    scale: ScaleName = "linear"
    step: float | None = field(default=None, kw_only=True)
    default: float | None = field(default=None, kw_only=True)
    _digits: int = field(init=False)  # decimals of the stepped values

    def __post_init__(self) -> None:
        low, high = to_float(self.low, "low"), to_float(self.high, "high")
        _check_range("Float", low, high, self.scale, SCALES)
        set_frozen(self, low=low, high=high, _digits=0, _axis=Line(low, high, self.scale))
        if self.step is not None:
            step = to_float(self.step, "step")
            _check_step(step, self.scale)
            if step < 8.0 * math.ulp(max(abs(low), abs(high))):
                raise ValueError(f"step {step!r} is too fine for numbers like {high!r}: leave the step out")
            exponents = [Decimal(repr(x)).as_tuple().exponent for x in (low, step)]
            digits = max(-exponent for exponent in exponents if isinstance(exponent, int))
            set_frozen(self, step=step, _digits=max(0, digits), _axis=Bins(_steps_between(low, high, step) + 1))
        self._check_shared()

    def check(self, value: Any) -> float:
        value = _check_number(value, self.low, self.high, "number")
        if self.step is None:
            return float(value)
        nearest = self._at(round((value - self.low) / self.step))
        if abs(nearest - value) > 1e-9 * self.step + 2.0 * math.ulp(nearest):
            raise ValueError(
                f"expected {self.low!r} plus a multiple of {self.step!r}, got {value!r}: the nearest is {nearest!r}"
            )
        return nearest

    def _at(self, place: Any) -> float:
        if self.step is None:
            return place  # type: ignore[no-any-return]
        return self.high if place >= self.count - 1 else round(self.low + place * self.step, self._digits)

    def _places(self, values: Sequence[Any]) -> Floats:
        x = _column(self, values, self.low, self.high)
        return x if self.step is None else np.rint((x - self.low) / self.step)


@dataclass(frozen=True, eq=False, repr=False)
class Int(Parameter):
    """A whole number from ``low`` to ``high``, both included, on the linear or log scale; the two may be equal.

    On the linear scale every value is equally likely, and ``step`` keeps ``low, low + step, ..., high`` only. On the
    log scale the value k owns the coordinates from ``log(k - 1/2)`` to ``log(k + 1/2)``.

    Raises:
        TypeError: a bound or step that is no number.
        ValueError: an inverted range, a fraction, a log scale from below 1, a step that does not lead from ``low`` to
            ``high``, bounds beyond 2**40, a default or prior outside.
    """

    low: int
    high: int
    scale: Literal["linear", "log"] = "linear"
    step: int | None = field(default=None, kw_only=True)
    default: int | None = field(default=None, kw_only=True)
    _first: int = field(init=False)  # the value at place 0, and the distance to the next
    _stride: int = field(init=False)

    def __post_init__(self) -> None:
        low, high = whole(self.low, "low"), whole(self.high, "high")
        _check_range("Int", low, high, self.scale, ("linear", "log"))
        set_frozen(self, low=low, high=high)
        if self.step is not None:
            set_frozen(self, step=whole(self.step, "step"))
            _check_step(self.step, self.scale)
        if self.scale == "log":
            set_frozen(self, _first=0, _stride=1, _axis=LogBins(low, high))
        else:
            stride = self.step or 1
            if self.step is None and high - low >= LARGEST:
                raise ValueError(
                    f"expected fewer than 2**40 whole numbers, got {low!r} to {high!r}: use Float or a step"
                )
            set_frozen(self, _first=low, _stride=stride, _axis=Bins(_steps_between(low, high, stride) + 1))
        self._check_shared()

    def check(self, value: Any) -> int:
        value = _check_number(value, self.low, self.high, "whole number")
        if value != int(value):
            raise ValueError(f"expected a whole number from {self.low!r} to {self.high!r}, got {value!r}")
        if (int(value) - self._first) % self._stride:
            nearest = self._at(round((value - self._first) / self._stride))
            raise ValueError(
                f"expected {self.low!r} plus a multiple of {self.step!r}, got {value!r}: the nearest is {nearest!r}"
            )
        return int(value)

    def _at(self, place: Any) -> int:
        return self._first + place * self._stride  # type: ignore[no-any-return]

    def _places(self, values: Sequence[Any]) -> Floats:
        return np.rint((_column(self, values, self.low, self.high) - self._first) / self._stride)


def _column(parameter: Parameter, values: Sequence[Any], low: float, high: float) -> Floats:
    """Return numbers as floats, shape ``(n,)``; raise ValueError about the first that is out of range."""
    x: Floats = np.array(values, dtype=np.float64)
    inside = (x >= low) & (x <= high)
    if not inside.all():
        parameter.check(values[int(np.argmin(inside))])
    return x


@dataclass(frozen=True, eq=False, repr=False)
class Choice(Parameter):
    """One of several values, each equally likely: strings, numbers, bools, None or tuples of them.

    ``ordered=True`` tells samplers that neighbours in the list behave alike (batch sizes, widths).

    Raises:
        TypeError: choices that JSON cannot carry, or no list of them.
        ValueError: no choices, two equal ones, a default or prior that is none of them.
    """

    choices: Sequence[Any]
    ordered: bool = False
    default: Any = field(default=UNSET, kw_only=True)
    _index: Mapping[Value, int] = field(init=False)

    def __post_init__(self) -> None:
        given: Any = self.choices
        if isinstance(given, str | bytes | Mapping | set | frozenset) or not isinstance(given, Iterable):
            raise TypeError(f"choices must be a list, got {given!r}: write Choice([...])")
        choices = tuple(to_choice(value) for value in given)
        if not choices:
            raise ValueError("choices must not be empty, got []: list at least one value")
        index: dict[Value, int] = {}
        for k, value in enumerate(choices):
            if value in index:
                raise ValueError(
                    f"choices must differ, got {choices[index[value]]!r} and {value!r}, which are equal in Python "
                    "(True == 1 == 1.0): drop one or use strings"
                )
            index[value] = k
        if not isinstance(self.ordered, bool):
            raise TypeError(f"ordered must be True or False, got {self.ordered!r}: put all choices into one list")
        set_frozen(self, choices=choices, _index=index, _axis=Bins(len(choices)))
        self._check_shared()

    def check(self, value: Any) -> Value:
        value = plain(value)
        try:
            k = self._index.get(value)
        except TypeError:  # unhashable
            k = None
        if k is None or isinstance(value, bool) != isinstance(self.choices[k], bool):
            hint = nearest(value, self.choices)
            raise ValueError(f"expected one of {listed(self.choices)}, got {value!r}{hint}")
        return self.choices[k]  # type: ignore[no-any-return]

    def _at(self, place: Any) -> Value:
        return self.choices[place]  # type: ignore[no-any-return]

    def _places(self, values: Sequence[Any]) -> Floats:
        try:
            places = [self._index[value] for value in values]
        except (KeyError, TypeError):
            places = [self._index[self.check(value)] for value in values]
        return np.array(places, dtype=np.float64)

    def grid(self, n: int = 1) -> list[Value]:
        """Return all choices, whatever ``n``."""
        grid_points(n)
        return list(self.choices)

    @property
    def is_categorical(self) -> bool:
        return not self.ordered

    @property
    def default_value(self) -> Value:
        return self.default if self.has_default else self.choices[0]  # type: ignore[no-any-return]


_KINDS: dict[str, type[Parameter]] = {"Float": Float, "Int": Int, "Choice": Choice}

"""Search spaces: parameters on their right scales, conditions between them, and their image in the unit cube.

One idea: every parameter is a law on the unit interval (see :mod:`tunewell.scales`). Uniform coordinates decode to
values with the right law, so samplers draw and compute in the unit cube and never meet a scale, a step or a condition.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from decimal import Decimal
from enum import Enum
from functools import cache
from keyword import iskeyword
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from tunewell.scales import LARGEST, SCALES, Axis, Bins, Floats, Line, LogBins, ScaleName

Value: TypeAlias = str | int | float | bool | tuple[Any, ...] | None
Config: TypeAlias = Mapping[str, Value]
Confidence: TypeAlias = Literal["low", "medium", "high"]

_STD = {"low": 0.3, "medium": 0.15, "high": 0.075}


class _Unset(Enum):
    UNSET = "not given"


_UNSET = _Unset.UNSET  # the default of Choice.default, because None may be a choice


# --- words and values -------------------------------------------------------------------------------------------------


def _nearest(word: object, known: Iterable[object]) -> str:
    """Return ``": did you mean 'x'?"`` for the known word that looks most like ``word``, or nothing."""
    close = difflib.get_close_matches(str(word), [k for k in known if isinstance(k, str)], n=1)
    return f": did you mean {close[0]!r}?" if close else ""


def _listed(values: Iterable[object]) -> str:
    shown = [repr(value) for value in values]
    return ", ".join(shown if len(shown) <= 12 else [*shown[:10], "...", shown[-1]])


def _plain(value: Any) -> Any:
    """Turn NumPy scalars into Python's and lists into tuples, at any depth; leave the rest alone."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        value = value.item()
    return tuple(map(_plain, value)) if isinstance(value, list | tuple) else value


def _jsonable(value: Any) -> Any:
    """Turn tuples into lists and mappings into dictionaries, at any depth."""
    if isinstance(value, Mapping):
        return {key: _jsonable(part) for key, part in value.items()}
    return [_jsonable(part) for part in value] if isinstance(value, list | tuple) else value


def _number(value: Any, what: str) -> int | float:
    value = _plain(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{what} must be a number, got {value!r}: write it without quotes, e.g. 0.1")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{what} must be finite, got {value!r}: choose the widest range that makes sense")
    return value


def _float(value: Any, what: str) -> float:
    try:
        return float(_number(value, what))
    except OverflowError:
        raise ValueError(f"{what} must fit in a float, got {value!r}: choose a smaller number") from None


def _whole(value: Any, what: str) -> int:
    number = _number(value, what)
    if number != int(number):
        raise ValueError(f"{what} must be a whole number, got {value!r}: round it or use Float")
    if abs(number) > LARGEST:
        raise ValueError(f"{what} must lie within ±2**40, got {value!r}: use Float for numbers as large as that")
    return int(number)


def _choice(value: Any) -> Value:
    """Return ``value`` as one of the plain types that JSON carries (tuples as lists)."""
    value = _plain(value) if not isinstance(value, list) else value
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"a choice must be finite, got {value!r}: use None or a name in its place")
        return float(value)
    if isinstance(value, tuple):
        return tuple(map(_choice, value))
    if isinstance(value, list):
        raise TypeError(f"a choice must not be a list, got {value!r}: use a tuple")
    raise TypeError(
        f"a choice must be a string, number, bool, None or a tuple of them, got {value!r}: "
        "use names and look them up in the objective"
    )


def _points(n: Any) -> int:
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ValueError(f"a grid needs a whole number of points per parameter, at least 1, got {n!r}")
    return int(n)


def _canonical_text(data: Mapping[str, Any]) -> str:
    return json.dumps(data, sort_keys=True, separators=(",", ":"))


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _set(frozen: object, **values: Any) -> None:
    for name, value in values.items():
        object.__setattr__(frozen, name, value)


# --- parameters -------------------------------------------------------------------------------------------------------


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
            hint = _nearest(self.confidence, _STD)
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

    def check(self, value: Any) -> Any:
        """Return ``value`` as plain Python of the right type; raise ValueError when it is not a possible value."""
        raise NotImplementedError

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

    def to_unit(self, value: Any) -> float:
        """Return the coordinate of a value; raise ValueError when it is not a possible value."""
        return float(self.to_units([self.check(value)])[0])

    def grid(self, n: int) -> list[Any]:
        """Return at most ``n`` values, evenly spaced on the scale, both ends included; one is the default value."""
        n = _points(n)
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
        data = {name: _jsonable(value) for name, value in self._given()}
        if self.prior is not None:
            data["prior"] = {"center": _jsonable(self.prior.center), "confidence": self.prior.confidence}
        return {"type": type(self).__name__, **data}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Parameter:
        """Rebuild a parameter from :meth:`to_json`."""
        given = dict(data)
        kind = _KINDS.get(given.pop("type", ""))
        if kind is None:
            raise ValueError(f"expected a parameter of type {_listed(_KINDS)}, got {data!r}")
        if "prior" in given:
            given["prior"] = Prior(**given["prior"])
        if "when" in given:
            given["when"] = {parent: list(_plain(values)) for parent, values in given["when"].items()}
        return kind(**{name: value if name == "when" else _plain(value) for name, value in given.items()})

    def _given(self) -> list[tuple[str, Any]]:
        """Return the arguments that differ from the signature's defaults, the positional ones first."""
        arguments = sorted((f for f in fields(self) if f.init), key=lambda f: bool(f.kw_only))
        pairs = [(f.name, getattr(self, f.name), f.default) for f in arguments]
        return [(name, value) for name, value, usual in pairs if value is not usual and value != usual]

    def _check_shared(self) -> None:
        """Check and tidy what all parameters share; called last in ``__post_init__``."""
        if self.has_default:
            _set(self, default=self._inside(self.default, "default"))
        if self.prior is not None:
            if not isinstance(self.prior, Prior):
                raise TypeError(f"prior must be a Prior, got {self.prior!r}: write Prior(center, confidence)")
            _set(self, prior=Prior(self._inside(self.prior.center, "prior's center"), self.prior.confidence))
        if self.tier is not None and (isinstance(self.tier, bool) or not isinstance(self.tier, int) or self.tier < 1):
            raise ValueError(f"tier must be a whole number from 1 (tuned first) on, got {self.tier!r}")
        if not isinstance(self.note, str):
            raise TypeError(f"note must be a string, got {self.note!r}: put it in quotes")
        if self.when is not None:
            _set(self, when=_tidy_when(self.when))

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
        return _canonical_text(self.to_json()) == _canonical_text(other.to_json())  # tells 1 from True and from 1.0

    def __hash__(self) -> int:
        return int(_fingerprint(_canonical_text(self.to_json()))[:15], 16)

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
        tidy[parent] = [_choice(value) for value in values]
    return MappingProxyType(tidy) if tidy else None


def _check_range(kind: str, low: float, high: float, scale: Any, known: Iterable[str]) -> None:
    known = list(known)
    if scale not in known:
        raise ValueError(f"scale of {kind} must be one of {_listed(known)}, got {scale!r}{_nearest(scale, known)}")
    if low > high:
        raise ValueError(f"{kind} needs low <= high, got low={low!r}, high={high!r}: swap them")
    above, below = SCALES[scale].above, SCALES[scale].below
    if low <= above:
        raise ValueError(f"scale {scale!r} needs low above {above:g}, got low={low!r}: raise it or use 'linear'")
    if high >= below:
        raise ValueError(f"scale {scale!r} needs high below {below:g}, got high={high!r}: lower it or use 'linear'")


def _check_number(value: Any, low: float, high: float, kind: str) -> Any:
    value = _plain(value)
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
        low, high = _float(self.low, "low"), _float(self.high, "high")
        _check_range("Float", low, high, self.scale, SCALES)
        _set(self, low=low, high=high, _digits=0, _axis=Line(low, high, self.scale))
        if self.step is not None:
            step = _float(self.step, "step")
            _check_step(step, self.scale)
            if step < 8.0 * math.ulp(max(abs(low), abs(high))):
                raise ValueError(f"step {step!r} is too fine for numbers like {high!r}: leave the step out")
            exponents = [Decimal(repr(x)).as_tuple().exponent for x in (low, step)]
            digits = max(-exponent for exponent in exponents if isinstance(exponent, int))
            _set(self, step=step, _digits=max(0, digits), _axis=Bins(_steps_between(low, high, step) + 1))
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
        low, high = _whole(self.low, "low"), _whole(self.high, "high")
        _check_range("Int", low, high, self.scale, ("linear", "log"))
        _set(self, low=low, high=high)
        if self.step is not None:
            _set(self, step=_whole(self.step, "step"))
            _check_step(self.step, self.scale)
        if self.scale == "log":
            _set(self, _first=0, _stride=1, _axis=LogBins(low, high))
        else:
            stride = self.step or 1
            _set(self, _first=low, _stride=stride, _axis=Bins(_steps_between(low, high, stride) + 1))
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
    default: Any = field(default=_UNSET, kw_only=True)
    _index: Mapping[Value, int] = field(init=False)

    def __post_init__(self) -> None:
        given: Any = self.choices
        if isinstance(given, str | bytes | Mapping | set | frozenset) or not isinstance(given, Iterable):
            raise TypeError(f"choices must be a list, got {given!r}: write Choice([...])")
        choices = tuple(_choice(value) for value in given)
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
        _set(self, choices=choices, _index=index, _axis=Bins(len(choices)))
        self._check_shared()

    def check(self, value: Any) -> Value:
        value = _plain(value)
        try:
            k = self._index.get(value)
        except TypeError:  # unhashable
            k = None
        if k is None or isinstance(value, bool) != isinstance(self.choices[k], bool):
            hint = _nearest(value, self.choices)
            raise ValueError(f"expected one of {_listed(self.choices)}, got {value!r}{hint}")
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
        _points(n)
        return list(self.choices)

    @property
    def is_categorical(self) -> bool:
        return not self.ordered

    @property
    def default_value(self) -> Value:
        return self.default if self.has_default else self.choices[0]  # type: ignore[no-any-return]


_KINDS: dict[str, type[Parameter]] = {"Float": Float, "Int": Int, "Choice": Choice}

# --- the space --------------------------------------------------------------------------------------------------------

Conditions: TypeAlias = tuple[tuple[str, tuple[Value, ...]], ...]  # parents with the values that switch a child on


def _holds(conditions: Conditions, config: Mapping[str, Any]) -> bool:
    """Tell whether every parent is there (so: active) with one of its values."""
    return all(parent in config and config[parent] in values for parent, values in conditions)


class Space(Mapping[str, Parameter]):
    """A set of named parameters: a mapping from names to parameters, parents before the parameters they switch on.

    Give the parameters by keyword, or in a dictionary for names with dots, or both. Spaces are immutable; they are
    equal when parameters, order and every argument are. Below, d is the number of parameters.

    Raises:
        TypeError: something that is no parameter, a name that is no string.
        ValueError: a name given twice, a condition on an unknown or Float parent, on a value the parent cannot have,
            or in a circle.

    >>> space = Space(optimizer=Choice(["sgd", "adam"]), nesterov=Choice([False, True], when={"optimizer": "sgd"}))
    >>> space.default()
    {'optimizer': 'sgd', 'nesterov': False}
    >>> space.default(optimizer="adam")
    {'optimizer': 'adam'}
    """

    __slots__ = ("_conditions", "_parameters", "_plan", "_text")

    def __init__(self, parameters: Mapping[str, Parameter] | None = None, /, **named: Parameter) -> None:
        if parameters is not None and not isinstance(parameters, Mapping):
            raise TypeError(f"a space needs a mapping from names to parameters, got {parameters!r}: use keywords")
        given = dict(parameters or {})
        for name, parameter in named.items():
            if name in given:
                raise ValueError(f"parameter {name!r} was given twice: in the dictionary and by keyword")
            given[name] = parameter
        for name, parameter in given.items():
            if not isinstance(name, str) or not name:
                raise TypeError(f"a parameter's name must be a string that is not empty, got {name!r}")
            if not isinstance(parameter, Parameter):
                raise TypeError(
                    f"parameter {name!r} must be a Float, Int or Choice, got {parameter!r}: "
                    f"write for example {name}=tw.Float(low, high) or {name}=tw.Choice([...])"
                )
        self._conditions = {name: _resolve(name, given) for name in given}
        self._parameters = {name: given[name] for name in _parents_first(self._conditions)}
        self._plan = tuple((name, p.from_unit, self._conditions[name]) for name, p in self._parameters.items())
        self._text = _canonical_text(self.to_json())

    # the mapping

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """The parameters by name, parents first."""
        return MappingProxyType(self._parameters)

    def __getitem__(self, name: str) -> Parameter:
        return self._parameters[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)

    def __eq__(self, other: object) -> bool:
        return self._text == other._text if isinstance(other, Space) else NotImplemented

    def __hash__(self) -> int:
        return int(self.fingerprint[:15], 16)

    def __reduce__(self) -> tuple[Any, ...]:
        return Space.from_json, (self.to_json(),)

    def __repr__(self) -> str:
        if not self:
            return "Space()"
        if all(name.isidentifier() and not iskeyword(name) for name in self):
            return "Space(\n" + "".join(f"    {name}={p!r},\n" for name, p in self.items()) + ")"
        return "Space({\n" + "".join(f"    {name!r}: {p!r},\n" for name, p in self.items()) + "})"

    # to and from JSON

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits, the same in every process; equal spaces have equal fingerprints."""
        return _fingerprint(self._text)

    def to_json(self) -> dict[str, Any]:
        """Return the space as plain JSON data."""
        return {"version": 1, "parameters": [{"name": name, **p.to_json()} for name, p in self.items()]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Space:
        """Rebuild a space from :meth:`to_json`; raise ValueError on anything else."""
        if not isinstance(data, Mapping) or data.get("version") != 1:
            raise ValueError(f"expected a space of version 1, got {data!r}: a newer Tunewell may have written it")
        try:
            parts = [dict(part) for part in data["parameters"]]
            return cls({part.pop("name"): Parameter.from_json(part) for part in parts})
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"expected the JSON data of a space, got something else ({error!r})") from error

    # configurations

    @property
    def conditions(self) -> Mapping[str, Mapping[str, tuple[Value, ...]]]:
        """For every parameter its parents, each with the values that switch it on; empty for most."""
        return {name: dict(conditions) for name, conditions in self._ordered_conditions()}

    def active(self, config: Config) -> tuple[str, ...]:
        """Return the names that are active given the values of ``config``, in the order of the space."""
        seen: dict[str, Any] = {}
        for name, conditions in self._ordered_conditions():
            if _holds(conditions, seen):
                seen[name] = _plain(config.get(name, _UNSET))
        return tuple(seen)

    def _ordered_conditions(self) -> Iterator[tuple[str, Conditions]]:
        return ((name, self._conditions[name]) for name in self._parameters)

    def check(self, config: Config) -> dict[str, Any]:
        """Return the canonical form of a configuration: the active parameters in order, values in plain Python.

        Raises:
            TypeError: ``config`` is no mapping.
            ValueError: unknown names, missing or inactive parameters, impossible values.
        """
        if not isinstance(config, Mapping):
            raise TypeError(f"a configuration must be a mapping from names to values, got {config!r}")
        self._check_names(config)
        tidy: dict[str, Any] = {}
        for name, conditions in self._ordered_conditions():
            if not _holds(conditions, tidy):
                if name in config:
                    raise ValueError(self._why_inactive(name, tidy))
            elif name not in config:
                raise ValueError(f"parameter {name!r} is missing: give it a value as in {self[name]!r}")
            else:
                tidy[name] = self._check_value(name, config[name])
        return tidy

    def _check_names(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self._parameters:
                hint = _nearest(name, self) or f": the parameters are {_listed(self)}"
                raise ValueError(f"unknown parameter {name!r}{hint}")

    def _check_value(self, name: str, value: Any) -> Any:
        try:
            return self._parameters[name].check(value)
        except ValueError as error:
            raise ValueError(f"parameter {name!r}: {error}") from None

    def _why_inactive(self, name: str, tidy: Mapping[str, Any]) -> str:
        parent, values = next(c for c in self._conditions[name] if not _holds((c,), tidy))
        found = f"it is {tidy[parent]!r}" if parent in tidy else "that one is not active itself"
        wanted = " or ".join(repr(value) for value in values)
        return f"parameter {name!r} is active only when {parent!r} is {wanted}, but {found}: leave it out"

    @property
    def has_default(self) -> bool:
        """Whether any parameter states a default."""
        return any(p.has_default for p in self.values())

    def default(self, overrides: Config | None = None, /, **named: Value) -> dict[str, Any]:
        """Return the default configuration, some of its values replaced.

        Overrides come by keyword, or in a mapping for names with dots, and are applied before conditions are resolved.

        Raises:
            ValueError: as :meth:`check`.
        """
        config = {name: _plain(value) for name, value in {**(overrides or {}), **named}.items()}
        self._check_names(config)
        for name, value in config.items():
            config[name] = self._check_value(name, value)
        for name, conditions in self._ordered_conditions():
            if name not in config and _holds(conditions, config):
                config[name] = self[name].default_value
        return self.check(config)

    def sample(self, rng: np.random.Generator) -> dict[str, Any]:
        """Draw a configuration, uniform in the unit cube; priors are left to samplers. Takes d numbers from ``rng``."""
        return self.decode_one(rng.random(len(self._plan)).tolist())

    # the unit cube

    def encode(self, configs: Sequence[Config]) -> Floats:
        """Return the coordinates in the unit cube, shape ``(n, d)``; parameters that a configuration lacks are NaN.

        The ends of a continuous range lie at exactly 0 and 1, other values in the middle of their bin. Expects
        configurations as :meth:`check` returns them.

        Raises:
            ValueError: a value that the parameter cannot have.
        """
        units = np.full((len(configs), len(self._plan)), np.nan)
        for j, (name, parameter) in enumerate(self._parameters.items()):
            rows = [i for i, config in enumerate(configs) if name in config]
            try:
                units[rows, j] = parameter.to_units([configs[i][name] for i in rows])
            except ValueError as error:
                raise ValueError(f"parameter {name!r}: {error}") from None
        return units

    def decode(self, units: ArrayLike) -> list[dict[str, Any]]:
        """Return the configurations at coordinates of shape ``(n, d)``; coordinates beyond 0 and 1 give the ends.

        Raises:
            ValueError: another shape, or NaN where a parameter is active.
        """
        array = np.asarray(units, dtype=np.float64)
        if array.ndim != 2:
            raise ValueError(f"expected coordinates of shape (n, {len(self)}), got shape {array.shape}")
        return [self.decode_one(row) for row in array.tolist()]

    def decode_one(self, unit: Sequence[float]) -> dict[str, Any]:
        """Return the configuration at one point of the unit cube, ``d`` coordinates; see :meth:`decode`."""
        if len(unit) != len(self._plan):
            raise ValueError(f"expected {len(self)} coordinates, one per parameter, got {len(unit)}")
        config: dict[str, Any] = {}
        name = ""
        try:
            for (name, from_unit, conditions), u in zip(self._plan, unit, strict=True):
                if not conditions or _holds(conditions, config):
                    config[name] = from_unit(u)
        except ValueError as error:
            raise ValueError(f"parameter {name!r}: {error}") from None
        return config

    # counting

    def grid(self, n: int | Mapping[str, int]) -> Iterator[dict[str, Any]]:
        """Return the distinct configurations of a grid with ``n`` points per parameter, the last parameter fastest.

        Points are spaced evenly on each scale, both ends included; one point is the default value. Choices always give
        all their values and need no entry when ``n`` is a mapping.

        Raises:
            ValueError: an unknown name, a missing name, a number of points below 1.
        """
        counts = n if isinstance(n, Mapping) else {name: _points(n) for name in self}
        self._check_names(counts)
        for name, parameter in self.items():
            if name not in counts and not isinstance(parameter, Choice):
                raise ValueError(f"parameter {name!r} needs a number of points: add it to the mapping")
        axes = [(name, p.grid(counts.get(name, 1)), self._conditions[name]) for name, p in self.items()]

        def extend(config: dict[str, Any], position: int) -> Iterator[dict[str, Any]]:
            if position == len(axes):
                yield config
                return
            name, values, conditions = axes[position]
            if not _holds(conditions, config):
                yield from extend(config, position + 1)
                return
            for value in values:
                yield from extend({**config, name: value}, position + 1)

        return extend({}, 0)

    @property
    def size(self) -> int | float:
        """The number of distinct configurations, or ``math.inf``."""
        told_apart: dict[str, set[Value]] = {}  # the values of a parent that some child's condition names
        last_child: dict[str, int] = {}
        for position, (_, conditions) in enumerate(self._ordered_conditions()):
            for parent, values in conditions:
                told_apart.setdefault(parent, set()).update(values)
                last_child[parent] = position
        parameters = list(self.items())

        @cache
        def count(position: int, known: tuple[tuple[str, Value | _Unset], ...]) -> int | float:
            if position == len(parameters):
                return 1
            name, parameter = parameters[position]
            later = tuple(pair for pair in known if last_child[pair[0]] > position)  # keeps the cache small
            if not _holds(self._conditions[name], dict(known)):
                return count(position + 1, later)
            if name not in told_apart:
                return parameter.count * count(position + 1, later)
            total = sum(count(position + 1, (*later, (name, value))) for value in told_apart[name])
            others = parameter.count - len(told_apart[name])
            return total + (others * count(position + 1, (*later, (name, _UNSET))) if others else 0)

        return count(0, ())


def _resolve(name: str, parameters: Mapping[str, Parameter]) -> Conditions:
    """Return the conditions of a parameter with the parents' own values."""
    resolved = []
    for parent, values in (parameters[name].when or {}).items():
        if parent not in parameters:
            hint = _nearest(parent, parameters) or f": the parameters are {_listed(parameters)}"
            raise ValueError(f"parameter {name!r} depends on {parent!r}, which the space does not have{hint}")
        if isinstance(parameters[parent], Float):
            raise ValueError(f"parameter {name!r} depends on {parent!r}, a Float: only Choice and Int can be parents")
        try:
            resolved.append((parent, tuple(dict.fromkeys(parameters[parent].check(value) for value in values))))
        except ValueError as error:
            raise ValueError(f"parameter {name!r} depends on an impossible value of {parent!r}: {error}") from None
    return tuple(resolved)


def _parents_first(conditions: Mapping[str, Conditions]) -> list[str]:
    """Return the names with parents before children, in the given order otherwise."""
    order: dict[str, None] = {}

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            circle = " -> ".join([*path[path.index(name) :], name])
            raise ValueError(f"conditions must not run in a circle, got {circle}: drop one of them")
        if name not in order:
            for parent, _ in conditions[name]:
                visit(parent, (*path, name))
            order[name] = None

    for name in conditions:
        visit(name, ())
    return list(order)

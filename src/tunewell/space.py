"""Search spaces: parameters on their right scales, conditions between them, and their image in the unit cube.

One idea: every parameter is a law on the unit interval (see :mod:`tunewell.scales`). Uniform coordinates decode to
values with the right law, so samplers draw and compute in the unit cube and never meet a scale, a step or a condition.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from keyword import iskeyword
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from tunewell import knowledge
from tunewell.lint import Finding, Plan, lint
from tunewell.parameters import Choice as Choice
from tunewell.parameters import Float as Float
from tunewell.parameters import Int as Int
from tunewell.parameters import Parameter as Parameter
from tunewell.parameters import Prior as Prior
from tunewell.scales import Floats, Lines
from tunewell.values import UNSET, Unset, canonical_text, fingerprint_of, grid_points, is_whole, listed, nearest, plain
from tunewell.values import Config as Config
from tunewell.values import Value as Value

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

    __slots__ = ("_conditions", "_hash", "_lines", "_parameters", "_plan", "_text")

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
            if not is_whole(name):
                raise ValueError(f"a parameter's name must be of whole characters, got {name!r}: give it another")
            if not isinstance(parameter, Parameter):
                raise TypeError(
                    f"parameter {name!r} must be a Float, Int or Choice, got {parameter!r}: "
                    f"write for example {name}=tw.Float(low, high) or {name}=tw.Choice([...])"
                )
        self._conditions = {name: _resolve(name, given) for name in given}
        self._parameters = {name: given[name] for name in _parents_first(self._conditions)}
        self._plan = tuple((name, p.from_unit, self._conditions[name]) for name, p in self._parameters.items())
        lines = {name: p.line for name, p in self._parameters.items() if p.line and not self._conditions[name]}
        self._lines = Lines(lines), np.array([name in lines for name in self._parameters], dtype=np.bool_)
        self._text = canonical_text(self.to_json())
        self._hash = int(self.fingerprint[:15], 16)

    @classmethod
    def of(cls, names: Iterable[str], *, domain: str = "generic", optimizer: str | None = None) -> Space:
        """Return a space of known hyperparameters, under the names that are given; see :meth:`Parameter.of`.

        With an optimizer among them, the ranges hold under any, and the default configuration is that of its default.

        Raises:
            TypeError: ``names`` is one string.
            ValueError: an unknown name, domain or optimizer.
        """
        if isinstance(names, str):
            raise TypeError(f"expected a list of names, got the string {names!r}: write Space.of([{names!r}])")
        names = list(names)
        searched = optimizer is None and any(knowledge.find(str(name), ambiguous=True) == "optimizer" for name in names)
        first = knowledge.explain("optimizer", domain=domain).default.value if searched else optimizer
        parameters = {}
        for name in names:
            default = knowledge.explain(name, domain=domain, optimizer=first).default.value
            parameters[name] = Parameter.of(name, domain=domain, optimizer=optimizer, default=default)
        return cls(parameters)

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
        return self._hash

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
        return fingerprint_of(self._text)

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
                seen[name] = plain(config.get(name, UNSET))
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
        self.check_names(config)
        tidy: dict[str, Any] = {}
        for name, conditions in self._ordered_conditions():
            if not _holds(conditions, tidy):
                if name in config:
                    raise ValueError(self._why_inactive(name, tidy))
            elif name not in config:
                raise ValueError(
                    f"parameter {name!r}, which is {self[name]!r}, is missing: give it a value, or let "
                    "space.default(**params) complete the configuration"
                )
            else:
                tidy[name] = self._check_value(name, config[name])
        return tidy

    def allows(self, config: Config) -> bool:
        """Whether a mapping is a configuration of this space."""
        try:
            self.check(config)
        except ValueError:
            return False
        return True

    def check_part(self, values: Config) -> dict[str, Any]:
        """Return the values of some parameters in canonical form; the others are left open.

        Raises:
            TypeError: ``values`` is no mapping.
            ValueError: unknown names, impossible values, or one that rules the parameter of another out.
        """
        if not isinstance(values, Mapping):
            raise TypeError(f"expected a mapping from names to values, got {values!r}")
        self.check_names(values)
        tidy = {name: self._check_value(name, values[name]) for name in self if name in values}
        for name, conditions in self._ordered_conditions():
            given = [c for c in conditions if c[0] in tidy]
            if name in tidy and not _holds(tuple(given), tidy):
                raise ValueError(self._why_inactive(name, {p: tidy[p] for p, _ in given}, given))
        return tidy

    def check_names(self, names: Iterable[str]) -> None:
        """Raise ValueError for a name that the space does not have; the nearest one is suggested."""
        for name in names:
            if name not in self._parameters:
                hint = nearest(name, self) or f": the parameters are {listed(self)}"
                raise ValueError(f"unknown parameter {name!r}{hint}")

    def _check_value(self, name: str, value: Any) -> Any:
        try:
            return self._parameters[name].check(value)
        except ValueError as error:
            raise ValueError(f"parameter {name!r}: {error}") from None

    def _why_inactive(self, name: str, tidy: Mapping[str, Any], conditions: Iterable[Any] | None = None) -> str:
        every = self._conditions[name] if conditions is None else conditions
        parent, values = next(c for c in every if not _holds((c,), tidy))
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
        config = {name: plain(value) for name, value in {**(overrides or {}), **named}.items()}
        self.check_names(config)
        for name, value in config.items():
            config[name] = self._check_value(name, value)
        for name, conditions in self._ordered_conditions():
            if name not in config and _holds(conditions, config):
                config[name] = self[name].default_value
        return self.check(config)

    def sample(self, rng: np.random.Generator) -> dict[str, Any]:
        """Draw a configuration, uniform in the unit cube; priors are left to samplers. Takes d numbers from ``rng``."""
        return self.decode_one(rng.random(len(self._plan)).tolist())

    def lint(
        self,
        domain: str | None = None,
        *,
        optimizer: str | None = None,
        trials: int | None = None,
        samples: int | None = None,
    ) -> tuple[Finding, ...]:
        """Return what a careful reader would point out about the space, warnings first; often nothing.

        Args:
            domain: where it is tuned, a key of :data:`tunewell.knowledge.DOMAINS`; None: any of them.
            optimizer: under which, a key of :data:`tunewell.knowledge.OPTIMIZERS`; None: any.
            trials: how many configurations are to be tried in all.
            samples: how many examples there are to train on.

        Raises:
            TypeError: a count that is no whole number.
            ValueError: an unknown domain or optimizer.

        >>> Space(lr=Float(1e-5, 1e-1, default=1e-3)).lint()[0].fix
        "write lr=tw.Float(1e-05, 0.1, scale='log', default=0.001)"
        """
        return lint(Plan(self, domain=domain, optimizer=optimizer, trials=trials, samples=samples))

    # the unit cube

    def encode(self, configs: Sequence[Config]) -> Floats:
        """Return the coordinates in the unit cube, shape ``(n, d)``; parameters that a configuration lacks are NaN.

        The ends of a continuous range lie at exactly 0 and 1, other values in the middle of their bin. Expects
        configurations as :meth:`check` returns them.

        Raises:
            ValueError: a value that the parameter cannot have.
        """
        units = np.full((len(configs), len(self._plan)), np.nan)
        lines, at_once = self._lines
        found = lines.units(configs) if len(configs) and at_once.any() else None
        if found is not None:
            units[:, at_once] = found
        for j, (name, parameter) in enumerate(self._parameters.items()):
            if found is not None and at_once[j]:
                continue
            rows = [i for i, config in enumerate(configs) if name in config]
            if not rows:
                continue
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
        counts = n if isinstance(n, Mapping) else {name: grid_points(n) for name in self}
        self.check_names(counts)
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
        def count(position: int, known: tuple[tuple[str, Value | Unset], ...]) -> int | float:
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
            return total + (others * count(position + 1, (*later, (name, UNSET))) if others else 0)

        return count(0, ())


def _resolve(name: str, parameters: Mapping[str, Parameter]) -> Conditions:
    """Return the conditions of a parameter with the parents' own values."""
    resolved = []
    for parent, values in (parameters[name].when or {}).items():
        if parent not in parameters:
            hint = nearest(parent, parameters) or f": the parameters are {listed(parameters)}"
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

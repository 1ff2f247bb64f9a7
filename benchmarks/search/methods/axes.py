"""A space in words that every peer understands: floats, whole numbers and categories, on linear or log scales.

What a peer has no word for is put as its users would: ``reverse_log`` is tuned as ``1 - x`` on the log scale, an
ordered choice as the whole number of its place. Peers that know conditions get them; to the others the space is flat,
and parameters that are not active are taken out before the evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tunewell.space import Choice, Float, Int, Parameter, Space


@dataclass(frozen=True)
class Axis:
    """One parameter as a peer sees it; ``value`` turns what the peer says into the parameter's value."""

    name: str
    kind: Literal["float", "int", "category"]
    low: float = 0
    high: float = 0
    log: bool = False
    choices: Sequence[Any] = ()
    when: Mapping[str, Sequence[Any]] | None = None
    reverse: bool = False

    def value(self, said: Any) -> Any:
        """Return the parameter's value."""
        if self.kind == "category":
            return said
        if self.choices:
            return self.choices[round(said)]
        if self.kind == "int":
            return min(max(round(said), int(self.low)), int(self.high))
        inside = min(max(float(said), self.low), self.high)
        return 1 - inside if self.reverse else inside


def axes(space: Space) -> list[Axis]:
    """Return the axes of a space, parents first."""
    return [_axis(name, parameter) for name, parameter in space.items()]


def flat(space: Space, described: Sequence[Axis], said: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration for what a peer says about every axis, without what is not active."""
    values = {axis.name: axis.value(said[axis.name]) for axis in described}
    return _inside(space, {name: values[name] for name in space.active(values)})


def said(space: Space, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a peer says for a configuration of the space: the other way round from ``Axis.value``."""
    described = {axis.name: axis for axis in axes(space)}
    return {name: _said(described[name], value) for name, value in config.items()}


def _said(axis: Axis, value: Any) -> Any:
    if axis.kind == "category":
        return value
    if axis.choices:
        return list(axis.choices).index(value)
    return min(max(1 - value, axis.low), axis.high) if axis.reverse else value


def active(axis: Axis, config: Mapping[str, Any]) -> bool:
    """Tell whether an axis exists, given the values of its parents."""
    return all(parent in config and config[parent] in values for parent, values in (axis.when or {}).items())


def _axis(name: str, parameter: Parameter) -> Axis:
    when = dict(parameter.when) if parameter.when else None
    if isinstance(parameter, Choice):
        if parameter.ordered:
            return Axis(name, "int", 0, len(parameter.choices) - 1, choices=parameter.choices, when=when)
        return Axis(name, "category", choices=parameter.choices, when=when)
    if isinstance(parameter, Int):
        return Axis(name, "int", parameter.low, parameter.high, log=parameter.scale == "log", when=when)
    if isinstance(parameter, Float) and parameter.scale == "reverse_log":
        return Axis(name, "float", 1 - parameter.high, 1 - parameter.low, log=True, when=when, reverse=True)
    if isinstance(parameter, Float) and parameter.scale in ("linear", "log") and parameter.step is None:
        return Axis(name, "float", parameter.low, parameter.high, log=parameter.scale == "log", when=when)
    raise ValueError(f"expected a parameter that every peer can tune, got {parameter!r}")


def _inside(space: Space, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration with floats moved into their range: 1 - (1 - x) may miss it by rounding."""
    moved = dict(config)
    for name, parameter in space.items():
        if name in moved and isinstance(parameter, Float):
            moved[name] = min(max(moved[name], parameter.low), parameter.high)
    return moved

"""A space as a ConfigSpace, for the peers that take one; all recorded spaces are without conditions."""

from __future__ import annotations

from collections.abc import Sequence

from ConfigSpace import Categorical, ConfigurationSpace, Float, Integer

from benchmarks.search.methods.axes import Axis


def configspace(described: Sequence[Axis], seed: int | None = None) -> ConfigurationSpace:
    """Return a space with these axes.

    Raises:
        ValueError: an axis has a condition.
    """
    space = ConfigurationSpace(seed=seed)
    for axis in described:
        if axis.when:
            raise ValueError(f"expected an axis without a condition, got {axis!r}")
        if axis.kind == "category":
            space.add(Categorical(axis.name, list(axis.choices)))
        elif axis.kind == "int":
            space.add(Integer(axis.name, (int(axis.low), int(axis.high)), log=axis.log))
        else:
            space.add(Float(axis.name, (axis.low, axis.high), log=axis.log))
    return space

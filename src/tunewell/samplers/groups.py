"""Groups: the parameters of a conditional space that are always active together.

Where a parameter is active follows from its conditions and those of its parents, their parents and so on: for each of
these parents the values under which the parameter can exist. Parameters for which that is the same form a group, so
every configuration has either all or none of them. Optuna finds the groups in the trials (``group=True``
of its multivariate TPE); here they are read off the space, which knows them before the first trial.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tunewell.scales import Floats
from tunewell.space import Space
from tunewell.surrogate.observations import Observations
from tunewell.values import Value


@dataclass(frozen=True, eq=False)
class Group:
    """Some of the ``d`` parameters of a space.

    Attributes:
        columns: their places in the order of the space, shape ``(k,)``.
        always: whether they are active in every configuration.
    """

    columns: NDArray[np.intp]
    always: bool

    def active(self, units: Floats) -> NDArray[np.bool_]:
        """Tell in which rows the group is active; a trial of an earlier space may lack some of its parameters."""
        if self.always:
            return np.ones(len(units), dtype=np.bool_)
        return np.asarray(~np.isnan(units[:, self.columns]).all(axis=1))

    def rows(self, units: Floats) -> Floats:
        """Return what rows of shape ``(n, d)`` say about the group, without those in which it is not active."""
        return units[self.active(units)][:, self.columns]

    def seen(self, seen: Observations) -> Observations:
        """Return the trials in which the group is active, with its parameters only."""
        active = seen.at(self.active(seen.units))
        return replace(
            active,
            units=active.units[:, self.columns],
            failed=self.rows(seen.failed),
            pending=self.rows(seen.pending),
        )


def whole(space: Space) -> tuple[Group, ...]:
    """Return all parameters as one group."""
    return (Group(np.arange(len(space)), always=True),)


@lru_cache(maxsize=16)
def groups(space: Space) -> tuple[Group, ...]:
    """Return the groups of a space, each after those with its parents."""
    chains: dict[str, Mapping[str, frozenset[Value]]] = {}
    members: dict[frozenset[tuple[str, frozenset[Value]]], list[int]] = {}
    for column, (name, own) in enumerate(space.conditions.items()):
        chains[name] = _chain(own, chains, space)
        members.setdefault(frozenset(chains[name].items()), []).append(column)
    return tuple(Group(np.array(columns), always=not chain) for chain, columns in members.items())


def _chain(
    own: Mapping[str, tuple[Value, ...]], chains: Mapping[str, Mapping[str, frozenset[Value]]], space: Space
) -> Mapping[str, frozenset[Value]]:
    """Return the values of all parents, near and far, with which a parameter can be active."""
    allowed: dict[str, frozenset[Value]] = {}
    for parent, values in own.items():
        for name, these in {**chains[parent], parent: frozenset(values)}.items():
            allowed[name] = allowed.get(name, these) & these
    return {name: values for name, values in allowed.items() if len(values) < space[name].count}  # else any will do

"""Where an acquisition function is largest: its terms, and the search of the cube.

An acquisition is a sum of terms: how much a configuration promises, that it works, that it keeps the constraints, that
somebody believes in it. The search begins with random points and local mutations of the best configurations, climbs
from the best of them by gradients along the axes that have any, and mutates what it arrives at once more, which moves
the other axes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tunewell.history import History
from tunewell.numerics import acquisition, gp
from tunewell.numerics.kernels import Indices
from tunewell.samplers.sobol import Sobol
from tunewell.samplers.untried import untried
from tunewell.scales import Floats
from tunewell.space import Config, Space
from tunewell.surrogate.beliefs import components
from tunewell.surrogate.cube import Cube
from tunewell.surrogate.observations import tried, values_of

_LISTED = 1000  # spaces up to this size are searched in full
_CLIMBERS = (3, 2)  # from the best points of all, and from the best ones far from what was tried
_CLIMBS = 10
_DRAWS = 200  # until one is new


class Term(Protocol):
    """A part of an acquisition function, to be maximised."""

    def value(self, units: Floats) -> Floats:
        """Return the term at coordinates, shape ``(m, d)`` to ``(m,)``."""
        ...

    def value_and_slopes(self, units: Floats) -> tuple[Floats, Floats]:
        """Return the term and its gradient, ``(m,)`` and ``(m, d)``."""
        ...


@dataclass(frozen=True, eq=False)
class Measured:
    """A term that depends on a process's mean and deviation only."""

    cube: Cube
    model: gp.GaussianProcess
    measure: acquisition.Measure

    def value(self, units: Floats) -> Floats:
        """Return the term at coordinates, shape ``(m, d)`` to ``(m,)``."""
        return self.measure(*self.model.predict(units[:, self.cube.free]))[0]

    def value_and_slopes(self, units: Floats) -> tuple[Floats, Floats]:
        """Return the term and its gradient, ``(m,)`` and ``(m, d)``."""
        slopes = np.zeros(units.shape)
        value, slopes[:, self.cube.free] = self.model.measured(units[:, self.cube.free], self.measure)
        return value, slopes


@dataclass(frozen=True, eq=False)
class Sum:
    """The sum of terms."""

    terms: Sequence[Term]

    def value(self, units: Floats) -> Floats:
        """Return the sum at coordinates, shape ``(m, d)`` to ``(m,)``."""
        return reduce(np.add, [term.value(units) for term in self.terms])

    def value_and_slopes(self, units: Floats) -> tuple[Floats, Floats]:
        """Return the sum and its gradient, ``(m,)`` and ``(m, d)``."""
        found = [term.value_and_slopes(units) for term in self.terms]
        return reduce(np.add, [value for value, _ in found]), reduce(np.add, [slopes for _, slopes in found])


@dataclass(frozen=True, eq=False)
class Mixture:
    """The log of the mean of terms that are logs, with the logs of their shares."""

    terms: Sequence[Term]
    log_shares: Sequence[float]

    def value(self, units: Floats) -> Floats:
        """Return the log mean at coordinates, shape ``(m, d)`` to ``(m,)``."""
        if len(self.terms) == 1:
            return self.terms[0].value(units)
        parts = [term.value(units) + share for term, share in zip(self.terms, self.log_shares, strict=True)]
        total: Floats = np.logaddexp.reduce(parts, axis=0)
        return total

    def value_and_slopes(self, units: Floats) -> tuple[Floats, Floats]:
        """Return the log mean and its gradient, ``(m,)`` and ``(m, d)``."""
        if len(self.terms) == 1:
            return self.terms[0].value_and_slopes(units)
        values, slopes = (np.array(each) for each in zip(*[t.value_and_slopes(units) for t in self.terms], strict=True))
        values = values + np.array(self.log_shares)[:, None]
        total = np.logaddexp.reduce(values, axis=0)
        return total, np.einsum("km,kmd->md", np.exp(values - total), slopes)


@dataclass(frozen=True, eq=False)
class Slice:
    """A part of the cube to search: some columns vary, the others stay where they are.

    Attributes:
        columns: those that vary, shape ``(k,)``.
        base: where the others stay, shape ``(d,)``, without NaN.
    """

    columns: Indices
    base: Floats

    def hold(self, units: Floats) -> Floats:
        """Return coordinates of shape ``(n, d)`` moved into the slice."""
        held = np.tile(self.base, (len(units), 1))
        held[:, self.columns] = units[:, self.columns]
        return held

    def moving(self, d: int) -> NDArray[np.bool_]:
        """Return which of ``d`` columns vary."""
        varied = np.zeros(d, dtype=np.bool_)
        varied[self.columns] = True
        return varied


def best_units(
    cube: Cube,
    target: Term,
    top: Floats,
    candidates: int,
    rng: np.random.Generator,
    believed: Floats | None = None,
    part: Slice | None = None,
) -> Floats:
    """Return coordinates where ``target`` is large, shape ``(k, d)``, the largest first.

    Args:
        cube: the space.
        target: what to maximise.
        top: good configurations to mutate, shape ``(n, d)``.
        candidates: points to begin with, half of them near ``top``.
        rng: draws them.
        believed: points that follow a belief, which stand for some of the random ones.
        part: the slice of the cube that is searched; None: all of it.
    """
    snap = cube.snap if part is None else lambda units: cube.snap(part.hold(units))
    d, half = len(cube.counts), candidates // 2
    world = rng.random((half, d))
    if believed is not None:
        world[: len(believed)] = believed[:half]
    near = cube.mutate(top[rng.integers(len(top), size=candidates - half)], rng, (-3.0, -0.5), 5)
    units = snap(np.concatenate([world, near]))
    value = target.value(units)
    order = np.argsort(-value, kind="stable")
    begin = units[np.concatenate([order[: _CLIMBERS[0]], order[order < half][: _CLIMBERS[1]]])]
    free = cube.smooth & ~np.isnan(begin)
    if part is not None:
        free &= part.moving(d)
    raw, found = acquisition.climb(target.value_and_slopes, begin, free, _CLIMBS)
    climbed = snap(np.nan_to_num(raw, nan=0.5))
    if not np.array_equal(climbed, raw, equal_nan=True):
        found = target.value(climbed)
    best = climbed[np.argsort(-found, kind="stable")[:2]]
    fine = snap(cube.mutate(best[rng.integers(len(best), size=48)], rng, (-4.0, -1.5), 3))
    units = np.concatenate([climbed, fine, units[order[:32]]])
    value = np.concatenate([found, target.value(fine), value[order[:32]]])
    return units[np.argsort(-value, kind="stable")]


def largest(
    cube: Cube,
    space: Space,
    history: History,
    target: Term,
    top: Floats,
    candidates: int,
    rng: np.random.Generator,
) -> Config:
    """Return the configuration with the largest acquisition found that has not been tried.

    Raises:
        Exhausted: everything has been tried.
    """
    found = next(ranked(cube, space, history, target, top, candidates, rng), None)
    return anything_new(space, history, rng) if found is None else found


def ranked(
    cube: Cube,
    space: Space,
    history: History,
    target: Term,
    top: Floats,
    candidates: int,
    rng: np.random.Generator,
    part: Slice | None = None,
) -> Iterator[Config]:
    """Yield configurations that have not been tried, those with a large acquisition, the largest first.

    With ``part`` only those of a slice; there may be none.

    Raises:
        Exhausted: everything has been tried.
    """
    done = tried(space, history)
    if cube.size <= _LISTED:
        units = space.encode(untried(space, history, rng))
        if part is not None:
            units = units[_inside(cube, part, units)]
        units = units[np.argsort(-target.value(units), kind="stable")]
    else:
        follow = drawn(cube, space, history, candidates // 4, rng)
        units = best_units(cube, target, top, candidates, rng, follow, part)
    for unit in units:
        config = space.decode_one(np.nan_to_num(unit, nan=0.5).tolist())
        if values_of(space, config) not in done:
            yield config


def _inside(cube: Cube, part: Slice, units: Floats) -> NDArray[np.bool_]:
    """Return which rows lie in a slice; a column that is not active lies anywhere."""
    held = cube.snap(part.base[None, :])[0]
    gaps = np.abs(units - held)
    gaps[:, part.columns] = 0.0
    inside: NDArray[np.bool_] = (np.isnan(gaps) | (gaps < 1e-9)).all(axis=1)
    return inside


def first(cube: Cube, space: Space, history: History, rng: np.random.Generator) -> Config:
    """Return a configuration to begin with: the middle of the ranges, then a scrambled Sobol sequence.

    Where something is believed, it begins there, and every other one follows the belief.

    Raises:
        Exhausted: everything has been tried.
    """
    config: Config
    believed = drawn(cube, space, history, 1, rng)
    if believed is not None and history.suggested % 2 == 0:
        config = space.decode_one(believed[0].tolist())
    elif not history.trials:
        config = space.decode_one([0.5] * len(space))
    else:
        config = Sobol().suggest(space, history, rng)
    return config if values_of(space, config) not in tried(space, history) else anything_new(space, history, rng)


def drawn(cube: Cube, space: Space, history: History, n: int, rng: np.random.Generator) -> Floats | None:
    """Return n points that follow what is believed, shape ``(n, d)``, or None where nothing is.

    Before the first trial the very centre.
    """
    centers, stds = components(cube, space, history)
    if not len(centers):
        return None
    which = rng.integers(len(centers), size=n)
    said = ~np.isnan(centers[which])
    units = np.where(said, centers[which], 0.5 if not history.trials else rng.random((n, centers.shape[1])))
    if not history.trials:
        return units
    moved = units + stds[which] * rng.standard_normal(units.shape)
    moved = np.abs(moved)  # reflected at the ends of the range
    moved = np.clip(np.where(moved > 1.0, 2.0 - moved, moved), 0.0, 1.0)
    another = rng.random(units.shape) < stds[which]  # of an unordered choice
    moved = np.where(cube.categorical, np.where(another, rng.random(units.shape), units), moved)
    return np.where(said, moved, units)


def anything_new(space: Space, history: History, rng: np.random.Generator) -> Config:
    """Return a random configuration that has not been tried, if one is found.

    Raises:
        Exhausted: everything has been tried.
    """
    done = tried(space, history)
    for config in _draws(space, rng):
        if values_of(space, config) not in done:
            return config
    left = untried(space, history, rng) if space.size < np.inf else []
    return left[0] if left else config


def in_words(chance: float) -> str:
    """Return a probability as a person says it: ``"12 %"``, ``"3.4 %"``, ``"less than 0.1 %"``."""
    if chance < 1e-3:
        return "less than 0.1 %"
    if chance > 0.99:
        return "more than 99 %"
    return f"{100.0 * chance:.{0 if chance >= 0.1 else 1}f} %"


def _draws(space: Space, rng: np.random.Generator) -> Iterator[Config]:
    return (space.sample(rng) for _ in range(_DRAWS))

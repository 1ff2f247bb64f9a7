"""Coarse to fine: the whole space first, then closer and closer to where the evidence points, never all of it there.

What an expert does by hand with a random search: run some trials, look where the best ones lie, narrow the ranges of
the parameters that clearly matter, and go on; widen a range again when the best value sits at its new end. Here it is a
rule, so that it can be replayed and says why it did what it did.

Results are taken in the order in which trials first came to rest (see :mod:`tunewell.samplers.results`), a stage at a
time. After each stage, on every parameter's own scale (the unit cube):

1. *Widen.* Where the best trial of all lies beyond the box, or near an end of it that is not the end of the range, that
   end moves out by the box's width beyond the trial.
2. *Zoom.* Of the trials inside the box, so that all were drawn alike, the best fifth span an interval. A parameter is
   narrowed to that interval and a margin only if it matters there: by the test of :mod:`tunewell.numerics.rankfit` on
   ranks, the other parameters adjusted for once there are enough trials, at ``level`` divided by the number of
   parameters (Bonferroni), so that a stage of pure noise rarely zooms at all.
3. *Categories.* One that does worse than the others inside the box (Mann and Whitney's test, one-sided, the same level)
   is dropped, never the last; it comes back when a trial from outside of the box has it and is among the best fifth.

A share of the suggestions is drawn from the whole space whatever happens: the price of not being fooled, and what lets
a dropped category or a far better region come back. Both kinds come from Latin hypercubes of a stage's size (McKay,
Beckman and Conover 1979): evenly spread along every parameter, and each parameter independent of the others. The tests
rely on that, and a Sobol sequence does not give it: of its first 16 points in seven dimensions, those in the lower half
of one axis may all lie in the lower half of another, and what the one does is blamed on the other.

All goals count (by fronts), constraints come first, and what diverged or failed is worst. Priors and beliefs are not
used: ``"tpe"`` takes those, and gets lower on smooth valleys; this one says why it is where it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu, qmc

from tunewell import options
from tunewell.history import History
from tunewell.memo import remembered
from tunewell.numerics.pareto import Places
from tunewell.numerics.rankfit import parabolas, probability_by_chance
from tunewell.protocols import Suggestion
from tunewell.samplers.results import Results, places, results
from tunewell.samplers.untried import fresh
from tunewell.scales import Floats
from tunewell.space import Config, Parameter, Space

_LONGER = 20  # a stage is at least this part of all results, so that there are few of them in long studies
_FEWEST = 8  # results before anything is concluded
_MARGIN = 0.15  # beyond the best, at least, as a share of their span
_EDGE = 0.1  # the outer part of a box where the best trial calls for more room
_PER_COLUMN = 1.5  # trials for each column of a fit
_WORTH = 0.85  # a zoom that keeps more than this of the width is none
_WHOLE = 0.95  # a box wider than this is the whole range


@dataclass(frozen=True)
class CoarseToFine:
    """Evenly spread draws from a box that follows the evidence.

    Attributes:
        stage: results between two looks at the evidence; None takes ``2 (d + 1)``, from 8 to 16, for d parameters.
        best: the share of the trials in the box that a zoom keeps, above 0 and below 1.
        outside: the share of suggestions from the whole space, above 0 and below 1.
        level: the probability with which a stage zooms into noise, at most.
        narrowest: the smallest width of a box, in the unit cube.

    >>> import tunewell as tw
    >>> sampler = tw.samplers.CoarseToFine(outside=0.3)
    """

    stage: int | None = None
    best: float = 0.2
    outside: float = 0.2
    level: float = 0.05
    narrowest: float = 0.1

    def __post_init__(self) -> None:
        if self.stage is not None:
            options.whole("CoarseToFine", "stage", self.stage, 2)
        for name, usual in (("best", 0.2), ("outside", 0.2), ("level", 0.05)):
            if not options.between(getattr(self, name), 0.0, 1.0):
                raise ValueError(
                    f"CoarseToFine expected {name} between 0 and 1, such as {usual}, got {getattr(self, name)!r}"
                )
        if not options.between(self.narrowest, 0.0, 1.0, ends=True) or self.narrowest == 0.0:
            raise ValueError(f"CoarseToFine expected narrowest above 0 and up to 1, got {self.narrowest!r}")

    def length(self, space: Space) -> int:
        """Return how many results a stage has, at least."""
        return self.stage or min(16, max(8, 2 * (len(space) + 1)))

    def suggest(self, space: Space, history: History, rng: np.random.Generator) -> Suggestion:
        """Return a point of the box, or of the whole space, with what the stage is about.

        Raises:
            Exhausted: the space is finite, and everything has been tried.
        """
        if not len(space):
            return Suggestion({})
        box = _stages(history, self, space).advance(self, space, results(space, history))
        index = history.suggested
        whole = not box.zoomed or math.floor((index + 1) * self.outside) > math.floor(index * self.outside)
        units = [_point(len(space), history.seed, index, self.length(space))]

        def propose() -> Config:
            unit = units.pop() if units else rng.random(len(space))
            return space.decode_one((unit if whole else box.inside(unit)).tolist())

        config = fresh(space, history, rng, propose)
        note = box.note
        known = any(each.text == note for each in history.notes)
        return Suggestion(config, box.reason(space, whole=whole), "" if known else note)


# --- the box ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Box:
    """Where most suggestions come from, for d parameters.

    Attributes:
        stage: counted from 1.
        low, high: the ends, shape ``(d,)``, in the unit cube.
        dropped: the places of the categories that are left out, each with the number of results until then, by column.
        since: the stage at which each parameter's part was last changed, 0 for never, by column.
        changes: what this stage changed, in words.
        counts: how many values each parameter of categories has, by column.
    """

    stage: int
    low: Floats
    high: Floats
    dropped: Mapping[int, Mapping[int, int]] = field(default_factory=dict)
    since: Mapping[int, int] = field(default_factory=dict)
    changes: tuple[str, ...] = ()
    counts: Mapping[int, int] = field(default_factory=dict)

    @property
    def zoomed(self) -> bool:
        """Whether it is less than the whole space."""
        return bool(self.dropped) or bool((self.high - self.low < 1.0).any())

    def inside(self, unit: Floats) -> Floats:
        """Return the point of the box at a point of the unit cube, shape ``(d,)``."""
        found = self.low + unit * (self.high - self.low)
        for column, dropped in self.dropped.items():
            left = [place for place in range(self.counts[column]) if place not in dropped]
            found[column] = (left[int(unit[column] * len(left))] + 0.5) / self.counts[column]
        return found

    def holds(self, units: Floats) -> NDArray[np.bool_]:
        """Return which rows of shape ``(n, d)`` lie inside; a parameter that is not active lies anywhere."""
        nowhere = np.isnan(units)
        held = (((units >= self.low) & (units <= self.high)) | nowhere).all(axis=1)
        for column, dropped in self.dropped.items():
            place = _places(units[:, column], self.counts[column])
            held &= ~np.isin(place, list(dropped)) | nowhere[:, column]
        return np.asarray(held)

    def part(self, name: str, parameter: Parameter, column: int) -> str:
        """Return what is left of a parameter in words."""
        if column in self.dropped:
            gone = [_shown(value) for place, value in enumerate(_listed(parameter)) if place in self.dropped[column]]
            return f"{name} without {', '.join(gone)}"
        return f"{name} in {_span(parameter, self.low[column], self.high[column])}"

    def reason(self, space: Space, *, whole: bool) -> str:
        """Return why a trial of this stage is where it is."""
        if not self.zoomed:
            said = "; ".join(self.changes) or "the whole space" + (
                ", as no parameter's best values lie together" if self.stage > 1 else ""
            )
        elif whole:
            said = "outside the box, anywhere in the space, lest something be missed"
        else:
            kept = [
                f"{self.part(name, parameter, column)} since stage {self.since[column]}"
                for column, (name, parameter) in enumerate(space.items())
                if 0 < self.since.get(column, 0) < self.stage and self._narrowed(column)
            ]
            said = "; ".join([*self.changes, *kept])
        return f"stage {self.stage}: {said}"

    @property
    def note(self) -> str:
        """Return what this stage changed as a remark; empty when nothing."""
        return f"coarse to fine, stage {self.stage}: {'; '.join(self.changes)}" if self.changes else ""

    def _narrowed(self, column: int) -> bool:
        return column in self.dropped or bool(self.high[column] - self.low[column] < 1.0)


@lru_cache(maxsize=64)
def _block(dimension: int, seed: int, number: int, size: int) -> Floats:
    """Return a Latin hypercube, shape ``(size, dimension)``: one point in each of ``size`` slices of every axis."""
    return np.asarray(qmc.LatinHypercube(dimension, rng=np.random.default_rng([seed, number, dimension])).random(size))


def _point(dimension: int, seed: int, index: int, size: int) -> Floats:
    """Return a point of the unit cube, shape ``(dimension,)``, from hypercubes of ``size`` points each."""
    number, row = divmod(index, size)
    return np.array(_block(dimension, seed, number, size)[row])


def _places(units: Floats, count: int) -> Places:
    """Return the categories at coordinates, shape ``(n,)``; -1 where not active."""
    return np.where(np.isnan(units), -1, np.floor(np.nan_to_num(units) * count)).astype(np.intp)


@lru_cache(maxsize=256)
def _listed(parameter: Parameter) -> Sequence[object]:
    return parameter.grid(int(parameter.count))


def _chance(p: float) -> str:
    return f"p = {p:.1g}" if p >= 1e-4 else "p < 0.0001"


def _span(parameter: Parameter, low: float, high: float) -> str:
    ends = [_shown(parameter.from_unit(end)) for end in (low, high)]
    return "..".join(dict.fromkeys(ends))  # one value may be all that is left of whole numbers


def _shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


# --- from stage to stage ----------------------------------------------------------------------------------------------


def _first(space: Space) -> _Box:
    counts = {k: int(p.count) for k, p in enumerate(space.values()) if p.is_categorical}
    return _Box(1, np.zeros(len(space)), np.ones(len(space)), counts=counts)


def _after(box: _Box, sampler: CoarseToFine, space: Space, seen: Results) -> _Box:
    """Return the box of the next stage, given all results until then."""
    free = [(column, name, parameter) for column, (name, parameter) in enumerate(space.items()) if parameter.count > 1]
    level = sampler.level / max(1, len(free))
    place = places(seen.losses, seen.violations)
    order = np.argsort(place, kind="stable")
    best, held = seen.units[order[0]], box.holds(seen.units)
    top = order[: math.ceil(len(order) * sampler.best)]
    low, high, dropped, since = box.low.copy(), box.high.copy(), dict(box.dropped), dict(box.since)
    changes: list[str] = []
    for column, name, parameter in free:
        rows = np.flatnonzero(held & ~np.isnan(seen.units[:, column]))
        before = len(changes)
        if parameter.is_categorical:
            category = _places(seen.units[:, column], box.counts[column])
            back = _returned(dropped.get(column, {}), category, top)
            worse = _worse(place[rows], category[rows], level)
            left_out = {k: count for k, count in dropped.get(column, {}).items() if k not in back}
            dropped[column] = left_out | dict.fromkeys(worse, len(seen))
            labels = [_shown(label) for label in _listed(parameter)]
            changes += [f"{name} with {labels[k]} again since it is among the best" for k in back]
            changes += [f"{name} without {labels[k]} since it does worse ({_chance(p)})" for k, p in worse.items()]
        elif (wider := _widened(low[column], high[column], best[column])) is not None:
            low[column], high[column] = wider
            found = _shown(parameter.from_unit(best[column]))
            evidence = f"since the best value, {found}, is at the edge or beyond"
            changes.append(f"{name} widened to {_span(parameter, *wider)} {evidence}")
        elif len(rows) >= _FEWEST:
            p = _by_chance(seen.units[rows], place[rows], column, box.counts)
            good = rows[np.argsort(place[rows], kind="stable")][: math.ceil(len(rows) * sampler.best)]
            new = _around(seen.units[good, column], sampler.narrowest)
            if p <= level and new[1] - new[0] < _WORTH * (high[column] - low[column]):
                low[column], high[column] = new
                evidence = f"since the best {len(good)} of {len(rows)} lie there ({_chance(p)})"
                changes.append(f"{name} zoomed to {_span(parameter, *new)} {evidence}")
        if len(changes) > before:
            since[column] = box.stage + 1
    dropped = {column: left_out for column, left_out in dropped.items() if left_out}
    return _Box(box.stage + 1, low, high, dropped, since, tuple(changes), box.counts)


def _widened(low: float, high: float, best: float) -> tuple[float, float] | None:
    """Return a wider interval where the best value lies at an end that is not the end of the range, or beyond."""
    width = high - low
    below, above = low > 0.0 and best < low + _EDGE * width, high < 1.0 and best > high - _EDGE * width
    if not below and not above:  # NaN, too
        return None
    wider = (
        max(0.0, min(low, best) - width) if below else low,
        min(1.0, max(high, best) + width) if above else high,
    )
    return wider if wider[1] - wider[0] < _WHOLE else (0.0, 1.0)


def _by_chance(units: Floats, place: Places, column: int, counts: Mapping[int, int]) -> float:
    """Return how likely the evidence that a parameter matters would be if it did not.

    What the other parameters do is taken out, as far as all rows have them and there are enough rows for it.
    """
    others = [k for k in range(units.shape[1]) if k != column and not np.isnan(units[:, k]).any()]
    numbers = parabolas(units[:, [k for k in others if k not in counts]])
    labels = [_places(units[:, k], counts[k])[:, None] == np.arange(1, counts[k]) for k in others if k in counts]
    nuisance = np.concatenate([numbers, *labels], axis=1)
    if len(units) < _PER_COLUMN * (3 + nuisance.shape[1]):
        nuisance = nuisance[:, :0]
    return probability_by_chance(units[:, column], nuisance, place.astype(np.float64))


def _around(good: Floats, narrowest: float) -> tuple[float, float]:
    """Return the interval of the good ones with a margin on both sides: half their mean gap or a little more.

    The margin may reach out of the box they were found in, where the good ones lie at its end.
    """
    first, last = float(good.min()), float(good.max())
    margin = (last - first) * max(0.5 / max(1, len(good) - 1), _MARGIN)
    spare = max(0.0, narrowest - (last - first + 2.0 * margin)) / 2.0
    low, high = first - margin - spare, last + margin + spare
    return max(0.0, low - max(0.0, high - 1.0)), min(1.0, high - min(0.0, low))  # moved in, not cut off


def _returned(dropped: Mapping[int, int], category: Places, top: Places) -> list[int]:
    """Return the dropped categories that a result since then, among the ``top`` rows, has."""
    return [k for k, count in dropped.items() if (category[top[top >= count]] == k).any()]


def _worse(place: Places, category: Places, level: float) -> dict[int, float]:
    """Return the categories that do worse than the others, with the probability of as much by chance; never all."""
    found: dict[int, float] = {}
    if len(place) < _FEWEST:
        return found
    for one in np.unique(category).tolist():
        its, others = place[category == one], place[category != one]
        if len(its) and len(others):
            p = float(mannwhitneyu(its, others, alternative="greater").pvalue)
            if p <= level:
                found[one] = p
    return found if len(found) < len(np.unique(category)) else {}


# --- stages that are over ---------------------------------------------------------------------------------------------


@dataclass(eq=False)
class _Stages:
    """The box after the stages that are over, and the results that they took."""

    box: _Box
    used: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))  # numbers of trials

    def advance(self, sampler: CoarseToFine, space: Space, seen: Results) -> _Box:
        """Return the box after all stages that the results fill."""
        if not np.array_equal(seen.numbers[: len(self.used)], self.used):  # a late result belongs further up
            self.box, self.used = _first(space), self.used[:0]
        usual = sampler.length(space)
        while True:
            end = len(self.used) + max(usual, len(self.used) // _LONGER)
            if end > len(seen):
                return self.box
            so_far = Results(seen.units[:end], seen.losses[:end], seen.violations[:end], seen.numbers[:end])
            self.box, self.used = _after(self.box, sampler, space, so_far), so_far.numbers


@remembered
def _stages(history: History, sampler: CoarseToFine, space: Space) -> _Stages:
    return _Stages(_first(space))

"""CMA-ES: a normal law that walks, stretches and turns towards the better half of every generation.

Hansen, "The CMA evolution strategy: a tutorial", arXiv:1604.00772, with the margin for integers and probabilities for
categories of :mod:`tunewell.numerics.cmaes`, and restarts after Hansen, "Benchmarking a BI-population CMA-ES on the
BBOB-2009 function testbed" (GECCO workshop, 2009). The method of choice for a thousand cheap trials and more, for
long curved valleys, and wherever the order of the losses can be trusted more than their size: it uses ranks only.

The whole state is rebuilt from the history. Trials that this sampler suggested make up generations in the order in
which they first came to rest, so one slow trial never holds the others up; a new trial is drawn from the law after the
last full generation. What counts is the loss a trial first rested with: later stretches of training do not rewrite the
past. Trials that keep the constraints come before those that do not, which are ordered by how far they are off (see
:mod:`tunewell.numerics.feasibility`). A trial that diverged, ran out of memory or time, or failed is the worst of its
generation. Trials that were cancelled or are lost are left out, and so are those that others chose: they only decide,
like the first design, where the first law starts. Several goals: trials are ordered by how many others beat them in
every goal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from tunewell import options
from tunewell.history import History, TrialRecord
from tunewell.memo import remembered
from tunewell.numerics import cmaes
from tunewell.numerics.cmaes import Normal, Places, Strategy
from tunewell.numerics.feasibility import breach_in_medians
from tunewell.samplers.results import Result, encoded, first_result
from tunewell.samplers.sobol import Sobol
from tunewell.samplers.untried import fresh
from tunewell.scales import Floats
from tunewell.space import Config, Space
from tunewell.surrogate.cube import bin_walls

_TOL_X = 1e-10  # a law narrower than this, in the unit cube, has converged
_TOL_FUN = 1e-12  # relative range of the losses of the last generations
_WORST_CONDITION = 1e14


@dataclass(frozen=True)
class CMAES:
    """Covariance matrix adaptation on the unit cube.

    Attributes:
        sigma: the first step size; the unit cube has edges of length 1.
        population: trials a generation, at least 4; None takes ``4 + 3 log(n_params)``.
        design: quasi-random trials before the first generation; the law starts at the best of them, of the default
            configuration and of what others chose before. None takes the size of a generation; 0 starts at the
            default configuration, which lies in the middle unless the space says otherwise.
        restarts: whether a law that has converged or is stuck is replaced by a new one elsewhere, by turns with a
            larger population and with a small one.

    >>> import tunewell as tw
    >>> sampler = tw.samplers.CMAES(sigma=0.2)
    """

    sigma: float = 0.1
    population: int | None = None
    design: int | None = None
    restarts: bool = True

    def __post_init__(self) -> None:
        if not options.between(self.sigma, 0.0):
            raise ValueError(f"CMAES expected sigma above 0, such as 0.1, got {self.sigma!r}")
        if self.population is not None:
            options.whole("CMAES", "population", self.population, 4)
        if self.design is not None:
            options.whole("CMAES", "design", self.design, 0)
        options.yes_or_no("CMAES", "restarts", self.restarts)

    def suggest(self, space: Space, history: History, rng: np.random.Generator) -> Config:
        """Return a draw from the law after the last full generation.

        Raises:
            Exhausted: every configuration of the space has been tried.
        """
        plan = _plan(space)
        if not plan.size:
            return fresh(space, history, rng, lambda: space.decode_one([0.5] * len(space)))
        design = self._design(plan)
        if history.suggested < design:
            return fresh(space, history, rng, lambda: Sobol().suggest(space, history, rng))
        run = _generations(history, self, space).advance(self, history, plan, design)
        # walls and bins make it likely that some point comes up again
        return fresh(space, history, rng, lambda: space.decode_one(plan.draw(run, rng).tolist()))

    # the defaults that hang on the space

    def _design(self, plan: _Plan) -> int:
        return self._population(plan) if self.design is None else self.design

    def _population(self, plan: _Plan) -> int:
        return self.population or max(4, cmaes.default_population(plan.size))


# --- the space as CMA-ES sees it --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Plan:
    """Which columns of the unit cube belong to the normal law, and which to the categories."""

    n_columns: int
    numbers: Places
    edges: dict[int, Floats]  # of the integers among the numbers, by their position there
    labels: Places
    counts: tuple[int, ...]  # values of each label

    @property
    def size(self) -> int:
        """The number of parameters that can vary."""
        return len(self.numbers) + len(self.labels)

    def draw(self, run: _Run, rng: np.random.Generator) -> Floats:
        """Return a point of the unit cube, shape ``(n_columns,)``."""
        point = np.full(self.n_columns, 0.5)
        if len(self.numbers):
            point[self.numbers] = np.clip(cmaes.draw(run.law, rng), 0.0, 1.0)
        for column, q in zip(self.labels, run.probabilities, strict=True):
            place = np.searchsorted(np.cumsum(q)[:-1], rng.random(), side="right")
            point[column] = (place + 0.5) / len(q)
        return point

    def places(self, units: Floats, k: int) -> Places:
        """Return the values of label k in rows of the unit cube, -1 where not active."""
        column = units[:, self.labels[k]]
        found = np.where(np.isnan(column), -1, np.floor(np.nan_to_num(column) * self.counts[k]))
        return found.astype(np.intp)


@lru_cache(maxsize=16)
def _plan(space: Space) -> _Plan:
    numbers: list[int] = []
    labels: list[int] = []
    edges: dict[int, Floats] = {}
    counts: list[int] = []
    for column, parameter in enumerate(space.values()):
        if parameter.count == 1:
            continue
        if parameter.is_categorical:
            labels.append(column)
            counts.append(int(parameter.count))
            continue
        walls = bin_walls(parameter)
        if walls is not None:
            edges[len(numbers)] = walls
        numbers.append(column)
    return _Plan(len(space), np.array(numbers, np.intp), edges, np.array(labels, np.intp), tuple(counts))


# --- a run: from start to restart -------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Run:
    """The law after some generations, and what tells when it is stuck."""

    strategy: Strategy
    law: Normal
    probabilities: tuple[Floats, ...]
    best: tuple[float, ...] = ()  # the smallest loss of each generation
    number: int = 0  # restarts before it
    large: int = 1  # the factor of the largest population so far
    spent: tuple[int, int] = (0, 0)  # trials of the runs with large and with small populations
    small: bool = False

    @property
    def population(self) -> int:
        """Trials a generation."""
        return self.strategy.population

    @property
    def window(self) -> int:
        """Generations after which a best loss that has not moved means that the run is stuck."""
        return 10 + math.ceil(30 * self.strategy.dimension / self.population)

    def after(self, plan: _Plan, units: Floats, results: Sequence[Result], uniform: Floats) -> _Run:
        """Return the run after a generation: λ rows of the unit cube and their results."""
        s = self.strategy
        losses, breaches = np.array([one.losses for one in results]), _breaches(results)
        units = units[_order(losses, breaches)]
        law, learnt = self.law, self.probabilities
        if (
            np.not_equal(losses, losses[0]).any() or np.not_equal(breaches, breaches[0]).any()
        ):  # a flat generation tells nothing
            if len(plan.numbers):
                points = cmaes.latent(law, plan.edges, units[:, plan.numbers], uniform)
                law = cmaes.update(law, s, points)
                law = cmaes.keep_margin(law, plan.edges, 1.0 / (s.dimension * s.population))
            kinds = len(plan.labels)
            learnt = tuple(cmaes.learn(q, s, plan.places(units, k), kinds) for k, q in enumerate(learnt))
        spent = (self.spent[0] + s.population * (not self.small), self.spent[1] + s.population * self.small)
        best = (*self.best[1 - self.window :], float(losses[breaches == breaches.min(), 0].min()))
        return replace(self, law=law, probabilities=learnt, best=best, spent=spent)

    def stuck(self, plan: _Plan) -> bool:
        """Tell whether nothing more is to be had from this run."""
        window = self.window
        recent = np.array(self.best[-window:])
        if len(recent) == window:
            largest = np.abs(recent).max() or 1.0
            scaled = recent / largest if np.isfinite(largest) else np.isfinite(recent).astype(np.float64)
            if np.ptp(scaled) <= _TOL_FUN:
                return True
        real = [j for j in range(len(plan.numbers)) if j not in plan.edges]
        if not real:
            return False
        lengths = self.law.lengths
        narrow = bool((self.law.deviations[real] < _TOL_X).all())
        return narrow or lengths.max() ** 2 > _WORST_CONDITION * max(lengths.min() ** 2, 1e-300)


def _first(sampler: CMAES, space: Space, plan: _Plan, history: History, begun: list[_Begun]) -> _Run:
    """Return the run at the best point of the design and of what others chose before it, else at the default."""
    known = [row for row in sorted(begun, key=lambda row: row.number) if np.isfinite(row.result.losses).all()]
    if known:
        results = [row.result for row in known]
        center = known[_order(np.array([one.losses for one in results]), _breaches(results))[0]].unit
    else:
        center = space.encode([space.default()])[0]
    return _started(sampler.sigma, sampler._population(plan), plan, center)


def _started(sigma: float, population: int, plan: _Plan, center: Floats) -> _Run:
    s = cmaes.strategy(max(1, len(plan.numbers)), population)
    law = cmaes.start(np.nan_to_num(center[plan.numbers], nan=0.5), sigma)
    probabilities = []
    for column, count in zip(plan.labels, plan.counts, strict=True):
        q = np.full(count, 1.0 / count)
        if not np.isnan(center[column]):  # half the belief goes to where the run starts
            q *= 0.5
            q[int(center[column] * count)] += 0.5
        probabilities.append(q)
    return _Run(s, cmaes.keep_margin(law, plan.edges, 1.0 / (s.dimension * population)), tuple(probabilities))


def _next(sampler: CMAES, plan: _Plan, run: _Run, rng: np.random.Generator) -> _Run:
    """Return the run after a restart, at a random place: with a larger population, or by turns with a small one."""
    usual = sampler._population(plan)
    center, luck = rng.random(plan.n_columns), rng.random(2)
    if run.spent[1] < run.spent[0] and run.number > 0:  # the small runs have had less
        population = int(usual * (0.5 * run.large) ** (luck[0] ** 2))
        fresh = _started(sampler.sigma * 10.0 ** (-2.0 * luck[1]), max(usual, population), plan, center)
        return replace(fresh, number=run.number + 1, large=run.large, spent=run.spent, small=True)
    fresh = _started(sampler.sigma, usual * 2 * run.large, plan, center)
    return replace(fresh, number=run.number + 1, large=2 * run.large, spent=run.spent)


def _breaches(results: Sequence[Result]) -> Floats:
    """Return by how much each result breaks the constraints, shape ``(λ,)``."""
    return breach_in_medians(np.array([one.margins for one in results]).reshape(len(results), -1))


def _order(losses: Floats, breaches: Floats) -> Places:
    """Return the rows of losses, shape ``(λ, n_goals)``, from the best to the worst; equal ones keep their order.

    Whatever went wrong is the worst, whether it keeps the constraints or not. With one goal these are the places of
    :func:`tunewell.samplers.results.places`; several count as one number here, where that goes by fronts.
    """
    wrong = ~np.isfinite(losses).all(axis=1)
    return np.lexsort((_merit(losses), np.where(wrong, 0.0, breaches), wrong))


def _merit(losses: Floats) -> Floats:
    """Return a number for each row of losses, the smaller the better."""
    if losses.shape[1] == 1:
        return losses[:, 0]
    beats = (losses[:, None] <= losses).all(axis=2) & (losses[:, None] < losses).any(axis=2)
    ranks = np.argsort(np.argsort(losses, axis=0, kind="stable"), axis=0, kind="stable")
    merit = np.empty(len(losses))
    merit[np.lexsort((ranks.sum(axis=1), beats.sum(axis=0)))] = np.arange(len(losses))
    return merit


# --- the generations so far -------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Begun:
    """A result from before the first generation."""

    number: int
    unit: Floats
    result: Result


class _Generations:
    """What a history has told so far: the results that make up generations, and the run after the full ones."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self._begin()

    def _begin(self) -> None:
        self.read = 0  # entries of history.settled
        self.counted = 0  # trials, started or more
        self.own: set[int] = set()  # the trials that the sampler suggested
        self.first_drawn = math.inf  # the first trial that came from a law
        self.seen: set[int] = set()
        self.doubtful: list[int] = []  # at rest, but without a result so far
        self.units: list[Floats] = []  # results in the order of rest
        self.results: list[Result] = []
        self.begun: list[_Begun] = []  # what decides on the start
        self.used = 0
        self.run: _Run | None = None

    def advance(self, sampler: CMAES, history: History, plan: _Plan, design: int) -> _Run:
        """Return the run after all full generations."""
        if any(first_result(history, history.trials[number]) for number in self.doubtful):
            self._begin()  # one that rested without a result has one now, which belongs further up
        self._read(history, design)
        run = self.run or _first(sampler, self.space, plan, history, self.begun)
        while len(self.units) - self.used >= run.population:
            rows = slice(self.used, self.used + run.population)
            uniform = np.random.default_rng([history.seed, self.used]).random((run.population, len(plan.numbers)))
            run = run.after(plan, np.array(self.units[rows]), self.results[rows], uniform)
            self.used += run.population
            if sampler.restarts and run.stuck(plan):
                run = _next(sampler, plan, run, np.random.default_rng([history.seed, run.number, self.used]))
        self.run = run
        return run

    def _read(self, history: History, design: int) -> None:
        for record in history.trials[self.counted :]:
            if record.origin == "sampler":
                if len(self.own) == design:
                    self.first_drawn = record.number
                self.own.add(record.number)
        self.counted = len(history.trials)
        fresh: list[tuple[TrialRecord, Result]] = []
        for number in history.settled[self.read :]:
            if number in self.seen:
                continue
            self.seen.add(number)
            record = history.trials[number]
            result = first_result(history, record)
            if result is None:
                self.doubtful.append(number)
            elif number in self.own or number < self.first_drawn:
                fresh.append((record, result))
        self.read = len(history.settled)
        units = encoded(self.space, [record.params for record, _ in fresh])
        for (record, result), unit in zip(fresh, units, strict=True):
            if unit is None:
                continue
            if record.number < self.first_drawn:
                self.begun.append(_Begun(record.number, unit, result))
                self.run, self.used = None, 0  # the start itself has moved
            else:
                self.units.append(unit)
                self.results.append(result)


@remembered
def _generations(history: History, sampler: CMAES, space: Space) -> _Generations:
    return _Generations(space)

"""NSGA-II: a population that keeps whole fronts, and of a front the part that is spread out most.

Deb, Pratap, Agarwal and Meyarivan, "A fast and elitist multiobjective genetic algorithm: NSGA-II", IEEE Transactions on
Evolutionary Computation 6 (2002), with simulated binary crossover and polynomial mutation (see
:mod:`tunewell.numerics.variation`). With N the size of a generation:

    P_0 = the first N results; Q_t = the next N; P_t+1 = the N best of P_t and Q_t                        (N1)
    parents: each the better of two random members of P_t, in the crowded-comparison order ≺_n            (N2)
    ≺_n: the lower front first, within a front the larger crowding distance                               (N3)

It takes any number of goals and any kind of parameter and uses the order of losses only. For some hundred trials and
more; with fewer, ``"tpe"`` learns faster.

Where we differ. Generations are the results in the order in which trials first came to rest, N at a time, so one slow
trial holds nothing up: children are bred from the last full generation while late ones of the one before still run. The
first generation is quasi-random, or drawn from the priors and around the beliefs where any are stated. An unordered
choice is inherited from either parent alike, and mutates to any other value; whole numbers and ordered choices are
crossed over on their scale, and mutate by at least one place. A parameter that only one parent has is that parent's;
one that neither has is drawn, from its prior where stated. A trial that diverged, failed, or ran out of memory or time
is the worst, and constraints go by constrained domination (section VI). A finite space gives no configuration twice
while equal configurations have equal losses. The η are smaller: Deb et al. take 20 for both and 25,000 trials, fewer
trials need larger steps.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tunewell import options
from tunewell.history import History
from tunewell.memo import remembered
from tunewell.numerics.pareto import Places
from tunewell.numerics.variation import polynomial_step, simulated_binary_crossover
from tunewell.samplers.offspring import Parent, changed, founder, grown, parents_of
from tunewell.samplers.results import Results, places, results
from tunewell.samplers.untried import fresh
from tunewell.space import Config, Space
from tunewell.surrogate.cube import cube_of


@dataclass(frozen=True)
class NSGA2:
    """NSGA-II.

    Attributes:
        population: N, at least 2: more cover the front more densely, and need more trials for a generation.
        crossover: the probability that a child has two parents, between 0 and 1.
        eta_crossover: η of the crossover: the larger, the nearer children are to a parent.
        mutation: the probability with which each parameter mutates; None takes one in the number of parameters.
        eta_mutation: η of the mutation: the larger, the smaller its steps.

    >>> import tunewell as tw
    >>> sampler = tw.samplers.NSGA2(population=50)
    """

    population: int = 20
    crossover: float = 0.9
    eta_crossover: float = 10.0
    mutation: float | None = None
    eta_mutation: float = 5.0

    def __post_init__(self) -> None:
        options.whole("NSGA2", "population", self.population, 2)
        for name in ("crossover", "mutation"):
            share = getattr(self, name)
            if share is not None and not options.between(share, 0.0, 1.0, ends=True):
                raise ValueError(f"NSGA2 expected {name} between 0 and 1, got {share!r}")
        for name in ("eta_crossover", "eta_mutation"):
            if not options.between(getattr(self, name), 0.0, ends=True):
                raise ValueError(f"NSGA2 expected {name} of 0 or more, such as 20, got {getattr(self, name)!r}")

    def suggest(self, space: Space, history: History, rng: np.random.Generator) -> Config:
        """Return a child of the population after the last full generation.

        Raises:
            Exhausted: every configuration of the space has been tried.
        """
        seen = results(space, history)
        young = max(history.suggested, len(seen)) < self.population
        members = _generations(history, self.population).after(seen)
        if young or not np.isfinite(seen.losses[members]).all(axis=1).any():
            return founder(space, history, rng)
        place = places(seen.losses[members], seen.violations[members])

        def child() -> Config:
            rivals = rng.integers(len(members), size=(2, 2))  # (N2)
            winners = np.where(place[rivals[:, 0]] <= place[rivals[:, 1]], rivals[:, 0], rivals[:, 1])
            first, second = parents_of(seen, members[winners], history)
            return self._child(space, first, second, rng)

        return fresh(space, history, rng, child)

    def _child(self, space: Space, first: Parent, second: Parent, rng: np.random.Generator) -> Config:
        """Return a child of two parents."""
        labels = cube_of(space).categorical
        unit = first.unit.copy()
        if rng.random() < self.crossover:
            units = (first.unit, second.unit)
            mother, father = (np.where(np.isnan(a), b, a) for a, b in (units, units[::-1]))
            crossed = simulated_binary_crossover(mother, father, self.eta_crossover, rng)
            half = rng.random(len(space)) < 0.5  # of the parameters, as in the authors' code
            unit = np.where(half, np.where(labels, father, crossed), mother)
        parameters, free = list(space.values()), cube_of(space).counts > 1
        rate = 1.0 / max(1, int(free.sum())) if self.mutation is None else self.mutation
        steps = polynomial_step(np.nan_to_num(unit, nan=0.5), self.eta_mutation, rng)
        for column in np.flatnonzero((rng.random(len(space)) < rate) & free & ~np.isnan(unit)):
            unit[column] = changed(parameters[column], unit[column], steps[column], rng)
        return grown(space, unit, rng, first, second)


@dataclass(eq=False, slots=True)
class _Generations:
    """The population after the full generations so far: which of the results survive."""

    population: int
    used: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))  # numbers of trials
    members: Places = field(default_factory=lambda: np.arange(0))

    def after(self, seen: Results) -> Places:
        """Return the rows of the last full population; of the results so far while the first one is not complete."""
        if not np.array_equal(seen.numbers[: len(self.used)], self.used):  # a late result belongs further up
            self.used, self.members = self.used[:0], self.members[:0]
        while (end := len(self.used) + self.population) <= len(seen):
            rows = np.append(self.members, np.arange(len(self.used), end))
            place = places(seen.losses[rows], seen.violations[rows])
            self.members = np.sort(rows[np.argsort(place, kind="stable")[: self.population]])  # (N1), (N3)
            self.used = seen.numbers[:end]
        return self.members if len(self.used) else np.arange(len(seen))


@remembered
def _generations(history: History, population: int) -> _Generations:
    return _Generations(population)

"""Evolution without a gradient: regularised (ageing) evolution, differential evolution, and steps around one point.

Three small algorithms that take the configurations they start from out of the history:

* :class:`Evolution`: Real, Aggarwal, Huang and Le, "Regularized evolution for image classifier architecture search"
  (AAAI 2019), Algorithm 1. The best of a few drawn from the newest trials is mutated. The old die, however good they
  were, so what was lucky once has to be found again by its children: it bears noise, and spaces made of choices.
* :class:`DE`: Storn and Price, "Differential evolution: a simple and efficient heuristic for global optimization over
  continuous spaces", Journal of Global Optimization 11 (1997). Steps are differences between members of the
  population, so their size and direction fit the losses; for continuous spaces and some hundred trials.
* :class:`Perturb`: normal steps around a configuration: to polish a good one, or to see what it is sensitive to.

The population is derived from the trials, whoever chose them: see :mod:`tunewell.samplers.results` for what counts as
their loss. Trials that diverged, failed, or ran out of memory or time are the worst; one that runs belongs to no
population yet, so no trial waits for another. Steps are made in the unit cube, that is on each parameter's own scale.
A finite space gives no configuration twice while equal configurations have equal losses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tunewell import options
from tunewell.history import History
from tunewell.numerics.feasibility import breach_in_medians
from tunewell.numerics.pareto import Places, non_dominated
from tunewell.numerics.variation import mirrored
from tunewell.protocols import Exhausted
from tunewell.samplers.offspring import Parent, changed, founder, grown, parents_of
from tunewell.samplers.results import Results, places, results
from tunewell.samplers.untried import fresh
from tunewell.scales import Floats
from tunewell.space import Config, Space, Value
from tunewell.surrogate.cube import cube_of
from tunewell.surrogate.observations import Observations, observe, values_of
from tunewell.values import set_frozen

_MOVING = 0.1  # of many active parameters
_FINEST = 1.0 / 32.0  # the smallest step size, as a share of the largest


@dataclass(frozen=True)
class Evolution:
    """Regularised evolution.

    With P results or more, S of the P newest are drawn with replacement; the best of them is the parent; a child is
    the parent with one active parameter changed (Algorithm 1, the loop); of more than ten each with a chance of a
    tenth, for of sixty, of which few matter, one at a time would change next to nothing. Before that the trials are a
    quasi-random design, or draws from the priors and around the beliefs where any are stated;
    Real et al. draw at random.

    A number moves by a normal step (mirrored at the ends of the range, at least one place) whose size is drawn
    log-uniformly between ``spread`` and a 32nd of it, since the right one is not known; an unordered choice takes
    another value at random. Parameters that become active keep the parent's value if it has one, or else are drawn,
    from their priors where stated. Real et al. mutate architectures, which have choices only.

    Several goals: a tournament goes to the lowest front, then to the loneliest by crowding distance. Constraints: to
    who keeps them, then to who breaks them least.

    Attributes:
        population: P, the trials that may become parents: fewer forget faster.
        tournament: S, the trials of which the best becomes one: more is greedier.
        spread: the largest step size, in the unit cube.

    >>> import tunewell as tw
    >>> sampler = tw.samplers.Evolution(population=50, tournament=10)
    """

    population: int = 20
    tournament: int = 5
    spread: float = 0.3

    def __post_init__(self) -> None:
        for name, least in (("population", 2), ("tournament", 1)):
            options.whole("Evolution", name, getattr(self, name), least)
        _check_spread("Evolution", self.spread)

    def suggest(self, space: Space, history: History, rng: np.random.Generator) -> Config:
        """Return a child of the winner of a tournament.

        Raises:
            Exhausted: every configuration of the space has been tried.
        """
        seen = results(space, history)
        alive = np.arange(len(seen))[-self.population :]
        young = max(history.suggested, len(seen)) < self.population
        if young or not np.isfinite(seen.losses[alive]).all(axis=1).any():
            return founder(space, history, rng)
        place = places(seen.losses[alive], seen.violations[alive])

        def child() -> Config:
            sample = rng.integers(len(alive), size=self.tournament)
            (winner,) = parents_of(seen, [alive[sample[np.argmin(place[sample])]]], history)
            return self._mutated(space, winner, rng)

        return fresh(space, history, rng, child)

    def _mutated(self, space: Space, parent: Parent, rng: np.random.Generator) -> Config:
        """Return a configuration that differs from the parent in some active parameters, and in what they switch on."""
        unit = parent.unit.copy()
        active = np.flatnonzero(~np.isnan(unit) & (cube_of(space).counts > 1))
        if len(active):
            moving = active[rng.random(len(active)) < _MOVING] if len(active) > 1.0 / _MOVING else ()
            size = self.spread * _FINEST ** rng.random()
            parameters = list(space.values())
            for column in moving if len(moving) else [rng.choice(active)]:
                unit[column] = changed(parameters[column], unit[column], size * rng.standard_normal(), rng)
        return grown(space, unit, rng, parent)


@dataclass(frozen=True)
class DE:
    """Differential evolution, DE/rand-to-best/1/bin.

    Trial k competes with the others whose number leaves the same remainder k mod NP; the best of them is member
    k mod NP of the population (the newest of equals, so that it drifts on a plateau). A new trial for member i is

        v = x_r1 + F (x_best - x_r1) + F (x_r2 - x_r3)         r1, r2, r3 and i all different               (D1)
        u_j = v_j with probability CR and for one j, else x_ij                                              (D2)

    with F drawn for each trial between the two ``weights``. A member is replaced as soon as a better trial ends, not
    when the whole generation has, so the population does not depend on the order in which parallel trials end. A
    coordinate beyond a wall is mirrored there.

    Where (D1) means nothing: an unordered choice takes x_best's value instead of x_r1's with probability F, and any
    value with probability F where x_r2 and x_r3 differ. A parameter that is not active in x_r1 starts from x_best's
    value, or else x_i's, or else is drawn, from its prior where stated; one that x_r2 or x_r3 lacks has no difference.

    The first NP trials are a quasi-random design, or draws from the priors and around the beliefs where any are stated.
    A trial that went wrong is no member: a child for its place crosses over with x_r1. Several goals: the smallest sum
    of ranks is best, which looks for compromises; for whole fronts take ``"nsga2"``.

    Attributes:
        population: NP, at least 5; more is slower and surer.
        weights: the smallest and the largest F, between 0 and 2.
        crossover: CR, between 0 and 1: low where parameters act each for itself.

    >>> import tunewell as tw
    >>> sampler = tw.samplers.DE(population=30)
    """

    population: int = 20
    weights: tuple[float, float] = (0.4, 0.8)
    crossover: float = 0.9

    def __post_init__(self) -> None:
        options.whole("DE", "population", self.population, 5)
        pair = isinstance(self.weights, tuple | list) and len(self.weights) == 2
        pair = pair and all(options.between(weight, 0.0, 2.0, ends=True) for weight in self.weights)
        if not pair or not 0.0 < self.weights[0] <= self.weights[1]:
            raise ValueError(f"DE expected weights such as (0.4, 0.8), from above 0 up to 2, got {self.weights!r}")
        set_frozen(self, weights=tuple(self.weights))
        if not options.between(self.crossover, 0.0, 1.0, ends=True):
            raise ValueError(f"DE expected a crossover between 0 and 1, such as 0.9, got {self.crossover!r}")

    def suggest(self, space: Space, history: History, rng: np.random.Generator) -> Config:
        """Return a rival for the member whose turn it is.

        Raises:
            Exhausted: every configuration of the space has been tried.
        """
        seen = results(space, history)
        members = self._members(seen)
        if max(history.suggested, len(seen)) < self.population or len(members) < 4:
            return founder(space, history, rng)
        rival_of = np.flatnonzero(seen.numbers[members] % self.population == len(history.trials) % self.population)
        target = int(rival_of[0]) if len(rival_of) else None
        family = parents_of(seen, members, history)
        return fresh(space, history, rng, lambda: self._child(space, family, target, rng))

    def _members(self, seen: Results) -> Places:
        """Return the rows of the members, the best first."""
        rows = np.flatnonzero(np.isfinite(seen.losses).all(axis=1))
        sums = np.zeros(len(rows))
        for column in seen.losses[rows].T:
            sums += np.unique(column, return_inverse=True)[1]
        rows = rows[np.lexsort((-rows, sums, breach_in_medians(seen.violations[rows])))]
        _, best = np.unique(seen.numbers[rows] % self.population, return_index=True)
        members: Places = rows[np.sort(best)]
        return members

    def _child(self, space: Space, family: Sequence[Parent], target: int | None, rng: np.random.Generator) -> Config:
        """Return a rival for the member ``target`` (None: there is none yet) of a family, the best first."""
        others = rng.choice([k for k in range(len(family)) if k != target], 3, replace=False)
        r1, r2, r3 = (family[k].unit for k in others)
        rival = family[others[0] if target is None else target]
        best, old = family[0].unit, rival.unit
        weight = rng.uniform(*self.weights)
        start = np.where(np.isnan(r1), np.where(np.isnan(best), old, best), r1)
        towards, difference = np.nan_to_num(best - start, nan=0.0), np.nan_to_num(r2 - r3, nan=0.0)
        mutant = mirrored(start + weight * towards + weight * difference)  # (D1)
        labels = cube_of(space).categorical
        taken = np.where((rng.random(len(space)) < weight) & ~np.isnan(best), best, start)
        anew = (rng.random(len(space)) < weight) & (difference != 0.0)
        mutant = np.where(labels, np.where(anew, rng.random(len(space)), taken), mutant)
        crossing = rng.random(len(space)) < self.crossover
        free = np.flatnonzero((cube_of(space).counts > 1) & ~np.isnan(old))
        if len(free):
            crossing[rng.choice(free)] = True
        return grown(space, np.where(crossing, mutant, old), rng, rival)  # (D2)


@dataclass(frozen=True)
class Perturb:
    """Small steps around one configuration.

    Every number moves by a normal step (mirrored at the ends of the range), every unordered choice takes another value
    with probability ``spread``. The result is never the configuration itself: if all values stay the same, one
    parameter moves to a neighbouring value. Parameters that become active are drawn, from their priors where stated.

    Attributes:
        around: the configuration, or some of its values, the others being the defaults. None takes the best trial so
            far (of several goals a random one of the front), and before there is one the default configuration, which
            is then tried itself first.
        spread: the standard deviation of the steps, in the unit cube.

    Raises:
        ValueError: a spread that is not above 0, or values that the study's space does not have.

    >>> import tunewell as tw
    >>> sampler = tw.samplers.Perturb(around={"learning_rate": 3e-4}, spread=0.05)
    """

    around: Mapping[str, Value] | None = None
    spread: float = 0.1

    def __post_init__(self) -> None:
        _check_spread("Perturb", self.spread)
        if self.around is not None and not isinstance(self.around, Mapping):
            raise ValueError(f"Perturb expected around to be a mapping from names to values, got {self.around!r}")

    def check_space(self, space: Space) -> None:
        """Refuse values that the space does not have.

        Raises:
            ValueError: so it is.
        """
        if self.around is not None:
            space.default(self.around)

    def suggest(self, space: Space, history: History, rng: np.random.Generator) -> Config:
        """Return a neighbour of the configuration.

        Raises:
            Exhausted: every configuration of the space has been tried, or there is only one.
        """
        center = space.default(self.around) if self.around is not None else _best(space, observe(space, history), rng)
        if center is None:
            center = space.default()
            if not any(record.params == center for record in history.trials):
                return center
        unit = space.encode([center])[0]
        active = np.flatnonzero(~np.isnan(unit) & (cube_of(space).counts > 1))
        if not len(active):
            raise Exhausted("the space has a single configuration, which has no neighbours")
        return fresh(space, history, rng, lambda: self._neighbour(space, center, unit, active, rng), center)

    def _neighbour(
        self, space: Space, center: Config, unit: Floats, active: Places, rng: np.random.Generator
    ) -> Config:
        parameters = list(space.values())
        steps = self.spread * rng.standard_normal(len(space))
        moved = mirrored(unit + steps)
        for column in np.flatnonzero(cube_of(space).categorical):
            leaves = column in active and rng.random() < self.spread
            moved[column] = changed(parameters[column], unit[column], 0.0, rng) if leaves else unit[column]
        config = grown(space, moved, rng)
        if values_of(space, config) != values_of(space, center):
            return config
        column = rng.choice(active)
        moved[column] = changed(parameters[column], unit[column], steps[column], rng)
        return grown(space, moved, rng)


def _best(space: Space, seen: Observations, rng: np.random.Generator) -> Config | None:
    """Return the best configuration, of several that none beats a random one; None when nothing has worked."""
    rows = np.flatnonzero(np.isfinite(seen.losses).all(axis=1) & ~seen.weak)
    if not len(rows):
        return None
    breaches = breach_in_medians(seen.violations[rows])
    rows = rows[breaches == breaches.min()]
    front = rows[non_dominated(seen.losses[rows])]
    return grown(space, seen.units[rng.choice(front)], rng)


def _check_spread(name: str, spread: float) -> None:
    if not options.between(spread, 0.0):
        raise ValueError(f"{name} expected a spread above 0, such as 0.1, got {spread!r}")

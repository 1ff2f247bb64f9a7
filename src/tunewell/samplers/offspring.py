"""What the evolutionary samplers share: the first generation, and how one parameter of a child is changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tunewell.history import History
from tunewell.numerics.variation import mirrored
from tunewell.parameters import Parameter
from tunewell.samplers.results import Results
from tunewell.samplers.sobol import Sobol
from tunewell.samplers.untried import fresh
from tunewell.scales import Floats
from tunewell.space import Config, Space
from tunewell.surrogate.cube import cube_of
from tunewell.surrogate.observations import believed


@dataclass(frozen=True, eq=False, slots=True)
class Parent:
    """A configuration that children take after, and its coordinates, shape ``(d,)``."""

    config: Config
    unit: Floats


def parents_of(found: Results, rows: Iterable[int], history: History) -> list[Parent]:
    """Return some results as parents."""
    return [Parent(history.trials[int(found.numbers[row])].params, found.units[row]) for row in rows]


def founder(space: Space, history: History, rng: np.random.Generator) -> Config:
    """Return a member of the first generation: quasi-random, or two of three drawn from the priors where there are any.

    With nothing but draws from a wrong prior, a population would not know that there is anything else; where beliefs
    are stated, too, every sixth member is free of both.

    Where a person has said what they believe to be good, every other member is drawn around one of their beliefs.

    Raises:
        Exhausted: every configuration of the space has been tried.
    """
    centers, spreads = believed(space, history)
    if len(centers) and history.suggested % 2 == 0:
        return fresh(space, history, rng, lambda: grown(space, _around(space, centers, spreads, rng), rng))
    nothing = np.full(len(space), np.nan)
    believes = cube_of(space).has_beliefs and history.suggested % 3 != 2
    ahead = [] if believes else [Sobol().suggest(space, history, rng)]
    return fresh(space, history, rng, lambda: ahead.pop() if ahead else grown(space, nothing, rng))


def _around(space: Space, centers: Floats, spreads: Floats, rng: np.random.Generator) -> Floats:
    """Return a point, shape ``(d,)``, near a random one of some centres, shape ``(b, d)``; of labels the centre's."""
    row = rng.integers(len(centers))
    steps = np.where(cube_of(space).categorical, 0.0, spreads[row] * rng.standard_normal(len(space)))
    return mirrored(centers[row] + steps)


def grown(space: Space, unit: Floats, rng: np.random.Generator, *parents: Parent) -> Config:
    """Return the configuration at a point of the unit cube, shape ``(d,)``.

    An active parameter whose coordinate is NaN, because the parents did not have it, is drawn: from its prior if one
    is stated. A number whose coordinate is a parent's is the parent's to the last digit: 0.001 stays 0.001.
    """
    drawn = cube_of(space).believe(rng.random((1, len(space))))[0]
    config = space.decode_one(np.where(np.isnan(unit), drawn, unit).tolist())
    for column, name in enumerate(space):
        if isinstance(config.get(name), float):
            config[name] = next((p.config[name] for p in parents if p.unit[column] == unit[column]), config[name])
    return config


def changed(parameter: Parameter, unit: float, step: float, rng: np.random.Generator) -> float:
    """Return another coordinate of a parameter with several values: after a step, or of another category at random."""
    if parameter.is_categorical:
        count = int(parameter.count)
        place = (int(unit * count) + int(rng.integers(1, count))) % count
        return (place + 0.5) / count
    return stepped(parameter, unit, step)


def stepped(parameter: Parameter, unit: float, step: float) -> float:
    """Return the coordinate after a step, mirrored at the ends, with another value than before.

    A step that does not leave the value is doubled until it does: whole numbers move at least one place.
    """
    here = parameter.from_unit(unit)
    for _ in range(64):
        there = float(mirrored(np.array(unit + step)))
        if parameter.from_unit(there) != here:
            return there
        step *= 2.0
    return 0.0 if parameter.from_unit(0.0) != here else 1.0

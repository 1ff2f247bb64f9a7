"""A space as arrays: which columns of the unit cube are what; snapping and moving points without a loop over rows."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.special import ndtr, ndtri

from tunewell.numerics.kernels import Columns
from tunewell.parameters import Parameter
from tunewell.scales import Floats
from tunewell.space import Space

_MOST_PLACES = 4096  # columns with more are treated as continuous until they are decoded
_MOST_BINS = 1024  # a number with more values is as good as a real one
_MOST_STEPS = 24  # columns with more places than this have a slope worth following


class Cube:
    """The unit cube of a space with d parameters.

    Attributes:
        free: the columns with more than one value.
        columns: what the free columns are.
        counts: the number of values of each column, shape ``(d,)``, infinite for continuous ones.
        categorical: which columns are unordered, shape ``(d,)``.
        smooth: which columns a gradient makes sense for, shape ``(d,)``.
        beliefs: column, centre and deviation of each parameter's prior.
    """

    def __init__(self, space: Space) -> None:
        parameters, names = list(space.values()), list(space)
        self.counts = np.array([p.count for p in parameters], dtype=np.float64)
        self.free = np.flatnonzero(self.counts > 1)
        self.categorical = np.array([p.is_categorical for p in parameters], dtype=np.bool_)
        self.smooth = (self.counts > _MOST_STEPS) & ~self.categorical
        self.size = space.size
        self._tables = [
            (j, p.to_units(p.grid(int(p.count)) if p.count > 1 else [p.default_value]))
            for j, p in enumerate(parameters)
            if p.count <= _MOST_PLACES or (p.is_categorical and p.count > 1)
        ]
        self._conditions = [
            (j, names.index(parent), space[parent].to_units(list(values)))
            for j, name in enumerate(names)
            for parent, values in space.conditions[name].items()
        ]
        gaps = {j for j, _, _ in self._conditions}
        self.columns = Columns(
            tuple(int(self.counts[j]) if self.categorical[j] else 0 for j in self.free),
            tuple(int(j) in gaps for j in self.free),
        )
        self.beliefs = [
            (j, p.to_unit(p.prior.center), p.prior.std) for j, p in enumerate(parameters) if p.prior is not None
        ]

    def snap(self, units: Floats) -> Floats:
        """Return the coordinates of the configurations nearest to ``units``, shape ``(n, d)`` without NaN.

        Inactive parameters become NaN. On a logarithmic scale of whole numbers what is nearest may be the neighbour of
        what ``units`` decode to.
        """
        units = units.copy()
        for j, table in self._tables:
            middles = (table[1:] + table[:-1]) / 2.0
            units[:, j] = table[np.searchsorted(middles, units[:, j])]
        for j, parent, values in self._conditions:
            near = np.abs(units[:, parent, None] - values[None, :]).min(axis=1) < 1e-9
            units[~near, j] = np.nan
        return units

    def mutate(self, units: Floats, rng: np.random.Generator, reach: tuple[float, float], most: float) -> Floats:
        """Return one moved copy of every row, shape ``(n, d)``, not snapped.

        Between one and about ``most`` columns of a row move: ordered ones by normal steps whose size is drawn from
        10^``reach`` for the row, but at least one place; unordered ones to any category. Inactive ones are drawn anew.
        """
        n, d = units.shape
        units = np.where(np.isnan(units), rng.random((n, d)), units)
        chance = rng.uniform(min(1.0, 1.0 / d), min(1.0, most / d), (n, 1))
        moving = rng.random((n, d)) < chance
        if len(self.free):
            moving[np.arange(n), rng.choice(self.free, n)] = True
        steps = 10.0 ** rng.uniform(*reach, (n, 1)) * rng.standard_normal((n, d))
        least = np.where(np.isfinite(self.counts), 1.0 / self.counts, 0.0)
        steps = np.where(np.abs(steps) < least, np.copysign(least, steps), steps)
        moved = units + steps
        moved = np.clip(np.where(moved < 0.0, -moved, np.where(moved > 1.0, 2.0 - moved, moved)), 0.0, 1.0)
        moved = np.where(self.categorical, rng.random((n, d)), moved)
        return np.where(moving, moved, units)

    @property
    def has_beliefs(self) -> bool:
        """Whether any parameter has a prior."""
        return bool(self.beliefs)

    def believe(self, units: Floats) -> Floats:
        """Return coordinates, shape ``(n, d)``, whose columns with a prior follow it, given uniform ones.

        A normal law cut off at the ends of the range; for an unordered choice the prior's value with the share that
        the law gives to a bin of a third around the centre.
        """
        units = units.copy()
        for j, center, std in self.beliefs:
            if self.categorical[j]:
                share = 2.0 * float(ndtr(1.0 / (6.0 * std))) - 1.0
                units[:, j] = np.where(units[:, j] < share, center, (units[:, j] - share) / (1.0 - share))
            else:
                low, high = ndtr((0.0 - center) / std), ndtr((1.0 - center) / std)
                units[:, j] = np.clip(center + std * ndtri(low + units[:, j] * (high - low)), 0.0, 1.0)
        return units


@lru_cache(maxsize=16)
def cube_of(space: Space) -> Cube:
    """Return the cube of a space."""
    return Cube(space)


def bin_walls(parameter: Parameter) -> Floats | None:
    """Return where the bins of a number begin and end, shape ``(count + 1,)``: each value is the middle of its own.

    None for a real number, and for one with more than 1,024 values.
    """
    if parameter.count > _MOST_BINS:
        return None
    walls = [0.0]
    for middle in parameter.to_units(parameter.grid(int(parameter.count))).tolist():
        walls.append(2.0 * middle - walls[-1])
    return np.array([*walls[:-1], 1.0])

"""Grid search: every combination of a few values per parameter, spaced evenly on its scale."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from weakref import WeakKeyDictionary

import numpy as np

from tunewell.history import History
from tunewell.protocols import Exhausted
from tunewell.samplers.untried import without_result
from tunewell.space import Config, Space
from tunewell.surrogate.observations import tried, values_of


@dataclass(frozen=True)
class Grid:
    """All combinations, in a fixed order; then :class:`~tunewell.protocols.Exhausted`.

    Attributes:
        points: values per axis, the ends of the range among them; one number for all, or a number per parameter.
            Choices and short integer ranges have at most as many as there are.
    """

    points: int | Mapping[str, int] = 5

    def __post_init__(self) -> None:
        counts = self.points.values() if isinstance(self.points, Mapping) else [self.points]
        if any(isinstance(count, bool) or not isinstance(count, int) or count < 1 for count in counts):
            raise ValueError(f"the grid expected at least one point per axis, got {self.points!r}")

    def check_space(self, space: Space) -> None:
        """Refuse points for parameters that the space does not have, or none for one that needs them.

        Raises:
            ValueError: so it is.
        """
        space.grid(dict(self.points) if isinstance(self.points, Mapping) else self.points)

    def suggest(self, space: Space, history: History, rng: np.random.Generator) -> Config:
        """Return the first point of the grid that has not been tried, whoever chose it.

        Raises:
            Exhausted: there is none.
        """
        points = tuple(sorted(self.points.items())) if isinstance(self.points, Mapping) else self.points
        grid, known = _grid(space, points), tried(space, history)
        places = _PLACES.setdefault(history, {})
        place = places.get((space, points), 0)  # those before it have been tried
        while (config := grid.at(place)) is not None and values_of(space, config) in known:
            place += 1
        places[space, points] = place
        if config is None:
            came_to = without_result(space, history)
            raise Exhausted(f"all {len(grid.listed)} points of the grid have been tried{came_to}")
        return dict(config)


class _Points:
    """The points of a grid of any size, listed as far as they were asked for."""

    def __init__(self, points: Iterator[Config]) -> None:
        self.listed: list[Config] = []
        self._rest = points

    def at(self, place: int) -> Config | None:
        """Return the point with a number, or None beyond the last."""
        self.listed.extend(islice(self._rest, max(0, place + 1 - len(self.listed))))
        return self.listed[place] if place < len(self.listed) else None


@lru_cache(maxsize=8)
def _grid(space: Space, points: int | tuple[tuple[str, int], ...]) -> _Points:
    return _Points(space.grid(dict(points) if isinstance(points, tuple) else points))


_PLACES: WeakKeyDictionary[History, dict[tuple[Space, int | tuple[tuple[str, int], ...]], int]] = WeakKeyDictionary()

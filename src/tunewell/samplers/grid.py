"""Grid search: every combination of a few values per parameter, spaced evenly on its scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tunewell.history import History
from tunewell.memo import remembered
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
        left, known = _left(history, space, points), tried(space, history)
        while left.first is not None and values_of(space, left.first) in known:
            left.drop()
        if left.first is None:
            came_to = without_result(space, history)
            raise Exhausted(f"all {left.dropped} points of the grid have been tried{came_to}")
        return dict(left.first)


class _Left:
    """The points of a grid of any size but for the first ones, which have been tried."""

    def __init__(self, space: Space, points: int | Mapping[str, int]) -> None:
        self._points = space.grid(points)
        self.first = next(self._points, None)
        self.dropped = 0

    def drop(self) -> None:
        """Go on to the next point."""
        self.first = next(self._points, None)
        self.dropped += 1


@remembered
def _left(history: History, space: Space, points: int | tuple[tuple[str, int], ...]) -> _Left:
    return _Left(space, dict(points) if isinstance(points, tuple) else points)

"""Recorded trainings as tasks, and the meter that counts what a search trained and notes what it found.

A suggestion takes the nearest recorded row in the unit cube: another category is at distance 1, an inactive parameter
at -1. The loss is the recorded metric, negated where more is better. A row that ended early keeps its last value.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, Literal, TypeAlias

import numpy as np

from benchmarks.fidelity import tables
from tunewell.space import Space

Cost: TypeAlias = Literal["steps", "seconds"]
GRAIN = 20  # notes in the compute of a full training


class Spent(Exception):
    """The budget is used up: the search ends here."""


@dataclass(frozen=True)
class Recorded:
    """A table as a task."""

    name: str
    space: Space
    units: np.ndarray  # (n, d); -1 where a parameter is not active
    losses: np.ndarray  # (n, horizon); NaN from where a training had diverged
    seconds: np.ndarray  # (n, horizon), of each step
    _rows: dict[tuple[tuple[str, Any], ...], int] = field(default_factory=dict, repr=False)

    @property
    def horizon(self) -> int:
        """The steps of a full training."""
        return int(self.losses.shape[1])

    @cached_property
    def best(self) -> np.ndarray:
        """The least loss of each row, shape ``(n,)``, infinite where there is none."""
        return np.asarray(np.where(np.isfinite(self.losses), self.losses, np.inf).min(axis=1))

    @cached_property
    def worst(self) -> float:
        """The largest loss, which peers are told of a training that diverged."""
        return float(np.nanmax(np.where(np.isfinite(self.losses), self.losses, np.nan)))

    @cached_property
    def full_seconds(self) -> float:
        """The mean seconds of a full training that did not diverge."""
        return float(self.seconds.sum(axis=1)[np.isfinite(self.losses[:, -1])].mean())

    @cached_property
    def _categorical(self) -> np.ndarray:
        return np.array([parameter.is_categorical for parameter in self.space.values()])

    def row(self, config: Mapping[str, Any]) -> int:
        """Return the recorded row that is nearest to a configuration."""
        key = tuple(sorted(config.items()))
        if key not in self._rows:
            unit = np.nan_to_num(self.space.encode([dict(config)])[0], nan=-1.0)
            gaps = self.units - unit
            squares = np.where(self._categorical, (np.abs(gaps) > 1e-6) * 1.0, gaps**2)
            self._rows[key] = int(np.argmin(squares.sum(axis=1)))
        return self._rows[key]


@cache
def task(name: str) -> Recorded:
    """Return a table as a task; where lengths differ, the median one is a full training."""
    table = tables.load(name)
    horizon = table.curves.shape[1] if table.lengths.min() == table.curves.shape[1] else int(np.median(table.lengths))
    ends = np.minimum(np.arange(horizon), table.lengths[:, None] - 1)  # the last recorded step goes on
    losses = np.take_along_axis(table.curves if table.mode == "min" else -table.curves, ends, axis=1)
    losses = np.where(np.isfinite(losses), losses, np.nan)
    seconds = np.take_along_axis(table.seconds, ends, axis=1)
    return Recorded(name, table.space, np.nan_to_num(table.units, nan=-1.0), losses, seconds)


class Meter:
    """Trains steps of rows, within a budget in full trainings.

    ``found`` lists the improvements of the best loss reported so far by anyone: the compute in full trainings, rounded
    up to a twentieth, the row and the step. Only the last of each twentieth is kept.
    """

    def __init__(self, of: Recorded, budget: float, cost: Cost) -> None:
        self.task = of
        self.budget = budget
        self.found: list[tuple[float, int, int]] = []
        self._costs = of.seconds if cost == "seconds" else np.ones(of.seconds.shape)
        self._full = of.full_seconds if cost == "seconds" else float(of.horizon)
        self._left = budget * self._full
        self._used = 0.0
        self._best = np.inf
        self._rows: set[int] = set()
        self._begun = 0
        self._since = time.process_time()

    @property
    def left(self) -> float:
        """The budget that is left, in steps or seconds."""
        return self._left - self._used

    def train(self, row: int, step: int) -> tuple[float, float]:
        """Train one step of a row; return its loss, NaN if it diverged, and what the step cost.

        Raises:
            Spent: nothing of the budget is left.
        """
        if self.left < 1e-9:
            raise Spent
        cost = float(self._costs[row, step - 1])
        self._used += cost
        self._rows.add(row)
        self._begun += step == 1
        loss = float(self.task.losses[row, step - 1])
        if loss < self._best:
            self._best = loss
            at = math.ceil(self._used / self._full * GRAIN - 1e-6) / GRAIN
            if self.found and self.found[-1][0] == at:
                self.found.pop()
            self.found.append((at, row, step))
        return loss, cost

    def to(self, row: int, begin: int, end: int) -> float:
        """Train a row from the step after ``begin`` to ``end``; return the loss there, or the worst after a divergence.

        Raises:
            Spent: nothing of the budget is left.
        """
        for step in range(begin + 1, end + 1):
            loss, _ = self.train(row, step)
            if np.isnan(loss):
                return self.task.worst
        return float(self.task.losses[row, end - 1])

    def measured(self) -> dict[str, Any]:
        """Return what is written down: improvements, trainings from their first step, rows, processor seconds."""
        seconds = round(time.process_time() - self._since, 2)
        return {"found": self.found, "begun": self._begun, "rows": len(self._rows), "cpu": seconds}

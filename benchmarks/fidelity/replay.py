"""Recorded trainings as tasks, and the meter that counts what a search trained and notes what it found.

A suggestion is answered by :class:`tunewell.testing.tables.Table`: by the nearest recorded row, or by a weighted mean
of all, ``smooth``. The loss is the recorded metric, negated where more is better. What was recorded here can also be
trained really, ``live``, always from the same seed: an epoch at a time, as far as somebody asks.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any, Literal, TypeAlias

import numpy as np

from benchmarks.fidelity import tables
from benchmarks.fidelity.tasks import TASKS
from tunewell.space import Config, Space
from tunewell.testing import tables as tables_of
from tunewell.testing.tables import Table, Training

Answer: TypeAlias = Literal["nearest", "smooth", "live"]
ANSWERS = ("nearest", "smooth", "live")
Cost: TypeAlias = Literal["steps", "seconds"]
GRAIN = 20  # notes in the compute of a full training


class Spent(Exception):
    """The budget is used up: the search ends here."""


@dataclass(frozen=True)
class Recorded:
    """A table as a task: its losses are ``table.values``."""

    name: str
    table: Table
    live: bool = False

    @property
    def space(self) -> Space:
        """What is searched."""
        return self.table.space

    @property
    def horizon(self) -> int:
        """The steps of a full training."""
        return self.table.steps

    @cached_property
    def worst(self) -> float:
        """The largest loss, which peers are told of a training that diverged."""
        return float(np.nanmax(self.table.values))

    @cached_property
    def full_seconds(self) -> float:
        """The mean seconds of a full training that did not diverge."""
        return float(self.table.seconds.sum(axis=1)[np.isfinite(self.table.values[:, -1])].mean())

    def training(self, config: Config) -> Training | Live:
        """Return what training a configuration gives."""
        if not self.live:
            return self.table.training(config)
        key = tuple(config.items())
        if key not in self._trainings:
            seconds = _task(self.name, "smooth").table.training(config).seconds
            self._trainings[key] = Live(Epochs(self.name, config, self.horizon), seconds)
        return self._trainings[key]

    @cached_property
    def _trainings(self) -> dict[Any, Live]:
        return {}


class Epochs:
    """The losses of a real training, as an array that is trained as far as it is read."""

    def __init__(self, name: str, config: Config, epochs: int) -> None:
        import torch

        from benchmarks.fidelity.networks import accuracies
        from benchmarks.fidelity.record import loaded

        torch.set_num_threads(1)
        self._key = repr(sorted(config.items())).encode()
        self._rest = accuracies(TASKS[name], config, loaded(name), 0, epochs)
        self._losses: list[float] = []

    def __getitem__(self, place: int) -> float:
        while len(self._losses) <= place:
            self._losses.append(-next(self._rest))
        return self._losses[place]

    def tobytes(self) -> bytes:
        """Return what tells it from others."""
        return self._key


@dataclass(frozen=True)
class Live:
    """A training like :class:`~tunewell.testing.tables.Training`; its seconds are means of the recorded ones.

    So what a search finds within a budget of seconds does not depend on the machine.
    """

    values: Epochs
    seconds: np.ndarray
    row: int | None = None


def task(name: str, answer: Answer = "nearest") -> Recorded:
    """Return a table as a task.

    Raises:
        ValueError: a table that was not recorded here, live.
    """
    if answer == "live" and name not in TASKS:
        raise ValueError(f"expected a task that was recorded here, got {name!r}: train one of {', '.join(TASKS)}")
    of = _task(name, "smooth" if answer == "smooth" else "nearest")
    return replace(of, live=True) if answer == "live" else of


@cache
def _task(name: str, answer: tables_of.Answer) -> Recorded:
    table = tables.load(name)
    losses = table.curves if table.mode == "min" else -table.curves
    return Recorded(
        name, Table(table.space, table.units, losses, seconds=table.seconds, lengths=table.lengths, answer=answer)
    )


class Meter:
    """Trains steps of trainings, within a budget in full trainings.

    ``found`` lists the improvements of the best loss reported so far by anyone: the compute in full trainings, rounded
    up to a twentieth, then the row and the step, or the loss where no single row answers. Only the last of each
    twentieth is kept.
    """

    def __init__(self, of: Recorded, budget: float, cost: Cost) -> None:
        self.task = of
        self.budget = budget
        self.found: list[tuple[float, int, int] | tuple[float, float]] = []
        self._by_seconds = cost == "seconds"
        self._full = of.full_seconds if self._by_seconds else float(of.horizon)
        self._left = budget * self._full
        self._used = 0.0
        self._best = np.inf
        self._seen: set[int | bytes] = set()
        self._begun = 0
        self._since = time.process_time()

    @property
    def left(self) -> float:
        """The budget that is left, in steps or seconds."""
        return self._left - self._used

    def train(self, training: Training | Live, step: int) -> tuple[float, float]:
        """Train one step; return its loss, NaN if it diverged, and what the step cost.

        Raises:
            Spent: nothing of the budget is left.
        """
        if self.left < 1e-9:
            raise Spent
        cost = float(training.seconds[step - 1]) if self._by_seconds else 1.0
        self._used += cost
        if step == 1:
            self._begun += 1
            self._seen.add(training.values.tobytes() if training.row is None else training.row)
        loss = float(training.values[step - 1])
        if loss < self._best:
            self._best = loss
            at = math.ceil(self._used / self._full * GRAIN - 1e-6) / GRAIN
            if self.found and self.found[-1][0] == at:
                self.found.pop()
            self.found.append((at, loss) if training.row is None else (at, training.row, step))
        return loss, cost

    def to(self, training: Training | Live, begin: int, end: int) -> float:
        """Train from the step after ``begin`` to ``end``; return the loss there, or the worst after a divergence.

        Raises:
            Spent: nothing of the budget is left.
        """
        for step in range(begin + 1, end + 1):
            loss, _ = self.train(training, step)
            if np.isnan(loss):
                return self.task.worst
        return float(training.values[end - 1])

    def measured(self) -> dict[str, Any]:
        """Return what is written down: improvements, trainings begun, different ones of them, processor seconds."""
        seconds = round(time.process_time() - self._since, 2)
        return {"found": self.found, "begun": self._begun, "rows": len(self._seen), "cpu": seconds}

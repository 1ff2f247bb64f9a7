"""The recorded tables with many hyperparameters, each as a task: a space with known names and defaults, and a loss.

Columns are called what they are (``width`` of a convolutional network is ``channels``), so that the knowledge finds
them, and every parameter has a default: the known one, or the middle of its range where nothing is known. All methods
get the same space and train the default configuration first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from benchmarks.fidelity import replay, tables
from benchmarks.knowledge.defaults import default_of, placed
from benchmarks.knowledge.tables import from_curves
from tunewell.space import Space
from tunewell.testing.tables import Answer

FEWEST = 6  # hyperparameters
ANSWERS: Sequence[Answer] = ("smooth", "nearest")


@dataclass(frozen=True)
class Problem:
    """A table as something to minimise: the loss after a full training.

    ``scale`` is the smallest loss of all rows and their median, as the table answers them.
    """

    space: Space
    domain: str
    columns: Mapping[str, str]  # what the table calls each parameter
    task: replay.Recorded
    scale: tuple[float, float]

    def loss(self, params: Mapping[str, Any]) -> float:
        """Return the loss of a configuration, NaN where it diverged."""
        config = {self.columns[name]: value for name, value in params.items()}
        return float(self.task.training(config).values[-1])


def names() -> list[str]:
    """Return the tables with many hyperparameters."""
    return [name for name in tables.names() if len(tables.load(name).space) >= FEWEST]


@cache
def problem(name: str, answer: Answer) -> Problem:
    """Return a table as a problem."""
    known = from_curves(name)
    defaults = default_of(known)
    renamed = {column: known.columns.get(column, column) for column in known.space}
    parameters = {
        renamed[column]: replace(
            parameter,
            default=parameter.from_unit(placed(known, column, defaults[column]) if column in defaults else 0.5),
        )
        for column, parameter in known.space.items()
    }
    task = replay.task(name, answer)
    final = np.array([training.values[-1] for training in task.table.trainings(task.table.units)])
    scale = float(np.nanmin(final)), float(np.median(np.where(np.isnan(final), np.inf, final)))
    return Problem(Space(parameters), known.domain, {new: old for old, new in renamed.items()}, task, scale)

"""The recorded tables with many hyperparameters, each as a task: a space with known names and defaults, and a loss.

Columns are called what they are (``width`` of a convolutional network is ``channels``), so that the knowledge finds
them, and every parameter has a default: the known one, or the middle of its range where nothing is known. All methods
get the same space and train the default configuration first. A table that was recorded here can also be searched
*live*: every configuration is then really trained, from the same seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, TypeAlias

import numpy as np

from benchmarks.fidelity import replay, tables
from benchmarks.fidelity.tasks import TASKS
from benchmarks.knowledge.defaults import default_of, placed
from benchmarks.knowledge.tables import from_curves
from tunewell.space import Space

Answer: TypeAlias = Literal["smooth", "nearest", "live"]

FEWEST = 6  # hyperparameters
ANSWERS: Sequence[Answer] = ("smooth", "nearest", "live")


@dataclass(frozen=True)
class Problem:
    """A table as something to minimise: the loss after a full training.

    ``scale`` is the smallest loss of all rows and their median, as the table answers them; live, of the rows as they
    were recorded. ``worst`` is the largest one, for whoever must be told a number where a training diverged.
    """

    space: Space
    domain: str
    columns: Mapping[str, str]  # what the table calls each parameter
    train: Callable[[Mapping[str, Any]], float]  # of the table's own names
    worst: float
    scale: tuple[float, float]

    def loss(self, params: Mapping[str, Any]) -> float:
        """Return the loss of a configuration, NaN where it diverged."""
        return self.train({self.columns[name]: value for name, value in params.items()})


def names(answer: Answer = "smooth") -> list[str]:
    """Return the tables with many hyperparameters that can answer so."""
    many = [name for name in tables.names() if len(tables.load(name).space) >= FEWEST]
    return [name for name in many if answer != "live" or name in TASKS]


def trained(name: str, config: Mapping[str, Any], epochs: int) -> float:
    """Return less the validation accuracy after really training a configuration, NaN where it diverged."""
    from benchmarks.fidelity.networks import COLUMNS, train
    from benchmarks.fidelity.record import loaded

    return -float(train(TASKS[name], config, loaded(name), 0, epochs)[COLUMNS.index("val_accuracy"), -1])


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
    task = replay.task(name, "nearest" if answer == "live" else answer)
    trainings = list(task.table.trainings(task.table.units))
    final = np.array([training.values[-1] for training in trainings])
    scale = float(np.nanmin(final)), float(np.median(np.where(np.isnan(final), np.inf, final)))

    def train(config: Mapping[str, Any]) -> float:
        if answer == "live":
            return trained(name, config, len(trainings[0].values))
        return float(task.training(config).values[-1])

    return Problem(
        Space(parameters), known.domain, {new: old for old, new in renamed.items()}, train, task.worst, scale
    )

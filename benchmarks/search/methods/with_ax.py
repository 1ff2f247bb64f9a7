"""Ax with its client's defaults; the space is flat."""

from __future__ import annotations

import logging
import warnings
from collections import deque
from typing import Any

from ax.api.client import Client
from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig

from benchmarks.search.methods import Search, Task
from benchmarks.search.methods.axes import Axis, axes, flat


class Ax:
    """A client in memory."""

    def __init__(self, task: Task) -> None:
        warnings.simplefilter("ignore")  # of its numerics, about jitter and scaling
        logging.disable(logging.WARNING)
        self._space, self._axes, self._batch = task.space, axes(task.space), task.batch
        self._client = Client(random_seed=task.seed)
        self._client.configure_experiment(parameters=[_parameter(axis) for axis in self._axes])
        self._client.configure_optimization(objective="-loss")
        self._ready: deque[tuple[int, Any]] = deque()

    def ask(self) -> tuple[Any, dict[str, Any]]:
        """Take the next of a batch of trials."""
        if not self._ready:
            self._ready.extend(self._client.get_next_trials(max_trials=self._batch).items())
        number, said = self._ready.popleft()
        return number, flat(self._space, self._axes, said)

    def tell(self, ticket: Any, losses: tuple[float, ...]) -> None:
        """End it."""
        self._client.complete_trial(ticket, raw_data={"loss": losses[0]})

    def recommend(self) -> dict[str, Any] | None:
        """Return what its model thinks is best of what was tried."""
        return flat(self._space, self._axes, self._client.get_best_parameterization()[0])


def _parameter(axis: Axis) -> RangeParameterConfig | ChoiceParameterConfig:
    if axis.kind == "category":
        return ChoiceParameterConfig(name=axis.name, values=list(axis.choices), parameter_type="str", is_ordered=False)
    low, high = (int(axis.low), int(axis.high)) if axis.kind == "int" else (axis.low, axis.high)
    scaling = "log" if axis.log else "linear"
    return RangeParameterConfig(name=axis.name, bounds=(low, high), parameter_type=axis.kind, scaling=scaling)


def begin(task: Task) -> Search:
    """Start a search."""
    return Ax(task)

"""Nevergrad's NGOpt, which picks its algorithm by the space and the budget; the space is flat."""

from __future__ import annotations

import warnings
from typing import Any

import nevergrad as ng
import numpy as np

from benchmarks.search.methods import Search, Task
from benchmarks.search.methods.axes import Axis, axes, flat


class Nevergrad:
    """An optimizer over a dictionary."""

    def __init__(self, task: Task) -> None:
        warnings.simplefilter("ignore")  # of its inner optimizers, about their own settings
        self._space, self._axes = task.space, axes(task.space)
        space = ng.p.Dict(**{axis.name: _parameter(axis) for axis in self._axes})
        space.random_state = np.random.RandomState(task.seed)
        self._optimizer = ng.optimizers.NGOpt(space, budget=task.budget, num_workers=task.batch)

    def ask(self) -> tuple[Any, dict[str, Any]]:
        """Take a candidate."""
        candidate = self._optimizer.ask()
        return candidate, flat(self._space, self._axes, candidate.value)

    def tell(self, ticket: Any, losses: tuple[float, ...]) -> None:
        """Give its loss."""
        self._optimizer.tell(ticket, losses[0])

    def recommend(self) -> dict[str, Any] | None:
        """Return its own recommendation."""
        return flat(self._space, self._axes, self._optimizer.provide_recommendation().value)


def _parameter(axis: Axis) -> Any:
    if axis.kind == "category":
        return ng.p.Choice(list(axis.choices))
    if axis.log:
        parameter = ng.p.Log(lower=axis.low, upper=axis.high)
    else:
        parameter = ng.p.Scalar(lower=axis.low, upper=axis.high)
    return parameter.set_integer_casting() if axis.kind == "int" else parameter


def begin(task: Task) -> Search:
    """Start a search."""
    return Nevergrad(task)

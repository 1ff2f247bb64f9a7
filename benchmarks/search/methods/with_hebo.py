"""HEBO with its defaults; the space is flat."""

from __future__ import annotations

import warnings
from collections import deque
from typing import Any

import numpy as np
import pandas as pd
import torch
from hebo.design_space.design_space import DesignSpace
from hebo.optimizers.hebo import HEBO

from benchmarks.search.methods import Search, Task
from benchmarks.search.methods.axes import Axis, axes, flat


class Hebo:
    """Its optimizer, which suggests tables of configurations."""

    def __init__(self, task: Task) -> None:
        warnings.simplefilter("ignore")  # of its Gaussian process, about jitter
        np.random.seed(task.seed)  # noqa: NPY002  HEBO draws from NumPy's global generator
        torch.manual_seed(task.seed)
        self._space, self._axes, self._batch = task.space, axes(task.space), task.batch
        space = DesignSpace().parse([_parameter(axis) for axis in self._axes])
        self._hebo = HEBO(space, scramble_seed=task.seed)
        self._ready: deque[pd.DataFrame] = deque()

    def ask(self) -> tuple[Any, dict[str, Any]]:
        """Take the next row of a batch of suggestions."""
        if not self._ready:
            table = self._hebo.suggest(n_suggestions=self._batch)
            self._ready.extend(table.iloc[[k]] for k in range(len(table)))
        row = self._ready.popleft()
        return row, flat(self._space, self._axes, row.iloc[0].to_dict())

    def tell(self, ticket: Any, losses: tuple[float, ...]) -> None:
        """Give its loss."""
        self._hebo.observe(ticket, np.array([losses]))

    def recommend(self) -> dict[str, Any] | None:
        """Return nothing: HEBO hands over the best observed."""
        return None


def _parameter(axis: Axis) -> dict[str, Any]:
    if axis.kind == "category":
        return {"name": axis.name, "type": "cat", "categories": list(axis.choices)}
    kind = {("float", False): "num", ("float", True): "pow", ("int", False): "int", ("int", True): "pow_int"}
    return {"name": axis.name, "type": kind[axis.kind, axis.log], "lb": axis.low, "ub": axis.high}


def begin(task: Task) -> Search:
    """Start a search."""
    return Hebo(task)

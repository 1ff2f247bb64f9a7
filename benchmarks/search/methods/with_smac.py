"""SMAC's facades with their defaults, the space with its conditions; the objective is said to be deterministic."""

from __future__ import annotations

import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import smac
from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition, Float, InCondition, Integer
from ConfigSpace.conditions import AndConjunction
from smac.runhistory.dataclasses import TrialValue

from benchmarks.search.methods import Search, Task
from benchmarks.search.methods.axes import Axis, axes


class Smac:
    """A facade that is asked and told."""

    def __init__(self, task: Task, facade: str) -> None:
        warnings.simplefilter("ignore")  # of its Gaussian process, about hyperparameters at their bounds
        self._axes = axes(task.space)
        self._folder = tempfile.TemporaryDirectory()
        scenario = smac.Scenario(
            _space(self._axes, task.seed),
            n_trials=task.budget,
            seed=task.seed,
            deterministic=True,
            output_directory=Path(self._folder.name),
        )
        self._smac = getattr(smac, facade)(scenario, _never, logging_level=logging.ERROR, overwrite=True)

    def ask(self) -> tuple[Any, dict[str, Any]]:
        """Take the next trial."""
        trial = self._smac.ask()
        return trial, self._config(trial.config)

    def tell(self, ticket: Any, losses: tuple[float, ...]) -> None:
        """End it."""
        self._smac.tell(ticket, TrialValue(cost=losses[0]))

    def recommend(self) -> dict[str, Any] | None:
        """Return its incumbent."""
        incumbent = self._smac.intensifier.get_incumbent()
        return None if incumbent is None else self._config(incumbent)

    def _config(self, said: Any) -> dict[str, Any]:
        plain = {name: value.item() if hasattr(value, "item") else value for name, value in dict(said).items()}
        return {axis.name: axis.value(plain[axis.name]) for axis in self._axes if axis.name in plain}


def _never(config: Any, seed: int = 0) -> float:
    raise RuntimeError("asked and told only")


def _space(described: list[Axis], seed: int) -> ConfigurationSpace:
    space = ConfigurationSpace(seed=seed)
    for axis in described:
        if axis.kind == "category":
            space.add(Categorical(axis.name, list(axis.choices)))
        else:
            kind = Integer if axis.kind == "int" else Float
            low, high = (int(axis.low), int(axis.high)) if axis.kind == "int" else (axis.low, axis.high)
            space.add(kind(axis.name, (low, high), log=axis.log))
    for axis in described:
        conditions = [
            EqualsCondition(space[axis.name], space[parent], values[0])
            if len(values) == 1
            else InCondition(space[axis.name], space[parent], list(values))
            for parent, values in (axis.when or {}).items()
        ]
        if conditions:
            space.add(conditions[0] if len(conditions) == 1 else AndConjunction(*conditions))
    return space


def begin(task: Task, facade: str) -> Search:
    """Start a search."""
    return Smac(task, facade)

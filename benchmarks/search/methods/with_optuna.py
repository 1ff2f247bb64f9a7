"""Optuna's samplers with their defaults, the space defined by run with its conditions."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import optuna

from benchmarks.search.methods import Search, Task
from benchmarks.search.methods.axes import Axis, active, axes


class Optuna:
    """A study in memory."""

    def __init__(self, task: Task, sampler: str) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self._axes = axes(task.space)
        self._study = optuna.create_study(
            directions=["minimize"] * task.objectives, sampler=getattr(optuna.samplers, sampler)(seed=task.seed)
        )

    def ask(self) -> tuple[Any, dict[str, Any]]:
        """Start a trial."""
        trial = self._study.ask()
        config: dict[str, Any] = {}
        for axis in self._axes:
            if active(axis, config):
                config[axis.name] = axis.value(suggest(trial, axis))
        return trial, config

    def tell(self, ticket: Any, losses: tuple[float, ...]) -> None:
        """End it."""
        self._study.tell(ticket, list(losses))

    def enqueue(self, said: dict[str, Any]) -> None:
        """Put a configuration first in line, in the words of the axes."""
        self._study.enqueue_trial(said)

    def add(self, configs: Sequence[dict[str, float]], losses: Sequence[float]) -> None:
        """Take in trials that are finished; all axes are floats from 0 to 1."""
        unit = optuna.distributions.FloatDistribution(0.0, 1.0)
        for config, loss in zip(configs, losses, strict=True):
            ranges = dict.fromkeys(config, unit)
            self._study.add_trial(optuna.trial.create_trial(params=config, distributions=ranges, value=loss))

    def recommend(self) -> dict[str, Any] | None:
        """Return nothing: Optuna hands over its best trial, the best observed."""
        return None


def suggest(trial: optuna.Trial, axis: Axis) -> Any:
    """Return what a trial suggests for an axis."""
    if axis.kind == "category":
        return trial.suggest_categorical(axis.name, list(axis.choices))
    if axis.kind == "int":
        return trial.suggest_int(axis.name, int(axis.low), int(axis.high), log=axis.log)
    return trial.suggest_float(axis.name, axis.low, axis.high, log=axis.log)


def begin(task: Task, sampler: str) -> Search:
    """Start a search."""
    return Optuna(task, sampler)

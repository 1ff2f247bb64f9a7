"""Tunewell's own samplers, through ``study.ask`` and ``study.tell``."""

from __future__ import annotations

from typing import Any

import tunewell as tw
from benchmarks.search.methods import Search, Task
from tunewell.protocols import Sampler


class Ours:
    """A study in memory."""

    def __init__(self, task: Task, sampler: str | Sampler) -> None:
        metrics = [f"loss{k}" for k in range(task.objectives)]
        self._study = tw.Study(task.space, metrics, sampler=sampler, seed=task.seed)

    def ask(self) -> tuple[Any, dict[str, Any]]:
        """Start a trial."""
        trial = self._study.ask()
        return trial, dict(trial.params)

    def tell(self, ticket: Any, losses: tuple[float, ...]) -> None:
        """End it."""
        self._study.tell(ticket, losses[0] if len(losses) == 1 else list(losses))

    def recommend(self) -> dict[str, Any] | None:
        """Return the study's best configuration."""
        return dict(self._study.best.params)


def begin(task: Task, sampler: str) -> Search:
    """Start a search."""
    return Ours(task, sampler)

"""Tunewell's own samplers, through ``study.ask`` and ``study.tell``."""

from __future__ import annotations

from typing import Any

import tunewell as tw
from benchmarks.search.methods import Search, Task
from tunewell.protocols import Sampler


class Ours:
    """A study in memory."""

    def __init__(self, task: Task, sampler: str | Sampler, told: bool = False) -> None:
        """Make the study; ``told``: that of each objective only what is better than the reference counts."""
        metrics = [f"loss{k}" for k in range(task.objectives)]
        bounds = [f"{name} <= {bound!r}" for name, bound in zip(metrics, task.reference, strict=True)] if told else []
        self._study = tw.Study(task.space, metrics, sampler=sampler, constraints=bounds, seed=task.seed)

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


def begin(task: Task, sampler: str, told: bool = False) -> Search:
    """Start a search."""
    return Ours(task, sampler, told)

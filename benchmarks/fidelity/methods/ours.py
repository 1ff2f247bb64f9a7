"""Tunewell's samplers and schedulers, in a study in memory on a virtual clock with one worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import tunewell as tw
from benchmarks.fidelity.replay import Meter
from tunewell import schedulers
from tunewell.space import Config


def search(
    meter: Meter, seed: int, sampler: str, scheduler: str, settings: Mapping[str, Any], saves: bool = True
) -> None:
    """Run a study until the budget is spent; without ``saves`` no training can be paused."""
    task, left = meter.task, meter.left

    def evaluate(params: Config, step: int) -> tuple[float, float]:
        return meter.train(task.training(params), step)

    rule = getattr(schedulers, scheduler)(**settings)
    if isinstance(rule, schedulers.TopK):  # as many trials as the budget has room for beside the finalists
        rule = replace(rule, trials=int((meter.budget - rule.keep) * task.horizon) + rule.keep)
    study = tw.Study(task.space, "loss", sampler=sampler, scheduler=rule, seed=seed, default_first=False)
    executor = tw.executors.Simulated(evaluate, saves=saves)
    study.run(seconds=left, max_steps=task.horizon, executor=executor, progress=False)

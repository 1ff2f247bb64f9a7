"""Tunewell's samplers and schedulers, in a study in memory on a virtual clock with one worker."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import tunewell as tw
from benchmarks.fidelity.learn_effects import learnt, source
from benchmarks.fidelity.replay import Meter
from tunewell import schedulers
from tunewell.space import Config
from tunewell.surrogate import usual


def search(
    meter: Meter,
    seed: int,
    sampler: str,
    scheduler: str,
    settings: Mapping[str, Any],
    saves: bool = True,
    held_out: bool = False,
) -> None:
    """Run a study until the budget is spent.

    Without ``saves`` no training can be paused. With ``held_out`` what is usual of hyperparameters is what the tables
    of other data teach.
    """
    with patch.object(usual, "usual_effects", lambda: learnt(source(meter.task.name))) if held_out else nullcontext():
        usual._trend.cache_clear()
        _search(meter, seed, sampler, scheduler, settings, saves)
    usual._trend.cache_clear()


def _search(meter: Meter, seed: int, sampler: str, scheduler: str, settings: Mapping[str, Any], saves: bool) -> None:
    task, left = meter.task, meter.left

    def evaluate(params: Config, step: int) -> tuple[float, float]:
        return meter.train(task.training(params), step)

    rule = getattr(schedulers, scheduler)(**settings)
    if isinstance(rule, schedulers.TopK):  # as many trials as the budget has room for beside the finalists
        rule = replace(rule, trials=int((meter.budget - rule.keep) * task.horizon) + rule.keep)
    study = tw.Study(task.space, "loss", sampler=sampler, scheduler=rule, seed=seed, default_first=False)
    executor = tw.executors.Simulated(evaluate, saves=saves)
    study.run(seconds=left, max_steps=task.horizon, executor=executor, progress=False)

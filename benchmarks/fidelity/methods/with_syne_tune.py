"""Syne Tune's asynchronous schedulers with their defaults, told of every step; this version only stops trainings."""

from __future__ import annotations

import datetime
import logging
import warnings
from typing import Any

import numpy as np
from syne_tune import config_space
from syne_tune.backend.trial_status import Trial
from syne_tune.optimizer import baselines
from syne_tune.optimizer.scheduler import SchedulerDecision

from benchmarks.fidelity.methods.configs import config_of
from benchmarks.fidelity.replay import Meter
from benchmarks.search.methods.axes import Axis, axes
from tunewell.testing.tables import Training


def search(meter: Meter, seed: int, scheduler: str) -> None:
    """Take suggestions and train each as far as the scheduler lets it, until the budget is spent."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    np.random.seed(seed)  # noqa: NPY002 (where Syne Tune draws brackets from)
    task = meter.task
    described = axes(task.space)
    space = {axis.name: _domain(axis) for axis in described}
    tuner = getattr(baselines, scheduler)(space, "loss", "step", max_t=task.horizon, random_seed=seed)
    n = 0
    while (suggestion := tuner.suggest()) is not None:
        trial = Trial(n, suggestion.config, datetime.datetime.now())
        tuner.on_trial_add(trial)
        _train(meter, tuner, trial, task.training(config_of(described, suggestion.config)))
        n += 1


def _train(meter: Meter, tuner: Any, trial: Trial, training: Training) -> None:
    for step in range(1, meter.task.horizon + 1):
        loss, _ = meter.train(training, step)
        said = {"loss": meter.task.worst if np.isnan(loss) else loss, "step": step}
        if np.isnan(loss) or step == meter.task.horizon:
            tuner.on_trial_complete(trial, said)
            return
        if tuner.on_trial_result(trial, said) == SchedulerDecision.STOP:
            tuner.on_trial_remove(trial)
            return


def _domain(axis: Axis) -> Any:
    if axis.kind == "category":
        return config_space.choice(list(axis.choices))
    if axis.kind == "int":
        return (config_space.lograndint if axis.log else config_space.randint)(int(axis.low), int(axis.high))
    return (config_space.loguniform if axis.log else config_space.uniform)(axis.low, axis.high)

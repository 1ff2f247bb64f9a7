"""Optuna's samplers and pruners with their defaults; it stops trainings and cannot continue them."""

from __future__ import annotations

import math
import warnings
from typing import Any

import optuna

from benchmarks.fidelity.replay import Meter
from benchmarks.search.methods.axes import active, axes
from benchmarks.search.methods.with_optuna import suggest
from tunewell.testing.tables import Training


def search(meter: Meter, seed: int, sampler: str, pruner: str) -> None:
    """Ask, train step by step, tell: until the budget is spent."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    known: dict[str, Any] = {"max_resource": meter.task.horizon} if pruner == "HyperbandPruner" else {}
    study = optuna.create_study(
        sampler=getattr(optuna.samplers, sampler)(seed=seed), pruner=getattr(optuna.pruners, pruner)(**known)
    )
    described = axes(meter.task.space)
    while True:
        trial = study.ask()
        config: dict[str, Any] = {}
        for axis in described:
            if active(axis, config):
                config[axis.name] = axis.value(suggest(trial, axis))
        _train(meter, study, trial, meter.task.training(config))


def _train(meter: Meter, study: optuna.Study, trial: optuna.Trial, training: Training) -> None:
    loss = math.nan
    for step in range(1, meter.task.horizon + 1):
        loss, _ = meter.train(training, step)
        if math.isnan(loss):
            loss = meter.task.worst
            trial.report(loss, step)
            break
        trial.report(loss, step)
        if trial.should_prune():
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return
    study.tell(trial, loss)

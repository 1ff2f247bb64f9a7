"""Optuna: its script started twice, both on one journal file, with its defaults; only the processes' seeds differ.

It stops trainings and cannot continue them.
"""

from __future__ import annotations

import math
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from benchmarks.fidelity.live.training import EPOCHS, Search
from benchmarks.search.methods.axes import active, axes
from benchmarks.search.methods.with_optuna import suggest


def search(given: Search, sampler: str, pruner: str) -> None:
    """Take part in a study."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    known: dict[str, Any] = {"max_resource": EPOCHS} if pruner == "HyperbandPruner" else {}
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(given.folder / "optuna.journal"))),
        study_name="study",
        load_if_exists=True,
        direction="maximize",
        sampler=getattr(optuna.samplers, sampler)(seed=1000 * given.rank + given.seed),
        pruner=getattr(optuna.pruners, pruner)(**known),
    )
    described = axes(given.task.space)

    def objective(trial: optuna.Trial) -> float:
        config: dict[str, Any] = {}
        for axis in described:
            if active(axis, config):
                config[axis.name] = axis.value(suggest(trial, axis))
        training, accuracy = given.begin(config), 0.0
        for epoch in range(1, EPOCHS + 1):
            accuracy = training.epoch(epoch)
            if math.isnan(accuracy):
                return 0.0
            trial.report(accuracy, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return accuracy

    study.optimize(objective, timeout=given.seconds)

"""SMAC's multi-fidelity facades with their defaults; a configuration that goes on begins again."""

from __future__ import annotations

import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import smac
from smac.runhistory.dataclasses import TrialValue

from benchmarks.fidelity.methods.configs import config_of
from benchmarks.fidelity.methods.configspace import configspace
from benchmarks.fidelity.replay import Meter
from benchmarks.search.methods.axes import axes


def _never(config: Any, seed: int = 0, budget: float = 0.0) -> float:
    raise RuntimeError("asked and told only")


def search(meter: Meter, seed: int, facade: str) -> None:
    """Ask, train to the budget that was asked for, tell: until the meter's budget is spent."""
    warnings.simplefilter("ignore")
    task = meter.task
    described = axes(task.space)
    with tempfile.TemporaryDirectory() as folder:
        scenario = smac.Scenario(
            configspace(described, seed),
            n_trials=int(meter.left),
            min_budget=1,
            max_budget=task.horizon,
            seed=seed,
            deterministic=True,
            output_directory=Path(folder),
        )
        tuner = getattr(smac, facade)(scenario, _never, logging_level=logging.ERROR, overwrite=True)
        while True:
            trial = tuner.ask()
            config = config_of(described, trial.config)
            loss = meter.to(task.training(config), 0, max(1, round(trial.budget)))
            tuner.tell(trial, TrialValue(cost=loss))

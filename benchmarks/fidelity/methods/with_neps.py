"""NePS's bracket optimizers with their defaults; a configuration that goes on continues from its previous rung.

PriorBand is given no priors, which nobody has stated here, so it falls back on uniform draws and its incumbent. ifBO is
not here: its network is downloaded when it is first used and is in no package.
"""

from __future__ import annotations

import random
import warnings
from typing import Any

import numpy as np
import torch
from neps import AskAndTell, algorithms
from neps.space import HPOCategorical, HPOFloat, HPOInteger, SearchSpace

from benchmarks.fidelity.methods.configs import config_of
from benchmarks.fidelity.replay import Meter
from benchmarks.search.methods.axes import Axis, axes

FIDELITY = "steps_to_train"


def search(meter: Meter, seed: int, algorithm: str) -> None:
    """Ask, train on to the step that was asked for, tell: until the budget is spent."""
    warnings.simplefilter("ignore")
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (NePS draws from the global generators)
    torch.manual_seed(seed)
    described = axes(meter.task.space)
    space = SearchSpace(
        {axis.name: _parameter(axis) for axis in described}
        | {FIDELITY: HPOInteger(1, meter.task.horizon, is_fidelity=True)}
    )
    tuner = AskAndTell(getattr(algorithms, algorithm)(space))
    while True:
        trial = tuner.ask()
        before = trial.metadata.previous_trial_id
        done = 0 if before is None else int(tuner.trials[before].config[FIDELITY])
        training = meter.task.training(config_of(described, trial.config))
        tuner.tell(trial, meter.to(training, done, int(trial.config[FIDELITY])))


def _parameter(axis: Axis) -> Any:
    if axis.kind == "category":
        return HPOCategorical(list(axis.choices))
    if axis.kind == "int":
        return HPOInteger(int(axis.low), int(axis.high), log=axis.log)
    return HPOFloat(axis.low, axis.high, log=axis.log)

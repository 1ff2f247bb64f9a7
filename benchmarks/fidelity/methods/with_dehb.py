"""DEHB with its defaults; a configuration that goes on begins again."""

from __future__ import annotations

import tempfile

from dehb import DEHB
from loguru import logger

from benchmarks.fidelity.methods.configs import config_of
from benchmarks.fidelity.methods.configspace import configspace
from benchmarks.fidelity.replay import Meter
from benchmarks.search.methods.axes import axes


def search(meter: Meter, seed: int) -> None:
    """Ask, train to the fidelity that was asked for, tell: until the budget is spent."""
    logger.remove()
    task = meter.task
    described = axes(task.space)
    with tempfile.TemporaryDirectory() as folder:
        tuner = DEHB(
            cs=configspace(described, seed),
            min_fidelity=1,
            max_fidelity=task.horizon,
            n_workers=1,
            seed=seed,
            output_path=folder,
            save_freq="end",
        )
        while True:
            job = tuner.ask()
            config = config_of(described, job["config"])
            steps = max(1, round(job["fidelity"]))
            tuner.tell(job, {"fitness": meter.to(task.training(config), 0, steps), "cost": steps})

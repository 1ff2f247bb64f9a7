"""Ray Tune's ASHA with random configurations, its scheduler asked directly instead of through processes.

It decides from results alone, so what it decides is the same; with one worker it stops trainings and never resumes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from benchmarks.fidelity.replay import Meter


@dataclass
class Trial:
    """What the scheduler knows of a trial."""

    trial_id: str


def search(meter: Meter, seed: int) -> None:
    """Train random configurations as far as the scheduler lets them."""
    scheduler = AsyncHyperBandScheduler(metric="loss", mode="min", max_t=meter.task.horizon)
    rng, n = np.random.default_rng(seed), 0
    while True:
        training = meter.task.training(meter.task.space.decode(rng.random((1, len(meter.task.space))))[0])
        trial: Any = Trial(str(n))
        scheduler.on_trial_add(None, trial)
        for step in range(1, meter.task.horizon + 1):
            loss, _ = meter.train(training, step)
            said = {"training_iteration": step, "loss": meter.task.worst if np.isnan(loss) else loss}
            if np.isnan(loss) or scheduler.on_trial_result(None, trial, said) == TrialScheduler.STOP:
                break
        scheduler.on_trial_complete(None, trial, said)
        n += 1

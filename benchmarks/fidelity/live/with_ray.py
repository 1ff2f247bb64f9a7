"""Ray Tune: ASHA on random configurations, two trials at a time on one CPU each, their processes used again."""

from __future__ import annotations

import math
import os
from typing import Any

os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.basic_variant import BasicVariantGenerator

from benchmarks.fidelity.live.training import EPOCHS, Search
from benchmarks.search.methods.axes import Axis, axes, flat


def train(said: dict[str, Any], given: Search) -> None:
    """Train a configuration for as long as the scheduler lets it."""
    training = given.begin(flat(given.task.space, axes(given.task.space), said))
    for epoch in range(1, EPOCHS + 1):
        accuracy = training.epoch(epoch)
        tune.report({"val_accuracy": 0.0 if math.isnan(accuracy) else accuracy})
        if math.isnan(accuracy):
            return


def domain(axis: Axis) -> Any:
    """Return an axis in Ray Tune's words; its whole numbers end before the upper bound."""
    if axis.kind == "category":
        return tune.choice(list(axis.choices))
    if axis.kind == "int":
        low, high = int(axis.low), int(axis.high) + 1
        return tune.lograndint(low, high) if axis.log else tune.randint(low, high)
    return tune.loguniform(axis.low, axis.high) if axis.log else tune.uniform(axis.low, axis.high)


def search(given: Search) -> None:
    """Start Ray and search; starting counts."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(train, given=given), {"cpu": 1}),
        param_space={axis.name: domain(axis) for axis in axes(given.task.space)},
        tune_config=tune.TuneConfig(
            metric="val_accuracy",
            mode="max",
            num_samples=-1,
            time_budget_s=given.seconds,
            search_alg=BasicVariantGenerator(random_state=given.seed),
            scheduler=ASHAScheduler(max_t=EPOCHS),
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(storage_path=str(given.folder), name="study", verbose=0),
    )
    tuner.fit()
    ray.shutdown()

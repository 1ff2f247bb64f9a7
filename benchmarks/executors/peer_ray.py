"""Ray Tune's side of the executors benchmark, run by the peers' Python: one CPU a trial, two in all."""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import ray
from ray import tune


class Ends(tune.Callback):  # type: ignore[misc]
    """Notes when trials complete."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Note the time."""
        self.times.append(time.time())


def nothing(config: dict[str, Any]) -> dict[str, float]:
    """The objective that costs nothing."""
    return {"loss": config["momentum"]}


def run(given: argparse.Namespace) -> dict[str, float]:
    """Run the trials on a Ray that is up already."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    ends = Ends()
    tuner = tune.Tuner(
        tune.with_resources(nothing, {"cpu": 1}),
        param_space={
            "learning_rate": tune.loguniform(1e-5, 1e-1),
            "momentum": tune.uniform(0.0, 1.0),
            "layers": tune.randint(1, 9),
        },
        tune_config=tune.TuneConfig(metric="loss", mode="min", num_samples=given.count, reuse_actors=given.reuse),
        run_config=tune.RunConfig(storage_path=str(given.directory), name="study", verbose=0, callbacks=[ends]),
    )
    begin = time.time()
    tuner.fit()
    ray.shutdown()
    span = ends.times[-1] - ends.times[0]
    return {"first": ends.times[0] - begin, "per_trial": span / (len(ends.times) - 1), "done": len(ends.times)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reuse", action="store_true", help="keep actors from trial to trial")
    print(json.dumps(run(parser.parse_args())))

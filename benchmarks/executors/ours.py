"""Tunewell's side of the executors benchmark: one run a process, a JSON object on standard output.

Printed are the seconds from the end of the first trial to the end of the last, per trial in between.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import tunewell as tw

SPACE = tw.Space(learning_rate=tw.Float(1e-5, 1e-1, scale="log"), momentum=tw.Float(0.0, 1.0), layers=tw.Int(1, 8))


def nothing(trial: tw.Trial) -> float:
    """The objective that costs nothing."""
    return float(trial.params["momentum"])  # type: ignore[arg-type]


def with_torch(trial: tw.Trial) -> float:
    """The objective that needs PyTorch, and takes two numbers to multiply."""
    import torch

    return float(torch.tensor(trial.params["momentum"]) * 2.0)


def run(given: argparse.Namespace) -> dict[str, float]:
    """Run the trials; the first one, which pays for getting ready, is told apart."""
    objective = with_torch if given.objective == "torch" else nothing
    storage = f"sqlite:///{given.directory / 'ours.db'}"
    study = tw.Study(SPACE, storage=storage, sampler="random", scheduler="fifo", seed=given.seed)
    begin = time.time()
    study.run(objective, trials=given.count, workers=2, executor="processes", progress=False)
    ends = sorted(trial.stretches[-1].end or 0.0 for trial in study.trials)
    done = sum(trial.status == "completed" for trial in study.trials)
    study.close()
    return {"first": ends[0] - begin, "per_trial": (ends[-1] - ends[0]) / (len(ends) - 1), "done": done}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("objective", choices=("nothing", "torch"))
    parser.add_argument("directory", type=Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    print(json.dumps(run(parser.parse_args())))

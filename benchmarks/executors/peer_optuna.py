"""Optuna's side of the executors benchmark, run by the peers' Python: two threads, or one of two processes."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from benchmarks._common import await_start

optuna.logging.set_verbosity(optuna.logging.ERROR)


def suggest(trial: optuna.Trial) -> float:
    """The objective that costs nothing beyond its three parameters."""
    trial.suggest_float("learning_rate", 1e-5, 1e-1, log=True)
    momentum: float = trial.suggest_float("momentum", 0.0, 1.0)
    trial.suggest_int("layers", 1, 8)
    return momentum


def run(given: argparse.Namespace) -> dict[str, float]:
    """Run the trials on threads, or this process's share of them."""
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(given.directory / "optuna.journal"))),
        study_name="study",
        load_if_exists=True,
        sampler=optuna.samplers.RandomSampler(seed=given.seed),
    )
    if given.place == "process":
        await_start()
    begin = time.time()
    study.optimize(suggest, n_trials=given.count, n_jobs=2 if given.place == "threads" else 1)
    ends = sorted(trial.datetime_complete.timestamp() for trial in study.trials if trial.datetime_complete)
    return {"first": ends[0] - begin, "per_trial": (ends[-1] - ends[0]) / (len(ends) - 1), "done": len(ends)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("place", choices=("threads", "process"))
    parser.add_argument("directory", type=Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    print(json.dumps(run(parser.parse_args())))

"""Tunewell's side of the storage benchmark: one measurement a process, a JSON object on standard output."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import tunewell as tw
from benchmarks._common import await_start
from tunewell import driver
from tunewell.journals import sql

SPACE = tw.Space(learning_rate=tw.Float(1e-5, 1e-1, scale="log"), momentum=tw.Float(0.0, 1.0), layers=tw.Int(1, 8))


def nothing(trial: tw.Trial) -> float:
    """The objective that costs nothing."""
    return float(trial.params["momentum"])  # type: ignore[arg-type]


def reporting(steps: int) -> Callable[[tw.Trial], None]:
    """Return an objective that only reports."""

    def objective(trial: tw.Trial) -> None:
        for step in trial.steps(steps):
            trial.report(loss=1.0 / step)

    return objective


def study(given: argparse.Namespace, name: str = "ours.db") -> tw.Study:
    """Open or create the study, with the durability that the backend's name says."""
    if given.backend in ("sqlite-each", "sqlite-each-fsync"):
        driver.FLUSH_SECONDS = -1.0
    if given.backend in ("sqlite-fsync", "sqlite-each-fsync"):
        sql.SYNC_SECONDS = 0.0
    storage = None if given.backend == "memory" else f"sqlite:///{given.directory / name}"
    return tw.Study(SPACE, storage=storage, sampler="random", scheduler="fifo", seed=given.seed)


def trials(given: argparse.Namespace) -> dict[str, float]:
    """Start and finish trials that do nothing."""
    with study(given) as ours:
        begin = time.perf_counter()
        ours.run(nothing, trials=given.count, executor="inline", progress=False)
        seconds = time.perf_counter() - begin
        return {"seconds": seconds, "done": sum(trial.status == "completed" for trial in ours.trials)}


def reports(given: argparse.Namespace) -> dict[str, float]:
    """Report many steps of a few trials."""
    with study(given) as ours:
        begin = time.perf_counter()
        ours.run(reporting(given.steps), trials=given.count, executor="inline", progress=False)
        seconds = time.perf_counter() - begin
        return {"seconds": seconds, "done": sum(len(trial.reports) for trial in ours.trials)}


def build(given: argparse.Namespace) -> dict[str, float]:
    """Store a large study and a tiny one, for :func:`read`."""
    for name, count in (("large.db", given.count), ("tiny.db", 1)):
        with study(given, name) as ours:
            ours.run(reporting(given.steps), trials=count, executor="inline", progress=False)
    return {"bytes": (given.directory / "large.db").stat().st_size}


def read(given: argparse.Namespace) -> dict[str, float]:
    """Open the large study and touch every value in it; the tiny one first, so that nothing is left to import."""
    found: dict[str, float] = {}
    for name in ("tiny.db", "large.db"):
        begin = time.perf_counter()
        records = tw.open(f"sqlite:///{given.directory / name}").trials
        losses = [report.metrics["loss"] for trial in records for report in trial.reports]
        values = [(trial.value, trial.params["momentum"]) for trial in records]
        seconds = time.perf_counter() - begin
        found = {"seconds": seconds, "done": len(values), "reports": len(losses)}
    return found


def create(given: argparse.Namespace) -> dict[str, float]:
    """Create the study that several processes share."""
    study(given).close()
    return {}


def share(given: argparse.Namespace) -> dict[str, float]:
    """Be one of several drivers of one study, until it has its total of trials."""
    with study(given) as ours:
        await_start()
        begin = time.time()
        ours.run(nothing, trials=given.count, executor="inline", progress=False)
        records = ours.trials
        last = max(trial.stretches[-1].end or 0.0 for trial in records)
        return {"begin": begin, "end": last, "done": sum(trial.status == "completed" for trial in records)}


WORK = {work.__name__: work for work in (trials, reports, build, read, create, share)}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", choices=WORK)
    parser.add_argument("backend")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(json.dumps(WORK[arguments.work](arguments)))

"""Optuna's side of the storage benchmark, run by the peers' Python: one measurement a process, a JSON object each."""

from __future__ import annotations

import argparse
import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import optuna
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from benchmarks._common import await_start

optuna.logging.set_verbosity(optuna.logging.ERROR)


def suggest(trial: optuna.Trial) -> float:
    """The objective that costs nothing beyond its three parameters."""
    trial.suggest_float("learning_rate", 1e-5, 1e-1, log=True)
    momentum: float = trial.suggest_float("momentum", 0.0, 1.0)
    trial.suggest_int("layers", 1, 8)
    return momentum


def reporting(steps: int) -> Callable[[optuna.Trial], float]:
    """Return an objective that only reports."""

    def objective(trial: optuna.Trial) -> float:
        suggest(trial)
        for step in range(1, steps + 1):
            trial.report(1.0 / step, step)
        return 1.0 / steps

    return objective


def storage(given: argparse.Namespace, name: str = "optuna") -> BaseStorage:
    """Return a new storage object."""
    if given.backend == "memory":
        return InMemoryStorage()
    if given.backend == "sqlite":
        return RDBStorage(f"sqlite:///{given.directory / name}.db")
    return JournalStorage(JournalFileBackend(str(given.directory / f"{name}.journal")))


def study(given: argparse.Namespace, name: str = "optuna") -> optuna.Study:
    """Open or create the study."""
    return optuna.create_study(
        storage=storage(given, name),
        study_name="study",
        load_if_exists=True,
        sampler=optuna.samplers.RandomSampler(seed=given.seed),
    )


def trials(given: argparse.Namespace) -> dict[str, float]:
    """Start and finish trials that do nothing."""
    theirs = study(given)
    begin = time.perf_counter()
    theirs.optimize(suggest, n_trials=given.count)
    seconds = time.perf_counter() - begin
    return {"seconds": seconds, "done": sum(t.state.name == "COMPLETE" for t in theirs.trials)}


def reports(given: argparse.Namespace) -> dict[str, float]:
    """Report many steps of a few trials."""
    theirs = study(given)
    begin = time.perf_counter()
    theirs.optimize(reporting(given.steps), n_trials=given.count)
    seconds = time.perf_counter() - begin
    return {"seconds": seconds, "done": sum(len(trial.intermediate_values) for trial in theirs.trials)}


def build(given: argparse.Namespace) -> dict[str, float]:
    """Store a large study and a tiny one: one real trial each, which the large one repeats with new numbers."""
    for name in ("tiny", "large"):
        study(given, name).optimize(reporting(given.steps), n_trials=1)
    if given.backend == "sqlite":
        file = given.directory / "large.db"
        _repeat_rows(file, given.count)
    else:
        file = given.directory / "large.journal"
        _repeat_lines(file, given.count)
    return {"bytes": file.stat().st_size}


def _repeat_rows(file: Path, count: int) -> None:
    """Insert rows like those of the first trial, as a run of ``count`` trials leaves them."""
    copies = f"WITH RECURSIVE k(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM k WHERE n < {count - 1})"
    with sqlite3.connect(file) as connection:
        columns = "trial_id, number, study_id, state, datetime_start, datetime_complete"
        moved = "trial_id + n, number + n, study_id, state, datetime_start, datetime_complete"
        connection.execute(f"{copies} INSERT INTO trials ({columns}) SELECT {moved} FROM k, trials WHERE number = 0")
        for table in ("trial_params", "trial_values", "trial_intermediate_values"):
            names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")][1:]
            moved = ", ".join("trial_id + n" if name == "trial_id" else name for name in names)
            connection.execute(
                f"{copies} INSERT INTO {table} ({', '.join(names)}) SELECT {moved} FROM k CROSS JOIN {table} "
                "WHERE trial_id = 1"
            )
    connection.close()


def _repeat_lines(file: Path, count: int) -> None:
    """Append log lines like those of the first trial, as a run of ``count`` trials leaves them."""
    trial = [json.loads(line) for line in file.read_text().splitlines() if "study_name" not in json.loads(line)]
    with file.open("a") as log:
        for n in range(1, count):
            for line in trial:
                moved = {**line, "trial_id": n} if "trial_id" in line else line
                log.write(json.dumps(moved, separators=(",", ":")) + "\n")


def read(given: argparse.Namespace) -> dict[str, float]:
    """Open the large study and touch every value in it; the tiny one first, so that nothing is left to import."""
    found: dict[str, float] = {}
    for name in ("tiny", "large"):
        begin = time.perf_counter()
        records = optuna.load_study(study_name="study", storage=storage(given, name)).trials
        losses = [value for trial in records for value in trial.intermediate_values.values()]
        values = [(trial.value, trial.params["momentum"]) for trial in records]
        seconds = time.perf_counter() - begin
        found = {"seconds": seconds, "done": len(values), "reports": len(losses)}
    return found


def create(given: argparse.Namespace) -> dict[str, float]:
    """Create the study that several processes share."""
    study(given)
    return {}


def share(given: argparse.Namespace) -> dict[str, float]:
    """Be one of several processes that work on one study, with this many trials to do."""
    theirs = study(given)
    await_start()
    begin = time.time()
    theirs.optimize(suggest, n_trials=given.count)
    records = theirs.trials
    last = max(t.datetime_complete.timestamp() for t in records if t.datetime_complete)
    return {"begin": begin, "end": last, "done": sum(t.state.name == "COMPLETE" for t in records)}


WORK = {work.__name__: work for work in (trials, reports, build, read, create, share)}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", choices=WORK)
    parser.add_argument("backend", choices=("memory", "sqlite", "journal"))
    parser.add_argument("directory", type=Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(json.dumps(WORK[arguments.work](arguments)))

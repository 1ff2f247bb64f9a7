"""What one more trial costs on two workers, Tunewell against Optuna and Ray Tune: ``python -m benchmarks.executors``.

Measured from the end of the first trial to the end of the last, so what a run needs once to get ready is not in it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from benchmarks._common import Page, Spread, command, environment, fresh, interleaved, options, scratch, together

OURS, OPTUNA, RAY = (f"benchmarks.executors.{name}" for name in ("ours", "peer_optuna", "peer_ray"))
PROCESS = "a fresh process a trial"
NEEDS_TORCH = "import torch; print(float(torch.tensor(0.5) * 2.0))"


@dataclass(frozen=True)
class Row:
    """One row of a table: what runs, what parts a trial from the next, and how many trials are enough (0: none)."""

    name: str
    apart: str
    measure: Callable[[int, int], float]
    count: int
    quick: int


def main() -> None:
    """Measure everything and write the page."""
    given = options("What one more trial costs on two workers.", repeats=3)
    page = Page("executors", "One more trial", given)
    page.text(
        "Seconds of the wall clock from the end of the first trial to the end of the last, divided by the trials in "
        "between, with two workers on two cores: what every further trial costs beside its training. The second column "
        "says what protects a trial from the one before it (leaked GPU memory, a crash, changed globals)."
    )
    plain = _measure(given, NOTHING)
    torch = _measure(given, TORCH)
    for heading, rows, taken in (
        ("A trial that does nothing", NOTHING, plain),
        ("A trial whose objective imports PyTorch", TORCH, torch),
    ):
        ours = taken[rows[0].name]
        page.table(
            heading,
            ("", "apart from each other by", "milliseconds a trial", "Tunewell is faster by"),
            [
                (row.name, row.apart, taken[row.name].show(), "" if row is rows[0] else taken[row.name].factor(ours))
                for row in rows
                if row.name in taken
            ],
        )
    page.keep(nothing_ms=plain, torch_ms=torch)
    page.write()


def _measure(given: argparse.Namespace, rows: tuple[Row, ...]) -> dict[str, Spread]:
    def count(row: Row) -> int:
        wanted = given.with_peers or not row.name.startswith(("Optuna", "Ray"))
        return (row.quick if given.quick else row.count) if wanted else 0

    def once(row: Row) -> Callable[[], float]:
        return lambda: 1000 * row.measure(count(row), given.seed)

    return interleaved({row.name: once(row) for row in rows if count(row)}, given.repeats)


def _one(module: str, *first: str, flags: tuple[str, ...] = ()) -> Callable[[int, int], float]:
    """Return a measure that runs all trials under one process."""

    def measure(count: int, seed: int) -> float:
        with scratch() as folder:
            found = fresh(
                module, *first, folder, "--count", count, "--seed", seed, *flags, peer=module != OURS, timeout=900
            )
        if found["done"] != count:
            raise RuntimeError(f"expected {count} trials from {module}, found {found['done']}")
        return float(found["per_trial"])

    return measure


def _optuna_processes(count: int, seed: int) -> float:
    """Two processes that the user starts, each with half of the trials."""
    with scratch() as folder:
        lines = [
            command(OPTUNA, "process", folder, "--count", count // 2, "--seed", seed + k, peer=True) for k in range(2)
        ]
        found = together(lines)
    return float(max(found, key=lambda one: one["done"])["per_trial"])


def _interpreters(count: int, seed: int) -> float:
    """What it costs to start a Python that imports PyTorch for every trial, two at a time."""
    ends = []

    def one(_: int) -> None:
        subprocess.run([sys.executable, "-c", NEEDS_TORCH], env=environment(), stdout=subprocess.DEVNULL, check=True)
        ends.append(time.perf_counter())

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, range(count)))
    return (max(ends) - min(ends)) / (count - 1)


NOTHING = (
    Row("Tunewell, 2 worker processes, SQLite", PROCESS, _one(OURS, "nothing"), 200, 50),
    Row("Optuna, n_jobs=2, journal file", "nothing (threads)", _one(OPTUNA, "threads"), 400, 100),
    Row("Optuna, started twice, journal file", "nothing (2 processes for all)", _optuna_processes, 400, 100),
    Row("Ray Tune", PROCESS, _one(RAY), 8, 0),
    Row("Ray Tune, reuse_actors=True", "nothing (2 processes for all)", _one(RAY, flags=("--reuse",)), 40, 0),
)
TORCH = (
    Row("Tunewell, 2 worker processes, SQLite", PROCESS, _one(OURS, "torch"), 100, 20),
    Row("a new Python for each trial, no tuner", PROCESS, _interpreters, 10, 4),
)

if __name__ == "__main__":
    main()

"""What was measured, kept as lines of JSON: trainings, and what a rule suggested."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from benchmarks._common import RESULTS
from benchmarks.range_test.tasks import STEPS, Task, loaded, train

FOLDER = RESULTS / "range_test"
Row = TypeVar("Row", "Training", "Suggestion")


@dataclass(frozen=True)
class Training:
    """A full training; losses are None where it diverged."""

    task: str
    rate: float
    seed: int
    validation: float | None
    training: float | None
    seconds: float
    steps: int = STEPS


@dataclass(frozen=True)
class Suggestion:
    """What a rule said of a task; ``rate`` is None where it refused, ``steps`` counts optimizer steps."""

    task: str
    rule: str
    repeat: int
    rate: float | None
    low: float | None
    high: float | None
    steps: int
    seconds: float
    said: str = ""


def read(kind: type[Row]) -> list[Row]:
    """Return all rows of a kind."""
    path = FOLDER / f"{kind.__name__.lower()}s.jsonl"
    return [kind(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def keep(row: Training | Suggestion) -> None:
    """Append a row."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / f"{type(row).__name__.lower()}s.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(row), separators=(",", ":")) + "\n")


def train_missing(wanted: Iterable[tuple[Task, float, int]], home: Path, steps: int = STEPS) -> None:
    """Train what is wanted and not there yet."""
    done = {(row.task, row.rate, row.seed) for row in read(Training) if row.steps == steps}
    for task, rate, seed in wanted:
        if (task.name, rate, seed) in done:
            continue
        raw, data = loaded(task.name, home)
        start = time.process_time()
        values = train(task, data, raw, rate, seed, steps)
        losses = [value if math.isfinite(value) else None for value in values]
        keep(Training(task.name, rate, seed, *losses, round(time.process_time() - start, 3), steps))
        done.add((task.name, rate, seed))


def grid(tasks: Iterable[Task], points: int, seeds: int) -> Iterator[tuple[Task, float, int]]:
    """Return every training of the grids."""
    return ((task, rate, seed) for task in tasks for rate in task.rates(points) for seed in range(seeds))

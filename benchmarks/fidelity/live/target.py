"""The target of a task, stated before any search: what random search finds in the median.

Configurations drawn at random are trained to the end: ``python -m benchmarks.fidelity.live.target``, about ten minutes
on two cores. Of any :data:`OF` of them the one with the best validation accuracy at any epoch has a test accuracy at
that epoch; the target is its median over draws. Only accuracies matter here, so a busy machine does no harm.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks._common import RESULTS
from benchmarks.fidelity.live.training import EPOCHS, TASKS, Search, loaded

FOLDER = RESULTS / "fidelity_live"
PATH = FOLDER / "random-trainings.json"
TRAININGS, OF, DRAWS, SEED = 64, 32, 4000, 4321


def train(task: str, row: int) -> tuple[float, float]:
    """Train a configuration to the end; return its best validation accuracy and the test accuracy there."""
    known = TASKS[task]
    config = known.space.sample(np.random.default_rng([SEED, row]))
    with tempfile.TemporaryDirectory() as folder:
        search = Search(known, loaded(known), SEED + row, 0.0, Path(folder))
        training = search.begin(config)
        for epoch in range(1, EPOCHS + 1):
            if np.isnan(training.epoch(epoch)):
                break
        lines = [json.loads(line) for line in search.log.read_text().splitlines()]
    reached = [(line["validation"], line["test"]) for line in lines if "validation" in line]
    return max(reached, key=lambda pair: pair[0], default=(0.0, 0.0))


def read_trainings() -> dict[str, list[tuple[float, float]]]:
    """Return the validation and test accuracies of each task's trainings."""
    stored = json.loads(PATH.read_text()) if PATH.exists() else {}
    return {task: [(validation, test) for validation, test in pairs] for task, pairs in stored.items()}


def target(task: str, of: int = OF) -> float:
    """Return the target: what the best of so many random trainings comes to.

    Raises:
        ValueError: the random trainings of the task are not there.
    """
    return float(np.median(_winners(task, of)[1]))


def seen_target(task: str, of: int = OF) -> float:
    """Return the same of the validation accuracy, by which the best is chosen.

    Raises:
        ValueError: the random trainings of the task are not there.
    """
    return float(np.median(_winners(task, of)[0]))


def _winners(task: str, of: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the validation and the test accuracies of the best of so many random trainings, one for each draw."""
    pairs = read_trainings().get(task, [])
    if len(pairs) < OF:
        raise ValueError(
            f"expected {OF} random trainings of {task!r}, found {len(pairs)}: "
            "run python -m benchmarks.fidelity.live.target"
        )
    validation, test = np.array(pairs).T
    rng = np.random.default_rng(0)
    drawn = np.array([rng.choice(len(pairs), of, replace=False) for _ in range(DRAWS)])
    winners = drawn[np.arange(DRAWS), validation[drawn].argmax(axis=1)]
    return validation[winners], test[winners]


def record(tasks: Iterable[str], trainings: int = TRAININGS, workers: int = 2) -> None:
    """Train what is missing."""
    for task in tasks:
        stored = read_trainings()
        there = stored.get(task, [])
        if len(there) >= trainings:
            continue
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            found = [*there, *pool.map(partial(train, task), range(len(there), trainings))]
        FOLDER.mkdir(parents=True, exist_ok=True)
        PATH.write_text(json.dumps(stored | {task: [[round(part, 5) for part in pair] for pair in found]}) + "\n")
        print(f"{task}: {len(found)} random trainings, target {target(task):.4f}", file=sys.stderr, flush=True)


def main() -> None:
    """Read the command line and train what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS), metavar="TASK")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    record(given.tasks, workers=given.workers)


if __name__ == "__main__":
    main()

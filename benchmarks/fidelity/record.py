"""Record the learning curves: ``python -m benchmarks.fidelity.record``, about 40 minutes on one core.

The data come from the folder ``TUNEWELL_TABLES``; PyTorch is needed. Configurations are scrambled Sobol points of each
task's space. Which they are, their first weights and the order of their batches follow from the seed, so a later run
gives the same curves up to rounding, but its own seconds. Every tenth configuration is trained a second time with other
weights. Pieces of 20 configurations are put aside in ``build/`` as soon as they are done; a run that was stopped goes
on from there. A finished task is one file in ``recorded/``.
"""

from __future__ import annotations

import argparse
import functools
import importlib.metadata
import json
import math
import multiprocessing
import os
import platform
import time
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import qmc

from benchmarks._common import SCRATCH
from benchmarks.fidelity.networks import COLUMNS, Tensors, tensors, train
from benchmarks.fidelity.tasks import TASKS, Task
from benchmarks.search import tables

RECORDED = Path(__file__).resolve().parent / "recorded"
PIECE, SECOND = 20, 10  # configurations in a piece; every tenth is trained twice
MEANING = {
    "units": "configurations in the unit cube of the space, shape (n, d)",
    "train_loss": "mean cross-entropy of the epoch's batches, as it was minimised, shape (n, epochs)",
    "val_loss": "cross-entropy on the validation rows after the epoch, shape (n, epochs)",
    "val_accuracy": "share of the validation labels that are right, shape (n, epochs)",
    "test_accuracy": "the same on the test rows, shape (n, epochs)",
    "seconds": "processor seconds of training and validation in the epoch, shape (n, epochs)",
    "again": "the rows that were trained a second time; their curves are in <column>_again",
    "NaN": "the training had diverged; the seconds of the epoch that diverged are there, later ones are not",
}


@dataclass(frozen=True)
class Piece:
    """Some configurations of a task, to be trained in one go."""

    task: str
    start: int
    configurations: int
    epochs: int
    seed: int

    @property
    def rows(self) -> range:
        return range(self.start, min(self.start + PIECE, self.configurations))

    @property
    def path(self) -> Path:
        """Where the piece is put aside; other settings have another place."""
        task = TASKS[self.task]
        rows = "-".join(str(size) for size in task.sizes)
        place = f"{self.task}-{task.space.fingerprint[:8]}-{rows}-{self.epochs}-{self.seed}"
        return SCRATCH / "fidelity" / place / f"{self.rows[0]}-{self.rows[-1]}.npz"


def points(task: Task, n: int, seed: int) -> np.ndarray:
    """Return configurations in the unit cube, shape ``(n, d)``; more of them begin with the same ones."""
    sobol = qmc.Sobol(len(task.space), seed=np.random.default_rng([seed, zlib.crc32(task.name.encode())]))
    return np.asarray(sobol.random_base2(math.ceil(math.log2(max(n, 2))))[:n], dtype=np.float32)


def weights(task: Task, row: int, repeat: int, seed: int) -> int:
    """Return the seed of one training."""
    return int(np.random.SeedSequence([seed, zlib.crc32(task.name.encode()), row, repeat]).generate_state(1)[0])


@functools.cache
def loaded(name: str) -> Tensors:
    """Return the data of a task."""
    return tensors(TASKS[name].data(home()))


def home() -> Path:
    """Return the folder of the data."""
    found = tables.folder()
    if found is None:
        raise ValueError("expected the folder of the data in TUNEWELL_TABLES, found none: set it")
    return found


def record(piece: Piece) -> tuple[Piece, float]:
    """Train the configurations of a piece, put their curves aside, and return the seconds it took."""
    start = time.perf_counter()
    torch.set_num_threads(1)
    task, rows = TASKS[piece.task], list(piece.rows)
    configs = task.space.decode(points(task, piece.configurations, piece.seed)[rows])

    def curves(which: Iterable[int], repeat: int) -> np.ndarray:
        found = [
            train(task, configs[i - piece.start], loaded(task.name), weights(task, i, repeat, piece.seed), piece.epochs)
            for i in which
        ]
        return np.array(found).reshape(-1, len(COLUMNS), piece.epochs)

    once, again = curves(rows, 0), curves([i for i in rows if i % SECOND == 0], 1)
    piece.path.parent.mkdir(parents=True, exist_ok=True)
    aside = piece.path.with_suffix(".aside.npz")
    np.savez(aside, once=once, again=again)
    os.replace(aside, piece.path)
    return piece, time.perf_counter() - start


def rounded(values: np.ndarray, bits: int) -> np.ndarray:
    """Return float32 with a shorter mantissa, which compresses better."""
    mantissa, exponent = np.frexp(values)
    return np.asarray(np.ldexp(np.round(mantissa * 2.0**bits) / 2.0**bits, exponent), dtype=np.float32)


def assemble(task: Task, pieces: list[Piece]) -> Path:
    """Write the file of a task from its pieces."""
    first, stored = pieces[0], [np.load(piece.path) for piece in pieces]
    columns: dict[str, Any] = {"units": points(task, first.configurations, first.seed)}
    for ending, key in (("", "once"), ("_again", "again")):
        curves = np.concatenate([part[key] for part in stored])
        for k, name in enumerate(COLUMNS):
            columns[name + ending] = rounded(curves[:, k], 9 if name == "seconds" else 14)
    columns["again"] = np.arange(0, first.configurations, SECOND, dtype=np.int32)
    data = task.data(home())
    meta: dict[str, Any] = {
        "task": task.name,
        "source": data.source,
        "licence": data.licence,
        "model": task.model,
        "optimizer": "as the space says" if "optimizer" in task.space else task.optimizer,
        "rows": dict(zip(("train", "validation", "test"), task.sizes, strict=True)),
        "classes": data.classes,
        "epochs": first.epochs,
        "seed": first.seed,
        "space": task.space.to_json(),
        "columns": MEANING,
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in ("torch", "numpy", "scipy")},
    }
    RECORDED.mkdir(exist_ok=True)
    path = RECORDED / f"{task.name}.npz"
    np.savez_compressed(path, **columns, meta=np.array(json.dumps(meta)))
    return path


def finished(waiting: list[Piece], workers: int) -> Iterator[tuple[Piece, float]]:
    """Record pieces, here or in processes of their own, and yield each as it is done."""
    if workers == 1:
        yield from map(record, waiting)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for done in as_completed([pool.submit(record, piece) for piece in waiting]):
            yield done.result()


def main() -> None:
    parser = argparse.ArgumentParser(description="Record the learning curves of small networks.")
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS), metavar="TASK")
    parser.add_argument("--configurations", type=int, default=300)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    n = given.configurations
    pieces = {
        name: [Piece(name, start, n, given.epochs, given.seed) for start in range(0, n, PIECE)] for name in given.tasks
    }
    # One piece of each task after the other, so that all tasks grow alike.
    waiting = sorted((p for every in pieces.values() for p in every if not p.path.exists()), key=lambda p: p.start)
    start = time.perf_counter()
    for k, (piece, seconds) in enumerate(finished(waiting, given.workers), 1):
        spent = time.perf_counter() - start
        left = spent / k * (len(waiting) - k)
        print(
            f"{k}/{len(waiting)} {piece.task} {piece.rows[0]}-{piece.rows[-1]}: {seconds:.0f} s, "
            f"{spent / 60:.1f} min spent, about {left / 60:.1f} left",
            flush=True,
        )
    for name, every in pieces.items():
        path = assemble(TASKS[name], every)
        print(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB", flush=True)


if __name__ == "__main__":
    main()

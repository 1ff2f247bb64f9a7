"""Learning curves in one form: those recorded here, and public ones from the folder ``TUNEWELL_TABLES``.

A public table is called ``file/task``. TaskSet, DeepOBS and Tiny ImageNet recorded a point before training, which is
left out: step k is what k units of training gave. A configuration that was trained several times counts once, as its
first run; the later ones are there as ``again`` where they are the same training with another seed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from benchmarks.search import tables
from tunewell.space import Choice, Float, Int, Parameter, Space

RECORDED = Path(__file__).resolve().parent / "recorded"
Mode: TypeAlias = Literal["min", "max"]
Stored: TypeAlias = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Table:
    """Recorded trainings of n configurations of one task.

    The first ``lengths[i]`` steps of row i were recorded, and the rest are NaN: most rows have all steps, early
    stopping left some shorter. NaN among the recorded steps is a training that had diverged by then.
    """

    name: str
    space: Space
    mode: Mode  # of the curves
    units: np.ndarray  # (n, d), the configurations in the unit cube of the space
    curves: np.ndarray  # (n, steps), the metric on validation data
    seconds: np.ndarray  # (n, steps), of each step; ones where nobody recorded them, 0 after a divergence
    lengths: np.ndarray  # (n,)
    test: np.ndarray | None = None  # (n, steps), the metric on test data
    losses: np.ndarray | None = None  # (n, steps), the validation loss where the metric is the accuracy
    again: np.ndarray | None = None  # (m,), rows that were trained again with another seed; a row may be there often
    curves_again: np.ndarray | None = None  # (m, steps), what the metric was then


def names() -> list[str]:
    """Return the names of the tables that are here."""
    home = tables.folder()
    found = sorted(path.stem for path in RECORDED.glob("*.npz"))
    if home is not None:
        for file, reader in PUBLIC.items():
            if (home / reader.file).exists():
                tasks = json.loads(str(tables.load(home, reader.file)["meta"]))["tasks"]
                found += [f"{file}/{task.removeprefix(reader.prefix)}" for task in tasks if reader.has(task)]
    return found


@cache
def load(name: str) -> Table:
    """Return a table by its name.

    Raises:
        ValueError: a name that is not there, or a public table without ``TUNEWELL_TABLES``.
    """
    if name not in names():
        raise ValueError(f"expected a table, got {name!r}: choose one of {names()}, or set TUNEWELL_TABLES for more")
    file, _, task = name.partition("/")
    if not task:
        return recorded(name)
    reader, home = PUBLIC[file], tables.folder()
    if home is None:
        raise ValueError("expected the folder of the tables in TUNEWELL_TABLES, found none: set it")
    return reader.read(name, reader.prefix + task, tables.load(home, reader.file))


def recorded(task: str) -> Table:
    """Return the validation accuracy of a task that was recorded here."""
    stored = tables.load(RECORDED, f"{task}.npz")
    space = Space.from_json(json.loads(str(stored["meta"]))["space"])
    n, steps = stored["val_accuracy"].shape
    return Table(
        task,
        space,
        "max",
        stored["units"].astype(np.float64),
        stored["val_accuracy"].astype(np.float64),
        np.nan_to_num(stored["seconds"].astype(np.float64), nan=0.0),
        np.full(n, steps),
        stored["test_accuracy"].astype(np.float64),
        stored["val_loss"].astype(np.float64),
        stored["again"],
        stored["val_accuracy_again"].astype(np.float64),
    )


def finite(curves: np.ndarray) -> np.ndarray:
    """Return curves with NaN from the first step on that is not finite."""
    broken = np.logical_or.accumulate(~np.isfinite(curves), axis=1)
    return np.where(broken, np.nan, curves.astype(np.float64))


def placed(space: Space, columns: Mapping[str, list[Any]]) -> np.ndarray:
    """Return configurations in the unit cube, shape ``(n, d)``; columns are in the order of the space."""
    rows = zip(*(columns[name] for name in space), strict=True)
    return space.encode([space.check(dict(zip(space, row, strict=True))) for row in rows])


def first_of(configs: np.ndarray) -> np.ndarray:
    """Return the rows that show a configuration for the first time, in order."""
    return np.sort(np.unique(configs, axis=0, return_index=True)[1])


def decimal(column: np.ndarray) -> list[float]:
    """Return the short decimal numbers that were stored as float32."""
    return [float(f"{value:.6g}") for value in column]


TASKSET = Space(
    learning_rate=Float(1e-8, 10.0, scale="log"),
    beta1=Float(0.0, 1.0 - 1e-4, scale="reverse_log"),
    beta2=Float(0.0, 1.0 - 1e-6, scale="reverse_log"),
    epsilon=Float(1e-10, 1e3, scale="log"),
    l1=Float(1e-8, 10.0, scale="log"),
    l2=Float(1e-8, 10.0, scale="log"),
    linear_decay=Float(1e-7, 1e-4, scale="log"),
    exponential_decay=Float(1e-6, 1e-3, scale="log"),
)


def taskset(name: str, task: str, stored: Stored) -> Table:
    """Return a text network under Adam, 50 steps of 200 updates; each curve is a mean over five seeds."""
    units = placed(TASKSET, {key: list(stored[f"{task}/configs"][:, j]) for j, key in enumerate(TASKSET)})
    curves, test = (finite(stored[f"{task}/{part}_loss"][:, 1:]) for part in ("valid", "test"))
    return Table(name, TASKSET, "min", units, curves, np.ones(curves.shape), np.full(len(curves), 50), test)


NMT: Mapping[str, Parameter] = {
    "bpe": Choice([1, 2, 4, 8, 16, 32], ordered=True),
    "layers": Choice([1, 2, 4], ordered=True),
    "width": Choice([256, 512, 1024], ordered=True),
    "feed_forward": Choice([1024, 2048], ordered=True),
    "learning_rate": Choice([3e-4, 6e-4, 1e-3], ordered=True),
}
NMT_LARGE = {**NMT, "bpe": Choice([10, 30, 50], ordered=True), "layers": Choice([2, 4], ordered=True)}
LANGUAGE_MODELS = {
    (1, 24, 1024): "bloomz-560m",
    (1, 24, 2048): "bloomz-1b7",
    (1, 30, 2560): "bloomz-3b",
    (2, 24, 1024): "xglm-564m",
    (2, 24, 2048): "xglm-1.7b",
    (2, 48, 2048): "xglm-2.9b",
}
NMT_FINETUNE = Space(
    model=Choice(list(LANGUAGE_MODELS.values())),
    lora_rank=Choice([2, 16, 64], ordered=True),
    batch_size=Choice([16, 32, 64], ordered=True),
    learning_rate=Choice([2e-5, 1e-4, 2e-4], ordered=True),
)


def nmt(name: str, task: str, stored: Stored) -> Table:
    """Return the perplexity of a translator, one step a checkpoint; early stopping made the lengths differ.

    Runs that differ in the number of attention heads look alike in the source; the first is kept.
    """
    configs = stored[f"{task}/configs"]
    kept = first_of(configs)
    configs = configs[kept]
    if "finetune" in task:
        space = NMT_FINETUNE
        model, width, _, layers, rank, batch, rate = configs.T
        kinds = zip(model.astype(int), layers.astype(int), width.astype(int), strict=True)
        values: list[list[Any]] = [[LANGUAGE_MODELS[kind] for kind in kinds], decimal(rank), decimal(batch)]
        values.append(decimal(rate))
    else:
        space = Space(NMT if task.endswith("so-en") else NMT_LARGE)
        values = [decimal(column) for column in configs.T]
    curves, lengths = stored[f"{task}/dev_ppl"][kept].astype(np.float64), stored[f"{task}/curve_len"][kept]
    units = placed(space, dict(zip(space, values, strict=True)))
    return Table(name, space, "min", units, curves, np.ones(curves.shape), lengths.astype(int))


NNPERF: Mapping[str, tuple[Space, tuple[int, ...]]] = {  # the space, and which columns its parameters are
    "deep_resnets_cifar10": (
        Space(weights=Int(126594, 1734740, scale="log"), learning_rate=Choice([4e-4, 1e-3], ordered=True)),
        (0, 1),
    ),
    "deep_resnets_tinyimagenet": (
        Space(
            blocks=Int(1, 17),
            filters=Int(2, 32, scale="log"),
            filter_size=Choice([3, 5, 7], ordered=True),
            rate_step=Choice([35000, 70000, 145810, 175000], ordered=True),
        ),
        (0, 1, 2, 4),
    ),
    "lstm_ptb": (Space(layers=Int(2, 5), width=Int(10, 1390, scale="log")), (0, 1)),
    "metaqnn_cifar10": (
        Space(
            weights=Int(192, 23728832, scale="log"),
            depth=Int(2, 19),
            learning_rate=Choice([2.6e-5, 6.4e-5, 1.6e-4, 4e-4, 1e-3], ordered=True),
        ),
        (0, 1, 2),
    ),
}


def nnperf(name: str, task: str, stored: Stored) -> Table:
    """Return the validation accuracy, or perplexity, of networks that differ mostly in architecture; a step an epoch.

    Where only the number of parameters says which architecture it was, the curves jump from row to row.
    """
    space, used = NNPERF[task]
    kept = first_of(stored[f"{task}/configs"][:, used])
    configs = stored[f"{task}/configs"][kept].astype(np.float64)
    units = placed(
        space,
        {
            key: decimal(configs[:, j]) if isinstance(space[key], Choice) else list(configs[:, j].astype(int))
            for key, j in zip(space, used, strict=True)
        },
    )
    mode: Mode = "max" if f"{task}/val_acc" in stored else "min"
    curves = stored[f"{task}/{'val_acc' if mode == 'max' else 'val_ppl'}"][kept].astype(np.float64)
    if task == "deep_resnets_tinyimagenet":
        curves = curves[:, 1:]
    return Table(name, space, mode, units, curves, np.ones(curves.shape), np.full(len(curves), curves.shape[1]))


DEEPOBS = Space(
    optimizer=Choice(["sgd", "momentum", "adam"]),
    learning_rate=Float(1e-5, 100.0, scale="log"),
)


def deepobs(name: str, task: str, stored: Stored) -> Table:
    """Return a grid of learning rates for three optimizers, a step an epoch; test data served as validation data.

    The metric is the accuracy where there is one, else the loss. The best rate of each optimizer was run again.
    """
    configs, losses = stored[f"{task}/configs"], finite(stored[f"{task}/test_losses"][:, 1:])
    by_accuracy = f"{task}/test_accuracies" in stored
    curves = losses
    if by_accuracy:
        curves = np.where(np.isnan(losses), np.nan, stored[f"{task}/test_accuracies"][:, 1:].astype(np.float64))
    kept = stored[f"{task}/seed"] == 42
    grid = [tuple(row) for row in configs[kept]]
    optimizers = ("sgd", "momentum", "adam")
    columns: dict[str, list[Any]] = {
        "optimizer": [optimizers[int(code)] for code in configs[kept, 0]],
        "learning_rate": [min(max(rate, 1e-5), 100.0) for rate in decimal(configs[kept, 1])],
    }
    n, steps = curves[kept].shape
    return Table(
        name,
        DEEPOBS,
        "max" if by_accuracy else "min",
        placed(DEEPOBS, columns),
        curves[kept],
        np.ones((n, steps)),
        np.full(n, steps),
        losses=losses[kept] if by_accuracy else None,
        again=np.array([grid.index(tuple(row)) for row in configs[~kept]]),
        curves_again=curves[~kept],
    )


@dataclass(frozen=True)
class Reader:
    """Which file a public table is in, what all its tasks begin with, and who reads it."""

    file: str
    prefix: str
    read: Callable[[str, str, Stored], Table]

    def has(self, task: str) -> bool:
        """Tell whether a task of the file has curves that are read here."""
        return task.startswith(self.prefix)


PUBLIC: Mapping[str, Reader] = {
    "taskset": Reader("taskset.npz", "FixedTextRNNClassification_imdb_", taskset),
    "nmt": Reader("nmt_hpo.npz", "lc_", nmt),
    "nnperf": Reader("nnperf_mit.npz", "", nnperf),
    "deepobs": Reader("deepobs_lr_grids.npz", "", deepobs),
}

"""The data that the networks are trained on: arrays for training, validation and test, and where they come from."""

from __future__ import annotations

import itertools
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.search import tables

Sizes = tuple[int, int, int]
WORDS, BUCKETS = 20, 2048  # words kept of a question; words are told apart by a hash
LETTERS = 10  # a name is cut to this many


@dataclass(frozen=True)
class Data:
    """A data set, cut in three: ``inputs[part]`` and ``labels[part]`` for training, validation and test.

    Inputs are float32, or int64 for words and letters, shape ``(rows, ...)``; labels int64, shape ``(rows,)``, for
    letters ``(rows, letters)`` with -100 after the end.
    """

    inputs: tuple[np.ndarray, ...]
    labels: tuple[np.ndarray, ...]
    classes: int
    source: str
    licence: str


def cut(inputs: np.ndarray, labels: np.ndarray, task: str, sizes: Sizes, **about: object) -> Data:
    """Return the rows of each part, drawn by the name of the task."""
    order = np.random.default_rng(zlib.crc32(task.encode())).permutation(len(inputs))
    ends = np.cumsum([0, *sizes])
    if ends[-1] > len(inputs):
        raise ValueError(f"expected {ends[-1]} rows for {task!r}, found {len(inputs)}: choose smaller sizes")
    parts = [np.sort(order[a:b]) for a, b in itertools.pairwise(ends)]
    return Data(
        tuple(inputs[part] for part in parts),
        tuple(labels[part].astype(np.int64) for part in parts),
        int(labels.max()) + 1,
        str(about["source"]),
        str(about["licence"]),
    )


def scaled(data: Data, axes: tuple[int, ...]) -> Data:
    """Return the data with the mean 0 and the deviation 1 of the training rows, taken over ``axes``."""
    mean, deviation = data.inputs[0].mean(axis=axes), data.inputs[0].std(axis=axes)
    shape = (1, -1) + (1,) * (data.inputs[0].ndim - 2)
    moved = [(x - mean.reshape(shape)) / np.where(deviation > 0, deviation, 1.0).reshape(shape) for x in data.inputs]
    return Data(tuple(x.astype(np.float32) for x in moved), data.labels, data.classes, data.source, data.licence)


def about(home: Path, file: str) -> dict[str, str]:
    """Return what a file says of its source and licence."""
    meta = json.loads(str(tables.load(home, file)["meta"]))
    return {"source": meta["source"], "licence": meta["licence"]}


def tabular(home: Path, name: str, task: str, sizes: Sizes) -> Data:
    """Return a table; every column gets mean 0 and deviation 1."""
    stored = tables.load(home, "tabular.npz")
    rows = stored[f"{name}/X"].astype(np.float64)
    return scaled(cut(rows, stored[f"{name}/y"], task, sizes, **about(home, "tabular.npz")), (0,))


def images(home: Path, file: str, pool: int, task: str, sizes: Sizes) -> Data:
    """Return images, shape ``(rows, channels, height, width)``; every channel gets mean 0 and deviation 1."""
    stored = tables.load(home, file)
    pixels, labels = (stored["X"], stored["y"]) if "X" in stored else (stored["X_train"], stored["y_train"])
    n, height, width = pixels.shape[:3]
    squares = pixels.reshape(n, height // pool, pool, width // pool, pool, -1).astype(np.float64).mean(axis=(2, 4))
    return scaled(cut(squares.transpose(0, 3, 1, 2), labels, task, sizes, **about(home, file)), (0, 2, 3))


def questions(home: Path, task: str, sizes: Sizes) -> Data:
    """Return questions as hashes of their words, from 1; 0 fills up."""
    stored = tables.load(home, "text.npz")
    rows = hashed(str(stored["trec_train/text"]).lower().split("\n"))
    return cut(rows, stored["trec_train/y"], task, sizes, **about(home, "text.npz"))


def hashed(lines: Sequence[str]) -> np.ndarray:
    """Return the first words of each line as hashes from 1, shape ``(n, WORDS)``; 0 fills up."""
    rows = np.zeros((len(lines), WORDS), dtype=np.int64)
    for row, line in zip(rows, lines, strict=True):
        hashes = [zlib.crc32(word.encode()) % (BUCKETS - 1) + 1 for word in line.split()[:WORDS]]
        row[: len(hashes)] = hashes
    return rows


def names(home: Path, task: str, sizes: Sizes) -> Data:
    """Return first names letter by letter, each label the next letter; 0 is the end and the beginning."""
    found = [name for name in (home / "names.txt").read_text().split() if name.isascii() and name.isalpha()]
    rows = np.zeros((len(found), LETTERS), dtype=np.int64)
    following = np.full((len(found), LETTERS), -100, dtype=np.int64)
    for i, name in enumerate(found):
        letters = [0, *(ord(letter) - 96 for letter in name.lower()), 0][: LETTERS + 1]
        rows[i, : len(letters) - 1], following[i, : len(letters) - 1] = letters[:-1], letters[1:]
    return cut(rows, following, task, sizes, source="names.txt of github karpathy/makemore", licence="MIT (repository)")

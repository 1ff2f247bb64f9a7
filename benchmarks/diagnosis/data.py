"""The data of the families that lie in the folder ``TUNEWELL_TABLES``: training, validation and test rows of each."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from benchmarks.fidelity import datasets
from benchmarks.search import tables

Part: TypeAlias = tuple[Tensor, Tensor]
LETTERS = 16  # characters in a window of the play
SIZES = (1600, 600, 800)  # rows for training, validation and test


@dataclass(frozen=True)
class Shape:
    """What a network has to know of its data: rows of this shape, and what is foretold.

    Attributes:
        inputs: the shape of a row.
        classes: how many classes there are; 0 where numbers are foretold.
        words: kinds of words or letters; 0 where inputs are numbers.
        numbers: how many numbers are foretold, of several labels one for each.
        loss: what is minimised where numbers are foretold; "binary" is the cross-entropy of each label on its own.
    """

    inputs: tuple[int, ...]
    classes: int
    words: int = 0
    numbers: int = 1
    loss: Literal["squared", "absolute", "huber", "binary"] = "squared"

    @property
    def outputs(self) -> int:
        """How many numbers a network answers with."""
        return self.classes or self.numbers


Cut: TypeAlias = tuple[tuple[Part, Part, Part], Shape]


def _cut(data: datasets.Data, words: int = 0) -> Cut:
    parts = tuple((torch.tensor(x), torch.tensor(y)) for x, y in zip(data.inputs, data.labels, strict=True))
    return (parts[0], parts[1], parts[2]), Shape(tuple(data.inputs[0].shape[1:]), data.classes, words)


def table(name: str, sizes: tuple[int, int, int] = SIZES) -> Callable[[Path], Cut]:
    return lambda home: _cut(datasets.tabular(home, name, f"diagnosis/{name}", sizes))


def pictures(file: str, pool: int, sizes: tuple[int, int, int] = SIZES) -> Callable[[Path], Cut]:
    return lambda home: _cut(datasets.images(home, file, pool, f"diagnosis/{file}", sizes))


def questions(home: Path) -> Cut:
    return _cut(datasets.questions(home, "diagnosis/trec", (2400, 500, 700)), datasets.BUCKETS)


def sentences(home: Path) -> Cut:
    stored = tables.load(home, "text.npz")
    rows = datasets.hashed(str(stored["subj/text"]).split("\n"))
    about = datasets.about(home, "text.npz")
    return _cut(datasets.cut(rows, stored["subj/y"], "diagnosis/subj", (3000, 800, 1200), **about), datasets.BUCKETS)


def names(home: Path) -> Cut:
    return _cut(datasets.names(home, "diagnosis/names", (6000, 400, 600)), 27)


def play(home: Path) -> Cut:
    text = (home / "tinyshakespeare.txt").read_text()
    letters = {letter: k for k, letter in enumerate(sorted(set(text)))}
    codes = np.array([letters[letter] for letter in text], dtype=np.int64)
    starts = np.arange(0, len(codes) - LETTERS - 1, LETTERS)
    rows = codes[starts[:, None] + np.arange(LETTERS + 1)]
    data = datasets.cut(
        rows[:, :-1], rows[:, 1:], "diagnosis/play", (8000, 250, 350), source="karpathy/char-rnn", licence="MIT"
    )
    return _cut(data, len(letters))


def column(name: str, target: int) -> Callable[[Path], Cut]:
    """One column of a table foretold from all others, both with mean 0 and deviation 1."""

    def make(home: Path) -> Cut:
        data = datasets.tabular(home, name, f"diagnosis/{name}/{target}", SIZES)
        others = [k for k in range(data.inputs[0].shape[1]) if k != target]
        parts = tuple((torch.tensor(x[:, others]), torch.tensor(x[:, target])) for x in data.inputs)
        return (parts[0], parts[1], parts[2]), Shape((len(others),), 0)

    return make


def column_of(home: Path, name: str, target: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the other columns of a table and one column, of its first rows, as they are."""
    stored = tables.load(home, "tabular.npz")[f"{name}/X"][:rows].astype(np.float64)
    return np.delete(stored, target, axis=1), stored[:, target]


def rows_of(home: Path, name: str, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return as many rows of a table, drawn at random, and their classes."""
    stored = tables.load(home, "tabular.npz")
    chosen = np.random.default_rng(rows).permutation(len(stored[f"{name}/y"]))[:rows]
    return stored[f"{name}/X"][chosen].astype(np.float64), stored[f"{name}/y"][chosen].astype(np.int64)


def asked(home: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return questions as hashes of their words, and whether they ask for a person."""
    cut = datasets.questions(home, "diagnosis/asked", (2000, 0, 0))
    return cut.inputs[0], (cut.labels[0] == 3).astype(np.int64)


def counted(home: Path, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how often each question has each of so many kinds of words, and its class."""
    stored = tables.load(home, "text.npz")
    lines = str(stored["trec_train/text"]).lower().split("\n")
    rows = np.zeros((len(lines), columns))
    for row, line in zip(rows, lines, strict=True):
        for word in line.split():
            row[zlib.crc32(word.encode()) % columns] += 1.0
    return rows, stored["trec_train/y"].astype(np.int64)


def spoken(home: Path, speakers: int) -> tuple[np.ndarray, np.ndarray]:
    """Return lines of the play as hashes of their words, from 1, and which of its most frequent speakers says them."""
    parts = [part.split("\n") for part in (home / "tinyshakespeare.txt").read_text().split("\n\n")]
    said = [(part[0], line) for part in parts if part[0].endswith(":") for line in part[1:]]
    names = [name for name, _ in Counter(name for name, _ in said).most_common(speakers)]
    chosen = [(names.index(name), line) for name, line in said if name in names]
    rows = datasets.hashed([line.lower() for _, line in chosen])
    return rows, np.array([k for k, _ in chosen], dtype=np.int64)

"""The families: a network on a data set each, small enough to train in about a second on one core."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.fidelity import datasets
from benchmarks.search import tables

Part: TypeAlias = tuple[Tensor, Tensor]
LETTERS = 16  # characters in a window of the play
SIZES = (1600, 600, 800)  # rows for training, validation and test


@dataclass(frozen=True)
class Shape:
    """What a network has to know of its data: rows of this shape, so many classes (0: one number is foretold)."""

    inputs: tuple[int, ...]
    classes: int
    words: int = 0  # kinds of words or letters; 0 where inputs are numbers


@dataclass(frozen=True)
class Family:
    """A network on a data set. ``held_out`` families are never learnt from."""

    name: str
    net: Callable[[Shape, float, float], nn.Module]  # data, width as a factor, dropout
    data: Callable[[Path], tuple[tuple[Part, Part, Part], Shape]]
    held_out: bool = False
    batch_size: int = 64


class Block(nn.Module):
    """Words to states by a gated recurrent network or a transformer, then one answer a row or a word."""

    def __init__(self, shape: Shape, width: int, dropout: float, kind: Literal["gru", "transformer"], each: bool):
        super().__init__()
        self.each, self.kind = each, kind
        self.embedding = nn.Embedding(shape.words, width)
        self.place = nn.Parameter(0.1 * torch.randn(shape.inputs[0], width))
        if kind == "gru":
            self.body: nn.Module = nn.GRU(width, width, batch_first=True)
        else:
            layer = nn.TransformerEncoderLayer(width, max(1, width // 16), 2 * width, dropout, batch_first=True)
            self.body = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(width, max(1, shape.classes))

    def forward(self, x: Tensor) -> Tensor:
        states = self.embedding(x)
        if self.kind == "gru":
            states = self.body(states)[0]
        else:
            mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1]) if self.each else None
            states = self.body(states + self.place, mask=mask, is_causal=self.each)
        if not self.each:
            states = states.mean(dim=1)
        logits: Tensor = self.out(self.dropout(states))
        return logits


class Bag(nn.Module):
    """The mean of the words' vectors, then one hidden layer."""

    def __init__(self, shape: Shape, width: int, dropout: float):
        super().__init__()
        self.words = nn.EmbeddingBag(shape.words, width, mode="mean", padding_idx=0)
        self.rest = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, shape.classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.rest(self.words(x))
        return logits


def units(base: int, width: float) -> int:
    """Return a number of units of at least one."""
    return max(1, round(base * width))


def mlp(shape: Shape, width: float, dropout: float) -> nn.Module:
    """Return a perceptron with two hidden layers of 64 units."""
    n, hidden = math.prod(shape.inputs), units(64, width)
    parts = [nn.Flatten(), nn.Linear(n, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, hidden), nn.ReLU()]
    return nn.Sequential(*parts, nn.Dropout(dropout), nn.Linear(hidden, max(1, shape.classes)))


def convolutional(norm: bool) -> Callable[[Shape, float, float], nn.Module]:
    """Return what makes two convolutions, with batch normalisation or without."""

    def make(shape: Shape, width: float, dropout: float) -> nn.Module:
        layers: list[nn.Module] = []
        before = shape.inputs[0]
        for base in (8, 16):
            after = units(base, width)
            layers += [nn.Conv2d(before, after, 3, padding=1), *([nn.BatchNorm2d(after)] if norm else [])]
            layers += [nn.ReLU(), nn.MaxPool2d(2)]
            before = after
        layers += [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(dropout)]
        return nn.Sequential(*layers, nn.Linear(4 * before, shape.classes))

    return make


def recurrent(shape: Shape, width: float, dropout: float) -> nn.Module:
    """Return a gated recurrent network."""
    return Block(shape, units(32, width), dropout, "gru", shape.words == shape.classes)


def transformer(shape: Shape, width: float, dropout: float) -> nn.Module:
    """Return one block of attention."""
    size = max(2, 2 * (units(32, width) // 2))
    return Block(shape, size, dropout, "transformer", shape.words == shape.classes)


def bag(shape: Shape, width: float, dropout: float) -> nn.Module:
    """Return a bag of words."""
    return Bag(shape, units(32, width), dropout)


Cut: TypeAlias = tuple[tuple[Part, Part, Part], Shape]


def _cut(data: datasets.Data, words: int = 0) -> Cut:
    parts = tuple((torch.tensor(x), torch.tensor(y)) for x, y in zip(data.inputs, data.labels, strict=True))
    return (parts[0], parts[1], parts[2]), Shape(tuple(data.inputs[0].shape[1:]), data.classes, words)


def _table(name: str, sizes: tuple[int, int, int] = SIZES) -> Callable[[Path], Cut]:
    return lambda home: _cut(datasets.tabular(home, name, f"diagnosis/{name}", sizes))


def _pictures(file: str, pool: int, sizes: tuple[int, int, int] = SIZES) -> Callable[[Path], Cut]:
    return lambda home: _cut(datasets.images(home, file, pool, f"diagnosis/{file}", sizes))


def _questions(home: Path) -> Cut:
    return _cut(datasets.questions(home, "diagnosis/trec", (2400, 500, 700)), datasets.BUCKETS)


def _sentences(home: Path) -> Cut:
    import zlib

    stored = tables.load(home, "text.npz")
    lines = str(stored["subj/text"]).split("\n")
    rows = np.zeros((len(lines), datasets.WORDS), dtype=np.int64)
    for i, line in enumerate(lines):
        known = [zlib.crc32(word.encode()) % (datasets.BUCKETS - 1) + 1 for word in line.split()[: datasets.WORDS]]
        rows[i, : len(known)] = known
    about = datasets.about(home, "text.npz")
    return _cut(datasets.cut(rows, stored["subj/y"], "diagnosis/subj", (3000, 800, 1200), **about), datasets.BUCKETS)


def _names(home: Path) -> Cut:
    return _cut(datasets.names(home, "diagnosis/names", (6000, 400, 600)), 27)


def _play(home: Path) -> Cut:
    text = (home / "tinyshakespeare.txt").read_text()
    letters = {letter: k for k, letter in enumerate(sorted(set(text)))}
    codes = np.array([letters[letter] for letter in text], dtype=np.int64)
    starts = np.arange(0, len(codes) - LETTERS - 1, LETTERS)
    rows = codes[starts[:, None] + np.arange(LETTERS + 1)]
    data = datasets.cut(
        rows[:, :-1], rows[:, 1:], "diagnosis/play", (8000, 250, 350), source="karpathy/char-rnn", licence="MIT"
    )
    return _cut(data, len(letters))


def _column(name: str, target: int) -> Callable[[Path], Cut]:
    """One column of a table foretold from all others, both with mean 0 and deviation 1."""

    def make(home: Path) -> Cut:
        data = datasets.tabular(home, name, f"diagnosis/{name}/{target}", SIZES)
        others = [k for k in range(data.inputs[0].shape[1]) if k != target]
        parts = tuple((torch.tensor(x[:, others]), torch.tensor(x[:, target])) for x in data.inputs)
        return (parts[0], parts[1], parts[2]), Shape((len(others),), 0)

    return make


FAMILIES = {
    family.name: family
    for family in (
        Family("mlp/digits", mlp, _pictures("digits8x8.npz", 1, (1000, 350, 440))),
        Family("mlp/mnist", mlp, _pictures("mnist5k.npz", 2, (2600, 600, 800))),
        Family("mlp/satimage", mlp, _table("satimage", (3000, 800, 1200))),
        Family("mlp/spambase", mlp, _table("spambase", (2400, 800, 1200))),
        Family("cnn/mnist", convolutional(False), _pictures("mnist5k.npz", 2, (2600, 600, 800))),
        Family("cnn_bn/cifar", convolutional(True), _pictures("cifar10_6k.npz", 2, (3600, 400, 600))),
        Family("cnn_bn/digits", convolutional(True), _pictures("digits8x8.npz", 1, (1000, 350, 440))),
        Family("bag/trec", bag, _questions),
        Family("gru/names", recurrent, _names),
        Family("transformer/trec", transformer, _questions, batch_size=32),
        Family("regression/magic", mlp, _column("magic", 0)),
        Family("mlp/magic", mlp, _table("magic", (6000, 800, 1200))),
        Family("mlp/optdigits", mlp, _table("optdigits", (2000, 800, 1200))),
        Family("regression/phoneme", mlp, _column("phoneme", 0)),
        Family("regression/optdigits", mlp, _column("optdigits", 20)),
        Family("mlp/cifar", mlp, _pictures("cifar10_6k.npz", 2, (3600, 400, 600))),
        Family("cnn/digits", convolutional(False), _pictures("digits8x8.npz", 1, (1000, 350, 440))),
        Family("mlp/letter", mlp, _table("letter", (6000, 800, 1200)), held_out=True),
        Family("mlp/phoneme", mlp, _table("phoneme", (3000, 800, 1200)), held_out=True),
        Family("cnn_bn/mnist", convolutional(True), _pictures("mnist5k.npz", 2, (2600, 600, 800)), held_out=True),
        Family("cnn/cifar", convolutional(False), _pictures("cifar10_6k.npz", 2, (3600, 400, 600)), held_out=True),
        Family("bag/subj", bag, _sentences, held_out=True),
        Family("gru/trec", recurrent, _questions, held_out=True, batch_size=32),
        Family("transformer/play", transformer, _play, held_out=True, batch_size=32),
        Family("regression/satimage", mlp, _column("satimage", 17), held_out=True),
    )
}


@cache
def loaded(name: str) -> Cut:
    """Return training, validation and test part of a family's data, and their shape."""
    home = tables.folder()
    if home is None:
        raise ValueError("expected the folder of the data in TUNEWELL_TABLES, found none: set it")
    return FAMILIES[name].data(home)


def losses(shape: Shape, answers: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean loss: cross-entropy, or the squared error of a number foretold."""
    if shape.classes:
        return F.cross_entropy(answers.flatten(0, -2), wanted.flatten())
    return F.mse_loss(answers.squeeze(-1), wanted)


def chance(shape: Shape, wanted: Tensor) -> float:
    """Return the loss of the best answer that looks at no input: of the classes' shares, or of the mean."""
    if not shape.classes:
        return float(wanted.var(correction=0))
    known = wanted.flatten()[wanted.flatten() >= 0]
    shares = torch.bincount(known, minlength=shape.classes).double() / len(known)
    return float(-(shares * shares.clamp(min=1e-12).log()).sum())

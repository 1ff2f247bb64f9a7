"""More data: the sets that scikit-learn brings along, what its generators make, and a few made here.

Each is drawn by its own name, cut into three fifths for training and a fifth each for validation and test. Inputs have
mean 0 and deviation 1 on the training rows unless they are words; targets stay in their own units where the name says
"raw", for losses are reported in all kinds of units.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.random import Generator
from sklearn import datasets as sets

from benchmarks.diagnosis import data
from benchmarks.diagnosis.data import Cut, Shape

Arrays: TypeAlias = tuple[np.ndarray, np.ndarray]
Draw: TypeAlias = Callable[[Path, int], Arrays]


def drawn(
    name: str, draw: Draw, as_words: int = 0, raw: bool = False, loss: Any = "", share: float = 0.6
) -> Callable[[Path], Cut]:
    """Return what cuts a set into its parts, a ``share`` for training; ``loss`` is empty where classes are foretold."""

    def make(home: Path) -> Cut:
        seed = zlib.crc32(name.encode())
        x, y = draw(home, seed % 2**31)
        order = np.random.default_rng(seed).permutation(len(x))
        ends = [0, round(share * len(x)), round(0.5 * (1.0 + share) * len(x)), len(x)]
        rows = [order[a:b] for a, b in itertools.pairwise(ends)]
        if not as_words:
            x = _standard(x, rows[0])
        if not loss:
            y = np.unique(y, return_inverse=True)[1]
        elif loss != "binary" and not raw:
            y = _standard(y, rows[0])
        inputs = torch.tensor(x, dtype=torch.int64 if as_words else torch.float32)
        targets = torch.tensor(y, dtype=torch.float32 if loss else torch.int64)
        one, two, three = ((inputs[part], targets[part]) for part in rows)
        numbers = targets.shape[1] if loss and targets.dim() > 1 else 1
        classes = 0 if loss else int(y.max()) + 1
        return (one, two, three), Shape(tuple(x.shape[1:]), classes, as_words, numbers, loss or "squared")

    return make


def _standard(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return every column with mean 0 and deviation 1 on some rows; of pictures and series every channel."""
    axes = (0, *range(2, values.ndim))
    mean, deviation = values[rows].mean(axis=axes, keepdims=True), values[rows].std(axis=axes, keepdims=True)
    return np.asarray((values - mean) / np.where(deviation > 0, deviation, 1.0))


def bundled(load: Callable[..., Any]) -> Draw:
    """Return one of the sets that scikit-learn brings along."""
    return lambda home, seed: load(return_X_y=True)


def pictures() -> Arrays:
    """Return scikit-learn's digits as pictures of one channel."""
    x, y = sets.load_digits(return_X_y=True)
    return x.reshape(-1, 1, 8, 8), y


def made(generator: Callable[..., Any], **options: Any) -> Draw:
    """Return what one of scikit-learn's generators makes."""

    def draw(home: Path, seed: int) -> Arrays:
        x, y = generator(random_state=seed, **options)
        return np.asarray(x), np.asarray(y)

    return draw


def itself(draw: Draw) -> Draw:
    """Return rows that are to be told from themselves, as an autoencoder does."""

    def both(home: Path, seed: int) -> Arrays:
        x = draw(home, seed)[0]
        flat = x.reshape(len(x), -1)
        return flat, flat

    return both


def own(make: Callable[[Generator], Arrays]) -> Draw:
    """Return what a function of a generator of random numbers makes."""
    return lambda home, seed: make(np.random.default_rng(seed))


def waves(rng: Generator) -> Arrays:
    """Noisy sines of four frequencies, one channel: which frequency?"""
    which = rng.integers(4, size=1500)
    time = np.arange(32) / 32
    phase = rng.uniform(0, 2 * np.pi, size=(1500, 1))
    return (np.sin(2 * np.pi * (which[:, None] + 2) * time + phase) + rng.normal(0, 0.8, (1500, 32)))[:, None], which


def walks(rng: Generator) -> Arrays:
    """Ten steps of a damped oscillation with noise, three numbers each: the next of the first number."""
    states = rng.normal(size=(1600, 3))
    turn = 0.97 * np.linalg.qr(rng.normal(size=(3, 3)))[0]
    seen = []
    for _ in range(11):
        seen.append(states + 0.05 * rng.normal(size=states.shape))
        states = np.tanh(1.3 * states @ turn)
    return np.stack(seen[:-1], axis=1), seen[-1][:, 0]


def marked(rng: Generator) -> Arrays:
    """Ten numbers, two of them marked: their sum."""
    numbers, marks = rng.uniform(-1, 1, size=(1600, 10)), np.zeros((1600, 10))
    places = np.argsort(rng.random((1600, 10)), axis=1)[:, :2]
    np.put_along_axis(marks, places, 1.0, axis=1)
    return np.stack([numbers, marks], axis=2), (numbers * marks).sum(axis=1)


def chain(rng: Generator) -> Arrays:
    """Twelve symbols of a Markov chain: each next symbol."""
    moves = rng.dirichlet(np.full(15, 0.2), size=15)
    now = rng.integers(15, size=1200)
    rows = [now]
    for _ in range(12):
        now = (moves[now].cumsum(axis=1) < rng.random((1200, 1))).sum(axis=1).clip(max=14)
        rows.append(now)
    return np.stack(rows[:-1], axis=1), np.stack(rows[1:], axis=1)


def majority(rng: Generator) -> Arrays:
    """Fifteen of eight symbols: does the first stand for more than the second?"""
    rows = rng.integers(1, 9, size=(2000, 15))
    more = (rows == 1).sum(axis=1) > (rows == 2).sum(axis=1)
    return rows, (more ^ (rng.random(2000) < 0.03)).astype(np.int64)


def topics(
    rng: Generator, kinds: int, sharpness: float, rows: int, words: int = 800, length: int = 20, least: int = 6
) -> Arrays:
    """Texts of ``least`` to ``length`` words whose frequencies, Zipf's, depend on the class."""
    usual = 1.0 / np.arange(2, words + 1)
    shares = np.array([usual * rng.lognormal(0, sharpness, size=words - 1) for _ in range(kinds)])
    shares /= shares.sum(axis=1, keepdims=True)
    which = rng.integers(kinds, size=rows)
    said = np.array([rng.choice(words - 1, size=length, p=shares[k]) + 1 for k in which])
    return np.where(np.arange(length) < rng.integers(least, length + 1, size=(rows, 1)), said, 0), which


def ratings(rng: Generator) -> Arrays:
    """How users like films: the product of four hidden traits of each, from 1 to 5, with noise."""
    users, films = rng.normal(size=(80, 4)), rng.normal(size=(60, 4))
    who, what = rng.integers(80, size=3000), rng.integers(60, size=3000)
    liked = np.clip(np.round(3.0 + 0.7 * (users[who] * films[what]).sum(axis=1) + 0.4 * rng.normal(size=3000)), 1, 5)
    return np.stack([who, 80 + what], axis=1), liked


def sines(rng: Generator) -> Arrays:
    """A curve over one number, without noise."""
    x = rng.uniform(-3, 3, size=(800, 1))
    return x, np.sin(3 * x[:, 0]) + 0.3 * x[:, 0]


def product(rng: Generator) -> Arrays:
    """The product of two of six numbers, with noise."""
    x = rng.normal(size=(1500, 6))
    return x, x[:, 0] * x[:, 1] + 0.3 * rng.normal(size=1500)


def wide(rng: Generator) -> Arrays:
    """Few rows of 150 columns, of which ten decide."""
    x = rng.normal(size=(500, 150))
    return x, (x[:, :10].sum(axis=1) + rng.normal(size=500) > 0).astype(np.int64)


def low_rank(rng: Generator) -> Arrays:
    """Rows of 30 numbers that are made of five, with noise."""
    x = rng.normal(size=(1500, 5)) @ rng.normal(size=(5, 30)) + 0.3 * rng.normal(size=(1500, 30))
    return x, x


def moved(arrays: Arrays, scale: float, offset: float) -> Arrays:
    """Return targets in other units."""
    return arrays[0], scale * arrays[1] + offset


_classes = sets.make_classification
SETS: Mapping[str, Callable[[Path], Cut]] = {
    name: drawn(name, draw, **options)
    for name, draw, options in (
        ("cancer", bundled(sets.load_breast_cancer), {}),
        ("figures", bundled(sets.load_digits), {}),
        ("diabetes", bundled(sets.load_diabetes), {"loss": "squared"}),
        ("diabetes raw", bundled(sets.load_diabetes), {"loss": "squared", "raw": True}),
        ("easy", made(_classes, n_samples=900, n_features=20, n_informative=10, class_sep=2.0), {}),
        ("hard", made(_classes, n_samples=1500, n_features=30, n_informative=5, flip_y=0.2, class_sep=0.7), {}),
        ("many", made(_classes, n_samples=3000, n_features=40, n_informative=25, n_classes=10), {}),
        ("rare", made(_classes, n_samples=2000, n_features=20, n_informative=8, weights=[0.92]), {}),
        ("skewed", made(_classes, n_samples=2000, n_features=25, n_informative=12, n_classes=4,
                        weights=[0.7, 0.15, 0.1]), {}),
        ("misread", made(_classes, n_samples=1800, n_features=20, n_informative=10, flip_y=0.4, n_classes=3), {}),
        ("moons", made(sets.make_moons, n_samples=800, noise=0.25), {}),
        ("circles", made(sets.make_circles, n_samples=800, noise=0.12, factor=0.5), {}),
        ("shells", made(sets.make_gaussian_quantiles, n_samples=1500, n_features=8, n_classes=3), {}),
        ("sphere", made(sets.make_hastie_10_2, n_samples=2500), {}),
        ("clouds", made(sets.make_blobs, n_samples=1500, n_features=6, centers=8, cluster_std=4.0), {}),
        ("wide", own(wide), {}),
        ("counts", lambda home, seed: data.counted(home, 300), {}),
        ("cancer yes", bundled(sets.load_breast_cancer), {"loss": "binary"}),
        ("moons yes", made(sets.make_moons, n_samples=1000, noise=0.3), {"loss": "binary"}),
        ("labels", made(sets.make_multilabel_classification, n_samples=2000, n_features=30, n_classes=6),
         {"loss": "binary"}),
        ("tags", made(sets.make_multilabel_classification, n_samples=1500, n_features=40, n_classes=12, n_labels=3),
         {"loss": "binary"}),
        ("friedman", made(sets.make_friedman1, n_samples=1500, noise=1.0), {"loss": "squared"}),
        ("friedman clean", made(sets.make_friedman1, n_samples=1500), {"loss": "squared"}),
        ("friedman raw", made(sets.make_friedman1, n_samples=1000, noise=2.0), {"loss": "squared", "raw": True}),
        ("friedman2", made(sets.make_friedman2, n_samples=1200, noise=50.0), {"loss": "huber"}),
        ("friedman3", made(sets.make_friedman3, n_samples=1200), {"loss": "absolute"}),
        ("line", made(sets.make_regression, n_samples=1200, n_features=20), {"loss": "squared"}),
        ("line noisy", made(sets.make_regression, n_samples=1000, n_features=30, noise=150.0), {"loss": "squared"}),
        ("sparse", made(sets.make_sparse_uncorrelated, n_samples=1200, n_features=15), {"loss": "squared"}),
        ("roll", made(sets.make_swiss_roll, n_samples=1500, noise=0.3), {"loss": "squared"}),
        ("sheet", made(sets.make_s_curve, n_samples=1200, noise=0.1), {"loss": "absolute"}),
        ("sines", own(sines), {"loss": "squared"}),
        ("product", own(product), {"loss": "huber"}),
        ("beam", lambda home, seed: data.column_of(home, "magic", 3, 3000), {"loss": "squared"}),
        ("capitals", lambda home, seed: data.column_of(home, "spambase", 55, 3000), {"loss": "squared"}),
        ("pixel", lambda home, seed: data.column_of(home, "optdigits", 36, 2500), {"loss": "absolute"}),
        ("ink", lambda home, seed: moved(data.column_of(home, "optdigits", 42, 2500), 3.0, 20.0),
         {"loss": "squared", "raw": True}),
        ("figures again", itself(bundled(sets.load_digits)), {"loss": "squared"}),
        ("low rank", own(low_rank), {"loss": "squared"}),
        ("waves", own(waves), {}),
        ("walks", own(walks), {"loss": "squared"}),
        ("marked", own(marked), {"loss": "squared"}),
        ("chain", own(chain), {"as_words": 15}),
        ("majority", own(majority), {"as_words": 9}),
        ("topics", own(lambda rng: topics(rng, 4, 1.5, 2500)), {"as_words": 801}),
        ("topics few", own(lambda rng: topics(rng, 2, 1.0, 900)), {"as_words": 801}),
        ("topics many", own(lambda rng: topics(rng, 8, 2.0, 3000)), {"as_words": 801}),
        ("speakers", lambda home, seed: data.spoken(home, 6), {"as_words": 2048}),
        ("ratings", own(ratings), {"as_words": 140, "loss": "squared"}),
        ("drawings", lambda home, seed: pictures(), {}),
        ("rays", lambda home, seed: data.rows_of(home, "magic", 1500), {}),
        ("post", lambda home, seed: data.rows_of(home, "spambase", 1500), {}),
        ("fields", lambda home, seed: data.rows_of(home, "satimage", 1800), {}),
        ("questions", lambda home, seed: data.asked(home), {"as_words": 2048}),
        ("topics two", own(lambda rng: topics(rng, 2, 0.6, 3000)), {"as_words": 801}),
        ("bands", itself(lambda home, seed: data.column_of(home, "magic", 9, 2000)), {"loss": "squared"}),
    )
}  # fmt: skip

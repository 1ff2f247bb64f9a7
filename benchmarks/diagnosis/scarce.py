"""Data of few rows, texts and series made here, small real tables, corners of large ones; and what is trained on them.

Such trainings fit their rows soon, and their validation losses tell little: what is well is hard to tell from what is
not. Sets that are made here have more rows for validation and test than for training, so that labels hang on no luck.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.random import Generator
from sklearn import datasets as sets

from benchmarks.diagnosis import nets
from benchmarks.diagnosis.data import Cut
from benchmarks.diagnosis.generated import Arrays, Draw, bundled, drawn, itself, low_rank, made, own, pictures, topics
from benchmarks.diagnosis.nets import perceptron as p
from benchmarks.search import tables


def first(draw: Draw, rows: int) -> Draw:
    """Return some of the rows of a set, drawn at random."""

    def some(home: Path, seed: int) -> Arrays:
        x, y = draw(home, seed)
        chosen = np.random.default_rng(seed).permutation(len(x))[:rows]
        return x[chosen], y[chosen]

    return some


def foretold(draw: Draw, target: int) -> Draw:
    """Return one column of a table to be told from the others."""

    def column(home: Path, seed: int) -> Arrays:
        x = draw(home, seed)[0]
        return np.delete(x, target, axis=1), x[:, target]

    return column


def is_class(draw: Draw, which: int) -> Draw:
    """Return whether a row is of a class."""

    def yes(home: Path, seed: int) -> Arrays:
        x, y = draw(home, seed)
        return x, (y == which).astype(np.float64)

    return yes


def grown(draw: Draw, columns: int) -> Draw:
    """Return rows with as many columns more that say nothing."""

    def more(home: Path, seed: int) -> Arrays:
        x, y = draw(home, seed)
        return np.hstack([x, np.random.default_rng(seed).normal(size=(len(x), columns))]), y

    return more


def corner(name: str, rows: int, target: int | None = None, after: int = 0) -> Draw:
    """Return some rows of a large table, and their classes or one of its columns."""

    def some(home: Path, seed: int) -> Arrays:
        stored = tables.load(home, "tabular.npz")
        x, y = stored[f"{name}/X"][after:].astype(np.float64), stored[f"{name}/y"][after:].astype(np.int64)
        chosen = np.random.default_rng(seed).permutation(len(x))[:rows]
        return (x[chosen], y[chosen]) if target is None else (np.delete(x[chosen], target, axis=1), x[chosen, target])

    return some


def tried(file: str, task: str, metric: str) -> Draw:
    """Return hyperparameters that somebody tried on a task, and the logarithm of what came of them at last."""

    def results(home: Path, seed: int) -> Arrays:
        stored = tables.load(home, file)
        found = stored[f"{task}/{metric}"].astype(np.float64).reshape(len(stored[f"{task}/configs"]), -1)[:, -1]
        return stored[f"{task}/configs"].astype(np.float64), np.log(np.maximum(found, 0.01))

    return results


def lines() -> Arrays:
    """Return scikit-learn's digits as eight lines, one after the other."""
    x, y = pictures()
    return x[:, 0], y


def mixed(rng: Generator, rows: int, kinds: int, words: int, said: float) -> Arrays:
    """Texts of words that all classes share; each is with a probability one of the forty of its class."""
    which = rng.integers(kinds, size=rows)
    usual = rng.zipf(1.3, size=(rows, 20)) % (words - 40 * kinds)
    own_words = words - 40 * (which[:, None] + 1) + rng.integers(40, size=(rows, 20))
    told = np.where(rng.random((rows, 20)) < said, own_words, usual) + 1
    return np.where(np.arange(20) < rng.integers(5, 21, size=(rows, 1)), told, 0), which


def motif(rng: Generator, rows: int, length: int, symbols: int, wrong: float) -> Arrays:
    """Symbols at random among which two neighbours are one of three pairs: which? Some are labelled wrongly."""
    which = rng.integers(3, size=rows)
    said = rng.integers(4, symbols + 1, size=(rows, length))
    place, at = rng.integers(length - 1, size=rows), np.arange(rows)
    said[at, place], said[at, place + 1] = 1 + which, 1 + (which + 1) % 3
    return said, np.where(rng.random(rows) < wrong, rng.integers(3, size=rows), which)


def sums(rng: Generator, rows: int, noise: float) -> Arrays:
    """Words that are worth something each, normally distributed: the mean of a text, with noise."""
    worth = rng.normal(size=300)
    said = rng.zipf(1.4, size=(rows, 15)) % 300
    return said + 1, 3.0 * worth[said].mean(axis=1) + noise * rng.normal(size=rows)


def melodies(rng: Generator, rows: int, symbols: int, sharpness: float) -> Arrays:
    """Fourteen symbols of a Markov chain that looks back by two: each next symbol."""
    moves = rng.dirichlet(np.full(symbols, sharpness), size=(symbols, symbols)).cumsum(axis=2)
    said = [rng.integers(symbols, size=rows), rng.integers(symbols, size=rows)]
    for _ in range(13):
        said.append((moves[said[-2], said[-1]] < rng.random((rows, 1))).sum(axis=1).clip(max=symbols - 1))
    return np.stack(said[:-1], axis=1), np.stack(said[1:], axis=1)


def names(home: Path) -> list[str]:
    """Return first names of four to ten letters."""
    found = [name.lower() for name in (home / "names.txt").read_text().split() if name.isascii() and name.isalpha()]
    return [name for name in found if 4 <= len(name) <= 10]


def endings(home: Path, seed: int) -> Arrays:
    """Names without their last letter: is it an a, an e, an n or another?"""
    chosen = np.random.default_rng(seed).permutation(names(home))[:2400]
    letters = np.array([[ord(letter) - 96 for letter in name[:-1].ljust(9, "`")] for name in chosen])
    return letters, np.array(["aen".find(name[-1]) for name in chosen])


def pairs_of_letters(home: Path, seed: int) -> Arrays:
    """The pairs of neighbouring letters of a name without its last: does it end with a vowel?"""
    chosen = np.random.default_rng(seed).permutation(names(home))[:1500]
    found = np.zeros((len(chosen), 9), dtype=np.int64)
    for row, name in zip(found, chosen, strict=True):
        codes = [27 * (ord(a) - 96) + ord(b) - 96 for a, b in zip("`" + name[:-2], name[:-1], strict=True)]
        row[: len(codes)] = codes
    return found, np.array([name[-1] in "aeiouy" for name in chosen]).astype(np.int64)


def tides(rng: Generator, rows: int, noise: float) -> Arrays:
    """Sixteen values of a sum of two sines with noise: the value after the next two."""
    time = np.arange(18) / 18
    amounts, phases = rng.uniform(0.3, 1.0, size=(2, rows, 1)), rng.uniform(0, 2 * np.pi, size=(2, rows, 1))
    clean = sum(a * np.sin(2 * np.pi * f * time + p) for a, f, p in zip(amounts, (1.5, 4.0), phases, strict=True))
    seen = clean + noise * rng.normal(size=(rows, 18))
    return seen[:, :16, None], seen[:, 17]


def pulses(rng: Generator, rows: int, noise: float) -> Arrays:
    """Series of two channels with a pulse of one of three shapes somewhere: which?"""
    which, place = rng.integers(3, size=rows), rng.integers(20, size=rows)
    shapes = np.array([[0, 1, 2, 3, 2, 1, 0, 0], [3, 2, 1, 0, 0, 0, 0, 0], [2, -2, 2, -2, 2, -2, 0, 0]])
    found = noise * rng.normal(size=(rows, 2, 28))
    for row, k, at in zip(found, which, place, strict=True):
        row[k % 2, at : at + 8] += shapes[k]
    return found, which


def board(rng: Generator, rows: int, fields: int) -> Arrays:
    """A chessboard of so many fields a side: black or white?"""
    x = rng.uniform(0, fields, size=(rows, 2))
    return x, np.floor(x).sum(axis=1).astype(np.int64) % 2


def spirals(rng: Generator, rows: int, arms: int, noise: float) -> Arrays:
    """Arms of a spiral: which?"""
    which, out = rng.integers(arms, size=rows), rng.uniform(0.2, 1.0, size=rows)
    angle = 2 * np.pi * (which / arms + 0.7 * out)
    return np.stack([out * np.cos(angle), out * np.sin(angle)], axis=1) + noise * rng.normal(size=(rows, 2)), which


def keywords(rng: Generator, rows: int) -> Arrays:
    """Which of five sums of sixteen numbers are large: five labels, with noise."""
    x, weights = rng.normal(size=(rows, 16)), rng.normal(size=(16, 5)) / 4.0
    return x, (x @ weights + 0.4 * rng.normal(size=(rows, 5)) > 0.4).astype(np.float64)


def loose(rng: Generator, rows: int, columns: int, noise: float, tail: float = 30.0) -> Arrays:
    """A straight dependence on a third of the columns, with noise by Student's t."""
    x, weights = rng.normal(size=(rows, columns)), rng.normal(size=columns) * (np.arange(columns) % 3 == 0)
    y = x @ weights
    return x, y / y.std() + noise * rng.standard_t(tail, size=rows)


def bent(rng: Generator, rows: int, columns: int, noise: float) -> Arrays:
    """Sums of bent functions of the first three columns, with noise."""
    x = rng.uniform(-2, 2, size=(rows, columns))
    y = np.sin(2 * x[:, 0]) + np.abs(x[:, 1]) - 0.5 * x[:, 2] * (x[:, 0] > 0)
    return x, y + noise * rng.normal(size=rows)


def wiggle(rng: Generator, rows: int, noise: float) -> Arrays:
    """A curve over one number, with noise."""
    x = rng.uniform(-2, 2, size=(rows, 1))
    return x, np.sin(4 * x[:, 0]) + 0.5 * x[:, 0] + noise * rng.normal(size=rows)


_classes, _line = sets.make_classification, sets.make_regression
SETS: Mapping[str, Callable[[Path], Cut]] = {
    name: drawn(name, draw, **options)
    for name, draw, options in (
        ("notes", own(lambda rng: topics(rng, 2, 0.7, 2000, 2000)), {"as_words": 2001, "share": 0.4}),
        ("letters home", own(lambda rng: topics(rng, 2, 1.2, 1200, 1500)), {"as_words": 1501, "share": 0.3}),
        ("reviews", own(lambda rng: mixed(rng, 2200, 2, 2000, 0.12)), {"as_words": 2001, "share": 0.4}),
        ("opinions", own(lambda rng: mixed(rng, 1500, 2, 1000, 0.25)), {"as_words": 1001, "share": 0.4}),
        ("memos", own(lambda rng: mixed(rng, 1400, 5, 1500, 0.3)), {"as_words": 1501, "share": 0.3}),
        ("adverts", own(lambda rng: topics(rng, 3, 2.0, 700, 600, 12, 3)), {"as_words": 601, "share": 0.3}),
        ("papers", own(lambda rng: topics(rng, 6, 1.2, 2000, 1200, 30, 15)), {"as_words": 1201, "share": 0.4}),
        ("headlines", own(lambda rng: topics(rng, 2, 0.9, 2400, 3000, 10, 4)), {"as_words": 3001, "share": 0.35}),
        ("motif", own(lambda rng: motif(rng, 2000, 10, 12, 0.0)), {"as_words": 13, "share": 0.4}),
        ("motif wrong", own(lambda rng: motif(rng, 1600, 8, 8, 0.2)), {"as_words": 9, "share": 0.4}),
        ("sums", own(lambda rng: sums(rng, 1500, 0.2)), {"as_words": 301, "loss": "squared", "share": 0.4}),
        ("stars", own(lambda rng: sums(rng, 1200, 0.6)), {"as_words": 301, "loss": "huber", "share": 0.4}),
        ("tunes", own(lambda rng: melodies(rng, 500, 5, 0.4)), {"as_words": 5, "share": 0.3}),
        ("endings", endings, {"as_words": 27, "share": 0.3}),
        ("pairs of letters", pairs_of_letters, {"as_words": 729, "share": 0.5}),
        ("tides", own(lambda rng: tides(rng, 1200, 0.1)), {"loss": "squared", "share": 0.3}),
        ("tides rough", own(lambda rng: tides(rng, 1000, 0.4)), {"loss": "absolute", "share": 0.3}),
        ("pulses", own(lambda rng: pulses(rng, 1100, 0.7)), {"share": 0.3}),
        ("pulses faint", own(lambda rng: pulses(rng, 1300, 1.2)), {"share": 0.4}),
        ("lines of figures", lambda home, seed: lines(), {"share": 0.3}),
        ("small figures", lambda home, seed: pictures(), {"share": 0.2}),
        ("ten figures", first(lambda home, seed: pictures(), 600), {"share": 0.4}),
        ("wine", bundled(sets.load_wine), {"share": 0.5}),
        ("iris", bundled(sets.load_iris), {"share": 0.5}),
        ("wine noisy", grown(bundled(sets.load_wine), 40), {"share": 0.5}),
        ("iris yes", is_class(bundled(sets.load_iris), 1), {"loss": "binary", "share": 0.5}),
        ("length of petals", foretold(bundled(sets.load_iris), 2), {"loss": "squared", "share": 0.5}),
        ("strength of wine", foretold(bundled(sets.load_wine), 0), {"loss": "absolute", "share": 0.5}),
        ("colour of wine", foretold(bundled(sets.load_wine), 9), {"loss": "squared", "share": 0.5, "raw": True}),
        ("pressure", foretold(bundled(sets.load_diabetes), 3), {"loss": "huber", "share": 0.5}),
        ("wine again", itself(bundled(sets.load_wine)), {"loss": "squared", "share": 0.5}),
        ("showers", corner("magic", 700, after=2000), {"share": 0.4}),
        ("showers yes", corner("magic", 1200, after=2000), {"loss": "binary", "share": 0.3}),
        ("letterbox", corner("spambase", 800), {"share": 0.5}),
        ("numerals", corner("optdigits", 1000), {"share": 0.3}),
        ("few numerals", corner("optdigits", 500), {"share": 0.4}),
        ("numerals again", itself(corner("optdigits", 800)), {"loss": "squared", "share": 0.3}),
        ("asymmetry", corner("magic", 800, 5, 2000), {"loss": "squared", "share": 0.4}),
        ("brightness", corner("magic", 500, 2, 2000), {"loss": "squared", "share": 0.5, "raw": True}),
        ("length of shower", corner("magic", 1500, 1, 2000), {"loss": "huber", "share": 0.2}),
        ("edge", corner("optdigits", 700, 10), {"loss": "squared", "share": 0.4}),
        ("stroke", corner("optdigits", 400, 26), {"loss": "absolute", "share": 0.5, "raw": True}),
        ("electricity", tried("deepar.npz", "electricity", "CRPS"), {"loss": "squared", "share": 0.5}),
        ("months", tried("deepar.npz", "m4-Monthly", "RMSE"), {"loss": "huber", "share": 0.5}),
        ("swahili", tried("nmt_hpo.npz", "final_sw-en", "dev_bleu"), {"loss": "squared", "share": 0.4}),
        ("somali", tried("nmt_hpo.npz", "final_so-en", "dev_ppl"), {"loss": "absolute", "share": 0.5, "raw": True}),
        ("nets", tried("nnperf_mit.npz", "metaqnn_cifar10", "val_acc"), {"loss": "squared", "share": 0.4}),
        ("few easy", made(_classes, n_samples=900, n_features=12, n_informative=6, class_sep=1.5), {"share": 0.2}),
        ("few hard", made(_classes, n_samples=1200, n_features=25, n_informative=4, flip_y=0.15, class_sep=0.8),
         {"share": 0.2}),
        ("few many", made(_classes, n_samples=1800, n_features=20, n_informative=12, n_classes=6), {"share": 0.3}),
        ("few rare", made(_classes, n_samples=1500, n_features=15, n_informative=6, weights=[0.85]), {"share": 0.3}),
        ("few wrong", made(_classes, n_samples=1200, n_features=16, n_informative=8, flip_y=0.3, n_classes=3),
         {"share": 0.3}),
        ("few wide", made(_classes, n_samples=800, n_features=200, n_informative=15), {"share": 0.3}),
        ("heaps", made(sets.make_blobs, n_samples=1200, n_features=4, centers=5, cluster_std=3.0), {"share": 0.2}),
        ("few moons", made(sets.make_moons, n_samples=900, noise=0.35), {"share": 0.2}),
        ("few circles", made(sets.make_circles, n_samples=900, noise=0.2, factor=0.4), {"share": 0.2}),
        ("board", own(lambda rng: board(rng, 1500, 3)), {"share": 0.4}),
        ("spirals", own(lambda rng: spirals(rng, 1000, 3, 0.05)), {"share": 0.4}),
        ("keywords", own(lambda rng: keywords(rng, 1200)), {"loss": "binary", "share": 0.3}),
        ("few line", made(_line, n_samples=900, n_features=12, noise=60.0), {"loss": "squared", "share": 0.2}),
        ("few line raw", made(_line, n_samples=700, n_features=8, noise=15.0, bias=200.0),
         {"loss": "squared", "share": 0.3, "raw": True}),
        ("few ranks", made(_line, n_samples=900, n_features=60, effective_rank=8, noise=0.5),
         {"loss": "squared", "share": 0.3}),
        ("loose", own(lambda rng: loose(rng, 1200, 30, 0.7)), {"loss": "squared", "share": 0.25}),
        ("loose wide", own(lambda rng: loose(rng, 1000, 90, 0.5)), {"loss": "squared", "share": 0.3}),
        ("heavy tails", own(lambda rng: loose(rng, 1500, 12, 0.5, 2.5)), {"loss": "absolute", "share": 0.3}),
        ("tails", own(lambda rng: loose(rng, 1200, 20, 0.4, 3.0)), {"loss": "huber", "share": 0.3}),
        ("bent", own(lambda rng: bent(rng, 1500, 5, 0.3)), {"loss": "squared", "share": 0.4}),
        ("bent rough", own(lambda rng: bent(rng, 1200, 12, 0.8)), {"loss": "squared", "share": 0.4}),
        ("wiggle", own(lambda rng: wiggle(rng, 900, 0.3)), {"loss": "squared", "share": 0.25}),
        ("friedman2 few", made(sets.make_friedman2, n_samples=900, noise=120.0), {"loss": "squared", "share": 0.3}),
        ("friedman3 few", made(sets.make_friedman3, n_samples=800, noise=0.1), {"loss": "squared", "share": 0.3}),
        ("low rank few", first(own(low_rank), 800), {"loss": "squared", "share": 0.3}),
    )
}  # fmt: skip
NETS: Mapping[str, nets.Make] = {
    "linear": p([]),
    "slim": p([12]),
    "mlp": p([32, 32]),
    "broad": p([192]),
    "deep": p([24, 24, 24, 24]),
    "tanh": p([40], "tanh"),
    "tanh_deep": p([20, 20, 20], "tanh"),
    "gelu": p([48, 48], "gelu"),
    "leaky": p([64, 32], "leaky"),
    "mlp_bn": p([48], norm="batch"),
    "layernorm": p([40, 40], norm="layer"),
    "residual": p([32, 32, 32], residual=True),
    "narrow": p([4, 24], "tanh"),
    "bag": nets.bag,
    "bag_slim": nets.bags(12),
    "bag_broad": nets.bags(80),
    "gru": nets.recurrent,
    "transformer": nets.transformer,
    "rnn": nets.series("rnn", 16),
    "lstm": nets.series("lstm", 20),
    "series": nets.series("gru", 20),
    "conv": nets.convolutions([8, 16]),
    "conv_bn": nets.convolutions([8, 16], norm=True),
    "conv_tanh": nets.convolutions([10], "tanh"),
    "conv1d": nets.convolutions([10, 20], flat=True),
    "conv1d_bn": nets.convolutions([12], flat=True, norm=True),
}
TRAINED: Mapping[str, str] = {
    "notes": "bag bag_broad",
    "letters home": "bag bag_slim",
    "reviews": "bag bag_slim",
    "opinions": "bag bag_broad",
    "memos": "bag bag_broad",
    "adverts": "bag bag_slim bag_broad",
    "papers": "bag bag_slim",
    "headlines": "bag bag_broad",
    "motif": "gru bag",
    "motif wrong": "transformer",
    "sums": "bag bag_slim",
    "stars": "bag bag_broad",
    "tunes": "gru",
    "endings": "bag",
    "pairs of letters": "bag bag_slim bag_broad",
    "tides": "lstm series rnn",
    "tides rough": "series",
    "pulses": "conv1d conv1d_bn",
    "pulses faint": "conv1d conv1d_bn",
    "lines of figures": "lstm series rnn",
    "small figures": "conv conv_bn",
    "ten figures": "conv_tanh conv",
    "wine": "linear mlp",
    "iris": "tanh",
    "wine noisy": "linear",
    "iris yes": "tanh_deep",
    "length of petals": "slim leaky",
    "strength of wine": "linear mlp",
    "colour of wine": "tanh",
    "pressure": "layernorm",
    "wine again": "narrow",
    "showers": "linear broad",
    "showers yes": "gelu linear",
    "letterbox": "mlp",
    "numerals": "linear mlp residual",
    "few numerals": "broad deep",
    "numerals again": "slim",
    "asymmetry": "gelu",
    "brightness": "tanh",
    "length of shower": "mlp",
    "edge": "leaky mlp_bn",
    "stroke": "gelu",
    "electricity": "mlp tanh_deep",
    "months": "gelu",
    "swahili": "mlp deep",
    "somali": "tanh",
    "nets": "gelu residual",
    "few easy": "linear tanh",
    "few hard": "linear broad",
    "few many": "mlp layernorm",
    "few rare": "leaky",
    "few wrong": "mlp gelu",
    "few wide": "linear",
    "heaps": "linear",
    "few moons": "deep",
    "few circles": "gelu",
    "board": "mlp tanh_deep",
    "spirals": "broad",
    "keywords": "linear",
    "few line": "linear",
    "few line raw": "linear gelu",
    "few ranks": "linear",
    "loose": "linear mlp",
    "loose wide": "linear slim",
    "heavy tails": "linear mlp",
    "tails": "linear",
    "bent": "mlp mlp_bn",
    "bent rough": "tanh residual",
    "wiggle": "mlp tanh_deep",
    "friedman2 few": "mlp",
    "friedman3 few": "tanh gelu",
    "low rank few": "narrow",
}
"""Which networks are trained on each set."""

"""The families: a network on a data set each, small enough to train in about a second on one core.

Most have circumstances of their own, drawn by their names: what a diagnosis is asked for is never quite what it was
learnt on.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.diagnosis import data, nets, scarce
from benchmarks.diagnosis.data import Cut, Shape
from benchmarks.diagnosis.generated import SETS
from benchmarks.diagnosis.nets import perceptron as p
from benchmarks.search import tables

FEWEST_STEPS, MOST_STEPS = 120, 600
_LOSSES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "squared": F.mse_loss,
    "absolute": F.l1_loss,
    "huber": F.smooth_l1_loss,
    "binary": F.binary_cross_entropy_with_logits,
}


@dataclass(frozen=True)
class Family:
    """A network on a data set.

    Attributes:
        net: what makes the network of data, a width as a factor and a dropout.
        held_out: whether nothing is ever learnt from it.
        usual: the circumstances of a training without a fault, as fields of a run; where there are any, the family is
            trained in these alone, under one optimizer.
    """

    name: str
    net: nets.Make
    data: Callable[[Path], Cut]
    held_out: bool = False
    batch_size: int = 64
    usual: Mapping[str, Any] = field(default_factory=dict)


def _various(name: str, net: nets.Make, held_out: bool = False) -> Family:
    """Return a family on a set of :mod:`.generated` or :mod:`.scarce`, in circumstances drawn by its name."""
    return Family(name, net, (SETS | scarce.SETS)[name.partition("/")[2]], held_out, usual=circumstances(name))


@dataclass(frozen=True)
class Habits:
    """How people train: what circumstances are drawn from."""

    most_reports: int
    most_each: int  # steps from report to report
    cosine: float  # how often
    optimizers: tuple[float, ...]  # how often each of these: sgd, adamw, adam, rmsprop
    batch_sizes: tuple[int, ...]
    dropouts: tuple[float, ...]
    weight_decays: tuple[float, ...]


USUAL = Habits(60, 30, 0.35, (0.45, 0.3, 0.15, 0.1), (8, 16, 32, 64, 128), (0.0, 0.1, 0.2, 0.3), (0.0, 1e-4, 1e-3))
ON_FEW_ROWS = Habits(
    24, 60, 0.45, (0.35, 0.35, 0.2, 0.1), (8, 16, 32, 32, 64), (0.0, 0.1, 0.3, 0.4, 0.5), (0.0, 1e-4, 1e-3, 1e-2)
)


def circumstances(name: str) -> Mapping[str, Any]:
    """Return how the trainings of a family are made where nothing is wrong, drawn by its name."""
    habits = ON_FEW_ROWS if name.partition("/")[2] in scarce.SETS else USUAL
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    reports = round(math.exp(rng.uniform(math.log(8), math.log(habits.most_reports))))
    each = round(math.exp(rng.uniform(math.log(7), math.log(habits.most_each))))
    each = max(math.ceil(FEWEST_STEPS / reports), min(each, MOST_STEPS // reports))
    schedule = rng.choice(["", "cosine", "staircase"], p=[0.85 - habits.cosine, habits.cosine, 0.15])
    return {
        "optimizer": str(rng.choice(["sgd", "adamw", "adam", "rmsprop"], p=habits.optimizers)),
        "momentum": float(rng.choice([0.9, 0.0], p=[0.7, 0.3])),
        "reports": reports,
        "steps": each * reports,
        "batch_size": int(rng.choice(habits.batch_sizes)),
        "cosine": bool(schedule == "cosine"),
        "staircase": bool(schedule == "staircase"),
        "dropout": float(rng.choice(habits.dropouts)),
        "weight_decay": float(rng.choice(habits.weight_decays)),
    }


FAMILIES = {
    family.name: family
    for family in (
        Family("mlp/digits", nets.mlp, data.pictures("digits8x8.npz", 1, (1000, 350, 440))),
        Family("mlp/mnist", nets.mlp, data.pictures("mnist5k.npz", 2, (2600, 600, 800))),
        Family("mlp/satimage", nets.mlp, data.table("satimage", (3000, 800, 1200))),
        Family("mlp/spambase", nets.mlp, data.table("spambase", (2400, 800, 1200))),
        Family("cnn/mnist", nets.convolutional(False), data.pictures("mnist5k.npz", 2, (2600, 600, 800))),
        Family("cnn_bn/cifar", nets.convolutional(True), data.pictures("cifar10_6k.npz", 2, (3600, 400, 600))),
        Family("cnn_bn/digits", nets.convolutional(True), data.pictures("digits8x8.npz", 1, (1000, 350, 440))),
        Family("bag/trec", nets.bag, data.questions),
        Family("gru/names", nets.recurrent, data.names),
        Family("transformer/trec", nets.transformer, data.questions, batch_size=32),
        Family("regression/magic", nets.mlp, data.column("magic", 0)),
        Family("mlp/magic", nets.mlp, data.table("magic", (6000, 800, 1200))),
        Family("mlp/optdigits", nets.mlp, data.table("optdigits", (2000, 800, 1200))),
        Family("regression/phoneme", nets.mlp, data.column("phoneme", 0)),
        Family("regression/optdigits", nets.mlp, data.column("optdigits", 20)),
        Family("mlp/cifar", nets.mlp, data.pictures("cifar10_6k.npz", 2, (3600, 400, 600))),
        Family("cnn/digits", nets.convolutional(False), data.pictures("digits8x8.npz", 1, (1000, 350, 440))),
        _various("tanh/cancer", p([32], "tanh")),
        _various("deep/figures", p([48, 48, 48, 48])),
        _various("mlp_bn/figures", p([64, 32], norm="batch")),
        _various("regression/diabetes", p([32, 32])),
        _various("mlp/diabetes raw", p([24])),
        _various("mlp/easy", p([64, 64])),
        _various("gelu/hard", p([64], "gelu")),
        _various("linear/hard", p([])),
        _various("residual/many", p([64, 64, 64], residual=True)),
        _various("mlp_bn/many", p([96, 48], norm="batch")),
        _various("tanh/rare", p([32, 32], "tanh")),
        _various("mlp/skewed", p([128])),
        _various("linear/skewed", p([])),
        _various("mlp/misread", p([64, 64])),
        _various("layernorm/misread", p([48, 48], "gelu", "layer")),
        _various("mlp/moons", p([24, 24])),
        _various("tanh/circles", p([16, 16], "tanh")),
        _various("mlp/shells", p([64, 64])),
        _various("mlp_bn/sphere", p([64], norm="batch")),
        _various("sigmoid/clouds", p([64], "sigmoid")),
        _various("mlp/wide", p([32])),
        _various("linear/counts", p([])),
        _various("mlp/counts", p([64])),
        _various("gelu/cancer yes", p([16], "gelu")),
        _various("tanh/moons yes", p([32, 32], "tanh")),
        _various("labels/labels", p([64, 64])),
        _various("linear/tags", p([])),
        _various("regression/friedman", p([64, 64])),
        _various("tanh/friedman clean", p([64, 64], "tanh")),
        _various("gelu/friedman raw", p([64, 64], "gelu")),
        _various("regression_bn/friedman", p([64, 64], norm="batch")),
        _various("layernorm/friedman2", p([48, 48], norm="layer")),
        _various("regression/friedman3", p([64])),
        _various("regression/line", p([64])),
        _various("linear/line", p([])),
        _various("linear/line noisy", p([])),
        _various("deep/line noisy", p([32, 32, 32])),
        _various("residual/sparse", p([48, 48, 48], "gelu", residual=True)),
        _various("regression/roll", p([64, 64, 64])),
        _various("tanh/sheet", p([48, 48], "tanh")),
        _various("tanh/sines", p([64, 64], "tanh")),
        _various("regression/sines", p([48, 48])),
        _various("gelu/product", p([64, 64], "gelu")),
        _various("leaky/beam", p([48, 48], "leaky")),
        _various("regression/capitals", p([64])),
        _various("regression/pixel", p([64, 64])),
        _various("gelu/ink", p([64], "gelu")),
        _various("autoencoder/figures again", p([64, 16, 64])),
        _various("autoencoder/low rank", p([32, 5, 32], "tanh")),
        _various("leaky/low rank", p([8], "leaky")),
        _various("conv1d/waves", nets.convolutions([12, 24], flat=True)),
        _various("conv1d_bn/waves", nets.convolutions([16, 16], flat=True, norm=True)),
        _various("gru/walks", nets.series("gru")),
        _various("rnn/walks", nets.series("rnn", 16)),
        _various("lstm/marked", nets.series("lstm")),
        _various("gru/marked", nets.series("gru")),
        _various("gru/chain", nets.recurrent),
        _various("transformer/chain", nets.transformer),
        _various("transformer/majority", nets.transformer),
        _various("bag/majority", nets.bag),
        _various("bag/topics", nets.bag),
        _various("bag/topics few", nets.bag),
        _various("bag/topics many", nets.bag),
        _various("factors/ratings", nets.pairs),
        _various("conv/drawings", nets.convolutions([8, 16])),
        _various("conv_tanh/drawings", nets.convolutions([12, 12], "tanh")),
        _various("conv_bn/drawings", nets.convolutions([8, 8], norm=True)),
        _various("mlp/rays", p([48])),
        _various("layernorm/rays", p([64, 32], norm="layer")),
        _various("linear/post", p([])),
        _various("gelu/post", p([32, 32], "gelu")),
        _various("mlp_bn/fields", p([64], norm="batch")),
        _various("deep/fields", p([32, 32, 32])),
        _various("linear/easy", p([])),
        _various("tanh/easy", p([16], "tanh")),
        _various("mlp_bn/hard", p([64], norm="batch")),
        _various("mlp/many", p([128])),
        _various("linear/rare", p([])),
        _various("deep/circles", p([16, 16, 16])),
        _various("tanh/clouds", p([32, 32], "tanh")),
        _various("bag/questions", nets.bag),
        _various("bag/topics two", nets.bag),
        _various("linear/wide", p([])),
        _various("linear/misread", p([])),
        _various("linear/sparse", p([])),
        _various("linear/beam", p([])),
        _various("linear/capitals", p([])),
        _various("tanh/line", p([32], "tanh")),
        _various("mlp/labels", p([96])),
        _various("tanh/roll", p([64], "tanh")),
        _various("gelu/friedman2", p([32, 32], "gelu")),
        _various("mlp/friedman clean", p([96])),
        _various("tanh/diabetes", p([16], "tanh")),
        _various("deep/product", p([48, 48, 48])),
        _various("layernorm/pixel", p([64], norm="layer")),
        _various("residual/beam", p([32, 32, 32], residual=True)),
        _various("mlp/tags", p([48])),
        _various("mlp_bn/moons yes", p([32], norm="batch")),
        _various("linear/many", p([])),
        _various("mlp/hard", p([32, 32])),
        _various("mlp/rare", p([64])),
        _various("linear/clouds", p([])),
        _various("mlp_bn/easy", p([32], norm="batch")),
        _various("linear/fields", p([])),
        _various("linear/rays", p([])),
        _various("tanh/post", p([48], "tanh")),
        _various("gelu/sphere", p([64], "gelu")),
        _various("linear/labels", p([])),
        _various("linear/cancer yes", p([])),
        _various("linear/figures", p([])),
        _various("tanh/line noisy", p([16], "tanh")),
        _various("linear/friedman2", p([])),
        _various("linear/product", p([])),
        _various("mlp/product", p([96])),
        _various("layernorm/clouds", p([48], norm="layer")),
        _various("mlp/sines", p([128])),
        *(_various(f"{net}/{rows}", scarce.NETS[net]) for rows, some in scarce.TRAINED.items() for net in some.split()),
        Family("mlp/letter", nets.mlp, data.table("letter", (6000, 800, 1200)), held_out=True),
        Family("mlp/phoneme", nets.mlp, data.table("phoneme", (3000, 800, 1200)), held_out=True),
        Family(
            "cnn_bn/mnist", nets.convolutional(True), data.pictures("mnist5k.npz", 2, (2600, 600, 800)), held_out=True
        ),
        Family(
            "cnn/cifar", nets.convolutional(False), data.pictures("cifar10_6k.npz", 2, (3600, 400, 600)), held_out=True
        ),
        Family("bag/subj", nets.bag, data.sentences, held_out=True),
        Family("gru/trec", nets.recurrent, data.questions, held_out=True, batch_size=32),
        Family("transformer/play", nets.transformer, data.play, held_out=True, batch_size=32),
        Family("regression/satimage", nets.mlp, data.column("satimage", 17), held_out=True),
        _various("bag/speakers", nets.bag, held_out=True),
        _various("mlp_bn/cancer", p([48, 48], norm="batch"), held_out=True),
        _various("layernorm/tags", p([64, 64], "gelu", "layer"), held_out=True),
        _various("autoencoder/bands", p([32, 4, 32]), held_out=True),
        _various("lstm/walks", nets.series("lstm"), held_out=True),
        _various("linear/friedman", p([]), held_out=True),
        _various("residual/shells", p([48, 48, 48], residual=True), held_out=True),
        _various("tanh/friedman raw", p([48], "tanh"), held_out=True),
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
    """Return the mean loss: cross-entropy, or that of the numbers foretold."""
    if shape.classes:
        return F.cross_entropy(answers.flatten(0, -2), wanted.flatten())
    return _LOSSES[shape.loss](answers.reshape(wanted.shape), wanted)


def chance(shape: Shape, wanted: Tensor) -> float:
    """Return the loss of the best answer that looks at no input: of the classes' shares, or of the best constant."""
    if not shape.classes:
        return _of_a_constant(shape, wanted.reshape(len(wanted), -1))
    known = wanted.flatten()[wanted.flatten() >= 0]
    shares = torch.bincount(known, minlength=shape.classes).double() / len(known)
    return float(-(shares * shares.clamp(min=1e-12).log()).sum())


def _of_a_constant(shape: Shape, wanted: Tensor) -> float:
    """Return the loss of the best constant for each of several numbers, shape ``(rows, numbers)``."""
    if shape.loss == "binary":
        shares = wanted.mean(dim=0).clamp(1e-6, 1.0 - 1e-6)
        return float(F.binary_cross_entropy(shares.expand_as(wanted), wanted))
    if shape.loss == "squared":
        return float(wanted.var(dim=0, correction=0).mean())
    centre = wanted.median(dim=0).values if shape.loss == "absolute" else wanted.mean(dim=0)
    return float(_LOSSES[shape.loss](centre.expand_as(wanted), wanted))

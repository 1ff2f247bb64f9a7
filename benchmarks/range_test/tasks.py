"""What is trained: real data, a network and an optimizer each, a second or so on one core.

The rule of :func:`tunewell.torch.find_learning_rate` was chosen on the first half of the tasks, ``CHOSEN_ON``, and then
measured on the others, which it had not seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.fidelity import datasets, networks
from benchmarks.fidelity.datasets import Data

Batch = tuple[Tensor, Tensor]
STEPS, BATCH = 300, 64
WINDOW = 24  # characters

OPTIMIZERS: Mapping[str, Callable[..., torch.optim.Optimizer]] = {
    "SGD": torch.optim.SGD,
    "momentum": partial(torch.optim.SGD, momentum=0.9),
    "Adam": torch.optim.Adam,
    "AdamW": torch.optim.AdamW,
    "RMSprop": torch.optim.RMSprop,
}
GRIDS = {name: (1e-4, 1e1) if name in ("SGD", "momentum") else (1e-5, 1.0) for name in OPTIMIZERS}
"""The lowest and highest rate of an optimizer's grid."""


@dataclass(frozen=True)
class Task:
    """A network on a data set under an optimizer."""

    name: str
    read: Callable[[Path], Data]
    network: Callable[[Data], nn.Module]
    optimizer: str

    def model(self, data: Data, seed: int) -> nn.Module:
        """Return the untrained network."""
        torch.manual_seed(seed)
        return self.network(data)

    def rates(self, count: int) -> list[float]:
        """Return the grid of learning rates, evenly spaced on the log scale."""
        low, high = GRIDS[self.optimizer]
        return [float(f"{rate:.4g}") for rate in np.geomspace(low, high, count)]


def batches(part: tuple[Tensor, Tensor], seed: int) -> Iterator[Batch]:
    """Return batches without end, every epoch in another order."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        for rows in torch.randperm(len(part[0]), generator=generator).split(BATCH):
            if len(rows) == BATCH:
                yield part[0][rows], part[1][rows]


class Shuffled:
    """The training rows as an iterable of one epoch of batches, as a data loader is: each pass in another order."""

    def __init__(self, part: tuple[Tensor, Tensor], seed: int) -> None:
        self.part, self.generator = part, torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return len(self.part[0]) // BATCH

    def __iter__(self) -> Iterator[Batch]:
        order = torch.randperm(len(self.part[0]), generator=self.generator)
        for rows in order[: BATCH * len(self)].split(BATCH):
            yield self.part[0][rows], self.part[1][rows]


def loss_of(model: nn.Module, batch: Batch) -> Tensor:
    """Return the cross-entropy of a batch."""
    return nn.functional.cross_entropy(model(batch[0]).flatten(0, -2), batch[1].flatten())


def train(
    task: Task, data: networks.Tensors, raw: Data, rate: float, seed: int, steps: int = STEPS
) -> tuple[float, float]:
    """Train, the rate falling to 0 along a cosine; return validation loss and training loss over the last tenth.

    Both are infinite where the training diverged.
    """
    model = task.model(raw, seed)
    optimizer = OPTIMIZERS[task.optimizer](model.parameters(), lr=rate)
    model.train()
    last: list[float] = []
    for step, batch in zip(range(steps), batches(data.train, seed), strict=False):
        for group in optimizer.param_groups:
            group["lr"] = rate * 0.5 * (1.0 + math.cos(math.pi * step / steps))
        loss = loss_of(model, batch)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        if step >= 0.9 * steps:
            last.append(loss.item())
        elif step % 10 == 0 and not math.isfinite(loss.item()):
            return math.inf, math.inf
    value = networks.judge(model, data.validation)[0]
    return (value, sum(last) / len(last)) if math.isfinite(value) else (math.inf, math.inf)


# --- networks ---------------------------------------------------------------------------------------------------------


def linear(data: Data) -> nn.Module:
    """Return multinomial logistic regression."""
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(data.inputs[0].shape[1:]), data.classes))


def mlp(data: Data, **config: Any) -> nn.Module:
    """Return a perceptron."""
    return networks.mlp(config, math.prod(data.inputs[0].shape[1:]), data.classes)


def cnn(data: Data, **config: Any) -> nn.Module:
    """Return a convolutional network, with batch norm unless said otherwise."""
    return networks.cnn(config, data.inputs[0].shape[1], data.classes)


def bag(data: Data) -> nn.Module:
    """Return the classifier of bags of words."""
    return networks.bag({"embedding": 32, "width": 64, "dropout": 0.0}, data.classes)


def recurrent(data: Data) -> nn.Module:
    """Return the gated recurrent network that guesses the next character."""
    return networks.Letters({"embedding": 16, "width": 64, "dropout": 0.0}, max(data.classes, 1 + data.inputs[0].max()))


class Residual(nn.Module):
    """Two convolutions with batch norm beside a shortcut, which is subsampled where the block is."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(after), nn.BatchNorm2d(after)])
        same = before == after and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        inner = torch.relu(self.norms[0](self.first(x)))
        return torch.relu(self.norms[1](self.second(inner)) + self.shortcut(x))


def resnet(data: Data, width: int = 8) -> nn.Module:
    """Return a small residual network."""
    return nn.Sequential(
        nn.Conv2d(data.inputs[0].shape[1], width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        Residual(width, width, 1),
        Residual(width, 2 * width, 2),
        Residual(2 * width, 4 * width, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4 * width, data.classes),
    )


class Transformer(nn.Module):
    """Two pre-norm layers of attention; ``causal`` guesses the next token, otherwise the mean is classified."""

    def __init__(self, tokens: int, length: int, classes: int, causal: bool, width: int = 32) -> None:
        super().__init__()
        self.embedding, self.places = nn.Embedding(tokens, width), nn.Parameter(0.02 * torch.randn(length, width))
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, 0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.norm, self.out, self.causal = nn.LayerNorm(width), nn.Linear(width, classes), causal

    def forward(self, x: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1]) if self.causal else None
        states = self.norm(self.layers(self.embedding(x) + self.places, mask=mask, is_causal=self.causal))
        logits: Tensor = self.out(states if self.causal else states.mean(dim=1))
        return logits


def transformer(data: Data) -> nn.Module:
    """Return the transformer that fits the labels: one a token, or one a row."""
    causal = data.labels[0].ndim > 1
    tokens = 1 + max(int(part.max()) for part in data.inputs)
    return Transformer(tokens, data.inputs[0].shape[1], max(data.classes, tokens) if causal else data.classes, causal)


# --- data -------------------------------------------------------------------------------------------------------------


def table(name: str) -> Callable[[Path], Data]:
    """Return the reader of a table."""
    return lambda home: datasets.tabular(home, name, name, (3000, 1000, 500))


def images(file: str, pool: int, rows: int) -> Callable[[Path], Data]:
    """Return the reader of images, averaged over squares of ``pool`` by ``pool`` pixels."""
    return lambda home: datasets.images(home, file, pool, file, (rows, min(1000, rows // 3), min(500, rows // 8)))


def questions(home: Path) -> Data:
    """Return questions as hashes of words."""
    return datasets.questions(home, "trec", (4000, 1000, 400))


def names(home: Path) -> Data:
    """Return first names letter by letter."""
    return datasets.names(home, "names", (8000, 1000, 500))


def shakespeare(home: Path) -> Data:
    """Return windows of characters with the characters that follow."""
    text = (home / "tinyshakespeare.txt").read_text(encoding="utf-8")
    known = {character: k for k, character in enumerate(sorted(set(text)))}
    codes = np.array([known[character] for character in text], dtype=np.int64)
    starts = np.arange(0, len(codes) - WINDOW - 1, 4 * WINDOW)
    rows = np.stack([codes[start : start + WINDOW + 1] for start in starts])
    about = {"source": "tinyshakespeare.txt of github karpathy/char-rnn", "licence": "MIT (repository)"}
    return datasets.cut(rows[:, :-1], rows[:, 1:], "shakespeare", (8000, 1000, 500), **about)


DIGITS, MNIST = images("digits8x8.npz", 1, 1200), images("mnist5k.npz", 2, 3500)
CIFAR = images("cifar10_6k.npz", 2, 3500)

CHOSEN_ON = (
    Task("digits linear SGD", DIGITS, linear, "SGD"),
    Task("mnist mlp Adam", MNIST, partial(mlp, width=128, depth=2), "Adam"),
    Task("cifar cnn-bn momentum", CIFAR, partial(cnn, width=12), "momentum"),
    Task("names gru Adam", names, recurrent, "Adam"),
    Task("trec bag AdamW", questions, bag, "AdamW"),
    Task("letter mlp RMSprop", table("letter"), partial(mlp, width=64, depth=2), "RMSprop"),
    Task("shakespeare transformer AdamW", shakespeare, transformer, "AdamW"),
    Task(
        "satimage mlp-tanh momentum", table("satimage"), partial(mlp, width=64, depth=2, activation="tanh"), "momentum"
    ),
    Task("magic mlp Adam", table("magic"), partial(mlp, width=32, depth=3), "Adam"),
    Task(
        "optdigits mlp-tanh RMSprop", table("optdigits"), partial(mlp, width=64, depth=2, activation="tanh"), "RMSprop"
    ),
    Task("digits mlp-bn AdamW", DIGITS, partial(mlp, width=64, depth=2, batch_norm=True), "AdamW"),
    Task("satimage mlp-bn SGD", table("satimage"), partial(mlp, width=64, depth=2, batch_norm=True), "SGD"),
    Task("digits cnn-bn momentum", DIGITS, partial(cnn, width=8), "momentum"),
    Task("spambase mlp-bn momentum", table("spambase"), partial(mlp, width=32, depth=2, batch_norm=True), "momentum"),
    Task("mnist cnn-bn RMSprop", MNIST, partial(cnn, width=6), "RMSprop"),
    Task("phoneme mlp Adam", table("phoneme"), partial(mlp, width=32, depth=2), "Adam"),
)
CONFIRMED_ON = (
    Task("phoneme linear Adam", table("phoneme"), linear, "Adam"),
    Task("optdigits mlp-bn SGD", table("optdigits"), partial(mlp, width=64, depth=2, batch_norm=True), "SGD"),
    Task("mnist cnn momentum", MNIST, partial(cnn, width=8, batch_norm=False), "momentum"),
    Task("cifar resnet AdamW", CIFAR, resnet, "AdamW"),
    Task("shakespeare gru RMSprop", shakespeare, recurrent, "RMSprop"),
    Task("trec bag momentum", questions, bag, "momentum"),
    Task("names transformer Adam", names, transformer, "Adam"),
    Task("cifar mlp AdamW", CIFAR, partial(mlp, width=128, depth=4), "AdamW"),
    Task("digits cnn-bn RMSprop", DIGITS, partial(cnn, width=8), "RMSprop"),
    Task("digits mlp-tanh AdamW", DIGITS, partial(mlp, width=64, depth=2, activation="tanh"), "AdamW"),
    Task("spambase mlp SGD", table("spambase"), partial(mlp, width=32, depth=1), "SGD"),
    Task("letter mlp Adam", table("letter"), partial(mlp, width=128, depth=3), "Adam"),
)
LONGER = ("letter mlp RMSprop", "trec bag AdamW", "optdigits mlp-bn SGD")
"""Tasks that are quick enough to be trained ten times as long, too."""

TASKS: Mapping[str, Task] = {task.name: task for task in (*CHOSEN_ON, *CONFIRMED_ON)}


@cache
def loaded(name: str, home: Path) -> tuple[Data, networks.Tensors]:
    """Return the data of a task, as arrays and as tensors."""
    data = TASKS[name].read(home)
    return data, networks.tensors(data)

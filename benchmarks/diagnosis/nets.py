"""The networks of the families: each is made for a shape of data, with a width as a factor and a dropout."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from benchmarks.diagnosis.data import Shape


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
        self.out = nn.Linear(width, shape.outputs)

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
            nn.Linear(width, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, shape.outputs)
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
    return nn.Sequential(*parts, nn.Dropout(dropout), nn.Linear(hidden, shape.outputs))


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
        return nn.Sequential(*layers, nn.Linear(4 * before, shape.outputs))

    return make


def recurrent(shape: Shape, width: float, dropout: float) -> nn.Module:
    """Return a gated recurrent network."""
    return Block(shape, units(32, width), dropout, "gru", shape.words == shape.classes)


def transformer(shape: Shape, width: float, dropout: float) -> nn.Module:
    """Return one block of attention."""
    size = max(2, 2 * (units(32, width) // 2))
    return Block(shape, size, dropout, "transformer", shape.words == shape.classes)


def bags(base: int) -> Callable[[Shape, float, float], nn.Module]:
    """Return what makes a bag of words."""
    return lambda shape, width, dropout: Bag(shape, units(base, width), dropout)


bag = bags(32)


ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU, "sigmoid": nn.Sigmoid, "leaky": nn.LeakyReLU}
Make = Callable[[Shape, float, float], nn.Module]


class Residual(nn.Module):
    """A layer whose answer is added to its input."""

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = x + self.inner(x)
        return total


class Series(nn.Module):
    """Rows of numbers in time, read by a recurrent network; the answer is that of the last state."""

    def __init__(self, shape: Shape, kind: Literal["rnn", "gru", "lstm"], width: int, dropout: float):
        super().__init__()
        self.body = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[kind](shape.inputs[1], width, batch_first=True)
        self.out = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, shape.outputs))

    def forward(self, x: Tensor) -> Tensor:
        answers: Tensor = self.out(self.body(x)[0][:, -1])
        return answers


class Pairs(nn.Module):
    """A row of two ids: the product of their vectors, then a number."""

    def __init__(self, shape: Shape, width: int, dropout: float):
        super().__init__()
        self.vectors = nn.Embedding(shape.words, width)
        self.out = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, shape.outputs))
        nn.init.normal_(self.vectors.weight, std=0.5)

    def forward(self, x: Tensor) -> Tensor:
        one, other = self.vectors(x).unbind(dim=1)
        answers: Tensor = self.out(one * other)
        return answers


def perceptron(
    hidden: Sequence[int], activation: str = "relu", norm: Literal["", "batch", "layer"] = "", residual: bool = False
) -> Make:
    """Return what makes a perceptron with hidden layers of these sizes; with none it is a linear model."""

    def layer(before: int, after: int, dropout: float) -> list[nn.Module]:
        norms: dict[str, list[nn.Module]] = {"": [], "batch": [nn.BatchNorm1d(after)], "layer": [nn.LayerNorm(after)]}
        return [nn.Linear(before, after), *norms[norm], ACTIVATIONS[activation](), nn.Dropout(dropout)]

    def make(shape: Shape, width: float, dropout: float) -> nn.Module:
        parts: list[nn.Module] = [nn.Flatten()]
        before = math.prod(shape.inputs)
        for base in hidden:
            after = units(base, width)
            inner = layer(before, after, dropout)
            parts += [Residual(nn.Sequential(*inner))] if residual and before == after else inner
            before = after
        return nn.Sequential(*parts, nn.Linear(before, shape.outputs))

    return make


def convolutions(channels: Sequence[int], activation: str = "relu", flat: bool = False, norm: bool = False) -> Make:
    """Return what makes convolutions over pictures, or over series where ``flat``, each followed by pooling."""
    conv, pool, last = (nn.Conv1d, nn.MaxPool1d, nn.AdaptiveAvgPool1d) if flat else (
        nn.Conv2d, nn.MaxPool2d, nn.AdaptiveAvgPool2d)  # fmt: skip

    def make(shape: Shape, width: float, dropout: float) -> nn.Module:
        layers: list[nn.Module] = []
        before = shape.inputs[0]
        for base in channels:
            after = units(base, width)
            norms = [(nn.BatchNorm1d if flat else nn.BatchNorm2d)(after)] if norm else []
            layers += [conv(before, after, 3, padding=1), *norms, ACTIVATIONS[activation](), pool(2)]
            before = after
        layers += [last(2), nn.Flatten(), nn.Dropout(dropout)]
        return nn.Sequential(*layers, nn.Linear((2 if flat else 4) * before, shape.outputs))

    return make


def series(kind: Literal["rnn", "gru", "lstm"], base: int = 24) -> Make:
    """Return what makes a recurrent network over rows of numbers."""
    return lambda shape, width, dropout: Series(shape, kind, units(base, width), dropout)


def pairs(shape: Shape, width: float, dropout: float) -> nn.Module:
    """Return a factorisation."""
    return Pairs(shape, units(8, width), dropout)

"""The networks and their training: a few lines each, quick on one core.

A training that diverges, its loss no longer finite, is stopped; its curves are NaN from that epoch on.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.fidelity.datasets import BUCKETS, Data
from benchmarks.fidelity.tasks import Task

Config = Mapping[str, Any]
Part = tuple[Tensor, Tensor]
COLUMNS = ("train_loss", "val_loss", "val_accuracy", "test_accuracy", "seconds")


@dataclass(frozen=True)
class Tensors:
    """The data of a task as tensors."""

    train: Part
    validation: Part
    test: Part
    classes: int


def tensors(data: Data) -> Tensors:
    """Return the tensors of a data set."""
    parts = [(torch.tensor(x), torch.tensor(y)) for x, y in zip(data.inputs, data.labels, strict=True)]
    return Tensors(parts[0], parts[1], parts[2], data.classes)


def mlp(config: Config, inputs: int, classes: int) -> nn.Module:
    """Return a perceptron with ``depth`` hidden layers."""
    layers: list[nn.Module] = [nn.Flatten()]
    sizes = [inputs, *[config["width"]] * config["depth"]]
    for before, after in itertools.pairwise(sizes):
        layers.append(nn.Linear(before, after))
        if config.get("batch_norm", False):
            layers.append(nn.BatchNorm1d(after))
        layers.append(nn.Tanh() if config.get("activation") == "tanh" else nn.ReLU())
        if config.get("dropout", 0.0) > 0.0:
            layers.append(nn.Dropout(config["dropout"]))
    return nn.Sequential(*layers, nn.Linear(sizes[-1], classes))


def cnn(config: Config, channels: int, classes: int) -> nn.Module:
    """Return ``depth`` (or two) convolutions, each twice as wide and half as fine as the one before."""
    layers: list[nn.Module] = []
    norm, depth = config.get("batch_norm", "depth" not in config), config.get("depth", 2)
    for block in range(depth):
        width = config["width"] * 2**block
        layers.append(nn.Conv2d(channels, width, 3, padding=1))
        if norm:
            layers.append(nn.BatchNorm2d(width))
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
        channels = width
    layers += [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(config.get("dropout", 0.0))]
    return nn.Sequential(*layers, nn.Linear(4 * channels, classes))


def bag(config: Config, classes: int) -> nn.Module:
    """Return the mean of the words' vectors, then one hidden layer."""
    width, hidden = config["embedding"], config["width"]
    return nn.Sequential(
        nn.EmbeddingBag(BUCKETS, width, mode="mean", padding_idx=0),
        nn.Dropout(config["dropout"]),
        nn.Linear(width, hidden),
        nn.ReLU(),
        nn.Dropout(config["dropout"]),
        nn.Linear(hidden, classes),
    )


class Letters(nn.Module):
    """A gated recurrent network that guesses the next letter; logits of shape ``(rows, letters, classes)``."""

    def __init__(self, config: Config, classes: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(classes, config["embedding"])
        self.recurrent = nn.GRU(config["embedding"], config["width"], batch_first=True)
        self.dropout = nn.Dropout(config["dropout"])
        self.out = nn.Linear(config["width"], classes)

    def forward(self, x: Tensor) -> Tensor:
        states: Tensor = self.recurrent(self.embedding(x))[0]
        logits: Tensor = self.out(self.dropout(states))
        return logits


def network(task: Task, config: Config, data: Tensors) -> nn.Module:
    """Return the untrained network of a configuration, its weights drawn from the global generator."""
    first = data.train[0]
    if task.model == "mlp":
        return mlp(config, math.prod(first.shape[1:]), data.classes)
    if task.model == "cnn":
        return cnn(config, first.shape[1], data.classes)
    return bag(config, data.classes) if task.model == "bag" else Letters(config, data.classes)


def optimizer(task: Task, config: Config, net: nn.Module) -> torch.optim.Optimizer:
    """Return SGD with momentum (the weight decay is in the gradient), or AdamW (it is apart)."""
    rate, decay, momentum = config["learning_rate"], config.get("weight_decay", 0.0), config.get("momentum", 0.9)
    if config.get("optimizer", task.optimizer) == "sgd":
        return torch.optim.SGD(net.parameters(), rate, momentum, weight_decay=decay, fused=True)
    betas, epsilon = (momentum, config.get("beta2", 0.999)), config.get("epsilon", 1e-8)
    return torch.optim.AdamW(net.parameters(), rate, betas, epsilon, weight_decay=decay, fused=True)


def factor(decay: str, epoch: int, epochs: int) -> float:
    """Return the part of the learning rate that is left in an epoch, counted from 0."""
    if decay == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * epoch / epochs))
    if decay == "step":
        return float(0.1 ** ((2 * epoch >= epochs) + (5 * epoch >= 4 * epochs)))
    return 1.0


def judge(net: nn.Module, part: Part) -> tuple[float, float]:
    """Return loss and accuracy."""
    net.eval()
    with torch.no_grad():
        logits, labels = net(part[0]).flatten(0, -2), part[1].flatten()
        known = labels >= 0
        right = (logits.argmax(dim=-1) == labels)[known].float().mean()
        return float(nn.functional.cross_entropy(logits, labels)), float(right)


def epoch_of(net: nn.Module, steps: torch.optim.Optimizer, part: Part, config: Config) -> float:
    """Train for one epoch and return the mean loss of its batches."""
    net.train()
    order, total, batches = torch.randperm(len(part[0])), torch.zeros(()), 0
    size, smoothing = config["batch_size"], config.get("label_smoothing", 0.0)
    for rows in torch.split(order, size):
        x, y = part[0][rows], part[1][rows]
        steps.zero_grad()
        logits = net(x).flatten(0, -2)
        loss = nn.functional.cross_entropy(logits, y.flatten(), label_smoothing=smoothing)
        torch.autograd.backward(loss)
        if "clip" in config:
            nn.utils.clip_grad_norm_(net.parameters(), config["clip"])
        steps.step()
        total, batches = total + loss.detach(), batches + 1
    return float(total) / batches


def advance(
    net: nn.Module, steps: torch.optim.Optimizer, config: Config, data: Tensors, epoch: int, epochs: int
) -> tuple[float, float, float]:
    """Train the epoch of this number, counted from 0; return training loss, validation loss, validation accuracy."""
    for group in steps.param_groups:
        group["lr"] = config["learning_rate"] * factor(config.get("decay", "constant"), epoch, epochs)
    return epoch_of(net, steps, data.train, config), *judge(net, data.validation)


def accuracies(task: Task, config: Config, data: Tensors, seed: int, epochs: int) -> Iterator[float]:
    """Train, and yield the validation accuracy after each epoch, NaN from where it has diverged.

    Trainings may take turns: each has random numbers of its own.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = network(task, config, data)
        steps, state = optimizer(task, config, net), torch.random.get_rng_state()
    for epoch in range(epochs):
        with torch.random.fork_rng():
            torch.random.set_rng_state(state)
            fitted, loss, accuracy = advance(net, steps, config, data, epoch, epochs)
            state = torch.random.get_rng_state()
        if not (math.isfinite(fitted) and math.isfinite(loss)):
            break
        yield accuracy
    yield from itertools.repeat(math.nan)


def train(task: Task, config: Config, data: Tensors, seed: int, epochs: int) -> np.ndarray:
    """Train once and return :data:`COLUMNS`, shape ``(5, epochs)``.

    Seconds are the processor's, for training and validation; the epoch that diverged has them, those after it are NaN.
    """
    curves = np.full((len(COLUMNS), epochs), np.nan)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = network(task, config, data)
        steps = optimizer(task, config, net)
        for epoch in range(epochs):
            start = time.process_time()
            fitted, loss, accuracy = advance(net, steps, config, data, epoch, epochs)
            curves[4, epoch] = time.process_time() - start
            if not (math.isfinite(fitted) and math.isfinite(loss)):
                break
            curves[:4, epoch] = fitted, loss, accuracy, judge(net, data.test)[1]
    return curves

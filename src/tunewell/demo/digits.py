"""The images, the network, and the two objectives: one for the search, one for the final comparison."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tunewell.space import Choice, Float, Int, Space
from tunewell.trial import Trial

try:
    import torch
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    from torch import Tensor, nn
    from torch.nn import functional
except ModuleNotFoundError as error:
    MISSING = str(error.name)
else:
    MISSING = ""

SPACE = Space(
    learning_rate=Float(1e-4, 1e-1, scale="log", default=1e-3, tier=1, note="of AdamW; falls to 0 along a cosine"),
    momentum=Float(0.8, 0.99, scale="reverse_log", default=0.9, tier=2, note="AdamW's β1; averages 1/(1-β1) gradients"),
    batch_size=Choice([16, 32, 64, 128, 256], ordered=True, default=64, tier=2),
    channels=Int(8, 64, scale="log", default=16, tier=2, note="of the first layer; the other two have twice as many"),
    dropout=Float(0.0, 0.6, default=0.2, tier=3, note="before the last layer"),
    weight_decay=Float(1e-5, 1e-1, scale="log", default=1e-2, tier=3, note="1e-2 is PyTorch's own default"),
    shift=Float(0.0, 1.0, default=0.2, tier=3, note="share of the training images moved by a pixel"),
)


# --- the images -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """One part of the images: pixels from 0 to 1, shape ``(n, 1, 8, 8)``, and labels from 0 to 9, shape ``(n,)``."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


def three_parts() -> tuple[list[int], list[int], list[int]]:
    """Return which images are for training, validation and test: a third each, every digit alike in all three."""
    labels = load_digits().target
    rest, test = train_test_split(np.arange(len(labels)), test_size=1 / 3, stratify=labels, random_state=0)
    training, validation = train_test_split(rest, test_size=1 / 2, stratify=labels[rest], random_state=0)
    return training.tolist(), validation.tolist(), test.tolist()


def load_part(indices: Sequence[int]) -> Part:
    """Return the images with these indices."""
    digits = load_digits()
    pixels = torch.tensor(digits.images[indices] / 16.0, dtype=torch.float32)
    return Part(pixels[:, None], torch.tensor(digits.target[indices]))


# --- the network ------------------------------------------------------------------------------------------------------


def build(channels: int, dropout: float) -> nn.Sequential:
    """Return the network: three convolutions with batch norm (which makes their biases useless), one linear layer."""

    def layer(inputs: int, outputs: int) -> list[nn.Module]:
        return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]

    return nn.Sequential(
        *layer(1, channels),
        *layer(channels, 2 * channels),
        nn.MaxPool2d(2),
        *layer(2 * channels, 2 * channels),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(2 * channels * 4, 10),
    )


class Training:
    """A network in training. ``save`` and ``load`` carry all that the next epoch depends on."""

    def __init__(self, config: Mapping[str, Any], seed: int, epochs: int) -> None:
        torch.manual_seed(seed)
        self.config = config
        self.epochs = epochs
        self.network = build(config["channels"], config["dropout"])
        weights = [weight for weight in self.network.parameters() if weight.ndim > 1]
        others = [weight for weight in self.network.parameters() if weight.ndim == 1]  # biases, batch norm's γ and β
        self.optimizer = torch.optim.AdamW(
            [{"params": weights, "weight_decay": config["weight_decay"]}, {"params": others, "weight_decay": 0.0}],
            betas=(config["momentum"], 0.999),
        )

    def train(self, part: Part, epoch: int) -> float:
        """Train one epoch, counted from 1, and return the mean loss."""
        self.network.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self.config["learning_rate"] * (1 + math.cos(math.pi * (epoch - 1) / self.epochs)) / 2
        order, size, losses = torch.randperm(len(part)), self.config["batch_size"], []
        for start in range(0, len(part) - 1, size):  # never a last batch of one, which has no variance to divide by
            batch = order[start : start + size]
            scores = self.network(shifted(part.pixels[batch], self.config["shift"]))
            loss = functional.cross_entropy(scores, part.labels[batch])
            self.optimizer.zero_grad()
            torch.autograd.backward(loss)
            self.optimizer.step()
            losses.append(loss.detach())
        return torch.stack(losses).mean().item()

    def measure(self, part: Part) -> tuple[float, float]:
        """Return cross-entropy and accuracy on a part."""
        self.network.eval()
        with torch.no_grad():
            scores = self.network(part.pixels)
        hits = scores.argmax(dim=1) == part.labels
        return functional.cross_entropy(scores, part.labels).item(), hits.double().mean().item()

    def save(self, directory: Path) -> None:
        """Write network, optimiser and random generator into a folder."""
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": torch.get_rng_state(),
        }
        torch.save(state, directory / "state.pt")

    def load(self, directory: Path) -> None:
        """Go on from what :meth:`save` wrote."""
        state = torch.load(directory / "state.pt", weights_only=True)
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["generator"])


def shifted(pixels: Tensor, share: float) -> Tensor:
    """Return the images, a ``share`` of them moved by up to one pixel in both directions."""
    count = len(pixels)
    moves = torch.randint(-1, 2, (2, count)) * (torch.rand(count) < share)
    windows = functional.pad(pixels, (1, 1, 1, 1)).unfold(2, 8, 1).unfold(3, 8, 1)  # (n, 1, 3, 3, 8, 8)
    return windows[torch.arange(count), :, 1 + moves[0], 1 + moves[1]]


# --- the two objectives -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Search:
    """The objective of the search: it has training and validation images, and no others."""

    training: Part
    validation: Part
    epochs: int

    def __call__(self, trial: Trial) -> None:
        """Train one configuration."""
        run = Training(trial.params, trial.seed, self.epochs)
        if trial.checkpoint:
            run.load(trial.checkpoint)
        for epoch in trial.steps(self.epochs):
            train_loss = run.train(self.training, epoch)
            val_loss, val_accuracy = run.measure(self.validation)
            trial.report(val_loss=val_loss, val_accuracy=val_accuracy, train_loss=train_loss)
            trial.save(run.save)


@dataclass(frozen=True)
class Final:
    """The objective of the final comparison: full trainings, measured once, at their end, on the test images."""

    training: Part
    test: Part
    epochs: int
    configs: Mapping[str, Mapping[str, Any]]

    def __call__(self, trial: Trial) -> dict[str, float]:
        """Train the default or the winner with one seed."""
        run = Training(self.configs[str(trial.params["configuration"])], int(str(trial.params["seed"])), self.epochs)
        if trial.checkpoint:
            run.load(trial.checkpoint)
        for epoch in trial.steps(self.epochs):
            trial.report(train_loss=run.train(self.training, epoch))
            trial.save(run.save)
        test_loss, test_accuracy = run.measure(self.test)
        return {"test_accuracy": test_accuracy, "test_loss": test_loss}

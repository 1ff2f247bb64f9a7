"""A problem that really trains: a small network on handwritten digits, seven hyperparameters, under a second each.

No optimum is known, so it stays out of the score, and its validation loss is shown as it is. The seed says which
images are for training and which for validation. An evaluation trains once with a fresh seed; the true loss is the mean
over three fixed seeds. The images come from ``digits8x8.npz`` in the folder of the tables, or from scikit-learn.
"""

from __future__ import annotations

import importlib.util
import itertools
import math
from collections.abc import Callable
from functools import cache

import numpy as np

from benchmarks.search import tables
from benchmarks.search.instances import Instance, Params, generator
from tunewell.space import Choice, Float, Int, Space

EPOCHS, TRAINING, VALIDATION = 12, 600, 800
WORST = math.log(10.0)  # the loss of a guess; what diverged counts as one
SPACE = Space(
    learning_rate=Float(1e-3, 1.0, scale="log"),
    momentum=Float(0.5, 0.99, scale="reverse_log"),
    batch_size=Choice([16, 32, 64, 128], ordered=True),
    width=Int(16, 256, scale="log"),
    depth=Int(1, 3),
    dropout=Float(0.0, 0.6),
    weight_decay=Float(1e-6, 1e-1, scale="log"),
)


def missing() -> str:
    """Return which library or data the problem lacks here, or nothing."""
    if importlib.util.find_spec("torch") is None:
        return "PyTorch"
    if tables.folder() is None and importlib.util.find_spec("sklearn") is None:
        return "scikit-learn, or digits8x8.npz in TUNEWELL_TABLES"
    return ""


@cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return pixels from 0 to 1, shape ``(1797, 64)``, and labels from 0 to 9, shape ``(1797,)``."""
    home = tables.folder()
    if home is not None and (home / "digits8x8.npz").exists():
        stored = tables.load(home, "digits8x8.npz")
        return stored["X"].reshape(-1, 64) / 16.0, stored["y"].astype(int)
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    return pixels / 16.0, labels


def train(params: Params, split: int, seed: int) -> float:
    """Train once and return the validation loss, at most that of a guess."""
    import torch
    from torch import nn

    pixels, labels = digits()
    order = generator(split).permutation(len(labels))
    x = torch.tensor(pixels[order], dtype=torch.float32)
    y = torch.tensor(labels[order])
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        sizes = [64, *[params["width"]] * params["depth"]]
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(params["dropout"])]
        net = nn.Sequential(*layers, nn.Linear(sizes[-1], 10))
        optimizer = torch.optim.SGD(
            net.parameters(), params["learning_rate"], params["momentum"], weight_decay=params["weight_decay"]
        )
        for _ in range(EPOCHS):
            for batch in torch.split(torch.randperm(TRAINING), params["batch_size"]):
                optimizer.zero_grad()
                torch.autograd.backward(nn.functional.cross_entropy(net(x[batch]), y[batch]))
                optimizer.step()
    net.eval()
    with torch.no_grad():
        held = slice(TRAINING, TRAINING + VALIDATION)
        loss = float(nn.functional.cross_entropy(net(x[held]), y[held]))
    return min(loss, WORST) if math.isfinite(loss) else WORST


def make_digits(seed: int) -> Instance:
    """Return the digits split by ``seed``; the optimum given is 0, which nobody reaches."""

    def truth(params: Params) -> float:
        return float(np.mean([train(params, seed, k) for k in range(3)]))

    def observed(params: Params, rng: np.random.Generator) -> float:
        return train(params, seed, int(rng.integers(3, 2**31)))

    return Instance(SPACE, truth, 0.0, observed=observed, slow=True)


MAKERS: dict[str, Callable[[int], Instance]] = {} if missing() else {"digits": make_digits}

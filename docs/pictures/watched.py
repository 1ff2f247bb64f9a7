"""The training that is looked at in the pictures of docs/watch.md and in the tests of ``tunewell watch``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import tunewell as tw


def train(
    trial: tw.Trial,
    pixels: np.ndarray,
    labels: np.ndarray,
    measured: Callable[[Any, Any, Any], Mapping[str, float]],
    after: Callable[[int], object],
) -> None:
    """Train a perceptron on 600 of the digits, an epoch a step, with what trials from a checkpoint and changes need.

    Args:
        trial: has ``learning_rate`` and ``momentum``.
        pixels: shape ``(n, 64)``, from 0 to 16.
        labels: shape ``(n,)``; the digits from 1000 on are held out.
        measured: from optimizer, scores on held-out digits and their labels to further metrics.
        after: called with each step once it is reported and saved.
    """
    import torch
    from torch.nn import functional

    torch.set_num_threads(1)
    torch.manual_seed(3)
    x, y = torch.tensor(pixels / 16, dtype=torch.float32), torch.tensor(labels)
    net = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    optimizer = torch.optim.SGD(net.parameters(), lr=trial.params["learning_rate"], momentum=trial.params["momentum"])
    if trial.checkpoint:
        weights, state = torch.load(trial.checkpoint / "state.pt")
        net.load_state_dict(weights)
        optimizer.load_state_dict(state)
    for step in trial.steps():
        tw.torch.follow(optimizer, trial)
        losses = []
        for rows in torch.randperm(600).split(128):
            loss = functional.cross_entropy(net(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        with torch.no_grad():
            scores = net(x[1000:])
        trial.report(
            val_loss=functional.cross_entropy(scores, y[1000:]).item(),
            train_loss=sum(losses) / len(losses),
            **measured(optimizer, scores, y[1000:]),
        )
        trial.save(lambda folder: torch.save((net.state_dict(), optimizer.state_dict()), folder / "state.pt"))
        after(step)

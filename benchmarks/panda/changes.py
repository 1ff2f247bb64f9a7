"""Real trainings with a change on the way: what became of each, and what the guard made of it.

A *situation* is a small network in mid-training. From there it is trained on as it was, three times with batches in
other orders, and once with each change. What the change did is judged by the end of these trainings, thirty epochs
later; the guard sees one report after another, as it does in a study.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, cached_property
from statistics import median
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

import tunewell as tw
from tunewell.events import Adjusted, Ended, Goal, Reported, Status, TrialStarted
from tunewell.guards import objection
from tunewell.history import History
from tunewell.testing.histories import created

Outcome: TypeAlias = Literal["harmful at once", "harmful later", "slower", "neutral", "helpful"]
Batch: TypeAlias = tuple[Tensor, Tensor]
Values: TypeAlias = dict[str, float]

AFTER = 30
"""Epochs that are trained on after a change."""
SOON = 10
"""Epochs in which the guard looks."""
ORDERS = 3
END = 5
SHARE = 0.05
"""What counts as a difference: this share of what training had gained, or the spread of the unchanged trainings."""

FIRST_SEED = 2
"""That the guard expects rising curves to rise on was chosen on the seeds before it."""

STEPS_BEFORE = (6, 12, 25)
FACTORS = (0.01, 0.1, 1.0 / 3.0, 3.0, 10.0, 100.0)
OTHERS: Mapping[str, Sequence[float]] = {
    "momentum": (0.0, 0.5, 0.99, 0.999),
    "weight_decay": (1e-3, 0.1, 1.0),
    "dropout": (0.3, 0.9),
}
OPTIMIZERS: Mapping[str, Callable[..., torch.optim.Optimizer]] = {
    "SGD": torch.optim.SGD,
    "Adam": torch.optim.Adam,
    "AdamW": torch.optim.AdamW,
    "RMSprop": torch.optim.RMSprop,
}


@dataclass(frozen=True)
class Setup:
    """A network on data of scikit-learn under an optimizer, and the learning rates that it is trained with."""

    name: str
    data: str
    network: Callable[[], nn.Module]
    optimizer: str
    rates: tuple[float, ...]
    batch: int = 64

    def values(self, rate: float) -> Values:
        """Return the values that a training begins with; Momentum is SGD's alone."""
        momentum = {"momentum": 0.9} if self.optimizer == "SGD" else {}
        return {"learning_rate": rate, **momentum, "weight_decay": 0.0, "dropout": 0.1}

    def changes(self, rate: float) -> Iterator[Values]:
        """Return every change of one value."""
        yield from ({"learning_rate": rate * factor} for factor in FACTORS)
        for name, others in OTHERS.items():
            if name in self.values(rate):
                yield from ({name: other} for other in others)


@dataclass(frozen=True)
class Change:
    """A change in mid-training, and the losses around it, one an epoch."""

    setup: str
    values: Values
    before: tuple[float, ...]
    after: tuple[float, ...]
    unchanged: tuple[tuple[float, ...], ...]

    @property
    def parameter(self) -> str:
        """What was changed; ``"nothing"`` for a training that went on as it was."""
        return next(iter(self.values), "nothing")

    @cached_property
    def outcome(self) -> Outcome:
        """What the change did.

        Harmful: the loss ended above where it was before the change, and above all unchanged trainings; at once, if
        that was so after :data:`SOON` epochs already. Slower: only the latter. Helpful: below all unchanged trainings.
        """
        ends = [end(curve) for curve in self.unchanged]
        if end(self.after) < min(ends) - self._margin(AFTER):
            return "helpful"
        if self._harmful(AFTER):
            return "harmful at once" if self._harmful(SOON) else "harmful later"
        return "slower" if end(self.after) > max(ends) + self._margin(AFTER) else "neutral"

    def _harmful(self, epochs: int) -> bool:
        """Whether the loss was, after so many epochs, above where it was before the change and all unchanged ones."""
        least = max(end(self.before), *(end(curve[:epochs]) for curve in self.unchanged))
        return end(self.after[:epochs]) > least + self._margin(epochs)

    def _margin(self, epochs: int) -> float:
        """Return what difference counts after so many epochs."""
        ends = [end(curve[:epochs]) for curve in self.unchanged]
        return max(SHARE * self._gained, max(ends) - min(ends))

    @property
    def _gained(self) -> float:
        return self.before[0] - min(self.before)

    @property
    def worse_by(self) -> float:
        """How far the loss ended above where it was before the change, over what training had gained until then."""
        return (end(self.after) - end(self.before)) / max(self._gained, 1e-9)

    @cached_property
    def taken_back_after(self) -> int | None:
        """After how many reports the guard takes the change back, None where it never does."""
        space = tw.Space(learning_rate=tw.Float(1e-9, 1e9, scale="log"))
        history = History([created(space, goals=(Goal("loss"),))])
        history.apply(TrialStarted(0.0, 0, {"learning_rate": 1.0}, 1, driver="benchmark"))
        for step, loss in enumerate(self.before, 1):
            history.apply(Reported(float(step), 0, step, {"loss": loss}))
        at = len(self.before)
        history.apply(Adjusted(float(at), 0, at, {"learning_rate": 2.0}, "person", "", True))
        for count, loss in enumerate(self.after, 1):
            history.apply(Reported(float(at + count), 0, at + count, {"loss": loss}))
            if not math.isfinite(loss):
                history.apply(Ended(float(at + count), 0, Status.DIVERGED))
            if objection(history, 0):
                return count
            if not math.isfinite(loss):
                return None
        return None


def end(curve: Sequence[float]) -> float:
    """Return where a curve ended: the median of its last losses, infinite where they are not finite."""
    last = curve[-END:]
    return median(last) if all(map(math.isfinite, last)) else math.inf


# --- training ---------------------------------------------------------------------------------------------------------


def perceptron(inputs: int, width: int, classes: int) -> nn.Module:
    """Return a perceptron with one hidden layer and dropout."""
    return nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(0.1), nn.Linear(width, classes))


def convolutions() -> nn.Module:
    """Return two convolutions with batch norm for 8 x 8 pixels."""
    body = [nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)]
    body += [nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()]
    return nn.Sequential(*body, nn.Dropout(0.1), nn.Linear(64, 10))


SETUPS = (
    Setup("digits, perceptron, SGD", "digits", lambda: perceptron(64, 32, 10), "SGD", (0.01, 0.1)),
    Setup("digits, perceptron, Adam", "digits", lambda: perceptron(64, 32, 10), "Adam", (0.001, 0.01)),
    Setup("digits, convolutions, AdamW", "digits", convolutions, "AdamW", (0.001, 0.01)),
    Setup("tumours, perceptron, RMSprop", "breast_cancer", lambda: perceptron(30, 16, 2), "RMSprop", (3e-4, 3e-3), 16),
)
TRAINED = {"digits": 400, "breast_cancer": 200}
"""Rows that are trained on; the others are held out."""


@cache
def data(name: str) -> tuple[Batch, Batch]:
    """Return training rows and held-out rows; every column has mean 0 and deviation 1, where it has any."""
    from sklearn import datasets

    rows, labels = getattr(datasets, f"load_{name}")(return_X_y=True)
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
    x, y = torch.tensor(rows, dtype=torch.float32)[order], torch.tensor(labels)[order]
    count = TRAINED[name]
    x = (x - x[:count].mean(0)) / x[:count].std(0).clamp(min=1e-3)
    return (x[:count], y[:count]), (x[count:], y[count:])


class Training:
    """A training that can be copied in the middle."""

    def __init__(self, setup: Setup, rate: float, seed: int) -> None:
        torch.manual_seed(seed)
        self.train, self.held = data(setup.data)
        self.net, self.batch = setup.network(), setup.batch
        values = setup.values(rate)
        dropout = values.pop("dropout")
        values["lr"] = values.pop("learning_rate")
        self.optimizer = OPTIMIZERS[setup.optimizer](self.net.parameters(), **values)
        self.set({"dropout": dropout})

    def set(self, values: Mapping[str, float]) -> None:
        """Change values from the next epoch on."""
        for name, value in values.items():
            if name == "dropout":
                for layer in self.net.modules():
                    if isinstance(layer, nn.Dropout):
                        layer.p = value
            else:
                self.optimizer.param_groups[0]["lr" if name == "learning_rate" else name] = value

    def losses(self, epochs: int, order: int) -> tuple[float, ...]:
        """Train on and return the loss on held-out rows after each epoch; it ends where one is not finite."""
        generator = torch.Generator().manual_seed(order)
        torch.manual_seed(order)
        found: list[float] = []
        x, y = self.train
        while len(found) < epochs and all(map(math.isfinite, found[-1:])):
            self.net.train()
            for rows in torch.randperm(len(x), generator=generator).split(self.batch):
                self.optimizer.zero_grad()
                torch.autograd.backward(nn.functional.cross_entropy(self.net(x[rows]), y[rows]))
                self.optimizer.step()
            self.net.eval()
            with torch.no_grad():
                found.append(nn.functional.cross_entropy(self.net(self.held[0]), self.held[1]).item())
        return tuple(found)

    def state(self) -> Any:
        """Return what :meth:`back` puts back."""
        return deepcopy((self.net.state_dict(), self.optimizer.state_dict()))

    def back(self, state: Any, values: Mapping[str, float]) -> None:
        """Put weights, optimizer and values back."""
        weights, optimizer = state
        self.net.load_state_dict(weights)
        self.optimizer.load_state_dict(deepcopy(optimizer))  # which keeps the tensors that it is given
        self.set(values)


def recorded(setups: Sequence[Setup], seeds: Sequence[int]) -> Iterator[Change]:
    """Train all situations with all changes; a training that goes on as it was is a change of nothing."""
    for setup in setups:
        for rate, seed, at in itertools.product(setup.rates, seeds, STEPS_BEFORE):
            yield from _situation(setup, rate, seed, at)


def _situation(setup: Setup, rate: float, seed: int, at: int) -> Iterator[Change]:
    training = Training(setup, rate, seed)
    before = training.losses(at, order=1000 + seed)
    state, values = training.state(), setup.values(rate)

    def then(change: Mapping[str, float], order: int) -> tuple[float, ...]:
        training.back(state, {**values, **change})
        return training.losses(AFTER, order)

    unchanged = tuple(then({}, order) for order in range(ORDERS))
    yield from (Change(setup.name, {}, before, curve, unchanged) for curve in unchanged)
    for change in setup.changes(rate):
        yield Change(setup.name, change, before, then(change, 0), unchanged)

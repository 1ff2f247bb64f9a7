"""The learning-rate range test: short trainings of the user's own model, which afterwards is as it was before.

The idea is that of Smith 2017 (arXiv:1506.01186, section 3.3): let the rate grow from far too small to far too large
and look at the loss. Here the rate grows by a constant factor, several times from the same weights with batches in
other orders, which gives the interval. The suggestion comes from short trainings inside it, see
:mod:`tunewell.torch.reading`.
"""

from __future__ import annotations

import inspect
import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from tunewell.scales import Floats
from tunewell.torch.found import FoundRate, Probe
from tunewell.torch.optimizers import held_by
from tunewell.torch.reading import RangeTestError, blown_up, bracket, middle, read
from tunewell.torch.untouched import Randomness, Snapshot, untouched
from tunewell.values import to_float, whole

Loss: TypeAlias = Callable[[nn.Module, Any], Tensor]

ROUNDS = (
    (0.125, math.sqrt(10.0), (-6, 1), 0.2),
    (1.0, 3.0, (-2, 2), 0.03),
)
"""Of each round of probes: the share of the steps, the factor between rates, the first and the last rate counted from
the middle so far (at first the largest stable one), and how close to the best a loss has to come: see
:func:`tunewell.torch.reading.middle`."""


def find_learning_rate(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[Any],
    criterion: Callable[..., Tensor] | None = None,
    *,
    loss_of: Loss | None = None,
    held_out: Iterable[Any] | None = None,
    held_out_batches: int = 8,
    lowest: float = 1e-7,
    highest: float = 100.0,
    ramp_steps: int = 100,
    repeats: int = 3,
    probe_steps: int = 200,
    accumulate: int = 1,
    max_norm: float | None = None,
    autocast: AbstractContextManager[Any] | None = None,
    scaler: torch.amp.GradScaler | None = None,
    seed: int = 0,
) -> FoundRate:
    """Find the learning rates worth using for a model, an optimizer and data, by some 1500 steps of training.

    Weights, gradients, buffers, modes, the optimizer's state, global random generators and those of the loader are put
    back bit by bit at the end, after an exception and after Ctrl-C too. That takes memory for one more copy of weights
    and buffers (and of the optimizer's state where there is some), and for ``held_out_batches`` batches. A scheduler of
    the optimizer is not called. Not put back is what a step changes elsewhere, such as hooks that count or write.

    Args:
        model: begins each run with the weights it has now, usually fresh or pre-trained ones. Parts in evaluation mode
            stay so, unless the whole model is.
        optimizer: any whose step needs no closure. The rate that is varied is that of its first group; the other groups
            keep their ratios to it.
        batches: a loader, list or other iterable that can be gone through again and again. It is cycled if it is
            shorter than a run. A list is shuffled; a loader with ``shuffle=True`` gives every repeat another order.
        criterion: from the model's output and the targets to the loss, where a batch is ``(inputs, ..., targets)``;
            batches are moved to the model's device.
        loss_of: from model and batch to the loss, in the place of ``criterion``, for anything else.
        held_out: batches to judge the probes by, such as the validation loader. Without it the last quarter of a
            probe's training losses judges, which does not see overfitting and suggests too much where there is some.
        held_out_batches: how many of them, the first ones.
        lowest, highest: the ends of the ramp.
        ramp_steps, repeats: the steps from one to the other, and how often; a ramp ends early where the loss blows up.
        probe_steps: the length of the longest probes. The suggestion is for trainings not much longer: over many epochs
            the best rate of a network that overfits is lower.
        accumulate: batches whose gradients make one step.
        max_norm: clips the gradients' norm, as your training does.
        autocast: the context of the forward passes, such as ``torch.autocast("cuda", torch.bfloat16)``.
        scaler: copies of it scale the loss.
        seed: of the batches' orders and all other randomness of the test.

    Raises:
        TypeError: an argument of the wrong kind.
        ValueError: an optimizer that needs a closure or does not train the model, weights that are not initialised yet,
            no batches, an iterator that cannot be gone through again, a number out of range.
        RangeTestError: the loss is flat, rises at once or is not finite from the start; a ``ValueError``.
    """
    limits = _Limits(lowest, highest, ramp_steps, repeats, probe_steps, accumulate, max_norm, held_out_batches)
    _check(model, optimizer, batches, held_out, criterion, loss_of)
    modules = [model, criterion] if isinstance(criterion, nn.Module) else [model]
    loss = loss_of if loss_of is not None else _loss_by(criterion, model)
    with untouched(modules, [optimizer], [batches, held_out]) as (snapshot, randomness), torch.enable_grad():
        runner = _Runner(model, optimizer, batches, loss, limits, snapshot, randomness, seed, autocast, scaler)
        judges = None if held_out is None else list(islice(_again(held_out, "held_out"), limits.held_out_batches))
        return _walk(runner, judges)


def _walk(runner: _Runner, judges: Sequence[Any] | None) -> FoundRate:
    """Ramps, then short probes below the largest stable rate, then probes of full length around the middle of these."""
    limits = runner.limits
    rates = np.geomspace(limits.lowest, limits.highest, limits.ramp_steps)
    losses = np.stack([runner.ramp(rates, repeat) for repeat in range(limits.repeats)])
    reading = read(rates, losses)
    ceiling = runner.start_loss(judges)
    probes: list[Probe] = []
    center = reading.high
    reach = reading.half  # on unscaled inputs far below: too large a rate kills units there instead of diverging
    for share, factor, (first, last), close in ROUNDS:
        steps = round(share * limits.probe_steps)
        first = min(first, math.floor(math.log(reach / center, factor)))

        def judge(rate: float, steps: int = steps) -> float:
            probes.append(Probe(rate, steps, runner.probe(rate, steps, judges)))
            return probes[-1].loss

        ladder = [center * factor**rung for rung in range(first, last + 1)]
        center = reach = middle(bracket(judge, ladder, len(ladder) + 2), ceiling, close)
    return FoundRate(
        _short(center),
        _short(min(reading.low, center)),
        _short(max(reading.high, center)),
        _short(reading.steepest),
        runner.steps,
        rates,
        losses,
        reading.smooth,
        tuple(probes),
        "training batches" if judges is None else "held-out batches",
    )


def _short(rate: float) -> float:
    """Return a rate with no more digits than mean something."""
    return float(f"{rate:.4g}")


@dataclass(frozen=True)
class _Limits:
    lowest: float
    highest: float
    ramp_steps: int
    repeats: int
    probe_steps: int
    accumulate: int
    max_norm: float | None
    held_out_batches: int

    def __post_init__(self) -> None:
        for name in ("lowest", "highest"):
            to_float(getattr(self, name), name)
        if not 0.0 < self.lowest < self.highest / 10.0:
            raise ValueError(
                f"expected 0 < lowest < highest / 10, got lowest={self.lowest!r}, highest={self.highest!r}: "
                "leave them out to test from 1e-7 to 100"
            )
        for name, least in (("ramp_steps", 30), ("repeats", 1), ("probe_steps", 40), ("accumulate", 1)):
            if whole(getattr(self, name), name) < least:
                raise ValueError(f"{name} expected a whole number of at least {least}, got {getattr(self, name)!r}")
        if whole(self.held_out_batches, "held_out_batches") < 1:
            raise ValueError(f"held_out_batches expected at least 1, got {self.held_out_batches!r}: or no held_out=")
        if self.max_norm is not None and not to_float(self.max_norm, "max_norm") > 0.0:
            raise ValueError(f"max_norm expected a number above 0, got {self.max_norm!r}: leave it out to clip nothing")


@dataclass
class _Runner:
    """Runs from the same weights: ramps and probes."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    batches: Iterable[Any]
    loss_of: Loss
    limits: _Limits
    snapshot: Snapshot
    randomness: Randomness
    seed: int
    autocast: AbstractContextManager[Any] | None
    pristine: torch.amp.GradScaler | None
    steps: int = 0
    scaler: torch.amp.GradScaler | None = field(init=False, default=None)
    ratios: list[float] = field(init=False)
    weights: list[Tensor] = field(init=False)

    def __post_init__(self) -> None:
        rates = [float(group["lr"]) for group in self.optimizer.param_groups]
        if min(rates) < 0.0 or not rates[0] > 0.0:
            raise ValueError(
                f"optimizer expected a learning rate above 0 in its first group, got {rates}: set it to any number, "
                "since the other groups keep their ratios to it"
            )
        self.ratios = [rate / rates[0] for rate in rates]
        self.weights = [*held_by([self.optimizer]).values()]

    def ramp(self, rates: Floats, repeat: int) -> Floats:
        """Return the losses at rising rates, shape ``(n,)``; NaN after the loss blew up."""
        losses: list[float] = []
        stream = self._begin(repeat)
        for rate in rates.tolist():
            losses.append(self._step(stream, rate))
            if blown_up(losses):
                break
        return np.array(losses + [math.nan] * (len(rates) - len(losses)))

    def probe(self, rate: float, steps: int, judges: Sequence[Any] | None) -> float:
        """Return the loss after a training whose rate falls to 0 in a straight line, infinite if it diverged."""
        stream = self._begin(self.limits.repeats + steps)
        losses = []
        for step in range(steps):
            losses.append(self._step(stream, rate * (1.0 - step / steps)))
            if not math.isfinite(losses[-1]):
                return math.inf
        end = float(np.mean(losses[-max(1, steps // 4) :])) if judges is None else self._judge(judges)
        return end if math.isfinite(end) else math.inf

    def start_loss(self, judges: Sequence[Any] | None) -> float:
        """Return the loss before any training, by what the probes are judged by."""
        stream = self._begin(0)
        loss = self._judge(list(islice(stream, 4)) if judges is None else judges)
        if not math.isfinite(loss):
            raise RangeTestError(f"expected a finite loss in evaluation mode, got {loss}: look at the held-out batches")
        return loss

    def _begin(self, order: int) -> Iterator[Any]:
        """Put the weights back, seed everything, and return the batches without end; the same order, the same run."""
        self.snapshot.rewind()
        if not self.model.training:
            self.model.train()
        self.randomness.seed(1_000_003 * self.seed + order)
        self.scaler = deepcopy(self.pristine)
        return _cycled(self.batches)

    def _step(self, stream: Iterator[Any], rate: float) -> float:
        """Take one step and return the loss before it; no step where that is not finite."""
        for group, ratio in zip(self.optimizer.param_groups, self.ratios, strict=True):
            group["lr"] = rate * ratio
        self.optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for _ in range(self.limits.accumulate):
            loss = self._forward(next(stream)) / self.limits.accumulate
            total += loss.item()
            if not math.isfinite(total):
                return total
            torch.autograd.backward(loss if self.scaler is None else self.scaler.scale(loss))
        self.steps += 1
        if self.limits.max_norm is not None:
            if self.scaler is not None:
                self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.weights, self.limits.max_norm)
        if self.scaler is None:
            self.optimizer.step()
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        return total

    def _forward(self, batch: Any) -> Tensor:
        with self.autocast or nullcontext():
            loss = self.loss_of(self.model, batch)
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            got = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
            raise TypeError(f"expected the loss as a tensor of one number, got {got}: return its mean")
        return loss

    def _judge(self, judges: Sequence[Any]) -> float:
        self.model.eval()
        with torch.no_grad():
            return float(np.mean([self._forward(batch).item() for batch in judges]))


def _cycled(batches: Iterable[Any]) -> Iterator[Any]:
    """Return batches without end; a list in a new order each time."""
    while True:
        once = random.sample(batches, len(batches)) if isinstance(batches, Sequence) else batches
        yield from _again(once, "batches")


def _again(batches: Iterable[Any], name: str) -> Iterator[Any]:
    """Go through batches once; refuse what has none."""
    empty = True
    for batch in batches:
        empty = False
        yield batch
    if empty:
        raise ValueError(f"{name} expected at least one batch, got none: check the loader's data and drop_last")


def _loss_by(criterion: Callable[..., Tensor] | None, model: nn.Module) -> Loss:
    """Return the loss of batches ``(inputs, ..., targets)``, moved to the model's device."""
    device = next(model.parameters()).device

    def loss_of(model: nn.Module, batch: Any) -> Tensor:
        if isinstance(batch, Mapping) or not isinstance(batch, Sequence) or len(batch) < 2:
            raise TypeError(
                f"criterion expected batches of (inputs, ..., targets), got {type(batch).__name__}: "
                "say what the loss is, with loss_of=lambda model, batch: ..."
            )
        *inputs, targets = (part.to(device) if isinstance(part, Tensor) else part for part in batch)
        return criterion(model(*inputs), targets)  # type: ignore[misc]

    return loss_of


def _check(model: Any, optimizer: Any, batches: Any, held_out: Any, criterion: Any, loss_of: Any) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model expected a torch.nn.Module, got {type(model).__name__}")
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(f"optimizer expected one of PyTorch's optimizers, got {type(optimizer).__name__}")
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        raise ValueError(
            f"optimizer expected one whose step needs no closure, got {type(optimizer).__name__}: it searches along "
            "lines by itself, so there is no rate to find"
        )
    if any(isinstance(weight, nn.parameter.UninitializedParameter) for weight in model.parameters()):
        raise ValueError("model expected weights, got a lazy layer that has none yet: run one batch through it first")
    trained = held_by([optimizer])
    if not any(id(weight) in trained and weight.requires_grad for weight in model.parameters()):
        raise ValueError(
            "optimizer expected weights of this model that require gradients, got none: "
            "build it from model.parameters(), after moving or wrapping the model"
        )
    if (criterion is None) == (loss_of is None):
        raise TypeError("find_learning_rate expected either a criterion or loss_of=, got both or neither: give one")
    if not callable(criterion if loss_of is None else loss_of):
        raise TypeError(f"the loss expected a function, got {type(criterion if loss_of is None else loss_of).__name__}")
    for name, loader in (("batches", batches), ("held_out", () if held_out is None else held_out)):
        if isinstance(loader, Iterator) or not isinstance(loader, Iterable):
            raise TypeError(
                f"{name} expected an iterable that can be gone through again, such as a DataLoader or a list, "
                f"got {type(loader).__name__}: pass the loader itself"
            )

"""The audit: gather evidence without leaving a trace, and let the rules read it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tunewell.lint.finding import Finding
from tunewell.torch.auditing import loops, membership, norms
from tunewell.torch.auditing.evidence import Evidence, last_batch
from tunewell.torch.auditing.parts import WRAPPERS, hidden, several, tensors_in, unwrapped
from tunewell.torch.auditing.record import Record
from tunewell.torch.auditing.statistics import evaluation_mode, feed, staleness
from tunewell.torch.auditing.watching import Watch
from tunewell.torch.untouched import untouched

RULES = (*membership.RULES, *loops.RULES, *norms.RULES)

BATCHES = 16
"""Batches of the loader that running statistics are compared with."""


def audit(
    model: nn.Module,
    optimizer: Optimizer | list[Optimizer] | None = None,
    *,
    batch: Any = None,
    loss_of: Callable[[nn.Module, Any], Tensor] | None = None,
    train_step: Callable[[Any], Any] | None = None,
    evaluate: Callable[[], Any] | None = None,
    loader: Any = None,
    averaged: nn.Module | None = None,
    world_size: int | None = None,
) -> list[Finding]:
    """Return what is wrong with a model and the way it is trained, warnings first.

    Model and optimizer alone tell a part. With a batch the model runs once in evaluation mode and once, forward and
    backward, in training mode; with a training step it trains twice. Model, optimizers and random generators are put
    back bit by bit, at the price of one copy of them; what else ``train_step`` and ``evaluate`` change stays changed.

    Args:
        model: the network, before ``torch.compile``.
        optimizer: one, a list of them, or none.
        batch: one batch of training; left out, the loader's first. Without ``loss_of`` and ``train_step``, its first
            element is the model's input, or a dict gives keywords.
        loss_of: ``loss_of(model, batch)`` returns the loss, a tensor of one element.
        train_step: ``train_step(batch)`` does what the training does with a batch, the optimizer's step included.
        evaluate: does what the evaluation does, ``model.eval()`` included.
        loader: the training's ``DataLoader``, or a list of batches. Its last batch is looked at, and running statistics
            are compared with those of its first batches under the current weights.
        averaged: a copy of the model with averaged weights, such as ``AveragedModel``.
        world_size: how many processes train together; left out, what ``torch.distributed`` says.

    Raises:
        TypeError: ``model`` is no model, or a compiled or scripted one; ``optimizer`` is none; ``loader`` can be read
            only once; ``loss_of`` returns no tensor of one element.
        ValueError: ``model`` has lazy layers that never ran, or there is no batch for ``loss_of`` or ``train_step``.
    """
    network, optimizers = unwrapped(model), several(optimizer)
    if loader is not None and (not hasattr(loader, "__iter__") or isinstance(loader, Iterator)):
        raise TypeError(
            f"loader expected a DataLoader or a list of batches, got {loader!r:.60}, which can be read once"
        )
    if batch is None and loader is None and (train_step is not None or loss_of is not None):
        what = "train_step" if train_step is not None else "loss_of"
        raise ValueError(f"{what} expected a batch to work on, got none: pass batch= or loader=")
    loss_of = None if loss_of is None else _checked(loss_of)
    record = Record()
    runs = not (batch is None and loader is None and evaluate is None)
    everything = [network, *hidden(network).values()]
    with untouched(everything, optimizers, [loader]) if runs else nullcontext():
        batches = _whole_batches(loader)
        measured = staleness(network, batches, loss_of)
        given = [batch, batch] if batch is not None else batches[:2]
        if given and train_step is not None:
            record = _trained(network, optimizers, given, train_step, evaluate)
        elif given or evaluate is not None:
            record = _tried(network, given, loss_of, evaluate)
    return findings(
        Evidence(
            network,
            tuple({id(one): one for one in (*optimizers, *record.optimizers)}.values()),
            record,
            train_step is not None,
            loader,
            measured,
            averaged,
            world_size if world_size is not None else _world_size(model),
        )
    )


def findings(evidence: Evidence) -> list[Finding]:
    """Return what the rules say, warnings first."""
    found = [finding for rule in RULES for finding in rule(evidence)]
    return sorted(found, key=lambda finding: finding.severity != "warning")


def watching(model: nn.Module, optimizer: Optimizer | list[Optimizer] | None = None) -> Watching:
    """Watch a training loop of one's own: ``with watching(model) as watch: ...``, and then ``watch.findings()``.

    Two steps and an evaluation are enough. Nothing is run but the loop, and no number is changed; every hook is gone
    afterwards. What is evaluation is told by gradients; ``with watch.evaluating():`` says so where that is not enough.
    Optimizers are found when they take a step; given ones are missed when they take none.

    Raises:
        TypeError, ValueError: as :func:`audit` does.
    """
    return Watching(model, optimizer)


class Watching(Watch):
    """A watch that can say what it found."""

    def findings(self, *, loader: Any = None, world_size: int | None = None) -> list[Finding]:
        """Return what was found in all that was watched; ``loader`` and ``world_size`` as in :func:`audit`."""
        optimizers = tuple(self.record.optimizers)
        size = world_size if world_size is not None else _world_size(self.model)
        return findings(Evidence(self.model, optimizers, self.record, True, loader, world_size=size))


def _whole_batches(loader: Any) -> list[Any]:
    """Return the first batches of a loader, without a last one that is smaller than the others."""
    batches = [*itertools.islice(loader, BATCHES)] if loader is not None else []
    reached = len(batches) > 1 and last_batch(loader) is not None and len(batches) == len(loader)
    return batches[:-1] if reached else batches


def _world_size(model: nn.Module) -> int:
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_world_size()
    return max(1, len(model.device_ids)) if isinstance(model, WRAPPERS) and model.device_ids else 1


def _trained(
    model: nn.Module,
    optimizers: tuple[Optimizer, ...],
    batches: list[Any],
    train_step: Callable[[Any], Any],
    evaluate: Callable[[], Any] | None,
) -> Record:
    """Watch two steps of somebody's training, and the evaluation after them."""
    _to_training(model)
    with Watch(model, list(optimizers)) as watch, torch.enable_grad():
        if _one_value(watch.record, train_step, batches[0]):
            return watch.record
        for batch in batches[1:] or batches:
            train_step(batch)
        if evaluate is not None:
            with watch.evaluating():
                evaluate()
    return watch.record


def _tried(
    model: nn.Module,
    batches: list[Any],
    loss_of: Callable[[nn.Module, Any], Tensor] | None,
    evaluate: Callable[[], Any] | None,
) -> Record:
    """Watch one evaluation, and one forward and backward pass in training mode."""
    with Watch(model) as watch:
        if evaluate is not None:
            with watch.evaluating():
                evaluate()
        for batch in batches[:1]:
            if evaluate is None:
                with evaluation_mode(model), watch.evaluating(), torch.no_grad():
                    (loss_of or feed)(model, batch)
            _to_training(model)
            with torch.enable_grad():
                _one_value(watch.record, lambda batch: _backward(model, batch, loss_of), batch)
    return watch.record


def _checked(loss_of: Callable[[nn.Module, Any], Any]) -> Callable[[nn.Module, Any], Tensor]:
    """Return a loss that refuses to be anything but a tensor of one element."""

    def checked(model: nn.Module, batch: Any) -> Tensor:
        loss = loss_of(model, batch)
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            got = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
            raise TypeError(
                f"loss_of expected to return a tensor of one element, got {got}: return the mean, without .item()"
            )
        return loss

    return checked


def _backward(model: nn.Module, batch: Any, loss_of: Callable[[nn.Module, Any], Tensor] | None) -> None:
    if loss_of is not None:
        loss_of(model, batch).backward()  # type: ignore[no-untyped-call]
        return
    outputs = [out for out in tensors_in(feed(model, batch)) if out.requires_grad]
    torch.autograd.backward(outputs, [torch.randn_like(out) for out in outputs])


def _one_value(record: Record, step: Callable[[Any], Any], batch: Any) -> bool:
    """Run a step; return whether a batch norm refused because it got one value for each channel."""
    try:
        step(batch)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        record.single = str(error)
    return bool(record.single)


def _to_training(model: nn.Module) -> None:
    """Put a model in training mode; one that is in it keeps the layers that somebody has put in evaluation mode."""
    if not model.training:
        model.train()

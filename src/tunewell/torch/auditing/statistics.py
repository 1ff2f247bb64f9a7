"""Running statistics of batch normalisation: how far they are from the weights' own, and making them anew.

Batch normalisation evaluates with averages over past batches (Ioffe and Szegedy 2015, algorithm 2, asks for those of
the final network). They are stale when the weights moved faster than the averages, were averaged themselves, or were
loaded without them. A pass over some batches with the weights as they are now gives the right ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tunewell.torch.auditing.parts import BatchNorm, batch_norms, hidden, unwrapped
from tunewell.torch.untouched import untouched


@dataclass(frozen=True)
class Staleness:
    """How far running statistics are from those of some batches under the current weights.

    Attributes:
        distances: for each batch norm, the root mean square over channels of the mean's offset in standard deviations
            and of the log of the ratio of the standard deviations.
        before, after: the loss in evaluation mode with the running statistics as they are and after recalibration, over
            these batches; None without a loss.
    """

    distances: dict[str, float]
    before: float | None
    after: float | None


def feed(model: nn.Module, batch: Any) -> Any:
    """Call a model with a batch's inputs: the first of a tuple or list, a dict as keywords, or the batch itself."""
    if isinstance(batch, dict):
        return model(**batch)
    return model(batch[0] if isinstance(batch, list | tuple) else batch)


def recalibrate(model: nn.Module, batches: Iterable[Any], call: Callable[[nn.Module, Any], Any] | None = None) -> int:
    """Make the running statistics of every batch norm anew, as plain averages over batches; return how many there were.

    Weights do not change, dropout is off, and all modes are left as they were.

    Args:
        batches: some of the training data in the training's batch size; some dozens are plenty.
        call: how the model takes a batch, ``call(model, batch)``. By default the first element of a tuple or list is
            the input and the rest, the targets, is left out; a dict gives keywords; anything else is the input.

    Raises:
        ValueError: there is no batch, or no batch norm that keeps running statistics.
    """
    inner = unwrapped(model)
    norms = [norm for norm in batch_norms(inner).values() if norm.running_mean is not None]
    if not norms:
        raise ValueError(
            "recalibrate expected a model with batch norm that tracks statistics, found none: leave it out"
        )
    momenta = [norm.momentum for norm in norms]
    with evaluation_mode(inner, norms), torch.no_grad():
        n = 0
        try:
            for batch in batches:
                if n == 0:
                    for norm in norms:
                        norm.reset_running_stats()
                        norm.momentum = None
                (call or feed)(inner, batch)
                n += 1
        finally:
            for norm, momentum in zip(norms, momenta, strict=True):
                norm.momentum = momentum
    if n == 0:
        raise ValueError("recalibrate expected at least one batch, got none: pass some of the training data")
    return n


@contextmanager
def evaluation_mode(model: nn.Module, but: Sequence[nn.Module] = ()) -> Iterator[None]:
    """Put everything in evaluation mode but some layers, which train; all modes are as before afterwards."""
    before = [(part, part.training) for part in model.modules()]
    model.eval()
    for part in but:
        part.training = True
    try:
        yield
    finally:
        for part, training in before:
            part.training = training


def staleness(
    model: nn.Module, batches: Sequence[Any], loss_of: Callable[[nn.Module, Any], Tensor] | None
) -> Staleness | None:
    """Measure how stale a model's running statistics are; everything is as before afterwards.

    None where no batch norm keeps statistics that were ever updated.
    """
    norms = {
        name: norm
        for name, norm in batch_norms(model).items()
        if norm.running_mean is not None and norm.num_batches_tracked is not None and norm.num_batches_tracked > 0
    }
    if not norms or not batches:
        return None
    with untouched([model, *hidden(model).values()]):
        kept = {name: _moments(norm) for name, norm in norms.items()}
        before = _loss(model, batches, loss_of)
        recalibrate(model, batches, loss_of or feed)
        after = _loss(model, batches, loss_of)
        ran = {name: _moments(norm) for name, norm in norms.items() if norm.num_batches_tracked}
        return Staleness({name: _distance(kept[name], now) for name, now in ran.items()}, before, after)


def _loss(model: nn.Module, batches: Sequence[Any], loss_of: Callable[[nn.Module, Any], Tensor] | None) -> float | None:
    if loss_of is None:
        return None
    model.eval()
    with torch.no_grad():
        return math.fsum(float(loss_of(model, batch)) for batch in batches) / len(batches)


def _moments(norm: BatchNorm) -> tuple[Tensor, Tensor]:
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("batch norm expected running statistics, found none: set track_running_stats=True")
    return norm.running_mean.double().clone(), (norm.running_var.double() + norm.eps).sqrt()


def _distance(kept: tuple[Tensor, Tensor], now: tuple[Tensor, Tensor]) -> float:
    offset = (kept[0] - now[0]) / now[1]
    spread = (kept[1] / now[1]).log()
    return float((offset.square() + spread.square()).mean().sqrt())

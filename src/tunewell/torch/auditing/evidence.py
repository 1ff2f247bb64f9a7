"""Everything that the rules of an audit may look at."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from tunewell.torch.auditing.record import Record
from tunewell.torch.auditing.statistics import Staleness


@dataclass(frozen=True)
class Evidence:
    """What is known of a training; a rule that needs what is not known says nothing.

    Attributes:
        model: the network, without wrappers.
        optimizers: those given and those seen.
        record: what was seen.
        looped: whether a whole training loop was seen, steps of the optimizer included.
        loader: where batches come from.
        staleness: of the running statistics, where batches were given.
        averaged: a copy of the model with averaged weights.
        world_size: the number of processes that train together.
    """

    model: nn.Module
    optimizers: tuple[Optimizer, ...] = ()
    record: Record = field(default_factory=Record)
    looped: bool = False
    loader: Any = None
    staleness: Staleness | None = None
    averaged: nn.Module | None = None
    world_size: int = 1

    @property
    def trained(self) -> bool:
        """Whether training has happened, for all that is known."""
        return bool(self.record.steps) or any(optimizer.state for optimizer in self.optimizers)


def last_batch(loader: Any) -> int | None:
    """Return the size of a loader's last batch where it is smaller than the others, else None."""
    if isinstance(loader, list | tuple):
        *others, last = [_rows(batch) for batch in loader] or [0]
        return last if len(set(others)) == 1 and 0 < last < others[0] else None
    data, sampler = getattr(loader, "dataset", None), getattr(loader, "sampler", None)
    drawn: Any = loader
    if getattr(loader, "batch_size", None) is None and hasattr(loader, "batch_sampler"):  # one of the user's own
        drawn = loader.batch_sampler
        sampler = getattr(drawn, "sampler", None)
    size = getattr(drawn, "batch_size", None)
    if not isinstance(size, int) or not isinstance(data, Sized) or getattr(drawn, "drop_last", False):
        return None
    return (len(sampler) if isinstance(sampler, Sized) else len(data)) % size or None


def _rows(batch: Any) -> int:
    """Return how many examples are in a batch: the length of its first tensor, 0 where there is none."""
    if isinstance(batch, Tensor):
        return len(batch) if batch.dim() else 0
    parts = batch.values() if isinstance(batch, Mapping) else batch if isinstance(batch, list | tuple) else ()
    return next((rows for part in parts if (rows := _rows(part))), 0)

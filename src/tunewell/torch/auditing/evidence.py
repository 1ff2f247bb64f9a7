"""Everything that the rules of an audit may look at."""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass, field
from typing import Any

from torch import nn
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
    size, data = getattr(loader, "batch_size", None), getattr(loader, "dataset", None)
    if not isinstance(size, int) or not isinstance(data, Sized) or getattr(loader, "drop_last", False):
        return None
    sampler = getattr(loader, "sampler", data)
    return (len(sampler) if isinstance(sampler, Sized) else len(data)) % size or None

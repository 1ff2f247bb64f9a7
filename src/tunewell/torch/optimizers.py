"""What an optimizer holds, and whether it is about to take its step."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor
from torch.optim import Optimizer


def held_by(optimizers: Iterable[Optimizer]) -> dict[int, Tensor]:
    """Return the parameters of optimizers by identity."""
    return {id(p): p for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]}


def skips(optimizer: Optimizer) -> bool:
    """Whether a fused optimizer is about to skip a step, because a gradient scaler's factor was too large."""
    found = getattr(optimizer, "found_inf", None)
    return found is not None and bool(found)

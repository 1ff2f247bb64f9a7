"""A schedule of :mod:`tunewell.lr_schedules` as a PyTorch scheduler."""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from tunewell.lr_schedules import LrSchedule, Plateau

Optimizer: TypeAlias = torch.optim.Optimizer


def scheduler(
    optimizer: Optimizer, schedule: LrSchedule | Plateau, *, momentum: tuple[float, float] | None = None
) -> LRScheduler:
    """Return a PyTorch scheduler that multiplies every group's learning rate by the schedule's factor.

    Call ``step()`` after every update of the weights, not after every epoch. For a
    :class:`~tunewell.lr_schedules.Plateau` call ``step(metric)`` after every epoch. ``state_dict`` and
    ``load_state_dict`` work as with any other scheduler; the schedule itself is not part of the state, so build the
    same one before loading. Of negative losses a plateau's scheduler judges by PyTorch's rule: see
    :class:`~tunewell.lr_schedules.Plateau`.

    Args:
        optimizer: its groups' learning rates are those at a factor of 1.
        schedule: the factors.
        momentum: the lowest and highest momentum (Adam's β1) where it is to move against the rate.

    Raises:
        TypeError: no optimizer or no schedule.
        ValueError: a momentum outside [0, 1), a momentum with a plateau or for an optimizer that has none.
    """
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer expected one of PyTorch's optimizers, got {type(optimizer).__name__}")
    if isinstance(schedule, Plateau):
        if momentum is not None:
            raise ValueError("momentum expected a schedule of steps, got a Plateau: leave the momentum out")
        return _on_plateau(optimizer, schedule)
    if not isinstance(schedule, LrSchedule):
        raise TypeError(
            f"schedule expected one of tw.lr_schedules, such as Cosine(steps=1000), got {type(schedule).__name__}"
        )
    if momentum is not None:
        low, high = momentum
        if not 0.0 <= low <= high < 1.0:
            raise ValueError(f"momentum expected the lowest and the highest, both in [0, 1), got {momentum!r}")
        if not all("momentum" in group or "betas" in group for group in optimizer.param_groups):
            raise ValueError(
                f"momentum expected an optimizer that has one, got {type(optimizer).__name__}: leave it out"
            )
    return _Scheduled(optimizer, schedule, momentum)


class _Scheduled(LRScheduler):
    """The factor of the step that comes next, times the rate that each group began with."""

    def __init__(self, optimizer: Optimizer, schedule: LrSchedule, momentum: tuple[float, float] | None) -> None:
        self.schedule, self.momentum = schedule, momentum
        super().__init__(optimizer)

    def get_lr(self) -> list[Any]:
        """Return each group's rate; where there is a momentum to move, move it."""
        if self.momentum is not None:
            value = self.schedule.momentum(self.last_epoch, *self.momentum)
            for group in self.optimizer.param_groups:
                if "betas" in group:
                    group["betas"] = (value, *group["betas"][1:])
                else:
                    group["momentum"] = value
        factor = self.schedule(self.last_epoch)
        return [base * factor for base in self.base_lrs]

    def state_dict(self) -> dict[str, Any]:
        """Return the scheduler's place, without the schedule."""
        state: dict[str, Any] = super().state_dict()
        return {name: value for name, value in state.items() if name not in ("schedule", "momentum")}


def _on_plateau(optimizer: Optimizer, plateau: Plateau) -> ReduceLROnPlateau:
    return ReduceLROnPlateau(
        optimizer,
        plateau.mode,  # type: ignore[arg-type]
        plateau.factor,
        plateau.patience,
        plateau.threshold,
        "rel",
        plateau.cooldown,
        [plateau.lowest * float(group["lr"]) for group in optimizer.param_groups],
        eps=0.0,
    )

"""An optimizer that follows the values of a trial, where these change in mid-training.

A checkpoint of an optimizer holds the values that it was saved with, and an optimizer that was made at the beginning
those of the beginning. ``follow`` brings both up to what is in force.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tunewell.knowledge import find

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from tunewell.trial import Trial

_SCALED = {"learning_rate": "lr", "weight_decay": "weight_decay"}
_WITH_LR = ("initial_lr", "max_lr", "min_lr")  # what schedules keep in the groups


def follow(optimizer: Optimizer, trial: Trial, *schedules: Any) -> tuple[str, ...]:
    """Set learning rate, momentum, betas and weight decay of an optimizer to what has changed in a trial.

    Call it at the beginning of every step, after the checkpoint was loaded; it does nothing at almost all of them, and
    nothing more when called twice::

        for epoch in trial.steps(50):
            tw.torch.follow(optimizer, trial, schedule)

    Parameters are known by their usual names (``"lr"``, ``"optimizer.weight_decay"``); others are left to the caller.
    Ratios between groups stay, for learning rate and weight decay: the group that has the trial's value is the one that
    the parameter names, or else the first. Where a schedule has set a learning rate as its start, that is what changes,
    and the rate of the moment in proportion.

    Args:
        optimizer: of PyTorch, or one whose groups look the same.
        trial: whose ``changed`` is followed.
        schedules: learning-rate schedulers of PyTorch that drive this optimizer; they go on from the new rate.

    Returns:
        The names of the trial's parameters that were set.
    """
    followed = []
    for name, value in trial.changed.items():
        known, before = find(name) or name, trial.replaced.get(name)
        if known in _SCALED:
            done: object = _scale(optimizer, _SCALED[known], before, value)
            if known == "learning_rate":
                _scale_schedules(schedules, before, value)
        else:
            done = [group for group in optimizer.param_groups if _set(group, known, value)]
        followed += [name] if done else []
    return tuple(followed)


def _scale(optimizer: Optimizer, key: str, before: Any, value: Any) -> bool:
    """Set a number of all groups; return whether they have it."""
    groups = [group for group in optimizer.param_groups if key in group]
    starts = [float(group["initial_lr"] if key == "lr" and "initial_lr" in group else group[key]) for group in groups]
    for group, old, new in zip(groups, starts, rescaled(starts, before, float(value)), strict=True):
        factor = new / old if old else 1.0
        _put(group, key, float(group[key]) * factor if old else new)
        for other in _WITH_LR if key == "lr" else ():
            if other in group:
                group[other] = float(group[other]) * factor if old else new
    return bool(groups)


def _scale_schedules(schedules: Sequence[Any], before: Any, value: Any) -> None:
    for schedule in schedules:
        for key in ("base_lrs", "max_lrs"):
            starts = getattr(schedule, key, None)
            if starts:
                setattr(schedule, key, rescaled([float(start) for start in starts], before, float(value)))


def _set(group: dict[str, Any], known: str, value: Any) -> bool:
    """Set a number of one group that has no ratio to keep; return whether the group has it."""
    if known == "momentum" and "momentum" in group:
        group["momentum"] = float(value)
    elif known in ("momentum", "beta1") and "betas" in group:
        group["betas"] = (float(value), group["betas"][1])
    elif known == "beta2" and "betas" in group:
        group["betas"] = (group["betas"][0], float(value))
    elif known == "betas" and "betas" in group:
        group["betas"] = tuple(value)
    else:
        return False
    return True


def rescaled(numbers: Sequence[float], before: Any, value: float) -> list[float]:
    """Return numbers with their ratios, such that the one that was ``before`` becomes ``value``.

    The largest stands for the parameter if it is ``before`` or already ``value``; or else the first that is; or else
    the first. Numbers that are all 0 have no ratios, and all become ``value``.
    """
    known = [float(each) for each in (before, value) if isinstance(each, int | float)]
    matching = [n for each in known for n in numbers if math.isclose(n, each, rel_tol=1e-6)]
    largest = max(numbers, default=0.0)
    reference = largest if largest in matching else next(iter(matching), numbers[0] if numbers else 0.0)
    return [value * n / reference for n in numbers] if reference else [value] * len(numbers)


def _put(group: dict[str, Any], key: str, value: float) -> None:
    """Write a number where the group has one; a tensor keeps its place, for compiled steps look at it."""
    if isinstance(group[key], float | int):
        group[key] = value
    else:
        group[key].fill_(value)

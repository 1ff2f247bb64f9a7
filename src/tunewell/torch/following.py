"""An optimizer that follows the values of a trial, where these change in mid-training.

A checkpoint of an optimizer holds the values that it was saved with, and an optimizer that was made at the beginning
those of the beginning. ``follow`` brings both up to what is in force.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tunewell.knowledge import find

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from tunewell.trial import Trial

_SCALED = {"learning_rate": "lr", "weight_decay": "weight_decay"}
_WITH_LR = ("initial_lr", "max_lr", "min_lr")  # what schedules keep in the groups
_OF_SCHEDULES = ("base_lrs", "max_lrs", "min_lrs")  # and in themselves


def follow(optimizer: Optimizer, trial: Trial, *schedules: Any) -> tuple[str, ...]:
    """Set learning rate, momentum, betas and weight decay of an optimizer to what has changed in a trial.

    Call it at the beginning of every step, after the checkpoint was loaded; it does nothing at almost all of them, and
    nothing more when called twice::

        for epoch in trial.steps(50):
            tw.torch.follow(optimizer, trial, schedule)

    Parameters are known by their usual names (``"lr"``, ``"optimizer.weight_decay"``); others are left to the caller.
    Learning rate and weight decay of all groups change by the factor by which the trial's value does, so ratios between
    groups stay, and so does what a schedule has made of a rate by now. An optimizer that was made with the new value is
    left alone, and so is one that has neither the old value nor the new where a trial has several rates. Where groups
    have both, say rates of 0.01 and 0.1 and the trial's goes from 0.01 to 0.1, they are taken for those of before.

    Args:
        optimizer: of PyTorch, or one whose groups look the same.
        trial: whose ``changed`` is followed.
        schedules: learning-rate schedulers of PyTorch that drive this optimizer; they go on from the new rate. Of a
            ``SequentialLR`` or ``ChainedScheduler`` those inside do.

    Returns:
        The names of the trial's parameters that were set.
    """
    done = vars(optimizer).setdefault("_followed", {})
    followed = []
    value: Any
    for name, value in trial.changed.items():
        known = find(name) or name
        if known not in _SCALED:
            followed += [name] if [g for g in optimizer.param_groups if _set(g, known, value)] else []
        elif done.get(name) is trial.changed:  # at this very step
            followed.append(name)
        else:
            several = any(find(other) == known for other in trial.params if other != name)
            change = _Change(trial.replaced.get(name), float(value), several)
            if _scale(optimizer, _SCALED[known], change, schedules if known == "learning_rate" else ()):
                followed.append(name)
                done[name] = trial.changed
    return tuple(followed)


@dataclass(frozen=True)
class _Change:
    """A number's old value, None where it is not known, its new one, and whether it has to be told from others."""

    before: Any
    value: float
    several: bool

    def factor(self, numbers: Sequence[float]) -> float | None:
        """Return what numbers are multiplied by: 1 if they have the new value, None if they are those of another.

        NaN: they, or the old value, are 0 or unknown, and there is nothing to multiply.
        """
        before = float(self.before) if isinstance(self.before, int | float) else math.nan
        had, has = (any(math.isclose(n, each, rel_tol=1e-6) for n in numbers) for each in (before, self.value))
        if not had and has:
            return 1.0
        if not had and self.several:
            return None
        if before and math.isfinite(before) and any(numbers):
            return self.value / before
        return math.nan


def rescaled(numbers: Sequence[float], change: _Change, factor: float) -> list[float]:
    """Return numbers times a factor; where that is NaN their ratios stay, and all become the value if all are 0."""
    if not math.isnan(factor):
        return [factor * n for n in numbers]
    reference = next((n for n in numbers if n), 0.0)
    if not reference:
        return [change.value] * len(numbers)
    return [change.value * n / reference for n in numbers]


def _scale(optimizer: Optimizer, key: str, change: _Change, schedules: Sequence[Any]) -> bool:
    """Set a number of all groups, and of the schedules; return whether they have it, and it is theirs."""
    groups = [group for group in optimizer.param_groups if key in group]
    keys = [key, *(_WITH_LR if key == "lr" else ())]
    held = [(group, each) for group in groups for each in keys if each in group]
    numbers = [float(group[each]) for group, each in held]
    planned = [(schedule, each) for schedule in _single(schedules) for each in _OF_SCHEDULES if hasattr(schedule, each)]
    factor = change.factor(numbers + [float(n) for schedule, each in planned for n in getattr(schedule, each)])
    if not groups or factor is None:
        return False
    shares = vars(optimizer).setdefault("_shares", {})
    if change.value == 0.0 and any(numbers):
        shares[key] = [number / max(numbers) for number in numbers]  # or who had none before would have some after
    if math.isnan(factor) and not any(numbers) and len(shares.get(key, ())) == len(numbers):
        new = [change.value * share for share in shares[key]]
    else:
        new = rescaled(numbers, change, factor)
    for (group, each), number in zip(held, new, strict=True):
        _put(group, each, number)
    for schedule, each in planned:
        rates = [float(n) for n in getattr(schedule, each)]
        if any(rates) or each != "min_lrs":
            setattr(schedule, each, rescaled(rates, change, factor))
    return True


def _single(schedules: Sequence[Any]) -> Iterator[Any]:
    """Yield schedules and those they consist of, each once."""
    found: dict[int, Any] = {}
    rest = list(schedules)
    while rest:
        schedule = rest.pop(0)
        if id(schedule) not in found:
            found[id(schedule)] = schedule
            rest += getattr(schedule, "_schedulers", ())
    yield from found.values()


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


def _put(group: dict[str, Any], key: str, value: float) -> None:
    """Write a number where the group has one; a tensor keeps its place, for compiled steps look at it."""
    if isinstance(group[key], float | int):
        group[key] = value
    else:
        group[key].fill_(value)

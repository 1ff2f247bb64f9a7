"""The shapes: each a frozen dataclass that is called with a step and returns the factor of the learning rate.

A step is one update of the weights and is counted from 0, so ``schedule(0)`` is the factor of the first update. The
factor is 1 where the rate is the one that was tuned. Beyond the last step it stays what it is at ``steps``.

Any of them begins with a linear warm-up of ``warmup`` steps, which are part of ``steps``: its step s has the factor
``(s + 1) / (warmup + 1)`` of what comes after it, so no update is wasted on a rate of 0 (as in Goyal et al. 2017,
arXiv:1706.02677, section 2.2, apart from their starting rate).
"""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from tunewell.analysis.pictures import Curve, write
from tunewell.analysis.pictures import picture as drawn
from tunewell.values import set_frozen, to_float, whole


@dataclass(frozen=True)
class LrSchedule:
    """What all schedules share: the warm-up, and a picture.

    Raises:
        TypeError: an argument that is no number.
        ValueError: a number out of range.
    """

    steps: int
    warmup: int = field(default=0, kw_only=True)

    least_steps: ClassVar[int] = 1
    """How many steps there must be after the warm-up."""

    def __post_init__(self) -> None:
        name = type(self).__name__
        steps, warmup = whole(self.steps, f"steps of {name}"), whole(self.warmup, f"warmup of {name}")
        if warmup < 0 or steps - warmup < self.least_steps:
            raise ValueError(
                f"{name} expected at least {self.least_steps} steps after a warm-up of 0 steps or more, "
                f"got steps={steps}, warmup={warmup}: train for longer or warm up for less"
            )
        set_frozen(self, steps=steps, warmup=warmup)

    def __call__(self, step: int) -> float:
        """Return the factor of the learning rate at a step, counted from 0."""
        if step < 0:
            raise ValueError(f"step expected a number from 0 on, got {step!r}: the first update is step 0")
        if step < self.warmup:
            return self._after(0) * (step + 1) / (self.warmup + 1)
        return self._after(min(step, self.steps) - self.warmup)

    def momentum(self, step: int, low: float = 0.85, high: float = 0.95) -> float:
        """Return the momentum that moves against the rate, from ``high`` at a factor of 0 to ``low`` at 1.

        Smith 2018, arXiv:1803.09820, section 4.3: a larger momentum where the rate is small, and the other way round.
        """
        return high - (high - low) * min(1.0, self(step))

    @property
    def length(self) -> int:
        """The steps after the warm-up."""
        return self.steps - self.warmup

    def _after(self, step: int) -> float:
        """Return the factor at a step counted from the end of the warm-up, 0 to :attr:`length`."""
        raise NotImplementedError

    def picture(self, title: str = "", *, width: int = 420, height: int = 200) -> str:
        """Return the factors over the steps as a drawing, an SVG text of so many pixels."""
        points = range(0, self.steps + 1, max(1, self.steps // 400))
        curve = Curve([float(step) for step in points], [self(step) for step in points])
        return drawn([curve], x="step", y="factor", title=title or str(self), width=width, height=height, low=0.0)

    def plot(self, path: str | Path) -> Path:
        """Write :meth:`picture` into an ``.svg`` file and return its path."""
        return write(self.picture(), path)

    def _repr_svg_(self) -> str:
        return self.picture()


@dataclass(frozen=True)
class Constant(LrSchedule):
    """The same rate from the warm-up to the end."""

    def _after(self, step: int) -> float:
        return 1.0


@dataclass(frozen=True)
class Step(LrSchedule):
    """The rate is multiplied by ``factor`` at shares ``at`` of the steps after the warm-up.

    A tenth at a half and at three quarters is that of He et al. 2016 (arXiv:1512.03385, section 4.2).
    """

    factor: float = 0.1
    at: tuple[float, ...] = (0.5, 0.75)

    def __post_init__(self) -> None:
        super().__post_init__()
        at = tuple(_within(self, "at", share, 0.0, 1.0) for share in self.at)
        if list(at) != sorted(at):
            raise ValueError(f"at of Step expected shares in rising order, got {at!r}: sort them")
        set_frozen(self, at=at, factor=_within(self, "factor", self.factor, 0.0, 1.0))

    def _after(self, step: int) -> float:
        return self.factor ** bisect.bisect_right(self.at, step / self.length + 1e-12)


@dataclass(frozen=True)
class Exponential(LrSchedule):
    """The rate falls by the same factor at every step, down to ``end``: ``end ** (step / length)``."""

    end: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if _within(self, "end", self.end, 0.0, 1.0) == 0.0:
            raise ValueError("end of Exponential expected a share above 0, got 0: no factor leads there")

    def _after(self, step: int) -> float:
        return float(self.end ** (step / self.length))


@dataclass(frozen=True)
class Polynomial(LrSchedule):
    """The rate falls to ``end`` as ``(1 - step / length) ** power``."""

    power: float = 2.0
    end: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        set_frozen(self, end=_within(self, "end", self.end, 0.0, 1.0), power=_above(self, "power", self.power))

    def _after(self, step: int) -> float:
        return float(self.end + (1.0 - self.end) * (1.0 - step / self.length) ** self.power)


@dataclass(frozen=True)
class Linear(LrSchedule):
    """The rate falls to ``end`` in a straight line."""

    end: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        set_frozen(self, end=_within(self, "end", self.end, 0.0, 1.0))

    def _after(self, step: int) -> float:
        return self.end + (1.0 - self.end) * (1.0 - step / self.length)


@dataclass(frozen=True)
class Cosine(LrSchedule):
    """The rate falls to ``end`` along half a cosine (Loshchilov & Hutter 2017, arXiv:1608.03983, eq. 5, no restart).

    >>> schedule = Cosine(steps=1000, warmup=50)
    >>> [round(schedule(step), 3) for step in (0, 25, 50, 525, 1000)]
    [0.02, 0.51, 1.0, 0.5, 0.0]
    """

    end: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        set_frozen(self, end=_within(self, "end", self.end, 0.0, 1.0))

    def _after(self, step: int) -> float:
        return self.end + (1.0 - self.end) * _half_cosine(step / self.length)


@dataclass(frozen=True)
class CosineRestarts(LrSchedule):
    """As :class:`Cosine`, ``cycles`` times, each ``growth`` times as long as the one before (the same paper, eq. 5)."""

    cycles: int = 3
    growth: float = 1.0
    end: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        set_frozen(self, end=_within(self, "end", self.end, 0.0, 1.0), growth=_above(self, "growth", self.growth))
        set_frozen(self, cycles=whole(self.cycles, "cycles of CosineRestarts"))
        if not 1 <= self.cycles <= self.length:
            raise ValueError(f"cycles of CosineRestarts expected 1 to {self.length} (the steps), got {self.cycles!r}")

    def _after(self, step: int) -> float:
        weights = [self.growth**k for k in range(self.cycles)]
        begin, unit = 0.0, self.length / sum(weights)
        for weight in weights[:-1]:
            if step < begin + weight * unit - 1e-9:
                break
            begin += weight * unit
        else:
            weight = weights[-1]
        return self.end + (1.0 - self.end) * _half_cosine((step - begin) / (weight * unit))


@dataclass(frozen=True)
class OneCycle(LrSchedule):
    """Up from ``start`` to 1 in the share ``rise`` of the steps and down to ``end``, both along half a cosine.

    Smith & Topin 2018, arXiv:1708.07120, with the cosine and the defaults that PyTorch's ``OneCycleLR`` took from
    fast.ai, step by step the same. :meth:`momentum` is the opposite cycle.
    """

    rise: float = 0.3
    start: float = 0.04
    end: float = 4e-6

    least_steps: ClassVar[int] = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("rise", "start", "end"):
            set_frozen(self, **{name: _within(self, name, getattr(self, name), 0.0, 1.0)})
        if not 1.0 < self.rise * self.length <= self.length - 1:
            raise ValueError(
                f"rise of OneCycle expected a share that leaves steps on both sides, got {self.rise!r} of "
                f"{self.length} steps: choose one nearer to 0.3"
            )

    def _after(self, step: int) -> float:
        top, last = self.rise * self.length - 1.0, self.length - 1.0
        if step <= top:
            return self.start + (1.0 - self.start) * _half_cosine(1.0 - step / top)
        return self.end + (1.0 - self.end) * _half_cosine(min(1.0, (step - top) / (last - top)))

    def momentum(self, step: int, low: float = 0.85, high: float = 0.95) -> float:
        """Return the opposite cycle: from ``high`` to ``low`` while the rate rises, and back."""
        factor = self(step)
        floor = self.start if step - self.warmup <= self.rise * self.length - 1.0 else self.end
        return high - (high - low) * max(0.0, (factor - floor) / (1.0 - floor))


@dataclass(frozen=True)
class WarmupStableDecay(LrSchedule):
    """Constant, then down to ``end`` in the last ``decay``, a share of the steps after the warm-up.

    Along ``1 - sqrt(share)`` (``shape="1-sqrt"``), which Hägele et al. 2024 (arXiv:2405.18392, section 4) found better
    than a straight line (``shape="linear"``). Training can go on from before the decay, with no plan of its length.
    """

    decay: float = 0.2
    end: float = 0.0
    shape: str = "1-sqrt"

    def __post_init__(self) -> None:
        super().__post_init__()
        set_frozen(
            self, end=_within(self, "end", self.end, 0.0, 1.0), decay=_within(self, "decay", self.decay, 0.0, 1.0)
        )
        if self.decay == 0.0:
            raise ValueError("decay of WarmupStableDecay expected a share above 0, got 0: use Constant")
        if self.shape not in ("1-sqrt", "linear"):
            raise ValueError(f"shape of WarmupStableDecay expected '1-sqrt' or 'linear', got {self.shape!r}")

    def _after(self, step: int) -> float:
        share = max(0.0, 1.0 - (1.0 - step / self.length) / self.decay)
        return self.end + (1.0 - self.end) * (1.0 - (math.sqrt(share) if self.shape == "1-sqrt" else share))


@dataclass(frozen=True)
class InverseSquareRoot(LrSchedule):
    """``sqrt(timescale / (timescale + step))``; ``timescale`` is ``warmup + 1`` unless given.

    With the usual timescale it is the schedule of Vaswani et al. 2017 (arXiv:1706.03762, eq. 3), its peak set to 1.
    """

    timescale: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.timescale is not None:
            set_frozen(self, timescale=_above(self, "timescale", self.timescale))

    def _after(self, step: int) -> float:
        timescale = self.timescale or self.warmup + 1
        return math.sqrt(timescale / (timescale + step))


def _half_cosine(share: float) -> float:
    """Return 1 at a share of 0, 0 at 1."""
    return 0.5 * (1.0 + math.cos(math.pi * share))


def _within(schedule: LrSchedule, name: str, value: Any, low: float, high: float) -> float:
    said = f"{name} of {type(schedule).__name__}"
    found = to_float(value, said)
    if not low <= found <= high:
        raise ValueError(f"{said} expected a share from {low:g} to {high:g}, got {value!r}")
    return found


def _above(schedule: LrSchedule, name: str, value: Any) -> float:
    said = f"{name} of {type(schedule).__name__}"
    found = to_float(value, said)
    if found <= 0.0:
        raise ValueError(f"{said} expected a number above 0, got {value!r}")
    return found

"""What a range test found: an interval, a suggestion, a picture, and a parameter to search."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tunewell.analysis.pictures import Curve, Upright, picture, write
from tunewell.parameters import Confidence, Float, Prior
from tunewell.scales import Floats

LONGER = 10.0
"""How far below the least useful rate of a short test the range of a search begins."""


@dataclass(frozen=True)
class Probe:
    """A short training: its peak rate, its steps, and the loss it ended with, infinite where it diverged."""

    rate: float
    steps: int
    loss: float


@dataclass(frozen=True)
class FoundRate:
    """The learning rates that a range test found, for the optimizer's first group; the others keep their ratios to it.

    Attributes:
        suggestion: where to start.
        low: the least useful rate; below it, next to nothing is learnt in so few steps.
        high: the largest stable rate.
        steepest: where the loss fell fastest per factor of the rate, the classical choice.
        steps: updates of the weights that the test took.
        rates: of the ramps, shape ``(n,)``.
        losses: of the ramps, shape ``(repeats, n)``, NaN after the end of one.
        smooth: one curve of them, shape ``(n,)``.
        probes: the short trainings, in order.
        judged_by: ``"held-out batches"`` or ``"training batches"``.
    """

    suggestion: float
    low: float
    high: float
    steepest: float
    steps: int
    rates: Floats
    losses: Floats
    smooth: Floats
    probes: tuple[Probe, ...]
    judged_by: str

    def parameter(self, confidence: Confidence = "medium") -> Float:
        """Return the learning rate as a parameter to search: its range, the suggestion as default, a prior around it.

        The range ends at the largest stable rate and begins a factor of :data:`LONGER` below the least useful one,
        because the best rate of a long training may be far lower than that of a short one.
        """
        return Float(
            self.low / LONGER,
            self.high,
            scale="log",
            default=self.suggestion,
            prior=Prior(self.suggestion, confidence),
            tier=1,
            note=f"from a range test of {self.steps} steps",
        )

    def apply(self, optimizer: torch.optim.Optimizer) -> None:
        """Set the optimizer's learning rates to the suggestion, the ratios between its groups kept.

        Make a scheduler afterwards: one that is there already remembers the rates it began with.

        Raises:
            ValueError: there are several groups and the first has a rate of 0, to which the others have no ratio.
        """
        first, *others = optimizer.param_groups
        rate = float(first["lr"])
        if others and not rate > 0.0:
            raise ValueError(
                f"expected a learning rate above 0 in the optimizer's first group, got {rate:g}, to which the other "
                "groups have no ratio: set the rates of all groups, or make the scheduler that lowers them afterwards"
            )
        new = [self.suggestion, *(float(group["lr"]) / rate * self.suggestion for group in others)]
        for group, value in zip(optimizer.param_groups, new, strict=True):
            if "initial_lr" in group:  # left by an earlier scheduler; a new one would begin there
                group["initial_lr"] = value
            if isinstance(group["lr"], float | int):
                group["lr"] = value
            else:
                group["lr"].fill_(value)  # a tensor keeps its place, for compiled steps look at it

    def picture(self, *, width: int = 640, height: int = 340) -> str:
        """Return ramps, interval, suggestion and the longest probes as a drawing, an SVG text of so many pixels."""
        shown = np.isfinite(self.smooth)
        start, least = float(np.median(self.losses[:, :10])), float(self.smooth[shown].min())
        longest = [probe for probe in self.probes if probe.steps == self.probes[-1].steps and probe.loss < math.inf]
        least = min([least, *(probe.loss for probe in longest)])
        top = start + 0.35 * (start - least)
        curves = [
            Curve(self.rates.tolist(), np.where(row <= top, row, np.nan).tolist(), "faint") for row in self.losses
        ]
        curves.append(Curve(self.rates.tolist(), np.where(self.smooth <= top, self.smooth, np.nan).tolist()))
        ends = [(probe.rate, probe.loss) for probe in longest if probe.loss <= top]
        if ends:
            curves.append(Curve([rate for rate, _ in ends], [loss for _, loss in ends], "mark", dots=True))
        return picture(
            curves,
            x="learning rate",
            y="loss",
            title=f"Range test: {self.low:.2g} to {self.high:.2g}, suggested {self.suggestion:.2g}",
            uprights=[Upright(self.low, until=self.high), Upright(self.suggestion, f"suggested {self.suggestion:.2g}")],
            scale="log",
            low=least,
            high=top,
            width=width,
            height=height,
        )

    def plot(self, path: str | Path) -> Path:
        """Write :meth:`picture` into an ``.svg`` file and return its path."""
        return write(self.picture(), path)

    def __str__(self) -> str:
        at_end = "; the suggestion lies at the upper end, so try a smaller rate too"
        return (
            f"learning rate: start with {self.suggestion:.2g}; useful from {self.low:.2g} to {self.high:.2g} "
            f"({self.steps} steps, judged by {self.judged_by})"
            f"{at_end if self.suggestion >= self.high else ''}"
        )

    def __repr__(self) -> str:
        return f"FoundRate(suggestion={self.suggestion:.3g}, low={self.low:.3g}, high={self.high:.3g})"

    def _repr_svg_(self) -> str:
        return self.picture()

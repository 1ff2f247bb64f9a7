"""Reduce on plateau: the one schedule that needs metrics, as a fold over them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tunewell.analysis.pictures import Curve, picture, write
from tunewell.values import set_frozen, to_float, whole


@dataclass(frozen=True, slots=True)
class Standing:
    """What a plateau schedule remembers: its factor, the best loss, the epochs without a gain, the epochs to rest."""

    factor: float = 1.0
    best: float = math.inf
    waited: int = 0
    resting: int = 0


@dataclass(frozen=True)
class Plateau:
    """The rate is multiplied by ``factor`` once a loss has not improved for more than ``patience`` epochs.

    An improvement is a loss below ``best * (1 - threshold)``, for a negative ``best`` below ``best * (1 + threshold)``.
    After a reduction ``cooldown`` epochs do not count, and the factor never falls below ``lowest``. With ``mode="max"``
    the metric is to be large. A NaN is no improvement. The rule and its defaults are those of PyTorch's
    ``ReduceLROnPlateau`` in relative mode, except that PyTorch asks a negative loss to be above such a bound.

    Raises:
        TypeError: an argument that is no number.
        ValueError: a number out of range, another mode.

    >>> Plateau(factor=0.5, patience=1).factors([1.0, 0.8, 0.8, 0.8, 0.8])
    [1.0, 1.0, 1.0, 0.5, 0.5]
    """

    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    cooldown: int = 0
    lowest: float = 0.0
    mode: str = "min"

    def __post_init__(self) -> None:
        for name in ("patience", "cooldown"):
            set_frozen(self, **{name: whole(getattr(self, name), f"{name} of Plateau")})
        for name in ("factor", "threshold", "lowest"):
            set_frozen(self, **{name: to_float(getattr(self, name), f"{name} of Plateau")})
        if not 0.0 < self.factor < 1.0:
            raise ValueError(f"factor of Plateau expected a number between 0 and 1, got {self.factor!r}")
        if min(self.patience, self.cooldown, self.threshold, self.lowest) < 0:
            raise ValueError(f"Plateau expected no negative numbers, got {self!r}")
        if self.lowest > 1.0:
            raise ValueError(
                f"lowest of Plateau expected a factor of the learning rate from 0 to 1, got {self.lowest!r}: divide a "
                "least rate by the rate that training starts with"
            )
        if self.mode not in ("min", "max"):
            raise ValueError(f"mode of Plateau expected 'min' or 'max', got {self.mode!r}")

    def after(self, standing: Standing, metric: float) -> Standing:
        """Return the standing after one more epoch's metric."""
        loss = metric if self.mode == "min" else -metric
        margin = self.threshold * abs(standing.best) if math.isfinite(standing.best) else 0.0
        better = loss < standing.best - margin
        resting = max(0, standing.resting - 1)
        waited = 0 if better or standing.resting else standing.waited + 1
        factor = standing.factor
        if waited > self.patience:
            factor, waited, resting = max(self.lowest, factor * self.factor), 0, self.cooldown
        return Standing(factor, loss if better else standing.best, waited, resting)

    def factors(self, metrics: Iterable[float]) -> list[float]:
        """Return the factor in force after each of the epochs' metrics."""
        standing, found = Standing(), []
        for metric in metrics:
            standing = self.after(standing, metric)
            found.append(standing.factor)
        return found

    def picture(self, metrics: Iterable[float], title: str = "", *, width: int = 420, height: int = 200) -> str:
        """Return the factors in force after each of the epochs' metrics as a drawing, an SVG text of so many pixels.

        Raises:
            ValueError: there are no metrics.
        """
        factors = self.factors(metrics)
        if not factors:
            raise ValueError("picture of Plateau expected the metric of at least one epoch, got none")
        epochs = [float(epoch) for epoch in range(1, len(factors) + 1)]
        curve = Curve(epochs, factors)
        return picture([curve], x="epoch", y="factor", title=title or str(self), width=width, height=height, low=0.0)

    def plot(self, path: str | Path, metrics: Iterable[float]) -> Path:
        """Write :meth:`picture` into an ``.svg`` file and return its path."""
        return write(self.picture(metrics), path)

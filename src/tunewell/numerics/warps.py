"""Monotone transformations of losses under which a Gaussian process fits them better."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from tunewell.scales import Floats

_HUGE = 1e300
_GAP = float(np.log(1e8))


@dataclass(frozen=True)
class Softening:
    """A monotone map that softens the bad tail of losses and gives them mean 0 and deviation 1.

    With the unit e = median - minimum, losses up to one e above the median are left as they are and what is beyond,
    x e, becomes 1 + log x: what matters near the optimum keeps its shape. An infinite loss lies half a unit above the
    worst finite one, and so does what comes after a gap of eight decades, such as 1e300 for what went wrong. As the
    half-rank warp of Vizier (arXiv:2408.11527) it acts on one side only; it keeps the distances between bad losses in
    order of magnitude, which ranks forget.

    Attributes:
        middle: the median.
        unit: e / 2, for e itself may overflow.
        worst: where the last loss before infinity lies, in units from the median.
        mean: of the softened losses.
        spread: their standard deviation, infinite where they are all the same.
    """

    middle: float
    unit: float
    worst: float
    mean: float = 0.0
    spread: float = 1.0

    @classmethod
    def of(cls, losses: Floats) -> Softening:
        """Return the map for losses, shape ``(n,)``, which may be infinite."""
        known = np.clip(losses[np.isfinite(losses)], -_HUGE, _HUGE)
        if not len(known):
            return cls(0.0, 1.0, 0.0, spread=np.inf)
        middle = float(np.median(known))
        unit = middle / 2.0 - float(known.min()) / 2.0  # halves: the difference may overflow
        if not unit > 0.0:  # half of the losses are the best one
            above = known[known > middle]
            unit = float(np.median(above / 2.0 - middle / 2.0)) if len(above) else 1.0
        bare = cls(middle, unit, np.inf)
        ranked = np.sort(bare._units(known))
        gaps = np.flatnonzero(np.diff(ranked) > _GAP)
        bare = replace(bare, worst=float(ranked[gaps[0]] if len(gaps) else ranked[-1]))
        soft = bare(losses)
        spread = float(soft.std())
        varied = spread > 1e-12 * (1.0 + float(np.abs(soft).max()))
        return replace(bare, mean=float(soft.mean()), spread=spread if varied else np.inf)

    def __call__(self, losses: Floats) -> Floats:
        """Return softened losses, shape ``(n,)``; they need not be those that the map was made for."""
        units = self._units(losses)
        return self._standard(np.where(np.isfinite(losses) & (units <= self.worst), units, self.worst + 0.5))

    def bounds(self, losses: Floats) -> Floats:
        """Return where bounds lie, shape ``(n,)``: as losses do, but beyond the worst one no farther than they are."""
        return self._standard(np.minimum(self._units(losses), self.worst + 0.5))

    def _standard(self, soft: Floats) -> Floats:
        standard: Floats = (np.maximum(soft, -1e9) - self.mean) / self.spread
        return standard

    def _units(self, losses: Floats) -> Floats:
        """Return the distances from the median in units, those beyond the first as 1 + log."""
        known = np.clip(losses, -_HUGE, _HUGE)
        with np.errstate(over="ignore"):  # of an infinite ratio the logarithm is taken at 1e308
            units = (known / 2.0 - self.middle / 2.0) / max(self.unit, 1e-300)
        return np.where(units > 1.0, 1.0 + np.log(np.clip(units, 1.0, 1e308)), units)


def soften(losses: Floats) -> Floats:
    """Return losses, shape ``(n,)``, under the :class:`Softening` made for them."""
    return Softening.of(losses)(losses)


def standardise(values: Floats) -> Floats:
    """Return values with mean 0 and standard deviation 1; constant ones as zeros."""
    centred = values - values.mean()
    spread = float(values.std())
    return (
        centred / spread if spread > 1e-12 * (1.0 + float(np.abs(values).max(initial=0.0))) else np.zeros(len(values))
    )


def scalarise(values: Floats, weights: Floats) -> Floats:
    """Return one number for each row of ``values``, shape ``(n, g)``: the augmented Tchebycheff norm of ParEGO.

    Each column is scaled to [0, 1] first; max_j w_j v_j + 0.05 Σ_j w_j v_j (Knowles 2006, eq. 2).
    """
    low, high = values.min(axis=0), values.max(axis=0)
    weighted = weights * (values - low) / np.where(high > low, high - low, 1.0)
    return np.asarray(weighted.max(axis=1) + 0.05 * weighted.sum(axis=1))


def normal_scores(n: int, places: NDArray[np.integer] | None = None) -> Floats:
    """Return the normal scores of n places, Φ⁻¹((k + ½) / n) for k = 0 … n - 1, or of some of these places alone."""
    return np.asarray(ndtri(((np.arange(n) if places is None else places) + 0.5) / n))


def scores(losses: Floats) -> Floats:
    """Return the normal scores of losses, shape ``(n,)``: Φ⁻¹((rank - ½) / n), equal losses with their mean rank.

    Only the order counts, so curves whose early losses are orders of magnitude above the late ones leave room for what
    matters at the end. Infinite losses are the largest; NaN is not allowed.
    """
    _, place, count = np.unique(losses, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    rank = last - (count - 1) / 2.0
    return standardise(ndtri((rank[place] - 0.5) / len(losses)))

"""What trials of the same configuration say about noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tunewell.scales import Floats
from tunewell.surrogate.observations import Observations

_NEWEST = 1000  # trials that are compared
_CHANCE = 0.02  # that equal losses are no proof
_SEVERAL = 4  # losses, before ties among them mean anything
_LUCK = 0.01  # that a lead beyond what repeats explain is luck after all


@dataclass(frozen=True, slots=True)
class Repeats:
    """Trials that were given a configuration which another had before them.

    Attributes:
        count: how many there are among the newest trials.
        differ: whether any of them ended with other losses.
        alike: the share of pairs of good but different configurations that ended with the same losses.
    """

    count: int
    differ: bool
    alike: float = 0.0

    @property
    def deterministic(self) -> bool:
        """Whether repeats have shown that the same configuration gives the same losses.

        Losses such as accuracies on a hundred examples may be equal by chance; then it takes several repeats.
        """
        return self.count > 0 and not self.differ and self.alike**self.count <= _CHANCE


def repeats(seen: Observations) -> Repeats:
    """Return what the newest trials with exact losses say, but for those that something else may tell apart."""
    rows, losses = _compared(seen)
    as_bytes = rows.view(f"V{rows.itemsize * rows.shape[1]}")[:, 0] if rows.size else np.arange(len(rows))
    order = np.argsort(as_bytes)
    same = (rows[order][1:] == rows[order][:-1]).all(axis=1)
    differ = (losses[order][1:] != losses[order][:-1]).any(axis=1)
    if not same.any():
        return Repeats(0, False)
    different = losses[order][np.append(True, ~same)]
    return Repeats(int(same.sum()), bool((same & differ).any()), _alike(different))


def by_chance(seen: Observations, count: int) -> float:
    """Return by how much the least of ``count`` losses may lie below another one of the same mean, one goal only.

    That is a quantile of Student's t for the difference of two measurements, at :data:`_LUCK` in all ``count``, with
    the spread and the degrees of freedom of the repeats; infinite where there are none.
    """
    from scipy.special import stdtrit  # imported where it is needed, as it takes long

    deviation, freedom = spread(seen)
    return float(stdtrit(freedom, 1.0 - _LUCK / count)) * math.sqrt(2.0) * deviation if freedom else math.inf


def spread(seen: Observations) -> tuple[float, int]:
    """Return the standard deviation of the first goal's losses around the mean of their configuration.

    And its degrees of freedom: the repeats. Both are 0 where there are none.
    """
    rows, losses = _compared(seen)
    finite = np.isfinite(losses[:, 0])
    _, same = np.unique(rows[finite], axis=0, return_inverse=True)
    same, values = same.reshape(-1), losses[finite, 0]
    sizes = np.bincount(same)
    freedom = len(values) - len(sizes)
    if not freedom:
        return 0.0, 0
    means = np.bincount(same, values) / sizes
    return math.sqrt(float(((values - means[same]) ** 2).sum()) / freedom), freedom


def _compared(seen: Observations) -> tuple[Floats, Floats]:
    """Return the newest configurations with exact losses, for which NaN stands -1, and these losses."""
    strong = np.flatnonzero(~seen.weak & seen.native)[-_NEWEST:]
    rows = np.ascontiguousarray(np.nan_to_num(seen.units[strong], nan=-1.0) + 0.0)  # 0.0 in the place of -0.0
    return rows, seen.losses[strong]


def mostly_tied(losses: Floats) -> bool:
    """Tell whether more than half of the pairs of four or more losses, shape ``(n, g)``, are equal.

    Accuracies at chance level are, or losses during a warm-up. They tell nothing of the trainings, not even that two
    of them are the same.
    """
    finite = losses[np.isfinite(losses).all(axis=1)]
    return len(finite) >= _SEVERAL and _equal_pairs(finite) > 0.5


def _alike(losses: Floats) -> float:
    """Return the share of pairs of the better half of the losses, shape ``(n, g)``, that are equal."""
    finite = losses[np.isfinite(losses).all(axis=1)]
    return _equal_pairs(finite[np.argsort(finite[:, 0], kind="stable")[: (len(finite) + 1) // 2]])


def _equal_pairs(losses: Floats) -> float:
    n = len(losses)
    _, counts = np.unique(losses, axis=0, return_counts=True)
    return float((counts * (counts - 1)).sum() / (n * (n - 1))) if n > 1 else 0.0

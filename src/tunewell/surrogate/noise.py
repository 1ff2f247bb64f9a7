"""What trials of the same configuration say about noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tunewell.scales import Floats
from tunewell.surrogate.observations import Observations

_NEWEST = 1000  # trials that are compared
_CHANCE = 0.02  # that equal losses are no proof


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
    strong = np.flatnonzero(~seen.weak & seen.native)[-_NEWEST:]
    rows = np.ascontiguousarray(np.nan_to_num(seen.units[strong], nan=-1.0) + 0.0)  # 0.0 in the place of -0.0
    losses = seen.losses[strong]
    as_bytes = rows.view(f"V{rows.itemsize * rows.shape[1]}")[:, 0] if rows.size else np.arange(len(rows))
    order = np.argsort(as_bytes)
    same = (rows[order][1:] == rows[order][:-1]).all(axis=1)
    differ = (losses[order][1:] != losses[order][:-1]).any(axis=1)
    if not same.any():
        return Repeats(0, False)
    different = losses[order][np.append(True, ~same)]
    return Repeats(int(same.sum()), bool((same & differ).any()), _alike(different))


def _alike(losses: Floats) -> float:
    """Return the share of pairs of the better half of the losses, shape ``(n, g)``, that are equal."""
    finite = losses[np.isfinite(losses).all(axis=1)]
    better = finite[np.argsort(finite[:, 0], kind="stable")[: (len(finite) + 1) // 2]]
    n = len(better)
    _, counts = np.unique(better, axis=0, return_counts=True)
    return float((counts * (counts - 1)).sum() / (n * (n - 1))) if n > 1 else 0.0

"""What trials of the same configuration say about noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tunewell.surrogate.observations import Observations

_NEWEST = 1000  # trials that are compared


@dataclass(frozen=True, slots=True)
class Repeats:
    """Trials that were given a configuration which another had before them.

    Attributes:
        count: how many there are among the newest trials.
        differ: whether any of them ended with other losses.
    """

    count: int
    differ: bool

    @property
    def deterministic(self) -> bool:
        """Whether repeats have shown that the same configuration gives the same losses."""
        return self.count > 0 and not self.differ


def repeats(seen: Observations) -> Repeats:
    """Return what the newest trials with exact losses say."""
    strong = np.flatnonzero(~seen.weak)[-_NEWEST:]
    rows = np.ascontiguousarray(np.nan_to_num(seen.units[strong], nan=-1.0) + 0.0)  # 0.0 in the place of -0.0
    losses = seen.losses[strong]
    as_bytes = rows.view(f"V{rows.itemsize * rows.shape[1]}")[:, 0] if rows.size else np.arange(len(rows))
    order = np.argsort(as_bytes)
    same = (rows[order][1:] == rows[order][:-1]).all(axis=1)
    differ = (losses[order][1:] != losses[order][:-1]).any(axis=1)
    return Repeats(int(same.sum()), bool((same & differ).any()))

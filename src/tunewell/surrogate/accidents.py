"""Divergences that neighbours do not share: bad luck, which says little about the configuration.

A training may diverge because of its configuration, or by chance, as near the edge of stability. To a process of losses
a diverged trial is the worst of all; where the configurations around it work, that is a wall beside the optimum which a
smooth process can only explain by steep slopes everywhere. So a diverged trial counts as a loss only where the nearest
other trials have come to nothing as well. Otherwise it counts like one that failed: for the model of failures, which
asks how probable they are.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tunewell.scales import Floats
from tunewell.surrogate.cube import Cube
from tunewell.surrogate.observations import Observations

_NEIGHBOURS = 4
_JUDGED, _AROUND = 200, 2000  # the newest


def without_accidents(cube: Cube, seen: Observations) -> Observations:
    """Return observations in which divergences that stand alone are failures without a loss.

    The newest 200 are judged by the newest 2,000 trials; older ones are taken for failures.
    """
    diverged = np.flatnonzero(~np.isfinite(seen.losses).all(axis=1))
    if not len(diverged):
        return seen
    judged = diverged[-_JUDGED:]
    around = np.arange(len(seen.losses))[-_AROUND:]
    others = np.concatenate([seen.units[around], seen.failed[-_AROUND:]])
    units, own = np.split(_points(cube, np.concatenate([others, seen.units[judged]])), [len(others)])
    works = np.append(np.isfinite(seen.losses[around]).all(axis=1), np.zeros(len(units) - len(around), dtype=np.bool_))
    squared = (own**2).sum(axis=1)[:, None] + (units**2).sum(axis=1) - 2.0 * own @ units.T
    themselves = judged[:, None] == np.append(around, np.full(len(units) - len(around), -1))
    squared[themselves] = np.inf
    k = min(_NEIGHBOURS, len(units) - 1)
    nearest = np.argpartition(squared, k - 1, axis=1)[:, :k] if k > 0 else np.zeros((len(own), 0), dtype=np.int64)
    alone = works[nearest].any(axis=1) | (k < _NEIGHBOURS)
    accidents = np.union1d(diverged[:-_JUDGED], judged[alone])
    kept = np.setdiff1d(np.arange(len(seen.losses)), accidents)
    return replace(seen.at(kept), failed=np.concatenate([seen.failed, seen.units[accidents]]))


def _points(cube: Cube, units: Floats) -> Floats:
    """Return coordinates in which different categories are a whole range apart, shape ``(n, columns)``."""
    free = np.nan_to_num(units[:, cube.free], nan=0.5)
    labels = np.array(cube.categorical)[cube.free]
    columns = [free[:, ~labels]]
    for column in np.flatnonzero(labels):
        values = np.round(free[:, column], 9)
        kinds = np.unique(values)
        columns.append((values[:, None] == kinds) * np.sqrt(0.5))
    return np.concatenate(columns, axis=1)

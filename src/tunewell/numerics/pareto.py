"""Dominance between vectors of losses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def non_dominated(losses: Sequence[Sequence[float]]) -> NDArray[np.bool_]:
    """Return which rows no other row beats: no larger in every column and smaller in one.

    Args:
        losses: shape ``(n, n_goals)``, to be minimised. Equal rows do not beat each other.

    Returns:
        A mask of shape ``(n,)``.
    """
    points = np.asarray(losses, dtype=np.float64)
    if points.size == 0:
        return np.zeros(len(losses), dtype=np.bool_)
    order = np.lexsort(points.T[::-1])  # whoever beats a row comes before it
    front: list[int] = []
    mask = np.zeros(len(points), dtype=np.bool_)
    for row in order:
        rivals = points[front]
        beaten = np.any(np.all(rivals <= points[row], axis=1) & np.any(rivals < points[row], axis=1))
        if not beaten:
            front.append(int(row))
            mask[row] = True
    return mask

"""The hypervolume of two or three objectives, exactly: how much lies between a set of points and a reference point."""

from __future__ import annotations

import numpy as np


def hypervolume(points: np.ndarray, reference: tuple[float, ...]) -> float:
    """Return the volume that ``points``, shape ``(n, k)`` with k = 2 or 3, dominate below ``reference``; minimised.

    Two objectives: sorted by the first, each point adds a rectangle. Three: slices between neighbouring values of the
    last objective, each as thick as their distance.

    Raises:
        ValueError: another number of objectives.
    """
    ref = np.asarray(reference, dtype=float)
    if len(ref) not in (2, 3):
        raise ValueError(f"expected 2 or 3 objectives, got {len(ref)}")
    inside = np.asarray(points, dtype=float).reshape(-1, len(ref))
    inside = inside[(inside < ref).all(axis=1)]
    if len(ref) == 2:
        return _area(inside, ref)
    inside = inside[np.argsort(inside[:, 2])]
    thickness = np.diff(np.append(inside[:, 2], ref[2]))
    return float(sum(high * _area(inside[: k + 1, :2], ref[:2]) for k, high in enumerate(thickness)))


def _area(points: np.ndarray, ref: np.ndarray) -> float:
    """Return the area that ``points``, shape ``(n, 2)`` and all inside, dominate below ``ref``, shape ``(2,)``."""
    if not len(points):
        return 0.0
    points = points[np.lexsort((points[:, 1], points[:, 0]))]
    floor = np.minimum.accumulate(points[:, 1])  # the lowest second value so far
    widths = np.diff(np.append(points[:, 0], ref[0]))
    return float(np.sum(widths * (ref[1] - floor)))

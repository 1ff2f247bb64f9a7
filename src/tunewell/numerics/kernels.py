"""Distances between configurations, and the Matérn-5/2 kernel of them.

Every column of the unit cube becomes features whose squared Euclidean distance is the column's part of the distance, so
any sum of them gives a positive definite kernel and all the work is matrix products.

=================== ==================================================================== ============================
column              features of u                                                        squared distance
=================== ==================================================================== ============================
ordered             u                                                                    (u - u')²
ordered, with gaps  (cos a u, sin a u) / a, or 0 where the column is inactive            ≈ (u - u')²; 1/a² across
unordered           the unit vector of the category over √2, or 0 where inactive         1 if different; 1/2 across
=================== ==================================================================== ============================

With a = π/2. "Across" is the distance between an active and an inactive parameter: the same wherever the active one
stands; two inactive ones have none. This is the arc kernel of Swersky et al., "Raiders of the lost architecture"
(arXiv:1409.4011), its radius tied to the length scale. Unordered columns with more than 64 categories use fixed random
directions in place of unit vectors: distances are then 1 ± 1/8.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_ARC = np.pi / 2.0
_MOST_UNIT_VECTORS = 64
_SQRT5 = np.sqrt(5.0)


@dataclass(frozen=True)
class Columns:
    """What the d columns of a cube are.

    Attributes:
        categories: the number of categories of an unordered column, 0 for an ordered one, length d.
        gaps: whether the column is inactive in some configurations, length d.
    """

    categories: tuple[int, ...]
    gaps: tuple[bool, ...]

    @cached_property
    def owner(self) -> NDArray[np.int64]:
        """The column that each feature belongs to, shape ``(n_features,)``."""
        widths = [
            min(count, _MOST_UNIT_VECTORS) if count else 1 + gap
            for count, gap in zip(self.categories, self.gaps, strict=True)
        ]
        return np.repeat(np.arange(len(widths)), widths)

    @cached_property
    def _plain(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        columns = [j for j, count in enumerate(self.categories) if not count and not self.gaps[j]]
        return np.array(columns, dtype=np.int64), np.searchsorted(self.owner, columns)

    @cached_property
    def _arcs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        columns = [j for j, count in enumerate(self.categories) if not count and self.gaps[j]]
        return np.array(columns, dtype=np.int64), np.searchsorted(self.owner, columns)

    @cached_property
    def _codes(self) -> list[tuple[int, int, Floats]]:
        """Column, first feature, and the features of every category with a last row for "inactive"."""
        found = []
        for j, count in enumerate(self.categories):
            if count:
                width = min(count, _MOST_UNIT_VECTORS)
                if count > width:
                    code = np.random.default_rng(count).standard_normal((count, width))
                    code /= np.linalg.norm(code, axis=1, keepdims=True)
                else:
                    code = np.eye(count)
                table = np.concatenate([code / np.sqrt(2.0), np.zeros((1, width))])
                found.append((j, int(np.searchsorted(self.owner, j)), table))
        return found

    def features(self, units: Floats) -> Floats:
        """Return the features, shape ``(n, n_features)``, of coordinates, shape ``(n, d)``, NaN where inactive."""
        found = np.empty((len(units), len(self.owner)))
        columns, places = self._plain
        found[:, places] = units[:, columns]
        columns, places = self._arcs
        if len(columns):
            angle = _ARC * units[:, columns]
            found[:, places] = np.nan_to_num(np.cos(angle) / _ARC)
            found[:, places + 1] = np.nan_to_num(np.sin(angle) / _ARC)
        for j, first, table in self._codes:
            count = len(table) - 1
            code = np.where(np.isnan(units[:, j]), count, np.clip(np.nan_to_num(units[:, j]) * count, 0, count - 1))
            found[:, first : first + table.shape[1]] = table[code.astype(np.int64)]
        return found

    def pull_back(self, units: Floats, slopes: Floats) -> Floats:
        """Return the gradient in the coordinates, ``(n, d)``, given that in the features, ``(n, n_features)``.

        It is 0 for unordered columns and inactive parameters.
        """
        found = np.zeros(units.shape)
        columns, places = self._plain
        found[:, columns] = slopes[:, places]
        columns, places = self._arcs
        if len(columns):
            angle = _ARC * units[:, columns]
            slope = np.cos(angle) * slopes[:, places + 1] - np.sin(angle) * slopes[:, places]
            found[:, columns] = np.nan_to_num(slope)
        return found

    def distances(self, features: Floats) -> Floats:
        """Return the squared distances of all pairs i < k by column, shape ``(d, n (n - 1) / 2)``."""
        n = len(features)
        above = np.triu_indices(n, 1)
        found = np.zeros((len(self.categories), len(above[0])))
        columns, places = self._plain
        for j, place in zip(columns, places, strict=True):
            x = features[:, place]
            found[j] = (x[above[0]] - x[above[1]]) ** 2
        for place, j in enumerate(self.owner):
            if self.categories[j] or self.gaps[j]:
                x = features[:, place]
                found[j] += (x[above[0]] - x[above[1]]) ** 2
        return found


def matern52(t: Floats) -> tuple[Floats, Floats]:
    """Return the Matérn-5/2 kernel of squared distances and its derivative in them, both of the shape of ``t``.

    With r = √(5 t): k = (1 + r + r²/3) exp(-r) and dk/dt = -5/6 (1 + r) exp(-r). Rasmussen and Williams (2006), eq. 4.17.
    """
    r = _SQRT5 * np.sqrt(t)
    decay = np.exp(-r)
    slope = (1.0 + r) * decay
    return slope + (5.0 / 3.0) * t * decay, (-5.0 / 6.0) * slope


def squared_distances(a: Floats, b: Floats) -> Floats:
    """Return the squared Euclidean distances of rows, ``(m, q)`` and ``(n, q)`` to ``(m, n)``."""
    product = a @ b.T
    product *= -2.0
    product += np.einsum("ij,ij->i", a, a)[:, None]
    product += np.einsum("ij,ij->i", b, b)[None, :]
    return np.maximum(product, 0.0, out=product)

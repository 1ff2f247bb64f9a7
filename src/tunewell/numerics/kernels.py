"""Distances between configurations, and the kernel of them.

Every column of the unit cube becomes features whose squared Euclidean distance is the column's part of the distance, so
any sum of them gives a positive definite kernel and most of the work is matrix products.

=================== ==================================================================== ============================
column              features of u                                                        squared distance
=================== ==================================================================== ============================
ordered             u                                                                    (u - u')²
ordered, with gaps  (cos c u, sin c u) / c, or 0 where the column is inactive            ≈ (u - u')²; 1/c² across
unordered           the unit vector of the category over √2, or 0 where inactive         1 if different; 1/2 across
=================== ==================================================================== ============================

With c = π/2. "Across" is the distance between an active and an inactive parameter: the same wherever the active one
stands; two inactive ones have none. This is the arc kernel of Swersky et al., "Raiders of the lost architecture"
(arXiv:1409.4011), its radius tied to the length scale. Unordered columns with more than 64 categories use fixed random
directions in the place of unit vectors: distances are then 1 ± 1/8.

The kernel is the sum of one Matérn-5/2 of all columns and the mean of one Matérn-5/2 per column,

    k(x, x') = (1 - β) M(Σ_j D_j / ℓ_j²) + β/d Σ_j M(D_j / a_j²),    M(t) = (1 + r + r²/3) exp(-r),  r = √(5 t).

The second part (Duvenaud et al., "Additive Gaussian processes", arXiv:1112.4394, first order) learns what each
parameter does by itself from few points; the first learns what they do together. Where coordinates are bent first (see
:mod:`.bends`), u stands for w(u) above.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tunewell.numerics.bends import Bend
from tunewell.scales import Floats

Indices = NDArray[np.int64]

_ARC = np.pi / 2.0
_MOST_UNIT_VECTORS = 64
_ROOT5 = float(np.sqrt(5.0))
_SQUARE_BLOCK = 64
_BLOCK = 2**15  # numbers in a temporary array: what stays in the cache


@dataclass(frozen=True)
class Columns:
    """What the d columns of a cube are.

    Attributes:
        categories: the number of categories of an unordered column, 0 for an ordered one, length d.
        gaps: whether the column is inactive in some configurations, length d.
    """

    categories: tuple[int, ...]
    gaps: tuple[bool, ...]

    def __len__(self) -> int:
        return len(self.categories)

    @cached_property
    def owner(self) -> Indices:
        """The column that each feature belongs to, shape ``(n_features,)``."""
        widths = [
            min(count, _MOST_UNIT_VECTORS) if count else 1 + gap
            for count, gap in zip(self.categories, self.gaps, strict=True)
        ]
        return np.repeat(np.arange(len(widths)), widths)

    @cached_property
    def plain(self) -> tuple[Indices, Indices]:
        """The columns with one feature, and those features."""
        return self._where([not count and not gap for count, gap in zip(self.categories, self.gaps, strict=True)])

    @cached_property
    def _arcs(self) -> tuple[Indices, Indices]:
        return self._where([not count and gap for count, gap in zip(self.categories, self.gaps, strict=True)])

    @cached_property
    def wide(self) -> list[tuple[int, slice]]:
        """The other columns, each with its features."""
        others = sorted(set(range(len(self))) - set(self.plain[0].tolist()))
        return [(j, slice(*np.searchsorted(self.owner, [j, j + 1]).tolist())) for j in others]

    def _where(self, mask: list[bool]) -> tuple[Indices, Indices]:
        columns = np.flatnonzero(np.array(mask, dtype=np.bool_))
        return columns, np.searchsorted(self.owner, columns)

    @cached_property
    def _codes(self) -> list[tuple[int, slice, Floats]]:
        """Column, features, and the features of every category with a last row for "inactive"."""
        found = []
        for j, place in self.wide:
            count = self.categories[j]
            if count:
                if count <= _MOST_UNIT_VECTORS:
                    code = np.eye(count)
                else:
                    code = np.random.default_rng(count).standard_normal((count, _MOST_UNIT_VECTORS))
                    code /= np.linalg.norm(code, axis=1, keepdims=True)
                found.append((j, place, np.concatenate([code / np.sqrt(2.0), np.zeros((1, code.shape[1]))])))
        return found

    def features(self, units: Floats) -> Floats:
        """Return the features, shape ``(n, n_features)``, of coordinates, shape ``(n, d)``, NaN where inactive.

        In an ordered column without gaps NaN, which a trial has that was started before there was such a parameter,
        stands for the middle.
        """
        if not self.wide:
            return np.where(np.isnan(units), 0.5, units)
        found = np.empty((len(units), len(self.owner)))
        columns, places = self.plain
        plain = units[:, columns]
        found[:, places] = np.where(np.isnan(plain), 0.5, plain)
        columns, places = self._arcs
        if len(columns):
            angle = _ARC * units[:, columns]
            found[:, places] = np.nan_to_num(np.cos(angle) / _ARC)
            found[:, places + 1] = np.nan_to_num(np.sin(angle) / _ARC)
        for j, place, table in self._codes:
            count = len(table) - 1
            inactive = np.isnan(units[:, j])
            code = np.minimum(np.where(inactive, 0.0, units[:, j]) * count, count - 1).astype(np.int64)
            found[:, place] = table[np.where(inactive, count, code)]
        return found

    def pull_back(self, features: Floats, slopes: Floats) -> Floats:
        """Return the gradient in the coordinates, ``(n, d)``, given that in the ``features``, ``(n, n_features)``.

        It is 0 for unordered columns and inactive parameters.
        """
        if not self.wide:
            return slopes
        found = np.zeros((len(features), len(self)))
        columns, places = self.plain
        found[:, columns] = slopes[:, places]
        columns, places = self._arcs
        if len(columns):
            cosine, sine = features[:, places], features[:, places + 1]
            found[:, columns] = _ARC * (cosine * slopes[:, places + 1] - sine * slopes[:, places])
        return found

    def distances(self, features: Floats, rows: Indices, others: Indices) -> Floats:
        """Return the distances √D_j of pairs of rows by column, shape ``(d, n_pairs)``."""
        found = np.empty((len(self), len(rows)))
        columns, places = self.plain
        turned = np.ascontiguousarray(features[:, places].T)
        found[columns] = np.abs(turned[:, rows] - turned[:, others])
        for j, place in self.wide:
            found[j] = np.linalg.norm(features[rows, place] - features[others, place], axis=1)
        return found


def _blocks(m: int, n: int) -> list[slice]:
    """Return blocks of m rows, of n numbers each, that stay in the cache."""
    size = max(1, _BLOCK // max(1, n))
    return [slice(begin, min(m, begin + size)) for begin in range(0, max(1, m), size)]


def squared_distances(a: Floats, b: Floats) -> Floats:
    """Return the squared Euclidean distances of rows, ``(m, q)`` and ``(n, q)`` to ``(m, n)``."""
    product: Floats = a @ b.T
    product *= -2.0
    product += np.einsum("ij,ij->i", a, a)[:, None]
    product += np.einsum("ij,ij->i", b, b)[None, :]
    return np.maximum(product, 0.0, out=product)


def matern52(t: Floats) -> tuple[Floats, Floats]:
    """Return M(t) and its derivative dM/dt = -5/6 (1 + r) exp(-r), both of the shape of ``t``.

    Rasmussen and Williams (2006), eq. 4.17.
    """
    r = _ROOT5 * np.sqrt(t)
    decay = np.exp(-r)
    slope = (1.0 + r) * decay
    return slope + (5.0 / 3.0) * t * decay, (-5.0 / 6.0) * slope


def _matern52_of(t: Floats) -> Floats:
    """Return M(t) alone, written over ``t``."""
    t *= 5.0
    r = np.sqrt(t, out=t)
    polynomial = r * (1.0 / 3.0)
    polynomial += 1.0
    polynomial *= r
    polynomial += 1.0
    np.negative(r, out=r)
    polynomial *= np.exp(r, out=r)
    return polynomial


def _first_factors(x: Floats) -> Floats:
    """Return what depends on x in f(x - y) and in f(y - x), see :meth:`Points.matrix`: ``(j, m)`` to ``(2, j, m, 3)``.

    f(x - y) = exp(-x) [1 + x + x²/3, -1 - 2x/3, 1/3] · exp(y) [1, y, y²], and f(y - x) is that of -x and -y. With
    coordinates around the middle and a of 0.02 or more, nothing is near overflow.
    """
    decay, growth = np.exp(-x), np.exp(x)
    even, odd = x * x * (1.0 / 3.0) + 1.0, x * (2.0 / 3.0)
    found = np.empty((2, len(x), 3, x.shape[1]))
    np.multiply(even + x, decay, out=found[0, :, 0])
    np.multiply(even - x, growth, out=found[1, :, 0])
    np.multiply(-1.0 - odd, decay, out=found[0, :, 1])
    np.multiply(1.0 - odd, growth, out=found[1, :, 1])
    np.multiply(decay, 1.0 / 3.0, out=found[0, :, 2])
    np.multiply(growth, 1.0 / 3.0, out=found[1, :, 2])
    return found.swapaxes(2, 3)


def _second_factors(y: Floats) -> Floats:
    """Return what depends on y in the same, shape ``(j, n)`` to ``(2, j, 3, n)``."""
    found = np.empty((2, len(y), 3, y.shape[1]))
    np.exp(y, out=found[0, :, 0])
    np.exp(-y, out=found[1, :, 0])
    np.multiply(found[:, :, 0], y, out=found[:, :, 1])
    np.multiply(found[:, :, 1], y, out=found[:, :, 2])
    return found


def _steep(difference: Floats) -> Floats:
    """Return (1 + r) exp(-r) times the difference, with r its absolute value; written over the input."""
    decay = np.abs(difference)
    difference *= 1.0 + decay
    np.negative(decay, out=decay)
    difference *= np.exp(decay, out=decay)
    return difference


@dataclass(frozen=True)
class Kernel:
    """The kernel of the module's docstring.

    Attributes:
        columns: what the columns of the cube are.
        joint: ℓ, shape ``(d,)``.
        single: a, shape ``(d,)``.
        share: β.
        bend: what is done to the coordinates first, if anything.
    """

    columns: Columns
    joint: Floats
    single: Floats
    share: float
    bend: Bend | None = None

    @classmethod
    def of(cls, columns: Columns, theta: Floats) -> Kernel:
        """Return the kernel with the hyperparameters θ of :mod:`.gp`."""
        d = len(columns)
        share = float(1.0 / (1.0 + np.exp(-theta[2 * d])))
        return cls(columns, np.exp(theta[:d]), np.exp(theta[d : 2 * d]), share, Bend.of(theta[2 * d + 2 :]))

    def features(self, units: Floats) -> Floats:
        """Return the features, shape ``(n, n_features)``, of coordinates, shape ``(n, d)``, NaN where inactive."""
        return self.columns.features(units if self.bend is None else self.bend.bent(units))

    @cached_property
    def lengths(self) -> Floats:
        """ℓ of each feature, shape ``(n_features,)``."""
        return self.joint[self.columns.owner]

    @cached_property
    def rates(self) -> Floats:
        """√5 / a of the plain columns, shape ``(n_plain,)``."""
        return _ROOT5 / self.single[self.columns.plain[0]]

    @property
    def part(self) -> float:
        """β / d."""
        return self.share / len(self.columns)

    def at(self, features: Floats) -> Points:
        """Return points with ``features``, shape ``(n, n_features)``, to be given to the kernel many times."""
        return Points(self, features)

    def matrix(self, a: Floats, b: Floats) -> Floats:
        """Return the kernel of features, ``(m, n_features)`` and ``(n, n_features)`` to ``(m, n)``."""
        return self.at(a).matrix(self.at(b))

    def square(self, a: Floats) -> Floats:
        """Return the kernel of features with themselves, ``(n, n_features)`` to ``(n, n)``: the lower triangle only."""
        n = len(a)
        if n <= _SQUARE_BLOCK:
            return self.matrix(a, a)
        found = np.zeros((n, n))
        for begin in range(0, n, _SQUARE_BLOCK):
            end = begin + _SQUARE_BLOCK
            found[begin:end, :end] = self.matrix(a[begin:end], a[:end])
        return found

    def slopes(self, units: Floats, a: Floats, b: Floats, weights: list[Floats]) -> list[Floats]:
        """Return Σ_i w_i dk(x, b_i)/du for every array w of ``weights``, each ``(m, n)`` to ``(m, d)``.

        ``a`` are the features of ``units``, shape ``(m, d)``.
        """
        return self.at(a).derivative(units, self.at(b)).along(weights)


@dataclass(frozen=True, eq=False)
class Points:
    """Points that are one argument of a kernel; what depends on them alone is computed once.

    Attributes:
        kernel: the kernel.
        features: shape ``(n, n_features)``.
    """

    kernel: Kernel
    features: Floats

    @cached_property
    def joint(self) -> Floats:
        """The features over ℓ, shape ``(n, n_features)``."""
        return self.features / self.kernel.lengths

    @cached_property
    def plain(self) -> Floats:
        """√5 / a times the plain columns' distances from the middle, shape ``(n_plain, n)``."""
        places = self.kernel.columns.plain[1]
        return np.ascontiguousarray(((self.features[:, places] - 0.5) * self.kernel.rates).T)

    @cached_property
    def factors(self) -> Floats:
        """Those of the second argument, see :func:`_second_factors`, shape ``(2, n_plain, 3, n)``."""
        return _second_factors(self.plain)

    def matrix(self, other: Points) -> Floats:
        """Return the kernel of these m points with n others, shape ``(m, n)``.

        Of a plain column M needs no exponential of a pair. With f(t) = (1 + t + t²/3) exp(-t) it is f(|x - y|), and of
        f(x - y) and f(y - x), both sums of three products, the smaller one: for t > 0, f(-t) / f(t) is exp(2t) over its
        Padé approximant, which is below it.
        """
        kernel = self.kernel
        found = _matern52_of(squared_distances(self.joint, other.joint))
        found *= 1.0 - kernel.share
        for square in self._wide_distances(other):
            found += kernel.part * _matern52_of(square)
        d, m, n = len(self.plain), *found.shape
        if not d:
            return found
        first, blocks = _first_factors(self.plain), _blocks(m, d * n)
        scratch = np.empty((2, d, blocks[0].stop, n))
        for rows in blocks:
            below, above = np.matmul(first[:, :, rows], other.factors, out=scratch[:, :, : rows.stop - rows.start])
            found[rows] += kernel.part * np.minimum(below, above, out=below).sum(axis=0)
        return found

    def matrix_and_derivative(self, units: Floats, other: Points) -> tuple[Floats, Derivative]:
        """Return the kernel as :meth:`matrix` does, and its derivative, for little more than the price of either.

        ``units`` are the points' coordinates, shape ``(m, d)``. All differences are kept: for a few points at a time.
        """
        kernel = self.kernel
        found, joint = matern52(squared_distances(self.joint, other.joint))
        found *= 1.0 - kernel.share
        plain, wide = [], []
        for rows, difference in self._plain_differences(other):
            r = np.abs(difference)
            decay = np.negative(r)
            np.exp(decay, out=decay)
            r += 1.0
            r *= decay  # (1 + r) exp(-r)
            total = r.sum(axis=0)
            r *= difference
            decay *= difference
            total += np.einsum("jmn,jmn->mn", decay, difference) / 3.0
            found[rows] += kernel.part * total
            plain.append((rows, r))
        for square in self._wide_distances(other):
            value, slope = matern52(square)
            found += kernel.part * value
            wide.append(slope)
        return found, Derivative(kernel, units, self.features, other.features, joint, plain, wide)

    def derivative(self, units: Floats, other: Points) -> Derivative:
        """Return the derivative alone, for any number of points; ``units`` are their coordinates."""
        _, joint = matern52(squared_distances(self.joint, other.joint))
        plain = ((rows, _steep(difference)) for rows, difference in self._plain_differences(other))
        wide = [matern52(square)[1] for square in self._wide_distances(other)]
        return Derivative(self.kernel, units, self.features, other.features, joint, plain, wide)

    def _plain_differences(self, other: Points) -> Iterator[tuple[slice, Floats]]:
        """Yield blocks of rows, with √5 times the differences of the plain columns over a, each ``(n_plain, m, n)``."""
        left, right = self.plain[:, :, None], other.plain[:, None, :]
        if len(left):
            for rows in _blocks(left.shape[1], len(left) * right.shape[2]):
                yield rows, left[:, rows] - right

    def _wide_distances(self, other: Points) -> Iterator[Floats]:
        """Yield D_j / a_j² of each column with several features, ``(m, n)``."""
        for j, place in self.kernel.columns.wide:
            yield squared_distances(self.features[:, place], other.features[:, place]) / self.kernel.single[j] ** 2


@dataclass(frozen=True, eq=False)
class Derivative:
    """dk/du between m points, whose coordinates are u, and n others, in parts that are yet to be scaled.

    Attributes:
        kernel: k.
        units: u, shape ``(m, d)``.
        a: the features of ``units``.
        b: those of the others.
        joint: dM/dt of all columns together, shape ``(m, n)``.
        plain: blocks of rows of ``a``, with (1 + r) r exp(-r) of the plain columns, ``(n_plain, rows, n)``, signed as
            the differences are; looked through once.
        wide: dM/dt of each column with several features, shape ``(m, n)``.
    """

    kernel: Kernel
    units: Floats
    a: Floats
    b: Floats
    joint: Floats
    plain: Iterable[tuple[slice, Floats]]
    wide: list[Floats]

    def along(self, weights: list[Floats]) -> list[Floats]:
        """Return Σ_i w_i dk(x, b_i)/du for every array w of ``weights``, each ``(m, n)`` to ``(m, d)``."""
        kernel, columns, part = self.kernel, self.kernel.columns, self.kernel.part
        found = []
        for w in weights:
            v = (2.0 * (1.0 - kernel.share)) * self.joint * w
            found.append((self.a * v.sum(axis=1)[:, None] - v @ self.b) / kernel.lengths**2)
        places = columns.plain[1]
        factor = (-part / 3.0) * kernel.rates  # dM/du = -(1 + r) r exp(-r) / 3 · sign · √5 / a
        for rows, steep in self.plain:
            for w, total in zip(weights, found, strict=True):
                total[rows, places] += factor * np.einsum("jmn,mn->mj", steep, w[rows])
        for (j, place), slope in zip(columns.wide, self.wide, strict=True):
            for w, total in zip(weights, found, strict=True):
                v = (2.0 * part / kernel.single[j] ** 2) * slope * w
                total[:, place] += self.a[:, place] * v.sum(axis=1)[:, None] - v @ self.b[:, place]
        steepness = 1.0 if kernel.bend is None else kernel.bend.slopes(self.units)
        return [columns.pull_back(self.a, total) * steepness for total in found]

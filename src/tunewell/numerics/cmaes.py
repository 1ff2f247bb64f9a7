"""CMA-ES, the covariance matrix adaptation evolution strategy, for real, integer and categorical coordinates.

Numbers (38) to (58) are the equations of Hansen, "The CMA evolution strategy: a tutorial", arXiv:1604.00772 (first
version); M-numbers are steps of Hamano, Saito, Nomura and Shirakawa, "CMA-ES with margin", arXiv:2205.13482; Q-numbers
are ours, a plain form of the categorical part of CatCMA (Hamano et al., arXiv:2405.09962).

======== ==========================================================================================
symbol   meaning
======== ==========================================================================================
d, k, λ  real and integer coordinates, categorical coordinates, points of a generation
m, σ, C  mean, shape ``(d,)``, step size and covariance, shape ``(d, d)``, of the normal law
A        the margin's scale of each coordinate, shape ``(d,)``; 1 without integers
q        for each categorical coordinate the probabilities of its values
======== ==========================================================================================

All is in the unit cube; a point beyond a wall is moved onto it. An integer coordinate is a real one cut into bins, and
beyond the walls lie its outer bins. What we do differently: a history holds configurations, not the latent points that
were drawn, so the place within a bin or behind a wall is drawn again, from the marginal law given what is known.
(CMA-ES with margin keeps the latent place.) The categorical law moves by weighted recombination with a fixed rate;
CatCMA adapts it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from tunewell.scales import Floats

Places: TypeAlias = NDArray[np.intp]

_EPSILON = 1e-8
_LARGEST_SIGMA = 1e32


@dataclass(frozen=True, eq=False)
class Strategy:
    """The constants of one run, from the dimension and the population; made by :func:`strategy`."""

    dimension: int
    population: int
    weights: Floats  # (λ,), positive for the better half, negative for the rest
    parents: int  # μ
    mu_eff: float
    c_sigma: float
    d_sigma: float
    c_c: float
    c_1: float
    c_mu: float
    expected_norm: float  # E||N(0, I)||


def default_population(dimension: int) -> int:
    """Return λ for a number of coordinates of all kinds, at least 1."""
    return 4 + math.floor(3 * math.log(max(1, dimension)))  # (48)


def strategy(dimension: int, population: int) -> Strategy:
    """Return the constants for ``dimension`` at least 1 and ``population`` at least 4."""
    n, mu = dimension, population // 2
    raw = math.log((population + 1) / 2) - np.log(np.arange(1, population + 1))  # (49)
    mu_eff = raw[:mu].sum() ** 2 / (raw[:mu] ** 2).sum()
    mu_eff_minus = raw[mu:].sum() ** 2 / (raw[mu:] ** 2).sum()
    c_1 = 2.0 / ((n + 1.3) ** 2 + mu_eff)  # (57)
    c_mu = min(1.0 - c_1 - 1e-8, 2.0 * (mu_eff - 2.0 + 1.0 / mu_eff) / ((n + 2.0) ** 2 + mu_eff))  # (58)
    least = min(
        1.0 + c_1 / c_mu,  # (50)
        1.0 + 2.0 * mu_eff_minus / (mu_eff + 2.0),  # (51)
        (1.0 - c_1 - c_mu) / (n * c_mu),  # (52)
    )
    weights = np.where(raw >= 0, raw / raw[raw > 0].sum(), least * raw / -raw[raw < 0].sum())  # (53)
    c_sigma = (mu_eff + 2.0) / (n + mu_eff + 5.0)  # (55)
    return Strategy(
        dimension=n,
        population=population,
        weights=weights,
        parents=mu,
        mu_eff=float(mu_eff),
        c_sigma=float(c_sigma),
        d_sigma=1.0 + 2.0 * max(0.0, math.sqrt((mu_eff - 1.0) / (n + 1.0)) - 1.0) + float(c_sigma),  # (55)
        c_c=float((4.0 + mu_eff / n) / (n + 4.0 + 2.0 * mu_eff / n)),  # (56)
        c_1=float(c_1),
        c_mu=float(c_mu),
        expected_norm=math.sqrt(n) * (1.0 - 1.0 / (4.0 * n) + 1.0 / (21.0 * n**2)),
    )


@dataclass(frozen=True, eq=False)
class Normal:
    """The normal law of the real and integer coordinates, and the memory of how it came about.

    Attributes:
        mean, sigma, covariance: m, σ, C.
        scale: A.
        path_sigma, path_c: the evolution paths, shape ``(d,)``.
        axes, lengths: C = B D² Bᵀ: B, shape ``(d, d)``, and the diagonal of D, shape ``(d,)``.
        generation: updates so far.
    """

    mean: Floats
    sigma: float
    covariance: Floats
    scale: Floats
    path_sigma: Floats
    path_c: Floats
    axes: Floats
    lengths: Floats
    generation: int = 0

    @property
    def deviations(self) -> Floats:
        """The standard deviation of each coordinate, shape ``(d,)``."""
        return np.asarray(self.sigma * self.scale * np.sqrt(np.diag(self.covariance)))


def start(mean: Floats, sigma: float) -> Normal:
    """Return the round normal law at ``mean``, shape ``(d,)``."""
    d = len(mean)
    nothing = np.zeros(d)
    return Normal(mean.copy(), sigma, np.eye(d), np.ones(d), nothing, nothing, np.eye(d), np.ones(d))


def draw(law: Normal, rng: np.random.Generator) -> Floats:
    """Return one point, shape ``(d,)``; it may lie beyond the walls."""
    z = rng.standard_normal(len(law.mean))  # (38)
    y = law.axes @ (law.lengths * z)  # (39)
    return np.asarray(law.mean + law.sigma * law.scale * y)  # (40), with A


def update(law: Normal, s: Strategy, points: Floats) -> Normal:
    """Return the law after a generation: ``points`` of shape ``(λ, d)``, the best first."""
    step = law.sigma * law.scale
    y = (points - law.mean) / step  # of law N(0, C)
    y_w = s.weights[: s.parents] @ y[: s.parents]  # (41)
    mean = law.mean + step * y_w  # (42), c_m = 1 (54)

    whiten = (law.axes / law.lengths) @ law.axes.T  # C^(-1/2)
    path_sigma = (1.0 - s.c_sigma) * law.path_sigma
    path_sigma = path_sigma + math.sqrt(s.c_sigma * (2.0 - s.c_sigma) * s.mu_eff) * (whiten @ y_w)  # (43)
    length = float(np.linalg.norm(path_sigma))
    sigma = law.sigma * math.exp(min(50.0, s.c_sigma / s.d_sigma * (length / s.expected_norm - 1.0)))  # (44)

    usual = length / math.sqrt(1.0 - (1.0 - s.c_sigma) ** (2 * (law.generation + 1)))  # g = 0 in the first update
    h = 1.0 if usual < (1.4 + 2.0 / (s.dimension + 1.0)) * s.expected_norm else 0.0
    path_c = (1.0 - s.c_c) * law.path_c + h * math.sqrt(s.c_c * (2.0 - s.c_c) * s.mu_eff) * y_w  # (45)

    norms = ((y @ whiten) ** 2).sum(axis=1)
    w = s.weights * np.where(s.weights >= 0, 1.0, s.dimension / (norms + _EPSILON))  # (46)
    kept = 1.0 + s.c_1 * (1.0 - h) * s.c_c * (2.0 - s.c_c) - s.c_1 - s.c_mu * s.weights.sum()
    covariance = kept * law.covariance + s.c_1 * np.outer(path_c, path_c) + s.c_mu * (y.T * w) @ y  # (47)
    return _decomposed(
        replace(
            law,
            mean=mean,
            sigma=min(sigma, _LARGEST_SIGMA),
            covariance=covariance,
            path_sigma=path_sigma,
            path_c=path_c,
            generation=law.generation + 1,
        )
    )


def _decomposed(law: Normal) -> Normal:
    """Return the law with C made symmetric and positive, and its factors."""
    squares, axes = np.linalg.eigh((law.covariance + law.covariance.T) / 2.0)
    lengths = np.sqrt(np.where(squares < 0.0, _EPSILON, squares))
    return replace(law, covariance=(axes * lengths**2) @ axes.T, axes=axes, lengths=lengths)


# --- integers ---------------------------------------------------------------------------------------------------------


def keep_margin(law: Normal, edges: dict[int, Floats], alpha: float) -> Normal:
    """Return the law with at least the mass ``alpha / 2`` on either side of the mean's bin (``alpha`` at a wall).

    The mean of a real coordinate stays near enough to the walls for the mass ``alpha`` to lie inside of one.

    Args:
        law: after :func:`update`.
        edges: of the integer coordinates where their bins begin and end, shape ``(count + 1,)`` from 0 to 1.
        alpha: the margin, 1 / (d λ) in the paper.
    """
    deviations, scale = law.deviations, law.scale.copy()
    reach = float(-ndtri(alpha)) * deviations
    mean = np.clip(law.mean, -reach, 1.0 + reach)
    for j, e in edges.items():
        inner = e[1:-1]
        if not len(inner):
            continue
        place = int(np.searchsorted(inner, mean[j], side="right"))
        if place in (0, len(inner)):  # M: the outer bins have a neighbour on one side only
            edge = inner[0] if place == 0 else inner[-1]
            mean[j] = edge + np.clip(mean[j] - edge, -reach[j], reach[j])
            continue
        low, high = inner[place - 1], inner[place]
        p_low = max(alpha / 2.0, float(ndtr((low - mean[j]) / deviations[j])))
        p_high = max(alpha / 2.0, float(ndtr((mean[j] - high) / deviations[j])))
        p_mid = 1.0 - float(ndtr((low - mean[j]) / deviations[j])) - float(ndtr((mean[j] - high) / deviations[j]))
        excess = (1.0 - p_low - p_high - p_mid) / max(p_low + p_high + p_mid - 1.5 * alpha, _EPSILON)
        q_low = float(-ndtri(min(p_low + excess * (p_low - alpha / 2.0), 0.5)))
        q_high = float(-ndtri(min(p_high + excess * (p_high - alpha / 2.0), 0.5)))
        if q_low + q_high <= 0.0:
            continue
        wanted = (high - low) / (q_low + q_high)
        mean[j] = (low * q_high + high * q_low) / (q_low + q_high)
        scale[j] *= wanted / deviations[j]
    return replace(law, mean=mean, scale=scale)


def latent(law: Normal, edges: dict[int, Floats], points: Floats, uniform: Floats) -> Floats:
    """Return where ``points``, shape ``(λ, d)``, may have been drawn, before walls and bins were applied.

    An integer may come from anywhere in its bin, a real coordinate on a wall from anywhere behind it, and one that is
    NaN from anywhere: each is drawn from its marginal law, given what is known.

    Args:
        law: the law the points were drawn from.
        edges: see :func:`keep_margin`.
        points: coordinates in the unit cube, of an integer the middle of its bin.
        uniform: numbers between 0 and 1, shape ``(λ, d)``, which decide on the places.
    """
    deviations = law.deviations
    lowest = np.where(points >= 1.0, 1.0, -np.inf)
    highest = np.where(points <= 0.0, 0.0, np.inf)
    hidden = (points <= 0.0) | (points >= 1.0) | np.isnan(points)
    for j, e in edges.items():
        bounds = np.concatenate([[-np.inf], e[1:-1], [np.inf]])
        known = ~np.isnan(points[:, j])
        places = np.searchsorted(e[1:-1], points[known, j], side="right")
        lowest[known, j], highest[known, j] = bounds[places], bounds[places + 1]
        hidden[:, j] = True
    low, high = ndtr((lowest - law.mean) / deviations), ndtr((highest - law.mean) / deviations)
    levels = np.clip(low + uniform * (high - low), _EPSILON, 1.0 - _EPSILON)
    drawn = np.clip(law.mean + deviations * ndtri(levels), lowest, highest)
    return np.where(hidden, drawn, points)


# --- categories -------------------------------------------------------------------------------------------------------


def learn(probabilities: Floats, s: Strategy, places: Places, kinds: int) -> Floats:
    """Return the probabilities q of one categorical coordinate after a generation.

    Args:
        probabilities: q, shape ``(count,)``.
        s: the constants; only the weights of the better half are used.
        places: the values of the points, the best first, -1 where the coordinate was not active, shape ``(λ,)``.
        kinds: the number of categorical coordinates.
    """
    count = len(probabilities)
    if count == 1:
        return probabilities
    there = places[: s.parents] >= 0
    weights, found = s.weights[: s.parents][there], places[: s.parents][there]
    rate = (s.mu_eff + 2.0) / (count - 1 + s.mu_eff + 5.0)  # Q1, in the manner of (55)
    moved = probabilities * (1.0 - rate * weights.sum())
    np.add.at(moved, found, rate * weights)  # Q2: q + rate sum_i w_i (e_i - q)
    least = min((1.0 - 0.73 ** (1.0 / kinds)) / (count - 1), 0.5 / count)  # Q3, the margin of CatCMA
    above = np.maximum(moved, least)
    spare = above - least
    return np.asarray(least + spare * ((1.0 - count * least) / spare.sum()))

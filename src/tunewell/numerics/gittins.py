"""What it is worth to find out, when finding out comes in stages that cost: a price for each thing that may go on.

A box holds a loss Y. To open it takes stages 1 … K; stage j costs c_j and tells more about Y, so that its mean moves by
a normal step of deviation σ_j (Σ σ_j² is the variance of Y, and after the last stage Y is known). At any time one may
take the smallest loss found so far, or pay for the next stage of any box. The best policy has an index (Weitzman 1979,
"Optimal search for the best alternative"; for stages Kleinberg, Waggoner and Weyl 2016, arXiv:1604.07476; for Bayesian
optimisation with costs Xie et al. 2024, arXiv:2406.20062): always go on with the box whose index is the smallest, and
stop when the best loss found is smaller still.

The index b of a stage is the loss at which it is all the same whether one takes it or pays for the stage: with κ the
larger of what comes after the stage and its index there, E[max(b - κ, 0)] = c. From the last stage backwards,

    κ_K = 0,      κ_{j-1} = max(σ_j ξ_j + κ_j, b_j),      E[max(b_j - σ_j ξ_j - κ_j, 0)] = c_j,

all relative to the mean before stage j. The law of κ is carried by equally likely values.

What a loss is worth in compute nobody says. So the question is turned round: at which price of compute is a box just
worth its next stage, its index equal to the smallest loss found? The box that stands the highest price goes on; where
the price falls that all are willing to pay, so does the hope of finding better.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.special import ndtri
from scipy.stats import qmc

from tunewell.numerics.acquisition import log_expected_improvement
from tunewell.scales import Floats

_VALUES = 128
_MOST_STAGES = 32
_HALVINGS = 6


def log_price(means: Floats, steps: Floats, costs: Floats, best: float) -> Floats:
    """Return the log of the price at which m boxes are just worth their next stage, shape ``(m,)``.

    The price lies between those of two simpler boxes that promise the same expected improvement: one that has to be
    opened to the end, and one whose first stage tells all.

    Args:
        means: of Y, shape ``(m,)``.
        steps: σ_j, shape ``(m, K)``; a stage that tells nothing and costs nothing may fill up shorter rows.
        costs: c_j in any unit of compute, shape ``(m, K)``, positive but where they fill up.
        best: the smallest loss found so far.
    """
    gain, _, _ = log_expected_improvement(means, np.sqrt(np.maximum((steps**2).sum(axis=1), 1e-24)), best)
    first = np.take_along_axis(costs, (costs > 0.0).argmax(axis=1)[:, None], axis=1)[:, 0]
    low, high = gain - np.log(costs.sum(axis=1)), gain - np.log(first)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        worth = means + stage_index(steps, np.exp(middle)[:, None] * costs) <= best
        low, high = np.where(worth, middle, low), np.where(worth, high, middle)
    found: Floats = low
    return found


def stage_index(steps: Floats, costs: Floats) -> Floats:
    """Return the index of m boxes relative to their means, shape ``(m,)``.

    Args:
        steps: σ_j, shape ``(m, K)``; a stage that tells nothing and costs nothing may fill up shorter rows.
        costs: c_j, in the units of the losses, shape ``(m, K)``.
    """
    m, stages = steps.shape
    after = np.zeros((m, _VALUES))
    index = np.zeros(m)
    for j in reversed(range(stages)):
        after = after + steps[:, j, None] * _draws()[j % _MOST_STAGES]
        index = _indifferent(after, costs[:, j])
        after = np.maximum(after, index[:, None])
    return index


def _indifferent(values: Floats, costs: Floats) -> Floats:
    """Return b with mean(max(b - v, 0)) = c for every row of ``values``, shape ``(m, n)``, and ``costs``, ``(m,)``.

    Between two neighbouring values the left side is linear in b: k of n values lie below it, with the sum s, and
    b = (n c + s) / k.
    """
    ordered = np.sort(values, axis=1)
    n = ordered.shape[1]
    sums = np.cumsum(ordered, axis=1)
    counts = np.arange(1, n + 1)
    gains = (counts * ordered - sums) / n  # the left side at each value, non-decreasing
    below = np.maximum((gains <= costs[:, None]).sum(axis=1), 1)
    rows = np.arange(len(ordered))
    found: Floats = (n * costs + sums[rows, below - 1]) / below
    return found


@cache
def _draws() -> Floats:
    """Return equally likely standard normal values for each stage, spread evenly together, shape ``(32, 128)``."""
    points = qmc.Sobol(_MOST_STAGES, rng=np.random.default_rng(0)).random(_VALUES).T
    places = np.argsort(np.argsort(points, axis=1), axis=1)
    values = ndtri((np.arange(_VALUES) + 0.5) / _VALUES)
    return np.asarray(values / values.std())[places]

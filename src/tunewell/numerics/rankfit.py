"""Does a parameter matter? A test on ranks that sees slopes, valleys and hills.

The losses of n trials are replaced by their ranks, and a parabola is fitted to them with and without the parameter in
question, x, other columns Z being in both fits:

    r = a + b x + c x² + Z g + noise,        F = ((S_0 - S) / q) / (S / (n - k))                            (1)

with S and S_0 the sums of squared residuals with and without x, q the columns that x adds and k those of the full fit.
If x does not matter, F follows Fisher's law with (q, n - k) degrees of freedom: the rank transform of Conover and Iman,
"Rank transformations as a bridge between parametric and nonparametric statistics" (The American Statistician 35, 1981).
Ranks, because losses have heavy tails and infinities; the square, because the best value often lies in the middle of a
range, where tests of location (Mann and Whitney) see nothing; and the other columns, because what other parameters do
would else be noise. A test of how close together the best few lie would use these few, where this one uses all trials.
"""

from __future__ import annotations

import numpy as np
from scipy.special import fdtrc
from scipy.stats import rankdata

from tunewell.scales import Floats

_FEWEST_SPARE = 3  # degrees of freedom


def probability_by_chance(x: Floats, others: Floats, losses: Floats) -> float:
    """Return the probability of as large an F as (1) if ``x`` did not matter; 1 where it cannot be told.

    Args:
        x: the parameter, shape ``(n,)``.
        others: the columns Z, shape ``(n, k')``.
        losses: shape ``(n,)``; only their order counts.
    """
    ranks = rankdata(losses)
    centered = x - x.mean()
    without = np.column_stack([np.ones(len(x)), others])
    fit, columns = _fit(np.column_stack([without, centered, centered**2]), ranks)
    fit_without, columns_without = _fit(without, ranks)
    added, spare = columns - columns_without, len(x) - columns
    if added < 1 or spare < _FEWEST_SPARE or fit_without <= 0.0:
        return 1.0
    return float(fdtrc(added, spare, ((fit_without - fit) / added) / max(fit / spare, 1e-12)))


def parabolas(units: Floats) -> Floats:
    """Return each column of shape ``(n, d)`` and its square, about their means: shape ``(n, 2 d)``."""
    centered = units - units.mean(axis=0)
    return np.concatenate([centered, centered**2], axis=1)


def _fit(columns: Floats, response: Floats) -> tuple[float, int]:
    """Return the sum of squared residuals of a least-squares fit, and the rank of its columns."""
    weights, _, rank, _ = np.linalg.lstsq(columns, response, rcond=None)
    return float(((response - columns @ weights) ** 2).sum()), int(rank)

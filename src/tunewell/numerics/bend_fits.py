"""Hyperparameters with bent coordinates (:mod:`.bends`): a second climb, from where a fit without bends ended.

To fit everything at once takes more evaluations than there is time for; from the end of a fit few are enough. θ is then
of shape ``(4 d + 2,)``: as in :mod:`.gp`, and after it log p and log q of each column, all N(0, 0.3²) and within three
deviations. The gradient goes the way of the coordinates, dL/d log p_j = Σ_i dL/dw_ij dw_ij/d log p_j.

Bends can explain much that was chance. So they are climbed only where the slope g of the log posterior in them is
steep: were the likelihood log-linear in them, it would gain ½ · 0.3² · gᵀg, and that has to be above 5. Of what the
climb gained one is taken off, for what 2 d more numbers gain by chance.
"""

from __future__ import annotations

import numpy as np

from tunewell.numerics.bends import Bend
from tunewell.numerics.gp import Evidence, climb, prior
from tunewell.numerics.kernels import Columns
from tunewell.scales import Floats

EVALUATIONS = 8
_STD = 0.3
_MOST = 3.0 * _STD
_STEEP = 5.0
_PRICE = 1.0


class BentEvidence:
    """The log posterior of θ with bends, given data."""

    def __init__(self, columns: Columns, units: Floats, targets: Floats) -> None:
        """Take in ``units``, shape ``(n, d)``, and ``targets``, shape ``(n,)``."""
        self._columns, self._units, self._targets = columns, units, targets

    def value_and_gradient(self, theta: Floats) -> tuple[float, Floats]:
        """Return the log posterior at θ, up to the constant that it has without bends, and its gradient."""
        d = len(self._columns)
        logs = theta[2 * d + 2 :]
        bend = Bend(logs[:d], logs[d:])
        evidence = Evidence(self._columns, bend.bent(self._units), self._targets)
        value, gradient, slopes = evidence.with_slopes(theta[: 2 * d + 2])
        of_logs = np.concatenate([(slopes * by).sum(axis=0) for by in bend.slopes_of_logs(self._units)])
        value -= 0.5 * float(logs @ logs) / _STD**2
        return value, np.concatenate([gradient, of_logs - logs / _STD**2])


def fit_bent(evidence: BentEvidence, d: int, theta: Floats, evaluations: int = EVALUATIONS) -> tuple[Floats, float]:
    """Climb from θ without bends; return θ with bends and its log posterior less their price, or θ and -∞."""
    start = np.append(theta, np.zeros(2 * d))
    slope = evidence.value_and_gradient(start)[1][2 * d + 2 :]
    if 0.5 * _STD**2 * float(slope @ slope) < _STEEP:
        return theta, -np.inf
    law = prior(d)
    bounds = np.concatenate([np.stack([law.low, law.high], axis=1), np.tile([-_MOST, _MOST], (2 * d, 1))])
    found, value = climb(evidence.value_and_gradient, start, bounds, evaluations)
    return found, value - _PRICE

"""Coordinates bent by the Kumaraswamy law: more room for one end of a range, or for its middle.

A stationary kernel takes a step of u to mean as much near 0 as near 1. Where it does not, a monotone function of each
ordered coordinate can make up for it (Snoek et al. 2014, "Input warping for Bayesian optimization of non-stationary
functions", arXiv:1402.0929). Theirs is the distribution function of the beta law; ours is, as in HEBO (Cowen-Rivers et
al. 2020, arXiv:2012.03826), that of Kumaraswamy, which has a closed form:

    w(u) = 1 - (1 - u^p)^q.

With p = q = 1 it is the identity. Slopes, which may be infinite at the ends, are taken a millionth inside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tunewell.scales import Floats

_END = 1e-6


@dataclass(frozen=True)
class Bend:
    """One bend for each of d columns; those with p = q = 1, as unordered ones have to be, stay as they are.

    Attributes:
        log_p: log p, shape ``(d,)``.
        log_q: log q, shape ``(d,)``.
    """

    log_p: Floats
    log_q: Floats

    @classmethod
    def of(cls, logs: Floats) -> Bend | None:
        """Return the bend with all log p and then all log q, shape ``(2 d,)``, or None of nothing."""
        d = len(logs) // 2
        return cls(logs[:d], logs[d:]) if d else None

    def bent(self, units: Floats) -> Floats:
        """Return w, shape ``(n, d)``, of coordinates, shape ``(n, d)``, NaN where inactive."""
        moved = np.flatnonzero((self.log_p != 0.0) | (self.log_q != 0.0))
        found = units.copy()
        powers = np.clip(units[:, moved], 0.0, 1.0) ** np.exp(self.log_p[moved])
        found[:, moved] = 1.0 - (1.0 - powers) ** np.exp(self.log_q[moved])
        return found

    def slopes(self, units: Floats) -> Floats:
        """Return dw/du, shape ``(n, d)``; 0 where inactive."""
        u, _, by_log = self._parts(units)
        moved = (self.log_p != 0.0) | (self.log_q != 0.0)
        return np.where(moved, np.where(np.isnan(units), 0.0, by_log / u), 1.0)

    def slopes_of_logs(self, units: Floats) -> tuple[Floats, Floats]:
        """Return dw/d log p and dw/d log q, both ``(n, d)``; 0 where inactive."""
        u, left, by_log = self._parts(units)
        q, inactive = np.exp(self.log_q), np.isnan(units)
        by_q = -q * left ** (q - 1.0) * left * np.log(left)
        return np.where(inactive, 0.0, by_log * np.log(u)), np.where(inactive, 0.0, by_q)

    def _parts(self, units: Floats) -> tuple[Floats, Floats, Floats]:
        """Return u, 1 - u^p and dw/d log u, all of shape ``(n, d)``."""
        u = np.clip(units, _END, 1.0 - _END)
        p, q = np.exp(self.log_p), np.exp(self.log_q)
        power = u**p
        left = 1.0 - power
        return u, left, q * left ** (q - 1.0) * power * p

"""What a step of a configuration that nobody has tried costs, told from those that were trained.

What networks take is nearly a product of powers of their widths, depths and batch sizes, so the log of the cost is
nearly linear where these are searched on their scales: a ridge regression on the features of the columns
(:mod:`tunewell.numerics.kernels`) knows after a few trainings which way it becomes dear.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tunewell.numerics.kernels import Columns
from tunewell.scales import Floats

_RIDGE = 0.1  # in squares of a range: about what one training at the end of it tells


@dataclass(frozen=True, eq=False)
class Costs:
    """The log of the cost of a step, linear in the features of the columns.

    Attributes:
        columns: those that may vary.
        center: where the cost is the usual one, shape ``(n_features,)``.
        level: its log there.
        weights: what the log rises by, shape ``(n_features,)``.
    """

    columns: Columns
    center: Floats
    level: float
    weights: Floats

    @classmethod
    def of(cls, columns: Columns, units: Floats, logs: Floats) -> Costs:
        """Return what is told by coordinates, shape ``(n, d)``, and the logs of costs there, shape ``(n,)``."""
        features = columns.features(units)
        if not len(logs):
            return cls(columns, np.zeros(features.shape[1]), 0.0, np.zeros(features.shape[1]))
        center, level = features.mean(axis=0), float(logs.mean())
        away = features - center
        weights = np.linalg.solve(away.T @ away + _RIDGE * np.eye(len(center)), away.T @ (logs - level))
        return cls(columns, center, level, weights)

    def log(self, units: Floats) -> Floats:
        """Return the log of the cost at coordinates, shape ``(m, d)`` to ``(m,)``."""
        return np.asarray(self.level + (self.columns.features(units) - self.center) @ self.weights)

"""How far from feasible: several constraints, each in units of its own, as one number.

It takes all rows at once; trials that are ranked one by one as they come need :func:`tunewell.rungs.breach_in_bounds`.
"""

from __future__ import annotations

import numpy as np

from tunewell.scales import Floats


def breach_in_medians(violations: Floats) -> Floats:
    """Return by how much rows break their constraints in all; 0 where all hold.

    Every constraint counts in units of its typical violation, the median of those that are above 0 here, so that
    milliseconds and gigabytes can be added up. One of which nothing is known in a row counts as broken by such a unit,
    for what is not known to keep it cannot be the best; and as kept where no row tells anything of it.

    Args:
        violations: how far each metric lies beyond its bound, shape ``(n, c)``: above 0 where it is broken, NaN where
            it is unknown.

    Returns:
        Shape ``(n,)``; what is broken without limit counts as the worst that is finite.
    """
    total = np.zeros(len(violations))
    for column in violations.T:
        broken = column[(column > 0.0) & np.isfinite(column)]
        scale = float(np.median(broken)) if len(broken) else 1.0
        worst = float(broken.max()) if len(broken) else 1.0
        known = np.clip(column, 0.0, worst) / scale
        total += np.where(np.isnan(known), 0.0 if np.isnan(known).all() else 1.0, known)
    return total


def bounded(column: Floats) -> Floats:
    """Return violations of one constraint, shape ``(n,)``, of which none is infinite; NaN stays.

    What is broken or kept without limit counts as far from the bound as the farthest that is finite.
    """
    finite = np.abs(column[np.isfinite(column)])
    most = (float(finite.max()) if len(finite) else 0.0) or 1.0
    return np.clip(column, -most, most)

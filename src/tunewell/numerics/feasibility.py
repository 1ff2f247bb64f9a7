"""How far from feasible: several constraints, each in units of its own, as one number.

It takes all rows at once; trials that are ranked one by one as they come need :func:`tunewell.rungs.breach_in_bounds`.
"""

from __future__ import annotations

import numpy as np

from tunewell.scales import Floats


def breach_in_medians(violations: Floats) -> Floats:
    """Return by how much rows break their constraints in all; 0 where all hold.

    Every constraint counts in units of its typical violation, the median of those that are above 0 here, so that
    milliseconds and gigabytes can be added up. A constraint of which nothing is known in a row counts as the mean of
    the others' shares: as kept when no row is known to break it, and worse the more of them do.

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
        total += np.where(np.isnan(known), np.nanmean(known) if not np.isnan(known).all() else 0.0, known)
    return total

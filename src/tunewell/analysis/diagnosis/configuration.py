"""What a configuration says about a training before its curves do, in numbers without units.

Rates within ten times of what is usual say nothing, and neither do the usual dropout and weight decay.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from numbers import Real
from typing import Any

from tunewell.knowledge import OPTIMIZERS, explain, find

NAMES = ("rate", "decay", "dropout")
USUAL_DROPOUT = 0.4
STRONG_DECAY = 1e-3
"""A share of the weights that decays in one step: more than that is a matter of fewer than a thousand steps."""
_ODD = 4.0


def configured(params: Mapping[str, Any]) -> dict[str, float]:
    """Return the features of hyperparameters; NaN for what is not known.

    ``rate`` is how many powers of ten the learning rate lies beyond ten times (below a tenth of, if negative) the
    default of its optimizer in :mod:`tunewell.knowledge`, or of every optimizer where none is told; ``decay`` the same
    for rate times weight decay beyond :data:`STRONG_DECAY`; ``dropout`` what is above :data:`USUAL_DROPOUT`.
    """
    rate, decay, dropout = (number_of(role, params) for role in ("learning_rate", "weight_decay", "dropout"))
    told = next((value for name, value in params.items() if find(name, ambiguous=True) == "optimizer"), None)
    found = dict.fromkeys(NAMES, math.nan)
    if rate is not None and rate > 0.0:
        least, most = _defaults(str(told).lower())
        above, below = math.log10(rate / most) - 1.0, math.log10(rate / least) + 1.0
        found["rate"] = min(max(0.0, above) + min(0.0, below), _ODD)
        if decay is not None:
            found["decay"] = min(max(0.0, math.log10(max(rate * decay, 1e-12) / STRONG_DECAY)), _ODD)
    if dropout is not None:
        found["dropout"] = max(0.0, dropout - USUAL_DROPOUT)
    return found


def number_of(role: str, params: Mapping[str, Any]) -> float | None:
    """Return the value of a hyperparameter, None where there is none or it is no number."""
    for name, value in params.items():
        if isinstance(value, Real) and not isinstance(value, bool) and find(name, ambiguous=True) == role:
            return float(value)
    return None


@cache
def _defaults(optimizer: str) -> tuple[float, float]:
    """Return the least and the greatest default of the learning rate, of one optimizer or of all."""
    some = [optimizer] if optimizer in OPTIMIZERS else ["sgd", "adam"]
    values = [float(explain("learning_rate", optimizer=one).default.value) for one in some]
    return min(values), max(values)

"""Signs that a classifier only guesses, however calm its curves look: what speaks for that is never called healthy.

A network that gives each of K classes the same probability has a cross-entropy of log K in nats and is right in a share
of exp(-loss). The signs do not tell why nothing was learnt; a learning rate that is far too high is a usual reason.
"""

from __future__ import annotations

import math

import numpy as np

from tunewell.analysis.diagnosis.curves import Curves
from tunewell.analysis.diagnosis.features import measured
from tunewell.analysis.diagnosis.shapes import late
from tunewell.analysis.words import percent, short
from tunewell.scales import Floats

_ABOVE, _FEW, _GAINED = 0.03, 0.55, 0.1
"""How far an accuracy lies above exp(-loss) at least where something is learnt, and how far above where it began; and
the accuracies that may be luck.
"""
_CLASSES, _NEAR = 20, 0.01
"""Up to so many classes, a loss as near to log K as this share of it is no accident where two curves agree."""


def guessing(curves: Curves) -> str:
    """Return in words that a training ends where guessing would, an empty string where nothing speaks for it."""
    features = measured(curves)
    if not math.isnan(features.get("skill_above", math.nan)):
        right = features["accuracy"]
        if features["skill_above"] < _ABOVE and right < _FEW and features["accuracy_gained"] < _GAINED:
            return f"an accuracy of {percent(right)} is that of guessing"
        return ""
    losses = [kept for kept in (_kept(curves.train_loss), _kept(curves.val_loss)) if len(kept)]
    if len(losses) < 2:
        return ""
    # Where the rate decays to 0, a network that guesses comes down to the level only in its very last reports.
    return _at_chance([late(kept) for kept in losses]) or _at_chance([float(kept[-1]) for kept in losses])


def _at_chance(levels: list[float]) -> str:
    """Return in words that two losses are those of guessing, an empty string where they are not."""
    if min(levels) <= 0.0:
        return ""
    classes = round(math.exp(min(max(levels), 10.0)))
    if not 2 <= classes <= _CLASSES or any(abs(level / math.log(classes) - 1.0) > _NEAR for level in levels):
        return ""
    return f"a loss of {short(levels[-1], 3)} in training and validation is that of guessing among {classes} classes"


def _kept(values: Floats | None) -> Floats:
    return np.empty(0) if values is None else values[np.isfinite(values)]

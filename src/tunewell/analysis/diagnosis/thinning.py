"""Curves as they would be with fewer reports, so that a diagnosis does not depend on how often one reports.

The judge knows trainings of :data:`REPORTS` reports. Noise, ups and downs and what lies between neighbours change with
the number of reports, so a curve with many more is cut into as many blocks as it would have had reports. What is an
average over the steps since the last report (training loss and accuracy, updates) becomes the mean of its block, a norm
of the gradient the median; what is measured at one step (validation, dead units) becomes the last value of its block.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tunewell.analysis.diagnosis.curves import Curves, Role
from tunewell.scales import Floats

REPORTS = 24
"""How many reports the trainings had that the judge was learnt on."""
MOST = 32
"""Up to so many reports a training, curves are left as they are."""
LEAST = 12
"""A curve is never cut into fewer blocks, however early it is."""

_AT_ONE_STEP: frozenset[Role] = frozenset({"val_loss", "val_accuracy", "dead_units"})


def share_of(curves: Curves) -> float:
    """Return the share of its steps that a training has taken, above 0 and at most 1; 1 where nobody knows."""
    if not curves.total or not len(curves.steps):
        return 1.0
    return min(max(float(curves.steps[-1]) / curves.total, 1e-9), 1.0)


def thinned(curves: Curves) -> Curves:
    """Return the curves of the same training with about :data:`REPORTS` reports over all its steps.

    Those with at most :data:`MOST` are returned as they are. The blocks are equally long in reports; the step of each
    is that of its last report.
    """
    n, share = len(curves.steps), share_of(curves)
    blocks = max(LEAST, round(REPORTS * share))
    if n <= MOST * share or n <= blocks:
        return curves
    return _cut(curves, np.round(np.linspace(0, n, blocks + 1)).astype(int).tolist())


def fewer(curves: Curves, every: int) -> Curves:
    """Return the curves as they would be with one report for every so many, the first of perhaps fewer."""
    n = len(curves.steps)
    return _cut(curves, [0, *range(n % every or every, n + 1, every)]) if every > 1 else curves


def _cut(curves: Curves, ends: Sequence[int]) -> Curves:
    """Return one report for each block of reports; ``ends`` is where they end, after a 0."""
    spans = [slice(*pair) for pair in itertools.pairwise(ends)]
    values = {role: np.array([_one(role, part[span]) for span in spans]) for role, part in curves.known.items()}
    return replace(curves, steps=curves.steps[np.array(ends[1:]) - 1], **values)  # type: ignore[arg-type]


def _one(role: Role, block: Floats) -> float:
    """Return what one report instead of several would have said; only their finite values count where there are any."""
    finite = block[np.isfinite(block)]
    if not len(finite):
        return math.inf if np.isinf(block).any() else math.nan
    if role in _AT_ONE_STEP:
        return float(finite[-1])
    return float(np.median(finite) if role == "grad_norm" else finite.mean())

"""The course of a training: its curves at places that all trainings have in common, in numbers without units.

A curve is read at the middles of equal parts of its reports, by straight lines between them. A loss is measured as
log(loss / u), u the first loss as in :mod:`.features`, and as the logarithm of how far a report lies from the line
between its neighbours; an accuracy by what it gained since the first report; a gradient's norm by the logarithm of its
quotient by the median, update ratios by their logarithms. What is not known is NaN, as are losses that may be negative.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from tunewell.analysis.diagnosis.curves import Curves, Role
from tunewell.analysis.diagnosis.features import as_shares, finite
from tunewell.analysis.diagnosis.shapes import TINY
from tunewell.scales import Floats

_LEAST, _MOST = -6.0, 3.0  # logarithms of a loss over the first
_FINE = 1e-4  # less is a rounding error
_PLACES: Mapping[Role, int] = {
    "train_loss": 12, "val_loss": 12, "train_accuracy": 8, "val_accuracy": 8, "grad_norm": 8, "update_ratio": 8,
    "dead_units": 4,
}  # fmt: skip
_ROUGH = 6  # places at which the roughness of a loss is read
NAMES = (
    *(f"{role}_at_{k}" for role, n in _PLACES.items() for k in range(n)),
    *(f"{role}_rough_{k}" for role in ("train_loss", "val_loss") for k in range(_ROUGH)),
)


def course(curves: Curves) -> dict[str, float]:
    """Return the course of a training by name; NaN for what its curves do not tell."""
    found = dict.fromkeys(NAMES, math.nan)
    losses = {role: finite(values) for role, values in curves.known.items() if role.endswith("_loss")}
    known = [values for values in losses.values() if values is not None]
    positive = bool(known) and min(float(values.min()) for values in known) >= 0.0
    for role, values in curves.known.items():
        if finite(values) is None or (role in losses and not positive):
            continue
        seen = np.isfinite(values)
        places = (np.flatnonzero(seen) + 0.5) / len(values)
        if role in losses:
            level = np.log(np.maximum(values[seen] / max(float(known[0][0]), TINY), _FINE))
            level = np.clip(level, _LEAST, _MOST)
            found |= _read(f"{role}_at", places, level, _PLACES[role])
            found |= _read(f"{role}_rough", places, _roughness(level), _ROUGH)
        else:
            found |= _read(f"{role}_at", places, _MEASURES[role](values[seen]), _PLACES[role])
    return found


def _read(name: str, places: Floats, values: Floats, n: int) -> dict[str, float]:
    at = np.interp((np.arange(n) + 0.5) / n, places, values)
    return {f"{name}_{k}": value for k, value in enumerate(at.tolist())}


def _roughness(level: Floats) -> Floats:
    """Return log10 of how far each value is from the line between its neighbours; the ends have themselves as one."""
    padded = np.concatenate([level[:1], level, level[-1:]])
    rough: Floats = np.log10(np.abs(level - 0.5 * (padded[:-2] + padded[2:])) + _FINE)
    return rough


def _gained(values: Floats) -> Floats:
    shares = as_shares(values)
    gained: Floats = shares - shares[0]
    return gained


def _about_median(values: Floats) -> Floats:
    logs = np.log10(np.maximum(values, TINY))
    relative: Floats = np.clip(logs - np.median(logs), -4.0, 4.0)
    return relative


_MEASURES: Mapping[Role, Callable[[Floats], Floats]] = {
    "train_accuracy": _gained,
    "val_accuracy": _gained,
    "grad_norm": _about_median,
    "update_ratio": lambda values: np.clip(np.log10(np.maximum(values, TINY)), -8.0, 1.0),
    "dead_units": lambda values: values,
}

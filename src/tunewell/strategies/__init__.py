"""Composition over time: what is tried when, from one stage of a study to the next.

A strategy is a sampler made of others: chosen by name as any sampler is, e.g. ``sampler="coarse_to_fine"``.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Approach": "approach",
    "CoarseToFine": "coarse_to_fine",
    "Tiered": "tiered",
    "TieredPlan": "plan",
    "panda_or_caviar": "approach",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tunewell.strategies' has no attribute {name!r}")
    return getattr(import_module(f"tunewell.strategies.{_HOMES[name]}"), name)

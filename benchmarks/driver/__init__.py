"""The driver's own time per event, from 100 to 100,000 trials."""

from __future__ import annotations

SIZES = (100, 1_000, 10_000, 100_000)
WORKERS = 8
DEPTH = {"fifo": 2, "asha": 9}
"""Steps of a trial that is never stopped: 2 reports a trial, or rungs at 1 and 3 and an end at 9 (asha, η = 3)."""


def windows(largest: int) -> dict[int, tuple[int, int]]:
    """Return for each size up to ``largest`` the trials between which it is measured: the last tenth, at least 50."""
    return {size: (min(size - size // 10, size - 50), size - 1) for size in SIZES if size <= largest}

"""Who leads: the smallest newest loss among trials that rest in order or train, without looking at all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from heapq import heapify, heappop, heappush

from tunewell.events import Status
from tunewell.records import OBSERVED, TrialRecord

_STALE = 1000  # entries, beside as many as there are trials

Standing = tuple[float, int]
"""The loss by which a trial is compared with the others, infinite if by none, and its number."""


class Leaders:
    """A heap of standings, some of them stale; from the first question on it is kept up to date."""

    def __init__(self) -> None:
        self._heap: list[Standing] | None = None

    def look(self, record: TrialRecord, trials: Sequence[TrialRecord]) -> None:
        """Take in that something has happened to one of the trials."""
        if self._heap is None:
            return
        heappush(self._heap, _standing(record))
        if len(self._heap) > 2 * len(trials) + _STALE:
            self._heap = None  # mostly stale: to be made anew

    def first(self, trials: Sequence[TrialRecord]) -> Standing | None:
        """Return the best standing; None where no trial has a loss to be compared by."""
        if self._heap is None:
            self._heap = list(map(_standing, trials))
            heapify(self._heap)
        while self._heap and self._heap[0] != _standing(trials[self._heap[0][1]]):
            heappop(self._heap)
        return self._heap[0] if self._heap and self._heap[0][0] < math.inf else None


def _standing(record: TrialRecord) -> Standing:
    if record.status is not Status.RUNNING and record.status not in OBSERVED:
        return math.inf, record.number
    loss = record.loss
    if loss is None or not math.isfinite(loss) or not record.feasible:
        return math.inf, record.number
    return loss, record.number

"""When the objective as such fails, and no more trials are worth beginning: the same failure again and again.

A broken script fails in its first trials, all alike. Beside trials that come through a failure is a flake or a
configuration that does not work; only many in a row, as of a data server that went down, speak against going on.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from tunewell.events import Ended
from tunewell.records import TrialRecord

AT_FIRST, IN_A_ROW = 3, 10
"""Failures that are alike before any trial of the run has come through, and one after the other once one has."""


@dataclass
class Failures:
    """What has failed in a run since a trial last came through; ``verdict`` says in words why the run has to end."""

    verdict: str = ""
    _alike: Counter[str] = field(default_factory=Counter)
    _anyone_came_through: bool = False

    def add(self, event: Ended, trial: TrialRecord) -> None:
        """Take in a trial that failed."""
        kind = _kind(event)
        self._alike[kind] += 1
        if self._alike[kind] >= (IN_A_ROW if self._anyone_came_through else AT_FIRST):
            self.verdict = (
                f"the objective failed {self._alike[kind]} times in the same way, so the run ended: "
                f"{event.reason} (trial {event.trial}, {dict(trial.params)})\n{event.error}"
            ).rstrip()

    def came_through(self) -> None:
        """Note that a trial got as far as it was meant to."""
        self._anyone_came_through = True
        self._alike.clear()


def _kind(event: Ended) -> str:
    """Return what makes two failures the same: the kind of exception and the line that raised it."""
    places = re.findall(r'File "([^"]+)", line (\d+)', event.error)
    kind = event.reason.partition(":")[0]
    return f"{kind} at {places[-1]}" if places else kind

"""When the objective as such fails, and no more trials are worth beginning: the same failure again and again.

A broken script fails in its first trials, all alike. Where others got beyond the step at which a trial failed, that was
a flake or a configuration that does not work; only many in a row, as of a data server that went down, speak against
going on. A trial that rests before that step proves nothing: what breaks at the end is yet to come. And of a trial that
fails as soon as it is taken up, as its weights do not fit, only others that were taken up are proof.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from tunewell.events import Ended
from tunewell.records import TrialRecord

AT_FIRST, IN_A_ROW = 3, 10
"""Failures that are alike before any trial of the run got further, and with none that did in between once one has."""


@dataclass
class _Alike:
    """Failures of one kind: how many, their furthest step, and whether all came as soon as a trial was taken up."""

    count: int = 0
    step: float = 0.0
    at_once: bool = True


@dataclass
class Failures:
    """What has failed in a run; ``verdict`` says in words why the run has to end, if it has."""

    verdict: str = ""
    _alike: dict[str, _Alike] = field(default_factory=dict)
    _furthest: dict[bool, float] = field(default_factory=lambda: {False: 0.0, True: 0.0})  # True: trials taken up

    def add(self, event: Ended, trial: TrialRecord) -> None:
        """Take in a trial that failed."""
        alike = self._alike.setdefault(_kind(event), _Alike())
        alike.count += 1
        alike.step = max(alike.step, trial.step)
        alike.at_once = alike.at_once and 0 < trial.resumed_from == trial.step
        furthest = self._furthest[True] if alike.at_once else max(self._furthest.values())
        if alike.count >= (IN_A_ROW if furthest > alike.step else AT_FIRST):
            self.verdict = (
                f"the objective failed {alike.count} times in the same way, so the run ended: "
                f"{event.reason} (trial {event.trial}, {dict(trial.params)})\n{event.error}"
            ).rstrip()

    def passed(self, trial: TrialRecord, *, whole: bool = False) -> None:
        """Note that a trial was paused or stopped where it is, or is ``whole``."""
        step, taken_up = math.inf if whole else trial.step, trial.resumed_from > 0
        self._furthest[taken_up] = max(self._furthest[taken_up], step)
        for alike in self._alike.values():
            if alike.step < step and (taken_up or not alike.at_once):
                alike.count = 0


def _kind(event: Ended) -> str:
    """Return what makes two failures the same: the kind of exception and the line that raised it."""
    places = re.findall(r'File "([^"]+)", line (\d+)', event.error)
    kind = event.reason.partition(":")[0]
    return f"{kind} at {places[-1]}" if places else kind

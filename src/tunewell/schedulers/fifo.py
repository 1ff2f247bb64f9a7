"""First in, first out: every trial trains to its end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tunewell.events import Reported
from tunewell.history import History
from tunewell.protocols import Action, Continue, Start, Verdict
from tunewell.space import Space


@dataclass(frozen=True)
class Fifo:
    """Starts a trial whenever a worker is free and never stops one."""

    def next_action(self, space: Space, history: History, rng: np.random.Generator) -> Action:
        """Start the next one."""
        return Start()

    def decide(self, history: History, report: Reported) -> Verdict:
        """Go on."""
        return Continue()

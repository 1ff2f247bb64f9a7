"""How a driver learns of a person's requests, and carries out those that need no worker."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tunewell.events import Event
from tunewell.guards import taken_back
from tunewell.history import History
from tunewell.ledger import Ledger
from tunewell.wishes import Place, next_events

LISTEN_SECONDS = 0.2
"""How long a request may go unnoticed at step boundaries; where steps are longer, each boundary looks."""


@dataclass
class Granting:
    """A driver's ear for requests: ``clock`` is the executor's, ``heard`` is told what was written."""

    ledger: Ledger
    clock: Callable[[], float]
    heard: Callable[[Sequence[Event]], None]
    _listened: float = -math.inf

    def listen(self) -> bool:
        """Take in what others have written, unless that was done just now; return whether there is anything to do."""
        now = time.monotonic()
        if now - self._listened >= LISTEN_SECONDS:
            self._listened = now
            self.ledger.catch_up()
        return self._wanted()

    def grant(self, trial: int | None = None) -> None:
        """Carry out what can be: at the step boundary of a trial, or else for trials that rest."""

        def decide(history: History) -> Sequence[Event]:
            now = self.clock()
            return taken_back(history, now, trial) or next_events(history, Place(now, trial))

        while self._wanted() and (granted := self.ledger.commit(decide)):
            self.heard(granted)

    def _wanted(self) -> bool:
        history = self.ledger.history
        return bool(history.pending or history.guarded)

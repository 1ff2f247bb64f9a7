"""A journal that lives as long as the process."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from tunewell.events import Event
from tunewell.protocols import Conflict


class MemoryJournal:
    """A list with a lock."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._lock = threading.RLock()
        self._beats: Counter[str] = Counter()

    def append(self, events: Sequence[Event], after: int | None) -> int:
        """Append all of ``events``; see :class:`tunewell.protocols.Journal`."""
        with self._lock:
            if after is not None and after != len(self._events):
                raise Conflict(f"expected {after} events, found {len(self._events)}")
            self._events.extend(events)
            return len(self._events)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Keep other threads from appending; see :class:`tunewell.protocols.Journal`."""
        with self._lock:
            yield

    def read(self, start: int = 0) -> Iterator[Event]:
        """Yield the events after the first ``start`` that are there at the time of the call."""
        return iter(self._events[start:])

    def beat(self, driver: str) -> None:
        """Count one more beat."""
        with self._lock:
            self._beats[driver] += 1

    def beats(self) -> Mapping[str, int]:
        """Return the beats of each driver."""
        with self._lock:
            return dict(self._beats)

"""Which drivers still live: what a process number cannot tell across machines, beats can.

Every driver counts up a number in the journal while it lives. Whoever waits for its trials looks whether the number
still changes, by its own clock, so that clocks need not agree. On one machine the process itself is looked at, which
is quicker (:mod:`tunewell.identity`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tunewell.identity import is_near
from tunewell.protocols import Journal

BEAT_SECONDS = 10.0
SILENT_SECONDS = 300.0
"""A driver on another machine that has not beaten for so long is taken to be gone. Should it live after all (it was
suspended, say), nothing breaks: its trials belong to another driver by then, and what it says of them is dropped."""


@contextmanager
def beating(journal: Journal, driver: str) -> Iterator[None]:
    """Let a driver's heart beat in a thread of its own, whatever the driver's own thread is busy with."""
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(BEAT_SECONDS):
            try:
                journal.beat(driver)
            except Exception:  # noqa: BLE001 (the driver itself will meet it, and can say so)
                continue

    heart = threading.Thread(target=beat, name="tunewell-heartbeat", daemon=True)
    heart.start()
    try:
        yield
    finally:
        stop.set()
        heart.join()


NEAR_SECONDS = 60.0
"""The same for a driver whose host is called as ours: most often it is ours, which was started anew."""


class Listener:
    """Listens for the beats of other drivers."""

    def __init__(self) -> None:
        self._heard: dict[str, tuple[int | None, float]] = {}  # the count, and when it was first seen so

    def silent(self, drivers: set[str], beats: Mapping[str, int], now: float) -> set[str]:
        """Return the drivers whose count has not changed for too long; ``now`` is any steady clock, in s.

        A driver that dies before its first beat is silent from when it was first looked for.
        """
        for driver in drivers:
            count = beats.get(driver)
            if driver not in self._heard or self._heard[driver][0] != count:
                self._heard[driver] = (count, now)
        return {driver for driver in drivers if now - self._heard[driver][1] > _patience(driver)}


def _patience(driver: str) -> float:
    return min(NEAR_SECONDS, SILENT_SECONDS) if is_near(driver) else SILENT_SECONDS

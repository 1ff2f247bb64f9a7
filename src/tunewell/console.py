"""What a running study shows: a live view on a terminal, one line per event elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from tunewell.events import Event
from tunewell.history import History


class View(Protocol):
    """Somebody who looks on while a study runs."""

    def watch(self, history: History, events: Sequence[Event]) -> None:
        """See new events; called without any as time passes."""
        ...

    def say(self, text: str) -> None:
        """Say something that is no event."""
        ...


class Silent:
    """Looks away."""

    def watch(self, history: History, events: Sequence[Event]) -> None:
        """Do nothing."""

    def say(self, text: str) -> None:
        """Say nothing."""


@contextmanager
def watching(study: Any, budget: Any, progress: bool | Callable[[History, Sequence[Event]], None]) -> Iterator[View]:
    """Open the view that ``progress`` asks for."""
    yield Silent()

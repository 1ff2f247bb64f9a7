"""What a running study shows: a live view on a terminal, one line per event elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tunewell.events import Event
from tunewell.history import History

if TYPE_CHECKING:
    from tunewell.limits import Limits

Progress = bool | Callable[[History, Sequence[Event]], Any]


class Watched(Protocol):
    """What is looked at: a study, as far as it matters here."""

    name: str

    @property
    def history(self) -> History:
        """The history as it is now."""
        ...

    @property
    def storage(self) -> str | None:
        """The storage's URL, None in memory."""
        ...


class View(Protocol):
    """Somebody who looks on while a study runs."""

    def watch(self, history: History, events: Sequence[Event]) -> None:
        """See new events; called without any as time passes."""
        ...

    def say(self, text: str) -> None:
        """Say something that is no event; may be called from a signal handler."""
        ...

    def end(self, reason: str) -> None:
        """Hear why the run ended in order; not called after an exception."""
        ...


class Silent:
    """Looks away."""

    def watch(self, history: History, events: Sequence[Event]) -> None:
        """Do nothing."""

    def say(self, text: str) -> None:
        """Say nothing."""

    def end(self, reason: str) -> None:
        """Do nothing."""


class Passing:
    """Passes new events on to a function of the user's; remarks go to standard error."""

    def __init__(self, function: Callable[[History, Sequence[Event]], Any]) -> None:
        self._function = function

    def watch(self, history: History, events: Sequence[Event]) -> None:
        """Call the function when there are new events."""
        if events:
            self._function(history, events)

    def say(self, text: str) -> None:
        """Write the remark."""
        os.write(2, f"{text}\n".encode(errors="replace"))  # safe in a signal handler

    def end(self, reason: str) -> None:
        """Do nothing: ``study.run`` returns the reason."""


@contextmanager
def watching(study: Watched, limits: Limits, progress: Progress) -> Iterator[View]:
    """Open the view that ``progress`` asks for, and close it with a summary, whatever happens meanwhile.

    Raises:
        TypeError: ``progress`` is neither True nor False nor a function.
    """
    if progress is False:
        yield Silent()
    elif progress is not True:
        if not callable(progress):
            raise TypeError(f"run expected progress=True, False or a function (history, events), got {progress!r}")
        yield Passing(progress)
    else:
        with _shown(study, limits) as view:
            yield view


@contextmanager
def _shown(study: Watched, limits: Limits) -> Iterator[View]:
    from tunewell.console.findings import findings
    from tunewell.console.lines import LineView, write_line
    from tunewell.console.summary import summary
    from tunewell.console.text import goal, plural

    view: Any
    before = f", {plural(len(study.history.trials), 'trial')} so far" if study.history.trials else ""
    write_line(f"study {study.name}: {goal(study.history)}{before}")
    for line in findings(study.history, _storage(study), limits.trials):
        write_line(line)
    if on_terminal():
        from tunewell.console.live import LiveView

        view = LiveView(study.history, limits)
        view.open()
    else:
        view = LineView(study.history)
    told = _Told(view)
    try:
        yield told
    except BaseException as error:
        told.end("interrupted" if isinstance(error, KeyboardInterrupt) else f"{type(error).__name__}: {error}")
        raise
    finally:
        view.close(study.history)
        for line in summary(study.history, _storage(study), told.reason.partition("\n")[0]):
            write_line(line)


class _Told:
    """Passes everything on to a view and keeps the reason that the run gives for its end."""

    def __init__(self, view: View) -> None:
        self.reason = ""
        self.watch = view.watch
        self.say = view.say

    def end(self, reason: str) -> None:
        self.reason = reason


def on_terminal() -> bool:
    """Return whether standard output is a terminal that can be drawn on, and nothing of Rich's draws there already."""
    encoding = (getattr(sys.stdout, "encoding", "") or "").lower().replace("-", "")
    if not sys.stdout.isatty() or os.environ.get("TERM", "dumb") in ("dumb", "unknown") or encoding != "utf8":
        return False
    from rich.file_proxy import FileProxy

    return not isinstance(sys.stdout, FileProxy)


def _storage(study: Watched) -> str | None:
    """Return the study's storage as one would type it, without a password; None for a study in memory."""
    if study.storage is None or not study.storage.startswith("sqlite:///"):
        return study.storage
    from sqlalchemy import make_url

    path, here = Path(make_url(study.storage).database or "").absolute(), Path.cwd()
    if path == here / "tunewell.db":
        return "sqlite:///tunewell.db"
    return str(path.relative_to(here) if path.is_relative_to(here) else path)

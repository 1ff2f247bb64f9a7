"""The live view on a terminal: drawn a few times a second by a thread of its own, so that a run hardly pays for it.

Built on Rich's ``Live``, which keeps what the objective prints above the view. Three things are done besides:

* A terminal that gets narrower wraps the lines that are on it already; they are taken away before the next drawing.
* A process that forks (a data loader with workers, say) must not leave its child with a lock that the drawing thread
  holds, so forks wait for the drawing to end. What the child prints comes above the view, too.
* ``breakpoint()`` in an objective that runs in this process ends the view: a debugger needs the terminal to itself.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType, Segment
from rich.text import Text

from tunewell.console.frame import Scene, frame
from tunewell.console.lines import LineView, sentence
from tunewell.console.seen import Best, Pace, meters
from tunewell.console.text import one_line, stamp
from tunewell.events import Ended, Event, Status
from tunewell.history import History

if TYPE_CHECKING:
    from tunewell.limits import Limits

DRAW_SECONDS = 0.3
REMARKS = 12
_DRAWING = threading.RLock()
_GONE = (OSError, ValueError)  # what writing to a terminal that is gone raises


class Drawn:
    """A frame, turned into segments once: Rich draws it again at each line the objective prints."""

    def __init__(self, lines: Sequence[Text], console: Console) -> None:
        self.lines = lines
        text = Text("\n").join(lines)
        text.no_wrap, text.overflow, text.end = True, "crop", ""
        self._segments = list(console.render(text))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterable[Segment]:
        return iter(self._segments)

    def rows(self, width: int) -> int:
        """Return the rows that the lines take once a terminal has wrapped them to ``width``."""
        return sum(max(1, -(-line.cell_len // width)) for line in self.lines)


class LiveView:
    """Draws from :meth:`open` to :meth:`close`; after a breakpoint it writes lines."""

    def __init__(self, history: History, limits: Limits, console: Console | None = None) -> None:
        self._history = history
        self._limits = limits
        self._console = console or Console()
        self._best = Best()
        self._remarks: deque[str] = deque(maxlen=REMARKS)
        self._to_print: deque[str] = deque()
        self._heard = time.monotonic()
        self._pace = Pace(self._heard, {m.name: m.used for m in meters(history, limits, history.active_seconds)})
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stderr=sys.stderr.isatty(),
            vertical_overflow="crop",
        )
        self._drawn: Drawn | None = None
        self._width = self._console.size.width
        self._tallest = 0
        self._open = False
        self._enough = threading.Event()  # no more drawing
        self._thread = threading.Thread(target=self._keep_drawing, name="tunewell-live-view", daemon=True)
        self._instead: LineView | None = None
        self._breakpoint = sys.breakpointhook

    def open(self) -> None:
        """Take the terminal."""
        self._open = True
        _guard_forks()
        sys.breakpointhook = self._debug
        self._live.start()
        self._draw()
        self._thread.start()

    def close(self, history: History) -> None:
        """Give the terminal back as it was, with what was said."""
        if self._open:
            self._open = False
            self._enough.set()
            if sys.breakpointhook == self._debug:
                sys.breakpointhook = self._breakpoint
            with suppress(*_GONE):
                try:
                    if self._thread.is_alive():
                        self._thread.join()
                    with _DRAWING:
                        self._print_remarks()
                        sys.stdout.flush()  # a line that was begun
                finally:
                    self._live.stop()
        if self._instead is not None:
            self._instead.close(history)

    def watch(self, history: History, events: Sequence[Event]) -> None:
        """Keep in mind what the next frame shows; trials that went wrong are told for good."""
        if self._instead is not None:
            self._instead.watch(history, events)
            return
        self._history = history
        if events:
            self._heard = time.monotonic()
        for event in events:
            text = sentence(event, history)
            if text:
                self._remarks.append(f"{stamp(event.time)} {text}")
                if isinstance(event, Ended) and event.status is Status.FAILED:
                    self._to_print.append(self._remarks[-1])
        if self._to_print:
            with _DRAWING, suppress(*_GONE):
                self._print_remarks()

    def say(self, text: str) -> None:
        """Show a remark; may be called from a signal handler, so nothing is drawn here."""
        if self._instead is not None:
            self._instead.say(text)
            return
        self._remarks.append(one_line(text))
        self._to_print.append(one_line(text, 2000))

    def _print_remarks(self) -> None:
        while self._to_print:
            self._console.print(Text(self._to_print.popleft()), soft_wrap=True)

    # --- drawing ------------------------------------------------------------------------------------------------------

    def _keep_drawing(self) -> None:
        while not self._enough.wait(DRAW_SECONDS):
            self._draw()

    def _draw(self) -> None:
        with _DRAWING:
            if self._enough.is_set():
                return
            try:
                width, height = self._console.size
                lines = frame(self._scene(), width, height)
                self._tallest = min(max(self._tallest, len(lines)), height - 1)  # so that nothing jumps up and down
                lines += [Text() for _ in range(self._tallest - len(lines))]
                drawn = Drawn(lines, self._console)
            except (IndexError, KeyError, RuntimeError):  # caught the history in the middle of an event
                return
            try:
                if width < self._width and self._drawn is not None:
                    self._console.control(_take_away(self._drawn, width))
                self._drawn, self._width = drawn, width
                self._live.update(drawn, refresh=True)
            except _GONE:
                self._enough.set()

    def _scene(self) -> Scene:
        history, now = self._history, time.monotonic()
        since = max(0.0, now - self._heard)
        running = len(history.running)
        self._best.look(history)
        used = meters(history, self._limits, history.active_seconds + (since if history.in_training else 0.0))
        left = self._pace.left(used, now, running)
        return Scene(history, self._best, used, left, since, list(self._remarks))

    # --- breakpoints --------------------------------------------------------------------------------------------------

    def _debug(self, *arguments: Any, **named: Any) -> Any:
        self.close(self._history)
        self._instead = LineView(self._history)
        if self._breakpoint is not sys.__breakpointhook__ or os.environ.get("PYTHONBREAKPOINT"):
            return self._breakpoint(*arguments, **named)
        import pdb

        return pdb.Pdb().set_trace(sys._getframe(1))


def _take_away(drawn: Drawn, width: int) -> Control:
    """Erase a frame that has been wrapped to ``width`` and leave the cursor where its last line would be unwrapped."""
    up: list[Any] = [(ControlType.CURSOR_UP, 1), (ControlType.ERASE_IN_LINE, 2)]
    return Control(
        ControlType.CARRIAGE_RETURN,
        (ControlType.ERASE_IN_LINE, 2),
        *(up * (drawn.rows(width) - 1)),
        *([(ControlType.CURSOR_DOWN, len(drawn.lines) - 1)] if len(drawn.lines) > 1 else []),
    )


@cache
def _guard_forks() -> None:
    """Keep forks and drawings apart; once, because the hooks cannot be taken back."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_DRAWING.acquire, after_in_parent=_DRAWING.release, after_in_child=_DRAWING.release)

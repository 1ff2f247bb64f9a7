"""One person's look at a study: what is new in it, what was asked for, and the frame that shows it."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rich.console import Console

from tunewell.console.text import one_line
from tunewell.events import Event
from tunewell.history import History
from tunewell.protocols import Journal, JournalError
from tunewell.watching.acting import act, looked, meant
from tunewell.watching.advice import Advice, advise
from tunewell.watching.frame import Scene, frame
from tunewell.watching.typed import Mistyped, Typed
from tunewell.watching.view import Told, View, became, moved_on, number_of, taken_in, trained

if TYPE_CHECKING:
    from tunewell.study import Study

_KEPT = 2000  # events that the page may tell of


@dataclass
class Onlooker:
    """Reads a study from its journal, new events only, and writes into it what a person types.

    Attributes:
        journal: where the study is read.
        opened: opens the study to write into it, called when something is first to be written.
        plain: the terminal shows ASCII only.
        answer: what there is to say about the newest command, in a sentence.
        typing: a person is typing a command, which is meant for the trial on the screen: the view stays with it.
    """

    journal: Journal
    opened: Callable[[], Study]
    view: View = field(default_factory=View)
    plain: bool = False
    answer: str = ""
    history: History = field(default_factory=History)
    advice: Advice | None = None
    trained: bool = False
    typing: bool = False
    told: deque[Told] = field(default_factory=lambda: deque(maxlen=_KEPT))
    _study: Study | None = None
    _unfollowed: list[Event] = field(default_factory=list)  # what came while somebody typed
    _asked: tuple[str, int] | None = None  # what was typed, and the number of the request
    _refusal: str = ""  # what the storage said when it did not answer
    _drawn: tuple[object, str] = (None, "")  # what the newest frame shows, and the frame
    _judged: tuple[int | None, int] = (None, -1)  # the trial and the number of events that the advice is about

    def look(self) -> None:
        """Take in what is new; a storage that does not answer is told of and tried again the next time."""
        try:
            new = list(self.journal.read(len(self.history)))
        except JournalError as error:
            self.answer = self._refusal = f"{one_line(str(error))}; trying again"
            return
        self.answer = "" if self.answer == self._refusal else self.answer
        self.told.extend(taken_in(self.history, new))
        self._unfollowed.extend(new)
        if not self.typing:
            self.view = moved_on(self.view, self.history, self._unfollowed)
            self._unfollowed.clear()
        self.trained = trained(self.history)
        self._judge()
        if self._asked is not None:
            asked, number = self._asked
            self.answer = became(self.history, number, asked, self.trained)
            if number in self.history.answers:
                self._asked = None

    def hear(self, text: str) -> bool:
        """Do what a person typed; return whether it was to leave. What is wrong with it is the answer."""
        try:
            typed = meant(text, self.history, self.view, self.advice)
            if typed.verb == "quit":
                return True
            self.view, self.answer, self._asked = looked(typed, self.view), "", None
            self._write(typed, one_line(text, 60))
        except (Mistyped, ValueError, JournalError) as error:
            self.answer, self._asked = one_line(str(error)), None
        self.look()
        return False

    def turn(self, by: int) -> None:
        """Look at the trial before or after; at the ends it stays."""
        if self.view.trial is not None and 0 <= self.view.trial + by < len(self.history.trials):
            self.view = replace(self.view, trial=self.view.trial + by, chosen=True, beside=None, helping=False)
            self._judge()

    def scene(self) -> Scene:
        """Return what a frame shows now."""
        return Scene(self.history, self.view, list(self.told), self.advice, self.trained, self.plain)

    def drawn(self, width: int, height: int, colours: bool = True) -> str:
        """Return the frame as text with the codes of a terminal; made anew only where there is something new."""
        shows = (len(self.history), self.view, self.trained, self.plain, width, height, colours)
        if shows != self._drawn[0]:
            self._drawn = shows, self._made(width, height, colours)
        return self._drawn[1]

    def _made(self, width: int, height: int, colours: bool) -> str:
        console = Console(
            file=io.StringIO(),
            width=max(width, 1),
            force_terminal=colours,
            color_system="standard" if colours else None,
            no_color=not colours,
            highlight=False,
            legacy_windows=False,
        )
        with console.capture() as captured:
            for line in frame(self.scene(), width, height):
                console.print(line, soft_wrap=True)
        return captured.get()

    def close(self) -> None:
        """Close the study if it was opened."""
        if self._study is not None:
            self._study.close()

    def _write(self, typed: Typed, text: str) -> None:
        if typed.verb in ("help", "watch", "compare"):
            return
        if self._study is None:
            self._study = self.opened()
        request = act(self._study, typed, self.view.trial)
        if request is None:
            self.answer = "noted"
            return
        self.look()
        number = number_of(self.history, request)
        self._asked = None if number is None else (text, number)

    def _judge(self) -> None:
        about = (self.view.trial, len(self.history))
        if about != self._judged:
            self._judged = about
            self.advice = None if self.view.trial is None else advise(self.history, self.view.trial)

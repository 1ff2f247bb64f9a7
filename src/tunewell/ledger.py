"""A history kept in step with its journal, by one of possibly many drivers.

Two things can be written. *Facts* (a trial's report, its end) are true whatever else happened; they are kept here until
something acts on them, and then cross to the journal together with it in one transaction. *Decisions* hang on the
history before them, so they are appended only if nobody has appended meanwhile; otherwise the history is brought up to
date and the decision is made again, in a turn in which the others wait.

While this driver is alone its facts enter the history at once, in the expectation that they will stand in the journal
in just that order: one transaction per decision. When the expectation fails the history is read anew, which takes
microseconds an event and drops what samplers remember with it; a person's word, which may as well come after
the reports that wait, does not cost that. As long as others are about, facts are written first and take the place the
journal gives them.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from tunewell.events import (
    CheckpointSaved,
    Ended,
    Enqueued,
    Event,
    Noted,
    Paused,
    Planned,
    Reported,
    Requested,
    SpaceChanged,
)
from tunewell.history import History
from tunewell.protocols import Conflict, Journal, JournalError

ALONE_AFTER = 200
"""Appends without a foreign event after which a driver takes itself to be alone again."""

PATIENCE_SECONDS = 600.0
"""How long a journal that refuses (a full disk, a database gone) is tried again before the driver gives up."""

LAST_SECONDS = 30.0
"""The same once the user has asked the driver to end."""

T = TypeVar("T")
E = TypeVar("E", bound=Event)
OfOneTrial = Planned | Reported | CheckpointSaved | Paused | Ended


class Ledger:
    """The one writer's view of a study: ``history`` is the fold of the journal plus the facts not yet written.

    Whatever breaks in between, such as a journal that refuses for too long or an interrupt, facts are kept until they
    stand in the journal.
    """

    def __init__(self, journal: Journal, files: Path, tell: Callable[[str], None] = lambda text: None) -> None:
        self.journal = journal
        self.tell = tell
        self._files = files
        self.patience = PATIENCE_SECONDS  # for how long to try again when the journal refuses
        self._facts: list[tuple[Event, str]] = []  # not in the journal yet, with the driver that found each
        self._appends_alone = ALONE_AFTER
        self.history = self._read_all()
        self._known = len(self.history)

    def keep_files_in(self, folder: Path) -> None:
        """Take ``folder`` for the place of checkpoints and logs, for the records there are and those to come."""
        self._files = self.history.files = folder

    @property
    def known(self) -> int:
        """How many events of the journal the history holds; what it holds beyond them are facts."""
        return self._known

    @property
    def unwritten(self) -> int:
        """How many facts are waiting to be written."""
        return len(self._facts)

    def record(self, facts: Sequence[Event], driver: str) -> None:
        """Take in facts about trials of ``driver``; they are written with the next decision or flush.

        Of a trial that is over, or another's by now, nothing is recorded: see :func:`still_true`.
        """
        for event in facts:
            if still_true(event, self.history, driver) and not self._is_about_to_end(event):
                self._facts.append((event, driver))
                if self._alone:
                    self.history.apply(event)
        if not self._alone:
            self.flush()

    def commit(self, decide: Callable[[History], Sequence[E]]) -> Sequence[E]:
        """Write what ``decide`` makes of the history, after all facts, and return it.

        Where others wrote meanwhile it decides again, while they wait: what takes long might never be in time.
        """
        if self._lacking:
            self.flush()
        decided = decide(self.history)
        done = not decided or self._append(decided)
        while not done:
            self.flush()
            with self._turn():
                decided = decide(self.history)
                done = not decided or self._append(decided)
        return decided

    def flush(self) -> None:
        """Write the facts that are waiting."""
        while self._facts and not self._append(()):
            pass

    def catch_up(self) -> None:
        """Take in what other drivers have written."""
        self.flush()
        if news := self._news():
            self._appends_alone = 0
            self._take_in(news)

    def glance(self) -> None:
        """As :meth:`catch_up`, without waiting to write: what could not be written stands in the history already."""
        if not self._facts:
            self.catch_up()
            return
        patience, self.patience = self.patience, -1.0
        try:
            self.catch_up()
        except JournalError as error:
            self.tell(f"{error}; {len(self._facts)} event(s) are kept in memory")
        finally:
            self.patience = patience

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Keep others from writing, with all that they have written in the history."""
        with ExitStack() as stack:
            self._patiently(lambda: stack.enter_context(self.journal.turn()))
            self._take_in(self._news())
            yield

    @property
    def _alone(self) -> bool:
        return self._appends_alone >= ALONE_AFTER

    @property
    def _lacking(self) -> list[tuple[Event, str]]:
        """The facts that the history does not hold yet; none while this driver is alone."""
        return self._facts[len(self.history) - self._known :]

    def _is_about_to_end(self, event: Event) -> bool:
        """Whether the end of the trial is waiting, which the history does not know of."""
        ends = {fact.trial for fact, _ in self._lacking if isinstance(fact, Paused | Ended)}
        return isinstance(event, OfOneTrial) and event.trial in ends

    def _append(self, decided: Sequence[Event]) -> bool:
        """Write all facts, and then what was decided on them; return False where others wrote first."""
        held = len(self.history) - self._known
        events = [*(fact for fact, _ in self._facts), *decided]
        try:
            self._patiently(lambda: self.journal.append(events, after=self._known))
        except Conflict:  # others wrote, or we did and never heard the answer
            self._appends_alone = 0
            self._hear_others()
            return False
        self._facts, self._known = [], self._known + held
        self._take_in(events[held:])
        self._appends_alone += 1
        return True

    def _hear_others(self) -> None:
        """Bring the history up to the end of the journal; facts that it took in too early take their place later.

        Nothing is forgotten before what replaces it is there: reading may break off.
        """
        news = self._news()
        if news and (len(self.history) == self._known or self._commute(news)):
            self._take_in(news)
        else:  # facts stand where others wrote, or the journal is shorter than it was
            self.history = self._patiently(self._read_all)
            self._known = len(self.history)
        held = len(self.history) - self._known
        left = [(fact, driver) for fact, driver in self._facts[held:] if still_true(fact, self.history, driver)]
        self._facts = [*self._facts[:held], *left]

    def _commute(self, news: Sequence[Event]) -> bool:
        """Whether the history is the same be the waiting facts before or after what others wrote.

        So it is with a person's word (a request, a remark, a configuration in line, another space) and how far trials
        have come, so none of them has the whole study read again.
        """
        facts = all(isinstance(fact, Planned | Reported) for fact, _ in self._facts)
        return facts and all(isinstance(event, Requested | Noted | Enqueued | SpaceChanged) for event in news)

    def _news(self) -> list[Event]:
        return self._patiently(lambda: list(self.journal.read(self._known)))

    def _take_in(self, news: Sequence[Event]) -> None:
        for event in news:
            self.history.apply(event)
            self._known += 1

    def _read_all(self) -> History:
        # The collector would walk the growing heap again and again, and a fold makes no cycles: half the time without.
        collecting = gc.isenabled()
        gc.disable()
        try:
            return History(self.journal.read(), self._files)
        finally:
            if collecting:
                gc.enable()

    def _patiently(self, act: Callable[[], T]) -> T:
        """Try again while the journal refuses: what has finished is kept in memory until it can be written."""
        delay, begin = 0.5, time.monotonic()
        while True:
            try:
                return act()
            except JournalError as error:
                if time.monotonic() - begin > self.patience:
                    raise
                self.tell(f"{error}; {len(self._facts)} event(s) are kept in memory, trying again in {delay:g} s")
                time.sleep(delay)
                delay = min(2 * delay, 30.0)


def still_true(event: Event, history: History, driver: str) -> bool:
    """Whether a fact about a trial is news: the trial still runs there, and the step has not been told before."""
    if not isinstance(event, OfOneTrial):
        return True
    if event.trial not in history.running or history.trials[event.trial].driver != driver:
        return False
    trial = history.trials[event.trial]
    if isinstance(event, Reported):
        return event.step > trial.step
    return not isinstance(event, CheckpointSaved) or event.step > trial.saved

"""A history kept in step with its journal, by one of possibly many drivers.

Two things can be written. *Facts* (a trial's report, its end) are true whatever else happened; they are kept here until
something acts on them, and then cross to the journal together with it in one transaction. *Decisions* hang on the
history before them, so they are appended only if nobody has appended meanwhile; otherwise the history is brought up to
date and the decision is made again.

While this driver is alone its facts enter the history at once, in the expectation that they will stand in the journal
in just that order: one transaction per decision. When the expectation fails the history is read anew, and as long as
others are about, facts are written first and take the place the journal gives them.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from tunewell.events import CheckpointSaved, Ended, Event, Paused, Planned, Reported
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


class Ledger:
    """The one writer's view of a study: ``history`` is the fold of the journal plus the facts not yet written."""

    def __init__(self, journal: Journal, files: Path, tell: Callable[[str], None] = lambda text: None) -> None:
        self.journal = journal
        self.tell = tell
        self._files = files
        self.patience = PATIENCE_SECONDS  # for how long to try again when the journal refuses
        self._facts: list[Event] = []
        self._appends_alone = ALONE_AFTER
        self.history = self._read_all()

    def keep_files_in(self, folder: Path) -> None:
        """Take ``folder`` for the place of checkpoints and logs, for the records there are and those to come."""
        self._files = self.history.files = folder

    @property
    def unwritten(self) -> int:
        """How many facts are waiting to be written."""
        return len(self._facts)

    def record(self, facts: Sequence[Event]) -> None:
        """Take in facts about this driver's own trials; they are written with the next decision or flush."""
        if self._alone:
            for event in facts:
                self.history.apply(event)
            self._facts.extend(facts)
        else:
            self._write(facts)

    def commit(self, decide: Callable[[History], Sequence[E]]) -> Sequence[E]:
        """Write what ``decide`` makes of the history, after all facts, and return it; decide again on a conflict."""
        while True:
            decided = decide(self.history)
            if not decided:
                return decided
            if self._append_expected([*self._facts, *decided], len(decided)):
                return decided

    def flush(self) -> None:
        """Write the facts that are waiting."""
        while self._facts:
            if self._append_expected(self._facts, 0):
                return

    def catch_up(self) -> bool:
        """Take in what other drivers have written; return whether there was anything."""
        self.flush()
        before = len(self.history)
        self._read_on()
        if len(self.history) > before:
            self._appends_alone = 0
        return len(self.history) > before

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

    @property
    def _alone(self) -> bool:
        return self._appends_alone >= ALONE_AFTER

    def _append_expected(self, events: Sequence[Event], undecided: int) -> bool:
        """Append at the place the history expects; the last ``undecided`` events are not in the history yet."""
        expected = len(self.history) - len(self._facts)
        try:
            self._patiently(lambda: self.journal.append(events, after=expected))
        except Conflict:
            self._others_wrote()
            return False
        self._facts = []
        self._appends_alone += 1
        for event in events[len(events) - undecided :] if undecided else ():
            self.history.apply(event)
        return True

    def _others_wrote(self) -> None:
        """Bring the history up to date; facts that it took in too early are written and take their true place."""
        if not self._facts:
            self._appends_alone = 0
            self.catch_up()
            return
        drivers = self._drivers(self._facts)
        self.history = self._patiently(self._read_all)  # as long as it fails, all stays as it is
        facts, self._facts, self._appends_alone = self._facts, [], 0
        self._write(facts, drivers)

    def _read_all(self) -> History:
        # The collector would walk the growing heap again and again, and a fold makes no cycles: half the time without.
        collecting = gc.isenabled()
        gc.disable()
        try:
            return History(self.journal.read(), self._files)
        finally:
            if collecting:
                gc.enable()

    def _write(self, facts: Sequence[Event], drivers: Sequence[str | None] | None = None) -> None:
        """Write facts at the end of the journal, and apply everything up to there.

        ``drivers`` looked after the trials when the facts were found; whose trial is another's by now is not heard.
        """
        drivers = self._drivers(facts) if drivers is None else drivers
        while True:
            news = [e for e, driver in zip(facts, drivers, strict=True) if still_true(e, self.history, driver)]
            try:
                if news:
                    self._patiently(partial(self.journal.append, news, after=len(self.history)))
            except Conflict:  # others wrote, or we did and never heard the answer
                self._read_on()
            else:
                break
        self._read_on()
        self._appends_alone += 1

    def _read_on(self) -> None:
        for event in self._patiently(lambda: list(self.journal.read(len(self.history)))):
            self.history.apply(event)

    def _drivers(self, facts: Sequence[Event]) -> list[str | None]:
        """Return who looks after the trial of each fact, as far as this history knows."""
        trials = self.history.trials
        numbers = [getattr(event, "trial", len(trials)) for event in facts]
        return [trials[number].driver if number < len(trials) else None for number in numbers]

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


def still_true(event: Event, history: History, driver: str | None) -> bool:
    """Whether a fact about a trial is news: the trial still runs there, and the step has not been told before."""
    if not isinstance(event, Planned | Reported | CheckpointSaved | Paused | Ended):
        return True
    if event.trial not in history.running or history.trials[event.trial].driver != driver:
        return False
    trial = history.trials[event.trial]
    if isinstance(event, Reported):
        return event.step > trial.step
    return not isinstance(event, CheckpointSaved) or event.step > trial.saved

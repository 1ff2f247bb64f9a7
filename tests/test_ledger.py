from __future__ import annotations

import math
import random
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewell.events import (
    CheckpointSaved,
    Ended,
    Enqueued,
    Noted,
    Planned,
    Reported,
    Requested,
    RunStarted,
    SpaceChanged,
    Status,
    TrialResumed,
    TrialStarted,
)
from tunewell.history import History
from tunewell.journals.memory import MemoryJournal
from tunewell.ledger import LAST_SECONDS, Ledger
from tunewell.protocols import JournalError
from tunewell.space import Float, Space
from tunewell.testing.histories import created


def ledgers(journal, count, tmp_path="."):
    return [Ledger(journal, Path(tmp_path)) for _ in range(count)]


def start(driver):
    return lambda history: [TrialStarted(0.0, len(history.trials), {}, 0, driver=driver)]


def written(book, *facts):
    book.record(facts, "a")
    book.flush()


def same(history, journal):
    fresh = History(journal.read())
    assert len(history) == len(fresh)
    assert [repr(trial) for trial in history.trials] == [repr(trial) for trial in fresh.trials]
    assert [trial.driver for trial in history.trials] == [trial.driver for trial in fresh.trials]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_any_interleaving_of_drivers_gives_one_list(seed, drivers):
    journal = MemoryJournal()
    journal.append([created()], after=0)
    hands = random.Random(seed)
    books = ledgers(journal, drivers)
    mine: list[dict[int, int]] = [{} for _ in books]
    for _ in range(80):
        who = hands.randrange(drivers)
        book, trials = books[who], mine[who]
        act = hands.random()
        if act < 0.3 or not trials:
            (event,) = book.commit(start(str(who)))
            trials[event.trial] = 0
        elif act < 0.7:
            trial = hands.choice(list(trials))
            trials[trial] += 1
            book.record([Reported(0.0, trial, trials[trial], {"loss": 1.0})], str(who))
        elif act < 0.9:
            trial = hands.choice(list(trials))
            book.record([Ended(0.0, trial, Status.COMPLETED, metrics={"loss": float(trial)})], str(who))
            del trials[trial]
        else:
            book.catch_up()
    for book in books:
        book.flush()
    for book in books:
        book.catch_up()
        same(book.history, journal)
    final = History(journal.read())
    for who, trials in enumerate(mine):
        for trial, step in trials.items():
            assert final.trials[trial].step == step
            assert final.trials[trial].driver == str(who)
    assert sorted(final.running) == sorted(number for trials in mine for number in trials)


def test_a_driver_alone_writes_facts_and_decision_in_one_append(tmp_path):
    class Counting(MemoryJournal):
        appends = 0

        def append(self, events, after):
            self.appends += 1
            return super().append(events, after)

    journal = Counting()
    journal.append([created()], after=0)
    (book,) = ledgers(journal, 1)
    book.commit(start("a"))
    before = journal.appends
    for step in range(1, 100):
        book.record([Reported(0.0, 0, step, {"loss": 1.0})], "a")
    book.record([Ended(0.0, 0, Status.COMPLETED)], "a")
    book.commit(start("a"))
    assert journal.appends == before + 1
    same(book.history, journal)


def test_a_decision_is_made_again_after_a_conflict():
    journal = MemoryJournal()
    journal.append([created()], after=0)
    first, second = ledgers(journal, 2)
    seen = []

    def decide(history):
        seen.append(len(history.trials))
        return start("b")(history)

    first.commit(start("a"))
    second.commit(decide)
    assert seen == [0, 1]
    assert [trial.driver for trial in second.history.trials] == ["a", "b"]


def test_facts_about_a_trial_that_another_ended_are_dropped():
    journal = MemoryJournal()
    journal.append([created()], after=0)
    first, second = ledgers(journal, 2)
    first.commit(start("a"))
    second.catch_up()
    second.commit(lambda history: [Ended(0.0, 0, Status.CANCELLED, "by a person")])
    first.record([Reported(0.0, 0, 1, {"loss": 1.0})], "a")
    first.commit(start("a"))
    same(first.history, journal)
    assert first.history.trials[0].status == "cancelled"
    assert first.history.trials[0].reports == []


def test_facts_of_a_driver_that_woke_up_too_late_are_dropped():
    """It was silent so long that another took its trial over."""
    for alone in (True, False):
        journal = MemoryJournal()
        journal.append([created()], after=0)
        first, second = ledgers(journal, 2)
        first.commit(start("a"))
        if not alone:
            first._appends_alone = 0
        second.catch_up()
        second.commit(lambda history: [Ended(0.0, 0, Status.LOST, fault="run"), TrialResumed(1.0, 0, 0, driver="b")])
        second.record([Reported(2.0, 0, 1, {"loss": 0.5})], "b")
        second.flush()
        first.record([Reported(2.0, 0, 1, {"loss": 9.0}), Reported(3.0, 0, 2, {"loss": 9.0})], "a")
        first.flush()
        second.catch_up()
        same(first.history, journal)
        assert second.history.trials[0].curve("loss") == [(1, 0.5)]


def test_facts_are_written_once_where_the_answer_is_lost():
    class Deaf(MemoryJournal):
        deaf = False

        def append(self, events, after):
            length = super().append(events, after)
            if self.deaf:
                self.deaf = False
                raise JournalError("the server closed the connection")
            return length

    journal = Deaf()
    journal.append([created()], after=0)
    (book,) = ledgers(journal, 1)
    book.commit(start("a"))
    book._appends_alone = 0  # others are about
    journal.deaf = True
    book.record([Reported(2.0, 0, 1, {"loss": 0.5})], "a")
    journal.deaf = True
    book.record([Ended(3.0, 0, Status.COMPLETED)], "a")
    assert [type(event).__name__ for event in journal.read()] == ["StudyCreated", "TrialStarted", "Reported", "Ended"]
    same(book.history, journal)


def test_a_journal_that_refuses_for_a_while_loses_nothing(monkeypatch):
    class Flaky(MemoryJournal):
        refusals = 0

        def append(self, events, after):
            if self.refusals:
                self.refusals -= 1
                raise JournalError("the disk is full")
            return super().append(events, after)

    naps, said = [], []
    monkeypatch.setattr("tunewell.ledger.time.sleep", naps.append)
    journal = Flaky()
    journal.append([created()], after=0)
    (book,) = ledgers(journal, 1)
    book.tell = said.append
    book.commit(start("a"))
    book.record([Reported(0.0, 0, 1, {"loss": 1.0})], "a")
    journal.refusals = 3
    book.flush()
    same(book.history, journal)
    assert book.history.trials[0].step == 1
    assert naps == [0.5, 1.0, 2.0]
    assert "1 event(s) are kept in memory" in said[0]


def test_a_journal_that_refuses_for_ever_is_given_up(monkeypatch):
    class Broken(MemoryJournal):
        def append(self, events, after):
            raise JournalError("gone")

    monkeypatch.setattr("tunewell.ledger.PATIENCE_SECONDS", -1.0)
    (book,) = ledgers(Broken(), 1)
    with pytest.raises(JournalError, match="gone"):
        book.commit(lambda history: [created()])


def test_who_wants_to_leave_does_not_wait_long_for_a_journal_that_refuses(monkeypatch):
    """The patience shrinks while the journal is being tried, when a signal comes."""
    now, naps = [0.0], []

    class Broken(MemoryJournal):
        def append(self, events, after):
            raise JournalError("gone")

    def sleep(seconds):
        naps.append(seconds)
        now[0] += seconds
        if now[0] > 100.0:
            book.patience = LAST_SECONDS

    monkeypatch.setattr("tunewell.ledger.time.sleep", sleep)
    monkeypatch.setattr("tunewell.ledger.time.monotonic", lambda: now[0])
    (book,) = ledgers(Broken(), 1)
    with pytest.raises(JournalError, match="gone"):
        book.commit(lambda history: [created()])
    assert 100.0 < now[0] < 140.0


def test_what_stood_in_the_journal_already_is_not_told_twice():
    """A driver cut off between writing and knowing it has written finds its facts there."""
    journal = MemoryJournal()
    journal.append([created()], after=0)
    (book,) = ledgers(journal, 1)
    book.commit(start("a"))
    facts = [Reported(0.0, 0, 1, {"loss": 1.0})]
    book.record(facts, "a")
    journal.append(facts, after=None)
    book.flush()
    same(book.history, journal)
    assert [report.step for report in book.history.trials[0].reports] == [1]


class Breaking(MemoryJournal):
    """Reading succeeds only so many times more."""

    good = math.inf

    def read(self, start=0):
        if self.good <= 0:
            raise JournalError("gone")
        self.good -= 1
        return super().read(start)


@pytest.mark.parametrize(("alone", "good"), [(True, 0), (True, 1), (False, 0)])
@pytest.mark.parametrize("decided", [True, False])
def test_facts_outlive_a_journal_that_breaks_off_after_a_conflict(alone, good, decided):
    journal = Breaking()
    journal.append([created()], after=0)
    (book,) = ledgers(journal, 1)
    book.patience = -1.0
    book.commit(start("a"))
    if not alone:
        book._appends_alone = 0
    journal.append([RunStarted(0.5, "b", 1, None, 9)], after=None)
    journal.good = good
    with pytest.raises(JournalError):
        written(book, Reported(1.0, 0, 1, {"loss": 0.3}))
    journal.good = 0
    with pytest.raises(JournalError):
        written(book, Reported(2.0, 0, 2, {"loss": 0.2}), Ended(3.0, 0, Status.COMPLETED))
    assert book.unwritten == 3
    journal.good = math.inf
    lost = Ended(4.0, 0, Status.LOST, fault="run")
    if decided:
        book.commit(lambda history: [lost] if history.running else [])
    else:
        written(book, lost)
    same(book.history, journal)
    assert [report.step for report in book.history.trials[0].reports] == [1, 2]
    assert book.history.trials[0].status is Status.COMPLETED


def test_a_journal_that_is_shorter_than_before_is_read_anew():
    """Somebody put a backup in its place."""
    journal = MemoryJournal()
    journal.append([created()], after=0)
    (book,) = ledgers(journal, 1)
    book.commit(start("a"))
    book.commit(start("a"))
    book.journal = backup = MemoryJournal()
    backup.append([created()], after=0)
    book.record([Reported(1.0, 1, 1, {"loss": 0.3})], "a")
    book.commit(start("a"))
    same(book.history, backup)
    assert len(book.history.trials) == 1


@pytest.mark.parametrize("alone", [True, False])
def test_of_a_trial_that_is_over_nothing_is_recorded(alone):
    journal = MemoryJournal()
    journal.append([created()], after=0)
    (book,) = ledgers(journal, 1)
    book.commit(start("a"))
    if not alone:
        book._appends_alone = 0
    book.record([Reported(1.0, 0, 1, {"loss": 0.3}), Ended(2.0, 0, Status.COMPLETED), Planned(3.0, 0, 9)], "a")
    book.record([Reported(4.0, 0, 2, {"loss": 0.2})], "a")
    book.flush()
    assert [type(event).__name__ for event in journal.read()][2:] == ["Reported", "Ended"]
    same(book.history, journal)


def contents(found, seen=None):
    """Return everything that hangs on an object as plain data, each object once."""
    seen = {} if seen is None else seen
    if isinstance(found, str | int | float | None | Path | type):
        return repr(found)
    if id(found) in seen:
        return f"number {seen[id(found)]}"
    seen[id(found)] = len(seen)
    if isinstance(found, Mapping):
        return [(contents(key, seen), contents(value, seen)) for key, value in found.items()]
    if isinstance(found, list | tuple | deque | set | frozenset):
        return [contents(each, seen) for each in found]
    if callable(found):
        return found.__qualname__
    slots = [name for kind in type(found).__mro__ for name in getattr(kind, "__slots__", ())]
    names = [*slots, *getattr(found, "__dict__", ())]
    return [(name, contents(getattr(found, name), seen)) for name in names if hasattr(found, name)]


@pytest.mark.parametrize("wish", ["adjust", "back", "fork", "pause", "resume", "stop", "undo"])
@pytest.mark.parametrize("saved", [True, False])
def test_a_request_while_reports_wait_does_not_have_the_study_read_again(wish, saved):
    journal = MemoryJournal()
    journal.append([created(), RunStarted(0.0, "a", 1, None, 9, keep_checkpoints=2)], after=0)
    (book,) = ledgers(journal, 1)
    book.commit(start("a"))
    book.commit(start("a"))
    for step in (1, 2):
        book.record([Reported(step, 0, step, {"loss": step}), CheckpointSaved(step, 0, step)][: 1 + saved], "a")
    book.flush()
    history, fresh = book.history, History(journal.read(), book.history.files)
    book.record([Planned(3.0, 1, 9), Reported(3.0, 0, 3, {"loss": 0.3}), Reported(3.5, 1, 3, {"loss": 0.2})], "a")
    journal.append([Requested(2.5, trial, wish, by=by) for trial in (0, 1, 7) for by in ("person", "guard")], None)
    book.catch_up()
    assert book.history is history
    for event in journal.read(len(fresh)):
        fresh.apply(event)
    assert contents(vars(fresh)) == contents(vars(history))


@pytest.mark.parametrize("ahead", [-2.0, 0.0, 1e9])
def test_a_persons_word_while_reports_wait_does_not_have_the_study_read_again(ahead):
    journal = MemoryJournal()
    journal.append([created()], after=0)
    (book,) = ledgers(journal, 1)
    book.commit(start("a"))
    history, fresh = book.history, History(journal.read(), book.history.files)
    book.record([Planned(3.0, 0, 9), Reported(3.0, 0, 1, {"loss": 0.3})], "a")
    wider = Space(x=Float(0.0, 2.0, default=0.5))
    said = [Noted(3.0 + ahead, "slow", 0), Enqueued(3.0 + ahead, {"x": 0.5}), SpaceChanged(3.0 + ahead, wider, "")]
    journal.append(said, after=None)
    book.catch_up()
    assert book.history is history
    for event in journal.read(len(fresh)):
        fresh.apply(event)
    assert contents(vars(fresh)) == contents(vars(history))


def test_a_checkpoint_that_waits_takes_the_place_that_the_journal_gives_it():
    journal = MemoryJournal()
    journal.append([created()], after=0)
    (book,) = ledgers(journal, 1)
    book.commit(start("a"))
    book.record([Reported(1.0, 0, 1, {"loss": 0.3}), CheckpointSaved(1.0, 0, 1)], "a")
    journal.append([Requested(2.5, 0, "fork")], after=None)
    book.flush()
    assert book.history.pending[0].step is None  # there was none yet
    assert contents(vars(History(journal.read(), book.history.files))) == contents(vars(book.history))


def test_facts_wait_where_what_others_wrote_cannot_be_read():
    """As when a newer release takes part: its event is what is wrong, whatever this driver does next."""

    class Newer(MemoryJournal):
        def read(self, start=0):
            for event in super().read(start):
                if isinstance(event, Noted):
                    raise ValueError("a newer release wrote this")
                yield event

    journal = Newer()
    journal.append([created()], after=0)
    (book,) = ledgers(journal, 1)
    book.commit(start("a"))
    book.record([Reported(2.0, 0, 1, {"loss": 0.5})], "a")
    journal.append([Noted(3.0, "from afar")], after=None)
    for act in (book.flush, lambda: book.record([], "a"), book.flush):
        with pytest.raises(ValueError, match="a newer release wrote this"):
            act()
        assert (book.unwritten, len(book.history)) == (1, 3)


def test_whoever_only_reads_does_not_wait_for_what_cannot_be_written(monkeypatch):
    class Full(MemoryJournal):
        full = False

        def append(self, events, after):
            if self.full:
                raise JournalError("the disk is full")
            return super().append(events, after)

    naps, said = [], []
    monkeypatch.setattr("tunewell.ledger.time.sleep", naps.append)
    journal = Full()
    journal.append([created()], after=0)
    (book,) = ledgers(journal, 1)
    book.tell = said.append
    book.commit(start("a"))
    journal.full = True
    book.record([Reported(2.0, 0, 1, {"loss": 0.5})], "a")
    book.glance()
    assert (naps, said) == ([], ["the disk is full; 1 event(s) are kept in memory"])
    assert book.history.trials[0].step == 1
    journal.full = False
    book.glance()
    assert book.unwritten == 0
    same(book.history, journal)


def test_a_decision_that_takes_longer_than_others_are_quiet_is_made_while_they_wait():
    """Whoever decides on a large study would never be in time, if trials elsewhere reported all the while."""
    journal, reported, threads = MemoryJournal(), [], []
    journal.append([created(), TrialStarted(0.5, 0, {"x": 0.5}, seed=0, driver="b")], after=0)
    (book,) = ledgers(journal, 1)

    def report():
        step = len(reported) + 1
        journal.append([Reported(float(step), 0, step, {"loss": 1.0})], after=None)
        reported.append(step)

    def decide(history):
        threads.append(threading.Thread(target=report))
        threads[-1].start()
        threads[-1].join(0.2)
        return start("a")(history)

    (started,) = book.commit(decide)
    for thread in threads:
        thread.join()
    book.catch_up()
    same(book.history, journal)
    kinds = [type(event).__name__ for event in journal.read()]
    assert kinds == ["StudyCreated", "TrialStarted", "Reported", "TrialStarted", "Reported"]
    assert started.trial == 1

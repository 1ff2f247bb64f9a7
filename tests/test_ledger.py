from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewell.events import Ended, Noted, Reported, Status, TrialResumed, TrialStarted
from tunewell.history import History
from tunewell.journals.memory import MemoryJournal
from tunewell.ledger import LAST_SECONDS, Ledger
from tunewell.protocols import JournalError
from tunewell.testing.histories import created


def ledgers(journal, count, tmp_path="."):
    from pathlib import Path

    return [Ledger(journal, Path(tmp_path)) for _ in range(count)]


def start(driver):
    return lambda history: [TrialStarted(0.0, len(history.trials), {}, 0, driver=driver)]


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
            book.record([Reported(0.0, trial, trials[trial], {"loss": 1.0})])
        elif act < 0.9:
            trial = hands.choice(list(trials))
            book.record([Ended(0.0, trial, Status.COMPLETED, metrics={"loss": float(trial)})])
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
        book.record([Reported(0.0, 0, step, {"loss": 1.0})])
    book.record([Ended(0.0, 0, Status.COMPLETED)])
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
    first.record([Reported(0.0, 0, 1, {"loss": 1.0})])
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
        second.record([Reported(2.0, 0, 1, {"loss": 0.5})])
        second.flush()
        first.record([Reported(2.0, 0, 1, {"loss": 9.0}), Reported(3.0, 0, 2, {"loss": 9.0})])
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
    book.record([Reported(2.0, 0, 1, {"loss": 0.5})])
    journal.deaf = True
    book.record([Ended(3.0, 0, Status.COMPLETED)])
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
    book.record([Reported(0.0, 0, 1, {"loss": 1.0})])
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
    book.record(facts)
    journal.append(facts, after=None)
    book.flush()
    same(book.history, journal)
    assert [report.step for report in book.history.trials[0].reports] == [1]


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
    book.record([Reported(2.0, 0, 1, {"loss": 0.5})])
    journal.append([Noted(3.0, "from afar")], after=None)
    for _ in range(2):
        with pytest.raises(ValueError, match="a newer release wrote this"):
            book.flush()
        assert (book.unwritten, len(book.history)) == (1, 3)
        book.record([])


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
    book.record([Reported(2.0, 0, 1, {"loss": 0.5})])
    book.glance()
    assert (naps, said) == ([], ["the disk is full; 1 event(s) are kept in memory"])
    assert book.history.trials[0].step == 1
    journal.full = False
    book.glance()
    assert book.unwritten == 0
    same(book.history, journal)

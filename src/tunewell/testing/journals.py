"""What every journal keeps to."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from contextlib import suppress

import pytest

from tunewell.events import (
    Adjusted,
    Answered,
    CheckpointSaved,
    Ended,
    Enqueued,
    Event,
    Fingerprinted,
    Fork,
    Noted,
    Paused,
    Planned,
    Reported,
    Requested,
    RunStarted,
    SettingsChanged,
    SpaceChanged,
    Status,
    TrialResumed,
    TrialStarted,
)
from tunewell.fingerprints import DataSummary, Feature, Fingerprint, Hardware, ModelSummary
from tunewell.history import History
from tunewell.protocols import Conflict, Journal
from tunewell.testing.histories import created, mixed_space, random_events

ONE_OF_EACH: list[Event] = [
    created(sampler={"name": "random"}, default_first=True),
    Enqueued(1.0, {"optimizer": "adam", "shape": (1, (2, 3)), "nothing": None, "yes": True, "name": "1"}),
    TrialStarted(2.0, 0, {"x": 0.1}, 2**32 - 1, "default", "first", None, "host/1/2", 3),
    Planned(2.5, 0, 50),
    Reported(3.0, 0, 1, {"loss": 0.1 + 0.2, "max": math.inf, "min": -math.inf}),
    CheckpointSaved(4.0, 0, 1),
    Requested(4.4, 0, "adjust", {"learning_rate": 1e-4, "shape": (1, (2, 3))}, None, "too high", False),
    Answered(4.5, 0, True),
    Adjusted(4.5, 0, 1, {"learning_rate": 1e-4}, "person", "too high", True),
    Paused(5.0, 0, 1, "rung 1: place 2 of 3", "scheduler"),
    TrialResumed(6.0, 0, 1, "promoted", "host/1/2", 0),
    Requested(6.5, 0, "back", {}, 1, "the guard's words", by="guard"),
    Answered(6.6, 1, False, "there is no checkpoint"),
    Ended(7.0, 0, Status.FAILED, 'ValueError: "ü" \n <b>', {"loss": 1e300}, "Traceback…", "run"),
    TrialStarted(8.0, 1, {"x": 1, "y": "nan"}, 0, fork=Fork(0, 1), group="bracket 2"),
    SpaceChanged(9.0, mixed_space(), "wider"),
    SettingsChanged(9.5, {"sampler": {"name": "grid", "points": 3}}),
    Fingerprinted(
        9.6,
        Fingerprint(
            DataSummary(1797, (8, 8), 1000, (Feature("0", 0.5, 0.1, (0.1, 0.2, 0.3, 0.4, 0.5)),), {}, {"0": 1.0}),
            ModelSummary("Net", 12345, {"Linear": 2}, "0123456789ab"),
            64,
            hardware=Hardware("a processor", 2, ("a GPU",)),
            versions={"python": "3.13.1"},
            date="2026-11-21",
        ),
    ),
    RunStarted(9.7, "host/1/2", 8, 50, None, 3600.0, None, 60.0, 3),
    Noted(10.0, "looks good", 1),
]


class JournalContract:
    """Inherit and give a fixture ``journal`` (empty) and one ``reopen`` (a function that opens the same list anew)."""

    @pytest.fixture
    def journal(self) -> Journal:
        """Return an empty journal."""
        raise NotImplementedError

    @pytest.fixture
    def reopen(self, journal: Journal) -> Callable[[], Journal]:
        """Return a function that opens the journal a second time, as another process would."""
        raise NotImplementedError

    def test_what_was_appended_is_read(self, journal: Journal, reopen: Callable[[], Journal]) -> None:
        assert journal.append(ONE_OF_EACH, after=0) == len(ONE_OF_EACH)
        for found in (journal, reopen()):
            assert list(found.read()) == ONE_OF_EACH
            assert list(found.read(5)) == ONE_OF_EACH[5:]
            assert list(found.read(len(ONE_OF_EACH))) == []

    def test_nan_survives(self, journal: Journal, reopen: Callable[[], Journal]) -> None:
        journal.append([Reported(0.0, 0, 1, {"loss": math.nan})], after=0)
        (event,) = reopen().read()
        assert isinstance(event, Reported)
        assert math.isnan(event.metrics["loss"])

    def test_a_second_driver_conflicts(self, journal: Journal, reopen: Callable[[], Journal]) -> None:
        other = reopen()
        journal.append(ONE_OF_EACH[:2], after=0)
        for after in (0, 1):
            with pytest.raises(Conflict):
                other.append(ONE_OF_EACH[2:4], after=after)
        assert list(journal.read()) == ONE_OF_EACH[:2]
        assert other.append(ONE_OF_EACH[2:4], after=2) == 4
        assert list(journal.read()) == ONE_OF_EACH[:4]

    def test_facts_are_appended_in_any_case(self, journal: Journal, reopen: Callable[[], Journal]) -> None:
        other = reopen()
        journal.append(ONE_OF_EACH[:1], after=0)
        assert other.append(ONE_OF_EACH[1:3], after=None) == 3
        assert journal.append(ONE_OF_EACH[3:4], after=None) == 4
        assert list(other.read()) == ONE_OF_EACH[:4]

    def test_others_wait_for_whose_turn_it_is(self, journal: Journal, reopen: Callable[[], Journal]) -> None:
        journal.append(ONE_OF_EACH[:1], after=0)
        other, came = reopen(), []
        writer = threading.Thread(target=lambda: came.append(other.append(ONE_OF_EACH[1:2], after=None)))
        with journal.turn():
            writer.start()
            writer.join(0.3)
            assert list(journal.read()) == ONE_OF_EACH[:1]
            writer.join(0.3)
            assert not came
            assert journal.append(ONE_OF_EACH[2:3], after=1) == 2
        writer.join(60)
        assert came == [3]
        assert list(reopen().read()) == [ONE_OF_EACH[0], ONE_OF_EACH[2], ONE_OF_EACH[1]]

    def test_a_turn_that_writes_nothing_is_over_as_well(self, journal: Journal, reopen: Callable[[], Journal]) -> None:
        with suppress(ZeroDivisionError), journal.turn():
            assert list(journal.read()) == []
            raise ZeroDivisionError
        assert reopen().append(ONE_OF_EACH[:1], after=0) == 1
        assert journal.append(ONE_OF_EACH[1:2], after=1) == 2

    def test_many_writers_at_once_lose_nothing(self, reopen: Callable[[], Journal]) -> None:
        def write(journal: Journal, worker: int) -> None:
            for step in range(1, 26):
                pair = [Reported(0.0, worker, 2 * step - 1, {}), Reported(0.0, worker, 2 * step, {})]
                journal.append(pair, after=None)

        threads = [threading.Thread(target=write, args=(reopen(), worker)) for worker in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        events = list(reopen().read())
        assert len(events) == 200
        for worker in range(4):
            steps = [event.step for event in events if isinstance(event, Reported) and event.trial == worker]
            assert steps == list(range(1, 51))
        for first, second in zip(events[::2], events[1::2], strict=True):
            assert first.trial == second.trial  # type: ignore[union-attr]

    def test_one_of_many_deciders_wins(self, reopen: Callable[[], Journal]) -> None:
        won: list[int] = []

        def decide(journal: Journal, worker: int) -> None:
            try:
                journal.append([Noted(0.0, str(worker))], after=0)
                won.append(worker)
            except Conflict:
                pass

        threads = [threading.Thread(target=decide, args=(reopen(), worker)) for worker in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert [event.text for event in reopen().read() if isinstance(event, Noted)] == [str(won[0])]

    def test_beats_are_counted_for_each_driver(self, journal: Journal, reopen: Callable[[], Journal]) -> None:
        other = reopen()
        assert dict(journal.beats()) == {}
        for driver in ("a", "b", "a"):
            journal.beat(driver)
        other.beat("b")
        assert dict(other.beats()) == dict(journal.beats()) == {"a": 2, "b": 2}
        assert list(journal.read()) == []

    def test_a_history_is_the_same_after_a_trip(self, journal: Journal, reopen: Callable[[], Journal]) -> None:
        events = random_events(mixed_space(), 50)
        journal.append(events, after=0)
        here, there = History(events), History(reopen().read())
        assert [repr(trial) for trial in here.trials] == [repr(trial) for trial in there.trials]
        assert [dict(trial.params) for trial in here.trials] == [dict(trial.params) for trial in there.trials]
        assert here.steps_done == there.steps_done
        assert here.active_seconds == there.active_seconds

"""One person's look at a study: what is read anew, what is written, what is said about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

import tunewell as tw
from tunewell.events import Event, Noted
from tunewell.journals.memory import MemoryJournal
from tunewell.protocols import JournalError
from tunewell.watching.onlooker import Onlooker
from tunewell.watching.view import View

SPACE = tw.Space(lr=tw.Float(1e-4, 10.0, scale="log"))


class Flaky(MemoryJournal):
    """A journal that can be out of reach, and remembers what was read."""

    def __init__(self, events: Sequence[Event]) -> None:
        super().__init__()
        self.append(events, after=None)
        self.gone = False
        self.starts: list[int] = []

    def read(self, start: int = 0) -> Iterator[Event]:
        if self.gone:
            raise JournalError("the database does not answer")
        self.starts.append(start)
        return iter(list(super().read(start)))


def objective(trial: tw.Trial) -> None:
    for step in trial.steps(8):
        trial.report(val_loss=1 / step)


@pytest.fixture
def study() -> Iterator[tw.Study]:
    with tw.Study(SPACE, metric="val_loss", name="digits", seed=0) as study:
        study.run(objective, trials=2, executor="inline", progress=False)
        yield study


@pytest.fixture
def onlooker(study: tw.Study) -> Onlooker:
    onlooker = Onlooker(Flaky(study.events), lambda: study)
    onlooker.look()
    return onlooker


def test_only_new_events_are_read(onlooker: Onlooker) -> None:
    journal = onlooker.journal
    assert isinstance(journal, Flaky)
    length = len(onlooker.history)
    onlooker.look()
    journal.append([Noted(9e9, "new")], after=None)
    onlooker.look()
    assert journal.starts == [0, length, length]
    assert "note: new" in onlooker.drawn(80, 24, colours=False)


def test_a_storage_that_does_not_answer_is_told_of_until_it_does(onlooker: Onlooker) -> None:
    journal = onlooker.journal
    assert isinstance(journal, Flaky)
    journal.gone = True
    onlooker.look()
    assert onlooker.answer == "the database does not answer; trying again"
    journal.gone = False
    onlooker.look()
    assert onlooker.answer == ""


def test_the_frame_is_made_anew_only_where_something_is_new(
    onlooker: Onlooker, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = onlooker.drawn(80, 24)
    monkeypatch.setattr("tunewell.watching.onlooker.frame", lambda *_: pytest.fail("drawn again"))
    assert onlooker.drawn(80, 24) is first
    monkeypatch.undo()
    assert onlooker.drawn(60, 24) != first
    onlooker.hear("help")
    assert "take its newest change back" in onlooker.drawn(60, 24)


def test_trials_are_turned_over_as_far_as_there_are_any(onlooker: Onlooker) -> None:
    assert onlooker.view == View(1)
    onlooker.turn(1)
    assert onlooker.view == View(1)
    onlooker.turn(-1)
    assert onlooker.view == View(0, chosen=True)
    onlooker.turn(-1)
    assert onlooker.view == View(0, chosen=True)


def test_a_line_that_is_typed_is_for_the_trial_it_was_begun_on() -> None:
    with tw.Study(SPACE, metric="val_loss", name="digits", seed=0) as study:
        journal = MemoryJournal()
        onlooker = Onlooker(journal, lambda: study)
        seen = []

        def look() -> None:
            journal.append(study.events[len(onlooker.history) :], after=None)
            onlooker.look()

        def saving(trial: tw.Trial) -> None:
            for step in trial.steps(4):
                trial.report(val_loss=1 / step)
                trial.save(lambda folder: None)
                look()
                if (trial.number, step) == (0, 2):
                    onlooker.typing = True
                    study.go_back(0, 1)
                if (trial.number, step) == (1, 3):
                    seen.append(onlooker.view.trial)
                    onlooker.hear("note it is too fast")
                    onlooker.typing = False

        study.run(saving, trials=1, executor="inline", progress=False, keep_checkpoints=3)
        assert seen == [0], "the page stays while somebody types"
        assert [note.trial for note in study.history.notes] == [0]
        look()
        assert onlooker.view.trial == 1, "and follows afterwards"


def test_a_trial_that_is_not_there_is_told_in_the_right_number(onlooker: Onlooker) -> None:
    onlooker.hear("watch 7")
    assert onlooker.answer.endswith("got 7: there are 2 trials")
    with tw.Study(SPACE, metric="val_loss", name="digits", seed=0) as study:
        study.run(objective, trials=1, executor="inline", progress=False)
        one = Onlooker(Flaky(study.events), lambda: study)
        one.look()
        one.hear("compare 7")
        assert one.answer.endswith("got 7: there is 1 trial")


def test_a_study_without_a_trial_takes_notes_and_nothing_else() -> None:
    with tw.Study(SPACE, metric="val_loss", name="digits", seed=0) as study:
        onlooker = Onlooker(Flaky(study.events), lambda: study)
        onlooker.look()
        assert "no trial has started yet" in onlooker.drawn(80, 24)
        onlooker.hear("undo")
        assert onlooker.answer == "undo expected a trial to look at, and none has started yet"
        onlooker.hear("accept")
        assert "none has started yet" in onlooker.answer
        onlooker.hear("note soon")
        assert onlooker.answer == "noted"
        assert [note.text for note in study.history.notes] == ["soon"]
        assert onlooker.hear("quit")

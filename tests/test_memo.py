"""What is remembered with a history: nothing but time hangs on it."""

from __future__ import annotations

import gc
import weakref

from tunewell.events import TrialStarted
from tunewell.history import History
from tunewell.memo import forget, remembered
from tunewell.testing.histories import created


def counting():
    """Return a remembered function, and the list of what it was worked out for."""
    worked = []

    @remembered
    def listed(history, letter):
        worked.append(letter)
        return [letter]

    return listed, worked


def test_the_same_object_is_the_answer_until_it_is_forgotten():
    listed, worked = counting()
    history, other = History([created()]), History([created()])
    first = listed(history, "a")
    history.apply(TrialStarted(0.0, 0, {}, 0))
    assert listed(history, "a") is first
    assert listed(other, "a") is not first
    forget(other)
    forget(other)
    assert listed(history, "a") is first
    forget(history)
    assert listed(history, "a") is not first
    assert worked == ["a", "a", "a"]


def test_two_functions_of_one_history_do_not_share_what_they_remember():
    (one, _), (other, _) = counting(), counting()
    history = History()
    assert one(history, "a") is not other(history, "a")


def test_of_an_argument_that_changes_for_ever_the_newest_few_answers_are_kept():
    listed, worked = counting()
    history = History()
    kept = [weakref.ref(_Answer.of(history, number)) for number in range(100)]
    gc.collect()
    assert 1 <= sum(each() is not None for each in kept) <= 10
    assert _Answer.of(history, 99) is kept[-1]()
    for letter in "abcdefghijklm":
        listed(history, letter)
    assert listed(history, "a") == ["a"]
    assert worked == [*"abcdefghijklm", "a"]


def test_what_is_remembered_goes_with_the_history():
    history = History([created()])
    kept = weakref.ref(_Answer.of(history, 0))
    assert kept() is not None
    del history
    gc.collect()
    assert kept() is None


class _Answer:
    @staticmethod
    @remembered
    def of(history, number):
        return _Answer()

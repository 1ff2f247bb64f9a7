"""Configurations that turn out to be the same."""

from __future__ import annotations

import numpy as np
import pytest

import tunewell as tw
from tunewell.events import Ended, Fork, Reported, Status, TrialResumed, TrialStarted
from tunewell.history import History
from tunewell.surrogate.partial import points
from tunewell.surrogate.twins import doubles, nearest, novelty
from tunewell.testing.histories import created, run_at_once

SPACE = tw.Space(x=tw.Float(0.0, 1.0), y=tw.Float(0.0, 1.0))


def smooth(x, y):
    return (x - 0.3) ** 2 + y


def table(x, y):
    """Look the answer up in a grid of five by five."""
    return smooth(round(5.0 * x) / 5.0, round(5.0 * y) / 5.0)


def events_of(objective, trials, seed=0, fork=None):
    """Return the events of trials at random places that report once."""
    rng, events = np.random.default_rng(seed), [created(SPACE)]
    for number in range(trials):
        config = {"x": float(rng.random()), "y": float(rng.random())}
        events += [
            TrialStarted(float(number), number, config, number, fork=fork if number else None, driver="d"),
            Reported(number + 0.5, number, 3 if fork and number else 1, {"loss": objective(**config)}),
            Ended(number + 0.6, number, Status.COMPLETED),
        ]
    return events


def test_nothing_is_said_of_a_smooth_objective():
    assert novelty(SPACE, History(events_of(smooth, 60))) is None


def test_nothing_is_said_while_hardly_anything_is_known():
    assert novelty(SPACE, History(events_of(lambda x, y: 1.0, 4))) is None
    assert novelty(SPACE, History([created(SPACE)])) is None


def test_a_few_equal_losses_in_a_hundred_are_chance():
    found = iter(range(100))
    history = History(events_of(lambda x, y: float(min(next(found), 92)), 100))
    assert novelty(SPACE, history) is None


def test_in_a_table_a_place_near_a_trial_is_likely_to_repeat_it():
    history = History(events_of(table, 30))
    term = novelty(SPACE, history)
    units = SPACE.encode([trial.params for trial in history.trials])
    grid = np.stack(np.meshgrid(np.linspace(0, 1, 21), np.linspace(0, 1, 21)), axis=-1).reshape(-1, 2)
    far = grid[np.argmax(nearest(grid, units, np.zeros(2, dtype=bool)))]
    near, away = term.value(np.stack([units[0] + 1e-3, far]))
    assert near < np.log(0.5) < away <= 0.0
    value, slopes = term.value_and_slopes(grid)
    np.testing.assert_array_equal(value, term.value(grid))
    assert not slopes.any()


def test_distances():
    tried = np.array([[0.0, 0.5], [1.0, 0.5]])
    plain, mixed = np.array([False, False]), np.array([False, True])
    units = np.array([[0.3, 0.9], [0.0, 0.5], [0.9, 0.5]])
    np.testing.assert_allclose(nearest(units, tried, plain), [0.5, 1e-4, 0.1])
    np.testing.assert_allclose(nearest(units, tried, mixed), [np.hypot(0.3, 1.0), 1e-4, 0.1])


def test_forks_are_left_out():
    """They begin with another's weights, so what they measure first says nothing about their own values."""
    assert novelty(SPACE, History(events_of(lambda x, y: 1.0, 30, fork=Fork(0, 1)))) is None
    assert novelty(SPACE, History(events_of(lambda x, y: 1.0, 30))) is not None


@pytest.mark.parametrize("objective", [smooth, table])
def test_a_memo_that_grew_with_the_study_says_what_an_empty_one_says(objective):
    events, history, units = events_of(objective, 50), History(), np.random.default_rng(1).random((9, 2))
    for end, event in enumerate(events, 1):
        history.apply(event)
        found = novelty(SPACE, history)
        if end % 10 == 0:
            again = novelty(SPACE, History(events[:end]))
            assert (found is None) == (again is None)
            if found is not None:
                np.testing.assert_array_equal(found.value(units), again.value(units))


def test_a_trial_that_measured_nothing_yet_holds_up_those_after_it():
    """So the order is that of the numbers, whoever reports first; one that ended without a word is passed over."""
    events = events_of(table, 30)
    silent = [event for event in events if not (isinstance(event, Reported | Ended) and event.trial == 2)]
    late = [*silent, *(event for event in events if event not in silent)]
    asked = History()
    for event in late:
        asked.apply(event)
        novelty(SPACE, asked)
    units = np.random.default_rng(1).random((9, 2))
    np.testing.assert_array_equal(novelty(SPACE, asked).value(units), novelty(SPACE, History(late)).value(units))
    failed = History([*silent, Ended(99.0, 2, Status.FAILED, "ValueError")])
    assert novelty(SPACE, failed) is not None


def test_a_lost_trial_that_is_resumed_is_taken_in_at_its_place():
    events = events_of(table, 30)
    mine = [event for event in events if getattr(event, "trial", None) == 2]
    started, reported, ended = mine
    lost, resumed = Ended(2.4, 2, Status.LOST), TrialResumed(50.0, 2, 0, "d")
    rest = [event for event in events if event not in (reported, ended)]
    at = rest.index(started) + 1
    late = [*rest[:at], lost, *rest[at:], resumed, Reported(51.0, 2, 1, reported.metrics), Ended(52.0, 2, ended.status)]
    asked, units = History(), np.random.default_rng(1).random((9, 2))
    for end, event in enumerate(late, 1):
        asked.apply(event)
        found, again = novelty(SPACE, asked), novelty(SPACE, History(late[:end]))
        assert (found is None) == (again is None)
        if found is not None:
            np.testing.assert_array_equal(found.value(units), again.value(units))


def test_after_a_change_of_the_space_it_begins_anew():
    history = History(events_of(table, 30))
    assert novelty(SPACE, history) is not None
    other = tw.Space(x=tw.Float(0.0, 1.0), z=tw.Float(0.0, 1.0))
    term = novelty(other, history)
    assert term is None or term.tried.shape[1] == 2


RUNGS = [1, 2, 4, 8]


def doubles_of(*curves):
    """Return the probability of each curve, in order, to go on as another one does, rounded to two places."""
    history = History([created(SPACE)])
    for number, losses in enumerate(curves):
        run_at_once(history, {"x": number / 100.0, "y": 0.5}, losses)
    return np.round(doubles(points(SPACE, history, RUNGS), RUNGS), 2).tolist()


def test_curves_that_differ_are_no_doubles():
    assert doubles_of([5.0, 4.0, 3.0, 2.0], [5.1, 4.0], [4.9], []) == [0.0] * 4
    assert doubles_of() == []


def test_of_two_that_are_alike_the_one_behind_is_the_double():
    assert doubles_of([5.0], [5.0, 4.0]) == [0.5, 0.0]
    assert doubles_of([5.0, 4.0], [5.0, 4.0]) == [0.0, 0.67]
    assert doubles_of([5.0, 4.0], [5.0, 3.0]) == [0.0, 0.0]


def test_equal_beginnings_that_stayed_equal_make_the_next_likely_to():
    pairs = [curve for loss in range(6) for curve in ([float(loss), loss / 2.0], [float(loss), loss / 2.0])]
    assert doubles_of(*pairs, [9.0], [9.0])[-2:] == [0.0, round(7 / 8, 2)]


def test_equal_beginnings_by_chance_are_not_believed_in():
    """Many begin at the same loss and go on apart."""
    begun = [[0.1, 0.1 + number / 100.0] for number in range(5)] + [[0.2 + number, 0.1] for number in range(4)]
    assert doubles_of(*begun, [0.1])[-1] == 0.17


def test_losses_at_chance_level_say_nothing_of_who_is_the_same():
    """The accuracies of untrained networks: all would be taken for one training, and none would go on."""
    assert doubles_of(*[[0.1]] * 5) == [0.0] * 5
    assert doubles_of(*[[0.1]] * 5, [0.1, 0.3], [0.1, 0.3, 0.4, 0.5]) == [0.0] * 5 + [0.5, 0.0]


def test_trials_without_losses_and_between_rungs_are_no_doubles():
    nan = float("nan")
    assert doubles_of([5.0, nan], [5.0, 4.0, 3.0], [nan, nan]) == [0.0, 0.0, 0.0]

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from tunewell.surrogate.noise import Repeats, by_chance, repeats, spread
from tunewell.surrogate.observations import Observations


def seen(units, losses, weak=None):
    units, losses = np.array(units, dtype=float), np.array(losses, dtype=float)
    n, d = units.shape
    weak = np.zeros(n, dtype=np.bool_) if weak is None else np.array(weak)
    nothing = np.zeros((0, d))
    return Observations(units, losses.reshape(n, -1), np.zeros((n, 0)), weak, np.ones(n, np.bool_), nothing, nothing)


def test_no_repeat_says_nothing():
    found = repeats(seen([[0.1, 0.2], [0.2, 0.1]], [1.0, 1.0]))
    assert found == Repeats(0, False)
    assert not found.deterministic


def test_equal_losses_say_deterministic_and_others_noise():
    units = [[0.1], [0.2], [0.1], [0.3], [0.1]]
    assert repeats(seen(units, [1.0, 2.0, 1.0, 3.0, 1.0])) == Repeats(2, False)
    assert repeats(seen(units, [1.0, 2.0, 1.0, 3.0, 1.0])).deterministic
    noisy = repeats(seen(units, [1.0, 2.0, 1.0, 3.0, 1.1]))
    assert noisy == Repeats(2, True)
    assert not noisy.deterministic


def test_inactive_parameters_are_equal():
    nan = np.nan
    assert repeats(seen([[0.1, nan], [0.1, nan]], [1.0, 1.0])).deterministic
    assert repeats(seen([[0.1, nan], [0.1, 0.5]], [1.0, 2.0])) == Repeats(0, False)


def test_one_goal_that_differs_is_enough():
    assert repeats(seen([[0.1], [0.1]], [[1.0, 2.0], [1.0, 3.0]])).differ


def test_extrapolated_losses_do_not_count():
    assert repeats(seen([[0.1], [0.1]], [1.0, 2.0], weak=[False, True])) == Repeats(0, False)


def test_diverging_twice_is_deterministic():
    assert repeats(seen([[0.1], [0.1]], [np.inf, np.inf])).deterministic


def test_equal_losses_that_are_common_prove_little():
    """Accuracies on few examples: 0.1 and 0.2 come again and again, and so they may by chance."""
    units = [[k / 20] for k in range(20)]
    losses = [0.1, 0.1, 0.2, 0.2, 0.2, 0.3, 0.3, 0.3, 0.4, 0.4, *np.linspace(0.5, 0.9, 10)]
    once = repeats(seen([*units, [0.0]], [*losses, 0.1]))
    assert (once.count, once.differ, once.deterministic) == (1, False, False)
    assert 0.1 < once.alike < 0.3
    again = repeats(seen([*units, [0.0], [0.05], [0.1]], [*losses, 0.1, 0.1, 0.2]))
    assert (again.count, again.deterministic) == (3, True)


def test_what_an_earlier_space_told_apart_is_no_repetition():
    found = seen([[0.1], [0.1]], [1.0, 2.0])
    assert repeats(found).differ
    assert repeats(replace(found, native=np.array([False, True]))) == Repeats(0, False)


def test_the_spread_of_repeats_and_what_it_explains():
    units = [[0.1], [0.1], [0.2], [0.2], [0.2], [0.3]]
    found = seen(units, [1.0, 3.0, 5.0, 6.0, 7.0, 100.0])
    assert spread(found) == (pytest.approx(math.sqrt(4.0 / 3.0)), 3)  # (1 + 1 + 1 + 1) over 6 trials less 3 groups
    quantile = stats.t.ppf(1.0 - 0.01 / 6, 3)
    assert by_chance(found, 6) == pytest.approx(quantile * math.sqrt(2.0 * 4.0 / 3.0))
    assert by_chance(seen([[0.1], [0.2]], [1.0, 2.0]), 2) == math.inf

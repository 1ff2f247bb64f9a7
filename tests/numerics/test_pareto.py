from __future__ import annotations

import numpy as np
import pytest

from tunewell.numerics.pareto import crowded_order, crowding_distance, fronts, non_dominated


def beats(a, b):
    return all(x <= y for x, y in zip(a, b, strict=True)) and any(x < y for x, y in zip(a, b, strict=True))


def fronts_by_definition(losses):
    """Take away, again and again, the rows that no row left beats."""
    left, found, number = set(range(len(losses))), [None] * len(losses), 0
    while left:
        front = {i for i in left if not any(beats(losses[j], losses[i]) for j in left)}
        for i in front:
            found[i] = number
        left, number = left - front, number + 1
    return found


@pytest.mark.parametrize("goals", [1, 2, 3, 5])
@pytest.mark.parametrize("kind", ["real", "with_ties", "with_infinities"])
@pytest.mark.parametrize("n", [0, 1, 2, 60])
def test_the_fronts_are_those_of_the_definition(goals, kind, n):
    losses = np.random.default_rng([goals, n]).random((n, goals))
    if kind != "real":
        losses = np.round(5.0 * losses)
    if kind == "with_infinities":
        losses[::3] = np.inf
        losses[1::7, 0] = -np.inf
    assert fronts(losses).tolist() == fronts_by_definition(losses)
    assert non_dominated(losses.tolist()).tolist() == (fronts(losses) == 0).tolist()


@pytest.mark.parametrize("goals", [1, 2, 3])
@pytest.mark.parametrize("enough", [0, 1, 30, 200, 1000])
def test_fronts_stop_when_there_are_enough(goals, enough):
    losses = np.random.default_rng(0).random((200, goals))
    full, some = fronts(losses), fronts(losses, enough=enough)
    last = some[some < 200].max(initial=-1)
    assert (some < 200).sum() >= min(enough, 200)
    assert enough == 0 or (some < last).sum() < enough
    np.testing.assert_array_equal(some, np.where(full <= last, full, 200))


def test_many_rows_of_two_goals_take_no_matrix():
    losses = np.random.default_rng(0).random((50_000, 2))
    assert (fronts(losses) == 0).tolist() == non_dominated(losses).tolist()


def test_the_crowding_distance_is_that_of_the_formula():
    """Five points of one front; by hand: (f1 of the next - f1 of the last) / range + the same for f2."""
    losses = np.array([[0.0, 10.0], [1.0, 6.0], [2.0, 5.0], [5.0, 3.0], [8.0, 0.0]])
    expected = [np.inf, 2 / 8 + 5 / 10, 4 / 8 + 3 / 10, 6 / 8 + 5 / 10, np.inf]
    np.testing.assert_allclose(crowding_distance(losses), expected)
    shuffled = np.random.default_rng(0).permutation(5)
    np.testing.assert_allclose(crowding_distance(losses[shuffled]), np.array(expected)[shuffled])


def test_the_crowding_distance_of_three_goals():
    losses = np.array([[0.0, 4.0, 1.0], [1.0, 2.0, 2.0], [3.0, 1.0, 1.5], [4.0, 0.0, 0.0]])
    inner = [np.inf, np.inf, 3 / 4 + 2 / 4 + 1 / 2, np.inf]  # the second has the largest third loss
    np.testing.assert_allclose(crowding_distance(losses), inner)


@pytest.mark.parametrize("factor", [1.0, 1e-300, 1e307])
def test_the_crowding_distance_knows_no_units(factor):
    losses = np.array([[-8.0, 9.0], [-1.0, 2.0], [2.0, 0.0], [9.0, -8.0]])
    np.testing.assert_allclose(
        crowding_distance(factor * losses), [np.inf, 10 / 17 + 9 / 17, 10 / 17 + 10 / 17, np.inf]
    )


def test_a_goal_without_a_range_tells_nothing():
    assert crowding_distance(np.zeros((0, 2))).shape == (0,)
    assert crowding_distance(np.array([[1.0, 2.0]])).tolist() == [np.inf]
    assert crowding_distance(np.full((4, 2), np.inf)).tolist() == [np.inf, 0.0, 0.0, np.inf]
    flat = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 4.0], [1.0, 5.0]])
    np.testing.assert_allclose(crowding_distance(flat), [np.inf, 4 / 5, 4 / 5, np.inf])


def test_the_crowded_order_is_by_front_and_then_by_distance():
    losses = np.array([[3.0, 3.0], [0.0, 4.0], [4.0, 0.0], [0.5, 3.0], [1.0, 2.5], [9.0, 9.0]])
    assert fronts(losses).tolist() == [1, 0, 0, 0, 0, 2]
    order = crowded_order(losses).tolist()  # inside: 1/4 + 1.5/4 for row 3, 3.5/4 + 3/4 for row 4
    assert order == [1, 2, 4, 3, 0, 5]
    assert crowded_order(losses, 3).tolist() == order[:3]
    assert crowded_order(np.ones((4, 1))).tolist()[0] == 0

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import approx_fprime

from tunewell.numerics.hypervolume import (
    contributions,
    hypervolume,
    log_expected_hypervolume_improvement,
    thin,
    undominated,
)
from tunewell.numerics.pareto import non_dominated


def by_inclusion_and_exclusion(points, reference):
    """The definition: the volume of a union of boxes, by all intersections of them."""
    total = 0.0
    for size in range(1, len(points) + 1):
        for rows in combinations(range(len(points)), size):
            corner = np.max(points[list(rows)], axis=0)
            total -= (-1) ** size * np.prod(np.maximum(reference - corner, 0.0))
    return total


def a_front(n, goals, seed=0, bulge=1.0):
    directions = np.abs(np.random.default_rng([n, goals, seed]).standard_normal((n, goals)))
    return bulge - directions / np.linalg.norm(directions, axis=1, keepdims=True)


def sets_of_points(goals, most=8):
    """Points on a coarse grid have ties, which are the hard case; others have none."""
    whole = st.integers(0, 6).map(float)
    values = st.one_of(whole, st.floats(0.0, 6.0, width=32))
    return st.integers(0, most).flatmap(lambda n: arrays(np.float64, (n, goals), elements=values))


some_points = st.integers(1, 5).flatmap(sets_of_points)


@pytest.mark.parametrize(
    ("points", "reference", "volume"),
    [
        ([[3.0], [1.0]], [4.0], 3.0),
        ([[0.0, 0.0]], [2.0, 3.0], 6.0),
        ([[0.0, 1.0], [1.0, 0.0]], [2.0, 2.0], 3.0),
        ([[0.0, 2.0], [1.0, 1.0], [2.0, 0.0]], [3.0, 3.0], 6.0),
        ([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]], [2.0, 2.0, 2.0], 7.0),
        ([[0.0, 0.0, 0.0, 1.0], [1.0, 1.0, 1.0, 0.0]], [2.0, 2.0, 2.0, 2.0], 9.0),
        ([[0.0, 3.0], [2.0, 2.0]], [2.0, 3.0], 0.0),  # on the edge of what counts
        ([[-np.inf, np.inf], [1.0, 1.0]], [2.0, 2.0], 1.0),
    ],
)
def test_volumes_by_hand(points, reference, volume):
    assert hypervolume(np.array(points), np.array(reference)) == pytest.approx(volume, abs=1e-14)


def test_no_points():
    assert hypervolume(np.empty((0, 3)), np.ones(3)) == 0.0
    assert contributions(np.empty((0, 3)), np.ones(3)).shape == (0,)
    assert len(undominated(np.empty((0, 3)), np.ones(3))) == 1


@settings(max_examples=300, deadline=None)
@given(some_points)
def test_the_volume_is_that_of_inclusion_and_exclusion(points):
    reference = np.full(points.shape[1], 5.0)
    assert hypervolume(points, reference) == pytest.approx(by_inclusion_and_exclusion(points, reference), abs=1e-8)


@pytest.mark.parametrize("goals", [2, 3, 4])
@pytest.mark.parametrize("seed", range(3))
def test_ten_points_of_a_front(goals, seed):
    points, reference = a_front(10, goals, seed), np.full(goals, 1.1)
    assert hypervolume(points, reference) == pytest.approx(by_inclusion_and_exclusion(points, reference), abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(some_points, st.data())
def test_a_dominated_point_changes_nothing_and_neither_does_the_order(points, data):
    reference = np.full(points.shape[1], 5.0)
    volume = hypervolume(points, reference)
    order = data.draw(st.permutations(range(len(points))))
    assert hypervolume(points[order], reference) == pytest.approx(volume, abs=1e-9)
    if len(points):
        worse = points[:1] + data.draw(st.floats(0.0, 3.0))
        assert hypervolume(np.concatenate([points, worse]), reference) == pytest.approx(volume, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(some_points, st.data())
def test_the_volume_scales_with_every_goal(points, data):
    goals = points.shape[1]
    reference = np.full(goals, 5.0)
    scale = np.array(data.draw(st.lists(st.floats(0.01, 100.0), min_size=goals, max_size=goals)))
    shift = np.array(data.draw(st.lists(st.floats(-3.0, 3.0), min_size=goals, max_size=goals)))
    scaled = hypervolume(points * scale + shift, reference * scale + shift)
    assert scaled == pytest.approx(np.prod(scale) * hypervolume(points, reference), rel=1e-6, abs=1e-6)


@settings(max_examples=100, deadline=None)
@given(some_points)
def test_a_contribution_is_what_is_lost_without_the_point(points):
    reference = np.full(points.shape[1], 5.0)
    lost = [
        hypervolume(points, reference) - hypervolume(np.delete(points, k, axis=0), reference)
        for k in range(len(points))
    ]
    np.testing.assert_allclose(contributions(points, reference), lost, atol=1e-8)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 4).flatmap(sets_of_points))
def test_boxes_fill_what_the_front_leaves_and_do_not_overlap(points):
    goals = points.shape[1]
    reference, ideal = np.full(goals, 5.0), np.full(goals, -1.0)
    boxes = undominated(points, reference)
    low, high = np.maximum(boxes.lower, ideal), boxes.upper
    volume = np.prod(high - low, axis=1).sum()
    whole = np.prod(reference - ideal)
    assert volume + hypervolume(points, reference) == pytest.approx(whole, rel=1e-9)
    overlap = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    assert np.array_equal((overlap > 0.0).all(axis=2), np.eye(len(boxes), dtype=bool))
    inner = (points[:, None] < high).all(axis=2)  # no box holds what a point dominates
    assert not inner.any()


@pytest.mark.parametrize(("goals", "count"), [(1, 1), (2, 41), (3, 81)])
def test_the_number_of_boxes(goals, count):
    assert len(undominated(a_front(40, goals), np.full(goals, 1.1))) == count


def test_many_points_are_within_reach():
    points, reference = a_front(120, 4), np.full(4, 1.1)
    boxes = undominated(points, reference)
    volume = np.prod(boxes.upper - np.maximum(boxes.lower, -0.5), axis=1).sum()
    assert volume + hypervolume(points, reference) == pytest.approx(1.6**4, rel=1e-12)
    assert len(boxes) < 3000


def test_a_long_front_is_thinned_to_an_even_one_with_its_ends():
    front = a_front(300, 3)
    rows = thin(front, 30)
    assert len(rows) == len(set(rows.tolist())) == 30
    assert set(front.argmin(axis=0).tolist()) <= set(rows.tolist())
    gaps = np.linalg.norm(front[rows][:, None] - front[rows], axis=2) + 9.0 * np.eye(30)
    assert gaps.min() > 0.05
    assert len(undominated(front, np.full(3, 1.1), most=30)) == 61


def plain(boxes, mean, std):
    """Eq. 2 as it stands, for a single point."""
    from scipy.stats import norm

    def psi(a):
        z = (a - mean) / std
        return np.where(np.isinf(a), 0.0, std * (norm.pdf(z) + np.nan_to_num(z, neginf=0.0) * norm.cdf(z)))

    return np.prod(psi(boxes.upper) - psi(boxes.lower), axis=1).sum()


@pytest.mark.parametrize("goals", [1, 2, 3, 4])
def test_the_expected_improvement_is_that_of_monte_carlo(goals):
    rng = np.random.default_rng(goals)
    front, reference = a_front(12, goals), np.full(goals, 1.1)
    front = front[non_dominated(front.tolist())]
    boxes = undominated(front, reference)
    base, n = hypervolume(front, reference), 4000
    for shift in (0.3, 0.0, -0.3):
        mean, std = front[0] + shift + 0.1 * rng.standard_normal(goals), rng.uniform(0.1, 0.5, goals)
        drawn = mean + std * rng.standard_normal((n, goals))
        gains = np.array([hypervolume(np.vstack([front, y]), reference) - base for y in drawn[:500]])
        by_boxes = np.prod(np.maximum(boxes.upper - np.maximum(boxes.lower, drawn[:, None]), 0.0), axis=2).sum(axis=1)
        np.testing.assert_allclose(by_boxes[:500], gains, atol=1e-12)  # the gain itself, without the normal law
        value, _, _ = log_expected_hypervolume_improvement(boxes, mean[None], std[None])
        error = by_boxes.std() / np.sqrt(n)
        assert abs(np.exp(value[0]) - by_boxes.mean()) < 4.0 * error
        assert np.exp(value[0]) == pytest.approx(plain(boxes, mean, std), rel=1e-10)


@pytest.mark.parametrize("goals", [1, 2, 3, 4])
@pytest.mark.parametrize("away", [-1.0, 0.0, 0.5, 3.0])
def test_slopes_are_those_of_finite_differences(goals, away):
    rng = np.random.default_rng(goals)
    boxes = undominated(a_front(8, goals), np.full(goals, 1.1))
    mean, std = a_front(6, goals, 1) + away, rng.uniform(0.05, 0.5, (6, goals))
    _, by_mean, by_std = log_expected_hypervolume_improvement(boxes, mean, std)
    for row in range(len(mean)):

        def value(x, row=row):
            found, _, _ = log_expected_hypervolume_improvement(boxes, x[None, :goals], x[None, goals:])
            return found[0]

        x = np.concatenate([mean[row], std[row]])
        close = approx_fprime(x, value, 1e-7)
        exact = np.concatenate([by_mean[row], by_std[row]])
        np.testing.assert_allclose(close, exact, rtol=2e-4, atol=2e-5 * (1.0 + np.abs(exact).max()))


@pytest.mark.parametrize("goals", [2, 3, 4])
@pytest.mark.parametrize("std", [1.0, 1e-3, 1e-6])
def test_far_from_the_front_the_logarithm_stays_finite_and_falls(goals, std):
    boxes = undominated(a_front(10, goals), np.full(goals, 1.1))
    away = np.concatenate([np.linspace(-40.0, 40.0, 161), [100.0, 200.0, 1000.0]]) * std
    mean = 1.1 + np.broadcast_to(away[:, None], (len(away), goals))
    value, by_mean, by_std = log_expected_hypervolume_improvement(boxes, mean, np.full(mean.shape, std))
    assert np.isfinite(value).all()
    assert np.isfinite(by_mean).all()
    assert np.isfinite(by_std).all()
    assert (np.diff(value) < 0.0).all()
    assert (by_mean[away > 0.0] < 0.0).all()
    assert (by_std[away > 0.0] > 0.0).all()


def test_narrow_boxes_keep_their_improvement():
    """Points that nearly tie leave boxes of which the difference in eq. 2 keeps no digit."""
    steps = np.arange(5) * 1e-13
    front = np.stack([0.5 + steps, 0.5 - steps], axis=1)
    reference, mean, std = np.ones(2), np.array([[0.45, 0.9], [0.9, 0.3]]), np.full((2, 2), 0.1)
    few, _, _ = log_expected_hypervolume_improvement(undominated(front[:1], reference), mean, std)
    many, by_mean, _ = log_expected_hypervolume_improvement(undominated(front, reference), mean, std)
    np.testing.assert_allclose(few, many, rtol=1e-9)
    assert np.isfinite(by_mean).all()
    boxes = undominated(front, reference)
    narrow = boxes.upper[:, 0] - boxes.lower[:, 0] < 1e-12
    assert narrow.sum() == 4


def test_with_one_goal_it_is_log_expected_improvement():
    from tunewell.numerics.acquisition import log_expected_improvement

    mean, std = np.linspace(-3.0, 30.0, 50), np.linspace(0.01, 1.0, 50)
    boxes = undominated(np.array([[0.5], [0.2]]), np.ones(1))
    ours = log_expected_hypervolume_improvement(boxes, mean[:, None], std[:, None])
    for found, wanted in zip(ours, log_expected_improvement(mean, std, 0.2), strict=True):
        np.testing.assert_allclose(np.reshape(found, -1), wanted, rtol=1e-9)

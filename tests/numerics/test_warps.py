from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.special import ndtri

from tunewell.numerics.warps import Softening, scalarise, scores, soften, standardise

ANY = st.floats(allow_nan=False, allow_infinity=True)


@given(st.lists(ANY, min_size=1, max_size=30))
@example([1.0])
@example([1.0] * 7)
@example([1.0] * 5 + [2.0, 3.0])
@example([1e300, -1e300, 0.0])
@example([1.7e308, -1.7e308, math.inf, -math.inf])
@example([math.inf, math.inf])
@example([5e-324, 0.0, 1e300, 1.0])
def test_softened_losses_are_finite_standardised_and_in_order(losses):
    losses = np.array(losses)
    soft = soften(losses)
    assert np.isfinite(soft).all()
    order = np.argsort(losses, kind="stable")
    finite = order[np.isfinite(losses[order])]
    assert (np.diff(soft[finite]) >= 0.0).all()
    if len(finite) < len(losses) and len(finite):  # infinite ones are the worst
        assert soft[~np.isfinite(losses)].min() >= soft[finite].max()
    spread = soft.std()
    assert spread == 0.0 or (abs(soft.mean()) < 1e-9 and abs(spread - 1.0) < 1e-9)


@given(st.lists(st.floats(-100.0, 100.0), min_size=3, max_size=30, unique=True))
def test_different_losses_stay_different(losses):
    losses = np.round(losses, 3)
    soft = soften(losses)
    assert len(np.unique(losses)) == len(np.unique(np.round(soft, 12)))


def test_the_good_half_keeps_its_shape_and_the_bad_tail_is_a_logarithm():
    losses = np.array([0.0, 0.5, 1.0, 2.0, 1.0 + math.e, 1.0 + math.e**2, 1.0, 0.0, 1.0])  # median and unit 1
    assert np.median(losses) == 1.0
    expected = np.array([-1.0, -0.5, 0.0, 1.0, 2.0, 3.0, 0.0, -1.0, 0.0])
    np.testing.assert_allclose(soften(losses), (expected - expected.mean()) / expected.std(), atol=1e-12)


def test_an_infinite_loss_lies_half_a_unit_above_the_worst():
    soft = soften(np.array([0.0, 1.0, 2.0, math.inf]))
    assert (soft[3] - soft[2]) / (soft[1] - soft[0]) == pytest.approx(0.5)


def test_one_huge_loss_does_not_flatten_the_others():
    soft = soften(np.array([0.0, 1.0, 2.0, 3.0, 1e300]))
    assert soft[1] - soft[0] > 0.5
    assert (soft[4] - soft[3]) / (soft[1] - soft[0]) == pytest.approx(1.0)


def test_many_huge_losses_do_not_flatten_the_others():
    losses = np.random.default_rng(0).uniform(0.0, 2.0, 60)
    losses[::10] = 1e300
    assert np.ptp(np.delete(soften(losses), np.arange(0, 60, 10))) > 2.0


@pytest.mark.parametrize("losses", [[3.0] * 5, [0.0], [math.inf] * 3, [math.inf]])
def test_what_does_not_differ_is_zero(losses):
    np.testing.assert_array_equal(soften(np.array(losses)), 0.0)


def test_standardised_constants_are_zero_in_spite_of_rounding():
    np.testing.assert_array_equal(standardise(np.full(7, 0.1) + 1e-17 * np.arange(7)), 0.0)


def test_the_augmented_tchebycheff_norm_by_hand():
    values = np.array([[0.0, 10.0], [1.0, 30.0], [4.0, 20.0]])
    scaled = np.array([[0.0, 0.0], [0.25, 1.0], [1.0, 0.5]])
    w = np.array([0.3, 0.7])
    expected = [max(w * row) + 0.05 * sum(w * row) for row in scaled]
    np.testing.assert_allclose(scalarise(values, w), expected)
    np.testing.assert_allclose(scalarise(np.ones((3, 2)), w), 0.0)


# --- scores -----------------------------------------------------------------------------------------------------------


@given(st.lists(ANY, min_size=1, max_size=30))
def test_scores_are_finite_and_equal_or_in_order_as_the_losses_are(losses):
    losses = np.array(losses)
    found = scores(losses)
    assert np.isfinite(found).all()
    assert abs(found.mean()) < 1e-9
    assert len(np.unique(found)) == len(np.unique(losses))
    order = np.argsort(losses, kind="stable")
    assert (np.diff(found[order]) >= 0.0).all()


def test_scores_are_those_of_mean_ranks():
    found = scores(np.array([5.0, 1.0, 1.0, math.inf]))
    expected = ndtri((np.array([3.0, 1.5, 1.5, 4.0]) - 0.5) / 4.0)
    np.testing.assert_allclose(found, (expected - expected.mean()) / expected.std())


def test_only_the_order_counts():
    losses = np.array([3.0, -1.0, 1e9, 0.1, math.inf])
    np.testing.assert_array_equal(scores(losses), scores(np.array([2.0, 0.0, 3.0, 1.0, 4.0])))


@pytest.mark.parametrize("losses", [[3.0] * 5, [0.0], [math.inf] * 3])
def test_scores_of_what_does_not_differ_are_zero(losses):
    np.testing.assert_array_equal(scores(np.array(losses)), 0.0)


def test_the_map_made_for_some_losses_takes_others():
    soft = Softening.of(np.array([0.0, 1.0, 2.0, 50.0, np.inf]))
    below, within, beyond, infinite = soft(np.array([-1.0, 1.5, 1e3, np.inf]))
    assert below < soft(np.zeros(1))[0] < within < soft(np.array([50.0]))[0] < beyond == infinite


def test_a_bound_just_above_all_losses_lies_just_above_them():
    losses = np.linspace(0.10, 0.19, 10)
    soft = Softening.of(losses)
    near, far, never = soft.bounds(np.array([0.20, 0.5, np.inf]))
    assert soft(losses).max() < near < far == never
    assert near - soft(losses).max() < 0.5 * (far - soft(losses).max())

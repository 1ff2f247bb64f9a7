"""Trends against their formula, and what they do to the process of learning curves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from tunewell.numerics.curves import TRUST, Curves, Drift, Evidence, Law, prior
from tunewell.numerics.gp import RATE, SHAPE
from tunewell.numerics.kernels import Columns, Kernel
from tunewell.numerics.trends import Effect, Mover, Trend, Well

COLUMNS = Columns((0, 0, 3), (False, True, False))
CODES = (-0.4, 0.1, 0.3)
TREND = Trend(
    (Effect(0, (-0.5, 0.3), (2.0, 6.0), 0.4), Effect(1, (0.2, 0.4)), Effect(2, (0.5, 1.0), codes=CODES)),
    (Well(0, (1.0, 2.0), 0.45, 0.3, (Mover(1, (0.2, -0.3)), Mover(2, (0.0, 0.4), CODES))),),
    ((0, -1.5),),
)


def points(n=30, curves=12, seed=0):
    """Return units, times, owners and losses; gaps in the second column."""
    rng = np.random.default_rng(seed)
    units = rng.random((curves, 3))
    units[:, 2] = (rng.integers(3, size=curves) + 0.5) / 3
    units[::4, 1] = np.nan
    owners = np.sort(rng.integers(curves, size=n))
    return units[owners], rng.random(n), owners, rng.standard_normal(n)


def theta_of(seed=0):
    rng = np.random.default_rng(seed)
    return np.concatenate([np.log(rng.uniform(0.3, 2.0, 6)), [0.3], np.log([0.01, 1.5, 0.2])])


def test_an_effect_is_its_formula_and_nothing_on_average():
    effect = Effect(0, (-1.0, 3.0), (2.0, 6.0), 0.3)
    u = np.linspace(0.0, 1.0, 20001)
    for time, a, b in ((0.0, -1.0, 2.0), (1.0, 3.0, 6.0), (0.25, 0.0, 3.0)):
        found = Trend((effect,)).value(u[:, None], np.full(len(u), time))
        np.testing.assert_allclose(found, a * (u - 0.5) + b * ((u - 0.3) ** 2 - 1 / 12 - 0.04), atol=1e-12)
        assert np.trapezoid(found, u) == pytest.approx(0.0, abs=1e-6)


def test_a_category_has_its_number():
    units = np.array([[0.2, 0.9, 1 / 6], [0.2, 0.9, 5 / 6]])
    alone = Trend((Effect(2, (0.5, 1.0), codes=CODES),))
    np.testing.assert_allclose(alone.value(units, np.array([0.0, 1.0])), [0.5 * -0.4, 1.0 * 0.3])
    assert not alone.slopes(units, 1.0).any()  # a category has none


@pytest.mark.parametrize(("time", "depth", "shifts"), [(0.0, 1.0, (0.2, 0.0)), (1.0, 2.0, (-0.3, 0.4))])
def test_a_well_is_its_formula_and_nothing_on_average(time, depth, shifts):
    (well,) = TREND.wells
    u = np.linspace(0.0, 1.0, 20001)
    for other, code in ((0.9, 0), (0.5, 1)):
        units = np.stack([u, np.full(len(u), other), np.full(len(u), (code + 0.5) / 3)], axis=1)
        away = u - 0.45 + shifts[0] * (other - 0.5) + shifts[1] * CODES[code]
        found = well.value(units, np.full(len(u), time))
        expected = -depth * np.exp(-(away**2) / (2 * 0.3**2))
        np.testing.assert_allclose(found - found[0], expected - expected[0], atol=1e-12)
    alone = Trend(wells=(Well(0, (1.0, 2.0), 0.45, 0.3),)).value(u[:, None], np.full(len(u), time))
    assert np.trapezoid(alone, u) == pytest.approx(0.0, abs=1e-6)


def test_in_aligned_coordinates_the_bottom_stays():
    (well,) = TREND.wells
    u = np.linspace(0.0, 1.0, 20001)
    for other, code in ((0.9, 0), (0.1, 2), (np.nan, 1)):
        units = np.stack([u, np.full(len(u), other), np.full(len(u), (code + 0.5) / 3)], axis=1)
        aligned = TREND.aligned(units)
        best = int(np.argmin(well.value(units, np.ones(len(u)))))
        assert aligned[best, 0] == pytest.approx(well.center, abs=1e-4)
        np.testing.assert_array_equal(aligned[:, 1:], units[:, 1:])
    nowhere = np.array([[np.nan, 0.9, 0.5]])
    assert np.isnan(TREND.aligned(nowhere)[0, 0])
    inactive = TREND.pull_back(np.array([[0.2, np.nan, 0.5]]), np.ones((1, 3)))
    np.testing.assert_array_equal(inactive, np.ones((1, 3)))


def test_what_is_learnt_at_one_place_of_a_mover_counts_along_the_bottom():
    """All trainings have a low momentum; the best learning rate of a high one is looked for where the well says."""
    mover = Mover(1, (0.5, 0.5))
    aware, columns = Trend((), (Well(0, (0.0, 0.0), 0.5, 0.2, (mover,)),)), Columns((0, 0), (False, False))
    u = np.linspace(0.05, 0.95, 10)
    units, ones = np.stack([u, np.full(10, 0.2)], axis=1), np.ones(10)
    losses = (u - 0.7) ** 2 * 10.0
    theta = np.concatenate([np.log([0.3, 1.0, 0.3, 1.0]), [-3.0], np.log([0.01, 0.1, 0.01])])
    grid = np.stack([np.linspace(0.0, 1.0, 101), np.full(101, 0.8)], axis=1)
    best = [
        grid[np.argmin(Curves.of(columns, theta, units, ones, np.arange(10), losses, trend=trend).predict(grid)[0]), 0]
        for trend in (aware, None)
    ]
    assert best[0] == pytest.approx(0.7 - 0.5 * 0.6, abs=0.05)
    assert best[1] == pytest.approx(0.7, abs=0.05)


def test_what_others_move_comes_after_them():
    assert TREND.columns == [1, 2, 0]
    assert Trend(wells=(Well(1, (1.0, 1.0)),)).columns == [1]


def test_a_usual_length_scale_moves_the_prior_of_its_column_alone():
    plain, told = prior(3), prior(3, Law(), ((1, -2.0),))
    moved = np.array([-0.5, -2.5, -0.5, *np.zeros(7)])  # all are shorter where anything is known
    np.testing.assert_allclose(told.center - plain.center, moved)
    np.testing.assert_allclose(told.starts - plain.starts, np.tile(moved, (2, 1)))
    narrow = prior(3, Law(), ((1, 20.0),))
    assert np.all(narrow.center <= narrow.high)
    assert np.all(narrow.starts <= narrow.high)
    assert told.std[1] < plain.std[1]
    assert np.array_equal(np.delete(told.std, 1), np.delete(plain.std, 1))


def test_with_length_scales_alone_the_mean_has_no_trend():
    units, times, owners, losses = points()
    found = Curves.of(COLUMNS, theta_of(), units, times, owners, losses, trend=Trend(lengths=((0, -1.0),)))
    plain = Curves.of(COLUMNS, theta_of(), units, times, owners, losses)
    for one, other in zip(found.predict_with_slopes(units[:3]), plain.predict_with_slopes(units[:3]), strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_inactive_coordinate_has_no_effect():
    units = np.array([[0.2, np.nan, 0.5], [0.2, 0.5, 0.5]])
    (well,) = TREND.wells
    without = Trend((TREND.effects[0], TREND.effects[2]), (replace(well, movers=well.movers[1:]),))
    assert TREND.value(units, np.ones(2))[0] == without.value(units, np.ones(2))[0]
    assert TREND.slopes(units, 1.0)[0, 1] == 0.0
    nowhere = np.array([[np.nan, 0.9, 0.5]])
    assert Trend(wells=TREND.wells).value(nowhere, np.ones(1)) == 0.0
    assert not Trend(wells=TREND.wells).slopes(nowhere, 1.0).any()


def test_the_slopes_against_differences():
    at = np.array([0.3, 0.8, 0.5])
    expected = approx_fprime(at, lambda u: TREND.value(u[None], np.array([0.4]))[0], 1e-7)
    np.testing.assert_allclose(TREND.slopes(at[None], 0.4)[0], expected, atol=1e-6)


def test_the_gradient_of_the_evidence_with_a_trend():
    units, times, owners, losses = points()
    evidence = Evidence(COLUMNS, units, times, owners, losses, trend=TREND)
    theta = theta_of()
    differences = approx_fprime(theta, lambda at: evidence.value_and_gradient(at)[0], 1e-6)
    np.testing.assert_allclose(evidence.value_and_gradient(theta)[1], differences, rtol=2e-4, atol=2e-4)


def test_the_factor_of_the_trend_is_estimated_with_its_law():
    """The mean is H b with H = (1, t, m), by generalised least squares with the laws of b₁ and b₂."""
    units, times, owners, losses = points()
    theta, drift, n = theta_of(), Drift(), len(losses)
    model = Curves.of(COLUMNS, theta, units, times, owners, losses, trend=TREND)
    bare = Curves.of(COLUMNS, theta, TREND.aligned(units), times, owners, np.zeros(n))
    inverse = np.linalg.inv(bare.factor @ bare.factor.T)
    basis = np.stack([np.ones(n), times, TREND.value(units, times)], axis=1)
    before = np.diag([0.0, drift.std**-2, TRUST.std**-2])
    center = np.array([0.0, drift.center, TRUST.center])
    b = np.linalg.solve(basis.T @ inverse @ basis + before, basis.T @ inverse @ losses + before @ center)
    np.testing.assert_allclose(model.mean, b, atol=1e-8)
    left = losses - basis @ b
    penalty = (b - center) @ before @ (b - center)
    assert model.variance == pytest.approx((RATE + 0.5 * (left @ inverse @ left + penalty)) / (SHAPE + 0.5 * n))
    new = points(5, seed=3)[0]
    kernel = Kernel.of(COLUMNS, theta[:8])
    places = [COLUMNS.features(TREND.aligned(which)) for which in (new, units)]
    k = kernel.matrix(*places) * (1.0 + np.exp(theta[-2]) * times)
    expected = b[0] + b[1] + b[2] * TREND.value(new, np.ones(5)) + k @ inverse @ left
    np.testing.assert_allclose(model.predict(new)[0], expected, atol=1e-8)


def test_with_a_trend_all_ways_of_asking_agree():
    units, times, owners, losses = points()
    theta = theta_of()
    model = Curves.of(COLUMNS, theta, units, times, owners, losses, trend=TREND)
    new, at, none = points(6, seed=5)[0], np.array([0.2, 0.7, 1.0]), np.full(6, -1)
    mean, std = model.predict(new, 0.7)
    slowly = model.ahead(new, none, np.full(6, 0.7))
    means, covariances = model.together(new, none, at)
    np.testing.assert_allclose(slowly, [mean, std], atol=1e-9)
    np.testing.assert_allclose(means[:, 1], mean, atol=1e-9)
    np.testing.assert_allclose(covariances[:, 1, 1], std**2 + model.variance * model.noise, atol=1e-9)
    head = Curves.of(COLUMNS, theta, units[:20], times[:20], owners[:20], np.zeros(20), trend=TREND)
    grown = head.grown(units[20:], times[20:], owners[20:]).given(losses)
    np.testing.assert_allclose(grown.predict(new, 0.7), [mean, std], atol=1e-8)


def test_with_a_trend_the_gradients_of_a_prediction_against_differences():
    units, times, owners, losses = points()
    model = Curves.of(COLUMNS, theta_of(), units, times, owners, losses, trend=TREND)
    at = np.array([0.3, 0.6, 0.5])
    _, _, of_mean, of_std = model.predict_with_slopes(at[None], 0.8)
    for found, which in ((of_mean, 0), (of_std, 1)):
        expected = approx_fprime(at, lambda u, which=which: model.predict(u[None], 0.8)[which][0], 1e-6)
        np.testing.assert_allclose(found[0, :2], expected[:2], atol=1e-4)


def test_without_losses_the_trend_says_where_the_best_ends_are():
    one = np.array([[0.9, 0.9, 0.5]])
    model = Curves.of(COLUMNS, theta_of(), one, np.ones(1), np.zeros(1, dtype=np.int64), np.zeros(1), trend=TREND)
    grid = np.stack([np.linspace(0.0, 1.0, 51), np.full(51, 0.5), np.full(51, 0.5)], axis=1)
    assert abs(grid[np.argmin(model.predict(grid)[0]), 0] - 0.4) < 0.1


def test_a_trend_that_the_losses_contradict_is_forgotten():
    rng = np.random.default_rng(0)
    units = rng.random((40, 3))
    losses = -TREND.value(units, np.ones(40))
    model = Curves.of(COLUMNS, theta_of(), units, np.ones(40), np.arange(40), losses, trend=TREND)
    assert model.mean[2] < 0.3

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.stats import norm

from tunewell.numerics.acquisition import (
    averaging,
    bounding,
    climb,
    expecting,
    improving,
    log_expected_improvement,
    log_kept,
    log_works,
)

# log h(z) computed with BoTorch's LogExpectedImprovement (its _log_ei_helper, double precision).
BOTORCH = {
    5.0: 1.6094379231264313,
    1.0: 0.08002621884930704,
    0.0: -0.9189385332046727,
    -0.5: -1.6205162643873199,
    -1.0: -2.4851210257126413,
    -2.0: -4.768783523917116,
    -5.0: -16.74430116266099,
    -10.0: -55.55312203612237,
    -30.0: -457.72465376059796,
    -100.0: -5010.129578800249,
    -1000.0: -500014.734452091,
}
FAR = np.concatenate([np.linspace(-200.0, 5.0, 411), [-99.99, -100.01, -1e4, -1e6]])


def of_z(z):
    """Return log EI at z with a deviation of 1."""
    return log_expected_improvement(-np.atleast_1d(np.asarray(z, dtype=float)), np.ones(np.size(z)), 0.0)


def test_log_expected_improvement_against_botorch():
    np.testing.assert_allclose(of_z(list(BOTORCH))[0], list(BOTORCH.values()), rtol=1e-11)


def test_log_expected_improvement_against_many_digits():
    """From z = 5 to z = -1,000,000, with its derivatives."""

    def exactly(z):
        with mpmath.workdps(60 + 2 * len(str(abs(int(z)))) * 4):
            z = mpmath.mpf(float(z))
            density = mpmath.exp(-z * z / 2) / mpmath.sqrt(2 * mpmath.pi)
            below = mpmath.erfc(-z / mpmath.sqrt(2)) / 2
            h = density + z * below
            return float(mpmath.log(h)), float(-below / h), float(density / h)

    value, by_mean, by_std = of_z(FAR)
    expected = np.array([exactly(z) for z in FAR])
    np.testing.assert_allclose(value, expected[:, 0], rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(by_mean, expected[:, 1], rtol=1e-6)
    np.testing.assert_allclose(by_std, expected[:, 2], rtol=1e-6)


@pytest.mark.parametrize(("mean", "std", "best"), [(0.3, 0.5, 0.1), (2.0, 0.7, -1.0), (-1.0, 0.2, 0.5)])
def test_expected_improvement_against_integration(mean, std, best):
    expected, _ = quad(lambda y: (best - y) * norm.pdf(y, mean, std), best - 12.0 * std - abs(best - mean), best)
    found = np.exp(log_expected_improvement(np.array([mean]), np.array([std]), best)[0][0])
    assert found == pytest.approx(expected, rel=1e-8)


MEASURES = {
    "log_ei": expecting(0.3),
    "log_pi": improving(0.3),
    "bound": bounding(2.0),
    "average": averaging([expecting(0.3), expecting(-0.4), expecting(0.0)]),
    "works": log_works,
    "kept": log_kept,
}


@pytest.mark.parametrize("name", MEASURES)
def test_derivatives_against_differences(name):
    rng = np.random.default_rng(0)
    mean, std = rng.uniform(-2.0, 6.0, 200), 10.0 ** rng.uniform(-1.0, 1.0, 200)
    _, by_mean, by_std = MEASURES[name](mean, std)
    h = 1e-6 * std
    of_mean = (MEASURES[name](mean + h, std)[0] - MEASURES[name](mean - h, std)[0]) / (2.0 * h)
    of_std = (MEASURES[name](mean, std + h)[0] - MEASURES[name](mean, std - h)[0]) / (2.0 * h)
    np.testing.assert_allclose(by_mean, of_mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(by_std, of_std, rtol=1e-5, atol=1e-6)


def test_measures_against_monte_carlo():
    rng = np.random.default_rng(1)
    mean, std = np.array([0.2, 0.5, -0.3]), np.array([0.4, 0.3, 0.6])
    drawn = mean + std * rng.standard_normal((400_000, 3))
    noisy = drawn + 0.1 * rng.standard_normal(drawn.shape)
    bests = [0.3, -0.4, 0.0]
    expected = {
        "log_ei": np.log(np.maximum(0.3 - drawn, 0.0).mean(axis=0)),
        "log_pi": np.log((drawn < 0.3).mean(axis=0)),
        "average": np.log(np.mean([np.maximum(best - drawn, 0.0).mean(axis=0) for best in bests], axis=0)),
        "works": np.log((noisy < 0.5).mean(axis=0)),
        "kept": np.log((drawn < 0.0).mean(axis=0)),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(MEASURES[name](mean, std)[0], values, atol=0.015, err_msg=name)
    np.testing.assert_allclose(bounding(2.0)(mean, std)[0], 2.0 * std - mean)


def test_probabilities_stay_finite_far_away():
    mean, std = np.array([1e3, 1e5, -1e5]), np.ones(3)
    for measure in (improving(0.0), log_works, log_kept, expecting(0.0)):
        for each in measure(mean, std):
            assert np.isfinite(each).all()


# --- the climber ------------------------------------------------------------------------------------------------------


def skewed(center, d=4):
    """Return a concave function with a maximum at ``center``, badly conditioned, and its gradient."""
    rng = np.random.default_rng(2)
    turn, _ = np.linalg.qr(rng.standard_normal((d, d)))
    curvature = turn @ np.diag(np.geomspace(1.0, 30.0, d)) @ turn.T

    def objective(points):
        away = points - center
        return -0.5 * np.einsum("bi,ij,bj->b", away, curvature, away), -away @ curvature

    return objective


@pytest.mark.parametrize(
    "center", [[0.3, 0.6, 0.5, 0.7], [0.0, 0.5, 1.0, 0.4], [-0.2, 0.5, 1.3, 0.4], [2.0, -1.0, -1.0, 2.0]]
)
def test_the_climber_reaches_what_l_bfgs_b_reaches(center):
    """Inside the cube, on its boundary and beyond, where the best is a face or a corner."""
    objective = skewed(np.array(center))

    def down(x):
        value, gradient = objective(x[None])
        return -value[0], -gradient[0]

    best = minimize(down, np.full(4, 0.5), jac=True, method="L-BFGS-B", bounds=[(0.0, 1.0)] * 4, tol=1e-12)
    points = np.random.default_rng(3).random((8, 4))
    found, _ = climb(objective, points, np.ones(points.shape, dtype=np.bool_), 60)
    assert ((found >= 0.0) & (found <= 1.0)).all()
    values = objective(found)[0]
    np.testing.assert_allclose(values, -best.fun, atol=1e-3 * max(1.0, abs(best.fun)))


def test_the_climber_moves_what_is_free_and_never_down():
    def wavy(points):
        filled = np.nan_to_num(points, nan=0.5)
        return np.sin(9.0 * filled).sum(axis=1), 9.0 * np.cos(9.0 * filled)

    rng = np.random.default_rng(4)
    points = rng.random((12, 5))
    points[::3, 1] = np.nan
    free = (rng.random((12, 5)) < 0.6) & ~np.isnan(points)
    found, values = climb(wavy, points, free, 15)
    np.testing.assert_array_equal(values, wavy(found)[0])
    np.testing.assert_array_equal(found[~free], points[~free])
    assert (wavy(found)[0] >= wavy(points)[0]).all()
    assert (wavy(found)[0] > wavy(points)[0]).mean() > 0.8


def test_the_climber_stops_where_nothing_is_gained():
    calls = []

    def flat(points):
        calls.append(len(points))
        return np.zeros(len(points)), np.zeros(points.shape)

    points = np.random.default_rng(5).random((3, 2))
    found, _ = climb(flat, points, np.ones(points.shape, dtype=np.bool_), 100)
    np.testing.assert_array_equal(found, points)
    assert len(calls) < 10

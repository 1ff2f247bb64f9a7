from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from tunewell.numerics.bend_fits import BentEvidence, fit_bent
from tunewell.numerics.bends import Bend
from tunewell.numerics.gp import Evidence, GaussianProcess, fit, fit_modes
from tunewell.numerics.kernels import Columns

PLAIN = Columns((0,) * 3, (False,) * 3)
MIXED = Columns((0, 0, 3, 4, 0), (False, True, False, True, False))


def data(columns, n, seed=0):
    """Return coordinates as spaces give them, with NaN in the gaps, and losses with some noise."""
    rng = np.random.default_rng(seed)
    units = rng.random((n, len(columns)))
    for j, (count, gap) in enumerate(zip(columns.categories, columns.gaps, strict=True)):
        if count:
            units[:, j] = (rng.integers(count, size=n) + 0.5) / count
        if gap:
            units[rng.random(n) < 0.3, j] = np.nan
    known = np.nan_to_num(units, nan=0.3)
    losses = np.sin(4.0 * known[:, 0]) + (known[:, 1:] ** 2).sum(axis=1) + 0.05 * rng.standard_normal(n)
    return units, (losses - losses.mean()) / losses.std()


def theta_of(columns, bent=True, seed=0):
    """Return hyperparameters somewhere in the middle; bends of ordered columns only."""
    rng, d = np.random.default_rng(seed), len(columns)
    straight = np.concatenate([np.log(rng.uniform(0.3, 2.0, 2 * d)), [0.3, -4.0]])
    ordered = np.tile([count == 0 for count in columns.categories], 2)
    return np.concatenate([straight, 0.4 * rng.standard_normal(2 * d) * ordered]) if bent else straight


def test_a_bend_against_the_law_and_differences():
    bend = Bend(np.log([1.0, 0.4, 2.0, 3.0]), np.log([1.0, 0.5, 3.0, 1.0]))
    u = np.linspace(0.01, 0.99, 40)[:, None] * np.ones(4)
    p, q = np.exp(bend.log_p), np.exp(bend.log_q)
    np.testing.assert_allclose(bend.bent(u), 1.0 - (1.0 - u**p) ** q, atol=1e-12)
    np.testing.assert_allclose(bend.slopes(u), (bend.bent(u + 1e-6) - bend.bent(u - 1e-6)) / 2e-6, rtol=1e-5)
    for k, found in enumerate(bend.slopes_of_logs(u)):
        step = np.array([1e-6 * (k == 0), 1e-6 * (k == 1)])
        above = Bend(bend.log_p + step[0], bend.log_q + step[1]).bent(u)
        below = Bend(bend.log_p - step[0], bend.log_q - step[1]).bent(u)
        np.testing.assert_allclose(found, (above - below) / 2e-6, atol=1e-8)


def test_a_bend_keeps_ends_and_order_and_gaps():
    bend = Bend(np.array([0.9, -0.9]), np.array([-0.9, 0.9]))
    u = np.linspace(0.0, 1.0, 101)[:, None] * np.ones(2)
    bent = bend.bent(u)
    np.testing.assert_array_equal(bent[[0, -1]], [[0.0, 0.0], [1.0, 1.0]])
    assert (np.diff(bent, axis=0) > 0.0).all()
    assert np.isfinite(bend.slopes(u)).all()
    assert np.isfinite(bend.slopes_of_logs(u)).all()
    gap = np.full((1, 2), np.nan)
    assert np.isnan(bend.bent(gap)).all()
    np.testing.assert_array_equal(bend.slopes(gap), 0.0)


@pytest.mark.parametrize("columns", [PLAIN, MIXED], ids=["plain", "mixed"])
def test_without_a_bend_the_numbers_are_those_of_before_to_the_last_bit(columns):
    units, targets = data(columns, 40)
    theta, points = theta_of(columns, bent=False), data(columns, 9, 1)[0]
    straight = GaussianProcess.of(columns, theta, units, targets)
    bent = GaussianProcess.of(columns, np.append(theta, np.zeros(2 * len(columns))), units, targets)
    for found, expected in zip(bent.predict_with_slopes(points), straight.predict_with_slopes(points), strict=True):
        np.testing.assert_array_equal(found, expected)
    d = len(columns)
    expected_value, expected_gradient = Evidence(columns, units, targets).value_and_gradient(theta)
    value, gradient = BentEvidence(columns, units, targets).value_and_gradient(np.append(theta, np.zeros(2 * d)))
    assert value == expected_value
    np.testing.assert_array_equal(gradient[: 2 * d + 2], expected_gradient)


@pytest.mark.parametrize("columns", [PLAIN, MIXED, Columns((0,), (False,))], ids=["plain", "mixed", "one"])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_gradient_of_the_bent_evidence_against_differences(columns, seed):
    units, targets = data(columns, 25, seed)
    evidence, theta = BentEvidence(columns, units, targets), theta_of(columns, seed=seed)
    gradient = evidence.value_and_gradient(theta)[1]
    differences = approx_fprime(theta, lambda t: evidence.value_and_gradient(t)[0], 1e-6)
    ordered = np.tile([count == 0 for count in columns.categories], 2)
    np.testing.assert_array_equal(gradient[2 * len(columns) + 2 :][~ordered], 0.0)
    known = np.append(np.ones(2 * len(columns) + 2, np.bool_), ordered)
    np.testing.assert_allclose(gradient[known], differences[known], rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("columns", [PLAIN, MIXED], ids=["plain", "mixed"])
def test_slopes_of_a_bent_posterior_against_differences(columns):
    units, targets = data(columns, 40)
    process = GaussianProcess.of(columns, theta_of(columns), units, targets)
    points = np.clip(data(columns, 9, seed=1)[0], 0.02, 0.98)
    mean, std, of_mean, of_std = process.predict_with_slopes(points)
    np.testing.assert_allclose([mean, std], process.predict(points), atol=1e-9)
    for j, count in enumerate(columns.categories):
        step = np.zeros_like(points)
        step[:, j] = 0.0 if count else 1e-5
        above, below = process.predict(points + step), process.predict(points - step)
        np.testing.assert_allclose(of_mean[:, j], (above[0] - below[0]) / 2e-5, atol=2e-5)
        np.testing.assert_allclose(of_std[:, j], (above[1] - below[1]) / 2e-5, atol=2e-5)


def test_a_function_whose_action_is_near_one_end_is_predicted_better():
    """Two of three half waves lie above 0.64: the squared error falls to less than a half, in the median of designs."""

    def waves(units):
        return np.sin(3.0 * np.pi * units[:, 0] ** 2.5)

    line, points, ratios = Columns((0,), (False,)), np.linspace(0.0, 1.0, 400)[:, None], []
    for seed in range(7):
        units = (np.arange(16.0)[:, None] + np.random.default_rng(seed).random((16, 1))) / 16.0
        theta, value = fit_modes(Evidence(line, units, waves(units)), 1, 20)[0]
        bent, higher = fit_bent(BentEvidence(line, units, waves(units)), 1, theta, 20)
        assert higher > value + 1.0
        missed = [
            GaussianProcess.of(line, each, units, waves(units)).predict(points)[0] - waves(points)
            for each in (theta, bent)
        ]
        ratios.append(float(missed[1] @ missed[1] / (missed[0] @ missed[0])))
    assert np.median(ratios) < 0.5
    assert max(ratios) < 1.0


def test_where_nothing_is_bent_nothing_is_climbed():
    units, targets = data(PLAIN, 30)
    theta, _ = fit(Evidence(PLAIN, units, targets), 3, 60)
    found, value = fit_bent(BentEvidence(PLAIN, units, targets), 3, theta)
    np.testing.assert_array_equal(found, theta)
    assert value == -np.inf

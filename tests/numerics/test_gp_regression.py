from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern

from tunewell.numerics.acquisition import expecting
from tunewell.numerics.gp import RATE, SHAPE, Evidence, GaussianProcess, draw, fit, fit_modes, prior
from tunewell.numerics.kernels import Columns

PLAIN = Columns((0,) * 3, (False,) * 3)
MIXED = Columns((0, 0, 3, 4), (False, True, False, True))


def data(columns, n, seed=0):
    """Return coordinates as spaces give them, with NaN in the gaps, and losses with some noise."""
    rng = np.random.default_rng(seed)
    units = rng.random((n, len(columns)))
    for j, count in enumerate(columns.categories):
        if count:
            units[:, j] = (rng.integers(count, size=n) + 0.5) / count
        if columns.gaps[j]:
            units[rng.random(n) < 0.3, j] = np.nan
    known = np.nan_to_num(units, nan=0.3)
    losses = np.sin(4.0 * known[:, 0]) + (known[:, 1:] ** 2).sum(axis=1) + 0.05 * rng.standard_normal(n)
    return units, (losses - losses.mean()) / losses.std()


def theta_of(columns, seed=0, noise=0.01):
    """Return hyperparameters somewhere in the middle."""
    rng, d = np.random.default_rng(seed), len(columns)
    return np.concatenate([np.log(rng.uniform(0.3, 2.0, 2 * d)), [0.3], [np.log(noise)]])


def kriging(process, units, inputs, targets, noise):
    """Universal kriging with a constant mean, formula by formula: the mean, its m, and s²."""
    columns = process.kernel.columns
    x, z = columns.features(inputs), columns.features(units)
    inverse = np.linalg.inv(process.kernel.matrix(x, x) + np.diag(noise))
    ones = np.ones(len(targets))
    m = ones @ inverse @ targets / (ones @ inverse @ ones)
    left = targets - m
    variance = (RATE + 0.5 * left @ inverse @ left) / (SHAPE + 0.5 * len(targets))
    k = process.kernel.matrix(z, x)
    shrunk = 1.0 - np.einsum("ij,jk,ik->i", k, inverse, k)
    return m + k @ inverse @ left, np.sqrt(variance * shrunk), m, variance


# --- prediction -------------------------------------------------------------------------------------------------------


def test_the_posterior_against_scikit_learn():
    """The joint kernel alone, given hyperparameters, mean subtracted: the rest is scikit-learn's regression."""
    units, targets = data(PLAIN, 40)
    theta = theta_of(PLAIN)
    theta[-2] = -40.0  # β = 0
    process = GaussianProcess.of(PLAIN, theta, units, targets)
    reference = GaussianProcessRegressor(Matern(process.kernel.joint, nu=2.5), alpha=process.noise, optimizer=None)
    reference.fit(units, targets - process.mean)
    points, _ = data(PLAIN, 25, seed=1)
    mean, std = reference.predict(points, return_std=True)
    found = process.predict(points)
    np.testing.assert_allclose(found[0], process.mean + mean, atol=1e-6)
    np.testing.assert_allclose(found[1], np.sqrt(process.variance) * std, atol=1e-6)


def test_the_evidence_against_scikit_learn():
    """Up to the prior of θ and a constant, with s² and m at their best: two values of θ differ by what theirs differ.

    Scikit-learn knows the normal law; given s² it is that law's, with the same constant, so the Student-t is written
    out around its terms: log|A| is taken from it.
    """
    units, targets = data(PLAIN, 30)
    n, law = len(targets), prior(3)
    values, expected = [], []
    for seed in (1, 2):
        theta = theta_of(PLAIN, seed)
        theta[-2] = -40.0
        process = GaussianProcess.of(PLAIN, theta, units, targets)
        reference = GaussianProcessRegressor(Matern(process.kernel.joint, nu=2.5), alpha=process.noise, optimizer=None)
        left = targets - process.mean
        reference.fit(units, left)
        normal = reference.log_marginal_likelihood()  # -½ quadratic - ½ log|A| - n/2 log 2π
        quadratic = float(left @ reference.alpha_)
        half_log_det = -(normal + 0.5 * quadratic + 0.5 * n * np.log(2.0 * np.pi))
        student = -(SHAPE + 0.5 * n) * np.log(RATE + 0.5 * quadratic) - half_log_det
        expected.append(student - 0.5 * np.sum(((theta - law.center) / law.std) ** 2))
        values.append(Evidence(PLAIN, units, targets).value_and_gradient(theta)[0])
    np.testing.assert_allclose(values, expected, rtol=1e-8)


@pytest.mark.parametrize("columns", [PLAIN, MIXED], ids=["plain", "mixed"])
def test_the_posterior_against_the_kriging_formulas(columns):
    """Both parts of the kernel, noise of each point, mean and variance."""
    units, targets = data(columns, 50)
    extra = np.where(np.arange(50) % 4 == 0, 0.2, 0.0)
    process = GaussianProcess.of(columns, theta_of(columns), units, targets, extra)
    points, _ = data(columns, 20, seed=1)
    mean, std, m, variance = kriging(process, points, units, targets, process.noise + extra)
    assert process.mean == pytest.approx(m)
    assert process.variance == pytest.approx(variance)
    found = process.predict(points)
    np.testing.assert_allclose(found[0], mean, atol=1e-7)
    np.testing.assert_allclose(found[1], std, atol=1e-7)
    np.testing.assert_allclose(process.reached, process.predict(units)[0], atol=1e-7)


@pytest.mark.parametrize("columns", [PLAIN, MIXED], ids=["plain", "mixed"])
def test_slopes_of_the_posterior_against_differences(columns):
    units, targets = data(columns, 40)
    process = GaussianProcess.of(columns, theta_of(columns), units, targets)
    points, _ = data(columns, 9, seed=1)
    mean, std, of_mean, of_std = process.predict_with_slopes(points)
    np.testing.assert_allclose([mean, std], process.predict(points), atol=1e-9)
    for j, count in enumerate(columns.categories):
        step = np.zeros_like(points)
        step[:, j] = 0.0 if count else 1e-5
        above, below = process.predict(points + step), process.predict(points - step)
        np.testing.assert_allclose(of_mean[:, j], (above[0] - below[0]) / 2e-5, atol=1e-5)
        np.testing.assert_allclose(of_std[:, j], (above[1] - below[1]) / 2e-5, atol=1e-5)


@pytest.mark.parametrize("columns", [PLAIN, MIXED], ids=["plain", "mixed"])
def test_the_slopes_of_a_measure_are_those_of_mean_and_deviation_by_the_chain_rule(columns):
    units, targets = data(columns, 40)
    process = GaussianProcess.of(columns, theta_of(columns), units, targets)
    points, measure = data(columns, 9, seed=1)[0], expecting(float(targets.min()))
    mean, std, of_mean, of_std = process.predict_with_slopes(points)
    value, by_mean, by_std = measure(mean, std)
    found, slopes = process.measured(points, measure)
    np.testing.assert_allclose(found, value, rtol=1e-12)
    np.testing.assert_allclose(slopes, by_mean[:, None] * of_mean + by_std[:, None] * of_std, rtol=1e-9, atol=1e-9)


def test_draws_have_the_mean_and_the_deviation_of_the_posterior():
    units, targets = data(PLAIN, 15)
    process = GaussianProcess.of(PLAIN, theta_of(PLAIN), units, targets)
    points, _ = data(PLAIN, 6, seed=1)
    drawn = process.sample(points, np.random.default_rng(0), 40_000)
    mean, std = process.predict(points)
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.02 * std.max())
    np.testing.assert_allclose(drawn.std(axis=0), std, rtol=0.03)


def test_equal_rows_without_noise_do_not_break_it():
    units = np.repeat(data(PLAIN, 8)[0], 3, axis=0)
    theta = theta_of(PLAIN, noise=1e-8)
    process = GaussianProcess.of(PLAIN, theta, units, np.tile([0.0, 1.0, -1.0], 8))
    assert np.isfinite(process.predict(units)).all()
    assert np.isfinite(process.append(units).predict(units)).all()


# --- one point at a time ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [PLAIN, MIXED], ids=["plain", "mixed"])
def test_appending_equals_a_fresh_process_with_that_mean_and_variance(columns):
    units, targets = data(columns, 30)
    theta = theta_of(columns)
    extra = np.where(np.arange(30) >= 22, 0.1, 0.0)
    whole = GaussianProcess.of(columns, theta, units, targets, extra)
    grown = GaussianProcess.of(columns, theta, units[:22], targets[:22]).append(units[22:], targets[22:], 0.1)
    points, _ = data(columns, 20, seed=1)
    k = whole.kernel.matrix(columns.features(points), whole.gram.inputs)
    matrix = whole.kernel.matrix(whole.gram.inputs, whole.gram.inputs) + np.diag(whole.noise + extra)
    mean, std = grown.predict(points)
    np.testing.assert_allclose(mean, grown.mean + k @ np.linalg.solve(matrix, targets - grown.mean), atol=1e-7)
    np.testing.assert_allclose(
        std / np.sqrt(grown.variance), whole.predict(points)[1] / np.sqrt(whole.variance), atol=1e-7
    )
    np.testing.assert_allclose(grown.reached, grown.predict(units)[0], atol=1e-7)


def test_believing_changes_no_mean_and_no_deviation_grows():
    units, targets = data(PLAIN, 20)
    process = GaussianProcess.of(PLAIN, theta_of(PLAIN), units, targets)
    pending, _ = data(PLAIN, 4, seed=2)
    points, _ = data(PLAIN, 30, seed=1)
    before, after = process.predict(points), process.append(pending).predict(points)
    np.testing.assert_allclose(after[0], before[0], atol=1e-7)
    assert (after[1] <= before[1] + 1e-9).all()
    at_pending = process.append(pending).predict(pending)[1]
    assert (at_pending <= np.sqrt(process.noise * process.variance)).all()  # no more than the noise leaves open


# --- the evidence -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [PLAIN, MIXED, Columns((0,), (False,)), Columns((70, 2), (True, False))])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_gradient_of_the_evidence_against_differences(columns, seed):
    units, targets = data(columns, 25, seed) if len(columns) > 2 else data_of_few(columns, seed)
    evidence = Evidence(columns, units, targets, np.where(np.arange(25) % 3 == 0, 0.1, 0.0))
    theta = theta_of(columns, seed)
    gradient = evidence.value_and_gradient(theta)[1]
    differences = approx_fprime(theta, lambda t: evidence.value_and_gradient(t)[0], 1e-6)
    np.testing.assert_allclose(gradient, differences, rtol=2e-4, atol=2e-4)


def data_of_few(columns, seed):
    units, _ = data(columns, 25, seed)
    return units, np.sin(7.0 * np.nan_to_num(units)).sum(axis=1)


def test_the_evidence_and_the_process_agree_on_the_variance():
    """s² at its best makes the derivative in a common factor of the targets what the Student-t says."""
    units, targets = data(MIXED, 30)
    process = GaussianProcess.of(MIXED, theta_of(MIXED), units, targets)
    evidence = [
        Evidence(MIXED, units, f * targets).value_and_gradient(theta_of(MIXED))[0] for f in (1.0 + 1e-6, 1 - 1e-6)
    ]
    quadratic = (process.variance * (SHAPE + 15.0) - RATE) * 2.0
    assert (evidence[0] - evidence[1]) / 2e-6 == pytest.approx(-quadratic / process.variance, rel=1e-5)


def test_a_fit_finds_what_made_the_data():
    """A smooth function of one column of three: its length scales are short, there is little noise; then much noise."""
    rng = np.random.default_rng(0)
    units = rng.random((60, 3))
    clean = np.sin(6.0 * units[:, 0])
    theta, value = fit(Evidence(PLAIN, units, clean), 3, 100)
    assert value > max(Evidence(PLAIN, units, clean).value_and_gradient(start)[0] for start in prior(3).starts)
    assert theta[-1] < np.log(1e-4)
    assert theta[3] < theta[4] - 0.5
    assert theta[3] < theta[5] - 0.5
    noisy = (clean + rng.standard_normal(60)) / 1.2
    assert fit(Evidence(PLAIN, units, noisy), 3, 100)[0][-1] > np.log(0.1)


def test_a_fit_ends_where_the_gradient_does():
    units, targets = data(MIXED, 40)
    evidence = Evidence(MIXED, units, targets)
    theta, value = fit(evidence, 4, 500)
    law = prior(4)
    assert ((theta >= law.low) & (theta <= law.high)).all()
    gradient = evidence.value_and_gradient(theta)[1]
    inside = (theta > law.low + 1e-9) & (theta < law.high - 1e-9)
    assert np.abs(gradient[inside]).max() < 0.05
    assert value == pytest.approx(evidence.value_and_gradient(theta)[0])


def test_modes_are_different_and_the_best_is_first():
    rng = np.random.default_rng(3)
    units = rng.random((10, 1))
    evidence = Evidence(Columns((0,), (False,)), units, np.sin(25.0 * units[:, 0]))
    modes = fit_modes(evidence, 1, 60)
    values = [value for _, value in modes]
    assert values == sorted(values, reverse=True)
    assert all(np.abs(a - b).max() > 0.1 for i, (a, _) in enumerate(modes) for b, _ in modes[:i])
    assert values[0] >= fit(evidence, 1, 60)[1]


def test_draws_in_a_row_have_the_mean_and_the_deviation_of_the_posterior():
    """Where nothing is known but the prior: two columns without data to speak of."""
    evidence, law = Evidence(Columns((0, 0), (False, False)), np.array([[0.5, 0.5]]), np.zeros(1)), prior(2)
    rng, chain = np.random.default_rng(0), [law.center]
    for _ in range(600):
        chain.append(draw(evidence, chain[-1], rng))
    known = [2, 3]  # log a, which the box hardly cuts
    np.testing.assert_allclose(np.mean(chain, axis=0)[known], law.center[known], atol=0.1)
    np.testing.assert_allclose(np.std(chain, axis=0)[known], law.std[known], rtol=0.1)
    assert (np.min(chain, axis=0) >= law.low).all()
    assert (np.max(chain, axis=0) <= law.high).all()


def test_walls_reflect_draws_and_hold_none():
    """Where the log of the noise is most likely on its wall, as with a deterministic objective: half a normal law."""
    law, rng = prior(1), np.random.default_rng(0)
    peak = np.append(law.center[:-1], law.low[-1])

    class Bell:
        def value_and_gradient(self, theta):
            return -0.5 * float(((theta - peak) ** 2).sum()), peak - theta

    chain = [peak]
    for _ in range(2000):
        chain.append(draw(Bell(), chain[-1], rng))
    above = np.array(chain[1:])[:, -1] - law.low[-1]
    assert (above > 0.0).all()
    assert above.mean() == pytest.approx(np.sqrt(2.0 / np.pi), rel=0.1)


def test_much_data_leaves_draws_little_room():
    units, targets = data(PLAIN, 60)
    evidence, rng = Evidence(PLAIN, units, targets), np.random.default_rng(0)
    theta, best = fit(evidence, 3, 200)
    drawn = np.array([draw(evidence, theta, rng) for _ in range(50)])
    lost = best - np.array([evidence.value_and_gradient(each)[0] for each in drawn])
    assert len(np.unique(drawn, axis=0)) > 25
    assert np.median(lost) < len(theta)


# --- left out ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_a_fit_ends_no_lower_than_its_origin(seed):
    """Where the fit to half of the points ended, however few evaluations are left."""
    units, targets = data(MIXED, 40, seed)
    origin, _ = fit(Evidence(MIXED, units[:20], targets[:20]), 4, 100)
    evidence = Evidence(MIXED, units, targets)
    begun = evidence.value_and_gradient(origin)[0]
    for evaluations in (1, 5, 20):
        theta, value = fit(evidence, 4, evaluations, origin)
        assert value >= begun
        assert value == pytest.approx(evidence.value_and_gradient(theta)[0])
        for others in (0, 2):
            assert fit_modes(evidence, 4, evaluations, origin, others)[0][1] >= begun


def test_modes_from_an_origin_are_those_of_the_best_starts_and_its_own():
    """A fit that has converged stays where it is; the prior's other starts are climbed as they are without it."""
    rng = np.random.default_rng(5)
    units = rng.random((12, 1))
    evidence = Evidence(Columns((0,), (False,)), units, np.sin(25.0 * units[:, 0]))
    best = fit_modes(evidence, 1, 500)[0]
    modes = fit_modes(evidence, 1, 3, best[0], others=0)
    assert len(modes) == 1
    np.testing.assert_allclose(modes[0][0], best[0], atol=0.05)
    assert len(fit_modes(evidence, 1, 1, best[0], others=2)) == 3


def test_skill_and_surprise_against_refitting_without_each_point():
    """The mean m is the one of all points, as in the formula; against it, what the mean of the others explains."""
    units, targets = data(MIXED, 25)
    theta = theta_of(MIXED, noise=0.05)
    process = GaussianProcess.of(MIXED, theta, units, targets)
    missed, plain, stated = [], [], []
    for i in range(25):
        others = np.arange(25) != i
        without = GaussianProcess.of(MIXED, theta, units[others], targets[others])
        k = process.kernel.matrix(MIXED.features(units[[i]]), without.gram.inputs)
        matrix = process.kernel.matrix(without.gram.inputs, without.gram.inputs) + process.noise * np.eye(24)
        predicted = process.mean + (k @ np.linalg.solve(matrix, targets[others] - process.mean))[0]
        missed.append(targets[i] - predicted)
        stated.append(process.variance * (1.0 + process.noise - (k @ np.linalg.solve(matrix, k.T))[0, 0]))
        plain.append(targets[i] - targets[others].mean())
    assert process.skill == pytest.approx(1.0 - np.sum(np.square(missed)) / np.sum(np.square(plain)))
    noise = process.variance * process.noise
    off, right = np.square(missed) - noise, np.array(stated) - noise
    assert process.surprise == pytest.approx(np.sqrt(np.sum(off / stated) / np.sum(right / stated)))


def test_skill_tells_a_function_from_dice():
    units, targets = data(PLAIN, 60)
    theta = theta_of(PLAIN)
    assert GaussianProcess.of(PLAIN, theta, units, targets).skill > 0.8
    dice = np.random.default_rng(0).standard_normal(60)
    assert GaussianProcess.of(PLAIN, theta, units, dice).skill < 0.1

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.integrate import dblquad, quad
from scipy.stats import gaussian_kde, norm, truncnorm

from tunewell.numerics.parzen import NARROWEST, Axis, Parzen, neighbour_bandwidths

REAL = Axis()
FIFTHS = Axis(edges=np.linspace(0.0, 1.0, 6))
UNEVEN = Axis(edges=np.array([0.0, 0.5, 0.8, 0.95, 1.0]))
LABELS = Axis(edges=np.linspace(0.0, 1.0, 4), ordered=False)
NAN = np.nan


def middles(axis):
    return (axis.edges[1:] + axis.edges[:-1]) / 2.0


def mixture(axes, n=6, seed=0, missing=0.0):
    rng = np.random.default_rng(seed)
    centers = rng.random((n, len(axes)))
    for j, axis in enumerate(axes):
        if axis.edges is not None:
            centers[:, j] = rng.choice(middles(axis), n)
    centers[rng.random(centers.shape) < missing] = NAN
    return Parzen(tuple(axes), centers, rng.uniform(0.03, 0.6, centers.shape), rng.random(n) + 0.1)


def test_a_real_axis_is_the_mixture_of_scipys_truncated_normals():
    p = mixture([REAL], n=5)
    x = np.linspace(0.0, 1.0, 41)
    c, b = p.centers[:, 0], p.bandwidths[:, 0]
    expected = truncnorm.pdf(x[:, None], -c / b, (1.0 - c) / b, loc=c, scale=b) @ p.weights
    np.testing.assert_allclose(p.log_density(x[:, None]), np.log(expected), rtol=1e-9, atol=1e-9)


def test_far_from_the_walls_it_is_scipys_kernel_density():
    data = 0.5 + 0.02 * np.random.default_rng(0).standard_normal((3, 30))
    reference = gaussian_kde(data, bw_method=0.4)
    width = np.sqrt(np.diag(reference.covariance))
    round_reference = [np.mean(np.prod(norm.pdf(x[:, None], data, width[:, None]), axis=0)) for x in data.T]
    p = Parzen((REAL,) * 3, data.T, np.broadcast_to(width, (30, 3)), np.ones(30))
    np.testing.assert_allclose(p.log_density(data.T), np.log(round_reference), rtol=1e-9)
    line = gaussian_kde(data[0], bw_method=0.4)
    single = Parzen((REAL,), data[:1].T, np.full((30, 1), width[0]), np.ones(30))
    np.testing.assert_allclose(single.log_density(data[:1].T), np.log(line(data[0])), rtol=1e-9)


@pytest.mark.parametrize("axis", [FIFTHS, UNEVEN], ids=["even", "uneven"])
def test_a_bin_has_the_mass_of_the_density_over_it(axis):
    c = middles(axis)[[0, 1, 3]]
    b = np.array([0.05, 0.2, 0.5])
    p = Parzen((axis,), c[:, None], b[:, None], np.ones(3))
    laws = [truncnorm(-m / s, (1.0 - m) / s, loc=m, scale=s) for m, s in zip(c, b, strict=True)]
    expected = np.mean([np.diff(law.cdf(axis.edges)) for law in laws], axis=0)
    np.testing.assert_allclose(np.exp(p.log_density(middles(axis)[:, None])), expected, rtol=1e-9)


def test_labels_have_the_kernel_of_aitchison_and_aitken():
    p = Parzen((LABELS,), np.array([[1 / 6], [5 / 6]]), np.array([[0.3], [0.9]]), np.array([1.0, 3.0]))
    expected = [0.25 * 0.7 + 0.75 / 3, 0.25 * 0.15 + 0.75 / 3, 0.25 * 0.15 + 0.75 / 3]  # 0.9 is cut to uniform
    np.testing.assert_allclose(np.exp(p.log_density(middles(LABELS)[:, None])), expected, rtol=1e-12)


def test_one_real_axis_integrates_to_one():
    p = mixture([REAL], n=4, missing=0.3)
    assert quad(lambda x: np.exp(p.log_density(np.array([[x]])))[0], 0.0, 1.0, limit=200)[0] == pytest.approx(1.0)


def test_two_real_axes_integrate_to_one():
    p = Parzen((REAL, REAL), np.array([[0.1, 0.9], [0.5, NAN]]), np.full((2, 2), 0.2), np.ones(2))
    total, _ = dblquad(lambda y, x: np.exp(p.log_density(np.array([[x, y]])))[0], 0, 1, 0, 1, epsabs=1e-6)
    assert total == pytest.approx(1.0, abs=1e-5)


def test_bins_and_labels_sum_to_one_over_all_combinations():
    p = mixture([FIFTHS, UNEVEN, LABELS], n=5, missing=0.3)
    points = np.array(list(itertools.product(*map(middles, p.axes))))
    assert np.exp(p.log_density(points)).sum() == pytest.approx(1.0)


def test_an_axis_that_a_point_lacks_is_summed_over():
    p = mixture([FIFTHS, LABELS], n=5)
    whole = np.array([[0.3, label] for label in middles(LABELS)])
    part = np.exp(p.log_density(np.array([[0.3, NAN]])))[0]
    assert part == pytest.approx(np.exp(p.log_density(whole)).sum())
    assert p.log_density(np.array([[NAN, NAN]]))[0] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("axis", [REAL, FIFTHS, UNEVEN, LABELS], ids=["real", "even", "uneven", "labels"])
def test_samples_follow_the_density(axis):
    p = mixture([axis], n=4, seed=3, missing=0.2)
    drawn = p.sample(20_000, np.random.default_rng(1))[:, 0]
    walls = np.linspace(0.0, 1.0, 11) if axis.edges is None else axis.edges
    shares = np.histogram(drawn, walls)[0] / len(drawn)
    if axis.edges is None:
        expected = [
            quad(lambda x: np.exp(p.log_density(np.array([[x]])))[0], a, b)[0] for a, b in itertools.pairwise(walls)
        ]
    else:
        expected = np.exp(p.log_density(middles(axis)[:, None]))
        assert set(drawn) <= set(middles(axis))
    np.testing.assert_allclose(shares, expected, atol=0.012)


def test_a_prior_draws_the_kernels_that_say_nothing():
    axes = (Axis(center=0.2, spread=0.05), Axis(edges=LABELS.edges, ordered=False, center=0.5, spread=0.2))
    p = Parzen(axes, np.full((1, 2), NAN), np.full((1, 2), NAN), np.ones(1))
    drawn = p.sample(4000, np.random.default_rng(0))
    assert drawn[:, 0].mean() == pytest.approx(0.2, abs=0.01)
    assert np.mean(drawn[:, 1] == 0.5) == pytest.approx(0.8, abs=0.03)


def test_kernels_far_narrower_than_their_distance_stay_finite():
    p = Parzen((REAL, FIFTHS), np.array([[0.0, 0.1]]), np.full((1, 2), 1e-4), np.ones(1))
    assert np.isfinite(p.log_density(np.array([[1.0, 0.9]]))).all()


def test_bandwidths_are_the_distance_to_the_farther_neighbour():
    centers = np.array([[0.2, 0.9], [0.25, NAN], [0.7, 0.1]])
    found = neighbour_bandwidths((REAL, REAL), centers, narrowest=0.01)
    np.testing.assert_allclose(found[:, 0], [0.2, 0.45, 0.45])
    np.testing.assert_allclose(found[[0, 2], 1], [0.8, 0.8])


def test_a_label_is_smoothed_by_laplaces_rule():
    """Five trials of one of three labels: (5 + 1) / (5 + 3) for it, 1 / 8 for each other; NaN are no trials."""
    same = np.array([[0.5, 0.5]] * 5 + [[NAN, 0.5]] * 3)
    found = neighbour_bandwidths((LABELS, LABELS), same, 0.01)
    np.testing.assert_allclose(found, [[2 / 8, 2 / 11]] * 8)
    mixed = Parzen((LABELS,), same[:5, :1], found[:5, :1], np.ones(5))
    np.testing.assert_allclose(np.exp(mixed.log_density(np.array([[1 / 6], [1 / 2], [5 / 6]]))), [1 / 8, 6 / 8, 1 / 8])
    alone = Axis(edges=np.array([0.0, 1.0]), ordered=False)
    assert neighbour_bandwidths((alone,), same[:, 1:], 0.01)[0, 0] > 0.0


def test_bandwidths_have_a_floor_that_sinks_with_the_number_of_kernels():
    close = np.array([[0.5], [0.5], [0.5]])
    assert neighbour_bandwidths((REAL,), close, 0.01)[1, 0] == pytest.approx(1 / 16)
    many = np.full((30, 1), 0.5)
    assert neighbour_bandwidths((REAL,), many, 0.01)[15, 0] == pytest.approx(0.01)


def test_the_narrowest_kernel_keeps_its_digits():
    law = Parzen((REAL,), np.array([[0.7]]), np.array([[NARROWEST]]), np.ones(1))
    points = 0.7 + np.array([0.0, 1.0, 2.0]) * NARROWEST
    np.testing.assert_allclose(law.log_density(points[:, None]), norm(0.7, NARROWEST).logpdf(points), atol=1e-6)

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import kstest

from tunewell.numerics.variation import mirrored, polynomial_step, simulated_binary_crossover

ETAS = [0.0, 2.0, 20.0]


def spread_density(beta, eta):
    """Deb and Agrawal (1995): contracting below 1, expanding above."""
    return 0.5 * (eta + 1) * (beta**eta if beta <= 1.0 else beta ** -(eta + 2.0))


def spread_law(beta, eta):
    """The integral of the density."""
    beta = np.asarray(beta)
    return np.where(beta <= 1.0, 0.5 * beta ** (eta + 1), 1.0 - 0.5 * np.maximum(beta, 1.0) ** -(eta + 1))


@pytest.mark.parametrize("eta", ETAS)
def test_the_law_of_the_tests_is_the_integral_of_the_density(eta):
    for beta in (0.3, 1.0, 1.7, 40.0):
        integral, _ = quad(spread_density, 0.0, beta, args=(eta,), points=[1.0] if beta > 1.0 else None)
        assert spread_law(beta, eta) == pytest.approx(integral, rel=1e-6)


@pytest.mark.parametrize("eta", ETAS)
@pytest.mark.parametrize("gap", [1e-6, -1e-6])
def test_the_spread_factor_follows_the_paper_far_from_walls(eta, gap):
    rng = np.random.default_rng(0)
    first, second = np.full(20_000, 0.5), np.full(20_000, 0.5 + gap)
    children = simulated_binary_crossover(first, second, eta, rng)
    betas = (children - 0.5 * (first + second)) / (0.5 * (first - second))
    largest = 1.0 + 2.0 * 0.5 / abs(gap)
    assert kstest(betas, lambda beta: spread_law(beta, eta) / spread_law(largest, eta)).pvalue > 0.01


@pytest.mark.parametrize(("a", "b"), [(0.1, 0.4), (0.9, 0.6), (0.4, 0.1), (0.0, 1.0)])
def test_the_spread_factor_is_cut_off_at_the_wall_behind_the_parent(a, b):
    rng = np.random.default_rng(1)
    children = simulated_binary_crossover(np.full(20_000, a), np.full(20_000, b), 2.0, rng)
    assert children.min() >= 0.0
    assert children.max() <= 1.0
    betas = (children - 0.5 * (a + b)) / (0.5 * (a - b))
    largest = 1.0 + 2.0 * (a if a < b else 1.0 - a) / abs(a - b)
    assert kstest(betas, lambda beta: spread_law(beta, 2.0) / spread_law(largest, 2.0)).pvalue > 0.01


def test_equal_parents_have_an_equal_child():
    same = np.array([0.0, 0.3, 1.0])
    np.testing.assert_array_equal(simulated_binary_crossover(same, same, 5.0, np.random.default_rng(0)), same)


@pytest.mark.parametrize("eta", ETAS)
@pytest.mark.parametrize("unit", [0.0, 0.2, 0.5, 0.97, 1.0])
def test_the_polynomial_mutation_follows_the_paper_cut_off_at_the_walls(eta, unit):
    """Deb and Goyal (1996): half of the mass on either side, with the density ~ (1 - |δ|)^η up to the wall."""
    steps = polynomial_step(np.full(20_000, unit), eta, np.random.default_rng(2))
    for side, room in ((-1.0, unit), (1.0, 1.0 - unit)):
        sizes = side * steps[side * steps > 0.0]
        if room == 0.0:
            assert not len(sizes)
            continue
        assert len(sizes) == pytest.approx(10_000, abs=300)
        assert sizes.max() <= room + 1e-12
        whole = 1.0 - (1.0 - room) ** (eta + 1.0)
        assert kstest(sizes, lambda d, whole=whole: (1.0 - (1.0 - d) ** (eta + 1.0)) / whole).pvalue > 0.01


def test_coordinates_are_mirrored_at_the_walls():
    np.testing.assert_allclose(mirrored(np.array([0.3, 1.2, -0.1, 2.4, -1.7, 1.0])), [0.3, 0.8, 0.1, 0.4, 0.3, 1.0])

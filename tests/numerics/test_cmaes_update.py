from __future__ import annotations

import numpy as np
import pytest
from cmaes import CMA
from scipy.stats import norm

from tunewell.numerics import cmaes


def sphere(x):
    return float((x**2).sum())


def ellipsoid(x):
    return float((10.0 ** np.linspace(0.0, 6.0, len(x)) * x**2).sum())


def rosenbrock(x):
    return float((100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum())


@pytest.mark.parametrize(("d", "population"), [(1, 4), (2, 6), (5, 8), (20, 12), (7, 41)])
def test_the_update_is_that_of_the_cmaes_package(d, population):
    mean = np.random.default_rng(d).random(d)
    reference = CMA(mean=mean.copy(), sigma=0.2, population_size=population, seed=1)
    s = cmaes.strategy(d, population)
    law = cmaes.start(mean, 0.2)
    for _ in range(25):
        points = np.array([reference.ask() for _ in range(population)])
        losses = [rosenbrock(x) if d > 1 else sphere(x) for x in points]
        reference.tell(list(zip(points, losses, strict=True)))
        law = cmaes.update(law, s, points[np.argsort(losses, kind="stable")])
        np.testing.assert_allclose(law.mean, reference._mean, rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(law.sigma, reference._sigma, rtol=1e-8)
        np.testing.assert_allclose(law.path_sigma, reference._p_sigma, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(law.path_c, reference._pc, rtol=1e-6, atol=1e-9)
        reference._eigen_decomposition()
        np.testing.assert_allclose(law.covariance, reference._C, rtol=1e-6, atol=1e-9)
    assert law.generation == reference.generation


@pytest.mark.parametrize("far", np.linspace(1.0, 6.0, 26))
def test_a_long_path_holds_the_other_back_as_the_tutorial_says(far):
    """h of the first two updates, g = 0 and 1; the package counts one generation more, so it does so later."""
    d, s = 5, cmaes.strategy(5, 8)
    law, path = cmaes.start(np.full(d, 0.5), 0.1), np.zeros(d)
    limit = (1.4 + 2.0 / (d + 1.0)) * s.expected_norm
    for g in range(2):
        points = law.mean + law.sigma * np.outer(np.full(8, far), np.eye(d)[g])  # all alike, so y_w is their y
        whiten = (law.axes / law.lengths) @ law.axes.T
        pull = np.sqrt(s.c_sigma * (2.0 - s.c_sigma) * s.mu_eff)
        path = (1.0 - s.c_sigma) * path + pull * (whiten @ (far * np.eye(d)[g]))
        h = np.linalg.norm(path) / np.sqrt(1.0 - (1.0 - s.c_sigma) ** (2 * (g + 1))) < limit
        before, law = law.path_c, cmaes.update(law, s, points)
        assert np.allclose(law.path_c, (1.0 - s.c_c) * before) == (not h)


def test_the_default_population_is_that_of_the_tutorial():
    assert [cmaes.default_population(n) for n in (1, 2, 5, 10, 20, 200)] == [4, 6, 8, 10, 12, 19]


@pytest.mark.parametrize(
    ("f", "d", "evaluations"), [(sphere, 5, 900), (sphere, 20, 2400), (ellipsoid, 5, 2400), (rosenbrock, 5, 4000)]
)
def test_it_converges(f, d, evaluations):
    rng = np.random.default_rng(0)
    s = cmaes.strategy(d, cmaes.default_population(d))
    law, best = cmaes.start(np.full(d, 0.6), 0.3), np.inf
    for _ in range(evaluations // s.population):
        points = np.array([cmaes.draw(law, rng) for _ in range(s.population)])
        losses = np.array([f(x) for x in points])
        best = min(best, losses.min())
        law = cmaes.update(law, s, points[np.argsort(losses)])
    assert best < 1e-8


def test_draws_have_the_mean_and_covariance_of_the_law():
    rng = np.random.default_rng(0)
    s = cmaes.strategy(3, 7)
    law = cmaes.start(np.array([0.2, 0.5, 0.8]), 0.1)
    for _ in range(10):
        law = cmaes.update(law, s, np.array([cmaes.draw(law, rng) for _ in range(7)]))
    drawn = np.array([cmaes.draw(law, rng) for _ in range(40_000)])
    np.testing.assert_allclose(drawn.mean(axis=0), law.mean, atol=4 * law.deviations.max() / 200)
    np.testing.assert_allclose(np.cov(drawn.T), law.sigma**2 * law.covariance, atol=0.03 * law.deviations.max() ** 2)
    np.testing.assert_allclose(drawn.std(axis=0), law.deviations, rtol=0.02)


@pytest.mark.parametrize("count", [2, 3, 10])
@pytest.mark.parametrize("f", [sphere, lambda x: -sphere(x), lambda x: 0.0], ids=["down", "up", "flat"])
def test_the_margin_keeps_the_neighbours_of_the_mean_alive(count, f):
    rng = np.random.default_rng(count)
    edges = {1: np.linspace(0.0, 1.0, count + 1)}
    s = cmaes.strategy(3, 8)
    alpha = 1.0 / (3 * 8)
    law = cmaes.start(np.full(3, 0.5), 0.3)
    for _ in range(150):
        points = np.clip([cmaes.draw(law, rng) for _ in range(8)], 0.0, 1.0)
        points[:, 1] = (np.floor(np.minimum(points[:, 1], 0.999) * count) + 0.5) / count
        points = points[np.argsort([f(x) for x in points], kind="stable")]
        points = cmaes.latent(law, edges, points, rng.random((8, 3)))
        law = cmaes.keep_margin(cmaes.update(law, s, points), edges, alpha)
        inner = edges[1][1:-1]
        place = np.searchsorted(inner, law.mean[1], side="right")
        below = norm.cdf(inner[place - 1], law.mean[1], law.deviations[1]) if place > 0 else None
        above = norm.sf(inner[place], law.mean[1], law.deviations[1]) if place < len(inner) else None
        smallest = alpha / 2.0 if below is not None and above is not None else alpha
        assert min(mass for mass in (below, above) if mass is not None) >= smallest * (1.0 - 1e-6)


def test_every_integer_keeps_coming_up_at_the_margin_of_a_narrow_law():
    law = cmaes.keep_margin(cmaes.start(np.array([0.5]), 1e-6), {0: np.linspace(0.0, 1.0, 4)}, 0.1)
    drawn = np.array([cmaes.draw(law, np.random.default_rng(k))[0] for k in range(4000)])
    shares = np.histogram(np.clip(drawn, 0.0, 1.0), [0.0, 1 / 3, 2 / 3, 1.0])[0] / 4000
    np.testing.assert_allclose(shares, [0.05, 0.9, 0.05], atol=0.015)


def test_latent_places_lie_in_their_bin_and_follow_the_law():
    law = cmaes.start(np.array([0.4, 0.5]), 0.2)
    edges = {0: np.array([0.0, 0.25, 0.5, 0.75, 1.0])}
    rng = np.random.default_rng(0)
    points = np.column_stack([np.repeat([0.125, 0.375, 0.625, 0.875], 500), np.full(2000, np.nan)])
    found = cmaes.latent(law, edges, points, rng.random((2000, 2)))
    for k, (low, high) in enumerate([(-np.inf, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, np.inf)]):
        part = found[500 * k : 500 * (k + 1), 0]
        assert part.min() >= low
        assert part.max() <= high
    assert found[:, 1].mean() == pytest.approx(0.5, abs=0.02)
    assert found[:, 1].std() == pytest.approx(0.2, abs=0.02)


def test_categories_are_learnt_and_none_dies():
    s = cmaes.strategy(1, 8)
    q, rng = np.full(5, 0.2), np.random.default_rng(0)
    for _ in range(60):
        places = rng.choice(5, 8, p=q)
        q = cmaes.learn(q, s, places[np.argsort(places != 3, kind="stable")], kinds=1)
        assert q.sum() == pytest.approx(1.0)
        assert q.min() >= 0.27 / 4 - 1e-12
    assert q.argmax() == 3
    assert q[3] == pytest.approx(0.73, abs=0.01)


def test_values_that_were_not_active_do_not_move_the_categories():
    q = np.array([0.5, 0.3, 0.2])
    np.testing.assert_allclose(cmaes.learn(q, cmaes.strategy(1, 8), np.full(8, -1), kinds=3), q)

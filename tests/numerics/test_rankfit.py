from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from tunewell.numerics.rankfit import parabolas, probability_by_chance


def test_is_the_partial_f_test_of_the_ranks():
    """Against the sums of squares of two explicit fits, with SciPy's law of F."""
    rng = np.random.default_rng(0)
    units, losses = rng.random((30, 3)), rng.random(30)
    ranks = scipy.stats.rankdata(losses)
    columns = {k: np.column_stack([units[:, k], units[:, k] ** 2]) for k in range(3)}

    def residuals(kept):
        full = np.column_stack([np.ones(30), *(columns[k] for k in kept)])
        return float(np.sum((ranks - full @ np.linalg.solve(full.T @ full, full.T @ ranks)) ** 2))

    f = ((residuals([1, 2]) - residuals([0, 1, 2])) / 2) / (residuals([0, 1, 2]) / 23)
    found = probability_by_chance(units[:, 0], parabolas(units[:, 1:]), losses)
    assert found == pytest.approx(scipy.stats.f.sf(f, 2, 23))


@pytest.mark.parametrize("n", [8, 12, 30])
def test_holds_its_level_on_noise_whatever_its_law(n):
    """Of 2000 data sets about 5 % come out below 0.05, with Cauchy losses and a lumpy parameter too."""
    rng = np.random.default_rng(1)
    nothing = np.empty((n, 0))
    found = [
        probability_by_chance(np.round(rng.random(n) ** 2, 1), nothing, rng.standard_cauchy(n)) for _ in range(2000)
    ]
    assert 0.03 < np.mean(np.array(found) < 0.05) < 0.07


def test_sees_a_valley_in_the_middle_where_location_is_blind():
    x = np.linspace(0.0, 1.0, 24)
    losses = np.abs(x - 0.5)
    assert probability_by_chance(x, np.empty((24, 0)), losses) < 1e-6
    best = np.argsort(losses)[:6]
    assert scipy.stats.mannwhitneyu(x[best], np.delete(x, best)).pvalue > 0.5


def test_others_are_taken_out():
    rng = np.random.default_rng(2)
    units = rng.random((40, 2))
    losses = 10.0 * (units[:, 1] - 0.5) ** 2 + 0.5 * units[:, 0]
    alone = probability_by_chance(units[:, 0], np.empty((40, 0)), losses)
    assert probability_by_chance(units[:, 0], parabolas(units[:, 1:]), losses) < 0.1 * alone


def test_what_cannot_be_told_is_chance():
    assert probability_by_chance(np.full(20, 0.5), np.empty((20, 0)), np.arange(20.0)) == 1.0
    assert probability_by_chance(np.linspace(0, 1, 20), np.empty((20, 0)), np.zeros(20)) == 1.0
    assert probability_by_chance(np.linspace(0, 1, 5), np.empty((5, 0)), np.arange(5.0)) == 1.0
    infinite = np.where(np.arange(20) < 10, np.arange(20.0), np.inf)
    assert probability_by_chance(np.linspace(0, 1, 20), np.empty((20, 0)), infinite) < 1e-4

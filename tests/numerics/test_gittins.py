"""The index and the price of staged search against closed forms and the best policy found by brute force."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from tunewell.numerics.gittins import log_price, stage_index


def reservation(std, cost):
    """Weitzman's index of one normal box: σ h(b / σ) = c with h(z) = z Φ(z) + φ(z)."""
    return brentq(lambda b: std * (b / std * norm.cdf(b / std) + norm.pdf(b / std)) - cost, -20 * std, 20 * std + cost)


@pytest.mark.parametrize(("std", "cost"), [(1.0, 0.05), (1.0, 0.4), (0.3, 0.1), (2.0, 5.0)])
def test_one_stage_is_the_reservation_value(std, cost):
    found = stage_index(np.array([[std]]), np.array([[cost]]))[0]
    assert found == pytest.approx(reservation(std, cost), abs=0.03 * std)


def two_stages(steps, costs, n=400):
    """By quadrature: b_2 in closed form, then E[max(b_1 - σ_1 ξ - max(σ_2 ξ', b_2), 0)] = c_1."""
    z = norm.ppf((np.arange(n) + 0.5) / n)
    later = np.maximum(steps[1] * z, reservation(steps[1], costs[1]))
    all_values = (steps[0] * z[:, None] + later).ravel()
    return brentq(lambda b: np.maximum(b - all_values, 0.0).mean() - costs[0], -30, 30)


@pytest.mark.parametrize(
    ("steps", "costs"), [((1.0, 0.5), (0.02, 0.3)), ((0.4, 0.9), (0.1, 0.1)), ((0.8, 0.1), (0.05, 1.0))]
)
def test_two_stages_against_quadrature(steps, costs):
    found = stage_index(np.array([steps]), np.array([costs]))[0]
    assert found == pytest.approx(two_stages(steps, costs), abs=0.04)


def test_a_stage_without_news_and_cost_changes_nothing():
    plain = stage_index(np.array([[0.7, 0.4]]), np.array([[0.1, 0.2]]))
    filled = stage_index(np.array([[0.7, 0.0, 0.4]]), np.array([[0.1, 0.0, 0.2]]))
    assert filled == pytest.approx(plain, abs=0.03)


def test_early_news_is_worth_more_and_cost_less():
    steps = np.array([[0.9, 0.3], [0.3, 0.9], [0.9, 0.3]])
    costs = np.array([[0.01, 0.2], [0.01, 0.2], [0.03, 0.6]])
    early, late, dear = stage_index(steps, costs)
    assert early < late
    assert early < dear


def test_the_smallest_index_first_is_the_best_policy():
    """Two boxes of two stages, on a lattice: the index policy loses nothing against dynamic programming."""
    rng = np.random.default_rng(0)
    steps, costs = np.array([[0.8, 0.6], [1.2, 0.3]]), np.array([[0.05, 0.25], [0.2, 0.1]])
    means = np.array([0.0, 0.15])
    total = {"index": 0.0, "first": 0.0, "second": 0.0}
    draws = rng.standard_normal((4000, 2, 2)) * steps
    begin = means + stage_index(steps, costs)
    middle = stage_index(steps[:, 1:], costs[:, 1:])
    for draw in draws:
        for policy in total:
            stage, mean, paid, best = [0, 0], means.copy(), 0.0, np.inf
            while True:
                index = [
                    begin[k] if stage[k] == 0 else mean[k] + middle[k] if stage[k] == 1 else np.inf for k in (0, 1)
                ]
                k = int(np.argmin(index)) if policy == "index" else 0 if policy == "first" else 1
                if stage[k] == 2 or (policy == "index" and best <= index[k]):
                    break
                paid += costs[k, stage[k]]
                mean[k] += draw[k, stage[k]]
                stage[k] += 1
                if stage[k] == 2:
                    best = min(best, mean[k])
            total[policy] += (best + paid) / len(draws)
    assert total["index"] < min(total["first"], total["second"]) - 0.1


def test_the_price_of_one_stage_is_what_it_gains_for_what_it_costs():
    found = np.exp(log_price(np.array([0.3]), np.array([[0.8]]), np.array([[0.25]]), 0.1))[0]
    z = (0.1 - 0.3) / 0.8
    assert found == pytest.approx(0.8 * (z * norm.cdf(z) + norm.pdf(z)) / 0.25)


def test_at_its_price_the_index_is_the_best_loss():
    rng = np.random.default_rng(1)
    means, tells = rng.normal(size=30), rng.uniform(0.2, 1.0, (30, 4))
    takes = np.tile([0.1, 0.1, 0.3, 0.5], (30, 1))
    prices = np.exp(log_price(means, tells, takes, -0.5))
    index = means + stage_index(tells, prices[:, None] * takes)
    open_ended = np.exp(log_price(means, np.sqrt((tells**2).sum(axis=1))[:, None], takes.sum(axis=1)[:, None], -0.5))
    staged = prices > 1.001 * open_ended
    assert staged.sum() > 20
    assert index[staged] == pytest.approx(-0.5, abs=0.1)
    assert np.all(prices >= 0.999 * open_ended)  # to be free to stop is worth something
    assert np.all(prices <= 10.0 * open_ended)  # and no more than if the first stage told all


def test_a_price_is_higher_for_early_news_and_for_less_cost_and_stages_passed_do_not_count():
    tells = np.array([[0.9, 0.3], [0.3, 0.9], [0.9, 0.3]])
    takes = np.array([[0.01, 0.2], [0.01, 0.2], [0.03, 0.6]])
    early, late, dear = log_price(np.zeros(3), tells, takes, -0.2)
    assert early > max(late, dear)
    passed = log_price(np.zeros(2), np.array([[0.0, 0.7], [0.7, 0.0]]), np.array([[0.0, 0.2], [0.2, 0.0]]), -0.2)
    assert passed[0] == pytest.approx(passed[1], abs=0.05)

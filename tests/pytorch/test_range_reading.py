"""What the losses of a range test say: smoothing, interval, brackets, the lowest point."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("torch")

from tunewell.torch.reading import RangeTestError, blown_up, bracket, middle, read, smoothed

RATES = np.geomspace(1e-7, 100.0, 100)


def ramps(fall_at=1e-3, rise_at=1.0, noise=0.01, repeats=3, seed=0):
    """Return losses that fall from 2 to 1 around one rate and rise without end from another."""
    rng = np.random.default_rng(seed)
    logs = np.log(RATES)
    clean = (
        2.0 - 1.0 / (1.0 + np.exp(-3.0 * (logs - math.log(fall_at)))) + np.maximum(0.0, logs - math.log(rise_at)) ** 2
    )
    return clean + noise * rng.standard_normal((repeats, len(RATES)))


def test_one_wild_batch_changes_nothing():
    losses = ramps()
    wild = losses.copy()
    wild[1, 40] = 1e6
    np.testing.assert_allclose(smoothed(wild), smoothed(losses), atol=0.03)
    alone = ramps(repeats=1)
    wild = alone.copy()
    wild[0, 40] = 1e6
    np.testing.assert_allclose(smoothed(wild), smoothed(alone), atol=0.05)


def test_the_curve_ends_where_most_ramps_have_ended():
    losses = ramps()
    losses[0, 60:] = np.nan
    assert np.isfinite(smoothed(losses)).all()
    losses[1, 70:] = np.nan
    assert np.isinf(smoothed(losses)[75:]).all()


@pytest.mark.parametrize("seed", range(5))
def test_the_interval_goes_from_the_fall_to_the_rise(seed):
    reading = read(RATES, ramps(noise=0.05, seed=seed))
    assert 1e-4 < reading.low < 2e-3
    assert 1.0 < reading.high < 3.0
    assert 3e-4 < reading.steepest < 3e-3


def test_a_loss_that_never_rises_is_stable_to_the_end():
    assert read(RATES, ramps(rise_at=1e9)).high == pytest.approx(100.0)


def test_what_says_nothing_is_refused():
    flat = np.ones((3, 100)) + 0.01 * np.random.default_rng(0).standard_normal((3, 100))
    with pytest.raises(RangeTestError, match="expected the loss to move"):
        read(RATES, flat)
    with pytest.raises(RangeTestError, match="rises at once"):
        read(RATES, ramps(fall_at=1e9, rise_at=1e-5))
    with pytest.raises(RangeTestError, match="finite loss before the first step"):
        read(RATES, np.full((3, 100), np.nan))


def test_a_ramp_ends_when_the_loss_blows_up_and_not_before():
    losses = ramps(noise=0.05)[0].tolist()
    end = next(n for n in range(1, len(losses)) if blown_up(losses[:n]))
    assert 3.0 < losses[end - 1] < 7.0
    assert RATES[end - 1] < 30.0
    assert blown_up([1.0, math.nan])


def test_a_bracket_grows_until_the_least_loss_has_neighbours():
    for best in (0.001, 0.03, 1.0, 20.0):
        asked = []

        def judge(rate, best=best, asked=asked):
            asked.append(rate)
            return (math.log(rate) - math.log(best)) ** 2

        losses = bracket(judge, [0.5, 1.0, 2.0], 20)
        assert len(asked) == len(losses)
        least = min(losses, key=losses.get)
        assert min(losses) < least < max(losses)
        assert middle(losses, 9.0, 0.03) == pytest.approx(best, rel=0.1)


def test_a_bracket_keeps_to_its_budget():
    assert len(bracket(lambda rate: rate, [0.5, 1.0, 2.0], 6)) == 6


def test_rates_that_diverge_are_left_downwards():
    losses = bracket(lambda rate: rate if rate < 0.2 else math.inf, [1.0, 2.0, 4.0], 6)
    assert min(losses) == 0.125


def test_the_middle_is_that_of_the_good_rates_and_hardly_moved_by_the_noise_of_one():
    even = {0.01: 2.0, 0.03: 0.1, 0.1: 0.1, 0.3: 0.1, 1.0: 2.0}
    assert middle(even, 2.3, 0.03) == pytest.approx(0.1, rel=0.1)
    for lucky in (0.03, 0.1, 0.3):
        assert middle({**even, lucky: 0.08}, 2.3, 0.03) == pytest.approx(0.1, rel=0.3), "the least loss: by a factor 3"


def test_rates_that_diverge_or_learn_nothing_have_no_weight():
    losses = {0.001: 2.3, 0.01: 0.5, 0.1: 0.1, 1.0: math.inf, 10.0: math.inf}
    assert 0.05 < middle(losses, 2.3, 0.03) < 0.2
    assert middle({0.1: 2.4, 1.0: 2.5}, 2.3, 0.03) == 0.1, "none is better than no training"


def test_all_diverged_is_refused():
    with pytest.raises(RangeTestError, match="all diverged"):
        middle({1.0: math.inf, 2.0: math.inf, 4.0: math.inf}, 2.0, 0.03)

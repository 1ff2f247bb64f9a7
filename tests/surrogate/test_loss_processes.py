from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tunewell as tw
from tunewell.history import History
from tunewell.numerics.gp import GaussianProcess
from tunewell.surrogate import processes
from tunewell.surrogate.cube import cube_of
from tunewell.surrogate.observations import Observations, observe
from tunewell.testing.histories import mixed_space, random_events


def seen(units, losses, failed=None, weak=None):
    n, d = units.shape
    return Observations(
        units,
        np.reshape(losses, (n, -1)).astype(np.float64),
        np.zeros((n, 0)),
        np.zeros(n, dtype=np.bool_) if weak is None else weak,
        np.ones(n, dtype=np.bool_),
        np.zeros((0, d)) if failed is None else failed,
        np.zeros((0, d)),
    )


def square(d):
    return cube_of(tw.Space({f"x{i}": tw.Float(0.0, 1.0) for i in range(d)}))


# --- which trials -----------------------------------------------------------------------------------------------------


@given(st.integers(1, 700), st.integers(6, 300), st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_a_subset_has_the_size_the_best_and_an_order(n, most, seed, levels):
    rng = np.random.default_rng(seed)
    units, targets = rng.random((n, 3)), rng.integers(levels, size=n).astype(np.float64)  # many are equal
    rows = processes.subset(units, targets, most)
    assert len(rows) == min(n, most)
    assert (np.diff(rows) > 0).all()
    assert rows.max() < n
    assert np.isin(targets.min(), targets[rows])
    np.testing.assert_array_equal(rows, processes.subset(units.copy(), targets.copy(), most))


def test_a_subset_has_the_best_the_nearest_and_some_of_the_rest():
    rng = np.random.default_rng(0)
    units, targets = rng.random((2000, 2)), rng.standard_normal(2000)
    units[::7, 1] = np.nan
    rows = processes.subset(units, targets, 90)
    assert set(np.argsort(targets)[:30]) <= set(rows)
    away = np.nansum((units - units[targets.argmin()]) ** 2, axis=1)
    assert np.isin(np.argsort(away)[:30], rows).all()
    assert len(np.flatnonzero(rows > 1000)) > 20


@given(st.integers(0, 10**6))
def test_refits_are_rarer_and_rarer_and_never_late(n):
    at = processes.refit_at(n)
    assert at <= n
    assert processes.refit_at(at) == at
    assert n - at <= n // 24
    assert n > 47 or at == n
    assert processes.refit_at(n + 1) >= at


def test_the_number_of_refits_of_a_long_study():
    assert len({processes.refit_at(n) for n in range(1, 10_001)}) < 250


# --- what a process is fitted to --------------------------------------------------------------------------------------


def test_hyperparameters_are_a_function_of_the_data():
    """With a full memo and an empty one, for arrays of any layout."""
    cube, rng = square(3), np.random.default_rng(1)
    units = rng.random((30, 3))
    targets = np.sin(5.0 * units).sum(axis=1)
    first = processes.hyperparameters(cube.columns, units, targets)
    processes.hyperparameters(cube.columns, units[:20], targets[:20])
    np.testing.assert_array_equal(processes.hyperparameters(cube.columns, np.asfortranarray(units), targets), first)
    processes._fitted.cache_clear()
    np.testing.assert_array_equal(processes.hyperparameters(cube.columns, units, targets), first)


def test_between_fits_hyperparameters_stay():
    cube, rng = square(2), np.random.default_rng(2)
    units = rng.random((130, 2))
    found = []
    for n in (96, 97, 99, 100, 101):
        trials = seen(units[:n], units[:n].sum(axis=1))
        found.append(processes.likeliest(cube, trials, trials.losses, np.ones(1), np.arange(n)))
    assert processes.refit_at(99) == 96
    assert all((found[0].kernel.joint == each.kernel.joint).all() for each in found[1:3])
    assert (found[0].kernel.joint != found[3].kernel.joint).any()
    assert len(found[2].targets) == 99


def test_explanations_have_shares_and_the_best_is_first():
    cube, rng = square(1), np.random.default_rng(3)
    units = rng.random((8, 1))
    trials = seen(units, np.sin(20.0 * units[:, 0]) + 0.3 * rng.standard_normal(8))
    found = processes.explanations(cube, trials, trials.losses, np.ones(1), np.arange(8))
    shares = np.exp([share for share, _ in found])
    assert (np.diff(shares) <= 0.0).all()
    assert 0.9 - 0.1 * 3 < shares.sum() <= 1.0 + 1e-9
    assert all(isinstance(model, GaussianProcess) for _, model in found)


def test_with_many_losses_one_explanation_is_enough():
    cube, rng = square(1), np.random.default_rng(4)
    units = rng.random((200, 1))
    trials = seen(units, units[:, 0] + 0.1 * rng.standard_normal(200))
    assert len(processes.explanations(cube, trials, trials.losses, np.ones(1), np.arange(200))) == 1


def test_extrapolated_losses_count_less_and_are_not_fitted_to():
    cube, rng = square(1), np.random.default_rng(5)
    units = rng.random((40, 1))
    weak = np.arange(40) >= 30
    losses = np.where(weak, rng.standard_normal(40), units[:, 0])
    both = seen(units, losses, weak=weak)
    model = processes.likeliest(cube, both, both.losses, np.ones(1), np.arange(40))
    alone = seen(units[:30], losses[:30])
    without = processes.likeliest(cube, alone, alone.losses, np.ones(1), np.arange(30))
    np.testing.assert_array_equal(model.kernel.joint, without.kernel.joint)
    np.testing.assert_allclose(model.gram.extra, np.where(weak, 0.1, 0.0))


def test_several_goals_become_one():
    rng = np.random.default_rng(6)
    losses = np.stack([rng.random(30), 1e6 * rng.random(30)], axis=1)
    losses[3] = np.inf
    first = processes.targets_of(losses, np.array([1.0, 0.0]))
    assert np.isfinite(first).all()
    assert first.argmax() == 3
    assert first.argmin() in np.argsort(losses[:, 0])[:2]  # but for the five hundredths of the sum
    np.testing.assert_allclose(first.mean(), 0.0, atol=1e-9)


# --- failures ---------------------------------------------------------------------------------------------------------


def test_where_it_fails_is_learnt_from_failures_divergence_and_broken_rows():
    cube, rng = square(2), np.random.default_rng(7)
    units = rng.random((60, 2))
    bad = units[:, 0] > 0.5
    points = np.array([[0.05, 0.5], [0.95, 0.5]])
    cases = [
        (seen(units[~bad], units[~bad, 1], failed=units[bad]), None),
        (seen(units, np.where(bad, np.inf, 0.0)), None),
        (seen(units, units[:, 1]), np.flatnonzero(bad)),
    ]
    for trials, broken in cases:
        mean, _ = processes.of_failures(cube, trials, broken).predict(points)
        assert mean[0] < 0.2
        assert mean[1] > 0.8


def test_nothing_is_fitted_while_nothing_fails():
    assert processes.of_failures(square(1), seen(np.full((3, 1), 0.5), np.zeros(3))) is None


def test_labels_are_bounded():
    cube, rng = square(1), np.random.default_rng(8)
    trials = seen(rng.random((500, 1)), np.zeros(500), failed=rng.random((400, 1)))
    assert len(processes.of_failures(cube, trials).targets) == 200


@pytest.mark.parametrize("trials", [5, 40, 400])
def test_any_history_can_be_explained(trials):
    space = mixed_space()
    cube, found = cube_of(space), observe(space, History(random_events(space, trials, pending=2)))
    rows = processes.subset(found.units, processes.targets_of(found.losses, np.ones(1)), 100)
    model = processes.likeliest(cube, found, found.losses, np.ones(1), rows, 5)
    assert np.isfinite(model.predict(found.units[:, cube.free])).all()

"""The factor that is kept between suggestions saves time and changes nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import tunewell as tw
from tunewell.events import Goal
from tunewell.history import History
from tunewell.numerics.gp import Evidence, GaussianProcess, fit, fit_modes
from tunewell.numerics.gram import Gram
from tunewell.surrogate import processes
from tunewell.surrogate.cube import cube_of
from tunewell.surrogate.observations import Observations, observe
from tunewell.testing.histories import mixed_space, random_events

SPACE = tw.Space({f"x{i}": tw.Float(0.0, 1.0) for i in range(3)})


def forget():
    for memo in (processes._fitted, processes._modes, processes._bent, processes._factorised):
        memo.cache_clear()


def grown(n, seed=0):
    """Return n observations, of which a beginning is always the same."""
    rng = np.random.default_rng(seed)
    units = rng.random((600, 3))
    losses = np.sin(5.0 * units).sum(axis=1, keepdims=True) + 0.1 * rng.standard_normal((600, 1))
    exact, native, nothing = np.zeros(n, np.bool_), np.ones(n, np.bool_), np.zeros((0, 3))
    return Observations(units[:n], losses[:n], np.zeros((n, 0)), exact, native, nothing, nothing)


def processes_of(seen, space=SPACE):
    """Return every process that samplers make of losses, on the rows that they choose."""
    cube, weights = cube_of(space), np.ones(seen.losses.shape[1])
    rows = processes.chosen(seen.units[:, cube.free], processes.targets_of(seen.losses, weights))
    found = [model for _, model in processes.explanations(cube, seen, seen.losses, weights, rows, 3)]
    goals = range(seen.losses.shape[1])
    return found + [processes.likeliest(cube, seen, seen.losses[:, [goal]], np.ones(1), rows, 3) for goal in goals]


def assert_same(found, expected):
    assert len(found) == len(expected)
    for mine, other in zip(found, expected, strict=True):
        for name in ("factor", "inputs", "extra"):
            np.testing.assert_array_equal(getattr(mine.gram, name), getattr(other.gram, name))
        np.testing.assert_array_equal(mine.alpha, other.alpha)
        assert (mine.mean, mine.variance, mine.noise) == (other.mean, other.variance, other.noise)


def evidence_of(seen, columns, count):
    """Return the log posterior of hyperparameters given the first ``count`` exact losses."""
    strong = np.flatnonzero(~seen.weak)[:count]
    units, targets = seen.units[strong], processes.targets_of(seen.losses[strong], np.ones(1))
    rows = processes.subset(units, targets, processes.most_fitted(len(columns)))
    return Evidence(columns, units[rows], targets[rows])


def refined(seen, k):
    """A loss in the middle becomes another one."""
    losses = seen.losses.copy()
    losses[k] += 0.3
    return replace(seen, losses=losses)


def weakened(seen, k):
    """A trial in the middle has rested early."""
    weak = seen.weak.copy()
    weak[k] = True
    return replace(seen, weak=weak)


def test_to_the_last_bit_over_a_growing_history_that_also_changes_in_the_middle():
    steps = [1, 2, 17, 47, 48, 49, 50, 51, 70, 97, 98, 99, 100, 131, 199, 240, 241, 255, 257, 260, 264, 300, 431, 599]
    histories = []
    for n in steps[1:]:
        seen = grown(n)
        histories += [seen, weakened(seen, n // 2), refined(seen, n // 3), refined(weakened(seen, n - 1), 0), seen]
    forget()
    warm = [processes_of(seen) for seen in histories]
    for found, seen in zip(warm, histories, strict=True):
        forget()
        assert_same(found, processes_of(seen))


@pytest.mark.parametrize("goals", [("a",), ("a", "b")])
def test_to_the_last_bit_over_a_history_with_trials_of_every_fate(goals):
    events = random_events(mixed_space(), 150, pending=2, goals=tuple(Goal(name) for name in goals))
    ends = range(100, len(events), 97)
    forget()
    warm = [processes_of(observe(mixed_space(), History(events[:end])), mixed_space()) for end in ends]
    for found, end in zip(warm, ends, strict=True):
        forget()
        assert_same(found, processes_of(observe(mixed_space(), History(events[:end])), mixed_space()))


def test_a_draw_hangs_on_its_generator_alone():
    seen, cube, weights = grown(60), cube_of(SPACE), np.ones(1)
    rows = processes.chosen(seen.units, processes.targets_of(seen.losses, weights))

    def drawn(seed):
        rng = np.random.default_rng(seed)
        return [processes.drawn(cube, seen, seen.losses, weights, rows, rng, 3, warping=True)]

    forget()
    warm = [drawn(seed) for seed in (0, 1)]
    forget()
    assert_same(warm[1], drawn(1))
    assert (warm[0][0].kernel.joint != warm[1][0].kernel.joint).any()


def test_to_the_last_bit_with_bent_axes():
    """Losses that change ever faster towards one end; between two fits, and with a trial that was refined."""
    cube, weights = cube_of(SPACE), np.ones(1)

    def explained(seen):
        rows = processes.chosen(seen.units, processes.targets_of(seen.losses, weights))
        return [model for _, model in processes.explanations(cube, seen, seen.losses, weights, rows, warping=True)]

    units = grown(60).units
    losses = np.sin(3.0 * np.pi * units[:, :1] ** 2.5)
    whole = replace(grown(60), losses=losses)
    histories = [
        replace(whole, units=units[:n], losses=losses[:n], violations=np.zeros((n, 0)), weak=whole.weak[:n])
        for n in (40, 48, 49, 50, 51)
    ]
    histories += [weakened(histories[-1], 10), histories[2]]
    forget()
    warm = [explained(seen) for seen in histories]
    assert all(found[0].kernel.bend is not None for found in warm)
    for found, seen in zip(warm, histories, strict=True):
        forget()
        assert_same(found, explained(seen))


@pytest.mark.parametrize("n", [49, 99, 103, 215, 263, 599])
def test_the_process_is_that_of_all_its_rows_at_once(n):
    seen, cube = weakened(grown(n), n - 2), cube_of(SPACE)
    targets = processes.targets_of(seen.losses, np.ones(1))
    rows = processes.chosen(seen.units, targets)
    _, found = processes.explanations(cube, seen, seen.losses, np.ones(1), rows, 5)[0]
    theta, _ = processes._explaining(cube, seen, seen.losses, np.ones(1), 5, warping=False)[0]
    whole = GaussianProcess.of(cube.columns, theta, seen.units[rows], targets[rows], np.where(seen.weak[rows], 0.1, 0))
    points = np.random.default_rng(1).random((50, 3))
    for mine, other in zip(found.predict(points), whole.predict(points), strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-9)


@pytest.mark.parametrize(("n", "led"), [(30, False), (31, True), (50, True), (103, False), (106, True), (263, True)])
def test_every_other_newest_fit_begins_where_the_milestones_lead(n, led):
    seen, cube = weakened(grown(n), 5), cube_of(SPACE)
    newest, origin = processes.refit_at(n - 1), None
    for milestone in processes.MILESTONES:
        if led and milestone < newest:
            origin, _ = fit(evidence_of(seen, cube.columns, milestone), 3, 5, origin)
    theta, _ = fit_modes(evidence_of(seen, cube.columns, newest), 3, 5, origin, 2 if n < 80 else 1)[0]
    rows = processes.chosen(seen.units, processes.targets_of(seen.losses, np.ones(1)))
    _, found = processes.explanations(cube, seen, seen.losses, np.ones(1), rows, 5)[0]
    whole = Gram.of(cube.columns, theta, seen.units[rows], np.where(seen.weak[rows], 0.1, 0.0))
    np.testing.assert_allclose(found.gram.factor, whole.factor, atol=1e-9)


def test_in_a_growing_study_each_milestone_is_fitted_once():
    forget()
    for n in range(12, 100):
        seen = grown(n)
        processes.explanations(cube_of(SPACE), seen, seen.losses, np.ones(1), np.arange(n), 3)
    assert processes._fitted.cache_info().misses == sum(milestone < 96 for milestone in processes.MILESTONES)


def test_goals_weighted_anew_in_every_suggestion_have_no_milestones():
    seen = grown(60)
    losses = np.concatenate([seen.losses, seen.units[:, :1]], axis=1)
    forget()
    processes.explanations(cube_of(SPACE), seen, losses, np.array([0.3, 0.7]), np.arange(60), 3)
    assert processes._fitted.cache_info().misses == 0


def test_between_fits_nothing_is_factorised_again():
    for begin in (192, 384, 576):
        forget()
        for n in range(begin, begin + 8):
            seen = grown(n)
            rows = processes.chosen(seen.units, processes.targets_of(seen.losses, np.ones(1)))
            assert set(range(begin, n)) <= set(rows.tolist())
            assert len(rows) <= 240 + 32
            processes.likeliest(cube_of(SPACE), seen, seen.losses, np.ones(1), rows, 3)
        assert processes._factorised.cache_info().misses == 1

"""The search benchmark's problems: their stated optima are right, and a seed always makes the same instance."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parent.parent))  # the benchmarks stand beside the package, not in it

from benchmarks.search import tables
from benchmarks.search.hypervolume import hypervolume
from benchmarks.search.problems import ANYWHERE, MULTI, PROBLEMS

SEEDS = (0, 1, 2)
ALL = {**PROBLEMS, **ANYWHERE}
DRAWS = 150
FRONT = {"dtlz2": (400, 0.05)}  # points, and the share of the volume they may miss

needs_tables = pytest.mark.skipif(tables.folder() is None, reason="TUNEWELL_TABLES names no folder")


@pytest.mark.parametrize("name", ALL)
def test_the_stated_optimum_is_attained_and_nothing_lies_below_it(name: str) -> None:
    for seed in SEEDS:
        instance = ALL[name].make(seed)
        assert instance.minimiser is not None
        instance.space.check(instance.minimiser)
        assert instance.truth(instance.minimiser) == pytest.approx(instance.optimum, rel=1e-9, abs=1e-9)
        rng = np.random.default_rng(seed)
        drawn = [instance.truth(instance.space.sample(rng)) for _ in range(DRAWS)]
        assert min(drawn) >= instance.optimum


@pytest.mark.parametrize("name", ALL)
def test_small_steps_from_the_minimiser_do_not_lead_below_it(name: str) -> None:
    for seed in SEEDS:
        instance, rng = ALL[name].make(seed), np.random.default_rng(seed)
        assert instance.minimiser is not None
        at = instance.space.encode([instance.minimiser])
        steps = at + 0.02 * rng.standard_normal((DRAWS, at.shape[1]))
        near = [instance.truth(config) for config in instance.space.decode(np.clip(steps, 0.0, 1.0))]
        assert min(near) >= instance.optimum - 1e-9 * (1 + abs(instance.optimum))


@pytest.mark.parametrize("name", [*ALL, *MULTI])
def test_a_seed_makes_one_instance_and_another_seed_another(name: str) -> None:
    problem = ALL.get(name) or MULTI[name]
    first, again, other = problem.make(0), problem.make(0), problem.make(1)
    config = first.space.sample(np.random.default_rng(0))
    assert first.truth(config) == again.truth(config)
    assert other.space != first.space or other.truth(config) != first.truth(config)


@pytest.mark.parametrize("name", ["hartmann6_noisy", "ackley5_noisy", "mixed_noisy"])
def test_noise_has_the_stated_size_and_no_bias(name: str) -> None:
    instance, rng = ALL[name].make(0), np.random.default_rng(0)
    assert instance.minimiser is not None
    seen = np.array([instance.evaluate(instance.minimiser, rng) for _ in range(2000)]) - instance.optimum
    assert seen.std() == pytest.approx(instance.noise, rel=0.1)
    assert abs(seen.mean()) < 4 * instance.noise / 2000**0.5


@needs_tables
def test_a_noisy_table_draws_its_recorded_seeds_and_the_truth_is_their_mean() -> None:
    instance, rng = PROBLEMS["fcnet_protein_noisy"].make(0), np.random.default_rng(0)
    config = instance.space.sample(rng)
    seen = {instance.evaluate(config, rng) for _ in range(200)}
    assert len(seen) == 4
    assert np.mean(list(seen)) == pytest.approx(instance.truth(config))


@needs_tables
def test_the_loss_of_a_cell_is_what_the_table_says() -> None:
    instance = PROBLEMS["nasbench201"].make(0)
    assert instance.optimum == pytest.approx(1 - 0.7349, abs=0.001)  # 73.49 %, the best mean of NAS-Bench-201


# --- several objectives -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MULTI)
def test_the_front_has_the_stated_hypervolume_and_nothing_reaches_more(name: str) -> None:
    for seed in SEEDS:
        instance, rng = MULTI[name].make(seed), np.random.default_rng(seed)
        points, short = FRONT.get(name, (5000, 0.01))
        covered = hypervolume(instance.front(points), instance.reference)
        assert (1 - short) * instance.hypervolume <= covered <= instance.hypervolume * (1 + 1e-9)
        drawn = np.array([instance.truth(instance.space.sample(rng)) for _ in range(DRAWS)])
        assert 0 < hypervolume(drawn, instance.reference) < instance.hypervolume


@pytest.mark.parametrize("name", MULTI)
def test_no_configuration_beats_the_front(name: str) -> None:
    instance, rng = MULTI[name].make(0), np.random.default_rng(0)
    front = instance.front(400)
    drawn = np.array([instance.truth(instance.space.sample(rng)) for _ in range(DRAWS)])
    beats = (drawn[:, None] < front[None] - 1e-9).all(axis=2)
    assert not beats.any()


def test_the_hypervolume_of_boxes_by_hand() -> None:
    assert hypervolume(np.array([[1.0, 2.0], [2.0, 1.0], [2.5, 2.5], [4.0, 0.0]]), (3.0, 3.0)) == pytest.approx(3.0)
    assert hypervolume(np.empty((0, 2)), (3.0, 3.0)) == 0
    corners = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    assert hypervolume(corners, (2.0, 2.0, 2.0)) == pytest.approx(4.0)  # three boxes of 2, sharing a box of 1
    with pytest.raises(ValueError, match="2 or 3 objectives"):
        hypervolume(np.zeros((1, 4)), (1.0, 1.0, 1.0, 1.0))


def test_the_hypervolume_of_random_points_agrees_with_counting() -> None:
    rng = np.random.default_rng(0)
    points, samples = rng.random((20, 3)), rng.random((20_000, 3))
    counted = (points[None] <= samples[:, None]).all(axis=2).any(axis=1).mean()
    assert hypervolume(points, (1.0, 1.0, 1.0)) == pytest.approx(float(counted), abs=0.02)

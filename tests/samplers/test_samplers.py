from __future__ import annotations

import numpy as np
import pytest
from playing import begin
from scipy.stats import qmc

import tunewell as tw
from tunewell.events import SpaceChanged
from tunewell.history import History
from tunewell.protocols import Exhausted
from tunewell.testing.histories import created, random_events
from tunewell.testing.samplers import SamplerContract


class TestRandom(SamplerContract):
    @pytest.fixture
    def sampler(self):
        return tw.samplers.Random()


class TestGrid(SamplerContract):
    @pytest.fixture
    def sampler(self):
        return tw.samplers.Grid(points=1)


class TestSobol(SamplerContract):
    @pytest.fixture
    def sampler(self):
        return tw.samplers.Sobol()


def suggestions(sampler, space, count, seed=0):
    history = History([created(space, seed)])
    found = []
    for k in range(count):
        found.append(sampler.suggest(space, history, np.random.default_rng([seed, k])))
        begin(history, found[-1])
    return found


def test_random_follows_the_scale():
    space = tw.Space(lr=tw.Float(1e-4, 1.0, scale="log"))
    drawn = np.array([config["lr"] for config in suggestions(tw.samplers.Random(), space, 4000)])
    shares, _ = np.histogram(np.log10(drawn), bins=[-4, -3, -2, -1, 0])
    assert np.all(np.abs(shares / 4000 - 0.25) < 0.03)


def test_sobol_is_the_sequence_of_scipy_and_a_balanced_net():
    space = tw.Space(a=tw.Float(0.0, 1.0), b=tw.Float(0.0, 1.0))
    points = np.array([[c["a"], c["b"]] for c in suggestions(tw.samplers.Sobol(), space, 300, seed=5)])
    reference = qmc.Sobol(2, scramble=True, rng=np.random.default_rng([5, 2])).random(512)[:300]
    np.testing.assert_allclose(points, reference, atol=1e-15)
    for axis in range(2):  # one point in each of the 256 equal slices
        assert sorted((points[:256, axis] * 256).astype(int)) == list(range(256))


def test_sobol_differs_between_seeds():
    space = tw.Space(a=tw.Float(0.0, 1.0))
    first, second = (suggestions(tw.samplers.Sobol(), space, 4, seed) for seed in (1, 2))
    assert first != second


def test_grid_is_every_combination_once_and_then_exhausted():
    space = tw.Space(
        lr=tw.Float(1e-4, 1e-1, scale="log"),
        optimizer=tw.Choice(["sgd", "adam"]),
        nesterov=tw.Choice([False, True], when={"optimizer": "sgd"}),
    )
    grid = tw.samplers.Grid(points=4)
    found = suggestions(grid, space, 12)
    assert len({tuple(config.items()) for config in found}) == 12
    assert sorted({config["lr"] for config in found}) == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1])
    history = History([created(space)])
    for config in found:
        begin(history, config)
    with pytest.raises(Exhausted, match="all 12 points"):
        grid.suggest(space, history, np.random.default_rng(0))


def test_grid_takes_what_others_have_tried_for_tried_and_nothing_else():
    space = tw.Space(a=tw.Int(1, 3), b=tw.Int(1, 3))
    study = tw.Study(space, sampler="random", scheduler="fifo", seed=3)
    study.run(trials=4, max_steps=1, executor=tw.executors.Simulated(lambda p, s: (p["a"], 1.0)), progress=False)
    known = {tuple(trial.params.values()) for trial in study.trials}
    grid = tw.samplers.Grid(points=3)
    rng = np.random.default_rng(0)
    for _ in range(9 - len(known)):
        config = grid.suggest(space, study.history, rng)
        assert tuple(config.values()) not in known
        known.add(tuple(config.values()))
        begin(study.history, config)
    with pytest.raises(Exhausted, match="all 9 points"):
        grid.suggest(space, study.history, rng)
    wider = tw.Space(a=tw.Int(1, 3), b=tw.Int(4, 6))
    study.history.apply(SpaceChanged(0.0, wider, ""))
    assert tuple(grid.suggest(wider, study.history, rng).values()) not in known


def test_grid_points_per_parameter():
    space = tw.Space(a=tw.Float(0.0, 1.0), b=tw.Int(1, 3))
    assert len(suggestions(tw.samplers.Grid(points={"a": 5, "b": 2}), space, 10)) == 10


@pytest.mark.parametrize("points", [0, -1, 2.5, {"a": 0}])
def test_grid_refuses_nonsense(points):
    with pytest.raises(ValueError, match="at least one point per axis"):
        tw.samplers.Grid(points=points)


def test_suggestions_do_not_depend_on_results():
    space = created().space
    full, bare = History(random_events(space, 10)), History(random_events(space, 10, pending=10))
    for sampler in (tw.samplers.Random(), tw.samplers.Sobol()):
        assert sampler.suggest(space, full, np.random.default_rng([0, 10])) == sampler.suggest(
            space, bare, np.random.default_rng([0, 10])
        )


@pytest.mark.parametrize(
    ("make", "option"),
    [
        ("Evolution", "population"),
        ("Evolution", "tournament"),
        ("DE", "population"),
        ("NSGA2", "population"),
        ("CMAES", "population"),
        ("CMAES", "design"),
        ("TPE", "candidates"),
        ("TPE", "design"),
        ("GP", "initial"),
        ("EHVI", "candidates"),
    ],
)
@pytest.mark.parametrize("value", [24.0, True, "24"])
def test_whole_options_are_whole(make, option, value):
    with pytest.raises(
        ValueError, match=f"{make} expected {option} to be a whole number of at least [0-9]+, got {value!r}"
    ):
        getattr(tw.samplers, make)(**{option: value})

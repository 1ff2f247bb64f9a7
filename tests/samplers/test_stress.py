"""Every sampler under what studies do to them in earnest. A sampler that is registered later is tested with the others.

Each case says what is sensible there, beyond that nothing crashes and every configuration belongs to the space.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from playing import begin, bowl, cube, tell

import tunewell as tw
from tunewell.events import Ended, Goal, Reported, SpaceChanged, Status
from tunewell.history import History
from tunewell.protocols import Exhausted, Suggestion
from tunewell.replay import replay
from tunewell.samplers import SAMPLERS
from tunewell.testing.histories import created, mixed_space

NAMES = SAMPLERS.names()
LOSS = (Goal("loss"),)


def learns(name):
    return type(SAMPLERS.make(name)).__name__ not in ("Random", "Sobol", "Grid")


def repeats(name):
    """Tell whether a sampler goes on in a finite space when all has been tried."""
    return type(SAMPLERS.make(name)).__name__ in ("Random", "Sobol")


@pytest.fixture(params=NAMES)
def name(request):
    """The name of a sampler."""
    return request.param


def distinct(configs):
    return len({tuple(config.items()) for config in configs})


def ask(name, history):
    """Start what the sampler suggests; return the trial's number, or None from an exhausted sampler."""
    rng = np.random.default_rng([history.seed, len(history.trials)])
    try:
        config = Suggestion.of(SAMPLERS.make(name).suggest(history.space, history, rng)).config
    except Exhausted:
        return None
    assert dict(config) == history.space.check(config)
    return begin(history, config)


def play(name, history, loss, trials):
    """Let a sampler suggest ``trials`` trials, one after the other, all different; only a grid may have fewer."""
    found = []
    for _ in range(trials):
        number = ask(name, history)
        if number is None:
            break
        found.append(history.trials[number].params)
        tell(history, number, loss(history.trials[number].params))
    assert distinct(found) == len(found)
    assert len(found) == trials or name == "grid"
    return found


def with_trials(space, trials, tell_of, goals=LOSS):
    """Return a history with random trials, each ended by ``tell_of(history, number, config)``."""
    history, rng = History([created(space, 0, goals)]), np.random.default_rng(1)
    for _ in range(trials):
        config = space.sample(rng)
        tell_of(history, begin(history, config), config)
    return history


# --- losses -----------------------------------------------------------------------------------------------------------

LOSSES = {
    "constant": lambda config: 1.0,
    "nan": lambda config: math.nan,
    "inf": lambda config: math.inf,
    "minus_inf": lambda config: -math.inf,
    "inf_by_halves": lambda config: math.inf if config["x0"] > 0.5 else config["x1"],
    "huge": lambda config: 1e300 if config["x0"] > 0.3 else -1e300,
    "largest": lambda config: 1.7e308 * (2.0 * config["x0"] - 1.0),
    "wide_range": lambda config: 10.0 ** (600.0 * config["x0"] - 300.0),
    "denormal": lambda config: 5e-324 * round(10 * config["x0"]),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("before", [0, 25])
def test_strange_losses(name, loss, before):
    """Nothing is tried twice: a continuous space has always something new."""
    told = LOSSES[loss]
    history = with_trials(cube(2), before, lambda history, number, config: tell(history, number, told(config)))
    play(name, history, told, 4 if before else 8)


@pytest.mark.parametrize("losses", [(math.nan, 1.0), (1e300, -1e300), (0.0, 0.0), (-math.inf, math.inf)])
def test_strange_losses_of_two_goals(name, losses):
    def told(config):
        return losses if config["x0"] > 0.4 else (config["x0"], config["x1"])

    history = with_trials(
        cube(2), 25, lambda history, number, config: tell(history, number, told(config)), (Goal("a"), Goal("b", "max"))
    )
    play(name, history, told, 4)


@pytest.mark.parametrize("status", [Status.DIVERGED, Status.FAILED, Status.OUT_OF_MEMORY, Status.TIMED_OUT])
def test_a_region_that_goes_wrong_is_avoided_by_those_that_learn(name, status):
    """Half of the space fails. Chance would go there half of the time, a sampler that learns goes seldom."""

    def fate(history, number, config):
        if config["x0"] > 0.5:
            history.apply(Ended(float(len(history)), number, status))
        else:
            tell(history, number, bowl(config))

    history = with_trials(cube(2), 30, fate)
    wrong = 0
    for _ in range(12):
        number = ask(name, history)
        if number is None:
            break
        config = history.trials[number].params
        wrong += config["x0"] > 0.5
        fate(history, number, config)
    assert wrong <= 4 or not learns(name)


@pytest.mark.parametrize(
    "status", [Status.FAILED, Status.OUT_OF_MEMORY, Status.TIMED_OUT, Status.LOST, Status.CANCELLED]
)
def test_hardly_anything_works(name, status):
    """Two of thirty trials have a value."""

    def fate(history, number, config):
        if number in (7, 20):
            tell(history, number, 1.0)
        else:
            history.apply(Ended(float(len(history)), number, status))

    history = with_trials(mixed_space(), 30, fate)
    play(name, history, lambda config: math.nan, 4)


def test_an_objective_that_always_raises_ends_the_run(name):
    def broken(trial):
        raise RuntimeError("boom")

    study = tw.Study(mixed_space(), metric="loss", sampler=name, seed=0)
    with pytest.raises(tw.ObjectiveError, match="boom"):
        study.run(broken, trials=10, workers=1, executor="inline", progress=False)
    assert [trial.status for trial in study.trials] == ["failed"] * 3


def test_all_fates_in_turn_asked_and_told(name):
    """By the public names: the one trial with a finite value is the best."""
    study = tw.Study(mixed_space(), metric="loss", sampler=name, seed=0)
    fates = ["failed", math.nan, "out_of_memory", -math.inf, "timed_out", 0.5, "cancelled", math.inf, "lost"]
    for fate in fates * 2:
        trial = study.ask()
        if isinstance(fate, str):
            study.tell(trial, status=fate)
        else:
            study.tell(trial, fate)
    assert study.best.value == 0.5
    assert [trial.status for trial in study.trials[:5]] == [
        "failed",
        "diverged",
        "out_of_memory",
        "diverged",
        "timed_out",
    ]


# --- spaces -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", [tw.Space(), tw.Space(x=tw.Float(0.5, 0.5), n=tw.Int(3, 3), c=tw.Choice(["a"]))])
def test_a_space_with_one_configuration(name, space):
    """It is tried; then the run ends and says why, or repeats it, as is anybody's right where there is no parameter."""
    study = tw.Study(space, metric="loss", sampler=name, seed=0)
    reason = study.run(lambda trial: 1.0, trials=3, workers=1, executor="inline", progress=False)
    assert all(dict(trial.params) == space.default() for trial in study.trials)
    if repeats(name) or not space:
        assert len(study.trials) in (1, 3)
    else:
        assert len(study.trials) == 1
        assert "tried" in reason or "single configuration" in reason


def test_choices_are_exhausted(name):
    """Each of the eight configurations once; then the run ends and says why. Blind samplers repeat some."""
    space = tw.Space(a=tw.Choice(["x", "y"]), b=tw.Choice([1, 2]), c=tw.Choice([None, True]))
    study = tw.Study(space, metric="loss", sampler=name, seed=0)
    reason = study.run(lambda trial: trial.params["b"], trials=12, workers=1, executor="inline", progress=False)
    if repeats(name):
        assert len(study.trials) == 12
    else:
        assert distinct([trial.params for trial in study.trials]) == len(study.trials) == 8
        assert "all 8" in reason


@pytest.mark.parametrize("before", [0, 25])
def test_two_hundred_parameters(name, before):
    kinds = [tw.Float(0.0, 1.0), tw.Float(1e-6, 1.0, scale="log"), tw.Int(1, 9), tw.Choice(["x", "y", "z"])]
    space = tw.Space({f"p{k}": kinds[k % 4] for k in range(200)})
    history = with_trials(space, before, lambda history, number, config: tell(history, number, config["p0"]))
    play(name, history, lambda config: config["p0"], 3)


@pytest.mark.parametrize("before", [0, 25])
def test_ten_thousand_categories(name, before):
    space = tw.Space(c=tw.Choice([f"c{k}" for k in range(10_000)]), x=tw.Float(0.0, 1.0))
    history = with_trials(space, before, lambda history, number, config: tell(history, number, config["x"]))
    play(name, history, lambda config: config["x"], 3)


@pytest.mark.parametrize("before", [0, 25])
def test_nothing_but_ten_thousand_categories(name, before):
    space = tw.Space(c=tw.Choice(list(range(10_000))))
    history = with_trials(space, before, lambda history, number, config: tell(history, number, config["c"]))
    play(name, history, lambda config: config["c"], 3)


@pytest.mark.parametrize("before", [0, 25])
def test_long_ranges_of_whole_numbers(name, before):
    space = tw.Space(
        n=tw.Int(0, 10**12),
        m=tw.Int(1, 10**12, scale="log"),
        k=tw.Int(-(10**11), 10**11, step=2),
        x=tw.Float(-1e300, 1e-300),
    )
    history = with_trials(
        space, before, lambda history, number, config: tell(history, number, config["n"] / config["m"])
    )
    play(name, history, lambda config: config["n"], 3)


@pytest.mark.parametrize("before", [0, 25])
def test_ranges_of_one_point_beside_others(name, before):
    space = tw.Space(a=tw.Float(0.3, 0.3), b=tw.Int(7, 7), c=tw.Choice(["only"]), x=tw.Float(0.0, 1.0), y=tw.Int(0, 9))
    history = with_trials(space, before, lambda history, number, config: tell(history, number, config["x"]))
    play(name, history, lambda config: config["x"], 4)


def test_a_branch_that_is_never_chosen(name):
    """A parameter that was active in one trial only, and one that never was."""
    space = tw.Space(
        model=tw.Choice(["a", "b", "c"]),
        depth=tw.Int(1, 3, when={"model": "b"}),
        rate=tw.Float(1e-4, 1.0, scale="log", when={"depth": 3}),
        x=tw.Float(0.0, 1.0, when={"model": "a"}),
        y=tw.Float(0.0, 1.0),
    )
    history = History([created(space)])
    tell(history, begin(history, {"model": "b", "depth": 1, "y": 0.5}), 0.5)
    for k in range(25):
        tell(history, begin(history, {"model": "a", "x": k / 25, "y": 0.5}), k / 25)
    play(name, history, lambda config: config.get("x", 0.2), 5)


# --- what people do ---------------------------------------------------------------------------------------------------


def test_enqueued_points_far_from_the_prior(name):
    """The prior says 0.9, what was enqueued works at 0.05: neither is out of the question."""
    space = tw.Space(
        x=tw.Float(0.0, 1.0, prior=tw.Prior(0.9, "high")), c=tw.Choice(list("abc"), prior=tw.Prior("c", "high"))
    )
    history, rng = History([created(space)]), np.random.default_rng(2)
    for _ in range(25):
        config = {"x": 0.1 * rng.random(), "c": "a"}
        tell(history, begin(history, config, "enqueued"), config["x"])
    play(name, history, lambda config: config["x"], 5)


def test_fifty_asks_before_a_tell(name):
    """All differ, and afterwards it goes on, whichever half comes back."""
    history = History([created(cube(3))])
    pending = [ask(name, history) for _ in range(50)]
    assert distinct([history.trials[number].params for number in pending]) == 50
    for number in pending[::-2]:
        tell(history, number, bowl(history.trials[number].params))
    play(name, history, bowl, 3)


def test_a_space_that_changes_in_mid_study(name):
    """Ranges shrink, parameters come and go, a kind changes, and all is put back."""
    first = tw.Space(
        lr=tw.Float(1e-5, 1.0, scale="log"), n=tw.Int(1, 100), c=tw.Choice(["a", "b"]), gone=tw.Float(0.0, 1.0)
    )
    second = tw.Space(
        lr=tw.Float(1e-3, 1e-2, scale="log"), n=tw.Float(0.0, 50.5), c=tw.Choice(["b", "d", "e"]), new=tw.Int(0, 9)
    )
    third = tw.Space(other=tw.Float(0.0, 1.0), more=tw.Float(0.0, 1.0))
    history = with_trials(first, 25, lambda history, number, config: tell(history, number, config["lr"]))
    for space in (second, third, first):
        history.apply(SpaceChanged(float(len(history)), space, ""))
        play(name, history, lambda config: config.get("lr", 1.0), 3)


def test_all_is_resting_at_different_steps(name):
    """Trials stopped after one step, after a hundred, and without a report."""
    history, rng = History([created(cube(2))]), np.random.default_rng(3)
    for k in range(25):
        number = begin(history, {"x0": rng.random(), "x1": rng.random()})
        for step in range(1, [1, 3, 100][k % 3] + 1, 1 if k % 3 < 2 else 33):
            now = float(len(history))
            history.apply(Reported(now, number, step, {"loss": rng.random() / step}))
        history.apply(Ended(float(len(history)), number, [Status.STOPPED, Status.COMPLETED, Status.LOST][k % 3]))
    play(name, history, bowl, 4)


def run_at_once_each(space, objective, trials, sampler="auto", workers=1, seed=0, study=None):
    study = study or tw.Study(space, sampler=sampler, scheduler="fifo", seed=seed)
    executor = tw.executors.Simulated(objective, workers)
    why = study.run(trials=trials, max_steps=1, executor=executor, progress=False)
    return study, why


@pytest.mark.parametrize("workers", [2, 8])
def test_noise_is_looked_for_while_other_trials_are_in_training(workers):
    """Workers that are never idle at the same time."""
    space = tw.Space({name: tw.Float(-5.0, 5.0) for name in "xyz"})
    rng = np.random.default_rng(1)

    def noisy(params, step):
        loss = sum((value - 1.0) ** 2 for value in params.values())
        return loss + 2.0 * rng.standard_normal(), rng.uniform(0.5, 1.5)

    study, _ = run_at_once_each(space, noisy, 60, workers=workers)
    configs = [tuple(trial.params.values()) for trial in study.trials]
    assert len(set(configs)) < len(configs) - 2
    intervals = [(t.stretches[0].begin, t.stretches[0].end, c) for t, c in zip(study.trials, configs, strict=True)]
    for start, end, config in intervals:  # nothing is repeated while it is still in training
        assert sum(a < end and start < b and config == other for a, b, other in intervals) == 1
    assert replay(study.events).ok


@pytest.mark.parametrize("nan", [lambda: math.nan, lambda: float("nan")])
def test_which_nan_it_is_does_not_matter(nan):
    space = tw.Space({name: tw.Float(0.0, 1.0) for name in "wxyz"})
    rng = np.random.default_rng(0)

    def unlucky(params, step):
        return (nan() if rng.random() < 0.3 else sum((value - 0.3) ** 2 for value in params.values())), 1.0

    study, _ = run_at_once_each(space, unlucky, 30)
    assert replay(study.events).ok


def test_a_coarser_step_makes_no_noise_of_what_was_tried_between():
    study, _ = run_at_once_each(tw.Space(n=tw.Int(0, 40), m=tw.Int(0, 40)), _bowl, 20)
    coarse = tw.Space(n=tw.Int(0, 40, step=10), m=tw.Int(0, 40, step=10))
    study.change_space(coarse)
    _, why = run_at_once_each(coarse, _bowl, 70, study=study)
    later = [tuple(trial.params.values()) for trial in study.trials[20:]]
    assert why == "all 25 configurations of the space have been tried"
    assert len(later) == len(set(later))
    assert study.best.value == min(trial.value for trial in study.trials)


def test_a_parameter_that_is_gone_makes_no_noise_of_what_it_told_apart():
    def objective(params, step):
        return float((params["n"] - 3) ** 2 + {"a": 0, "b": 5, "c": 9}[params.get("k", "a")]), 1.0

    study, _ = run_at_once_each(tw.Space(n=tw.Int(0, 9), k=tw.Choice(["a", "b", "c"])), objective, 15)
    left = tw.Space(n=tw.Int(0, 9))
    study.change_space(left)
    _, why = run_at_once_each(left, objective, 60, study=study)
    later = [trial.params["n"] for trial in study.trials[15:]]
    assert why == "all 10 configurations of the space have been tried"
    assert set(later) == set(range(10))
    assert len(later) <= 15


def test_trials_of_another_space_altogether_say_nothing():
    study, _ = run_at_once_each(tw.Space(n=tw.Int(0, 40), m=tw.Int(0, 40)), _bowl, 20)
    other = tw.Space(q=tw.Float(0.0, 1.0))
    study.change_space(other)
    run_at_once_each(other, lambda params, step: ((params["q"] - 0.7) ** 2 + 50.0, 1.0), 32, study=study)
    assert min(trial.value for trial in study.trials[20:]) < 50.0 + 1e-3
    assert len({trial.params["q"] for trial in study.trials[20:]}) == 12


def _bowl(params, step):
    return float((params["n"] - 13) ** 2 + (params["m"] - 24) ** 2) / 100.0, 1.0


@pytest.mark.parametrize("seed", range(3))
def test_divergence_by_chance_is_no_wall(seed):
    """One training in ten diverges wherever it is; the best configurations must stay within reach."""
    center, rng = {"v": 0.3, "w": 0.62, "x": 0.77, "y": 0.15}, np.random.default_rng(seed + 7)

    def unlucky(params, step):
        loss = sum((params[name] - value) ** 2 for name, value in center.items())
        return (math.nan if rng.random() < 0.1 else loss), 1.0

    study, _ = run_at_once_each(tw.Space({name: tw.Float(0.0, 1.0) for name in center}), unlucky, 50, seed=seed)
    assert any(trial.status is Status.DIVERGED for trial in study.trials)
    assert study.best.value < 1e-4


def test_a_region_that_diverges_is_left():
    def walled(params, step):
        loss = (params["x"] - 0.3) ** 2 + (params["y"] - 0.62) ** 2
        return (math.nan if params["x"] > 0.32 or params["y"] < 0.6 else loss), 1.0

    study, _ = run_at_once_each(tw.Space(x=tw.Float(0.0, 1.0), y=tw.Float(0.0, 1.0)), walled, 50)
    later = [trial.status for trial in study.trials[25:]]
    assert later.count(Status.DIVERGED) <= len(later) / 2
    assert study.best.value < 1e-4


def test_a_metric_over_many_decades_still_has_a_bound():
    """Most values are so far beyond the bound that the way to it could not be seen."""
    space, found = tw.Space({name: tw.Float(0.0, 1.0) for name in "xyz"}), []
    for seed in range(2):
        study = tw.Study(space, seed=seed, scheduler="fifo", constraints=["c <= 1"])

        def steep(params, step):
            loss = sum((value - 0.5) ** 2 for value in params.values())
            return {"loss": loss, "c": math.exp(100.0 * (params["x"] - 0.2))}, 1.0

        study.run(trials=40, max_steps=1, executor=tw.executors.Simulated(steep), progress=False)
        found.append(min(trial.value for trial in study.trials if trial.feasible) - 0.09)
    assert max(found) < 1e-3


def test_where_a_constrained_metric_is_not_reported_nothing_is_won():
    space, found = tw.Space({name: tw.Float(0.0, 1.0) for name in "xyz"}), []
    for seed in range(2):
        study = tw.Study(space, seed=seed, scheduler="fifo", constraints=["c <= 0.4"])

        def reticent(params, step):
            loss = sum((value - 0.3) ** 2 for value in params.values())
            return {"loss": loss} | ({"c": params["x"]} if params["z"] > 0.5 else {}), 1.0

        study.run(trials=50, max_steps=1, executor=tw.executors.Simulated(reticent), progress=False)
        found.append(min(trial.value for trial in study.trials if trial.feasible) - 0.04)
    assert max(found) < 1e-2

from __future__ import annotations

import math

import numpy as np
import pytest

import tunewell as tw
from tunewell.events import Ended, Goal, Paused, Reported, Status, TrialResumed, TrialStarted
from tunewell.history import History
from tunewell.memo import forget
from tunewell.samplers import cmaes
from tunewell.samplers.cmaes import CMAES
from tunewell.testing.histories import created, mixed_space
from tunewell.testing.samplers import SamplerContract


class TestCMAES(SamplerContract):
    @pytest.fixture
    def sampler(self):
        return CMAES(design=4, population=5)


LOSS = (Goal("loss"),)


def tell(history, number, losses):
    metrics = {goal.metric: loss for goal, loss in zip(history.goals, np.atleast_1d(losses).tolist(), strict=True)}
    status = Status.COMPLETED if all(map(math.isfinite, metrics.values())) else Status.DIVERGED
    history.apply(Ended(float(len(history)), number, status, metrics=metrics))


def start(history, sampler):
    number = len(history.trials)
    config = sampler.suggest(history.space, history, np.random.default_rng([history.seed, number]))
    assert dict(config) == history.space.check(config)
    history.apply(TrialStarted(float(len(history)), number, config, number))
    return number


def play(sampler, space, loss, trials, seed=0, workers=1, goals=LOSS, before_each=lambda history: None):
    """Run trials, ``workers`` at a time; return the history."""
    history, running = History([created(space, seed, goals)]), []
    for _ in range(trials):
        before_each(history)
        running.append(start(history, sampler))
        if len(running) == workers:
            done = running.pop(len(history.trials) % workers)
            tell(history, done, loss(history.trials[done].params))
    return history


def bowl(config):
    return sum((value - 0.3) ** 2 for value in config.values())


def square(d):
    return tw.Space(**{f"x{i}": tw.Float(0.0, 1.0) for i in range(d)})


def run_of(sampler, history):
    return cmaes._generations(history, sampler, history.space).run


@pytest.mark.parametrize(("d", "trials"), [(2, 350), (5, 700)])
def test_it_converges_on_a_bowl(d, trials):
    assert play(CMAES(), square(d), bowl, trials).best.loss < 1e-8


def test_it_follows_a_curved_valley():
    space = tw.Space(x=tw.Float(-2.0, 3.0), y=tw.Float(-2.0, 3.0))
    history = play(CMAES(), space, lambda c: 100 * (c["y"] - c["x"] ** 2) ** 2 + (1 - c["x"]) ** 2, 700)
    assert history.best.loss < 1e-8


def test_it_finds_a_minimum_in_a_corner():
    found = [play(CMAES(), square(4), lambda c: sum(c.values()), 150, seed).best.loss for seed in range(3)]
    assert np.median(found) < 0.02


@pytest.mark.parametrize("workers", [1, 4])
def test_the_answer_is_the_same_with_an_empty_memo(workers):
    space = mixed_space()

    def loss(config):
        found = abs(math.log10(config["learning_rate"]) + 3) + (config["optimizer"] == "sgd") + config["layers"] / 10
        return math.nan if config["width"] > 900 else found

    sampler = CMAES(design=4, population=6)
    kept = play(sampler, space, loss, 70, workers=workers)
    fresh = play(sampler, space, loss, 70, workers=workers, before_each=forget)
    assert [record.params for record in kept.trials] == [record.params for record in fresh.trials]


def test_paused_and_lost_trials_leave_no_trace_in_the_memo():
    """Whatever order things come to light in, the memo must not remember more than the history tells."""
    rng = np.random.default_rng(0)
    sampler = CMAES(design=3, population=4)
    history = History([created(square(2))])
    open_, resting = [], []
    for _ in range(300):
        now, move = float(len(history)), rng.random()
        if move < 0.4 or not open_:
            open_.append(start(history, sampler))
        elif move < 0.8:
            number = open_.pop(int(rng.integers(len(open_))))
            record = history.trials[number]
            if rng.random() < 0.7:
                history.apply(
                    Reported(now, number, record.step + 1, {"loss": bowl(record.params) + 0.1 * rng.random()})
                )
            fate = rng.random()
            if fate < 0.3 and record.reports:
                history.apply(Paused(now + 0.5, number, record.step, "rests"))
                resting.append(number)
            elif fate < 0.5:
                history.apply(Ended(now + 0.5, number, Status.LOST, fault="run"))
                resting.append(number)
            elif fate < 0.6:
                history.apply(Ended(now + 0.5, number, Status.CANCELLED))
            else:
                tell(history, number, bowl(record.params))
        elif resting:
            number = resting.pop()
            history.apply(TrialResumed(now, number, history.trials[number].step))
            open_.append(number)
        seed = np.random.default_rng([1, len(history)]).integers(2**32)
        kept = sampler.suggest(history.space, history, np.random.default_rng(seed))
        forget(history)
        assert kept == sampler.suggest(history.space, history, np.random.default_rng(seed))


def test_pending_trials_do_not_hold_up_the_generation():
    sampler, history = CMAES(design=0, population=5), History([created(square(2))])
    slow = start(history, sampler)
    for _ in range(10):
        number = start(history, sampler)
        tell(history, number, bowl(history.trials[number].params))
    start(history, sampler)
    assert history.trials[slow].status is Status.RUNNING
    assert run_of(sampler, history).law.generation == 2


def test_it_starts_at_the_stated_default():
    space = tw.Space(x=tw.Float(0.0, 1.0, default=0.9), c=tw.Choice(list("abcdefgh"), default="e"))
    history = History([created(space)])
    drawn = [CMAES(design=0, sigma=0.05).suggest(space, history, np.random.default_rng(k)) for k in range(200)]
    assert np.mean([config["x"] for config in drawn]) == pytest.approx(0.9, abs=0.03)
    assert np.mean([config["c"] == "e" for config in drawn]) == pytest.approx(0.5 + 0.5 / 8, abs=0.1)


def test_it_starts_at_the_best_that_others_tried_before():
    history = History([created(square(2))])
    for number, x in enumerate([0.1, 0.7, 0.4]):
        history.apply(TrialStarted(0.0, number, {"x0": x, "x1": x}, number, origin="enqueued"))
        tell(history, number, abs(x - 0.6))
    drawn = [CMAES(design=0, sigma=0.05).suggest(history.space, history, np.random.default_rng(k)) for k in range(100)]
    np.testing.assert_allclose(np.mean([list(config.values()) for config in drawn], axis=0), [0.7, 0.7], atol=0.03)


def test_trials_of_others_do_not_enter_a_generation():
    sampler, history = CMAES(design=0, population=4), History([created(square(2))])
    for _ in range(4):
        number = start(history, sampler)
        tell(history, number, bowl(history.trials[number].params))
        foreign = len(history.trials)
        history.apply(TrialStarted(0.0, foreign, {"x0": 0.5, "x1": 0.5}, foreign, origin="enqueued"))
        tell(history, foreign, 0.0)
    start(history, sampler)
    assert run_of(sampler, history).law.generation == 1


def test_a_stuck_run_is_replaced_by_larger_and_by_small_ones():
    sampler = CMAES(population=4)
    history = play(sampler, square(1), lambda config: 1.0, 1200)
    run = run_of(sampler, history)
    assert run.number >= 3
    assert run.large >= 4
    assert run.spent[1] > 0
    still = CMAES(population=4, restarts=False)
    assert run_of(still, play(still, square(1), lambda config: 1.0, 200)).number == 0


def test_restarts_leave_a_poor_basin():
    def two_basins(config):
        x = config["x0"]
        return min(20 * (x - 0.2) ** 2 + 0.5, 400 * (x - 0.9) ** 2)

    space = tw.Space(x0=tw.Float(0.0, 1.0, default=0.2))
    found = [play(CMAES(design=0, sigma=0.05), space, two_basins, 900, seed).best.loss for seed in range(3)]
    assert np.median(found) < 0.1


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_integers_and_categories_are_found(scale):
    space = tw.Space(
        n=tw.Int(1, 32, scale=scale),
        size=tw.Choice([1, 2, 4, 8, 16], ordered=True),
        kind=tw.Choice(list("abcde")),
        x=tw.Float(0.0, 1.0),
    )

    def loss(config):
        return abs(config["n"] - 21) + abs(config["size"] - 8) + 3 * (config["kind"] != "d") + abs(config["x"] - 0.7)

    history = play(CMAES(), space, loss, 400)
    assert history.best.loss < 0.05


@pytest.mark.parametrize(
    "loss",
    [
        lambda config: 1.0,
        lambda config: 0.0,
        lambda config: math.nan,
        lambda config: -math.inf if config["x0"] > 0.5 else 1.0,
        lambda config: 1e300 if config["x0"] > 0.3 else -1e300,
        lambda config: 1.7e308 * (config["x0"] - 0.5),
        lambda config: math.inf if config["x0"] > 0.1 else 1.0,
    ],
    ids=["constant", "zero", "nan", "minus_inf", "huge", "largest", "inf"],
)
def test_strange_losses(loss):
    history = play(CMAES(), square(2), loss, 150)
    assert len({tuple(record.params.values()) for record in history.trials}) > 140


def test_one_point_and_no_parameter():
    assert CMAES().suggest(tw.Space(x=tw.Float(0.5, 0.5)), History([created()]), np.random.default_rng(0)) == {"x": 0.5}
    assert CMAES().suggest(tw.Space(), History([created()]), np.random.default_rng(0)) == {}


def test_categories_only():
    space = tw.Space(a=tw.Choice(list("abc")), b=tw.Choice([False, True]), c=tw.Choice(list(range(10_000))))
    history = play(CMAES(), space, lambda c: (c["a"] != "b") + (not c["b"]) + c["c"] / 10_000, 150)
    late = history.trials[120:]
    assert np.mean([record.params["a"] == "b" and record.params["b"] for record in late]) > 0.35


def test_two_hundred_parameters():
    history = play(CMAES(), square(200), bowl, 120)
    assert history.best.loss < 0.8 * np.median([record.loss for record in history.trials[:19]])


def test_conditions():
    space = tw.Space(
        model=tw.Choice(["a", "b"]),
        x=tw.Float(0.0, 1.0, when={"model": "a"}),
        depth=tw.Int(1, 4, when={"model": "b"}),
        z=tw.Float(0.0, 1.0, when={"depth": [3, 4]}),
    )

    def loss(config):
        return 1.0 + config["x"] if config["model"] == "a" else (config.get("z", 1.0) - 0.4) ** 2

    assert play(CMAES(), space, loss, 200).best.loss < 0.01


def test_two_goals_come_near_the_front():
    goals = (Goal("loss"), Goal("cost", "max"))
    history = play(CMAES(), square(2), lambda c: (c["x0"] + c["x1"], c["x0"] - c["x1"]), 120, goals=goals)
    assert np.mean([record.params["x1"] for record in history.trials[90:]]) < 0.2


@pytest.mark.parametrize("options", [{"sigma": 0.0}, {"sigma": math.inf}, {"population": 3}, {"design": -1}])
def test_nonsense_is_refused(options):
    with pytest.raises(ValueError, match="CMAES expected"):
        CMAES(**options)

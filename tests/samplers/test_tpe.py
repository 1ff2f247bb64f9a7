from __future__ import annotations

import math

import numpy as np
import pytest

import tunewell as tw
from tunewell.events import Ended, Goal, Status, TrialStarted
from tunewell.history import History
from tunewell.memo import forget
from tunewell.protocols import Exhausted
from tunewell.samplers.split import _best
from tunewell.samplers.tpe import TPE
from tunewell.testing.histories import created, mixed_space, random_events
from tunewell.testing.samplers import SamplerContract


class TestTPE(SamplerContract):
    @pytest.fixture
    def sampler(self):
        return TPE(design=5)


LOSS = (Goal("loss"),)


def tell(history, number, losses):
    metrics = {goal.metric: loss for goal, loss in zip(history.goals, np.atleast_1d(losses).tolist(), strict=True)}
    status = Status.COMPLETED if all(map(math.isfinite, metrics.values())) else Status.DIVERGED
    history.apply(Ended(float(len(history)), number, status, metrics=metrics))


def play(sampler, space, loss, trials, seed=0, workers=1, goals=LOSS, before_each=lambda history: None):
    """Run trials, ``workers`` at a time; return the history."""
    history, running = History([created(space, seed, goals)]), []
    for number in range(trials):
        before_each(history)
        config = sampler.suggest(space, history, np.random.default_rng([seed, number]))
        assert dict(config) == space.check(config)
        history.apply(TrialStarted(float(len(history)), number, config, number))
        running.append(number)
        if len(running) == workers:
            done = running.pop(number % workers)
            tell(history, done, loss(history.trials[done].params))
    return history


def bowl(config):
    return sum((value - 0.3) ** 2 for value in config.values())


def square(d):
    return tw.Space(**{f"x{i}": tw.Float(0.0, 1.0) for i in range(d)})


def test_it_closes_in_on_the_minimum():
    ours = [play(TPE(), square(3), bowl, 60, seed).best.loss for seed in range(5)]
    random = [play(tw.samplers.Random(), square(3), bowl, 60, seed).best.loss for seed in range(5)]
    assert np.median(ours) < 0.1 * np.median(random)


@pytest.mark.parametrize("count", [20, 100])
def test_labels_that_nobody_tried_have_their_turn(count):
    """The losses of the labels are evenly spread; the better half of 12 seeds ends among the best labels."""
    found = []
    for seed in range(12):
        cost = np.random.default_rng([5, seed]).permutation(count) / count
        space = tw.Space(label=tw.Choice([str(each) for each in range(count)]), x=tw.Float(0.0, 1.0))
        history = play(
            TPE(), space, lambda config, cost=cost: cost[int(config["label"])] + (config["x"] - 0.3) ** 2, 100, seed
        )
        found.append(history.best.loss)
    assert np.median(found) < 1e-3  # drawn at random: 5e-3 and 3e-2


def test_the_answer_is_the_same_with_an_empty_memo():
    space = mixed_space()

    def loss(config):
        return abs(math.log10(config["learning_rate"]) + 3) + (config["optimizer"] == "sgd") + config["layers"] / 10

    kept = play(TPE(design=5), space, loss, 60, workers=3)
    fresh = play(TPE(design=5), space, loss, 60, workers=3, before_each=forget)
    assert [record.params for record in kept.trials] == [record.params for record in fresh.trials]


def test_suggestions_of_a_batch_keep_apart():
    history = play(TPE(), square(2), bowl, 20)
    batch = []
    for number in range(20, 28):
        config = TPE().suggest(history.space, history, np.random.default_rng([0, number]))
        history.apply(TrialStarted(0.0, number, config, number))
        batch.append(list(config.values()))
    gaps = [np.linalg.norm(np.subtract(a, b)) for i, a in enumerate(batch) for b in batch[:i]]
    assert min(gaps) > 1e-3
    assert np.std(batch, axis=0).min() > 0.03


def test_failures_are_kept_away_from():
    def half(config):
        return math.nan if config["x0"] > 0.5 else config["x0"]

    history = play(TPE(), square(2), half, 80)
    late = [record.params["x0"] > 0.5 for record in history.trials[40:]]
    assert np.mean(late) < 0.25


def test_a_finite_space_gives_each_configuration_once_and_is_then_exhausted():
    space = tw.Space(a=tw.Choice(["x", "y", "z"]), b=tw.Int(1, 3), c=tw.Choice([0, 1], when={"a": "x"}))
    history = play(TPE(design=4), space, lambda config: config["b"], 12)
    assert len({tuple(record.params.items()) for record in history.trials}) == 12
    with pytest.raises(Exhausted, match="all 12 configurations"):
        TPE(design=4).suggest(space, history, np.random.default_rng(0))


def test_a_noisy_finite_space_may_be_tried_again():
    space = tw.Space(a=tw.Choice(["x", "y"]))
    history = History([created(space)])
    for number, (a, loss) in enumerate([("x", 1.0), ("y", 2.0), ("x", 1.1)]):
        history.apply(TrialStarted(0.0, number, {"a": a}, number, origin="enqueued"))
        tell(history, number, loss)
    assert TPE().suggest(space, history, np.random.default_rng(0)) in ({"a": "x"}, {"a": "y"})


def test_a_point_is_suggested_once():
    space = tw.Space(x=tw.Float(0.5, 0.5))
    history = play(TPE(), space, lambda config: 1.0, 1)
    with pytest.raises(Exhausted):
        TPE().suggest(space, history, np.random.default_rng(0))


@pytest.mark.parametrize(
    "loss",
    [
        lambda config: 1.0,
        lambda config: 0.0,
        lambda config: math.nan,
        lambda config: -math.inf if config["x0"] > 0.5 else 1.0,
        lambda config: 1e300 if config["x0"] > 0.3 else -1e300,
        lambda config: 1e-300 * config["x0"],
        lambda config: math.inf if config["x0"] > 0.1 else 1.0,
    ],
    ids=["constant", "zero", "nan", "minus_inf", "huge", "tiny", "inf"],
)
def test_strange_losses(loss):
    history = play(TPE(design=4), square(2), loss, 30)
    assert len({tuple(record.params.values()) for record in history.trials}) == 30


def test_two_hundred_parameters():
    history = play(TPE(), square(200), bowl, 25)
    assert history.best.loss < np.median([record.loss for record in history.trials[:10]])


def test_ten_thousand_categories_and_a_long_integer():
    space = tw.Space(c=tw.Choice(list(range(10_000))), n=tw.Int(1, 10**6, scale="log"), m=tw.Int(0, 10**9))
    history = play(TPE(), space, lambda config: abs(config["n"] - 50) + (config["c"] != 77), 40)
    assert abs(history.best.params["n"] - 50) < 25


def test_conditions_are_kept_and_branches_compared():
    space = tw.Space(
        model=tw.Choice(["a", "b", "c"]),
        x=tw.Float(0.0, 1.0, when={"model": "a"}),
        y=tw.Float(0.0, 1.0, when={"model": ["b", "c"]}),
        depth=tw.Int(1, 4, when={"model": "b"}),
        z=tw.Float(0.0, 1.0, when={"depth": [3, 4]}),
    )

    def loss(config):
        return 1.0 + config["x"] if config["model"] == "a" else (config["y"] - 0.4) ** 2 + config.get("z", 0.5)

    history = play(TPE(), space, loss, 80)
    late = [record.params["model"] for record in history.trials[40:]]
    assert late.count("a") < 10
    assert history.best.params["model"] == "b"
    assert history.best.loss < 0.1


def test_the_prior_draws_the_first_trials():
    space = tw.Space(
        x=tw.Float(0.0, 1.0, prior=tw.Prior(0.8, "high")), c=tw.Choice(list("abcdef"), prior=tw.Prior("f", "high"))
    )
    history = play(TPE(design=20), space, lambda config: 1.0, 40)
    assert np.mean([record.params["x"] for record in history.trials[:20]]) == pytest.approx(0.8, abs=0.1)
    assert np.mean([record.params["c"] == "f" for record in history.trials[:20]]) > 0.6


def test_a_right_prior_of_one_parameter_does_not_hold_the_others_back():
    def space(prior):
        rate = tw.Float(1e-5, 1.0, scale="log", prior=prior)
        return tw.Space(rate=rate, decay=tw.Float(1e-6, 0.1, scale="log"), x=tw.Float(0.0, 1.0))

    def loss(config):
        rate, decay = np.log10(config["rate"]) + 1.2, np.log10(config["decay"]) + 2.0
        return 0.3 * rate**2 + 0.1 * decay**2 + (config["x"] - 0.8) ** 2

    found = {}
    for prior in (None, tw.Prior(0.06, "high")):
        found[prior] = np.median([play(TPE(), space(prior), loss, 40, seed=seed).best.loss for seed in range(8)])
    assert found[tw.Prior(0.06, "high")] < 1.5 * found[None]


def test_two_goals_come_near_the_front():
    goals = (Goal("loss"), Goal("cost", "max"))
    history = play(TPE(), square(2), lambda c: (c["x0"] + c["x1"], c["x0"] - c["x1"]), 80, goals=goals)
    late = [record.params["x1"] for record in history.trials[50:]]
    assert np.mean(late) < 0.2


def test_the_best_of_several_goals_are_the_fronts_in_turn():
    losses = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [2.0, 2.0], [0.5, 0.5]])
    assert set(_best(losses, 3).tolist()) == {0, 1, 4}
    assert _best(losses, 5).tolist()[3:] == [2, 3]
    many = np.random.default_rng(0).random((3000, 2))
    assert len(set(_best(many, 100).tolist())) == 100


def test_the_best_of_many_are_in_order():
    losses = np.random.default_rng(0).random((5000, 1))
    assert _best(losses, 20).tolist() == np.argsort(losses[:, 0])[:20].tolist()


def test_trials_of_an_earlier_space_do_not_disturb():
    events = random_events(mixed_space(), 30)
    history = History(events)
    space = tw.Space(learning_rate=tw.Float(1e-4, 1e-2, scale="log"), fresh=tw.Int(1, 5))
    config = TPE().suggest(space, history, np.random.default_rng(0))
    assert dict(config) == space.check(config)


@pytest.mark.parametrize(
    "options",
    [
        {"design": 0},
        {"share": 0.0},
        {"share": 1.0},
        {"candidates": 0},
        {"narrowest": 0.0},
        {"narrowest": 1e-5},
        {"prior": -1.0},
    ],
)
def test_nonsense_is_refused(options):
    with pytest.raises(ValueError, match="TPE expected"):
        TPE(**options)

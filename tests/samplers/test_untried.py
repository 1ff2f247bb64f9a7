from __future__ import annotations

import numpy as np
import pytest
from playing import begin, tell

import tunewell as tw
from tunewell.events import Believed
from tunewell.history import History
from tunewell.protocols import Exhausted
from tunewell.samplers.offspring import founder, stepped
from tunewell.samplers.untried import fresh, noisy, untried
from tunewell.surrogate.observations import observe
from tunewell.testing.histories import created

SPACE = tw.Space(n=tw.Int(1, 9), c=tw.Choice(["a", "b"]))


def history_of(space, configs):
    history = History([created(space)])
    for k, config in enumerate(configs):
        tell(history, begin(history, config), float(k))
    return history


def test_the_untried_are_the_rest_of_the_space():
    history = history_of(SPACE, [{"n": n, "c": "a"} for n in range(1, 8)])
    left = untried(SPACE, history, np.random.default_rng(0))
    assert sorted((config["c"], config["n"]) for config in left) == [
        ("a", 8),
        ("a", 9),
        *[("b", n) for n in range(1, 10)],
    ]


def test_when_nothing_is_left_it_says_so():
    history = history_of(SPACE, [{"n": n, "c": c} for n in range(1, 10) for c in "ab"])
    with pytest.raises(Exhausted, match="all 18 configurations of the space have been tried"):
        untried(SPACE, history, np.random.default_rng(0))


@pytest.mark.parametrize("sampler", ["auto", "grid", "cmaes"])
def test_what_was_tried_without_a_result_is_counted_and_can_be_tried_again(sampler):
    study = tw.Study(tw.Space(n=tw.Int(1, 5)), sampler=sampler, seed=0)
    trials = [study.ask() for _ in range(5)]
    for trial, status in zip(trials[:3], ("failed", "failed", "cancelled"), strict=True):
        study.tell(trial, status=status)
    study.tell(trials[3], 0.5)
    with pytest.raises(RuntimeError, match=r"have been tried \(2 failed, 1 cancelled, 1 still running\): study"):
        study.ask()
    study.enqueue(trials[0].params)
    study.tell(study.ask(), 0.3)
    with pytest.raises(RuntimeError, match=r"have been tried \(1 failed, 1 cancelled, 1 still running\)"):
        study.ask()


def test_the_first_new_proposal_is_taken():
    history, proposals = history_of(SPACE, [{"n": 1, "c": "a"}]), iter([1, 1, 4, 5])
    assert fresh(SPACE, history, np.random.default_rng(0), lambda: {"n": next(proposals), "c": "a"})["n"] == 4


def test_without_a_new_proposal_the_nearest_of_the_untried_is_taken():
    """Six places on a scale are nearer than another category."""
    history = history_of(SPACE, [{"n": n, "c": "a"} for n in (2, 3, 4)])
    assert fresh(SPACE, history, np.random.default_rng(0), lambda: {"n": 2, "c": "a"}) == {"n": 1, "c": "a"}
    history = history_of(SPACE, [{"n": n, "c": "a"} for n in range(1, 9)])
    assert fresh(SPACE, history, np.random.default_rng(0), lambda: {"n": 3, "c": "a"}) == {"n": 9, "c": "a"}


def test_a_continuous_space_may_repeat_what_is_proposed():
    space = tw.Space(c=tw.Choice(["a", "b"]), x=tw.Float(0.0, 1.0, when={"c": "b"}))
    history = history_of(space, [{"c": "a"}])
    assert fresh(space, history, np.random.default_rng(0), lambda: {"c": "a"}) == {"c": "a"}


def test_noise_is_a_configuration_with_two_losses():
    once, again = {"n": 1, "c": "a"}, {"n": 2, "c": "a"}
    history = history_of(SPACE, [once, again])
    assert not noisy(observe(SPACE, history), SPACE, history)
    tell(history, begin(history, again), 1.0)  # the loss it had
    assert not noisy(observe(SPACE, history), SPACE, history)
    tell(history, begin(history, once), 0.5)
    assert noisy(observe(SPACE, history), SPACE, history)
    assert fresh(SPACE, history, np.random.default_rng(0), lambda: once) == once


@pytest.mark.parametrize(
    "parameter",
    [tw.Int(1, 10**6, scale="log"), tw.Int(0, 3), tw.Float(0.0, 1.0, step=0.25), tw.Choice([1, 2], ordered=True)],
)
def test_a_step_leads_to_another_value(parameter):
    rng = np.random.default_rng(0)
    for _ in range(200):
        unit, step = rng.random(), rng.choice([0.0, 1e-9, -1e-9, 0.01, -0.3, 7.0])
        there = stepped(parameter, unit, step)
        assert 0.0 <= there <= 1.0
        assert parameter.from_unit(there) != parameter.from_unit(unit)


def test_a_short_step_goes_to_the_next_place_in_its_direction():
    parameter = tw.Int(0, 9)
    assert [parameter.from_unit(stepped(parameter, 0.45, step)) for step in (0.001, -0.001)] == [5, 3]
    assert parameter.from_unit(stepped(parameter, 0.95, 0.001)) in (7, 8)  # mirrored at the end


def test_every_other_founder_follows_a_belief():
    space = tw.Space(x=tw.Float(0.0, 1.0), c=tw.Choice(list("abcdef")), y=tw.Float(0.0, 1.0))
    history = History([created(space), Believed(0.0, {"x": 0.2, "c": "e"}, "high")])
    found = []
    for k in range(60):
        found.append(founder(space, history, np.random.default_rng(k)))
        begin(history, found[-1])
    even, odd = found[::2], found[1::2]
    assert all(config["c"] == "e" and abs(config["x"] - 0.2) < 0.3 for config in even)
    assert np.std([config["y"] for config in even]) > 0.2
    assert np.mean([config["c"] == "e" for config in odd]) < 0.4

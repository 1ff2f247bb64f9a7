from __future__ import annotations

import math

import numpy as np
import pytest
from playing import ask, bowl, configs, cube, play, tell

import tunewell as tw
from tunewell.events import Goal
from tunewell.history import History
from tunewell.numerics.gp import GaussianProcess
from tunewell.protocols import Exhausted, Suggestion
from tunewell.samplers.evidence import Evidence
from tunewell.testing.histories import mixed_space, random_events
from tunewell.testing.samplers import SamplerContract


class TestEvidence(SamplerContract):
    @pytest.fixture
    def sampler(self):
        return Evidence()


def why(history):
    """Return what the sampler says about the next trial."""
    rng = np.random.default_rng([history.seed, len(history.trials)])
    return Suggestion.of(Evidence().suggest(history.space, history, rng)).reason


def told(study, objective, trials):
    """Ask and tell; return the records."""
    for _ in range(trials):
        trial = study.ask()
        study.tell(trial, objective(trial.params))
    return study.trials


def test_it_is_the_default():
    study = tw.Study(cube(2), metric="loss", seed=0)
    told(study, bowl, 5)
    assert study.history.settings["sampler"] == {"name": "auto"}
    assert study.trials[0].params == {"x0": 0.5, "x1": 0.5}


def test_it_beats_chance_on_a_smooth_function():
    ours = [play(Evidence(), cube(3), bowl, 25, seed).best.loss for seed in range(2)]
    random = [play(tw.samplers.Random(), cube(3), bowl, 25, seed).best.loss for seed in range(9)]
    assert max(ours) < 0.1 * np.median(random)


def test_it_begins_with_what_is_believed():
    study = tw.Study(cube(2), metric="loss", sampler="auto", seed=0)
    study.believe({"x1": 0.7})
    assert told(study, lambda params: 1.0, 1)[0].params == pytest.approx({"x0": 0.5, "x1": 0.7})


def test_it_begins_with_the_default_where_one_is_stated():
    study = tw.Study(tw.Space(x=tw.Float(0.0, 1.0, default=0.2), y=tw.Float(0.0, 1.0)), metric="loss", seed=0)
    assert told(study, lambda params: 1.0, 1)[0].params == {"x": 0.2, "y": 0.5}


def test_a_smooth_deterministic_objective_is_never_asked_the_same_twice():
    study = tw.Study(cube(2), metric="loss", sampler="auto", seed=0)
    records = told(study, bowl, 40)
    assert len({tuple(record.params.values()) for record in records}) == 40
    assert not any("once more" in record.why for record in records)


def test_under_noise_some_configurations_are_repeated_and_that_is_said():
    noise = np.random.default_rng(0)
    study = tw.Study(cube(2), metric="loss", sampler="auto", seed=0)
    records = told(study, lambda params: bowl(params) + 0.3 * noise.standard_normal(), 40)
    known, again = set(), []
    for record in records:
        values = tuple(record.params.values())
        if values in known:
            again.append(record)
        known.add(values)
    assert 2 <= len(again) <= 8
    assert all("once more, for the losses seem noisy" in record.why for record in again)


def test_what_noise_made_the_best_is_measured_again():
    """Trial 20 comes out far better than any can be; a second measurement tells that it was luck."""
    rng, study = np.random.default_rng(1), tw.Study(cube(2), metric="loss", seed=1)
    for number in range(26):
        trial = study.ask()
        study.tell(trial, -1.0 if number == 20 else bowl(trial.params) + 0.02 * float(rng.standard_normal()))
    again = [record for record in study.trials[21:] if record.params == study.trials[20].params]
    assert len(again) == 1
    assert again[0].why == "once more, for the losses seem noisy: trial 20 is the best so far"
    assert study.best.params != study.trials[20].params


def test_a_rough_objective_is_repeated_once_and_then_known_to_be_deterministic():
    """What looks like noise is not: the first repeat tells."""

    def rough(params):
        return math.sin(1e4 * params["x0"]) + math.sin(1e4 * params["x1"])

    study = tw.Study(cube(2), metric="loss", sampler="auto", seed=0)
    records = told(study, rough, 45)
    assert sum("once more" in record.why for record in records) == 1
    assert len({tuple(record.params.values()) for record in records}) == 44


def on_grid(params):
    a, b, c = params.values()
    return abs(a - 5) + 2 * abs(b - 3) + {"x": 0.0, "y": 1.0, "z": 3.0}[c]


def grid_study():
    axes = {name: tw.Choice(list(range(12)), ordered=True) for name in "ab"}
    return tw.Study(tw.Space(**axes, c=tw.Choice(["x", "y", "z"])), metric="loss", seed=3)


def test_among_choices_a_repeat_tells_whether_losses_are_noisy():
    noise = np.random.default_rng(3)
    records = told(grid_study(), lambda params: on_grid(params) + 0.1 * noise.standard_normal(), 64)
    first, *others = [record.why for record in records if "once more" in record.why]
    assert first.startswith("once more, to tell whether losses are noisy: trial ")
    assert others
    assert all("for the losses seem noisy" in why for why in others)


def test_what_comes_again_to_the_last_digit_is_tested_twice():
    again = [record for record in told(grid_study(), on_grid, 100) if "once more" in record.why]
    assert [record.number for record in again] == [32, 64]
    assert all("to tell whether losses are noisy" in record.why for record in again)


def test_a_test_for_noise_that_fails_is_not_made_again_and_again():
    study, known = grid_study(), set()

    def fails_again(params):
        values = tuple(params.values())
        if values in known:
            return math.nan
        known.add(values)
        return on_grid(params)

    assert sum("once more" in record.why for record in told(study, fails_again, 120)) == 2


def test_what_is_in_training_counts_as_a_test_for_noise():
    study = grid_study()
    told(study, on_grid, 32)
    asked = [study.ask() for _ in range(33)]
    assert [trial.number for trial in asked if "once more" in study.trials[trial.number].why] == [32]


def test_an_exhausted_space_with_noise_goes_on_with_repeats():
    noise = np.random.default_rng(0)
    study = tw.Study(tw.Space(a=tw.Choice(list("uvwxyz"))), metric="loss", seed=0)
    study.enqueue({"a": "u"})
    study.enqueue({"a": "u"})
    records = told(study, lambda params: ord(params["a"]) + float(noise.standard_normal()), 12)
    assert len(records) == 12
    assert {record.params["a"] for record in records} == set("uvwxyz")


def test_where_the_process_cannot_predict_every_other_suggestion_is_a_parzen_estimators(monkeypatch):
    history = play(Evidence(), cube(2), bowl, 22)
    assert not any("Parzen" in reason for reason in next_reasons(history))
    monkeypatch.setattr(GaussianProcess, "skill", 0.0)
    assert ["Parzen" in reason for reason in next_reasons(history)] == [False, True, False, True]
    few = play(Evidence(), cube(2), bowl, 12)
    assert not any("Parzen" in reason for reason in next_reasons(few))


def next_reasons(history):
    reasons = []
    for _ in range(4):
        reasons.append(why(history))
        tell(history, ask(Evidence(), history), bowl(history.trials[-1].params))
    return reasons


def test_several_goals_are_decided_by_the_hypervolume():
    goals = (Goal("loss"), Goal("cost", "max"))
    history = play(Evidence(), cube(2), lambda c: (c["x0"] + c["x1"], c["x0"] - c["x1"]), 14, goals=goals)
    assert "hypervolume" in why(history)
    many = History(random_events(mixed_space(), 20, goals=tuple(Goal(name) for name in "abcde")))
    assert "hypervolume" not in why(many)


def test_choices_are_exhausted():
    space = tw.Space(a=tw.Choice(["x", "y", "z"]), b=tw.Int(1, 3), c=tw.Choice([0, 1], when={"a": "x"}))
    history = play(Evidence(), space, lambda config: config["b"], 12)
    assert len({tuple(config.items()) for config in configs(history)}) == 12
    with pytest.raises(Exhausted, match="all 12 configurations"):
        ask(Evidence(), history)


def test_eight_asks_before_a_tell_are_distinct():
    study = tw.Study(mixed_space(), metric="loss", sampler="auto", seed=0)
    for _ in range(3):
        batch = [study.ask() for _ in range(8)]
        assert len({tuple(trial.params.items()) for trial in batch}) == 8
        for trial in batch:
            study.tell(trial, abs(math.log10(trial.params["learning_rate"]) + 3.0))
    assert len({tuple(record.params.items()) for record in study.trials}) == 24


def test_it_suggests_the_same_from_a_copy_of_the_history():
    events = random_events(mixed_space(), 50, pending=2)
    kept = History(events[:60])
    ask_before = why(kept)
    assert ask_before == why(History(events[:60]))
    for event in events[60:]:
        kept.apply(event)
    rng, copy = np.random.default_rng(5), np.random.default_rng(5)
    assert Evidence().suggest(kept.space, kept, rng) == Evidence().suggest(kept.space, History(events), copy)


def test_a_run_closes_in():
    """By the public names, with parallel workers' worth of history in one process."""
    study = tw.Study(cube(3), metric="loss", seed=1)
    study.run(lambda trial: bowl(trial.params), trials=25, workers=1, executor="inline", progress=False)
    assert study.best.value < 0.01

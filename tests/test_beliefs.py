"""Beliefs: where a person says that good values lie, as an event, and what samplers make of it."""

from __future__ import annotations

import numpy as np
import pytest

import tunewell as tw
from tunewell.analysis.report import report
from tunewell.events import Believed
from tunewell.history import History
from tunewell.journals import codec
from tunewell.replay import replay
from tunewell.surrogate.observations import believed
from tunewell.testing.histories import created

SPACE = tw.Space(
    learning_rate=tw.Float(1e-5, 1e-1, scale="log"),
    batch_size=tw.Choice([16, 32, 64, 128], ordered=True),
    optimizer=tw.Choice(["sgd", "adam", "lamb"]),
    nesterov=tw.Choice([False, True], when={"optimizer": "sgd"}),
    shape=tw.Choice([(3, 3), (5, 5)]),
)


def test_a_belief_is_an_event(tmp_path):
    study = tw.Study(SPACE, storage=str(tmp_path / "a.db"), seed=0)
    study.believe({"batch_size": 64, "learning_rate": np.float64(3e-4), "shape": (5, 5)})
    study.believe({"optimizer": "adam"}, confidence="high")
    first, second = tw.open(str(tmp_path / "a.db")).history.beliefs
    assert first.config == {"learning_rate": 3e-4, "batch_size": 64, "shape": (5, 5)}
    assert (first.confidence, first.std) == ("medium", 0.15)
    assert (dict(second.config), second.std) == ({"optimizer": "adam"}, 0.075)
    assert codec.decode(*codec.encode(first)) == first
    page = report(study.history)
    assert "optimizer = adam <small>high confidence" in page


@pytest.mark.parametrize(
    ("values", "confidence", "error", "words"),
    [
        ({"learning_rat": 0.1}, "medium", ValueError, "unknown parameter .learning_rat.: did you mean .learning_rate"),
        ({"learning_rate": 0.0}, "medium", ValueError, "parameter .learning_rate.: expected a number above 0"),
        ({"learning_rate": "1"}, "medium", ValueError, "parameter .learning_rate.: expected a number from 1e-05"),
        ({"optimizer": "adam", "nesterov": True}, "medium", ValueError, "active only when .optimizer. is"),
        ({}, "medium", ValueError, "believe expected the value of at least one parameter"),
        ({"batch_size": 64}, "sure", ValueError, "confidence must be 'low', 'medium' or 'high', got 'sure'"),
        ([64], "medium", TypeError, "expected a mapping from names to values"),
    ],
)  # fmt: skip
def test_what_cannot_be_believed_is_told_in_a_sentence(values, confidence, error, words):
    study = tw.Study(SPACE, seed=0)
    with pytest.raises(error, match=words) as raised:
        study.believe(values, confidence)
    assert "\n" not in str(raised.value)
    assert len(study.events) == 1


def test_a_belief_beyond_a_range_is_one_in_its_end_and_said():
    study = tw.Study(tw.Space(lr=tw.Float(1e-4, 0.1, scale="log"), width=tw.Int(8, 64, step=8)), seed=0)
    with pytest.warns(RuntimeWarning, match=r"believe: lr=0.5 lies outside .*, so 0.1 stands for it: study.change_spa"):
        study.believe({"lr": 0.5})
    with pytest.warns(RuntimeWarning, match=r"lr=1e-06 lies outside .* 0.0001 stands for it; width=99 .* 64 stands"):
        study.believe({"lr": 1e-6, "width": 99})
    assert [belief.config for belief in study.history.beliefs] == [{"lr": 0.1}, {"lr": 1e-4, "width": 64}]
    with pytest.raises(ValueError, match="the nearest is 32"):
        study.believe({"width": 30})


def test_a_condition_may_be_left_open():
    study = tw.Study(SPACE, seed=0)
    study.believe({"nesterov": True})
    assert study.history.beliefs[0].config == {"nesterov": True}


def test_beliefs_as_points():
    history = History(
        [created(SPACE), Believed(0.0, {"learning_rate": 1e-3}, "low"), Believed(0.0, {"optimizer": "sgd"})]
    )
    points, spreads = believed(history.space, history)
    assert points.shape == (2, 5)
    assert points[0, 0] == pytest.approx(0.5)
    assert np.isnan(points[0, 1:]).all()
    assert spreads.tolist() == [0.3, 0.15]
    smaller = tw.Space(learning_rate=tw.Float(1e-2, 1e-1))
    assert believed(smaller, history)[0].shape == (0, 1)


def distances(belief, trials, seed):
    study = tw.Study(tw.Space(x=tw.Float(0.0, 1.0), y=tw.Float(0.0, 1.0)), metric="loss", sampler="tpe", seed=seed)
    if belief:
        study.believe(belief, "high")
    for _ in range(trials):
        trial = study.ask()
        study.tell(trial, (trial.params["x"] - 0.2) ** 2)
    assert replay(study.events).ok
    return np.array([abs(trial.params["x"] - 0.8) for trial in study.trials])


def test_tpe_looks_there_first_and_forgets():
    with_belief = np.array([distances({"x": 0.8}, 60, seed) for seed in range(6)])
    without = np.array([distances(None, 60, seed) for seed in range(6)])
    assert with_belief[:, :10].mean() < 0.8 * without[:, :10].mean()
    assert with_belief[:, 45:].mean() > 0.4  # the optimum, 0.6 away, won


def test_several_goals_and_nothing_feasible():
    """What a belief and constraints meet in one model."""
    study = tw.Study(SPACE, ["a", "b"], constraints=["c <= 0"], sampler=tw.samplers.TPE(design=3), seed=0)
    for number in range(12):
        study.believe({"batch_size": 64})
        study.tell(study.ask(), {"a": number, "b": -number, "c": 1.0})
    assert len(study.trials) == 12

"""What curves say: names of metrics, features without units, actions as data, and sentences that are true."""

from __future__ import annotations

import itertools
import math
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tunewell as tw
from tunewell.analysis.diagnosis import Action, Label, course, diagnose_study
from tunewell.analysis.diagnosis.actions import Action as Same
from tunewell.analysis.diagnosis.configuration import configured
from tunewell.analysis.diagnosis.curves import Curves, role_of, roles_among
from tunewell.analysis.diagnosis.features import NAMES, measured
from tunewell.analysis.diagnosis.judge import LIKE_HEALTH, PATTERNS, STAGES, judge, stage_of
from tunewell.analysis.diagnosis.labels import MEANINGS, advised
from tunewell.analysis.diagnosis.overview import proposed
from tunewell.analysis.diagnosis.shapes import change, middle, residuals, running, trend, unrest
from tunewell.analysis.diagnosis.thinning import fewer, thinned
from tunewell.events import Goal
from tunewell.parameters import Choice, Float, Int
from tunewell.watching.advice import advise

STEPS = np.arange(1.0, 25.0)
OVERFITTED = {"train_loss": 2.3 * np.exp(-STEPS / 3), "val_loss": 2.2 * np.exp(-STEPS / 3) + 0.06 * STEPS + 0.4}
FLAT = {"train_loss": 2.3 - 0.002 * STEPS, "val_loss": 2.31 - 0.002 * STEPS}


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("train_loss", "train_loss"), ("loss", "train_loss"), ("val_loss", "val_loss"), ("valid/loss", "val_loss"),
        ("eval.loss", "val_loss"), ("trainLoss", "train_loss"), ("val/accuracy", "val_accuracy"),
        ("acc", "val_accuracy"), ("train_acc", "train_accuracy"), ("test-nll", "val_loss"), ("dev_ppl", "val_loss"),
        ("grad_norm", "grad_norm"), ("net/grad_norm", "grad_norm"), ("update_ratio", "update_ratio"),
        ("mean_squared_error", "train_loss"), ("val_binary_crossentropy", "val_loss"), ("valid_0 rmse", "val_loss"),
        ("train_dice_loss", "train_loss"), ("val_focal_loss", "val_loss"), ("loss_epoch", "train_loss"),
        ("cross_entropy_loss", "train_loss"), ("kl_loss", None), ("val_kl_loss", None), ("policy_loss", None),
        ("entropy_loss", None), ("g_loss", None), ("train/aux_loss", None),
        ("dead_units", "dead_units"), ("seconds", None), ("parameters", None), ("glossary", None),
    ],
)  # fmt: skip
def test_roles_are_recognised_by_name(name: str, role: str | None) -> None:
    assert role_of(name) == role


def test_the_studys_own_metric_is_the_validation_where_nothing_else_is() -> None:
    assert roles_among(("loss",), (Goal("loss"),)) == {"val_loss": "loss"}
    assert roles_among(("loss", "val_loss"), (Goal("val_loss"),)) == {"val_loss": "val_loss", "train_loss": "loss"}
    assert roles_among(("score",), (Goal("score", "max"),)) == {"val_accuracy": "score"}


def test_a_goal_that_is_no_measure_of_learning_is_not_taken_for_one() -> None:
    """Neither beside another goal, nor alone where its name says what a training takes."""
    beside = (Goal("accuracy", "max"), Goal("parameters"))
    assert roles_among(("accuracy", "parameters"), beside) == {"val_accuracy": "accuracy"}
    assert roles_among(("score", "cells"), (Goal("score", "max"), Goal("cells"))) == {}
    assert roles_among(("loss", "accuracy"), (Goal("loss"), Goal("accuracy", "max"))) == {
        "val_loss": "loss", "val_accuracy": "accuracy",
    }  # fmt: skip
    for name in ("minutes", "train_seconds", "latencyMs", "peak_memory", "n_parameters", "GFLOPs"):
        assert roles_among((name,), (Goal(name),)) == {}, name


def test_a_second_goal_that_stands_still_is_no_training_that_learns_nothing() -> None:
    def train(trial: tw.Trial) -> None:
        for step in trial.steps(20):
            trial.report(accuracy=1 - 0.9 / step**0.5, parameters=12022)

    goals: Any = {"metric": ["parameters", "accuracy"], "mode": ["min", "max"]}
    study = tw.Study(tw.Space(lr=tw.Float(0, 1)), **goals, sampler="random", scheduler="fifo", seed=0)
    study.run(train, trials=1, executor="inline", progress=False)
    (found, *_) = study.diagnose(0)
    assert found.label != "nothing-learnt"
    assert "12" not in found.message
    assert "nothing-learnt" not in str(study.diagnose())


def test_one_line_says_what_is_wrong_why_and_what_to_do() -> None:
    found = tw.diagnose(**OVERFITTED)[0]
    assert found.label == "overfitting"
    best = int(np.argmin(OVERFITTED["val_loss"])) + 1
    assert f"best at step {best}" in found.message
    assert found.actions[0] == Action("stop", "", float(best), f"stop at step {best}, where the validation was best")
    assert found.finding.code == "overfitting"
    assert 0.0 < found.confidence <= 1.0
    assert found.to_json()["actions"][0]["kind"] == "stop"


def test_a_rate_that_is_too_low_is_raised_tenfold_and_named_as_the_user_names_it() -> None:
    found = tw.diagnose(**FLAT, params={"opt.lr": 1e-6, "dropout": 0.1})[0]
    assert found.label in ("rate-too-low", "nothing-learnt")
    assert found.parameter == "opt.lr"


def test_no_number_and_an_explosion_are_divergence() -> None:
    assert tw.diagnose([2.3, 1.0, math.nan])[0].label == "diverging"
    assert tw.diagnose([2.3, 1.0, math.inf], [2.3, 1.0, 2.0])[0].confidence == 1.0
    exploded = tw.diagnose([2.0**k for k in range(10)])[0]
    assert exploded.label == "diverging"
    assert exploded.fix == "divide the learning rate by 10"


def test_a_loss_that_never_moves_has_learnt_nothing() -> None:
    for known in ({"train_loss": [0.7] * 9}, {"train_loss": [0.7] * 9, "val_loss": [0.7] * 9}):
        assert tw.diagnose(**known)[0].label == "nothing-learnt"


def test_a_negative_loss_is_not_taken_for_one_that_is_almost_zero() -> None:
    losses = -8.0 + 7.0 * np.exp(-STEPS / 6)
    found = measured(Curves.of(train_loss=losses, val_loss=losses))
    assert math.isnan(found["level_log"])
    assert math.isfinite(found["slowness"])
    assert tw.diagnose(losses, losses)[0].label != "overfitting"


def test_too_few_reports_are_too_early() -> None:
    (found,) = tw.diagnose([2.3, 2.2, 2.1], total=24)
    assert (found.label, found.actions) == (Label.TOO_EARLY, ())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "expected at least one curve, got none"),
        ({"train_loss": [1.0], "val_loss": [1.0, 2.0]}, "train_loss has 1, val_loss has 2"),
        ({"train_loss": "falling"}, "expected train_loss to be a list of numbers, got 'falling'"),
        ({"train_loss": [[1.0]]}, "got an array of shape"),
        ({"train_loss": [1.0, 2.0], "steps": [1]}, "expected 2 steps, one for each value, got 1"),
    ],
)
def test_what_is_no_curve_is_told_in_a_sentence(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        tw.diagnose(**given)


@given(st.floats(1e-6, 1e6), st.integers(0, 1000))
def test_features_have_no_units(scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    train = np.exp(-STEPS / 6) + 0.2 + 0.02 * rng.normal(size=24)
    val = train + 0.1 + 0.02 * rng.normal(size=24)
    one, other = (measured(Curves.of(train_loss=k * train, val_loss=k * val)) for k in (1.0, scale))
    for name, value in one.items():
        assert math.isnan(value) or math.isclose(value, other[name], rel_tol=1e-6, abs_tol=1e-9), name


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=40), st.booleans())
def test_any_numbers_get_an_answer(values: list[float], as_accuracy: bool) -> None:
    found = tw.diagnose(**{"val_accuracy" if as_accuracy else "train_loss": values})
    assert found
    assert all(0.0 <= one.confidence <= 1.0 and str(one) for one in found)


def test_there_is_a_threshold_for_every_set_of_curves_and_stage() -> None:
    assert set(judge().thresholds) == set(itertools.product(PATTERNS, STAGES, (False, True)))
    assert set(LIKE_HEALTH) < set(judge().labels)
    assert all(0.0 < bar <= 0.5 for bar in judge().thresholds.values())
    assert set(judge().labels) < set(Label)
    assert math.isclose(sum(judge().probabilities({}).values()), 1.0)
    assert set(judge().names) <= {*NAMES, *course.NAMES, *configured({}), "share"}
    assert set(MEANINGS) == set(Label)


def test_curves_are_summed_up_as_their_definitions_say() -> None:
    assert middle(np.array([3.0, 1.0, 2.0, 10.0])) == 2.5
    assert running(np.array([1.0, 9.0, 2.0, 3.0]), 3).tolist() == [2.0, 3.0]
    assert residuals(np.array([1.0, 1.0, 5.0, 1.0, 1.0])).tolist() == [0.0, 0.0, 4.0, 0.0, 0.0]
    assert unrest(np.array([3.0, 2.0, 1.0])) == 0.0
    assert unrest(np.array([1.0, 2.0, 1.0])) == 0.5
    assert math.isnan(unrest(np.ones(5)))
    assert change(np.array([2.0] * 6 + [2.0, 2.0, 1.0, 1.0]), 2, 1.0) < -5.0
    assert change(np.ones(9), 0, 1.0) == 0.0


def test_a_loss_that_has_come_down_to_rounding_errors_goes_up_and_down_no_more() -> None:
    fall = [0.58, 0.02, 1e-3, 2e-5]
    errors = 3e-9 * np.random.default_rng(0).uniform(0.5, 2.0, size=16)
    noisy, calm = (measured(Curves.of(train_loss=[*fall, *rest])) for rest in (errors, [3e-9] * 16))
    assert noisy == pytest.approx(calm, nan_ok=True)
    assert measured(Curves.of(train_loss=[*fall, *(1e6 * errors)]))["unrest_later"] > 0.2  # these are none


def test_a_trend_is_told_from_noise_however_small_it_is() -> None:
    rng = np.random.default_rng(0)
    faint = 2.3 - 1e-3 * STEPS
    assert trend(faint, 2.3) < -5.0
    assert abs(trend(faint + 0.1 * rng.normal(size=24), 2.3)) < 2.0
    assert measured(Curves.of(val_loss=faint))["val_unrest"] == 0.0


def test_an_accuracy_no_better_than_the_loss_is_guessing() -> None:
    guess = measured(Curves.of(val_loss=[math.log(10)] * 9, val_accuracy=[0.1] * 9))
    assert guess["skill"] == pytest.approx(0.0)
    good = measured(Curves.of(val_loss=[0.5] * 9, val_accuracy=[0.82] * 9))
    assert good["skill_above"] > 0.2
    assert measured(Curves.of(val_loss=[0.5] * 9, val_accuracy=[82.0] * 9)) == pytest.approx(good, nan_ok=True)


@pytest.mark.parametrize(
    ("params", "name", "value"),
    [
        ({"lr": 0.1, "optimizer": "sgd"}, "rate", 0.0), ({"lr": 10.0, "optimizer": "sgd"}, "rate", 2.0),
        ({"lr": 1.0, "optimizer": "AdamW"}, "rate", 2.0), ({"opt.lr": 1.0}, "rate", 1.0), ({"lr": 1e-6}, "rate", -2.0),
        ({"lr": 3e-4}, "rate", 0.0), ({"lr": 0.0}, "rate", math.nan), ({}, "rate", math.nan),
        ({"lr": True}, "rate", math.nan), ({"dropout": 0.2}, "dropout", 0.0), ({"dropout": 0.9}, "dropout", 0.5),
        ({"lr": 0.1, "weight_decay": 0.1}, "decay", 1.0), ({"lr": 1e-3, "weight_decay": 0.1}, "decay", 0.0),
        ({"weight_decay": 0.1}, "decay", math.nan),
    ],
)  # fmt: skip
def test_a_configuration_speaks_only_where_it_is_far_from_what_is_usual(
    params: dict[str, Any], name: str, value: float
) -> None:
    assert configured(params)[name] == pytest.approx(value, nan_ok=True)


@pytest.mark.parametrize(
    ("label", "features", "said"),
    [
        (Label.RATE_TOO_HIGH, {"rate": math.nan}, ["divide the learning rate by 10"]),
        (Label.RATE_TOO_HIGH, {"rate": 2.0}, ["divide the learning rate by 100"]),
        (Label.DIVERGING, {"rate": 0.5}, ["divide the learning rate by 10"]),
        (Label.DIVERGING, {"rate": 2.0, "improved": 0.5}, ["divide the learning rate by 10"]),
        (Label.DIVERGING, {"rate": 2.0, "improved": 0.0}, ["divide the learning rate by 100"]),
        (Label.RATE_TOO_LOW, {"fallen": 0.001}, ["raise the learning rate 100 times"]),
        (Label.RATE_TOO_LOW, {"fallen": 0.3}, ["raise the learning rate 10 times"]),
        (Label.RATE_TOO_LOW, {"fallen": math.nan, "val_fallen": 0.8}, ["raise the learning rate 3 times"]),
        (Label.NOTHING_LEARNT, {"rate": -2.0}, ["raise the learning rate 100 times", "check that"]),
        (Label.NOTHING_LEARNT, {"rate": 1.5}, ["divide the learning rate by 100", "check that"]),
        (Label.NOTHING_LEARNT, {"rate": 0.5}, ["check that"]),
        (Label.NOTHING_LEARNT, {"rate": 0.0}, ["check that"]),
    ],
)
def test_how_far_the_rate_is_moved_hangs_on_the_evidence(
    label: Label, features: dict[str, float], said: list[str]
) -> None:
    actions = advised(label, features, None, {})
    found = [action.words for action in actions]
    assert len(found) == len(said)
    assert all(re.match(rf"{words}\b", one) for one, words in zip(found, said, strict=True))


def test_an_unstable_training_is_clipped_unless_it_is_already_and_slowed() -> None:
    clip, lower = advised(Label.UNSTABLE, {}, None, {"lr": 0.1})
    assert (clip.role, clip.amount, lower.role) == ("gradient_clipping", 1.0, "learning_rate")
    assert advised(Label.UNSTABLE, {}, None, {"lr": 0.1, "max_grad_norm": 5.0}) == (clip, lower)
    assert advised(Label.UNSTABLE, {}, None, {"lr": 0.1, "max_grad_norm": 0.5}) == (lower,)


def test_a_network_that_underfits_under_a_heavy_dropout_gets_less_of_it_first() -> None:
    roles = [action.role for action in advised(Label.UNDERFITTING, {}, None, {"dropout": 0.95})]
    assert roles == ["dropout", "hidden_units", "weight_decay"]
    assert advised(Label.UNDERFITTING, {}, None, {"dropout": 0.2})[0].role == "hidden_units"


def test_nobody_is_told_to_stop_where_the_training_ends() -> None:
    """The validation is far behind, and falls to the end."""
    steps = np.arange(1.0, 41.0)
    found = tw.diagnose(2.3 * np.exp(-steps / 5), 1.35 + 0.95 * np.exp(-steps / 7))[0]
    assert found.label == "overfitting"
    assert {action.kind for action in found.actions} == {"at_least", "multiply"}
    assert "best at step" not in found.message


def test_a_trial_that_ended_in_no_number_diverged_whoever_asks() -> None:
    study = tw.Study(tw.Space(lr=tw.Float(0.1, 1.0)), seed=0)
    study.tell(study.ask(), math.nan)
    trial = study.ask()
    for step in range(1, 9):
        trial.report(loss=2.0 / step)
    study.tell(trial, math.nan)
    assert [study.diagnose(number)[0].label for number in (0, 1)] == ["diverging"] * 2
    assert diagnose_study(study.history).counts == {Label.DIVERGING: 2}
    assert advise(study.history, 0).diagnosis.label == "diverging"


def test_gradients_are_clipped_at_no_less_than_their_usual_norm() -> None:
    """Where targets are in units of their own gradients are large, and a norm of 1 would be a far lower rate."""
    large, _ = advised(Label.UNSTABLE, {}, None, {"lr": 0.1}, 20.59)
    assert large.amount == 21.0
    assert large.words == "clip gradients at their usual norm, 21"
    small, _ = advised(Label.UNSTABLE, {}, None, {"lr": 0.1}, 0.3)
    assert small.amount == 1.0
    (lower,) = advised(Label.UNSTABLE, {}, None, {"lr": 0.1, "max_grad_norm": 5.0}, 20.59)
    assert lower.role == "learning_rate"


def test_the_course_of_a_training_is_the_same_in_other_units_and_unknown_where_losses_may_be_negative() -> None:
    losses = 2.0 * np.exp(-np.arange(24) / 6.0)
    given = {"train_loss": losses, "val_accuracy": np.linspace(10.0, 58.0, 24), "update_ratio": np.full(24, 1e-3)}
    found = course.course(Curves.of(**given))
    assert set(found) == set(course.NAMES)
    assert found["train_loss_at_0"] == pytest.approx(math.log(np.interp(0.5, [0, 1], losses[:2]) / 2.0), abs=0.01)
    assert found["train_loss_at_11"] == pytest.approx(-22.5 / 6.0, abs=0.01)
    assert found["val_accuracy_at_7"] - found["val_accuracy_at_0"] == pytest.approx(0.48 * 21 / 23)
    assert found["update_ratio_at_3"] == pytest.approx(-3.0)
    assert math.isnan(found["val_loss_at_0"])
    other = course.course(
        Curves.of(**given | {"train_loss": 1000.0 * losses, "val_accuracy": np.linspace(0.1, 0.58, 24)})
    )
    assert other == pytest.approx(found, nan_ok=True)
    below = course.course(Curves.of(train_loss=losses - 1.0))
    assert all(math.isnan(value) for value in below.values())


def test_a_jump_of_a_loss_makes_its_course_rough_there() -> None:
    losses = np.exp(-np.arange(24) / 6.0)
    jump = losses.copy()
    jump[14] *= 3.0
    calm, rough = (course.course(Curves.of(train_loss=each)) for each in (losses, jump))
    risen = [rough[f"train_loss_rough_{k}"] - calm[f"train_loss_rough_{k}"] for k in range(6)]
    assert int(np.argmax(risen)) == 3
    assert max(risen) > 1.0


@pytest.mark.parametrize(
    ("action", "params", "space", "changed"),
    [
        (Action("multiply", "learning_rate", 0.1, ""), {"lr": 0.1, "units": 8}, None, {"lr": 0.01, "units": 8}),
        (Action("multiply", "learning_rate", 0.1, ""), {"lr": 0.1}, {"lr": Float(0.05, 1.0, "log")}, {"lr": 0.05}),
        (Action("at_least", "dropout", 0.4, ""), {"dropout": 0.1}, None, {"dropout": 0.4}),
        (Action("at_least", "dropout", 0.4, ""), {"dropout": 0.5}, None, {"dropout": 0.5}),
        (Action("at_most", "gradient_clipping", 1.0, ""), {"max_grad_norm": 5.0}, None, {"max_grad_norm": 1.0}),
        (Action("multiply", "hidden_units", 4.0, ""), {"units": 16}, {"units": Int(4, 32, "log")}, {"units": 32}),
        (Action("multiply", "hidden_units", 4.0, ""), {"units": 8}, {"units": Choice([8, 16, 32], ordered=True)},
         {"units": 32}),
        (Action("at_least", "dropout", 0.4, ""), {"dropout": 0.0}, {"dropout": Float(0.0, 0.5, step=0.25)},
         {"dropout": 0.5}),
        (Action("multiply", "weight_decay", 10.0, ""), {"wd": 1e-4, "weight_decay_on": True}, None,
         {"wd": 1e-3, "weight_decay_on": True}),
        (Action("stop", "", 7.0, ""), {"lr": 0.1}, None, {"lr": 0.1}),
        (Action("check", "schedule", 0.0, ""), {"schedule": "step"}, None, {"schedule": "step"}),
    ],
)  # fmt: skip
def test_actions_change_values_within_the_space(
    action: Same, params: dict[str, Any], space: dict[str, Any] | None, changed: dict[str, Any]
) -> None:
    found = action.apply(params, tw.Space(space) if space else None)
    assert found == pytest.approx(changed)
    if space:
        tw.Space(space).check(found)


def told(rates: dict[float, list[float]]) -> tw.Study:
    """Return a study of trials with these learning rates and training losses."""
    study = tw.Study(tw.Space(lr=tw.Float(1e-6, 1e3, scale="log")), "val_loss", sampler="random", seed=0)
    for rate, losses in rates.items():
        study.enqueue({"lr": rate})
        trial = study.ask()
        for _, loss in zip(trial.steps(len(losses)), losses, strict=False):
            trial.report(train_loss=loss, val_loss=loss)
        study.tell(trial, losses[-1])
    return study


def test_a_study_is_summed_up_and_says_where_its_range_should_move() -> None:
    exploding, fine = [2.0**k for k in range(12)], list(2.0 / np.arange(1, 13))
    study = told({1.0: exploding, 2.0: exploding, 5.0: exploding, 0.1: fine, 0.2: fine})
    found = study.diagnose()
    assert found.counts[Label.DIVERGING] == 3
    assert "3 of 5 trials: the training diverges" in str(found)
    assert found.shift is not None
    assert (found.shift.parameter, found.shift.side, found.shift.bound) == ("lr", "below", 1.0)
    assert found.shift.value == pytest.approx(math.sqrt(0.02))
    assert study.diagnose(0)[0].label == "diverging"
    assert found.to_json()["shift"]["parameter"] == "lr"


def test_nothing_is_proposed_where_good_and_bad_rates_mix() -> None:
    study = told({rate: [1.0, 0.5] for rate in (0.1, 0.2, 0.3, 0.4)})
    mixed = {0: Label.DIVERGING, 1: Label.DIVERGING, 2: Label.DIVERGING, 3: Label.HEALTHY}
    assert proposed(study.history, mixed) is None  # the largest rate did well
    low = {0: Label.RATE_TOO_LOW, 1: Label.RATE_TOO_LOW, 2: Label.RATE_TOO_LOW, 3: Label.HEALTHY}
    shift = proposed(study.history, low)
    assert shift is not None
    assert (shift.side, shift.bound, shift.value) == ("above", 0.3, pytest.approx(0.4))
    assert proposed(study.history, {0: Label.DIVERGING}) is None


def test_a_study_without_curves_has_nothing_to_say() -> None:
    study = tw.Study(tw.Space(lr=tw.Float(0.1, 1.0)), "size", seed=0)
    study.tell(study.ask(), 1.0)
    assert str(diagnose_study(study.history)) == "no trial has reported a curve that is known"
    assert study.diagnose(0) == []
    with pytest.raises(ValueError, match="diagnose expected a trial of this study, got 7"):
        study.diagnose(7)


def test_a_metric_that_is_reported_now_and_then_is_no_divergence() -> None:
    train = list(2.0 / STEPS)
    val = [2.0 / step if step % 2 else None for step in STEPS]
    assert tw.diagnose(train, val)[0].label != "diverging"
    assert tw.diagnose([math.nan])[0].label == "diverging"
    assert tw.diagnose([math.nan])[0].evidence == ("the training loss is no number below 1e60 at step 1",)


@cache
def trained(rate: float = 0.05, seed: int = 0) -> tuple[Any, Any]:
    """Return the losses of a perceptron on digits at each of 600 steps: of the batch, and on held-out rows."""
    x, y = pytest.importorskip("sklearn.datasets").load_digits(return_X_y=True)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(x))
    x, targets = x[order] / 16.0, np.eye(10)[y[order]]
    weights = [rng.normal(size=shape) * math.sqrt(2.0 / shape[0]) for shape in ((65, 64), (65, 10))]
    speeds = [np.zeros_like(w) for w in weights]

    def forward(rows: Any) -> tuple[Any, Any, Any]:
        inputs = np.c_[x[rows], np.ones(len(rows))]
        hidden = np.c_[np.maximum(inputs @ weights[0], 0.0), np.ones(len(rows))]
        scores = hidden @ weights[1]
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        return inputs, hidden, shares / shares.sum(axis=1, keepdims=True)

    def loss(rows: Any, shares: Any) -> float:
        return float(-np.log(np.maximum((shares * targets[rows]).sum(axis=1), 1e-30)).mean())

    train, val, held = [], [], np.arange(1300, 1797)
    for step in range(600):
        rows = rng.integers(1300, size=64)
        inputs, hidden, shares = forward(rows)
        train.append(loss(rows, shares))
        wrong = (shares - targets[rows]) / 64
        back = (wrong @ weights[1][:-1].T) * (hidden[:, :-1] > 0.0)
        for k, gradient in enumerate((inputs.T @ back, hidden.T @ wrong)):
            speeds[k] = 0.9 * speeds[k] + gradient
            weights[k] = weights[k] - 0.5 * rate * (1.0 + math.cos(math.pi * step / 600)) * speeds[k]
        val.append(loss(held, forward(held)[2]))
    return np.array(train), np.array(val)


def reported(times: int, rate: float = 0.05, seed: int = 0) -> dict[str, Any]:
    """Return that training with so many reports: the mean loss of the batches since the last, the loss held out."""
    (train, val), every = trained(rate, seed), 600 // times
    n = times * every
    return {"train_loss": train[:n].reshape(times, every).mean(axis=1), "val_loss": val[every - 1 : n : every]}


@pytest.mark.parametrize("total", [None, 600])
def test_a_training_is_judged_alike_however_often_it_reports(total: int | None) -> None:
    def judged(times: int) -> str:
        steps = np.arange(1, times + 1) * (600 // times)
        return tw.diagnose(**reported(times), steps=steps, total=total)[0].code

    assert [judged(times) for times in (24, 100, 300)] == ["healthy"] * 3


def test_a_loss_that_comes_down_to_guessing_only_at_the_end_is_not_called_healthy() -> None:
    # Recorded: a perceptron on digits, SGD at a rate of 5 that a cosine brings down to 0; right in 10 % of the rows.
    train = [5.702, 2.714, 2.767, 2.75, 2.566, 2.578, 2.563, 2.515, 2.483, 2.532, 2.425, 2.362, 2.346, 2.323, 2.311]
    val = [3.37, 2.537, 3.13, 2.708, 2.8, 2.491, 2.703, 2.503, 2.502, 2.511, 2.352, 2.358, 2.326, 2.326, 2.305]
    found = tw.diagnose(train, val)[0]
    assert found.code != "healthy"
    assert "guessing among 10 classes" in found.message


@pytest.mark.parametrize("rate", [2.0, 5.0, 20.0])
@pytest.mark.parametrize("params", [{}, {"optimizer": "sgd"}])
def test_a_training_that_settles_at_chance_is_never_called_healthy(rate: float, params: dict[str, Any]) -> None:
    for seed in (0, 1):
        curves = reported(20, rate, seed)
        assert min(curves["val_loss"][-5:]) > 0.9 * math.log(10)
        found = tw.diagnose(**curves, params={"lr": rate, **params} if params else {})[0]
        assert found.label not in ("healthy", "data-problem")
        assert not params or found.label in ("rate-too-high", "diverging")


@pytest.mark.parametrize("rate", [1e-6, 1e-5])
def test_a_tiny_rate_gets_the_advice_to_raise_it(rate: float) -> None:
    found = tw.diagnose(**reported(20, rate), params={"lr": rate, "optimizer": "sgd"})[0]
    assert found.label in ("rate-too-low", "nothing-learnt")
    assert found.fix == "raise the learning rate 100 times"


def test_a_long_curve_is_thinned_by_means_and_by_last_values_and_keeps_its_place() -> None:
    values = np.arange(100.0)
    curves = Curves.of(train_loss=values, val_loss=values, grad_norm=values, steps=values + 1, total=200)
    fewer = thinned(curves)
    assert len(fewer.steps) == 12  # half of the training
    assert fewer.val_loss is not None
    assert fewer.train_loss is not None
    assert (fewer.steps[-1], fewer.val_loss[-1], fewer.total) == (100.0, 99.0, 200)
    assert fewer.train_loss[0] == pytest.approx(values[:8].mean())
    assert stage_of(fewer) == stage_of(curves) == 0.5
    short = Curves.of(train_loss=values[:32])
    assert thinned(short) is short


def test_fewer_reports_are_those_of_longer_stretches() -> None:
    values = np.arange(7.0)
    curves = fewer(Curves.of(train_loss=values, val_loss=values), 3)
    assert curves.train_loss is not None
    assert curves.val_loss is not None
    assert curves.train_loss.tolist() == [0.0, 2.0, 5.0]
    assert curves.val_loss.tolist() == [0.0, 3.0, 6.0]
    assert curves.steps.tolist() == [1.0, 4.0, 7.0]


def test_what_is_missing_in_a_long_curve_stays_missing() -> None:
    values = [None] * 25 + [math.inf] * 25 + [1.0, None] * 25
    fewer = thinned(Curves.of(val_loss=values)).val_loss
    assert fewer is not None
    assert np.isnan(fewer[0])
    assert np.isinf(fewer[8])
    assert fewer[-1] == 1.0


def test_evidence_names_values_and_steps_of_the_curve_as_it_was_reported() -> None:
    steps = np.arange(1.0, 241.0)
    train, val = 2.3 * np.exp(-steps / 30), 2.2 * np.exp(-steps / 30) + 0.006 * steps + 0.4
    found = tw.diagnose(train, val)[0]
    best = int(np.argmin(val))
    assert found.label == "overfitting"
    assert f"best at step {best + 1} with {val[best]:.4g} and is {val[-1]:.4g} now" in found.message
    assert found.actions[0].amount == best + 1
    assert f"the training loss went from {train[0]:.4g} to" in found.message


def test_where_nothing_is_certain_the_candidates_are_named() -> None:
    rng = np.random.default_rng(0)
    curves = [rng.uniform(0.2, 3.0, size=12) for _ in range(400)]
    (found, *_) = [one for train in curves if (one := tw.diagnose(train)[0]).label == "uncertain"]
    assert str(found).startswith("uncertain: nothing is certain: it may be ")
    assert re.search(r"it may be [a-z-]+ \d+ %", str(found))
    assert not found.label.ill
    assert found.fix == ""


def test_a_metric_that_is_said_has_to_be_one() -> None:
    study = told({0.1: [1.0, 0.5]})
    for trial in (0, None):
        with pytest.raises(ValueError, match="with a role of train_loss, .*, got 'foo'"):
            study.diagnose(trial, metrics={"foo": "val_loss"})
        with pytest.raises(ValueError, match="that were reported, got val_loss='nothing'; there are train_loss, val_"):
            study.diagnose(trial, metrics={"val_loss": "nothing"})


def test_the_page_of_the_documentation_runs() -> None:
    page = (Path(__file__).parents[2] / "docs/diagnosis.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 3
    exec("\n".join(blocks), {})
    assert all(f"| `{label}` |" in page for label in Label if label.ill)


def test_a_score_that_is_no_share_of_right_answers_is_no_sign_of_guessing():
    """F1 beside a loss that is no cross-entropy."""
    wobble = [0.004 * (-1) ** k for k in range(16)]
    train = [0.3 * 0.9**k + each for k, each in enumerate(wobble)]
    val = [0.3 * 0.92**k - each for k, each in enumerate(wobble)]
    score = [0.52 - 0.4 * 0.8**k for k in range(16)]
    found = tw.diagnose(train_loss=train, val_loss=val, val_accuracy=score)
    assert found[0].code == "healthy"


def test_a_rate_speaks_only_for_what_it_speaks_for() -> None:
    """A rate far above the usual ones is no evidence that it is too low."""
    falls = [3.0 * math.exp(-i / 30) for i in range(40)]
    params = {"learning_rate": 0.1, "optimizer": "adam"}
    found = tw.diagnose(falls, [1.02 * loss for loss in falls], params=params)
    too_low = [diagnosis for diagnosis in found if diagnosis.label is Label.RATE_TOO_LOW]
    assert too_low
    assert not any("above the highest usual default" in said for said in too_low[0].evidence)


def test_one_report_is_counted_as_one() -> None:
    assert "there is 1 report" in tw.diagnose([1.0])[0].evidence

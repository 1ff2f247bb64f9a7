"""``tunewell adjust``, ``back``, ``fork``, ``pause``, ``resume``, ``stop``, ``undo`` and ``note``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

import tunewell as tw
from tunewell.events import Requested

Command = Callable[..., Result]


def written(storage: Path, name: str = "digits") -> list[Requested]:
    with tw.open(storage, name) as study:
        return list(study.history.requests)


@pytest.fixture
def rests(storage: Path) -> int:
    """The number of a trial of the study "digits" that rests."""
    with tw.open(storage, "digits") as study:
        return next(trial.number for trial in study.trials if trial.status == "paused")


def test_a_wish_is_written_and_said(tunewell: Command, storage: Path, rests: int):
    result = tunewell("adjust", "digits", str(rests), "lr=1e-2", "act=tanh", "--reason", "too slow", "--no-guard")
    assert result.exit_code == 0, result.output
    assert result.output == (
        f"asked for by the person: adjust trial {rests} with lr=0.01 act=tanh: too slow (waits for the next run)\n"
    )
    (request,) = written(storage)
    assert (request.trial, request.wish, request.values, request.guard) == (
        rests,
        "adjust",
        {"lr": 0.01, "act": "tanh"},
        False,
    )


@pytest.mark.parametrize("wish", ["pause", "resume", "stop", "undo"])
def test_each_wish_has_a_command(tunewell: Command, storage: Path, rests: int, wish: str):
    assert tunewell(wish, "digits", str(rests), "-m", "why not").exit_code == 0
    assert [(request.wish, request.reason) for request in written(storage)] == [(wish, "why not")]


def test_going_back_and_forking_take_a_step_and_values(tunewell: Command, storage: Path, rests: int):
    assert tunewell("back", "digits", str(rests), "--step", "0", "lr=0.02").exit_code == 0
    assert tunewell("fork", "digits", str(rests)).exit_code == 0
    back, fork = written(storage)
    assert (back.wish, back.step, back.values) == ("back", 0, {"lr": 0.02})
    assert (fork.wish, fork.step, fork.values) == ("fork", None, {})


def test_a_parameter_goes_by_what_it_is(tunewell: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TUNEWELL_STORAGE")
    space = tw.Space(
        optimizer=tw.Choice(["sgd", "adam"]),
        learning_rate=tw.Float(1e-4, 1.0, scale="log"),
        momentum=tw.Float(0.5, 0.99, when={"optimizer": "sgd"}),
    )
    with tw.Study(space, storage="sqlite:///tunewell.db", seed=0) as study:
        study.enqueue({"optimizer": "adam", "learning_rate": 0.1})
        study.run(rest_at_once(study), trials=1, executor="inline", progress=False)
    assert "adjust trial 0 with learning_rate=0.01" in tunewell("adjust", "0", "lr=0.01").output
    assert tunewell("fork", "0", "opt=sgd", "mom=0.9").exit_code == 0
    assert "unknown parameter 'rate'" in tunewell("adjust", "0", "rate=0.01").output
    assert [dict(request.values) for request in written(tmp_path / "tunewell.db", "study")][1:] == [
        {"learning_rate": 0.01},
        {"optimizer": "sgd", "momentum": 0.9},
    ]


def test_study_and_trial_may_be_left_out_where_there_is_one(
    tunewell: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    storage = tmp_path / "alone.db"
    monkeypatch.setenv("TUNEWELL_STORAGE", str(storage))
    with tw.Study(tw.Space(lr=tw.Float(0.1, 1.0)), storage=storage, seed=0) as study:
        study.enqueue({"lr": 0.5})
        study.run(rest_at_once(study), trials=1, executor="inline", progress=False)
        assert study.trials[0].held
    assert tunewell("resume").exit_code == 0
    assert tunewell("adjust", "lr=0.3").exit_code == 0
    assert tunewell("stop", "0").exit_code == 0
    assert [request.wish for request in written(storage, "study")] == ["pause", "resume", "adjust", "stop"]


def rest_at_once(study: tw.Study) -> Callable[[tw.Trial], None]:
    def train(trial: tw.Trial) -> None:
        study.pause(0)
        for _ in trial.steps(3):
            trial.report(loss=1.0)
            trial.save(lambda folder: None)

    return train


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["adjust", "digits", "1", "lrr=0.1"], "tunewell: unknown parameter 'lrr': did you mean 'lr'?"),
        (
            ["adjust", "digits", "1"],
            "tunewell: adjust expected at least one value, got none: say e.g. learning_rate=1e-3",
        ),
        (["back", "digits", "1"], "tunewell: back expected --step, the step to go back to"),
        (["pause", "digits", "1", "lr=0.1"], "tunewell: pause expected no values, got lr"),
        (["pause", "digits", "99"], "tunewell: pause expected a trial of this study, got 99: it has 7"),
        (
            ["pause", "digits", "first"],
            "tunewell: expected the number of a trial, got 'first'; values are given as NAME=VALUE",
        ),
        (["stop", "two goals"], "tunewell: expected the number of a trial, for none is in training"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(tunewell: Command, arguments: list[str], message: str):
    result = tunewell(*arguments)
    assert (result.exit_code, result.output.strip()) == (2, message)


def test_a_note_is_kept(tunewell: Command, storage: Path):
    assert tunewell("note", "looks fine", "--study", "digits", "--trial", "1").output == (
        "noted in study 'digits', about trial 1\n"
    )
    assert "looks fine" in tunewell("show", "digits", "1").output


def test_what_is_asked_for_and_not_told_is_shown_and_given_up(tunewell: Command, storage: Path):
    with tw.open(str(storage), "fresh/one") as study:
        number = study.ask().number
    shown = tunewell("show", "fresh/one").stdout
    assert "1 running (1 asked for and not told yet)" in shown
    assert f"not told yet trial {number}, asked for 20" in shown
    assert f"tunewell stop fresh/one {number} gives it up" in shown
    assert [each["trial"] for each in json.loads(tunewell("show", "fresh/one", "--json").stdout)["untold"]] == [number]
    assert "asked for and not told yet" in tunewell("ls").stdout
    given_up = tunewell("stop", "fresh/one", "--reason", "the machine is gone")
    assert given_up.stdout == f"trial {number} is cancelled: it was asked for, and nobody has told what it came to\n"
    with tw.open(str(storage), "fresh/one") as study:
        assert (study.trials[number].status, study.trials[number].reason) == ("cancelled", "the machine is gone")
        assert study.untold == ()

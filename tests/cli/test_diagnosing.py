"""``tunewell diagnose``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

import tunewell as tw

Tunewell = Callable[..., Result]
SPACE = tw.Space(lr=tw.Float(1e-3, 1e1, scale="log"))


@pytest.fixture
def ill(storage: Path) -> None:
    """A study with a trial that explodes and one that is well enough."""
    with tw.Study(SPACE, "val_loss", name="ill", storage=str(storage), sampler="random", seed=0) as study:
        for base in (3.0, 0.9):
            trial = study.ask()
            for step in trial.steps(12):
                trial.report(objective=base**step, val_loss=1.0 / step if base < 1.0 else 1.0 + step)
            study.tell(trial, 1.0 / 12)


@pytest.mark.usefixtures("ill")
def test_a_trial_with_a_metric_that_is_said(tunewell: Tunewell) -> None:
    told = tunewell("diagnose", "ill", "0", "--metric", "train_loss=objective")
    assert told.exit_code == 1
    assert told.stdout.startswith("trial 0: diverging (95 % sure)\n")
    assert "-> divide the learning rate by 10" in told.stdout


@pytest.mark.usefixtures("ill")
def test_a_study_as_a_whole(tunewell: Tunewell) -> None:
    roles = ("-m", "train_loss=objective", "-m", "val_loss=val_loss")
    told = tunewell("diagnose", "ill", *roles)
    assert told.exit_code == 1
    assert "1 of 2 trials: the training diverges" in told.stdout
    assert "divide the learning rate by 10" in told.stdout
    data = json.loads(tunewell("diagnose", "ill", "--json", *roles).stdout)
    assert data["counts"]["diverging"] == 1
    assert data["trials"]["0"][0]["code"] == "diverging"


def test_trials_without_a_diagnosis_are_no_fault(tunewell: Tunewell) -> None:
    told = tunewell("diagnose", "two goals")
    assert told.exit_code == 0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["digits", "99"], "has no trial 99"),
        (["digits", "-m", "loss=x"], "expected --metric ROLE=NAME with a role of train_loss"),
        (["digits", "-m", "val_loss=nothing"], "expected metrics that were reported, got val_loss='nothing'"),
        (["digits", "0", "-m", "val_loss=nothing"], "expected metrics that were reported, got val_loss='nothing'"),
    ],
)
def test_what_cannot_be_diagnosed_is_told_in_a_sentence(tunewell: Tunewell, given: list[str], words: str) -> None:
    told = tunewell("diagnose", *given)
    assert told.exit_code == 2
    assert words in told.stderr

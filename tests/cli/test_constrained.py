"""What the command line says about constraints, beliefs and reasons."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

import tunewell as tw

Tunewell = Callable[..., Result]


@pytest.fixture
def limited(storage: Path) -> tw.Study:
    """A study with one feasible trial of three, and a belief."""
    space = tw.Space(lr=tw.Float(1e-4, 1e-1, scale="log"))
    study = tw.Study(
        space, "loss", constraints=["ms <= 20", "acc >= 0.5"], name="limited", storage=str(storage), seed=0,
        sampler="coarse_to_fine",
    )  # fmt: skip
    study.believe({"lr": 0.01}, "high")
    for result in ({"loss": 0.1, "ms": 25.0, "acc": 0.9}, {"loss": 0.2, "ms": 12.0, "acc": 0.9}, {"loss": 0.3}):
        study.tell(study.ask(), result)
    return study


def test_show_says_who_is_feasible(tunewell: Tunewell, limited: tw.Study) -> None:
    out = tunewell("show", "limited").stdout
    assert "constraint   ms <= 20\nconstraint   acc >= 0.5\n" in out
    assert "belief       lr=0.01 (high confidence)" in out
    assert "loss 0.2 in trial 1" in out
    rows = {line.split()[0]: line for line in out.splitlines() if line.strip()[:1].isdigit()}
    for number, kept in (("0", "no"), ("1", "yes"), ("2", "not known")):
        assert f" {kept} " in rows[number]
    one = tunewell("show", "limited", "0").stdout
    assert "feasible     no: ms 25, 5 too much; acc 0.9\n" in one
    assert "why          stage 1: the whole space\n" in one
    assert "feasible     not known: ms is not known; acc is not known" in tunewell("show", "limited", "2").stdout
    data = json.loads(tunewell("show", "limited", "2", "--json").stdout)
    assert data["feasible"] is False
    assert data["constraints"][0] == {"constraint": "ms <= 20", "value": None, "violation": None}
    order = [
        trial["trial"] for trial in json.loads(tunewell("show", "limited", "--by", "value", "--json").stdout)["trials"]
    ]
    assert order == [1, 0, 2]


def test_best_is_feasible(tunewell: Tunewell, limited: tw.Study) -> None:
    assert tunewell("best", "limited").stdout.startswith("trial 1: loss 0.2 (ms 12; acc 0.9)\n")
    found = json.loads(tunewell("best", "limited", "--json").stdout)
    assert found["trial"] == 1
    assert found["constraints"][1] == {"constraint": "acc >= 0.5", "value": 0.9, "violation": 0.0}


def test_none_feasible_is_a_no_with_the_closest(tunewell: Tunewell, storage: Path) -> None:
    space = tw.Space(lr=tw.Float(1e-4, 1e-1, scale="log"))
    study = tw.Study(space, "loss", constraints=["ms <= 20"], name="slow", storage=str(storage), seed=0)
    study.tell(study.ask(), {"loss": 0.1, "ms": 25.0})
    result = tunewell("best", "slow")
    expected = "no trial keeps the constraints yet; trial 0 comes closest: ms is 25, 5 above 20"
    assert (result.exit_code, result.stderr) == (1, f"study 'slow': {expected}\n")
    assert f"best         {expected}" in tunewell("show", "slow").stdout


def test_export_has_a_column(tunewell: Tunewell, limited: tw.Study) -> None:
    rows = list(csv.DictReader(tunewell("export", "limited").stdout.splitlines()))
    assert [row["feasible"] for row in rows] == ["False", "True", "False"]
    assert [row["ms"] for row in rows] == ["25.0", "12.0", ""]
    assert rows[0]["why"] == "stage 1: the whole space"
    assert "feasible" not in tunewell("export", "digits").stdout

"""``tunewell plan``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Tunewell = Callable[..., Result]
SCRIPT = """
import tunewell as tw

space = tw.Space(lr=tw.Float(1e-5, 1e-1, scale="log"), layers=tw.Int(1, 4))
study = tw.Study(tw.Space(lr=tw.Float(1e-5, 1e-1, scale="log")), sampler=tw.strategies.Tiered(domain="vision"))
"""


@pytest.fixture
def script(tmp_path: Path) -> str:
    """Return a file with a space and a study."""
    path = tmp_path / "train.py"
    path.write_text(SCRIPT)
    return str(path)


def test_plans_of_a_file(tunewell: Tunewell, script: str) -> None:
    told = tunewell("plan", script, "--trials", "30")
    assert told.exit_code == 0
    assert "space: plan for 30 trials\n" in told.stdout
    assert "study: plan for 30 trials\n" in told.stdout
    assert "2  layers" in told.stdout


def test_a_plan_in_time(tunewell: Tunewell, script: str) -> None:
    told = tunewell("plan", script, "--time", "1h30m", "--training", "3m", "--json")
    by_name = {one["in"]: one for one in json.loads(told.stdout)}
    assert {(one["unit"], one["total"], one["training"]) for one in by_name.values()} == {("seconds", 5400.0, 180.0)}
    assert (by_name["study"]["domain"], by_name["space"]["domain"]) == ("vision", "generic")
    assert [row["what"] for row in by_name["space"]["rows"]][1:3] == ["lr", "layers"]


def test_a_file_finds_the_modules_beside_it(tunewell: Tunewell, tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "spaces_of_the_lab.py").write_text(SCRIPT)
    (tmp_path / "lab" / "train.py").write_text("from spaces_of_the_lab import space\n")
    before = list(sys.path)
    told = tunewell("plan", str(tmp_path / "lab" / "train.py"), "--trials", "30")
    assert (told.exit_code, told.stderr) == (0, "")
    assert told.stdout.startswith("space: plan for 30 trials\n")
    assert sys.path == before


def test_a_plan_of_a_stored_study(tunewell: Tunewell) -> None:
    told = tunewell("plan", "digits", "--trials", "40")
    assert (told.exit_code, told.stdout.splitlines()[0]) == (0, "digits: plan for 40 trials")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--time", "2x"], "expected a time for --time, such as 20m, 2h or 1h30m, got '2x'"),
        (["--time", "1h", "--trials", "3"], "a plan expected one total, got trials and seconds"),
        (["--trials", "0"], "a whole number above 0"),
        (["--trials", "9", "--domain", "visions"], "did you mean 'vision'"),
        (["--trials", "9", "--training", "much"], "expected a time for --training"),
        (["--trials", "10", "--training", "3m"], "a total of steps or seconds with what a training costs, 180"),
        (["--time", "1h", "--training", "0"], "to cost more than 0 steps or seconds"),
    ],
)
def test_what_makes_no_plan_is_told_in_a_sentence(
    tunewell: Tunewell, script: str, given: list[str], words: str
) -> None:
    told = tunewell("plan", script, *given)
    assert (told.exit_code, told.stdout) == (2, "")
    assert words in told.stderr


def test_a_plan_takes_the_total_of_the_run_that_a_file_would_make(tunewell: Tunewell, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT + "study.run(lambda trial: 1 / 0, trials=33, workers=2)\n")
    told = tunewell("plan", "train.py")
    assert (told.exit_code, told.stderr) == (0, "")
    assert "study: plan for 33 trials\n" in told.stdout

"""``tunewell ls``, ``show`` and ``best``."""

from __future__ import annotations

import ast
import contextlib
import json
import math
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

import tunewell as tw

Tunewell = Callable[..., Result]


def test_ls_shows_every_study(tunewell: Tunewell) -> None:
    result = tunewell("ls")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["study", "trials", "of", "these", "best", "goal", "last", "active"]
    assert re.match(r"digits +7 +.*1 diverged, 1 failed.* 0\.\d+ +val_loss \(min\) +20\d\d-", lines[1])
    assert re.match(r"two goals +3 +3 completed +\d unbeaten +val_loss \(min\), size \(max\)", lines[2])
    assert re.match(r"fresh/one +0 +- +- +val_loss \(min\)", lines[3])


@pytest.mark.parametrize("where", ["lab.db", "sqlite:///lab.db"])
def test_ls_takes_a_path_or_a_url(tunewell: Tunewell, storage: Path, where: str) -> None:
    for arguments in (["ls", "-q", where], ["ls", "-q", "--storage", where], ["ls", "-q", "-s", where]):
        assert tunewell(*arguments).stdout.splitlines() == ["digits", "two goals", "fresh/one"]


def test_ls_shows_the_others_where_a_study_cannot_be_read(tunewell: Tunewell, storage: Path) -> None:
    with contextlib.closing(sqlite3.connect(storage)) as connection:
        connection.execute("UPDATE events SET kind = 'evaporated' WHERE study = 1 AND position = 9")
        connection.commit()
    result = tunewell("ls")
    assert result.exit_code == 0
    assert re.match(r"digits +\? +cannot be read +-", result.stdout.splitlines()[1])
    assert result.stdout.splitlines()[2].startswith("two goals  ")
    reason = "study 'digits' cannot be read: at event 9 there is a 'evaporated' event, which a newer release wrote"
    assert reason in result.stderr
    assert reason in json.loads(tunewell("ls", "--json").stdout)[0]["error"]
    assert reason in tunewell("best", "digits").stderr


def test_ls_for_programs(tunewell: Tunewell) -> None:
    digits, two, fresh = json.loads(tunewell("ls", "--json").stdout)
    assert digits["study"] == "digits"
    assert digits["goals"] == [{"metric": "val_loss", "mode": "min"}]
    assert sum(digits["statuses"].values()) == digits["trials"] == 7
    assert digits["best"]["params"]["act"] in ("relu", "tanh")
    assert two["best"] is None
    assert fresh["trials"] == 0


def test_ls_of_an_empty_storage_says_no(tunewell: Tunewell) -> None:
    with tw.Study(tw.Space(), storage="empty.db") as study:
        study.close()
    tw.delete("empty.db", "study")
    result = tunewell("ls", "empty.db")
    assert result.exit_code == 1
    assert result.stderr == "empty.db holds no study yet\n"
    result = tunewell("ls", "empty.db", "--json")
    assert (result.exit_code, result.stdout) == (1, "[]\n")


def test_show_a_study(tunewell: Tunewell, storage: Path) -> None:
    result = tunewell("show", "digits")
    assert result.exit_code == 0
    out = result.stdout
    for words in ("study        digits", "goal         val_loss (min)", "sampler      random", "scheduler    asha"):
        assert words in out
    assert "space        lr = Float(0.0001, 0.1, scale='log', default=0.001)" in out
    assert "note         trial 0: went well" in out
    assert f"files        {storage.with_name('lab-files')}/digits" in out
    rows = out.split("\n\n")[1].splitlines()
    assert rows[0].split() == ["trial", "status", "val_loss", "step", "time", "curve", "lr", "act"]
    assert [int(row.split()[0]) for row in rows[1:]] == [6, 5, 4, 3, 2, 1, 0]
    assert re.search(r"2 +failed +0 +", rows[5])
    assert "nan" in rows[4]


def test_show_fewer_trials(tunewell: Tunewell) -> None:
    out = tunewell("show", "digits", "--by", "value", "-n", "2").stdout
    best = json.loads(tunewell("best", "digits", "--json").stdout)
    assert out.splitlines()[-3].split()[0] == str(best["trial"])
    assert out.splitlines()[-1] == "and 5 more: --limit 0 shows all"
    assert "and 5 more" not in tunewell("show", "digits", "-n", "0").stdout
    assert "status" not in tunewell("show", "digits", "--quiet").stdout
    assert "trials       0: none yet" in tunewell("show", "fresh/one").stdout


def test_show_a_study_for_programs(tunewell: Tunewell) -> None:
    data = json.loads(tunewell("show", "digits", "--json").stdout)
    assert data["seed"] == 0
    assert data["settings"]["sampler"] == {"name": "random"}
    assert len(data["trials"]) == 7
    assert json.loads(tunewell("show", "digits", "--json", "-q").stdout)["trials"] == []


def test_a_trial_that_diverged_shows_its_best_beside_its_last_as_the_log_does(
    tunewell: Tunewell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    losses = [2.0, 0.5, 0.7, 40.0, math.inf]

    def train(trial: tw.Trial) -> None:
        for step in trial.steps(len(losses)):
            trial.report(val_loss=losses[step - 1])

    with tw.Study(tw.Space(lr=tw.Float(0.0, 1.0)), "val_loss", name="high", storage=tmp_path / "high.db", seed=0) as s:
        s.run(train, trials=1, executor="inline")
    assert "trial 0 diverged at step 5, val_loss inf (best 0.5 at step 2)" in capsys.readouterr().out
    out = tunewell("show", "high", "0", "-s", str(tmp_path / "high.db")).stdout
    assert out.startswith("trial        0 diverged, val_loss inf (best 0.5 at step 2)\n")
    assert re.search(r"val_loss     \S+  2 at step 1, best 0.5 at 2, inf at 5\n", out)


def test_show_a_trial(tunewell: Tunewell, storage: Path) -> None:
    out = tunewell("show", "digits", "0").stdout
    assert out.startswith("trial        0 ")
    assert "params       lr = 0.001\n             act = relu\n" in out
    assert "origin       default, seed " in out
    assert re.search(r"val_loss     [▁-█]+  1.009 at step 1, ", out)
    assert re.search(r"size         [▁-█]+  1 at step 1, ", out)
    assert "note         went well" in out
    assert re.search(r"checkpoint   .*lab-files/digits/trials/0/step-\d\n", out)
    assert re.search(r"log          .*trials/0/output.log \(not there\)", out)
    failed = tunewell("show", "digits", "2").stdout
    assert "reason       ValueError: boom" in failed
    assert failed.rstrip().endswith("ValueError: boom")
    assert "Traceback" in failed
    assert tunewell("show", "digits", "2", "-q").stdout == "trial        2 failed\n"
    diverged = json.loads(tunewell("show", "digits", "3", "--json").stdout)
    assert diverged["status"] == "diverged"
    assert diverged["values"] == {"val_loss": None}


def test_the_name_may_be_left_out_where_there_is_one(tunewell: Tunewell, storage: Path) -> None:
    assert tunewell("show").exit_code == 2
    for name in ("fresh/one", "two goals"):
        tw.delete(str(storage), name)
    assert tunewell("show").stdout.startswith("study        digits")
    assert tunewell("show", "0").stdout.startswith("trial        0")
    assert tunewell("best").exit_code == 0


def test_best(tunewell: Tunewell, storage: Path) -> None:
    best = tw.open(str(storage), "digits").best
    lines = tunewell("best", "digits").stdout.splitlines()
    assert lines[0] == f"trial {best.number}: val_loss {best.value:.5g}"
    assert lines[1].startswith("  lr = ")
    assert ast.literal_eval(tunewell("best", "digits", "--python").stdout) == best.params
    assert float(tunewell("best", "digits", "-q").stdout) == best.value
    assert json.loads(tunewell("best", "digits", "--json").stdout) == {
        "study": "digits",
        "trial": best.number,
        "step": best.step,
        "values": {"val_loss": best.value},
        "params": best.params,
    }


def test_best_of_several_goals_is_a_front(tunewell: Tunewell, storage: Path) -> None:
    front = tw.open(str(storage), "two goals").pareto
    assert [each["trial"] for each in json.loads(tunewell("best", "two goals", "--json").stdout)] == [
        trial.number for trial in front
    ]
    assert tunewell("best", "two goals").stdout.count("trial ") == len(front)


def test_no_best_yet_is_a_no(tunewell: Tunewell) -> None:
    result = tunewell("best", "fresh/one")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "study 'fresh/one' has no trial with a value yet (none yet)\n"

"""``explain`` and ``lint``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

import tunewell as tw
from tunewell import knowledge

Tunewell = Callable[..., Result]
SCRIPT = """
import tunewell as tw

space = tw.Space(lr=tw.Float(1e-5, 1e-1, default=1e-3))
fine = tw.Space.of(["lr"])
if __name__ == "__main__":
    raise SystemExit("nobody wants to train now")
"""


@pytest.mark.parametrize("domain", knowledge.DOMAINS)
def test_explain_knows_every_hyperparameter_in_every_domain(tunewell: Tunewell, domain: str) -> None:
    listed = tunewell("explain", "--domain", domain)
    assert listed.exit_code == 0
    told = json.loads(tunewell("explain", "-d", domain, "--json").stdout)
    assert [one["name"] for one in told] == knowledge.names()
    for one in told:
        assert f"\n{one['name']} " in listed.stdout
        for aspect in ("scale", "range", "default", "tier", "interactions"):
            assert all(cited["url"].startswith("https://") and cited["place"] for cited in one[aspect]["sources"])
            assert one[aspect]["sources"]


def test_explain_one_by_an_alias(tunewell: Tunewell) -> None:
    told = tunewell("explain", "lr", "--domain", "vision", "--optimizer", "sgd")
    assert told.exit_code == 0
    assert told.stdout == f"{knowledge.explain('learning_rate', domain='vision', optimizer='sgd')}\n"


def test_explain_an_unknown_one(tunewell: Tunewell) -> None:
    told = tunewell("explain", "momentun")
    assert (told.exit_code, told.stdout) == (2, "")
    assert told.stderr == "tunewell: unknown hyperparameter 'momentun': did you mean 'momentum'?\n"


def test_lint_a_stored_study(tunewell: Tunewell) -> None:
    told = tunewell("lint", "digits")
    assert (told.exit_code, told.stdout) == (0, "digits: nothing found\n")
    told = tunewell("lint", "digits", "--domain", "tabular", "--optimizer", "sgd", "--json")
    assert (told.exit_code, json.loads(told.stdout)) == (0, [])
    told = tunewell("lint", "digits", "--domain", "language_finetuning", "--json")
    assert told.exit_code == 1
    assert {(one["in"], one["code"], one["parameter"], one["severity"]) for one in json.loads(told.stdout)} == {
        ("digits", "keep-default", "act", "advice"),
        ("digits", "unusual-default", "lr", "advice"),
    }


def test_lint_is_told_of_seeds_and_of_what_is_held_out(tunewell: Tunewell) -> None:
    told = tunewell("lint", "digits", "--held-out", "0", "--seeds", "1", "--json")
    assert [one["code"] for one in json.loads(told.stdout)] == ["no-held-out", "one-seed"]
    told = tunewell("lint", "digits", "--trials", "0")
    assert (told.exit_code, told.stderr) == (
        2,
        "tunewell: lint expected trials= of at least 1, got 0: leave it out if unknown\n",
    )


def test_lint_a_file(tunewell: Tunewell, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    told = tunewell("lint", "train.py")
    assert told.exit_code == 1
    lines = told.stdout.splitlines()
    assert lines[0] == "space: 1 found"
    assert lines[1].startswith("  warning wrong-scale: lr is drawn evenly")
    assert lines[2] == "    write lr=tw.Float(1e-05, 0.1, scale='log', default=0.001)"
    assert lines[3:] == ["fine: nothing found"]


def test_lint_a_file_with_a_study(tunewell: Tunewell, tmp_path: Path) -> None:
    study = 'study = tw.Study(space, "test_error")\n'
    (tmp_path / "train.py").write_text('import tunewell as tw\nspace = tw.Space.of(["lr"])\n' + study)
    told = tunewell("lint", "train.py")
    assert told.exit_code == 1
    assert told.stdout.startswith("study: 1 found\n  warning test-metric: the search goes by test_error")
    assert "space:" not in told.stdout  # said with the study


TRAINS = """
import os
import tunewell as tw

def train(trial):
    os.mkdir("trained")

def main():
    print("to train")
    space = tw.Space(lr=tw.Float(1e-5, 1e-1), momentum=tw.Float(0.5, 0.9), n=tw.Int(1, 4))
    study = tw.Study(space, "val_loss", name="mine", storage="sqlite:///mine.db", directory="here", seed=0)
    study.enqueue({"lr": 0.01, "momentum": 0.9, "n": 1})
    try:
        {first}
        study.run(train, trials=2, workers=1)
    except Exception:
        os.mkdir("caught")
    os.mkdir("afterwards")

main()
"""


@pytest.mark.parametrize("first", ["", "study.best", "train(study.ask())"])
def test_lint_trains_nothing_and_leaves_nothing(tunewell: Tunewell, tmp_path: Path, first: str) -> None:
    """A file without a guard is read up to where it would train, or look for the best trial."""
    (tmp_path / "train.py").write_text(TRAINS.replace("{first}", first or "pass"))
    before = sorted(tmp_path.iterdir())
    told = tunewell("lint", "train.py", "--json")
    assert told.exit_code == 1
    found = json.loads(told.stdout)  # what the file prints is elsewhere
    assert {one["in"] for one in found} == {"mine"}
    assert ("budget-too-small" in {one["code"] for one in found}) == (first == "")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("catches", ["except:", "except BaseException:", "except Exception:"])
def test_lint_says_where_a_script_catches_what_ends_it_at_its_training(
    tunewell: Tunewell, tmp_path: Path, catches: str
) -> None:
    script = tmp_path / "bare.py"
    script.write_text(
        "import tunewell as tw\n"
        "study = tw.Study(tw.Space(lr=tw.Float(1e-5, 1e-1, default=1e-3)))\n"
        "try:\n"
        "    study.run(lambda trial: open('trained', 'w'), trials=3)\n"
        f"{catches}\n"
        "    print('went on')\n"
    )
    result = tunewell("lint", str(script))
    assert "wrong-scale" in result.stdout
    assert ("catches everything around its training" in result.stderr) == (catches != "except Exception:")
    assert not (tmp_path / "trained").exists()


def test_lint_ends_a_script_that_catches_everything_and_tries_for_ever(tunewell: Tunewell, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(
        "import tunewell as tw\n"
        "study = tw.Study(tw.Space(lr=tw.Float(1e-5, 1e-1, default=1e-3)))\n"
        "def train():\n"
        "    while True:\n"
        "        try:\n"
        "            study.run(lambda trial: open('trained', 'w'), trials=3)\n"
        "            break\n"
        "        except:\n"
        "            print('again')\n"
        "train()\n"
    )
    result = tunewell("lint", "train.py")
    assert "wrong-scale" in result.stdout
    assert "catches everything around its training" in result.stderr
    assert result.stderr.count("again") == 2
    assert not (tmp_path / "trained").exists()


def test_lint_reads_every_study_of_a_script_that_catches_everything_around_each(
    tunewell: Tunewell, tmp_path: Path
) -> None:
    train = "try:\n    {0}.run(lambda trial: None, trials=3)\nexcept:\n    pass\n"
    make = "{0} = tw.Study(tw.Space(lr=tw.Float(1e-5, 1e-1, default=1e-3)), name='{0}')\n"
    (tmp_path / "train.py").write_text("import tunewell as tw\n" + "".join((make + train).format(n) for n in "abcde"))
    found = json.loads(tunewell("lint", "train.py", "--json").stdout)
    assert {one["in"] for one in found} == set("abcde")


def test_lint_finds_a_study_that_trains_in_a_thread(tunewell: Tunewell, tmp_path: Path) -> None:
    thread = "import threading\nthread = threading.Thread(target=main)\nthread.start()\nthread.join()\n"
    (tmp_path / "train.py").write_text(TRAINS.replace("{first}", "pass").replace("\nmain()\n", f"\n{thread}"))
    before = sorted(tmp_path.iterdir())
    told = tunewell("lint", "train.py", "--json")
    assert {one["in"] for one in json.loads(told.stdout)} == {"mine"}
    assert "Traceback" not in told.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_lint_deletes_nothing(tunewell: Tunewell, tmp_path: Path) -> None:
    delete = "import tunewell as tw\ntw.delete('lab.db', 'digits')\nspace = tw.Space.of(['lr'])\n"
    (tmp_path / "train.py").write_text(delete)
    assert tunewell("lint", "train.py").exit_code == 0
    assert len(tw.open("lab.db", "digits").trials) == 7


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (None, "No such file: train.py"),
        ("x = 1", "expected a tw.Space or tw.Study at the top level of train.py, found none"),
        ("1 / 0", "expected train.py to run, got ZeroDivisionError: division by zero"),
        ("exit(3)", "expected train.py to run, but it calls sys.exit(3)"),
    ],
)
def test_a_file_that_cannot_be_checked(tunewell: Tunewell, tmp_path: Path, script: str | None, sentence: str) -> None:
    if script is not None:
        (tmp_path / "train.py").write_text(script)
    told = tunewell("lint", "train.py")
    assert told.exit_code == 2
    assert told.stdout == ""
    assert told.stderr.startswith(f"tunewell: {sentence}")
    assert told.stderr.count("\n") == 1


BAD = tw.Space(
    lr=tw.Float(1e-5, 1e-1), momentum=tw.Float(0.5, 0.99), weight_decay=tw.Float(0.0, 0.1), batch_size=tw.Int(16, 512)
)


def test_a_run_shows_the_worst_before_its_first_trial_and_not_again(capsys: pytest.CaptureFixture[str]) -> None:
    study = tw.Study(BAD, "val_loss", seed=0)
    study.run(lambda trial: trial.params["lr"], trials=2, executor="inline")
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines[1:4]] == ["budget-too-small", "wrong-scale", "wrong-scale"]
    assert lines[4] == "study.lint() shows all, and what to do"
    study.run(lambda trial: trial.params["lr"], trials=3, executor="inline")
    assert "wrong-scale" not in capsys.readouterr().out


def test_a_stored_study_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with tw.Study(BAD, "val_loss", name="a study", storage="tunewell.db", seed=0) as study:
        study.run(lambda trial: trial.params["lr"], trials=1, executor="inline")
    assert re.search(r"tunewell'? lint 'a study'` shows all, and what to do", capsys.readouterr().out)


def test_a_sound_study_starts_without_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    study = tw.Study(tw.Space.of(["learning_rate"]), "val_loss", seed=0)
    study.run(lambda trial: trial.params["learning_rate"], trials=1, executor="inline")
    assert "started by default" in capsys.readouterr().out.splitlines()[1]

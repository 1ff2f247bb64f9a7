"""The examples and the Python in README and guide, run for real, each in a process and a folder of its own.

A block is left out when an HTML comment ``<!-- not run: reason -->`` stands right before it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from statistics import fmean, stdev

import pytest

import tunewell as tw
from tunewell.replay import replay

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"(?:<!-- not run: (?P<reason>[^>]+) -->\n+)?```python\n(?P<code>.*?)```", re.DOTALL)


def python(folder, *command):
    """Run Python in ``folder`` and return what it printed."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "error::DeprecationWarning:__main__"}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_ask_tell(tmp_path):
    said = python(tmp_path, ROOT / "examples/ask_tell.py", "20")
    default, best = map(float, re.search(r"default ([\d.]+), best ([\d.]+)", said).groups())
    assert best < default
    assert list(tmp_path.iterdir()) == []
    assert python(tmp_path, ROOT / "examples/ask_tell.py", "20") == said


def test_pytorch_checkpoints(tmp_path):
    pytest.importorskip("torch")
    said = python(tmp_path, ROOT / "examples/pytorch_checkpoints.py", "9", "9")
    study = tw.open(str(tmp_path / "pytorch.db"))
    assert len(study.trials) == 9
    assert max(trial.step for trial in study.trials) == 9
    assert (study.best.checkpoint / "state.pt").is_file()
    taken_up = [trial for trial in study.trials if len(trial.stretches) > 1]
    assert taken_up
    assert f"9 trials, {len(taken_up)} of them paused and taken up again" in said
    for trial in study.trials:
        assert [report.step for report in trial.reports] == list(range(1, trial.step + 1))


def test_audited_training(tmp_path):
    """The audit finds what is planted, the fixes help, and the watcher's metrics are in the study."""
    pytest.importorskip("torch")
    said = python(tmp_path, ROOT / "examples/audited_training.py", "2")
    first, second = re.findall(r"^(?:before|after): (.*)$", said, re.MULTILINE)
    assert first.split(", ") == ["training-mode-in-evaluation", "softmax-before-cross-entropy", "batch-norm-momentum",
                                 "useless-bias", "decay-on-norms"]  # fmt: skip
    assert second == "nothing"
    assert re.search(r"update_ratio 0\.\d+", said)
    assert re.search(r"^layer +mean +std +dead", said, re.MULTILINE)


def test_tiered_plans(tmp_path):
    """The page shows what the example prints, and its Python runs."""
    page = (ROOT / "docs/tiered.md").read_text(encoding="utf-8")
    said = python(tmp_path, ROOT / "examples/tiered_plans.py").strip().split("\n\n")
    assert len(said) == 7
    assert re.findall(r"```text\n(.*?)\n```", page, re.DOTALL) == said
    (block,) = BLOCK.finditer(page)
    assert python(tmp_path, "-c", block["code"]).startswith("plan for 30 trials")


def test_learning_rate(tmp_path):
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    said = python(tmp_path, ROOT / "examples/learning_rate.py", "300")
    own, suggested = map(float, re.findall(r"^test loss at .*: ([\d.]+)$", said, re.MULTILINE))
    assert suggested < own
    assert (tmp_path / "range_test.svg").read_text().startswith("<svg ")


def test_by_hand(tmp_path):
    said = python(tmp_path, ROOT / "examples/by_hand.py")
    assert "the guard took trial 0 back to step" in said
    assert re.findall(r"^request \d+ \((\w+)\): done$", said, re.MULTILINE) == ["adjust", "adjust", "undo", "fork"]
    study = tw.open(str(tmp_path / "by_hand.db"))
    assert [str(trial.status) for trial in study.trials] == ["paused", "completed", "completed"]
    assert replay(study.events).ok


def test_scikit_learn(tmp_path):
    pytest.importorskip("sklearn")
    said = python(tmp_path, ROOT / "examples/scikit_learn.py", "8")
    default, best = map(float, re.search(r"default ([\d.]+), best ([\d.]+)", said).groups())
    assert 0.9 < default <= best <= 1.0


@pytest.mark.parametrize(
    ("task", "needs"),
    [pytest.param("image", "torch", marks=pytest.mark.slow), ("tabular", "sklearn"), ("text", "sklearn")],
)
def test_the_everyday_path(task, needs, tmp_path):
    """In a short version: every stage says what it found, and the report is written."""
    pytest.importorskip(needs)
    pytest.importorskip("sklearn")
    said = python(tmp_path, ROOT / f"examples/{task}.py", "0.2", "2")
    stages = ["study.py", "baseline", "rate", "next tier", "regularise", "confirm", "report", "come back", "tune"]
    places = [re.search(rf"^\S*{stage}\b", said, re.MULTILINE) for stage in stages]
    assert all(places), said
    assert [place.start() for place in places] == sorted(place.start() for place in places)
    assert (tmp_path / "report.html").is_file()
    values = [
        float(value) for value in re.findall(r"^(?:baseline|rate|next tier) +val_loss ([\d.]+)", said, re.MULTILINE)
    ]
    assert len(values) == 3
    assert min(values[1:]) <= values[0]
    for before, after in ((values[0], values[1]), (min(values[:2]), values[2])):
        assert (f"no better than {before:.4f} before, which stays" in said) or after < before


# --- README and guide -------------------------------------------------------------------------------------------------


def blocks(page):
    """Return line number, reason for leaving it out or None, and code, for each block of Python of a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [(text.count("\n", 0, m.start("code")), m["reason"], m["code"]) for m in BLOCK.finditer(text)]


@pytest.mark.parametrize(
    "page", ["README.md", *(f"docs/{name}.md" for name in ("guide", "everyday", "panda", "schedules", "watcher"))]
)
def test_the_python_of_a_page_runs(page, tmp_path):
    """All blocks of a page are one script, each at its own lines, so that a traceback names the page's line."""
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    found = blocks(page)
    assert len(found) == (ROOT / page).read_text(encoding="utf-8").count("```python") > 0
    script = ""
    for line, reason, code in found:
        if not reason:
            script += "\n" * (line - script.count("\n")) + code
    (tmp_path / "page.py").write_text(script, encoding="utf-8")
    said = python(tmp_path, "page.py")
    if page == "docs/everyday.md":  # a winner that confirmation does not bear out is not gone on with
        gains = [float(gain) for gain in re.findall(r"'([+-]\d\.\d{4})'", said)]
        borne_out = -fmean(gains) >= 4.0 * stdev(gains) / len(gains) ** 0.5
        assert ("the default stays" in said) == (not borne_out)


def test_the_first_script_is_checked_without_training(tmp_path):
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    (tmp_path / "train.py").write_text(blocks("README.md")[0][2], encoding="utf-8")
    assert python(tmp_path, "-m", "tunewell", "lint", "train.py") == "study: nothing found\n"
    assert [path.name for path in tmp_path.iterdir()] == ["train.py"]


def test_diagnosis(tmp_path):
    pytest.importorskip("sklearn")
    said = python(tmp_path, ROOT / "examples/diagnosis.py")
    assert "trial 1, learning rate 0.001, 24 epochs: rate-too-low" in said
    assert "raise the learning rate 10 times: {'learning_rate': 0.01}" in said
    assert "trial 2, learning rate 0.1, 24 epochs: healthy" in said
    assert re.search(r"trial 3, learning rate 30, \d+ epochs: diverging \(100 % sure\)", said)
    assert "trials: the training diverges" in said

"""A storage with a few studies, and the command line to ask about them."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import tunewell as tw
from tunewell.cli import app

SPACE = tw.Space(lr=tw.Float(1e-4, 1e-1, scale="log", default=1e-3), act=tw.Choice(["relu", "tanh"]))


def train(trial: tw.Trial) -> None:
    for step in trial.steps(4):
        if trial.number == 2:
            raise ValueError("boom")
        trial.report(val_loss=math.nan if trial.number == 3 else abs(trial.params["lr"] - 0.01) + 1 / step, size=step)  # type: ignore[operator]
        trial.save(lambda directory: (directory / "weights").write_text("w"))


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("storage") / "lab.db"
    runs: Any = {"trials": 6, "executor": "inline", "progress": False}
    with tw.Study(SPACE, "val_loss", name="digits", storage=str(path), sampler="random", scheduler="asha", seed=0) as s:
        s.run(train, **runs)
        s.note("went well", trial=0)
    with tw.Study(SPACE, ["val_loss", "size"], ["min", "max"], name="two goals", storage=str(path), seed=0) as s:
        s.run(lambda trial: (trial.params["lr"], 1.0 + trial.number), **{**runs, "trials": 3})
    tw.Study(SPACE, "val_loss", name="fresh/one", storage=str(path), seed=0).close()
    return path


@pytest.fixture
def storage(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of one's own, in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TUNEWELL_STORAGE", raising=False)
    shutil.copy(made, tmp_path / "lab.db")
    shutil.copytree(made.with_name("lab-files"), tmp_path / "lab-files")
    return tmp_path / "lab.db"


@pytest.fixture
def tunewell(storage: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command line; the storage comes from the environment."""
    monkeypatch.setenv("TUNEWELL_STORAGE", str(storage))

    def run(*arguments: str, input: str | None = None) -> Result:
        result = CliRunner().invoke(app, list(arguments), input=input)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run

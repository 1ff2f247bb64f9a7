"""The installed command: exit statuses, mistakes in one sentence, a fast start."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

import tunewell as tw

Tunewell = Callable[..., Result]

COMMAND = [sys.executable, "-m", "tunewell"]


def test_the_help_lists_the_commands_and_the_exit_statuses(tunewell: Tunewell) -> None:
    out = re.sub(r"\s+", " ", tunewell("--help").stdout)
    for command in ("ls", "show", "best", "report", "export", "replay", "explain", "lint", "plan", "delete", "demo"):
        assert f" {command} " in out
    assert "Exit status: 0 all is well; 1 the answer is no" in out
    assert "130 interrupted" in out
    assert "TUNEWELL_STORAGE" in tunewell("show", "-h").stdout
    assert tunewell("--version").stdout == f"tunewell {tw.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["ls", "none.db"], "expected a study database, found no file .*none.db: check the storage URL"),
        (["ls", "text.txt"], "expected a SQLite database, found something else in .*text.txt"),
        (["ls", "other.db"], "expected a study database, found none of its tables in .*other.db"),
        (["ls", "mysql://host/x"], "expected a sqlite or postgresql storage, got 'mysql'.*"),
        (["show", "digit"], "there is no study 'digit' in .*lab.db: did you mean 'digits'[?]"),
        (["show", "lab.db"], "there is no study 'lab.db' in .*: did you mean --storage lab.db[?]"),
        (["best", "zzz"], "there is no study 'zzz' in .*lab.db: it holds digits, two goals, fresh/one"),
        (["replay"], ".*lab.db holds 3 studies: say which of digits, two goals, fresh/one"),
        (["show", "digits", "99"], "study 'digits' has no trial 99: it has 7 trials"),
        (["export", "digits", "-o", "no/x.csv"], "No such file or directory: no/x.csv"),
        (["export", "digits", "-o", "/dev/full"], "No space left on device: /dev/full"),
        (["schedule", "digits", "-o", "/dev/full"], "No space left on device: /dev/full"),
        (["init", "-y", "--task", "tabular", "--force", "-o", "/dev/full"], "No space left on device: /dev/full"),
        (["export", "digits", "-o", "x" * 300], "File name too long: x+"),
        (["report", "digits", "-o", "x" * 300], "File name too long: x+"),
        (["init", "-y", "--task", "tabular", "-o", "x" * 300], "File name too long: x+"),
        (["ls", "."], "expected a file for the study's database, found the folder .*: write .*/tunewell.db"),
        (["delete", "digit", "--yes"], "there is no study 'digit' in .*lab.db: did you mean 'digits'[?]"),
        (["report", "digits", "-s", "none.db"], "expected a study database, found no file .*"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(
    tunewell: Tunewell, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    import sqlite3

    (tmp_path / "text.txt").write_text("no database, but a text that is long enough to look at " * 40)
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("create table mine (x)")
    other.close()
    before = (tmp_path / "other.db").read_bytes()
    result = tunewell(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert re.fullmatch(f"tunewell: {sentence}\n", result.stderr), result.stderr
    assert (tmp_path / "other.db").read_bytes() == before


@pytest.mark.parametrize("arguments", [["frob"], ["show", "digits", "x"], ["export", "digits", "-f", "xml"]])
def test_a_command_that_is_not_understood(tunewell: Tunewell, arguments: list[str]) -> None:
    assert tunewell(*arguments).exit_code == 2


def run(*arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False, **more)


def test_the_installed_command(storage: Path) -> None:
    program = str(Path(sys.executable).with_name("tunewell"))
    shown = run(program, "best", "digits", "-s", "lab.db")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith("trial ")
    missing = run(program, "show")
    assert missing.returncode == 2
    assert missing.stderr.count("\n") == 1
    assert "tunewell.db" in missing.stderr
    assert run(program, "best", "fresh/one", "-s", "lab.db").returncode == 1


def test_help_is_there_at_once() -> None:
    code = (
        "import sys\n"
        "from tunewell.cli import main\n"
        "sys.argv = ['tunewell', '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "heavy = ('scipy', 'torch', 'sqlalchemy', 'numpy', 'pandas', 'msgspec')\n"
        "print('heavy:', [name for name in heavy if name in sys.modules])\n"
    )
    done = run(sys.executable, "-c", code)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "heavy: []"


def test_a_curve_on_a_terminal_without_its_letters(storage: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    shown = run(*COMMAND, "show", "digits", "0", "-s", "lab.db", env=environment)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "val_loss     ?" in shown.stdout


def test_a_reader_that_goes_away_is_no_error(storage: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "export", "digits", "-s", "lab.db", "--events", "-f", "jsonl"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""


def test_ctrl_c_is_130(storage: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "delete", "digits", "-s", "lab.db"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        while "files:" not in process.stdout.readline():
            pass
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert process.stderr.read() == ""
    assert run(*COMMAND, "ls", "-q", "lab.db").stdout.splitlines()[0] == "digits"

"""``tunewell watch`` on a real terminal: a person types, and a real training in another process does it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import tunewell as tw
from full_screen import CTRL_C, PAGE_UP, TAB, UP, FullScreen
from tunewell.events import Adjusted, Answered, Ended, Noted, Paused, Requested, TrialResumed, TrialStarted
from tunewell.protocols import JournalError

PAGE = """
import sys
if "--broken" in sys.argv:
    import tunewell.watching.onlooker as onlooker
    drawn = onlooker.frame
    def breaks(scene, width, height):
        if scene.view.helping:
            raise RuntimeError("the frame broke")
        return drawn(scene, width, height)
    onlooker.frame = breaks
if "--without" in sys.argv:
    sys.modules["prompt_toolkit"] = None
sys.argv = [word for word in sys.argv if word not in ("--broken", "--without")]
from tunewell.cli import main
main()
"""
PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
TRAIN = (
    f"""
import sys, time
from pathlib import Path
import numpy as np
import tunewell as tw
sys.path.insert(0, {str(PICTURES)!r})
import watched
"""
    + """
HERE = Path(__file__).parent

def until(name):
    while not (HERE / name).exists():
        time.sleep(0.01)

def train(trial, held_at=None, seconds=0.0):
    def after(step):
        if step == held_at and trial.number == 0:
            until("go")
        time.sleep(seconds)

    digits = np.load(HERE / "digits.npz")
    rate = lambda optimizer, scores, labels: {"rate": optimizer.param_groups[0]["lr"]}
    watched.train(trial, digits["pixels"], digits["labels"], rate, after)

def study_of(rate, **more):
    space = tw.Space(
        learning_rate=tw.Float(1e-4, 10.0, scale="log"), momentum=tw.Float(0.0, 0.99, scale="reverse_log")
    )
    study = tw.Study(space, metric="val_loss", name="digits", seed=0, **more)
    study.enqueue({"learning_rate": rate, "momentum": 0.9})
    return study

if __name__ == "__main__":
    executor, rate, steps, held_at, seconds, runs = sys.argv[1:7]
    study = study_of(float(rate), storage=str(HERE / "watched.db"))
    for run in range(int(runs)):
        if run:
            until(f"run {run}")
        study.run(
            lambda trial: train(trial, int(held_at), float(seconds)),
            trials=1, max_steps=int(steps), keep_checkpoints=3, executor=executor, progress=False,
        )
    if "twin" in sys.argv:
        twin = study_of(float(rate))
        twin.run(train, trials=1, max_steps=int(steps), executor="inline", progress=False)
        (HERE / "twin").write_text(str(twin.best.value))
"""
)
SPACE = tw.Space(lr=tw.Float(1e-4, 10.0, scale="log"), momentum=tw.Float(0.0, 0.99))
Watch = Callable[..., FullScreen]


def ended(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    """Start the page of the study in ``watched.db``."""
    script = tmp_path / "page.py"
    script.write_text(PAGE)
    opened = []

    def start(*arguments: str, columns: int = 100, rows: int = 30, **environment: str) -> FullScreen:
        words = ("watch", *arguments, "-s", "watched.db")
        opened.append(FullScreen(script, *words, columns=columns, rows=rows, **environment))
        return opened[-1]

    yield start
    for terminal in opened:
        ended(terminal.process)


@pytest.fixture
def training(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a training of ``watched.db`` in a process of its own."""
    if not find_spec("torch"):
        pytest.skip("no PyTorch here")
    digits = pytest.importorskip("sklearn.datasets").load_digits()
    np.savez(tmp_path / "digits.npz", pixels=digits.data, labels=digits.target)
    script = tmp_path / "train.py"
    script.write_text(TRAIN)
    started = []

    def start(
        executor: str, rate: float, steps: int, held_at: int = 0, seconds: float = 0.0, runs: int = 1, twin: str = ""
    ) -> subprocess.Popen[bytes]:
        words = map(str, (executor, rate, steps, held_at, seconds, runs, twin))
        started.append(subprocess.Popen([sys.executable, script, *words], cwd=tmp_path))
        return started[-1]

    yield start
    for process in started:
        ended(process)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Store a study of three trials that nobody trains any more."""
    folder = tmp_path_factory.mktemp("stored")

    def objective(trial: tw.Trial) -> None:
        for step in trial.steps(20):
            trial.report(val_loss=float(str(trial.params["lr"])) + 1 / step, train_loss=1 / step)
            if step == 20:
                trial.save(lambda folder: (folder / "x").write_text("x"))

    with tw.Study(SPACE, metric="val_loss", name="digits", storage=str(folder / "watched.db"), seed=0) as study:
        study.run(objective, trials=3, executor="inline", progress=False)
    return folder


@pytest.fixture
def finished(stored: Path, tmp_path: Path) -> Path:
    """Copy that study to where the page looks for it."""
    shutil.copytree(stored, tmp_path, dirs_exist_ok=True)
    return tmp_path


def watching(folder: Path) -> None:
    """Wait until the study is stored and has a trial with reports."""
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline:
        try:
            with tw.open(str(folder / "watched.db")) as study:
                if study.trials and study.trials[0].reports:
                    return
        except (KeyError, ValueError, FileNotFoundError, JournalError):
            pass
        time.sleep(0.05)
    raise AssertionError("the training has not begun")


def events_of(folder: Path, kind: type) -> list[object]:
    with tw.open(str(folder / "watched.db")) as study:
        return [event for event in study.events if isinstance(event, kind)]


def test_a_training_that_is_stuck_is_rescued_by_what_the_page_advises(
    training: Callable[..., subprocess.Popen[bytes]], watch: Watch, tmp_path: Path
) -> None:
    process = training("processes", 5.0, 60, held_at=10, twin="twin")
    watching(tmp_path)
    page = watch()
    page.until("trial 0 running  step 9 of 60", "learning rate is too high", "advice: back 0 learning_rate=0.05")
    page.enter("accept")
    page.until("accept: waits for the next step of trial 0")
    (tmp_path / "go").touch()
    page.until("accept: carried out", "trial 1", "learning_rate=0.05 (was 5)", "val_loss of trial 0")
    page.until("trial 1 completed  step 60 of 60", "nobody trains this study now")
    page.enter("quit")
    assert page.end() == 0
    assert page.left_as_it_was()
    assert process.wait(60) == 0
    with tw.open(str(tmp_path / "watched.db")) as study:
        (asked,) = (event for event in study.events if isinstance(event, Requested))
        assert (asked.wish, asked.trial, asked.step, dict(asked.values)) == ("back", 0, 0, {"learning_rate": 0.05})
        assert "advised: rate-too-high" in asked.reason
        stuck, rescued = study.trials
        assert stuck.held
        assert rescued.status == "completed"
        assert rescued.value is not None
        assert rescued.value < 0.5 * float((tmp_path / "twin").read_text())


def test_set_undo_back_pause_resume_and_stop(
    training: Callable[..., subprocess.Popen[bytes]], watch: Watch, tmp_path: Path
) -> None:
    process = training("inline", 0.1, 5000, seconds=0.2, runs=2)
    watching(tmp_path)
    page = watch()
    page.until("trial 0 running")
    page.enter("set learning_rate=0.02 because it is large")
    page.until("carried out", "learning_rate=0.02 (was 0.1)", "rate 0.02", "by the person: learning_rate=0.02")
    page.enter("back 1")
    page.until("no checkpoint of step 1 (there are: ")
    with tw.open(str(tmp_path / "watched.db")) as study:
        (changed,) = (event.step for event in study.events if isinstance(event, Adjusted))  # its checkpoint stays
    page.enter(f"back {changed} momentum 0.5")
    page.until("carried out", "trial 1 running", f"from trial 0 step {changed}", "momentum=0.5 (was 0.9)")
    page.enter("undo")
    page.until("undo: carried out", "trial 0 running", "rate 0.02")
    page.enter("pause")
    page.until("pause: carried out", "trial 0 held", "nobody trains this study now")
    page.enter("resume")
    page.until("resume: nobody trains this study now, so it waits for the next run")
    (tmp_path / "run 1").touch()
    page.until("resume: carried out", "trial 0 running")
    page.enter("stop")
    page.until("stop: carried out", "trial 0 cancelled")
    page.enter("lr 0.2")
    page.until("adjust expected a trial that trains or rests, got 0, which is cancelled")
    page.enter("quit")
    assert page.end() == 0
    assert process.wait(60) == 0
    with tw.open(str(tmp_path / "watched.db")) as study:
        steered = (Requested, Answered, Adjusted, Paused, TrialStarted, TrialResumed, Ended)
        told = [event for event in study.events if isinstance(event, steered)]
        wishes = [event.wish for event in told if isinstance(event, Requested)]
        assert wishes == ["adjust", "back", "undo", "pause", "resume", "stop"]
        assert all(answer.done for answer in study.history.answers.values())
        assert next(event.reason for event in told if isinstance(event, Requested)) == "it is large"
        assert [trial.status for trial in study.trials] == ["cancelled", "paused"]
        assert study.trials[1].held
        assert study.trials[1].params["momentum"] == 0.5


def test_a_study_that_nobody_trains_other_trials_and_what_is_typed_wrongly(finished: Path, watch: Watch) -> None:
    page = watch("digits")
    page.until("digits  trial 2 completed", "nobody trains this study now", "\n>")
    page.enter("stoop")
    page.until("expected a command or one of lr, momentum, got 'stoop': did you mean stop?")
    page.enter("watch 9")
    page.until("expected the number of a trial, got 9: there are 3 trials")
    page.enter("watch 0")
    page.until("trial 0 completed", "Tab completes, help lists the commands")
    page.enter("compare 1")
    page.until("val_loss of trial 1")
    page.type(PAGE_UP)  # there is none before
    page.type("\x1b[6~")
    page.until("trial 1 completed")
    page.type(f"mom{TAB}")
    page.until("> momentum=")
    page.type("\x15note goo")
    page.type("d so far\r")
    page.until("noted", "note: good so far")
    page.type(UP)
    page.until("> note good so far")
    page.type("\x15")
    page.enter("fork 20 lr=1e9")
    page.until("lies outside", "put force")
    page.enter("force fork 20 lr=100")
    page.until("force fork 20 lr=100: nobody trains this study now, so it waits for the next run")
    page.enter("help")
    page.until("Page up, Page down", "take its newest change back")
    page.enter("help")
    page.until("trial 1 completed")
    page.enter("accept")
    page.until("accept expected an advice that is a command")
    page.resize(60, 18)
    page.screen.resize(60, 18)  # type: ignore[attr-defined]
    os.kill(page.process.pid, signal.SIGWINCH)
    page.enter("watch 2")
    lines = page.until("trial 2 completed", "└").split("\n")
    assert len(lines) == 18
    page.type(CTRL_C)
    assert page.end() == 0
    assert page.left_as_it_was()
    (request,) = events_of(finished, Requested)
    assert isinstance(request, Requested)
    assert (request.trial, request.wish, request.step, dict(request.values)) == (1, "fork", 20, {"lr": 100.0})


def test_without_colours_and_without_utf8(finished: Path, watch: Watch) -> None:
    page = watch(columns=80, rows=24, NO_COLOR="1", PYTHONUTF8="0", PYTHONIOENCODING="ascii", LC_ALL="C")
    screen = page.until("trial 2 completed", "* val_loss", ". train_loss", "advice:", "\n>")
    assert screen.isascii()
    assert not page.screen.colours  # type: ignore[attr-defined]
    page.type("\x04")
    assert page.end() == 0
    colourful = watch(columns=80, rows=24)
    colourful.until("trial 2 completed", "⠤⠤ val_loss", "\n>")
    assert colourful.screen.colours  # type: ignore[attr-defined]
    os.kill(colourful.process.pid, signal.SIGTERM)
    assert colourful.end() == 0
    assert colourful.left_as_it_was()


def test_a_page_that_crashes_leaves_the_terminal_as_it_was(finished: Path, watch: Watch) -> None:
    page = watch("--broken")
    page.until("trial 2 completed", "\n>")
    page.enter("help")
    assert page.end() == 1
    assert page.left_as_it_was()
    assert "RuntimeError: the frame broke" in page.raw


def test_without_a_terminal_a_frame_is_printed(finished: Path) -> None:
    (finished / "page.py").write_text(PAGE)

    def printed(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "page.py", "watch", *arguments]
        return subprocess.run(command, cwd=finished, capture_output=True, text=True, check=False)

    frame = printed("-s", "watched.db")
    assert frame.returncode == 0
    assert frame.stdout.startswith("digits  trial 2 completed")
    assert "\x1b" not in frame.stdout
    assert "⠤⠤ val_loss" in frame.stdout
    data = json.loads(printed("1", "-s", "watched.db", "--json").stdout)
    assert (data["trial"], data["status"], data["step"], data["trained"]) == (1, "completed", 20, False)
    assert len(data["curves"]["val_loss"]) == 20
    unknown = printed("digits", "7", "-s", "watched.db")
    assert unknown.returncode == 2
    assert unknown.stderr == "tunewell: study 'digits' has no trial 7: it has 3 trials\n"


def test_an_absent_extra_is_told_in_a_sentence(finished: Path, watch: Watch) -> None:
    page = watch("--without")
    assert page.end() == 2
    expected = "tunewell: watch expected prompt_toolkit to be installed: pip install 'tunewell[watch]', or say --once"
    assert expected in page.raw.replace("\r\n", "")


def test_a_line_goes_to_the_trial_that_was_shown_when_it_was_begun(watch: Watch, finished: Path) -> None:
    page = watch()
    page.until("trial 2 completed")
    page.type("note goo")
    page.until("> note goo")
    with tw.open(str(finished / "watched.db")) as study:
        study.go_back(2, 20, lr=0.5)
        study.run(lambda trial: next(trial.steps(20), None), trials=3, executor="inline", progress=False)
    page.until("trial 3 cancelled", "digits  trial 2 completed")
    page.type("d so far\r")
    page.until("digits  trial 3 cancelled")
    assert [event.trial for event in events_of(finished, Noted)] == [2]  # type: ignore[attr-defined]
    page.enter("quit")
    assert page.end() == 0

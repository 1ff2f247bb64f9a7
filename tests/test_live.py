"""The live view on a real terminal, as a person would see it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import tunewell as tw
from terminal import Terminal

SCRIPT = """
import math, multiprocessing, signal, sys, time
import tunewell as tw

space = tw.Space(learning_rate=tw.Float(1e-4, 1e-1, scale="log"), layers=tw.Int(1, 4))
kind, epochs, seconds, special = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]

def child():
    print("child prints", flush=True)

def train(trial):
    for step in trial.steps(epochs):
        time.sleep(seconds)
        if step == 2:
            print(f"objective prints {trial.number}")
            if special == "fork":
                worker = multiprocessing.get_context("fork").Process(target=child)
                worker.start()
                worker.join()
            if special == "breakpoint" and trial.number == 0:
                breakpoint()
        if special == "hang" and step == 3:
            time.sleep(60)
        if special == "nested" and step == 2:
            inner = tw.Study(tw.Space(), seed=0)
            inner.run(lambda trial: 1.0, trials=1, executor="inline")
        if special == "fail" and trial.number == 1:
            raise ValueError("boom")
        trial.report(val_loss=(math.log10(trial.params["learning_rate"]) + 3) ** 2 + 1 / step)
        trial.save(lambda directory: (directory / "x").write_text("x"))

if __name__ == "__main__":
    study = tw.Study(space, metric="val_loss", name="digits", storage="live.db", sampler="random", seed=0)
    print("the run starts")
    if special == "hang up":
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if special == "crash":
        class Crashing:
            def next_action(self, space, history, rng):
                if history.steps_done >= 6:
                    raise RuntimeError("the scheduler crashed")
                return tw.schedulers.Fifo().next_action(space, history, rng)
            def decide(self, history, report):
                return tw.schedulers.Fifo().decide(history, report)
        study = tw.Study(space, metric="val_loss", storage="live.db", scheduler=Crashing(), name="crash", seed=0)
    try:
        print("it says:", study.run(train, trials=4, workers=None if kind == "inline" else 2, executor=kind))
    finally:
        print("stdout is", type(sys.stdout).__name__)
"""
Start = Callable[..., Terminal]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    script = tmp_path / "tune.py"
    script.write_text(SCRIPT)
    terminals = []

    def run(*arguments: str, columns: int = 80, rows: int = 24, **environment: str) -> Terminal:
        terminals.append(Terminal(script, *arguments, columns=columns, rows=rows, **environment))
        return terminals[-1]

    yield run
    for terminal in terminals:
        if terminal.process.poll() is None:
            terminal.process.kill()
            terminal.process.wait()


def left_clean(terminal: Terminal) -> str:
    """Return all that stays on the terminal, where nothing of the view may be left and the cursor must be seen."""
    text = "\n".join(terminal.screen.lines)
    assert terminal.screen.cursor_shown
    assert "━" not in text
    assert "worker   step" not in text
    assert "stdout is TextIOWrapper" in text
    return text


def test_a_run_on_a_terminal_of_the_usual_size(start: Start, tmp_path: Path) -> None:
    terminal = start("processes", "6", "0.1", "")
    screen = terminal.until("of 4", "2 running", "best  val_loss", "trial worker   step   val_loss", "trial 1 started")
    assert "digits  val_loss (min)" in screen
    assert re.search(r"learning_rate=\S+ layers=\d", screen)
    assert re.search(r"^ +[01] +[01] +\d+ +[\d.]+ +[\d.]+ s  [▁-█]", screen, re.MULTILINE)
    terminal.until("completed")
    assert terminal.end() == 0
    text = left_clean(terminal)
    assert "the run starts" in text
    assert "ended: 4 trials are done" in text
    assert re.search(r"next: .*tunewell'? report digits -s live\.db", text)
    assert "objective prints" not in text  # it went into the trial's log


def test_ctrl_c_on_a_small_terminal_that_gets_smaller(start: Start, tmp_path: Path) -> None:
    terminal = start("processes", "200", "0.1", "", columns=60, rows=15)
    screen = terminal.until("2 running", "best  val_loss", "started", "█")
    assert len(screen.splitlines()) <= 15
    terminal.resize(42, 12)
    terminal.screen.columns, terminal.screen.rows = 42, 12
    before = len(terminal.raw)
    while len(terminal.raw) < before + 3000:
        assert terminal.read(2)
    assert terminal.screen.visible.count("digits  val_loss") == 1
    terminal.interrupt()
    assert terminal.end() != 0
    text = left_clean(terminal)
    assert "ended: interrupted; the same call goes on" in text.replace("\n", "")
    assert "KeyboardInterrupt" in text
    with tw.open(str(tmp_path / "live.db")) as study:
        assert [trial.status for trial in study.trials] == ["paused", "paused"]
        assert all(trial.checkpoint and trial.checkpoint.is_dir() for trial in study.trials)
        assert all(trial.reason == "interrupted" for trial in study.trials)


def test_prints_of_the_objective_and_failures_stay_above_the_view(start: Start) -> None:
    terminal = start("inline", "3", "0.1", "fail", columns=100)
    terminal.until("objective prints 0", "best  val_loss")
    assert terminal.end() == 0
    text = left_clean(terminal)
    assert [line for line in text.splitlines() if line.startswith("objective")] == [
        f"objective prints {trial}" for trial in (0, 2, 3, 4)
    ]
    told = r"trial 1 failed after .* ValueError: boom \(.*tune.py:\d+\) with learning_rate="
    assert re.search(told, text.replace("\n", ""))


def test_an_exception_leaves_the_terminal_clean(start: Start) -> None:
    terminal = start("inline", "3", "0.1", "crash", NO_COLOR="1")
    assert terminal.end() == 1
    text = left_clean(terminal)
    assert "ended: RuntimeError: the scheduler crashed" in text
    assert not re.search(r"\x1b\[(3|4|9)\d", terminal.raw)  # no colour
    assert text.index("ended: RuntimeError") < text.index("Traceback")


def test_a_forked_child_prints_above_the_view(start: Start) -> None:
    """A view that grows between the fork and the print may cost a child's line, and no other."""
    terminal = start("inline", "3", "0.05", "fork")
    assert terminal.end() == 0
    text = left_clean(terminal)
    assert [line for line in text.splitlines() if line.startswith("objective")] == [
        f"objective prints {trial}" for trial in range(4)
    ]
    assert text.count("child prints") >= 3


def test_a_breakpoint_gets_the_terminal_to_itself(start: Start) -> None:
    terminal = start("inline", "3", "0.1", "breakpoint")
    screen = terminal.until("(Pdb)", "-> if special")  # a long path wraps the line before
    assert "━" not in screen
    terminal.type("p trial.number + 1000\n")
    terminal.until("\n1000")
    terminal.type("c\n")
    terminal.until("trial 1 started")  # lines from here on
    assert terminal.end() == 0
    left_clean(terminal)


def test_a_second_ctrl_c_stops_at_once_and_leaves_the_terminal_clean(start: Start, tmp_path: Path) -> None:
    terminal = start("inline", "9", "0.05", "hang")
    terminal.until("1 running", "█▁")
    terminal.interrupt()
    terminal.until("interrupted: running steps finish and are saved")
    terminal.interrupt()
    assert terminal.end() != 0
    assert "ended: interrupted" in left_clean(terminal)
    with tw.open(str(tmp_path / "live.db")) as study:
        assert study.trials[0].status == "lost"
        assert study.trials[0].saved == 2


def test_a_study_within_a_study_writes_lines_above_the_view(start: Start) -> None:
    terminal = start("inline", "3", "0.05", "nested")
    assert terminal.end() == 0
    text = left_clean(terminal)
    assert text.count("trial 0 completed, loss 1 after") == 4
    assert text.count("ended: 1 trial is done") == 4


def test_a_terminal_that_goes_away_does_not_stop_the_run(start: Start, tmp_path: Path) -> None:
    terminal = start("processes", "4", "0.1", "hang up")
    terminal.until("2 running")
    terminal.hang_up()
    terminal.process.wait(40)
    with tw.open(str(tmp_path / "live.db")) as study:
        assert [trial.status for trial in study.trials] == ["completed"] * 4

"""What a run writes where there is no terminal, and what a frame of the live view holds at any size."""

from __future__ import annotations

import io
import math
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tunewell as tw
from tunewell.console.frame import Scene, frame
from tunewell.console.lines import LINES_PER_SECOND, LineView, sentence
from tunewell.console.seen import Best, Meter, Pace, meters
from tunewell.console.summary import command, program
from tunewell.console.text import duration, number, one_line, params, roughly, sparkline, stamp
from tunewell.events import (
    Adjusted,
    CheckpointSaved,
    Ended,
    Enqueued,
    Event,
    Fork,
    Goal,
    Noted,
    Paused,
    Reported,
    RunStarted,
    SettingsChanged,
    SpaceChanged,
    Status,
    StudyCreated,
    TrialResumed,
    TrialStarted,
)
from tunewell.history import History
from tunewell.limits import Limits


@pytest.fixture(autouse=True)
def on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the program be on the PATH, as in an activated environment."""
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))


SPACE = tw.Space(lr=tw.Float(1e-4, 1e-1, scale="log"), layers=tw.Int(1, 4))
CREATED = StudyCreated(0.0, "digits", SPACE, (Goal("val_loss"),), {"default_first": False}, 0)
ERROR = 'Traceback (most recent call last):\n  File "/home/me/train.py", line 12, in train\nValueError: boom\x1b[31m'


def started(trial: int, time: float = 1.0, **more: Any) -> TrialStarted:
    return TrialStarted(time, trial, {"lr": 0.0123456789, "layers": 2}, 7, driver="host/boot/1/2/1", **more)


def told(*events: Event) -> tuple[History, LineView, list[float]]:
    clock = [100.0]
    history = History([CREATED, *events])
    return history, LineView(history, lambda: clock[0]), clock


# --- short text -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (9.94, "9.9 s"), (14.2, "14 s"), (200, "3 min 20 s"), (7500, "2 h 05 min"), (273600, "3 d 4 h")],
)
def test_durations_come_in_a_persons_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "1 s"), (61, "61 s"), (200, "3 min"), (9000, "2.5 h"), (3e5, "3.5 d")]
)
def test_estimates_claim_no_precision(seconds: float, text: str) -> None:
    assert roughly(seconds) == text


def test_small_texts() -> None:
    assert number(0.00123456) == "0.0012346"
    assert number(123) == "123"
    assert params({"lr": 0.1, "name": "a\nb"}) == "lr=0.1 name=a b"
    assert params({}) == "no parameters"
    assert one_line("a\x1b[31m red\n\tb\x07") == "a  red b"
    assert stamp(12.34) == "12.3 s"
    assert re.fullmatch(r"\d\d:\d\d:\d\d", stamp(1.8e9))


def test_a_curve_is_drawn_from_low_to_high() -> None:
    assert sparkline([3, 2, 1, 0]) == "█▆▃▁"
    assert sparkline([1, 1]) == "▁▁"
    assert sparkline([0, math.nan, 1]) == "▁x█"
    assert sparkline([]) == ""


@given(st.lists(st.floats(), max_size=60), st.integers(0, 30))
def test_a_curve_fits_any_width(values: list[float], width: int) -> None:
    assert len(sparkline(values, width)) == min(width, len(values))


# --- one line per event -----------------------------------------------------------------------------------------------

HISTORY = History([CREATED, started(0), Reported(2.0, 0, 3, {"val_loss": 0.25}), CheckpointSaved(2.0, 0, 3)])


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (started(0), "trial 0 started: lr=0.012346 layers=2"),
        (started(0, origin="default"), "trial 0 started by default: lr=0.012346 layers=2"),
        (started(0, origin="enqueued"), "trial 0 started by hand: lr=0.012346 layers=2"),
        (started(0, fork=Fork(4, 9)), "trial 0 forked from trial 4 at step 9: lr=0.012346 layers=2"),
        (TrialResumed(3.0, 0, 3, "promoted"), "trial 0 goes on from step 3: promoted"),
        (Paused(3.0, 0, 3, "place 2 of 3"), "trial 0 paused at step 3, val_loss 0.25: place 2 of 3"),
        (Ended(3.0, 0, Status.COMPLETED), "trial 0 completed at step 3, val_loss 0.25 after 1.0 s"),
        (
            Ended(3.0, 0, Status.FAILED, "ValueError: boom", error=ERROR),
            "trial 0 failed at step 3, val_loss 0.25 after 1.0 s: ValueError: boom (/home/me/train.py:12) "
            "with lr=0.012346 layers=2",
        ),
        (
            Ended(3.0, 0, Status.FAILED, error=ERROR),
            "trial 0 failed at step 3, val_loss 0.25 after 1.0 s: ValueError: boom (/home/me/train.py:12) "
            "with lr=0.012346 layers=2",
        ),
        (
            Ended(3.0, 0, Status.OUT_OF_MEMORY, "killed"),
            "trial 0 out of memory at step 3, val_loss 0.25 after 1.0 s: killed with lr=0.012346 layers=2",
        ),
        (Adjusted(3.0, 0, 3, {"lr": 0.1}, "person", "too slow"), "trial 0 adjusted by the person: lr=0.1: too slow"),
        (SpaceChanged(3.0, SPACE, "wider"), "the space was changed: wider"),
        (SettingsChanged(3.0, {}), "sampler or scheduler were changed"),
        (Enqueued(3.0, {"lr": 0.1}), "first in line: lr=0.1"),
        (Noted(3.0, "looks\ngood"), "note: looks good"),
        (Reported(3.0, 0, 4, {"val_loss": 0.2}), ""),
        (CheckpointSaved(3.0, 0, 4), ""),
    ],
)
def test_each_event_is_a_line_or_none(event: Event, text: str) -> None:
    assert sentence(event, HISTORY) == text


def test_a_fast_study_is_summarised(capsys: pytest.CaptureFixture[str]) -> None:
    history, view, clock = told()
    for trial in range(100):
        for event in (
            started(trial),
            Reported(2.0, trial, 1, {"val_loss": 1 / (trial + 1)}),
            Ended(3.0, trial, Status.COMPLETED),
        ):
            history.apply(event)
            view.watch(history, [event])
    failed = [started(100), Ended(3.0, 100, Status.FAILED, "ValueError: boom")]
    for event in failed:
        history.apply(event)
        view.watch(history, [event])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == LINES_PER_SECOND + 1  # a failure is always told
    assert "ValueError: boom" in lines[-1]
    clock[0] += 2
    view.watch(history, [])
    (summary,) = capsys.readouterr().out.splitlines()
    assert "181 more events: 91 started, 90 completed; best val_loss 0.01 in trial 99 at step 1" in summary


def test_the_best_is_marked_once_and_reports_do_not_flood(capsys: pytest.CaptureFixture[str]) -> None:
    history, view, clock = told(started(0))
    for step in range(1, 50):
        event = Reported(1.0 + step, 0, step, {"val_loss": 1 / step})
        history.apply(event)
        view.watch(history, [event])
    assert capsys.readouterr().out == ""
    clock[0] += 6
    event = Reported(60.0, 0, 50, {"val_loss": 0.01})
    history.apply(event)
    view.watch(history, [event])
    assert "best so far: val_loss 0.01 in trial 0 at step 50" in capsys.readouterr().out
    for late in (Reported(61.0, 0, 51, {"val_loss": 0.005}), Ended(62.0, 0, Status.COMPLETED)):
        history.apply(late)
        view.watch(history, [late])
    assert capsys.readouterr().out.splitlines() == [
        "62.0 s trial 0 completed at step 51, val_loss 0.005 after 1 min 01 s [best so far]"
    ]


@pytest.mark.parametrize(
    ("name", "hint"),
    [("val_los", " (is 'val_los' meant to be it?)"), ("Val/Loss", " (is 'Val/Loss' meant"), ("x", ":")],
)
def test_a_metric_of_another_name_is_pointed_out_at_the_first_step(
    capsys: pytest.CaptureFixture[str], name: str, hint: str
) -> None:
    def objective(trial: tw.Trial) -> None:
        for step in trial.steps(3):
            print(f"after {step - 1} steps")
            trial.report({name: 1 / step})

    study = tw.Study(tw.Space(x=tw.Float(0.0, 1.0)), "val_loss", seed=0)
    with pytest.raises(tw.ObjectiveError, match="ended without a value for 'val_loss'"):
        study.run(objective, trials=3, executor="inline")
    lines = capsys.readouterr().out.splitlines()
    (place,) = [n for n, line in enumerate(lines) if "the study's metric" in line and "note: " in line]
    assert f"note: trial 0 reports {name}, but not 'val_loss', the study's metric{hint}" in lines[place]
    assert lines[place - 1 : place + 2 : 2] == ["after 0 steps", "after 1 steps"]
    assert [note.trial for note in study.history.notes] == [0]


def test_a_metric_that_comes_later_is_no_error_and_pointed_out_once_at_most() -> None:
    def returns(trial: tw.Trial) -> float:
        trial.report(train_loss=1.0)
        return 0.5

    def every_other(trial: tw.Trial) -> None:
        for step in trial.steps(4):
            trial.report({"train_loss": 1.0, **({"val_loss": 0.5} if step % 2 == 0 else {})})

    for objective in (returns, every_other):
        study = tw.Study(tw.Space(x=tw.Float(0.0, 1.0)), "val_loss", seed=0)
        for trials in (2, 4):
            study.run(objective, trials=trials, executor="inline", progress=False)
        assert [str(trial.status) for trial in study.trials] == ["completed"] * 4
        assert len(study.history.notes) <= 1


def test_a_long_silence_is_broken_by_how_far_trials_are(capsys: pytest.CaptureFixture[str]) -> None:
    history, view, clock = told(started(0), Reported(2.0, 0, 1, {"val_loss": 0.1}), started(1))
    clock[0] += 61
    view.watch(history, [])
    assert capsys.readouterr().out == ""  # nothing new
    event = Reported(60.0, 0, 5, {"val_loss": 0.5})
    history.apply(event)
    view.watch(history, [event])
    out = capsys.readouterr().out
    assert "2 trials running: trial 0 at step 5, val_loss 0.5; trial 1" in out


def test_an_output_that_is_gone_does_not_stop_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = io.StringIO()
    gone.close()
    monkeypatch.setattr(sys, "stdout", gone)
    history, view, _ = told()
    view.watch(history, [started(0)])
    view.say("still here")
    view.close(history)


def test_a_remark_in_the_middle_of_a_write_is_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Busy(io.StringIO):
        def write(self, text: str) -> int:
            raise RuntimeError("reentrant call")

    history, view, _ = told()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Busy())
        view.say("interrupted")
    view.watch(history, [])
    assert capsys.readouterr().out == "interrupted\n"


def test_letters_that_the_output_lacks_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", plain)
    history, view, _ = told()
    view.watch(history, [Enqueued(1.0, {"name": "η"})])
    plain.seek(0)
    assert plain.read() == "1.0 s first in line: name=?\n"


# --- a run ------------------------------------------------------------------------------------------------------------


def train(trial: tw.Trial) -> None:
    for step in trial.steps(3):
        trial.report(val_loss=trial.params["lr"] / step)


def study(**more: Any) -> tw.Study:
    return tw.Study(SPACE, metric="val_loss", name="digits", seed=0, **{"sampler": "random", **more})


def test_a_run_tells_its_story_and_what_to_type_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tuned = study(storage="my.db")
    tuned.run(train, trials=2, executor="inline")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "study digits: val_loss (min)"
    assert "trial 0 started: lr=" in lines[1]
    assert "trial 0 completed at step 3" in lines[2]
    assert lines[2].endswith("[best so far]")
    assert lines[-6].startswith("best: val_loss ")
    assert lines[-5].startswith("      lr=")
    assert lines[-4].startswith("2 trials: 2 completed; 6 steps in ")
    assert lines[-3].startswith("scheduler: The default scheduler chose whole trainings, first in first out: ")
    assert lines[-2:] == ["ended: 2 trials are done", "next: tunewell report digits -s my.db"]
    tuned.run(train, trials=2, executor="inline")
    assert "2 trials so far" in capsys.readouterr().out
    study(storage="mü 1#.db").run(train, trials=1, executor="inline")
    assert capsys.readouterr().out.endswith("next: tunewell report digits -s 'mü 1#.db'\n")


def test_a_study_in_memory_has_no_next_command(capsys: pytest.CaptureFixture[str]) -> None:
    study().run(train, steps=4, executor="inline")
    out = capsys.readouterr().out
    assert "next:" not in out
    assert "ended: 6 steps are done" in out or "ended: 4 steps are done" in out


def test_silence_and_a_function_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    study().run(train, trials=1, executor="inline", progress=False)
    seen: list[Event] = []

    def watch(history: History, events: Any) -> None:
        assert events
        assert len(history.trials) == 1 or isinstance(events[0], RunStarted)
        seen.extend(events)

    study().run(train, trials=1, executor="inline", progress=watch)
    assert capsys.readouterr() == ("", "")
    assert [type(event).__name__ for event in seen] == [
        "RunStarted",
        "Fingerprinted",
        "TrialStarted",
        "Planned",
        *["Reported"] * 3,
        "Ended",
    ]
    with pytest.raises(TypeError, match="progress=True, False or a function"):
        study().run(train, trials=1, executor="inline", progress="yes")  # type: ignore[arg-type]


def test_a_failing_objective_is_told_with_its_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    def broken(trial: tw.Trial) -> None:
        raise ValueError("boom")

    with pytest.raises(tw.ObjectiveError):
        study().run(broken, trials=9, executor="inline")
    out = capsys.readouterr().out
    assert re.search(r"trial 0 failed after .*: ValueError: boom \(.*test_console.py:\d+\) with lr=\S+ layers=\d", out)
    assert "ended: ObjectiveError: the objective failed 3 times" in out
    assert "best: no trial has a value yet" in out


@pytest.mark.parametrize(
    ("total", "reason"),
    [
        ({"trials": 99}, "all 2 points of the grid have been tried"),
        ({"trials": 2}, "2 trials are done"),
        ({"trials": 1}, "1 trial is done"),
        ({"steps": 3}, "3 steps are done"),
        ({"seconds": 1e-9}, "1e-09 seconds are spent"),
    ],
)
def test_the_last_lines_say_why_the_run_ended(capsys, total, reason) -> None:
    grid = study(sampler=tw.samplers.Grid(points={"lr": 1, "layers": 2}))
    assert grid.run(train, executor="inline", **total) == reason
    assert f"ended: {reason}\n" in capsys.readouterr().out


def test_several_goals_end_with_a_word_about_the_front(capsys: pytest.CaptureFixture[str]) -> None:
    both = tw.Study(SPACE, metric=["val_loss", "size"], seed=0)
    both.run(lambda trial: (trial.params["lr"], 1.0), trials=2, executor="inline")
    out = capsys.readouterr().out
    assert "goals: val_loss (min), size (min); study.pareto holds" in out


def test_the_program_is_named_as_it_can_be_typed_here(tmp_path, monkeypatch) -> None:
    scripts = tmp_path / "my env" / "bin"
    scripts.mkdir(parents=True)
    monkeypatch.setattr("sys.executable", str(scripts / "python"))
    monkeypatch.setenv("PATH", "/nowhere")
    assert program() == "tunewell"  # not installed as a script: nothing better to say
    (scripts / "tunewell").touch()
    assert program() == shlex.quote(str(scripts / "tunewell"))
    monkeypatch.chdir(tmp_path)
    assert command("show", "x", "a.db") == "'my env/bin/tunewell' show x -s a.db"


def test_commands_can_be_pasted() -> None:
    assert command("report", "digits", "sqlite:///tunewell.db") == "tunewell report digits"
    assert command("report", "my study", "a b.db") == "tunewell report 'my study' -s 'a b.db'"


# --- frames of the live view ------------------------------------------------------------------------------------------


def scene(trials: int, running: int = 3, remarks: int = 10, **more: Any) -> Scene:
    events: list[Event] = [CREATED]
    for trial in range(trials):
        events += [
            started(trial),
            Reported(2.0, trial, 1, {"val_loss": 2.0}),
            Reported(3.0, trial, 2, {"val_loss": 1.0}),
        ]
        if trial < trials - running:
            events.append(Ended(4.0, trial, Status.COMPLETED))
    history = History(events)
    best = Best()
    best.look(history)
    shown = meters(history, Limits(trials=50, steps=1000, seconds=60), 12.0)
    return Scene(history, best, shown, 30.0, 2.0, [f"remark {n} " + "x" * 200 for n in range(remarks)])


@pytest.mark.parametrize("width", [200, 80, 60, 30, 8])
@pytest.mark.parametrize("height", [60, 24, 15, 6, 2])
@pytest.mark.parametrize(("trials", "running"), [(0, 0), (5, 3), (40, 30)])
def test_a_frame_fits_any_terminal(width: int, height: int, trials: int, running: int) -> None:
    lines = frame(scene(trials, running), width, height)
    assert 1 <= len(lines) < height
    assert all(line.cell_len < width for line in lines)


def test_a_frame_shows_what_matters_even_on_a_small_terminal() -> None:
    text = "\n".join(line.plain for line in frame(scene(5), 60, 15))
    assert "digits  val_loss (min)  5 trials: 3 running, 2 completed" in text
    assert "best  val_loss 1 in trial 0 at step 2" in text
    assert "lr=0.012346 layers=2" in text
    assert "12 s of 1 min 00 s  about 30 s left" in text  # the total that is nearest
    assert re.search(r"4 +0 +2 +1 +5.0 s  █▁", text)
    assert "remark 9" in text


def test_a_tall_frame_shows_every_total_and_the_trials_left_out() -> None:
    text = "\n".join(line.plain for line in frame(scene(40, 30), 100, 24))
    assert "10 of 50" in text
    assert "80 of 1000" in text
    assert "12 s of 1 min 00 s" in text
    assert re.search(r"and \d+ more", text)


class Unwalked(list[Any]):
    def __iter__(self) -> Any:
        raise AssertionError("walked over all trials")


def test_looking_on_never_walks_over_all_trials() -> None:
    shown = scene(5)
    shown.history.trials = Unwalked(shown.history.trials)
    frame(shown, 80, 24)
    view = LineView(shown.history)
    view.watch(shown.history, [Ended(5.0, 4, Status.COMPLETED)])
    for event in (
        started(5),
        *(Reported(6.0, 5, 1 + step, {"val_loss": loss}) for step, loss in enumerate((0.1, 3.0))),
    ):
        shown.history.apply(event)
        shown.best.look(shown.history)
    assert shown.best.loss == 1.0  # the leader has become worse than those before it


def test_the_time_left_waits_until_something_is_known() -> None:
    pace = Pace(100.0, {"trials": 10.0, "steps": 100.0})
    assert pace.left([Meter("trials", 11, 50)], 110.0, running=4) is None
    assert pace.left([Meter("trials", 14, 50)], 120.0, running=4) == 36 * 20 / 4
    assert pace.left([Meter("trials", 14, 50), Meter("steps", 200, 300)], 120.0, running=4) == 20.0
    assert pace.left([], 120.0, running=4) is None


def test_the_best_looks_up_its_step_and_survives_forgotten_reports() -> None:
    history = History([CREATED, started(0), CheckpointSaved(1.5, 0, 1), Reported(2.0, 0, 2, {"val_loss": 0.5})])
    best = Best()
    assert best.look(history)
    assert not best.look(history)
    assert best.in_words("val_loss") == "val_loss 0.5 in trial 0 at step 2"
    history.apply(Ended(3.0, 0, Status.LOST))
    history.apply(TrialResumed(4.0, 0, 1))
    assert not best.look(history)
    assert best.loss is None  # until it has trained that step again
    history.apply(Reported(5.0, 0, 2, {"val_loss": 0.4}))
    assert best.look(history)
    assert best.in_words("val_loss") == "val_loss 0.4 in trial 0 at step 2"


def test_the_best_so_far_is_what_the_study_would_name(capsys: pytest.CaptureFixture[str]) -> None:
    """Newest values count, not lucky steps in between, and none of a trial that diverged."""
    history, view, _ = told(*(started(number) for number in range(4)))
    losses = {0: [0.001, math.nan], 1: [0.4, 0.1, 2.0], 2: [0.5, 0.5], 3: [0.6, 0.6, 0.3]}
    for trial, curve in losses.items():
        for step, loss in enumerate(curve, 1):
            report = Reported(1.0 + step, trial, step, {"val_loss": loss})
            history.apply(report)
            view.watch(history, [report])
        end = Ended(9.0, trial, Status.DIVERGED if math.isnan(curve[-1]) else Status.COMPLETED)
        history.apply(end)
        view.watch(history, [end])
        best = history.best
        assert history.best_so_far == (None if best is None else (best.loss, best.number))
    lines = capsys.readouterr().out.splitlines()
    assert [line.endswith("[best so far]") for line in lines if " completed " in line or " diverged " in line] == [
        False, True, True, True,
    ]  # fmt: skip

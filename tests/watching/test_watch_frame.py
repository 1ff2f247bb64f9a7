"""The page as lines of text: what it holds, at any size, in any state of the study."""

from __future__ import annotations

import math
import random
import re
from dataclasses import replace
from typing import Any

import pytest

import tunewell as tw
from tunewell.analysis.diagnosis import Diagnosis, Label
from tunewell.events import (
    Adjusted,
    Answered,
    CheckpointSaved,
    Ended,
    Event,
    Fork,
    Goal,
    Noted,
    Paused,
    Reported,
    Requested,
    RunStarted,
    Status,
    StudyCreated,
    TrialResumed,
    TrialStarted,
)
from tunewell.history import History
from tunewell.identity import new_identity
from tunewell.watching.advice import Advice
from tunewell.watching.curves import curves, in_force, lived, seconds_per_step, turns
from tunewell.watching.frame import Scene, frame
from tunewell.watching.plain_data import data_of
from tunewell.watching.view import View, became, compared, family, moved_on, stories, taken_in, trained

SPACE = tw.Space(lr=tw.Float(1e-4, 10.0, scale="log"), momentum=tw.Float(0.0, 0.99))
DRIVER = "elsewhere/boot/1/2/1"
ADVICE = Advice(
    Diagnosis(Label.RATE_TOO_HIGH, 0.93, ("the training loss went from 2.3 to 2.4", "∞ – …"), ()),
    "back 0 lr=0.5",
    "divide it by 10",
)


def reports(trial: int, first: int, last: int, level: float = 2.0) -> list[Event]:
    found: list[Event] = []
    for step in range(first, last + 1):
        metrics = {"val_loss": level + 1 / step, "train_loss": level / step, "grad_norm": 3.25}
        found += [Reported(10.0 + 2.0 * step, trial, step, metrics), CheckpointSaved(10.0 + 2.0 * step, trial, step)]
    return found


EVENTS: list[Event] = [
    StudyCreated(0.0, "digits", SPACE, (Goal("val_loss"),), {}, 0),
    RunStarted(5.0, DRIVER, 1, 60, keep_checkpoints=9),
    TrialStarted(10.0, 0, {"lr": 5.0, "momentum": 0.9}, 7, driver=DRIVER),
    *reports(0, 1, 8),
]
ADJUSTED: list[Event] = [
    Requested(30.0, 0, "adjust", {"lr": 1.0}),
    Answered(31.0, 0, True),
    Adjusted(31.0, 0, 8, {"lr": 1.0}, "person", "too high"),
    *reports(0, 9, 12),
]
WENT_BACK: list[Event] = [
    Requested(40.0, 0, "back", {"lr": 0.5}, 6),
    Paused(41.0, 0, 12, "a person went back to step 6", "hold"),
    Answered(42.0, 1, True),
    TrialStarted(42.0, 1, {"lr": 0.5, "momentum": 0.9}, 8, "person", fork=Fork(0, 6), driver=DRIVER),
    *reports(1, 7, 20, 0.5),
]


def scene_of(events: list[Event], view: View | None = None, **more: Any) -> Scene:
    history = History()
    told = taken_in(history, events)
    return Scene(history, view or moved_on(View(), history, events), told, **more)


def text_of(scene: Scene, width: int = 100, height: int = 30) -> str:
    return "\n".join(line.plain.rstrip() for line in frame(scene, width, height))


def test_a_trial_in_training() -> None:
    text = text_of(scene_of(EVENTS, advice=ADVICE))
    assert re.match(r"digits  trial 0 running  step 8 of 60  2\.0 s a step  about 2 min left", text)
    assert "val_loss 2.125 (best 2.125 at step 8)  train_loss 0.25  grad_norm 3.25" in text
    assert "lr=5  momentum=0.9" in text
    assert "⠤⠤ val_loss" in text
    assert "⠄⠄ train_loss" in text
    assert "advice: back 0 lr=0.5   type accept to do it" in text
    assert "(93 % sure): the training loss went from 2.3 to 2.4" in text
    assert "trial 0 started: lr=5" in text
    assert "nobody trains" not in text


def test_a_change_is_marked_in_the_values_and_on_the_axis() -> None:
    text = text_of(scene_of(EVENTS + ADJUSTED))
    assert "lr=1 (was 5)  momentum=0.9" in text
    assert "▲" in text
    assert "8: lr=1" in text
    assert "trial 0 adjusted by the person: lr=1: too high" in text
    assert "asked for" not in text  # the change itself says it


def test_a_trial_that_took_anothers_place_is_followed_and_drawn_beside_it() -> None:
    scene = scene_of(EVENTS + ADJUSTED + WENT_BACK)
    text = text_of(scene)
    assert "trial 1 running  step 20 of 60" in text
    assert "from trial 0 step 6" in text
    assert "lr=0.5 (was 5)" in text
    assert "val_loss of trial 0" in text
    assert compared(scene.history, scene.view) == 0
    assert [report.step for report in lived(scene.history, 1)] == list(range(1, 21))
    assert [(turn.after, turn.now) for turn in turns(scene.history, 1)] == [(6, {"lr": 0.5})]
    assert [curve.metric for curve in curves(scene.history, 1)] == ["val_loss", "train_loss"]


def test_a_fork_from_the_beginning_shows_what_its_values_were() -> None:
    fork = TrialStarted(42.0, 1, {"lr": 0.5, "momentum": 0.9}, 8, "person", fork=Fork(0, 0), driver=DRIVER)
    scene = scene_of([*EVENTS, fork], View(1, True))
    assert "lr=0.5 (was 5)" in text_of(scene)
    assert lived(scene.history, 1) == []
    assert "val_loss (min) has no value yet" in text_of(scene)


def test_a_trial_a_person_chose_stays_and_others_do_not() -> None:
    other = TrialStarted(50.0, 1, {"lr": 1.0, "momentum": 0.9}, 8, driver=DRIVER)
    events = [*EVENTS, Ended(49.0, 0, Status.COMPLETED), other]
    history = History(events)
    assert moved_on(View(0, chosen=True), history, [other]).trial == 0
    assert moved_on(View(0), history, [other]).trial == 1
    running = History([*EVENTS, other])
    assert moved_on(View(0), running, [other]).trial == 0
    assert moved_on(View(), running, [other]).trial == 1


def test_an_undo_in_place_does_not_lead_to_the_next_trial_that_starts() -> None:
    undone = [Requested(60.0, 0, "undo"), Answered(61.0, 1, True), Adjusted(61.0, 0, 12, {"lr": 5.0}, "person")]
    other = TrialStarted(62.0, 1, {"lr": 1.0, "momentum": 0.9}, 8, driver=DRIVER)
    events = [*EVENTS, *ADJUSTED, *undone, other]
    assert moved_on(View(0), History(events), [*undone, other]).trial == 0


def test_undoing_going_back_leads_to_the_trial_before() -> None:
    undone = [
        Requested(90.0, 1, "undo"),
        Answered(91.0, 2, True),
        Paused(91.0, 1, 20, "trial 0 takes its place again", "hold"),
        TrialResumed(91.0, 0, 12, driver=DRIVER),
    ]
    events = [*EVENTS, *ADJUSTED, *WENT_BACK, *undone]
    assert moved_on(View(1, True), History(events), undone).trial == 0


def test_what_became_of_a_request() -> None:
    waiting = History([*EVENTS, Requested(30.0, 0, "pause")])
    assert became(waiting, 0, "pause", True) == "pause: waits for the next step of trial 0"
    assert "it waits for the next run" in became(waiting, 0, "pause", False)
    refused = History([*EVENTS, Requested(30.0, 0, "pause"), Answered(31.0, 0, False, "it is over")])
    assert became(refused, 0, "pause", True) == "pause: refused, for it is over"
    assert became(History(EVENTS + ADJUSTED), 0, "lr 1", True) == "lr 1: carried out"


def test_refusals_and_pending_requests_are_told_and_strangers_are_not() -> None:
    other = TrialStarted(50.0, 1, {"lr": 1.0, "momentum": 0.9}, 8, driver=DRIVER)
    pending, note = Requested(52.0, 0, "pause"), Noted(51.0, "about the study")
    events = [*EVENTS, Requested(30.0, 0, "stop"), Answered(31.0, 0, False, "no"), other, note, pending]
    history = History()
    known = taken_in(history, events)
    assert family(history, 0) == {0}
    told = [one.event for one in stories(history, known, {0})]
    assert pending in told
    assert note in told
    assert other not in told
    assert "cannot be done: stop trial 0: no" in text_of(Scene(history, View(0), known))


def test_each_event_is_told_with_the_state_of_its_trial_then() -> None:
    rested = Paused(27.0, 0, 8, "rung 1")
    gone_on = [TrialResumed(28.0, 0, 8, driver=DRIVER), *reports(0, 9, 10)]
    lost = Ended(31.0, 0, Status.LOST, "its process died")
    again = [TrialResumed(32.0, 0, 9, driver=DRIVER), *reports(0, 10, 20)]
    scene = scene_of([*EVENTS, rested, *gone_on, lost, *again])
    for words in (text_of(scene), "\n".join(one["words"] for one in data_of(scene)["events"])):
        assert "trial 0 paused at step 8, val_loss 2.125: rung 1" in words
        assert "trial 0 lost at step 10, val_loss 2.1 after 20 s: its process died" in words


def test_nobody_trains_a_study_whose_driver_is_gone() -> None:
    mine = replace(EVENTS[2], driver=new_identity())  # type: ignore[type-var]
    gone = replace(EVENTS[2], driver="/".join([*new_identity().split("/")[:3], "0", "1"]))  # type: ignore[type-var]
    assert trained(History([*EVENTS[:2], mine]))
    assert not trained(History([*EVENTS[:2], gone]))
    assert not trained(History([*EVENTS, Ended(50.0, 0, Status.COMPLETED)]))
    assert "nobody trains this study now: what is asked for waits for the next run" in text_of(
        scene_of(EVENTS, trained=False)
    )


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("size", [(80, 22), (100, 30), (200, 60), (40, 12), (20, 5), (1, 1)])
def test_every_frame_fits(size: tuple[int, int], plain: bool) -> None:
    long = {"lr": 5.0, **{f"a_parameter_with_a_long_name_{i}": "ü" * 50 for i in range(30)}}
    started = replace(EVENTS[2], config=long)  # type: ignore[type-var]
    states = [
        EVENTS[:1],
        EVENTS[:3],
        EVENTS,
        EVENTS + ADJUSTED + WENT_BACK,
        [*EVENTS[:2], started, *EVENTS[3:], Noted(60.0, "a\nlong\x1b[31m " * 40)],
        [*EVENTS, Reported(70.0, 0, 9, {"val_loss": math.nan}), Ended(70.0, 0, Status.DIVERGED, "nan")],
    ]
    for events in states:
        for view in (None, View(helping=True)):
            scene = scene_of(events, view, advice=ADVICE, plain=plain, trained=False)
            lines = frame(scene, *size)
            assert len(lines) <= size[1]
            assert all(line.cell_len <= size[0] for line in lines)
            assert all("\n" not in line.plain and "\x1b" not in line.plain for line in lines)
            assert not plain or all(line.plain.isascii() for line in lines)


def test_the_usual_terminal_has_room_for_all_that_matters() -> None:
    text = text_of(scene_of(EVENTS + ADJUSTED + WENT_BACK, advice=ADVICE, trained=False), 80, 22)
    for words in (
        "trial 1 running",
        "val_loss 0.55",
        "lr=0.5",
        "nobody trains",
        "└",
        "advice: back 0",
        "trial 1 forked",
    ):
        assert words in text


def test_several_goals_and_metrics_that_come_late() -> None:
    created = StudyCreated(0.0, "two", SPACE, (Goal("accuracy", "max"), Goal("size")), {}, 0)
    late = Reported(99.0, 0, 9, {"accuracy": 0.5})
    text = text_of(scene_of([created, *EVENTS[1:], late]))
    assert "accuracy 0.5 (best 0.5 at step 9)  size (min) has no value yet" in text


def test_seconds_a_step_are_those_since_the_trial_went_on() -> None:
    history = History([*EVENTS, Paused(40.0, 0, 8, "rest", "hold"), TrialResumed(1000.0, 0, 8, driver=DRIVER)])
    assert seconds_per_step(history.trials[0]) is None
    for step in (9, 10, 11):
        history.apply(Reported(1000.0 + 5.0 * step, 0, step, {"val_loss": 1.0}))
    assert seconds_per_step(history.trials[0]) == 5.0


def test_values_in_force_of_a_trial_in_training_and_of_one_that_is_over() -> None:
    history = History(EVENTS + ADJUSTED[:3])
    assert in_force(history.trials[0])["lr"] == 1.0
    history.apply(Ended(40.0, 0, Status.CANCELLED))
    assert in_force(history.trials[0])["lr"] == 5.0  # nothing was trained with the other


def test_the_same_as_plain_data() -> None:
    data = data_of(scene_of(EVENTS + ADJUSTED + WENT_BACK, advice=ADVICE))
    assert (data["trial"], data["step"], data["total"], data["compared"]) == (1, 20, 60, 0)
    assert data["changes"] == [{"after": 6, "before": {"lr": 5.0}, "now": {"lr": 0.5}}]
    assert data["advice"] == "back 0 lr=0.5"
    assert data["diagnosis"]["code"] == "rate-too-high"
    assert data_of(scene_of(EVENTS[:1])) == {"study": "digits", "trained": True, "trial": None}


def test_frames_of_random_states_never_fail() -> None:
    rng = random.Random(0)
    events = EVENTS + ADJUSTED + WENT_BACK
    for _ in range(60):
        cut = rng.randint(1, len(events))
        frame(scene_of(events[:cut], advice=rng.choice([ADVICE, None])), rng.randint(1, 150), rng.randint(1, 50))

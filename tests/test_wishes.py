"""What follows from a person's requests: in one process, on a virtual clock, and made again by a replay."""

from __future__ import annotations

import contextlib
import random
from dataclasses import replace as changed
from typing import Any

import numpy as np
import pytest

import tunewell as tw
from tunewell.events import (
    Adjusted,
    Answered,
    CheckpointSaved,
    Ended,
    Event,
    Fork,
    Paused,
    Reported,
    Requested,
    Status,
    TrialResumed,
    TrialStarted,
)
from tunewell.history import History
from tunewell.replay import replay
from tunewell.schedulers import SCHEDULERS
from tunewell.testing.histories import created
from tunewell.wishes import Place, completed, next_events

SPACE = tw.Space(
    lr=tw.Float(1e-4, 1.0, scale="log", default=0.125),
    layers=tw.Int(1, 4, default=2),
    optimizer=tw.Choice(["sgd", "adam"], default="sgd"),
    nesterov=tw.Choice([False, True], when={"optimizer": "sgd"}),
)
STEPS = 12


class Diary:
    """An objective that halves its loss the faster the larger its learning rate, and notes what it trained with."""

    def __init__(self, every: int = 1) -> None:
        self.every = every
        self.steps: list[tuple[int, int, float, float | None]] = []

    def __call__(self, trial: tw.Trial) -> None:
        x = float((trial.checkpoint / "x").read_text()) if trial.checkpoint else 1.0
        for step in trial.steps(STEPS):
            self.steps.append((trial.number, step, trial.params["lr"], trial.changed.get("lr")))  # type: ignore[arg-type]
            x *= 1.0 - trial.params["lr"]  # type: ignore[operator]
            trial.report(loss=abs(x))
            if step % self.every == 0:
                trial.save(lambda folder, x=x: (folder / "x").write_text(repr(x)))

    def of(self, trial: int) -> dict[int, float]:
        return {step: lr for number, step, lr, _ in self.steps if number == trial}


def study(**more: Any) -> tw.Study:
    return tw.Study(SPACE, metric="loss", **{"sampler": "random", "scheduler": "fifo", "seed": 0, **more})


def act(tuned: tw.Study, script: dict[tuple[int, int], Any]) -> Any:
    """Return a watcher that calls what the script has for a trial and the step that it has just reported."""

    def watch(history: History, events: Any) -> None:
        for event in events:
            if isinstance(event, Reported) and (todo := script.pop((event.trial, event.step), None)):
                todo()

    return watch


def run(tuned: tw.Study, diary: Any, script: dict[tuple[int, int], Any] | None = None, **more: Any) -> str:
    watch = act(tuned, script or {})
    return tuned.run(diary, **{"trials": 1, "executor": "inline", "progress": watch, **more})


def checked(tuned: tw.Study) -> list[Event]:
    events = tuned.events
    result = replay(events)
    assert result.ok, result.mismatch
    assert not tuned.history.pending
    assert result.answers >= len(tuned.history.answers)
    return events


def of_kind(events: list[Event], *kinds: type) -> list[Any]:
    return [event for event in events if isinstance(event, kinds)]


# --- one wish each ----------------------------------------------------------------------------------------------------


def test_an_adjustment_holds_from_the_next_step_on_and_is_told_once():
    tuned, diary = study(), Diary()
    run(tuned, diary, {(0, 4): lambda: tuned.adjust(0, lr=0.5, reason="it crawls")})
    assert diary.of(0) == {step: 0.125 if step <= 4 else 0.5 for step in range(1, 13)}
    assert [step for _, step, _, change in diary.steps if change is not None] == [5]
    (adjusted,) = of_kind(checked(tuned), Adjusted)
    assert (adjusted.step, adjusted.values, adjusted.by, adjusted.reason) == (4, {"lr": 0.5}, "person", "it crawls")
    assert tuned.trials[0].params["lr"] == 0.125
    assert tuned.trials[0].values_after(5)["lr"] == 0.5
    assert [change.after for change in tuned.schedule(0).changes] == [0, 4]


def test_a_paused_trial_is_held_and_goes_on_when_a_person_says_so():
    tuned, diary = study(), Diary()
    reason = run(tuned, diary, {(0, 4): lambda: tuned.pause(0, reason="let me look")})
    assert reason == "1 trial is done; trial 0 is held"
    assert (tuned.trials[0].status, tuned.trials[0].held, tuned.trials[0].step) == ("paused", True, 4)
    assert run(tuned, diary) == reason, "no run takes it up"
    assert len(diary.steps) == 4
    tuned.adjust(0, lr=0.5)
    tuned.resume(0)
    assert run(tuned, diary) == "1 trial is done"
    assert diary.of(0) == {step: 0.125 if step <= 4 else 0.5 for step in range(1, 13)}
    assert [step for _, step, _, change in diary.steps if change is not None] == [5]
    assert tuned.trials[0].status == "completed"
    checked(tuned)


def test_a_run_goes_on_with_others_while_one_is_held():
    tuned, diary = study(), Diary()
    reason = run(tuned, diary, {(1, 3): lambda: tuned.pause(1)}, trials=4)
    assert reason == "4 trials are done; trial 1 is held"
    assert [str(trial.status) for trial in tuned.trials] == ["completed", "paused", "completed", "completed"]
    checked(tuned)


def test_a_pause_waits_for_a_checkpoint():
    tuned, diary = study(), Diary(every=5)
    run(tuned, diary, {(0, 3): lambda: tuned.pause(0)})
    assert (tuned.trials[0].step, tuned.trials[0].saved) == (5, 5)
    checked(tuned)


def test_a_stopped_trial_is_cancelled_and_may_be_resumed():
    tuned, diary = study(), Diary()
    run(tuned, diary, {(0, 4): lambda: tuned.stop(0, reason="hopeless")})
    assert (tuned.trials[0].status, tuned.trials[0].step) == ("cancelled", 4)
    assert "hopeless" in tuned.trials[0].reason
    with pytest.raises(ValueError, match="is cancelled: fork it"):
        tuned.adjust(0, lr=0.5)
    tuned.resume(0)
    run(tuned, diary)
    assert (tuned.trials[0].status, tuned.trials[0].step, len(diary.steps)) == ("completed", 12, 12)
    checked(tuned)


def test_going_back_puts_a_fork_in_the_place_of_the_trial_which_rests():
    tuned, diary = study(), Diary()
    run(tuned, diary, {(0, 6): lambda: tuned.go_back(0, 5, lr=0.25)}, keep_checkpoints=3)
    old, new = tuned.trials
    assert (old.status, old.held, old.step) == ("paused", True, 6)
    assert (new.fork, new.origin, new.status) == (Fork(0, 5), "person", "completed")
    assert diary.of(1) == dict.fromkeys(range(6, 13), 0.25)
    assert [change for number, _, _, change in diary.steps if number == 1] == [0.25, *[None] * 6]
    checked(tuned)


def test_a_fork_leaves_the_trial_alone_and_does_not_count_towards_the_total():
    tuned, diary = study(), Diary()
    run(tuned, diary, {(0, 6): lambda: tuned.fork(0, lr=0.25)}, trials=2)
    assert [trial.origin for trial in tuned.trials] == ["default", "person", "sampler"], "first in line"
    assert [trial.status for trial in tuned.trials] == ["completed"] * 3
    assert tuned.trials[1].fork == Fork(0, 6), "the newest checkpoint when it was asked for"
    checked(tuned)


def test_a_fork_keeps_the_checkpoint_it_waits_for():
    tuned, diary = study(), Diary()
    run(tuned, diary, {(0, 4): lambda: tuned.fork(0, 4, lr=0.25)})
    assert tuned.trials[1].fork == Fork(0, 4)
    assert diary.of(1) == dict.fromkeys(range(5, 13), 0.25)
    checked(tuned)


def test_a_fork_from_the_last_step_has_nothing_to_train_and_is_no_failure():
    tuned, diary = study(), Diary()
    run(tuned, diary)
    tuned.fork(0)
    run(tuned, diary)
    assert (tuned.trials[1].status, tuned.trials[1].reason) == (
        "cancelled",
        "there was nothing left to train after step 12",
    )
    checked(tuned)


def test_undo_goes_back_to_before_the_newest_change_and_undone_itself_brings_the_trial_back():
    tuned, diary = study(), Diary()
    script = {
        (0, 4): lambda: tuned.adjust(0, lr=0.25),
        (0, 6): lambda: tuned.adjust(0, lr=0.5),
        (0, 9): lambda: tuned.undo(0),
        (1, 8): lambda: tuned.undo(1),
    }
    run(tuned, diary, script)
    old, new = tuned.trials
    assert (new.fork, new.params["lr"], new.held, new.step) == (Fork(0, 6), 0.25, True, 8)
    assert (old.status, old.step) == ("completed", 12)
    assert diary.of(1) == {7: 0.25, 8: 0.25}
    assert diary.of(0) == {step: 0.125 if step <= 4 else 0.25 if step <= 6 else 0.5 for step in range(1, 13)}
    checked(tuned)


def test_a_change_that_nothing_was_trained_with_is_undone_in_place():
    tuned, diary = study(), Diary()

    def hasty() -> None:
        tuned.adjust(0, lr=0.5)
        tuned.undo(0)

    run(tuned, diary, {(0, 4): hasty})
    assert set(diary.of(0).values()) == {0.125}
    assert len(tuned.trials) == 1
    checked(tuned)


def test_undo_goes_to_the_checkpoint_before_the_change_where_not_every_step_is_saved():
    tuned, diary = study(), Diary(every=5)
    run(tuned, diary, {(0, 7): lambda: tuned.adjust(0, lr=0.5), (0, 9): lambda: tuned.undo(0)})
    assert tuned.trials[1].fork == Fork(0, 5)
    assert diary.of(1) == dict.fromkeys(range(6, 13), 0.125)
    checked(tuned)


def test_what_cannot_be_done_is_answered_in_words():
    tuned, diary = study(), Diary()

    def both() -> None:
        tuned.stop(0)
        tuned.adjust(0, lr=0.5)
        tuned.resume(0)

    run(tuned, diary, {(0, 4): both})
    answers = of_kind(checked(tuned), Answered)
    assert [answer.done for answer in answers] == [True, False, True]
    assert answers[1].reason == "trial 0 is cancelled and trains no more: fork it or go back"


def test_requests_wait_for_the_next_run():
    tuned, diary = study(), Diary()
    run(tuned, diary, {(0, 4): lambda: tuned.pause(0)})
    tuned.fork(0, lr=0.25)
    tuned.stop(0)
    assert len(tuned.history.pending) == 2
    run(tuned, diary)
    assert [str(trial.status) for trial in tuned.trials] == ["cancelled", "completed"]
    checked(tuned)


# --- what else knows of it --------------------------------------------------------------------------------------------


def test_no_scheduler_decides_on_a_trial_by_hand_and_a_held_one_is_not_promoted():
    tuned, diary = study(scheduler=tw.schedulers.Asha(reduction=3, min_steps=1)), Diary()
    script = {
        (0, 1): lambda: tuned.adjust(0, lr=0.001, reason="worse on purpose"),
        (2, 1): lambda: tuned.pause(2),
    }
    run(tuned, diary, script, trials=9)
    assert (tuned.trials[0].status, tuned.trials[0].step) == ("completed", STEPS)
    assert (tuned.trials[2].held, tuned.trials[2].step) == (True, 1)
    assert any(trial.status == "paused" and not trial.held for trial in tuned.trials)
    checked(tuned)


@pytest.mark.parametrize(
    "scheduler",
    ["successive_halving", "hyperband", pytest.param("freeze_thaw", marks=pytest.mark.slow), "top_k", "median"],
)
def test_schedulers_go_on_around_a_hand(scheduler: str):
    tuned, diary = study(scheduler=scheduler), Diary()
    script = {
        (0, 1): lambda: tuned.adjust(0, lr=0.01),
        (1, 1): lambda: tuned.pause(1),
        (2, 1): lambda: tuned.fork(2, lr=0.3),
    }
    run(tuned, diary, script, trials=6, max_steps=STEPS)
    assert tuned.trials[1].held
    assert tuned.history.counts[Status.COMPLETED] >= 2
    assert len([trial for trial in tuned.trials if trial.origin != "person"]) == 6
    checked(tuned)


def test_a_population_fills_the_place_of_a_member_that_is_held():
    tuned, diary = study(scheduler=tw.schedulers.PBT(population=4, interval=3, fixed=["layers"])), Diary()
    run(tuned, diary, {(1, 2): lambda: tuned.pause(1)}, trials=None, steps=60, max_steps=STEPS)
    assert tuned.trials[1].held
    assert sum(trial.status == "completed" for trial in tuned.trials) == 4
    checked(tuned)


def test_a_trial_that_is_lost_after_a_change_changes_at_the_same_step_again(tmp_path):
    tuned, diary = study(), Diary(every=5)

    class Crash(BaseException):
        pass

    def crash(history: History, events: Any) -> None:
        for event in events:
            if isinstance(event, Reported) and event.step == 7:
                tuned.adjust(0, lr=0.5)
            if isinstance(event, Reported) and event.step == 9:
                raise Crash

    with pytest.raises(Crash):
        tuned.run(diary, trials=1, executor="inline", progress=crash)
    run(tuned, diary)
    assert [(step, lr, change) for _, step, lr, change in diary.steps[9:]] == [
        (6, 0.125, None),
        (7, 0.125, None),
        (8, 0.5, 0.5),
        *((step, 0.5, None) for step in range(9, 13)),
    ]
    checked(tuned)


def test_samplers_learn_from_what_came_before_the_hand():
    from tunewell.surrogate.observations import observe

    tuned, diary = study(), Diary()
    run(tuned, diary, {(1, 4): lambda: tuned.adjust(1, lr=0.9), (2, 6): lambda: tuned.fork(2, lr=0.9)}, trials=6)
    seen = observe(tuned.space, tuned.history)
    assert len(seen.losses) == 6, "the fork is none"
    at_four = tuned.trials[1].reports[3].metrics["loss"]
    level = [row for row in seen.losses[:, 0] if row == pytest.approx(at_four)]
    assert level or seen.weak.any(), "what trial 1 reported at step 4, there or carried on to the others' level"
    assert not np.isclose(seen.losses[:, 0], tuned.trials[1].value).any()
    assert tuned.best.number in (1, 3), "the fork, or the trial that was adjusted, may be the best all the same"
    assert tuned.best.by_hand


def test_one_changed_fact_is_found_by_a_replay():
    tuned, diary = study(), Diary()
    run(tuned, diary, {(0, 4): lambda: tuned.adjust(0, lr=0.5), (0, 6): lambda: tuned.go_back(0, 4)})
    events = checked(tuned)

    def with_other(kind: type, **other: Any) -> list[Event]:
        place = next(k for k, event in enumerate(events) if isinstance(event, kind) and getattr(event, "by", "") != "")
        return [*events[:place], changed(events[place], **other), *events[place + 1 :]]

    assert not replay(with_other(Adjusted, step=3)).ok
    assert not replay(with_other(Adjusted, values={"lr": 0.25})).ok
    start = next(k for k, e in enumerate(events) if isinstance(e, TrialStarted) and e.origin == "person")
    assert not replay([*events[:start], changed(events[start], fork=Fork(0, 3)), *events[start + 1 :]]).ok
    answer = next(k for k, e in enumerate(events) if isinstance(e, Answered))
    assert not replay([*events[:answer], changed(events[answer], done=False), *events[answer + 1 :]]).ok
    hold = next(k for k, e in enumerate(events) if isinstance(e, Paused))
    assert not replay([*events[:hold], changed(events[hold], trial=0, step=2), *events[hold + 1 :]]).ok


# --- on a virtual clock -----------------------------------------------------------------------------------------------


def test_a_simulated_study_is_steered_as_a_real_one():
    asked: list[tuple[int, float]] = []

    def evaluate(params: Any, step: int) -> tuple[float, float]:
        asked.append((step, params["lr"]))
        return 1.0 / step, 60.0

    tuned = study()
    watch = act(tuned, {(0, 4): lambda: tuned.adjust(0, lr=0.5), (0, 8): lambda: tuned.go_back(0, 4, lr=0.25)})
    tuned.run(trials=1, max_steps=STEPS, executor=tw.executors.Simulated(evaluate), progress=watch)
    assert asked == [
        *((step, 0.125) for step in range(1, 5)),
        *((step, 0.5) for step in range(5, 9)),
        *((step, 0.25) for step in range(5, 13)),
    ]
    checked(tuned)
    assert tuned.history.active_seconds == 16 * 60.0, "the person's clock is not the executor's"


# --- the pure function itself -----------------------------------------------------------------------------------------


def history_of(*events: Event, steps: int = 3) -> History:
    start = TrialStarted(0.0, 0, {"lr": 0.1, "layers": 2, "optimizer": "adam"}, 1, driver="d")
    told: list[Event] = []
    for step in range(1, steps + 1):
        told += [Reported(step, 0, step, {"loss": 1.0 / step}), CheckpointSaved(step, 0, step)]
    return History([created(SPACE), start, *told, *events])


def test_a_request_waits_until_its_place_comes():
    history = history_of(Requested(9.0, 0, "adjust", {"lr": 0.2}))
    assert next_events(history, Place(10.0)) == ()
    assert next_events(history, Place(10.0, boundary=1)) == ()
    answered, adjusted = next_events(history, Place(10.0, boundary=0))
    assert (answered, adjusted.step) == (Answered(10.0, 0, True), 3)  # type: ignore[union-attr]


def test_requests_of_a_trial_are_carried_out_in_order_and_forks_hold_nobody_up():
    wishes = [Requested(9.0, 0, "fork"), Requested(9.1, 0, "adjust", {"lr": 0.2}), Requested(9.2, 0, "pause")]
    history = history_of(*wishes)
    kinds = []
    for _ in range(2):
        for event in next_events(history, Place(10.0, boundary=0)):
            kinds.append(type(event))
            history.apply(event)
    assert kinds == [Answered, Adjusted, Answered, Paused]
    (_, start) = next_events(history, Place(11.0, worker=2, driver="e"))
    assert isinstance(start, TrialStarted)
    assert (start.worker, start.driver, start.fork, start.config["lr"]) == (2, "e", Fork(0, 3), 0.2)


@pytest.mark.parametrize(
    ("rate", "wish"),
    [
        (0.25, lambda tuned: tuned.go_back(0, 4)),
        (0.25, lambda tuned: tuned.undo(0)),
        (5.0, lambda tuned: None),  # the guard
    ],
    ids=["back", "undo", "guard"],
)
def test_what_takes_the_place_of_a_trial_gets_a_worker_before_older_forks(rate: float, wish: Any):
    tuned, diary = study(), Diary()

    def fork_and_wish() -> None:
        tuned.fork(0, 5, reason="an older wish")
        wish(tuned)

    run(tuned, diary, {(0, 4): lambda: tuned.adjust(0, lr=rate), (0, 6): fork_and_wish}, keep_checkpoints=6)
    assert [trial.fork for trial in tuned.trials] == [None, Fork(0, 4), Fork(0, 5)]
    assert tuned.trials[0].held
    assert [request.wish for request in tuned.history.requests][1] == "fork"
    checked(tuned)


def test_a_trial_that_is_resumed_gets_a_worker_before_an_older_fork():
    history = history_of(Paused(8.0, 0, 3, "a person paused it", "hold"))
    history.apply(Requested(9.0, 0, "fork"))
    history.apply(Requested(9.1, 0, "resume"))
    answered, resumed = next_events(history, Place(11.0, worker=0, driver="d"))
    assert isinstance(answered, Answered)
    assert answered.request == 1
    assert isinstance(resumed, TrialResumed)


def test_a_trial_that_was_asked_for_and_one_that_is_not_there_are_refused():
    asked = TrialStarted(4.0, 1, {"lr": 0.1, "layers": 2, "optimizer": "adam"}, 2)
    history = history_of(asked, Requested(9.0, 1, "stop"), Requested(9.0, 7, "stop"))
    for reason in ("trial 1 was asked for: whoever asked for it trains it", "there is no trial 7"):
        (answer,) = next_events(history, Place(10.0))
        assert isinstance(answer, Answered)
        assert (answer.done, answer.reason) == (False, reason)
        history.apply(answer)


def test_a_held_trial_is_not_counted_as_unfinished_and_a_cut_off_one_may_be_held():
    cut = history_of(Paused(9.0, 0, 3, "interrupted", "person"), Requested(9.5, 0, "pause"))
    assert list(cut.unfinished) == [0]
    for event in next_events(cut, Place(10.0)):
        cut.apply(event)
    assert (list(cut.unfinished), cut.trials[0].held, cut.moving, cut.trials[0].stretches[-1].end) == (
        [],
        True,
        {},
        9.0,
    )
    cut.apply(Requested(11.0, 0, "resume"))
    assert next_events(cut, Place(12.0, worker=0, busy=(0,))) == ()
    _, resumed = next_events(cut, Place(12.0, worker=0))
    assert isinstance(resumed, TrialResumed)
    assert resumed.step == 3


def test_a_fork_with_another_parent_value_has_the_parameters_that_go_with_it():
    adam = {"lr": 0.1, "layers": 2, "optimizer": "adam"}
    assert completed(SPACE, adam, {"optimizer": "sgd"}) == {**adam, "optimizer": "sgd", "nesterov": False}
    sgd = {**adam, "optimizer": "sgd", "nesterov": True}
    assert completed(SPACE, sgd, {"optimizer": "adam"}) == adam
    assert completed(SPACE, sgd, {"lr": 7.0}) == {**sgd, "lr": 7.0}


def test_checkpoints_of_a_touched_trial_stay_within_bounds():
    history = history_of(Requested(9.0, 0, "pause"), Answered(9.0, 0, False, ""), steps=2)
    for step in range(3, 200):
        loss = 0.0 if step == 50 else 1.0 / step
        history.apply(Reported(step, 0, step, {"loss": loss}))
        history.apply(CheckpointSaved(step, 0, step))
        if step % 20 == 0:
            history.apply(Adjusted(step, 0, step, {"lr": 0.1 + step}, "person"))
        assert len(history.trials[0].checkpoints) <= 8
    assert history.needed_checkpoints(0) == {50, 140, 160, 180, 197, 198, 199}


def test_an_untouched_trial_keeps_its_newest_checkpoint_only():
    history = history_of(steps=5)
    assert history.needed_checkpoints(0) == {5}
    history.apply(Ended(9.0, 0, Status.DIVERGED))
    assert history.needed_checkpoints(0) == set()
    history.apply(Requested(10.0, 0, "fork"))
    assert history.needed_checkpoints(0) == set(), "what was removed does not come back"
    (answer,) = next_events(history, Place(11.0))
    assert answer == Answered(11.0, 0, False, "trial 0 has no checkpoint to fork from")


# --- anything, in any order -------------------------------------------------------------------------------------------


def rest_of(seed: int, scheduler: Any, workers: int, faults: float = 0.0) -> tw.Study:
    """Run a simulated study on which somebody wishes whatever comes to mind, and once more for what is left."""
    dice = random.Random(seed)
    tuned = study(scheduler=scheduler)

    def wish(history: History, events: Any) -> None:
        if not any(isinstance(event, Reported) for event in events) or dice.random() > 0.5:
            return
        trial = dice.choice(history.trials)
        lr, step = dice.choice([0.05, 0.5, 3.0]), dice.randint(0, max(trial.step, 1))
        wishes = [
            lambda: tuned.adjust(trial, lr=lr, guard=dice.random() < 0.5),
            lambda: tuned.go_back(trial, step, lr=lr),
            lambda: tuned.fork(trial, dice.choice([None, step]), optimizer=dice.choice(["sgd", "adam"])),
            lambda: tuned.pause(trial),
            lambda: tuned.resume(trial),
            lambda: tuned.stop(trial),
            lambda: tuned.undo(trial),
        ]
        with contextlib.suppress(ValueError):  # refused at the border
            dice.choice(wishes)()

    def evaluate(params: Any, step: int) -> tuple[float, float]:
        return (float("nan") if params["lr"] > 2.0 and step > 6 else params["lr"] + 1.0 / step), 1.0 + params["layers"]

    place = tw.executors.Simulated(evaluate, workers=workers, faults=faults, seed=seed)
    for watch in (wish, lambda history, events: None):
        tuned.run(trials=20, steps=600, max_steps=STEPS, executor=place, progress=watch)
    return tuned


POPULATION: dict[str, Any] = {"population": 4, "interval": 3, "fixed": ["layers"]}
EVERY_SCHEDULER: dict[str, Any] = {
    **{name: name for name in SCHEDULERS.names() if name != "replay"},  # which trains one schedule
    "asha that stops": tw.schedulers.Asha(promote=False),
    "pbt": tw.schedulers.PBT(**POPULATION),
    "pb2": tw.schedulers.PB2(**POPULATION),
    "mf_pbt": tw.schedulers.MFPBT(**POPULATION | {"population": 12}),
    "ipbt": tw.schedulers.IPBT(**POPULATION),
}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("scheduler", ["fifo", "asha", "successive_halving"])
def test_whatever_is_wished_follows_from_itself(seed: int, scheduler: str):
    follows_from_itself(seed, scheduler)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("scheduler", EVERY_SCHEDULER)
def test_whatever_is_wished_follows_from_itself_under_every_scheduler(scheduler: str):
    for seed in range(100, 130):
        follows_from_itself(seed, EVERY_SCHEDULER[scheduler])


def follows_from_itself(seed: int, scheduler: Any) -> None:
    """Run a study of random wishes, and make every decision of it again from its events."""
    tuned = rest_of(seed, scheduler, workers=1 + seed % 3, faults=0.02 * (seed % 2))
    events = tuned.events
    result = replay(events)
    assert result.ok, result.mismatch
    assert len(tuned.history.requests) >= 5
    assert not tuned.history.running
    again = History(events)
    assert [repr(trial) for trial in again.trials] == [repr(trial) for trial in tuned.trials]
    assert [trial.checkpoints for trial in again.trials] == [trial.checkpoints for trial in tuned.trials]
    assert (again.pending, again.answers.keys()) == (tuned.history.pending, tuned.history.answers.keys())
    assert set(again.pending) | set(again.answers) == set(range(len(again.requests)))

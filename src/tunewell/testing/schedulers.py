"""What every scheduler keeps to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tunewell.deciders import Deciders
from tunewell.driver import Driver
from tunewell.events import (
    CheckpointSaved,
    Ended,
    Event,
    Goal,
    Paused,
    Reported,
    Status,
    StudyCreated,
    TrialResumed,
    TrialStarted,
)
from tunewell.events import Fork as ForkPoint
from tunewell.executors.simulated import Simulated
from tunewell.history import History
from tunewell.journals.memory import MemoryJournal
from tunewell.ledger import Ledger
from tunewell.limits import Limits
from tunewell.protocols import Continue, Done, Fork, Pause, Resume, Scheduler, Start, Stop, Wait
from tunewell.replay import replay
from tunewell.samplers.random import Random
from tunewell.schedulers import SCHEDULERS
from tunewell.space import Float, Space
from tunewell.testing.histories import created, mixed_space, random_events


class SchedulerContract:
    """Inherit and give a fixture ``scheduler``."""

    @pytest.fixture
    def scheduler(self) -> Scheduler:
        """Return the scheduler under test."""
        raise NotImplementedError

    def test_an_empty_study_starts(self, scheduler: Scheduler) -> None:
        history = History([created()])
        assert isinstance(scheduler.next_action(history.space, history, np.random.default_rng(0)), Start)

    @pytest.mark.parametrize("seed", range(5))
    def test_actions_are_possible_and_pure(self, scheduler: Scheduler, seed: int) -> None:
        events = random_events(mixed_space(), 30, seed=seed, pending=3)
        history = History(events)
        action = scheduler.next_action(history.space, history, np.random.default_rng(0))
        assert action == scheduler.next_action(history.space, History(events), np.random.default_rng(0))
        assert len(history) == len(events)
        match action:
            case Start(config):
                assert config is None or dict(config) == history.space.check(config)
            case Resume(trial, reason):
                assert history.trials[trial].status is Status.PAUSED
                assert reason
            case Fork(trial, step, config, reason):
                assert history.trials[trial].saved >= step
                assert reason
                assert dict(config) == history.space.check(config)
            case Wait(reason) | Done(reason):
                assert reason
            case _:
                raise AssertionError(f"expected an action, got {action!r}")

    @pytest.mark.parametrize("saves", [True, False])
    def test_a_whole_study_with_four_workers(self, scheduler: Scheduler, saves: bool) -> None:
        history = simulate(scheduler, trials=40, steps=27, workers=4, saves=saves)
        ended = scheduler.next_action(history.space, history, np.random.default_rng(0))
        assert len(history.trials) == 40 or isinstance(ended, Done)
        assert not history.running
        for trial in history.trials:
            assert trial.step >= 1
            if trial.status in (Status.PAUSED, Status.STOPPED):
                assert trial.reason
            if trial.status is Status.PAUSED:
                assert trial.saved == trial.step

    @pytest.mark.parametrize(
        "cluster",
        [
            {"workers": 1},
            {"workers": 8},
            {"workers": 8, "stragglers": 0.1, "faults": 0.03, "seed": 1},
            {"workers": 8, "faults": 0.005, "saves": False},
        ],
    )
    def test_a_simulated_study_follows_from_its_events(self, scheduler: Scheduler, cluster: dict[str, Any]) -> None:
        events = play(scheduler, course, space=mixed_space(), trials=50, steps=400, **cluster)
        check_walk(events, cluster["workers"], steps=400)
        result = replay(events, scheduler=scheduler)
        assert result.ok, result.mismatch

    def test_a_history_that_was_asked_before_answers_like_a_new_one(self, scheduler: Scheduler) -> None:
        events = play(scheduler, course, space=mixed_space(), trials=40, workers=4, stragglers=0.1, faults=0.02)
        asked = History()
        for end, event in enumerate(events, 1):
            asked.apply(event)
            answer = scheduler.next_action(asked.space, asked, np.random.default_rng(end))
            if end % (len(events) // 25) == 0:
                new = History(events[:end])
                assert answer == scheduler.next_action(new.space, new, np.random.default_rng(end))

    @pytest.mark.parametrize("saves", [True, False])
    def test_a_crash_changes_no_decision(self, scheduler: Scheduler, saves: bool) -> None:
        events = play(scheduler, course, space=mixed_space(), trials=30, saves=saves)
        for end in np.linspace(1, len(events), 9, dtype=int):
            again = play(scheduler, course, space=mixed_space(), after=events[:end], trials=30, saves=saves)
            assert decisions(again) == decisions(events), f"cut after {end} events"


def curve(config: Any, step: int) -> tuple[dict[str, float], float]:
    """Return the loss and the seconds of a step: curves that fall, some of which cross; one in ten comes to nothing."""
    level, rate = config["level"], 0.2 + config["speed"]
    loss = level + 1.0 / step**rate
    return {"loss": math.nan if level > 0.9 and step == 2 else loss}, 1.0 + config["speed"]


def course(config: Any, step: int) -> tuple[dict[str, float], float]:
    """Return the same for configurations of the mixed space."""
    return curve(
        {"level": abs(math.log10(config["learning_rate"]) + 2.5) / 3.0, "speed": 2.0 * config["dropout"]}, step
    )


def play(
    scheduler: Scheduler,
    evaluate: Any,
    *,
    trials: int | None = None,
    steps: int | None = None,
    max_steps: int = 27,
    after: Sequence[Event] = (),
    goals: tuple[Goal, ...] = (Goal("loss"),),
    space: Space | None = None,
    **cluster: Any,
) -> list[Event]:
    """Run a study on simulated workers and return its events; ``cluster`` as for :class:`Simulated`.

    The space is that of :func:`curve` unless another is given.
    ``after`` are the events of a study that was cut off: what trained then is lost and taken up again.
    """
    settings = {"sampler": "random", "scheduler": SCHEDULERS.describe(scheduler)}
    space = space or Space(level=Float(0.0, 1.0), speed=Float(0.0, 1.0))
    journal = MemoryJournal()
    journal.append(list(after) or [StudyCreated(0.0, "test", space, goals, settings, 0)], None)
    history = History(after)
    lost = [Ended(history.last_time, n, Status.LOST, "the run died", fault="run") for n in history.running]
    journal.append(lost, None)
    executor = Simulated(evaluate, **cluster)
    executor.start(None, None, history.last_time)
    limits = Limits(trials=trials, steps=steps, max_steps=max_steps)
    Driver(Ledger(journal, history.files), Deciders(Random(), scheduler), executor, limits).run()
    return list(journal.read())


def check_walk(events: Sequence[Event], workers: int, steps: int | None = None) -> History:
    """Check what no scheduler may break, event by event: no trial runs twice, no worker either, no step is too many."""
    history = History()
    for event in events:
        if isinstance(event, TrialResumed):
            assert event.trial not in history.running, "a resumed trial runs elsewhere"
            assert event.step == history.trials[event.trial].saved
        history.apply(event)
        assert len(history.running) <= workers
        assert steps is None or history.steps_done <= steps
    for group, trials in history.groups.items():
        moving = [n for n in trials if n in history.running or n in history.unfinished]
        assert sorted(history.moving.get(group, ())) == moving
    return history


def decisions(events: Sequence[Event]) -> list[tuple[Any, ...]]:
    """Return what sampler and scheduler decided, without times and without what followed from crashes."""
    found: list[tuple[Any, ...]] = []
    history = History()
    for event in events:
        match event:
            case TrialStarted():
                found.append(("start", event.trial, dict(event.config), event.group))
            case TrialResumed() if event.trial not in history.unfinished:
                found.append(("resume", event.trial, event.step))
            case Paused(by="scheduler"):
                found.append(("pause", event.trial, event.step))
            case Ended(status=Status.STOPPED):
                found.append(("stop", event.trial, history.trials[event.trial].step))
        history.apply(event)
    return found


def simulate(
    scheduler: Scheduler, *, trials: int, steps: int, workers: int, saves: bool = True, seed: int = 0
) -> History:
    """Run a study on paper: every worker does one step a turn; losses fall towards a random level per trial."""
    history = History([created(seed=seed)])
    levels: dict[int, float] = {}
    busy: list[int] = []
    now = 0.0
    while True:
        now += 1.0
        idle = False
        while len(busy) < workers and not idle:
            rng = np.random.default_rng([seed, len(history.trials)])
            action = scheduler.next_action(history.space, history, rng)
            match action:
                case Resume(trial, _):
                    assert trial not in busy, "a resumed trial runs elsewhere"
                    history.apply(TrialResumed(now, trial, history.trials[trial].saved, driver="d"))
                    busy.append(trial)
                case Start(config=config) if len(history.trials) < trials:
                    number = len(history.trials)
                    config = history.space.sample(rng) if config is None else config
                    group, keep = action.group, action.keep
                    history.apply(TrialStarted(now, number, config, number, driver="d", group=group, keep=keep))
                    levels[number] = float(rng.random())
                    busy.append(number)
                case Fork(trial, step, config) if len(history.trials) < trials:
                    number, donor = len(history.trials), history.trials[trial]
                    assert donor.saved == step or step in donor.kept, "forked from a checkpoint that is not there"
                    if action.replaces is not None:
                        assert history.trials[action.replaces].status is Status.PAUSED
                        history.apply(Ended(now, action.replaces, Status.STOPPED, action.reason))
                    fork, group, keep = ForkPoint(trial, step), action.group, action.keep
                    history.apply(
                        TrialStarted(now, number, config, number, fork=fork, driver="d", group=group, keep=keep)
                    )
                    levels[number] = levels[trial] * float(rng.random())
                    busy.append(number)
                case _:
                    idle = True
        if not busy:
            return history
        for trial in list(busy):
            record = history.trials[trial]
            step = record.step + 1
            history.apply(Reported(now, trial, step, {"loss": levels[trial] + 1.0 / step}))
            if saves:
                history.apply(CheckpointSaved(now, trial, step))
            if step == steps:
                history.apply(Ended(now, trial, Status.COMPLETED))
                busy.remove(trial)
                continue
            verdict = scheduler.decide(history, record.reports[-1])
            match verdict:
                case Pause(reason):
                    assert reason
                    history.apply(Paused(now, trial, step, reason))
                    busy.remove(trial)
                case Stop(reason):
                    assert reason
                    history.apply(Ended(now, trial, Status.STOPPED, reason))
                    busy.remove(trial)
                case _:
                    assert isinstance(verdict, Continue)

"""What every scheduler keeps to."""

from __future__ import annotations

import numpy as np
import pytest

from tunewell.events import CheckpointSaved, Ended, Paused, Reported, Status, TrialResumed, TrialStarted
from tunewell.history import History
from tunewell.protocols import Continue, Done, Fork, Pause, Resume, Scheduler, Start, Stop, Wait
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
        assert len(history.trials) == 40
        assert not history.running
        for trial in history.trials:
            assert trial.step >= 1
            if trial.status in (Status.PAUSED, Status.STOPPED):
                assert trial.reason
            if trial.status is Status.PAUSED:
                assert trial.saved == trial.step


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
                case Start() if len(history.trials) < trials:
                    number = len(history.trials)
                    history.apply(TrialStarted(now, number, history.space.sample(rng), number, driver="d"))
                    levels[number] = float(rng.random())
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

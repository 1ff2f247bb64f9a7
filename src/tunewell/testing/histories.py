"""Histories to test samplers and schedulers on, made from events as a study makes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tunewell.events import CheckpointSaved, Ended, Event, Goal, Paused, Reported, Status, StudyCreated, TrialStarted
from tunewell.history import History
from tunewell.space import Choice, Float, Int, Space


def mixed_space() -> Space:
    """Return a small space with every kind of parameter, and a condition."""
    return Space(
        learning_rate=Float(1e-5, 1e-1, scale="log", default=1e-3),
        momentum=Float(0.8, 0.999, scale="reverse_log"),
        dropout=Float(0.0, 0.5, step=0.1),
        layers=Int(1, 4),
        width=Int(16, 1024, scale="log"),
        batch_size=Choice([32, 64, 128], ordered=True),
        optimizer=Choice(["sgd", "adam"]),
        nesterov=Choice([False, True], when={"optimizer": "sgd"}),
    )


def created(
    space: Space | None = None, seed: int = 0, goals: tuple[Goal, ...] = (Goal("loss"),), **settings: Any
) -> StudyCreated:
    """Return the first event of a study."""
    return StudyCreated(0.0, "test", mixed_space() if space is None else space, goals, settings, seed)


def random_events(
    space: Space,
    trials: int,
    steps: int = 3,
    seed: int = 0,
    pending: int = 0,
    goals: tuple[Goal, ...] = (Goal("loss"),),
) -> list[Event]:
    """Return the events of a study with random configurations and losses of every fate; the last ones still run."""
    rng = np.random.default_rng([seed, trials])
    events: list[Event] = [created(space, seed, goals)]
    now = 0.0
    for number in range(trials):
        now += 1.0
        events.append(TrialStarted(now, number, space.sample(rng), number, driver="d"))
        if number >= trials - pending:
            continue
        fate = rng.random()
        for step in range(1, steps + 1):
            now += 1.0
            losses = {goal.metric: float(rng.random()) for goal in goals}
            if fate < 0.1 and step == steps:
                losses = dict.fromkeys(losses, float("nan"))
            events += [Reported(now, number, step, losses), CheckpointSaved(now, number, step)]
        if fate < 0.1:
            events.append(Ended(now, number, Status.DIVERGED, "NaN"))
        elif fate < 0.2:
            events.append(Ended(now, number, Status.FAILED, "ValueError", error="Traceback"))
        elif fate < 0.3:
            events.append(Ended(now, number, Status.OUT_OF_MEMORY, "MemoryError"))
        elif fate < 0.4:
            events.append(Paused(now, number, steps, "rests"))
        else:
            events.append(Ended(now, number, Status.COMPLETED))
    return events


def run_at_once(history: History, config: Mapping[str, Any], losses: Iterable[float]) -> int:
    """Append a trial that reports ``losses`` step by step, saves each and is still running; return its number."""
    number, now = len(history.trials), float(len(history))
    history.apply(TrialStarted(now, number, config, number, driver="d"))
    for step, loss in enumerate(losses, 1):
        history.apply(Reported(now, number, step, {history.goals[0].metric: loss}))
        history.apply(CheckpointSaved(now, number, step))
    return number

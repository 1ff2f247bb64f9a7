"""A study without a driver: ask a sampler, tell the history."""

from __future__ import annotations

import math

import numpy as np

import tunewell as tw
from tunewell.events import Ended, Goal, Status, TrialStarted
from tunewell.history import History
from tunewell.protocols import Suggestion
from tunewell.testing.histories import created

LOSS = (Goal("loss"),)


def tell(history, number, losses, status=None):
    """End a trial: completed, or diverged where a loss is not finite, unless a status is given."""
    metrics = {goal.metric: loss for goal, loss in zip(history.goals, np.atleast_1d(losses).tolist(), strict=True)}
    fine = all(map(math.isfinite, metrics.values()))
    status = status or (Status.COMPLETED if fine else Status.DIVERGED)
    history.apply(Ended(float(len(history)), number, status, metrics=metrics))


def begin(history, config, origin="sampler"):
    """Start a trial; return its number."""
    number = len(history.trials)
    history.apply(TrialStarted(float(len(history)), number, config, number, origin=origin))
    return number


def ask(sampler, history):
    """Start the trial that the sampler suggests; return its number."""
    answer = sampler.suggest(history.space, history, np.random.default_rng([history.seed, len(history.trials)]))
    config = Suggestion.of(answer).config
    assert dict(config) == history.space.check(config)
    return begin(history, config)


def play(sampler, space, loss, trials, seed=0, workers=1, goals=LOSS, history=None, before_each=lambda history: None):
    """Run trials, ``workers`` at a time; return the history."""
    history, running = history or History([created(space, seed, goals)]), []
    for _ in range(trials):
        before_each(history)
        running.append(ask(sampler, history))
        if len(running) == workers:
            done = running.pop(len(history.trials) % workers)
            tell(history, done, loss(history.trials[done].params))
    return history


def configs(history):
    return [dict(record.params) for record in history.trials]


def cube(d):
    return tw.Space(**{f"x{i}": tw.Float(0.0, 1.0) for i in range(d)})


def bowl(config):
    return sum((value - 0.3) ** 2 for value in config.values())

"""What to do next, as a pure function of the history: the part of a driver that replaying can check."""

from __future__ import annotations

import difflib
import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tunewell.analysis.diagnosis.explosion import hopeless
from tunewell.analysis.diagnosis.overview import Shift, shift_of
from tunewell.events import Ended, Goal, Origin, Reported, Status
from tunewell.history import History, TrialRecord
from tunewell.protocols import (
    Action,
    Done,
    Exhausted,
    Fork,
    Resume,
    Sampler,
    Scheduler,
    Start,
    Suggestion,
    Verdict,
    Wait,
)
from tunewell.space import Config, Space

_NAMED = 5  # trials in a sentence


def beyond_hope(history: History, trial: int) -> str:
    """Return in words why a trial that may train on is ended as diverged, an empty string when it is not.

    A trial whose values a person chose is the person's to judge.
    """
    record = history.trials[trial]
    if record.by_hand or history.settings.get("diagnosis", "off") == "off":
        return ""
    return hopeless(record)


def not_finite(report: Reported, goals: Sequence[Goal]) -> str:
    """Return in words which goal is NaN or infinite in a report, or an empty string."""
    for goal in goals:
        value = report.metrics.get(goal.metric)
        if value is not None and not math.isfinite(value):
            return f"{goal.metric} is {value} at step {report.step}"
    return ""


def without_goal(report: Reported, history: History) -> str:
    """Return in words that a report has no value for the study's metric, where no trial ever gave one, or nothing.

    Which of its names was perhaps meant to be the metric is said with it.
    """
    missing = [goal.metric for goal in history.goals if goal.metric not in report.metrics]
    if not missing or any(record.metric(missing[0]) is not None for record in history.trials):
        return ""
    alike = {re.sub(r"\W", "_", name.lower()): name for name in report.metrics}
    near = difflib.get_close_matches(re.sub(r"\W", "_", missing[0].lower()), alike, n=1, cutoff=0.8)
    hint = f" (is {alike[near[0]]!r} meant to be it?)" if near else ""
    names = ", ".join(sorted(report.metrics))
    return (
        f"trial {report.trial} reports {names}, but not {missing[0]!r}, the study's metric{hint}: a trial "
        "that has not reported or returned it when it ends has failed"
    )


def amounts_to(end: Ended, record: TrialRecord, report: Reported | None = None) -> Ended:
    """Return what the end of a trial amounts to: no value for the study's metric is a failure, NaN divergence.

    ``report`` is the trial's newest, where ``record`` does not hold it yet.
    """
    newest = report or (record.reports[-1] if record.reports else None)
    if end.status in (Status.FAILED, Status.STOPPED) and newest and (nan := not_finite(newest, record.goals)):
        return replace(end, status=Status.DIVERGED, reason="; then ".join(filter(None, (nan, end.reason))))
    if end.status is not Status.COMPLETED:
        return end
    if record.origin == "person" and newest is None and not end.metrics:
        reason = f"there was nothing left to train after step {record.step}"
        return replace(end, status=Status.CANCELLED, reason=reason)
    for goal in record.goals:
        reported = report.metrics.get(goal.metric) if report else None
        value = end.metrics.get(goal.metric, record.metric(goal.metric) if reported is None else reported)
        if value is None:
            return replace(end, status=Status.FAILED, reason=_without(goal, end, record, report), metrics={})
        if not math.isfinite(value):
            reason = end.reason or f"{goal.metric} is {value} at the end"
            return replace(end, status=Status.DIVERGED, reason=reason)
    return end


def _without(goal: Goal, end: Ended, record: TrialRecord, report: Reported | None) -> str:
    reports = [*record.reports, *([report] if report else [])]
    seen = sorted({*end.metrics, *(name for each in reports for name in each.metrics)})
    return (
        f"the objective ended without a value for {goal.metric!r}, the study's metric "
        f"(it gave {', '.join(seen) or 'nothing'}): report it or return it"
    )


def believed(history: History) -> Shift | None:
    """Return the belief that follows from the diagnoses of the trials so far and is not in the list yet."""
    return shift_of(history) if history.settings.get("diagnosis") == "act" else None


def untold_in_words(history: History) -> str:
    """Return which trials somebody asked for and has yet to tell of, and how to give one up, or an empty string."""
    numbers = [trial.number for trial in history.untold]
    if not numbers:
        return ""
    which = f"{', '.join(map(str, numbers[:_NAMED]))}{', ...' if len(numbers) > _NAMED else ''}"
    waits = f"trial {which} was asked for and is" if len(numbers) == 1 else f"trials {which} were asked for and are"
    return f'{waits} not told yet: study.tell({numbers[0]}, status="cancelled") gives it up'


def generator(seed: int, trial: int) -> np.random.Generator:
    """Return the generator that decides on a trial: ``default_rng([seed, trial])``."""
    return np.random.default_rng([seed, trial])


def trial_seed(seed: int, trial: int) -> int:
    """Return the seed a trial trains with, below 2**32; another one than the generator's, so the two share nothing."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{trial}".encode(), digest_size=4).digest(), "big")


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a free worker should do, with the configuration of a new trial filled in, and who chose that.

    ``note`` is what the sampler remarked about the study.
    """

    action: Start | Resume | Fork | Wait | Done
    config: Config
    origin: Origin = "scheduler"
    seed: int = 0
    note: str = ""


def choose(history: History, sampler: Sampler, scheduler: Scheduler, may_start: bool = True) -> Chosen:
    """Return what a free worker should do next: a pure function of the history.

    First in line are configurations that a person enqueued, then the default one if the study begins with it, then
    whatever the scheduler says; ``may_start=False`` leaves only trials that are there already.
    """
    rng, seed = generator(history.seed, len(history.trials)), trial_seed(history.seed, len(history.trials))
    action = scheduler.next_action(history.space, history, rng)
    if may_start and (first := history.first_in_line):
        start = Start()
        if isinstance(action, Start) and action.config is None:  # it takes the place of what would have started
            start = Start(group=action.group, keep=action.keep)
        return Chosen(start, first[0], first[1], seed)
    if isinstance(action, Fork):
        return Chosen(action, _checked(history.space, action.config, scheduler), "scheduler", seed)
    if not isinstance(action, Start):
        return Chosen(action, {})
    if not may_start:
        return Chosen(Wait("no more trials may start"), {})
    if action.config is not None:
        return Chosen(action, _checked(history.space, action.config, scheduler), "scheduler", seed)
    try:
        suggested = Suggestion.of(sampler.suggest(history.space, history, rng))
    except Exhausted as exhausted:
        return Chosen(Done(str(exhausted)), {})
    start = replace(action, reason="; ".join(filter(None, (action.reason, suggested.reason))))
    return Chosen(start, _checked(history.space, suggested.config, sampler), "sampler", seed, suggested.note)


def _checked(space: Space, config: Config, author: Any) -> Config:
    """Return what an algorithm suggested in plain Python; raise ValueError when it is no configuration."""
    try:
        return space.check(config)
    except ValueError as error:
        raise ValueError(f"{type(author).__name__} suggested {config!r}, which is no configuration: {error}") from error


class StartsOnly:
    """A scheduler as it decides for ``study.ask``: a caller that asks wants a new trial, never one that is there."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def next_action(self, space: Space, history: History, rng: np.random.Generator) -> Action:
        """Return the scheduler's action, or a plain start in the place of a resumption, a fork or a wait."""
        action = self._scheduler.next_action(space, history, rng)
        return action if isinstance(action, Start | Done) else Start()

    def decide(self, history: History, report: Reported) -> Verdict:
        """Return what the scheduler decides."""
        return self._scheduler.decide(history, report)

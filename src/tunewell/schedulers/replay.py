"""Replay: train a schedule again, as it was found by population-based training or written by hand.

A schedule that only works with the weights it was found on is worth little. So it is trained anew, from other initial
weights: begin with its first values, and at each change go on as a fork with the next. The objective needs no change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tunewell import options
from tunewell.events import Reported, Status
from tunewell.history import History, TrialRecord
from tunewell.protocols import Action, Continue, Done, Fork, Pause, Resume, Start, Stop, Verdict, Wait
from tunewell.schedules import Schedule, changes_of
from tunewell.space import Space
from tunewell.values import jsonable

_GROUP = "replay/"


@dataclass(frozen=True)
class Replay:
    """Trains a schedule, ``repeats`` times with different seeds.

    The objective has to save a checkpoint at each step after which values change. A repeat ends when a trial of it
    completes, or ends in any other way; the study is done when all have.

    Attributes:
        schedule: a :class:`~tunewell.schedules.Schedule`, the path of a file that one was saved to, or its changes as
            plain data, which is what the study keeps: ``[{"after": 0, "params": {...}}, {"after": 10, ...}]``.
        repeats: how many trainings.

    Raises:
        ValueError: it is no schedule, or less than one repeat.
        FileNotFoundError: there is no such file.

    >>> import tunewell as tw
    >>> slower = [{"after": 0, "params": {"lr": 0.1}}, {"after": 10, "params": {"lr": 0.01}}]
    >>> scheduler = tw.schedulers.Replay(slower, repeats=5)
    """

    schedule: Any
    repeats: int = 1

    def __post_init__(self) -> None:
        options.whole("replay", "repeats", self.repeats, 1)
        given = self.schedule
        if isinstance(given, str | Path):
            given = Schedule.load(given)
        elif not isinstance(given, Schedule):
            given = _from_plain(given)
        changes = [{"after": change.after, "params": jsonable(change.params)} for change in given.changes]
        object.__setattr__(self, "schedule", changes)  # plain data, for the study's settings

    def check_space(self, space: Space) -> None:
        """Refuse values that the space does not have.

        Raises:
            ValueError: so it is.
        """
        for change in changes_of(self.schedule):
            space.check(change.params)

    def next_action(self, space: Space, history: History, rng: np.random.Generator) -> Action:
        """Fork what has come to a change, start what has not begun."""
        changes = changes_of(self.schedule)
        working, short = 0, []
        for repeat in range(self.repeats):
            members = history.groups.get(f"{_GROUP}{repeat}")
            if not members:
                reason = f"the schedule's first values, repeat {repeat + 1} of {self.repeats}"
                return Start(changes[0].params, reason, f"{_GROUP}{repeat}")
            newest = history.trials[members[-1]]
            working += not newest.over
            if newest.status is not Status.COMPLETED or newest.step < changes[-1].after:
                short.append(newest)
            rests = newest.status is Status.PAUSED and newest.paused_by == "scheduler"
            if not rests and newest.status is not Status.STOPPED:
                continue
            change = next((c for c in changes if c.after == newest.step and not _begins(newest, c.after)), None)
            if change is None or newest.saved != newest.step:
                if rests:
                    return Resume(newest.number, "nothing changes here")
                continue
            reason = f"the schedule's values after step {change.after}"
            config = space.check(change.params)
            return Fork(
                newest.number, newest.step, config, reason, newest.group, replaces=newest.number if rests else None
            )
        if working:
            return Wait(f"{working} repeats are training")
        if not short:
            return Done("the schedule has been trained")
        last = short[-1]
        came = f"{self.repeats - len(short)} of {self.repeats} repeats came to the end of the schedule"
        why = f": {last.reason}" if last.status is not Status.COMPLETED else ""
        return Done(f"{came}; trial {last.number} {last.status} at step {last.step}{why}")

    def decide(self, history: History, report: Reported) -> Verdict:
        """Rest where the values change."""
        trial = history.trials[report.trial]
        changes = {change["after"] for change in self.schedule}
        if not trial.group.startswith(_GROUP) or report.step not in changes:
            return Continue()
        if trial.saved != report.step:
            return Stop(
                f"replay expected a checkpoint of step {report.step}, after which the values change, found none: "
                "call trial.save(...) there"
            )
        return Pause(f"the values change after step {report.step}")


def _begins(trial: TrialRecord, step: int) -> bool:
    return trial.fork is not None and trial.fork.step == step


def _from_plain(data: Any) -> Schedule:
    try:
        if isinstance(data, str | Mapping) or not isinstance(data, Sequence):
            raise TypeError
        return Schedule(changes_of(data))
    except (KeyError, TypeError, AttributeError):
        raise ValueError(
            "replay expected a Schedule, the path of one, or a list such as "
            f'[{{"after": 0, "params": {{"lr": 0.1}}}}], got {data!r}'
        ) from None

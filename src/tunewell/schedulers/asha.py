"""ASHA: asynchronous successive halving.

Li et al., "A system for massively parallel hyperparameter tuning", MLSys 2020, Algorithm 2. Every trial trains to the
first rung and rests there; whenever a worker is free, the best resting trial of the highest rung that has room is
promoted to the next, and only if no rung has room a new trial starts. A rung with n results has room for floor(n/η)
promotions, so it promotes as soon as it has η results, and never has to wait for a bracket to fill. Once no more trials
may start and none comes to a rung any more, its best one goes on, room or not: so somebody is trained to the end
however few trials there are.

Rung k lies at ``min_steps * η**(k + early_stopping_rate)`` steps.

With ``promote=False`` nobody rests: a trial that reports at a rung trains on if it is among the best floor(n/η) of the
n that have reported there so far, itself included, and is stopped for good otherwise. This is what Ray Tune's ASHA and
Optuna's successive halving do, and it needs no checkpoints. While a rung has fewer than η results there is no best 1/η:
as in Optuna, the best so far trains on then (in Ray Tune the very first does, then whoever is not below a percentile).
So the first trial always trains on, and a trial that was stopped early is never given another chance.

Deviations from the paper:

* The paper promotes any trial in the top 1/η that has not been promoted, so that a sequence of ever better trials is
  promoted whole. Here a rung never promotes more than floor(n/η) of its n results in total: the compute that a rung
  passes on is what the algorithm says it is. The promoted trial is always in the top 1/η as well. The one more of the
  end is ours, too: the paper's runs have no total of trials.
* A trial that reports at a rung and is to be promoted at once simply trains on, without the detour over its checkpoint.
* A trial that has no checkpoint at its rung cannot rest. It trains on if the rung has room and it is in the top 1/η,
  and is stopped otherwise.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np

from tunewell import options
from tunewell.events import Reported, Status
from tunewell.history import History, Rung
from tunewell.protocols import Action, Continue, Pause, Resume, Start, Stop, Verdict
from tunewell.space import Space

_LAST = "the best that is left, for no more trials may start"


@dataclass(frozen=True)
class Asha:
    """Asynchronous successive halving with true pause and promotion.

    Attributes:
        reduction: η; the best 1/η of a rung goes on to η times as many steps.
        min_steps: steps to the first rung.
        max_steps: no rung lies here or beyond, so a promoted trial trains to its end. None: the objective ends it.
        early_stopping_rate: s; shifts the first rung to ``min_steps * η**s``.
        promote: whether trials rest at a rung and may be promoted later. False: they are stopped there, once and for
            all, unless they are among the best so far.
    """

    reduction: int = 3
    min_steps: int = 1
    max_steps: int | None = None
    early_stopping_rate: int = 0
    promote: bool = True

    def __post_init__(self) -> None:
        options.rungs("asha", self.reduction, self.min_steps, self.max_steps)
        options.whole("asha", "early_stopping_rate", self.early_stopping_rate, 0)
        if not isinstance(self.promote, bool):
            raise ValueError(f"asha expected promote to be True or False, got {self.promote!r}")

    def rungs(self, up_to: int) -> list[int]:
        """Return the steps of all rungs up to and including ``up_to`` steps, below ``max_steps``.

        Where losses are not reported after every step, each lies at the next report: see :mod:`tunewell.cadence`.
        """
        end = up_to if self.max_steps is None else min(up_to, self.max_steps - 1)
        found, step = [], self.min_steps * self.reduction**self.early_stopping_rate
        while step <= end:
            found.append(step)
            step *= self.reduction
        return found

    def next_action(self, space: Space, history: History, rng: np.random.Generator) -> Action:
        """Promote from the highest rung that has room; start a new trial when none has."""
        return self.promotion(history) or Start()

    def decide(self, history: History, report: Reported) -> Verdict:
        """Rest at a rung, unless there is room to go on at once."""
        return self.verdict(history, report)

    def promotion(self, history: History, group: str | None = None) -> Resume | None:
        """Return the best waiting trial of the highest rung with room, among the trials of ``group`` or all."""
        if not self.promote:
            return None
        for step, until in reversed(self._rungs(history, history.furthest_step)):
            rung = history.rung(step, group, until)
            if self._room(rung) <= 0:
                continue
            trial = rung.best_waiting(history.trials)
            if trial is not None:
                return Resume(trial, f"promoted from rung {step}{_of(group)}: {self._place(rung, trial)}")
        return self._last_promotion(history, group)

    def verdict(self, history: History, report: Reported, group: str | None = None) -> Verdict:
        """Return what becomes of a trial after its newest report, among the trials of ``group`` or all."""
        rungs = self._rungs(history, report.step)
        if not rungs:
            return Continue()
        step, until = rungs[-1]
        rung = history.rung(step, group, until)
        if rung.came_at(report.trial) != report.step:  # no loss was reported here
            return Continue()
        trial = history.trials[report.trial]
        # The trial itself counts among those that have moved on until it is told to rest.
        has_room = self._room(rung) + 1 >= 1
        is_winner = self.promote and _winner(history, rung, group) == trial.number
        last = f", {_LAST}" if is_winner and not has_room else ""
        place = f"rung {step}{_of(group)}: {self._place(rung, trial.number)}{last}"
        if not self.promote:
            if rung.rank(trial.number) <= max(1, len(rung) // self.reduction):
                return Continue(f"{place}, so it trains on")
            return Stop(f"{place}, so it is stopped")
        if trial.saved != report.step:
            rank = rung.rank(trial.number)
            if (has_room and rank <= len(rung) // self.reduction) or (is_winner and rank == 1):
                return Continue(f"{place}, so it trains on")
            return Stop(f"{place}, and without a checkpoint it cannot wait")
        waiting = rung.best_waiting(history.trials)
        is_best = waiting is None or rung.rank(trial.number) < rung.rank(waiting)
        if (has_room and is_best) or is_winner:
            return Continue(f"{place}, so it trains on")
        return Pause(f"{place}, so it waits")

    def _last_promotion(self, history: History, group: str | None) -> Resume | None:
        """Return the winner of the lowest rung where one still waits."""
        for step, until in self._rungs(history, history.furthest_step):
            rung = history.rung(step, group, until)
            winner = _winner(history, rung, group)
            if winner is not None and winner == rung.best_waiting(history.trials):
                place = f"rung {step}{_of(group)}: place {rung.rank(winner)} of {len(rung)}"
                return Resume(winner, f"goes on from {place}, {_LAST}")
        return None

    def _rungs(self, history: History, up_to: int) -> list[tuple[int, int]]:
        """Return the rungs up to a step as they lie in a study, each with the step at which the next one begins."""
        at, found = history.cadence.at, list[tuple[int, int]]()
        planned = at(self.min_steps) * self.reduction**self.early_stopping_rate
        end = sys.maxsize if self.max_steps is None else self.max_steps
        step = min(at(planned), end)
        while step <= up_to and step < end:
            planned *= self.reduction
            following = min(at(planned), end)
            if following > step:
                found.append((step, following))
            step = following
        return found

    def _room(self, rung: Rung) -> int:
        """Return how many more the rung may promote now."""
        return len(rung) // self.reduction - rung.moved_on

    def _place(self, rung: Rung, trial: int) -> str:
        goes_on = len(rung) // self.reduction
        return f"place {rung.rank(trial)} of {len(rung)}, {goes_on if self.promote else max(1, goes_on)} go on"


def _winner(history: History, rung: Rung, group: str | None) -> int | None:
    """Return the best trial of a rung to which none comes any more, for no more may start; None where one may.

    Left out are those that ended before their training did, and those that a person holds.
    """
    if history.may_start:
        return None
    moving = history.moving.values() if group is None else [history.moving.get(group, {})]
    below = (n for numbers in moving for n in numbers if n not in rung)
    if any(history.trials[number].step < rung.until for number in below):
        return None
    ranked = (history.trials[number] for number in rung.best_first())
    left = (t for t in ranked if t.status is Status.COMPLETED or not (t.over or t.held))
    return next((trial.number for trial in left), None)


def _of(group: str | None) -> str:
    return f" of the trials {group}" if group else ""

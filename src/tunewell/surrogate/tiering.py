"""How far a tiered search has come: which tier it is in, what the ones before it took, and why they ended.

A pure function of the history. Trials count in the order in which they first came to rest, those in training after
them; the first of all is the default configuration. What a trial costs is one of a total of trials, its steps of a
total of steps, and its share of the workers' time of a total of seconds; the newest run's total counts. What a tier may
take is settled by what is left when it begins (:func:`tunewell.tiers.allotted`), so what one leaves flows on.

A tier is over before that when its last ``1 + p`` results brought nothing worth having: less than 5 % of the way from
the median to the best loss. With several goals only what it may take ends it. Where the budget is too small for every
tier (:func:`tunewell.tiers.few`), the first is over after ``p`` such results, and all parameters together follow it. A
trial that rests before its last step is compared with what the others had reported at that step, and counts as the
share of a training that it had.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Literal, TypeAlias

from tunewell.events import RunStarted, Status
from tunewell.history import OBSERVED, History, TrialRecord
from tunewell.tiers import Tier, allotted, few

Unit: TypeAlias = Literal["trials", "steps", "seconds"]
Ending: TypeAlias = Literal["", "found", "spent"]
_WORTH = 0.05
_UNCOUNTED = frozenset({Status.FAILED, Status.LOST})


@dataclass(frozen=True)
class Passage:
    """A tier that has begun.

    Attributes:
        tier: counted from 0; as many as there are tiers means everything together.
        allotted: what it may take, in the budget's unit; infinite while that is not known.
        taken: what it took so far.
        trials: how many trials of it there are.
        before: the trial that was best when it began, None for none.
        ended: why: nothing more was to be ``"found"``, or what it may take is ``"spent"``; empty while it lasts.
    """

    tier: int
    allotted: float
    taken: float
    trials: int
    before: int | None
    ended: Ending = ""


@dataclass(frozen=True)
class Standing:
    """The tiers that have begun, the current one last; of everything together the trials are not counted.

    ``few`` tells whether the budget is too small to tune each tier by itself; then everything follows the first one.
    """

    passages: tuple[Passage, ...]
    unit: Unit
    total: float
    few: bool = False

    @property
    def now(self) -> Passage:
        """The current tier."""
        return self.passages[-1]


def budget_of(run: RunStarted | None) -> tuple[Unit, float]:
    """Return the unit and the total of a run: of trials if it says one, else of steps, else of seconds."""
    if run is not None:
        if run.trials is not None:
            return "trials", float(run.trials)
        if run.steps is not None:
            return "steps", float(run.steps)
        if run.seconds is not None:
            return "seconds", float(run.seconds)
    return "trials", math.inf


def standing(tiers: Sequence[Tier], history: History) -> Standing:
    """Return where a search by ``tiers`` stands."""
    unit, total = budget_of(history.run)
    walk = _Walk(tiers, total, len(history.goals) == 1)
    counted = list(_costs(history, unit))
    rests = {record.step for record, _ in counted}
    for record, cost in counted:
        if not walk.advance():
            break
        share = _share(record, history.horizon)
        walk.take(cost, cost if unit == "trials" or cost is None else cost / share)
        if cost is not None and record.status not in _UNCOUNTED:
            walk.compare(record, share, {step: loss for step, loss in _losses(record) if step in rests})
    walk.advance()
    return Standing((*walk.passages, walk.current("")), unit, total, walk.few)


def _costs(history: History, unit: Unit) -> Iterator[tuple[TrialRecord, float | None]]:
    """Yield the trials in the order in which they count with what each cost, None while it trains."""
    workers = history.run.workers if history.run is not None else 1
    rested = dict.fromkeys(history.rested)
    for number in [*rested, *(number for number in history.running if number not in rested)]:
        record = history.trials[number]
        if record.fork is not None:
            continue
        if record.status is Status.RUNNING and number not in rested:
            yield record, None
        elif unit == "trials":
            yield record, float(record.status not in _UNCOUNTED)
        else:
            yield record, float(record.step) if unit == "steps" else record.seconds / max(1, workers)


def _share(record: TrialRecord, horizon: int | None) -> float:
    """Return how much of a training a trial is: less than 1 where it rests, goes on or was stopped before its end."""
    if horizon and record.status in (Status.PAUSED, Status.STOPPED, Status.RUNNING) and 0 < record.step < horizon:
        return record.step / horizon
    return 1.0


def _losses(record: TrialRecord) -> Iterator[tuple[int, float]]:
    """Yield the steps of a trial with the losses there; the newest one is infinite where the trial does not count."""
    goal = record.goals[0]
    for step, value in record.curve(goal.metric):
        yield step, goal.loss(value)
    own = record.status in OBSERVED and record.feasible and not record.adjustments
    loss = record.loss if own else None
    yield record.step, math.inf if loss is None or math.isnan(loss) else loss


class _Walk:
    """Goes through the trials and notes where each tier begins and ends."""

    def __init__(self, tiers: Sequence[Tier], total: float, judged: bool) -> None:
        self.passages: list[Passage] = []
        self._tiers, self._total, self._judged = tiers, total, judged
        self._costs: list[float] = []  # of the trials that cost anything
        self._whole: list[float] = []  # what these would have cost, had they trained to the end
        self._losses: dict[int, list[float]] = {}  # the finite ones, by step
        self._least = math.inf
        self._best: int | None = None
        self._tier = -1  # the default configuration
        self.few = False  # too little for every tier
        self._begin()

    @property
    def _usual(self) -> float | None:
        """What a training costs, None while that is not known."""
        return fmean(self._whole) if self._whole else None

    def _begin(self) -> None:
        self._allotted = math.inf
        self._left = max(0.0, self._total - sum(self._costs))
        self._taken, self._trials, self._pending = 0.0, 0, 0
        self._before = self._best
        self._results = 0
        self._in_vain = 0.0  # trainings since the last gain

    def advance(self) -> bool:
        """Go on to the next tier where the current one is over; return whether there is one to take trials."""
        if self._tier < 0:
            if not self._trials:
                return True
            self._tier = 0
            self._begin()
        while self._tier < len(self._tiers):
            self._settle()
            ended = self._ended()
            if not ended:
                return True
            self.passages.append(self.current(ended))
            self._tier = len(self._tiers) if self.few else self._tier + 1
            self._begin()
        self._allotted = self._left
        return False

    def _settle(self) -> None:
        """Say what the current tier may take, as soon as it is known what a training costs."""
        usual = 1.0 if math.isinf(self._total) else self._usual
        if math.isinf(self._allotted) and usual is not None:
            left = self._left / usual
            self.few = few(left, self._tiers) if self._tier == 0 else self.few
            self._allotted = usual * allotted(left, self._tiers[self._tier :])[0]

    def _ended(self) -> Ending:
        tier, usual = self._tiers[self._tier], fmean(self._costs) if self._costs else 0.0
        if self._taken + (self._pending + 0.5) * usual >= self._allotted:
            return "spent"
        patience = len(tier.parameters) + (not self.few) - 1e-9
        return "found" if self._judged and self._results >= tier.fewest and self._in_vain >= patience else ""

    def current(self, ended: Ending) -> Passage:
        """Return the current tier as it stands."""
        return Passage(max(0, self._tier), self._allotted, self._taken, self._trials, self._before, ended)

    def take(self, cost: float | None, whole: float | None) -> None:
        """Count a trial for the current tier: ``cost`` is None while it trains, ``whole`` that of all its steps."""
        self._trials += cost != 0.0
        if cost is None or whole is None:
            self._pending += 1
            return
        self._taken += cost
        if cost:
            self._costs.append(cost)
            self._whole.append(whole)

    def compare(self, record: TrialRecord, share: float, losses: Mapping[int, float]) -> None:
        """Note whether a trial, that much of a training, brought something; ``losses`` by step hold its newest."""
        loss = losses[record.step]
        others = self._losses.get(record.step, [])
        least = min(others, default=math.inf)
        worth = _WORTH * (median(others) - least) if others else 0.0
        self._results += 1
        self._in_vain = 0.0 if loss < least - worth else self._in_vain + share
        if loss < self._least:
            self._least, self._best = loss, record.number
        for step, value in losses.items():
            if math.isfinite(value):
                self._losses.setdefault(step, []).append(value)

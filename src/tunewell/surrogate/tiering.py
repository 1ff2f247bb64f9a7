"""How far a tiered search has come: which tier it is in, what the ones before it took, and why they ended.

A pure function of the history. A trial belongs to the tier for which it was suggested, as its reason says, so a tier
stays what it was when later runs have other totals, or paused trials go on; those without such a reason (enqueued ones)
belong to the tier that they came in. The first of all is the default configuration. What a trial costs is one of a
total of trials, its steps of a total of steps, and its share of the workers' time of a total of seconds; the total of
the run in which a tier was last at work counts. What a tier may take is settled by what is left when it begins
(:func:`tunewell.tiers.allotted`), so what one leaves flows on.

A tier is over before that when its last ``1 + p`` results brought nothing worth having: less than 5 % of the way from
the median to the best loss. With several goals only what it may take ends it. Where the budget is too small for every
tier (:func:`tunewell.tiers.few`), the first is over after ``p`` such results, and all parameters together follow it;
the others come after them if a later run pays for them. Trials are compared after equal training: one that rests before
its last step with what the others had reported at that step, and it counts as the share of a training that it had.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import Literal, TypeAlias

from tunewell.events import RunStarted, Status
from tunewell.history import OBSERVED, History, TrialRecord
from tunewell.tiers import Tier, allotted, few, planned

Unit: TypeAlias = Literal["trials", "steps", "seconds"]
Ending: TypeAlias = Literal["", "found", "spent"]
ALL = "tiered, all"  # as the reasons of trials say that belong to no tier; see also tier_in_words
FIRST = "tiered: the default configuration comes first"
_SAID = re.compile(rf"tiered, tier (\d+) of|{ALL}")
_WORTH = 0.05
_UNCOUNTED = frozenset({Status.FAILED, Status.LOST})
_HOPELESS = 8  # trials of a tier of which all diverged, as all before: the cause is elsewhere


@dataclass(frozen=True)
class Passage:
    """A tier that has begun.

    Attributes:
        tier: counted from 0; as many as there are tiers means everything together.
        unit: of what it took and may take.
        planned: what it was to take at most before anything was tuned.
        allotted: what it may take, with what others left; infinite while that is not known.
        taken: what it took so far.
        trials: how many trials of it there are.
        before: the trial that was best when it began, None for none.
        ended: why: nothing more was to be ``"found"``, or what it may take is ``"spent"``; empty while it lasts.
    """

    tier: int
    unit: Unit
    planned: float
    allotted: float
    taken: float
    trials: int
    before: int | None
    ended: Ending = ""


@dataclass(frozen=True)
class Standing:
    """The tiers that have begun, the current one last.

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


def tier_in_words(tiers: Sequence[Tier], place: int) -> str:
    """Return how a tier is called, in the reasons of its trials, too."""
    return f"tiered, tier {place + 1} of {len(tiers)}"


def standing(tiers: Sequence[Tier], history: History) -> Standing:
    """Return where a search by ``tiers`` stands."""
    (_, before), *begun = _stretches(tiers, history)
    search = _Search(tiers, history, before)
    for place, (tier, own) in enumerate(begun):
        newest = place + 1 == len(begun)
        search.begin(tier, history.run if newest else _run_at(history, own[-1].number), own)
    if not begun:
        search.begin(0, history.run, [])
    search.go_on()
    unit, total = budget_of(history.run)
    return Standing(tuple(search.passages), unit, total, search.few)


def leader(history: History, trials: Iterable[TrialRecord]) -> TrialRecord | None:
    """Return the best of some trials after equal training by the first goal, None where none has a loss.

    Whole trainings are compared by what they came to; those that rest or were stopped early, the longest first, with
    the best so far at the step that they have reached.
    """
    whole: list[TrialRecord] = []
    short: list[TrialRecord] = []
    for record in trials:
        if record.observed and record.feasible:
            (short if is_short(record, history) else whole).append(record)
    best = min(whole, key=lambda record: (_loss(record), record.number), default=None)
    for record in sorted(short, key=lambda record: (-record.step, _loss(record), record.number)):
        if best is None or _loss(record) < loss_at(best, record.step):
            best = record
    return best


def is_short(record: TrialRecord, history: History) -> bool:
    """Tell whether a trial rests, goes on or was stopped before its end."""
    return _share(record, history.horizon) < 1.0


def loss_at(record: TrialRecord, step: int) -> float:
    """Return the first goal's loss as it stood after a step, that of the end where it trained less."""
    if step >= record.step:
        return _loss(record)
    goal = record.goals[0]
    curve = record.curve(goal.metric)
    place = bisect_right(curve, step, key=lambda point: point[0])
    return goal.loss(curve[place - 1][1]) if place else math.inf


def _loss(record: TrialRecord) -> float:
    """Return the loss of the first goal, infinite where there is none."""
    loss = record.loss
    return math.inf if loss is None or math.isnan(loss) else loss


def _stretches(tiers: Sequence[Tier], history: History) -> list[tuple[int, list[TrialRecord]]]:
    """Return the tiers in the order in which trials were suggested for them; before the first one it is -1."""
    found: list[tuple[int, list[TrialRecord]]] = [(-1, [])]
    for record in history.trials:
        if record.fork is not None or record.origin == "added":
            continue
        said = _SAID.search(record.why)
        if said is not None:
            tier = len(tiers) if said[1] is None else min(int(said[1]), len(tiers)) - 1
            if tier != found[-1][0]:
                found.append((tier, []))
        found[-1][1].append(record)
    return found


def _share(record: TrialRecord, horizon: int | None) -> float:
    """Return how much of a training a trial is: less than 1 where it rests, goes on or was stopped before its end."""
    if horizon and record.status in (Status.PAUSED, Status.STOPPED, Status.RUNNING) and 0 < record.step < horizon:
        return record.step / horizon
    return 1.0


def _run_at(history: History, number: int) -> RunStarted | None:
    """Return the run in which a trial began, None where no run had."""
    return next((run for first, run in reversed(history.runs.items()) if first <= number), None)


@dataclass(frozen=True)
class _Budget:
    """A run's total, and what trials cost of it."""

    unit: Unit
    total: float
    workers: int
    history: History

    @classmethod
    def of(cls, run: RunStarted | None, history: History) -> _Budget:
        """Return the budget of a run."""
        return cls(*budget_of(run), max(1, run.workers) if run is not None else 1, history)

    def cost(self, record: TrialRecord) -> float:
        """Return what a trial has cost so far."""
        if self.unit == "trials":
            return float(record.status not in _UNCOUNTED)
        return float(record.step) if self.unit == "steps" else record.seconds / self.workers

    def whole(self, records: Sequence[TrialRecord]) -> float | None:
        """Return what a full training costs, as those of some trials say that have rested; None where none has."""
        if self.unit == "trials":
            return 1.0
        costs = ((record, self.cost(record)) for record in records if record.status is not Status.RUNNING)
        found = [cost / _share(record, self.history.horizon) for record, cost in costs if cost]
        return fmean(found) if found else None

    def left(self, records: Sequence[TrialRecord]) -> float:
        """Return what some trials leave."""
        return max(0.0, self.total - sum(map(self.cost, records)))


class _Search:
    """The tiers as they began, and what follows where the last one is over."""

    def __init__(self, tiers: Sequence[Tier], history: History, before: Sequence[TrialRecord]) -> None:
        self.passages: list[Passage] = []
        self._tiers, self._history, self._before = tiers, history, before
        self._budget = _Budget.of(history.run, history)
        self._rested = set(history.rested)
        self._earlier = list(before)  # trials than those of the current tier
        self._own: Sequence[TrialRecord] = []

    @property
    def few(self) -> bool:
        """Whether the newest run is too small for every tier."""
        budget = _Budget.of(self._history.run, self._history)
        whole = budget.whole(self._before)
        return whole is not None and few(budget.left(self._before) / whole, self._tiers)

    def begin(self, tier: int, run: RunStarted | None, own: Sequence[TrialRecord]) -> None:
        """Note a tier with its trials."""
        if self.passages and self.passages[-1].tier < len(self._tiers):
            self.passages[-1] = replace(self.passages[-1], ended="spent" if self._spent() else "found")
        self._earlier += self._own
        self._own = own
        self._budget = budget = _Budget.of(run, self._history)
        taken = sum(budget.cost(record) for record in self._resting(own))
        trials = sum(record.status not in _UNCOUNTED for record in own)
        best = leader(self._history, self._earlier)
        most = self._planned(tier), self._allotted(tier)
        self.passages.append(Passage(tier, budget.unit, *most, taken, trials, None if best is None else best.number))

    def go_on(self) -> None:
        """Note the tiers that follow, as far as those before them are over."""
        while (tier := self._following()) is not None:
            self.begin(tier, self._history.run, [])

    def _following(self) -> int | None:
        """Return the tier that comes now, None where the last one goes on."""
        now = self.passages[-1].tier
        if now < len(self._tiers):
            if self._spent() or self._found(self._tiers[now]):
                return len(self._tiers) if self.few else now + 1
            return None
        following = 1 + max((passage.tier for passage in self.passages if passage.tier < now), default=-1)
        trials = [*self._earlier, *self._own]
        left, whole = self._budget.left(trials), self._budget.whole(trials)
        paid = whole is not None and left >= whole / 2.0
        return following if following < now and paid and not self.few else None

    def _planned(self, tier: int) -> float:
        whole = self._budget.whole(self._before)
        if whole is None or tier >= len(self._tiers):
            return 0.0 if whole else math.inf
        return whole * planned(self._budget.left(self._before) / whole, self._tiers)[tier]

    def _allotted(self, tier: int) -> float:
        left = self._budget.left(self._earlier)
        whole = self._budget.whole(self._earlier) or self._budget.whole(self._own)
        if tier >= len(self._tiers):
            return left
        return math.inf if whole is None else whole * allotted(left / whole, self._tiers[tier:])[0]

    def _resting(self, records: Sequence[TrialRecord]) -> list[TrialRecord]:
        return [record for record in records if record.status is not Status.RUNNING or record.number in self._rested]

    def _spent(self) -> bool:
        """Tell whether the current tier has taken what it may, its trials in training included."""
        now, resting = self.passages[-1], self._resting(self._own)
        costs = [self._budget.cost(record) for record in (*self._resting(self._earlier), *resting)]
        costs = [cost for cost in costs if cost]
        usual = fmean(costs) if costs else 0.0
        return now.taken + (len(self._own) - len(resting) + 0.5) * usual >= now.allotted

    def _found(self, tier: Tier) -> bool:
        """Tell whether the last results of the current tier, the first with several goals, brought nothing more.

        While everything diverges, nothing has been found: the next tier would only diverge as well.
        """
        if len(self._history.goals) > 1:
            return False
        own = {record.number for record in self._own}
        results, in_vain = 0, 0.0  # of it, and the trainings since the last gain
        seen: dict[int, list[float]] = {}  # the finite losses by step
        trials = [self._history.trials[number] for number in dict.fromkeys(self._history.rested)]
        trials = [record for record in trials if record.fork is None]
        steps = {record.step for record in trials}
        for record in trials:
            if record.status in _UNCOUNTED:
                continue
            losses = dict(_losses(record))
            others = seen.get(record.step, [])
            least = min(others, default=math.inf)
            worth = _WORTH * (median(others) - least) if others else 0.0
            if record.number in own:
                results += 1
                gained = losses[record.step] < least - worth
                in_vain = 0.0 if gained else in_vain + _share(record, self._history.horizon)
            for step in steps & losses.keys():
                if math.isfinite(losses[step]):
                    seen.setdefault(step, []).append(losses[step])
        hopeless = all(record.status is Status.DIVERGED for record in trials if record.status not in _UNCOUNTED)
        if hopeless and results < _HOPELESS:
            return False
        return results >= tier.fewest and in_vain >= len(tier.parameters) + (not self.few) - 1e-9


def _losses(record: TrialRecord) -> Iterator[tuple[int, float]]:
    """Yield the steps of a trial with the losses there; the newest one is infinite where the trial does not count."""
    goal = record.goals[0]
    for step, value in record.curve(goal.metric):
        yield step, goal.loss(value)
    yield (
        record.step,
        _loss(record) if record.status in OBSERVED and record.feasible and not record.adjustments else math.inf,
    )

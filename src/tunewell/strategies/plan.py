"""The plan of a tiered search, to be read, and changed, before anything trains."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import Any

from tunewell.events import Status
from tunewell.history import History
from tunewell.knowledge import check_where
from tunewell.space import Space
from tunewell.strategies.approach import Approach, finished, judged
from tunewell.surrogate.tiering import Unit, budget_of
from tunewell.surrogate.tiering_words import TOGETHER, amount
from tunewell.tiers import MOST, Tier, checked_shares, checked_tiers, decade_of, few, planned, tiers_of
from tunewell.values import joined

DEFAULT = "the default configuration"
_ENDS = (
    f"A tier ends as soon as its last results bring nothing more, after {MOST[0]} trainings and {MOST[1]} a parameter",
    "at the latest, and what it leaves flows on to the next.",
)
_FEW = (
    "Too few trainings for each tier by itself: the first ends as soon as its last result brings",
    "nothing more, and what it leaves goes to all the others together.",
)
_OTHERS = (
    "The parameters of other tiers stay at the best values so far, but every third trial of a later",
    "tier also varies those that interact with it, and every one where their partners have changed.",
)


@dataclass(frozen=True)
class Row:
    """One part of a plan: what is tuned, at most on how much, how, and why.

    ``trainings`` is infinite where nobody knows how long one takes; ``share`` is what ``trainings`` are of the whole
    budget, the tier's own share where they are not known, and 0 where no limit is planned.
    """

    what: str
    share: float
    trainings: float
    budget: float
    method: str
    why: str


@dataclass(frozen=True)
class TieredPlan:
    """What a tiered search means to do with a budget; it prints well.

    Attributes:
        space: what is tuned.
        tiers: what is tuned together, in order.
        unit, total: the budget; infinite where none is known.
        training: what a full training costs of the total, None where nobody knows: side by side, some seconds pay for
            several.
        workers: how many train side by side where the total is in seconds, 1 elsewhere.
        domain, optimizer: where the tiers come from.

    >>> import tunewell as tw
    >>> space = tw.Space(learning_rate=tw.Float(1e-4, 1.0, scale="log"), units=tw.Int(16, 512, scale="log"))
    >>> plan = tw.Study(space).plan(trials=30)
    >>> [tier.parameters for tier in plan.tiers]
    [('learning_rate',), ('units',)]
    >>> study = tw.Study(space, sampler=tw.strategies.Tiered(plan=plan.changed(shares=[0.7, 0.3])))
    """

    space: Space
    tiers: tuple[Tier, ...]
    unit: Unit = "trials"
    total: float = math.inf
    training: float | None = 1.0
    workers: int = 1
    domain: str = "generic"
    optimizer: str | None = None

    @property
    def options(self) -> dict[str, Any]:
        """The options of the sampler that keeps to it."""
        named = {
            "tiers": tuple(tier.parameters for tier in self.tiers),
            "shares": tuple(tier.share for tier in self.tiers),
        }
        return {**named, "domain": self.domain, "optimizer": self.optimizer} if self.tiers else {}

    def changed(
        self, tiers: Sequence[Sequence[str]] | None = None, shares: Sequence[float] | None = None
    ) -> TieredPlan:
        """Return the plan with other tiers, other shares, or both.

        Raises:
            ValueError: a name that the space does not have or that comes twice, another number of shares.
        """
        names = [tier.parameters for tier in self.tiers] if tiers is None else checked_tiers(tiers)
        if shares is None and len(names) == len(self.tiers):
            shares = [tier.share for tier in self.tiers]
        given = None if shares is None else checked_shares(shares)
        found = tiers_of(self.space, names, given, self.domain, self.optimizer)
        whys = {tier.parameters: tier.why for tier in self.tiers}
        return replace(self, tiers=tuple(replace(tier, why=whys.get(tier.parameters, tier.why)) for tier in found))

    @property
    def rows(self) -> tuple[Row, ...]:
        """The parts of the plan in order; what one leaves flows on to the next."""
        trainings = self.trainings
        most = planned(max(0.0, trainings - 1.0), self.tiers)
        found = [self._row(DEFAULT, 1.0, 0.0, "one training", "where an expert would begin")]
        if self._one:
            return tuple(found)
        for place, (tier, number) in enumerate(zip(self.tiers[: 1 if self._few else None], most, strict=False)):
            how = _first_method(tier, self.space) if place == 0 else "Gaussian process of all trials"
            share = tier.share if math.isinf(trainings) else number / max(1.0, trainings)
            found.append(self._row(", ".join(tier.parameters), number, share, how, tier.why))
        left = max(0.0, trainings - 1.0 - sum(most))
        how = "the default sampler"
        if self._few:
            others = joined([name for tier in self.tiers[1:] for name in tier.parameters])
            how = f"two bold trials of {others}, then steps around the best so far"
        return (*found, self._row(TOGETHER, left, 0.0, how, "what interacts is found together"))

    @property
    def trainings(self) -> float:
        """How many full trainings the budget pays for, side by side; infinite where nobody knows."""
        if self.training is None or math.isinf(self.total):
            return math.inf
        return float(finished(self.total, self.training * self.workers, self.workers))

    @property
    def approach(self) -> Approach | None:
        """Whether to search at all, or to watch one training: see :mod:`tunewell.strategies.approach`."""
        return None if math.isinf(self.trainings) else judged(int(self.trainings))

    def _row(self, what: str, trainings: float, share: float, method: str, why: str) -> Row:
        budget = share * self.total if self.training is None else trainings * self.training
        return Row(what, share, trainings, budget, method, why)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield self._head()
        for number, row in enumerate(self.rows):
            share = "" if self._few else f"{f'{100 * row.share:.0f} %' if row.share else '':>5}  "
            yield f"  {number}  {row.what:<{self._widest}}  {share}{self._limit(row)}"
            yield f"     {row.method} ({row.why})"
        if self.left_out and not self._one:
            stay = "stays at its default" if len(self.left_out) == 1 else "stay at their defaults"
            yield f"  Until all are tuned together, {joined(self.left_out)} {stay}."
        yield from (f"  {line}" for line in self._rules)
        if self.approach is not None:
            yield f"  {str(self.approach)[0].upper()}{str(self.approach)[1:]}."

    def to_json(self) -> dict[str, Any]:
        """Return the plan as plain data."""
        return {
            "unit": self.unit,
            "total": self.total,
            "training": self.training,
            "workers": self.workers,
            "domain": self.domain,
            "optimizer": self.optimizer,
            "rows": [asdict(row) for row in self.rows],
            "left_out": list(self.left_out),
            "approach": None if self.approach is None else asdict(self.approach),
        }

    @property
    def left_out(self) -> tuple[str, ...]:
        """The parameters that are in no tier: they keep their defaults until everything is tuned together."""
        named = {name for tier in self.tiers for name in tier.parameters}
        return tuple(name for name, parameter in self.space.items() if parameter.count > 1 and name not in named)

    @property
    def _few(self) -> bool:
        return few(max(0.0, self.trainings - 1.0), self.tiers)

    @property
    def _one(self) -> bool:
        return self.unit == "trials" and self.total < 2.0

    @property
    def _rules(self) -> tuple[str, ...]:
        if self._one:
            return ("One training: nothing is tuned.",)
        return _FEW if self._few else (*_ENDS, *_OTHERS) if len(self.tiers) > 1 else _ENDS

    @property
    def _widest(self) -> int:
        return max(len(row.what) for row in self.rows)

    def _head(self) -> str:
        if math.isinf(self.total):
            return "plan without a total: each tier as long as it brings something"
        about = ""
        if self.unit != "trials" and self.training is not None:
            each = amount(self.training * self.workers, self.unit)
            side = f", {self.workers} at a time" if self.workers > 1 else ""
            about = f", about {_trainings(self.trainings)} of {each}{side}"
            about = about if self.trainings else f", less than a training of {each} takes"
        return f"plan for {amount(self.total, self.unit)}{about}"

    def _limit(self, row: Row) -> str:
        """Return what a part of the plan may take, in words."""
        if row.what == DEFAULT:
            return "1 training"
        if row.what == TOGETHER:
            sure = 1.0 <= row.trainings < math.inf
            return f"what is left, {_trainings(math.floor(row.trainings))} or more" if sure else "what is left"
        if math.isinf(row.trainings) and math.isinf(row.budget):
            return "as long as it brings something"
        if math.isinf(row.trainings):
            return f"up to {amount(row.budget, self.unit)}"
        if row.trainings < 0.5:
            return "only if others leave something"
        if self.training is None:
            return f"up to {amount(row.budget, self.unit)}, {_trainings(row.trainings)} at most"
        said = f"up to {_trainings(row.trainings)}"
        return said if self.unit == "trials" else f"{said}, {amount(row.budget, self.unit)}"


def _trainings(number: float) -> str:
    return amount(number, "trials").replace("trial", "training")


def _first_method(tier: Tier, space: Space) -> str:
    if len(tier.parameters) == 1 and decade_of(space[tier.parameters[0]]) is not None:
        return "a decade up and down from the default, then a Gaussian process"
    return "a few random values, then a Gaussian process"


def plan_of(
    history: History,
    budget: tuple[Unit, float] | None = None,
    training: float | None = None,
    domain: str | None = None,
    optimizer: str | None = None,
    workers: int | None = None,
) -> TieredPlan:
    """Return the plan of a study, whichever sampler it has; that of its own sampler if that is a tiered one.

    Args:
        history: the study.
        budget: unit and total; None: those of the newest run.
        training: what a full training costs in that unit; None: what those of the study took on average.
        domain, optimizer: where the tiers come from; None: as the study's sampler says.
        workers: how many trainings side by side a total of seconds has; None: as many as the newest run, or one.

    Raises:
        ValueError: an unknown domain or optimizer, tiers that the space does not have, workers below 1, a training
            that costs nothing, or one that is said for a total of trials.
    """
    if training is not None and not 0.0 < training < math.inf:
        raise ValueError(f"a plan expected a training to cost more than 0 steps or seconds, got {training}")
    if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
        raise ValueError(f"a plan expected a whole number of workers of at least 1, got {workers!r}")
    stored = history.settings.get("sampler", "auto")
    options: dict[str, Any] = dict(stored) if isinstance(stored, Mapping) and stored.get("name") == "tiered" else {}
    where = domain or options.get("domain", "generic"), optimizer or options.get("optimizer")
    check_where(*where)
    unit, total = budget or budget_of(history.run)
    if training is not None and unit == "trials":
        raise ValueError(
            f"a plan expected a total of steps or seconds with what a training costs, {training:g}, got one of trials: "
            "say one or the other"
        )
    tiers = tiers_of(history.space, options.get("tiers"), options.get("shares"), *where)
    side = 1 if unit != "seconds" else workers or (history.run.workers if history.run is not None else 1)
    each = training if training is not None else _training(history, unit)
    return TieredPlan(history.space, tiers, unit, total, None if each is None else each / side, side, *where)


def only_total(given: Mapping[str, float | None]) -> tuple[Unit, float] | None:
    """Return the unit and the total of a budget, by its unit; None where none is given.

    Raises:
        ValueError: several are.
    """
    said = {unit: total for unit, total in given.items() if total is not None}
    if len(said) > 1:
        raise ValueError(f"a plan expected one total, got {' and '.join(said)}: say one of them")
    known: tuple[Unit, ...] = ("trials", "steps", "seconds")
    return next(((unit, float(said[unit])) for unit in known if unit in said), None)


def _training(history: History, unit: Unit) -> float | None:
    """Return what a full training of a study takes, None where nobody knows yet."""
    if unit == "trials":
        return 1.0
    if unit == "steps" and history.horizon is not None:
        return float(history.horizon)
    whole = [trial for trial in history.trials if trial.status is Status.COMPLETED and trial.origin != "added"]
    return fmean(float(trial.step) if unit == "steps" else trial.seconds for trial in whole) or None if whole else None

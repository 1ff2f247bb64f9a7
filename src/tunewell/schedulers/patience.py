"""Patience: a trial that gets no better is stopped, whatever else decides about it.

Early stopping by patience (Prechelt, "Early stopping — but when?", 1998), as a wrapper around another scheduler: the
gain of a trial over the last ``steps`` steps is its best loss up to then minus its best loss now,

    gain(t) = best(t - steps) - best(t),                                                                    (1)

and a trial whose gain is zero or below ``min_gain`` is stopped. With a ``min_gain`` above zero this is a plateau rule:
a curve that still falls, but by too little to matter, has levelled off.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tunewell import options
from tunewell.events import Reported
from tunewell.history import History
from tunewell.protocols import Action, Scheduler, Stop, Verdict
from tunewell.schedulers.fifo import Fifo
from tunewell.space import Space

_FIFO = Fifo()


@dataclass(frozen=True)
class Patience:
    """Stops a trial that has not got better for some steps; all else is up to another scheduler.

    With several goals a trial must have stopped getting better in all of them; with constraints, in keeping them too.

    Attributes:
        steps: the time over which a trial has to gain something, from its first report on.
        min_gain: the least gain in the metric's units, or as a share: see ``relative``. 0: any gain will do.
        relative: whether ``min_gain`` is a share of the size of the best loss before: 0.01 is one percent.
        then: the scheduler that decides everything else, e.g. ``Asha()``.
    """

    steps: int = 5
    min_gain: float = 0.0
    relative: bool = False
    then: Scheduler = _FIFO

    def __post_init__(self) -> None:
        options.whole("patience", "steps", self.steps, 1)
        if not options.between(self.min_gain, 0.0, ends=True):
            raise ValueError(f"patience expected min_gain of at least 0, got {self.min_gain!r}")
        options.yes_or_no("patience", "relative", self.relative)
        options.scheduler("patience", self.then)

    def check_space(self, space: Space) -> None:
        """Have the other scheduler check its options against a space; raise ValueError where they do not fit."""
        options.check_fit(self.then, space)

    def next_action(self, space: Space, history: History, rng: np.random.Generator) -> Action:
        """Do what the other scheduler says."""
        return self.then.next_action(space, history, rng)

    def decide(self, history: History, report: Reported) -> Verdict:
        """Stop a trial that gains nothing more; else do what the other scheduler says."""
        verdict = self.then.decide(history, report)
        if isinstance(verdict, Stop):
            return verdict
        trial = history.trials[report.trial]
        now = history.so_far.now(report.trial)
        before = history.so_far.at(trial, report.step - self.steps)
        if now is None or before is None or now.least_breach < before.least_breach:
            return verdict
        if any(self._gained(*bests) for bests in zip(before.bests, now.bests, strict=True)):
            return verdict
        least = f"{100 * self.min_gain:g} %" if self.relative else f"{self.min_gain:g}"
        what = "no better" if not self.min_gain else f"better by less than {least}"
        return Stop(f"step {report.step}: its best is {what} than {self.steps} steps before")

    def _gained(self, before: float, now: float) -> bool:
        if not now < before:
            return False
        return before - now >= self.min_gain * (abs(before) if self.relative else 1.0)

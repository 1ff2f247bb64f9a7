"""Synchronous successive halving: all train a little, the best third three times as long, and so on.

Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization", AISTATS 2016; as a
bracket of Li et al., JMLR 2018, Algorithm 1. When a bracket is full the next begins. What waits for what, and what
becomes of trials that fail, is told in :mod:`tunewell.schedulers.synchronous`; the arithmetic is in
:mod:`tunewell.numerics.brackets`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from tunewell import options
from tunewell.events import Reported
from tunewell.history import History
from tunewell.numerics.brackets import levels, rung_steps
from tunewell.protocols import Action, Verdict
from tunewell.schedulers.synchronous import Bracket, Brackets
from tunewell.space import Space

_NAME = re.compile(r"bracket (\d+)")


@dataclass(frozen=True)
class SuccessiveHalving:
    """Brackets in which everybody waits for everybody at each rung.

    A rung is decided when all of its trials are there, so a decision never rests on too few results; the price is that
    trials wait for stragglers. Workers do not: when there is nothing to do in any bracket, the next one begins.

    Attributes:
        reduction: η; the best 1/η of a rung go on to η times as many steps.
        min_steps: the first rung has at least as many steps.
        max_steps: R, the steps of a full training. None: those of the run, or what the objective says or shows.
        configurations: n, how many trials a bracket starts. None: as many as leave one at the end, η for each rung.
    """

    reduction: int = 3
    min_steps: int = 1
    max_steps: int | None = None
    configurations: int | None = None

    def __post_init__(self) -> None:
        options.rungs("successive_halving", self.reduction, self.min_steps, self.max_steps)
        if self.configurations is not None:
            options.whole("successive_halving", "configurations", self.configurations, 1)

    def bracket(self, history: History, group: str) -> Bracket | None:
        """Return the plan of a group, None where it is no bracket of ours or R is not known yet."""
        most = self.max_steps or history.horizons.get(group) or history.horizon
        if most is None or _NAME.fullmatch(group) is None:
            return None
        s = levels(most, self.reduction, history.cadence.least(self.min_steps, most, self.reduction))
        steps = history.cadence.moved(rung_steps(most, self.reduction, s))
        return Bracket(group, self.configurations or self.reduction**s, self.reduction, tuple(steps))

    def next_action(self, space: Space, history: History, rng: np.random.Generator) -> Action:
        """Let a trial go on where a rung is decided; or fill the bracket; or begin the next."""
        return self._brackets.next_action(history)

    def decide(self, history: History, report: Reported) -> Verdict:
        """Rest at a rung, unless it is certain to go on."""
        return self._brackets.decide(history, report)

    @property
    def _brackets(self) -> Brackets:
        return Brackets(self, self.bracket, _following)


def _following(history: History, group: str | None) -> str:
    return f"bracket {int(group.removeprefix('bracket ')) + 1}" if group else "bracket 1"

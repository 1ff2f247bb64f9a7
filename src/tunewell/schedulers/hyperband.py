"""Hyperband: brackets of successive halving, from many trials on few steps to few trials on all steps, then again.

Li et al., "Hyperband: a novel bandit-based approach to hyperparameter optimization", JMLR 18, 2018
(arXiv:1603.06560v4), Algorithm 1. How far early losses can be trusted is not known beforehand, so each way of trusting
them gets the same budget. The arithmetic, with the two tables in print, is in :mod:`tunewell.numerics.brackets`; how a
bracket is played, what it does about stragglers and failures, in :mod:`tunewell.schedulers.synchronous`.

Deviations from the paper: a trial that goes on trains on from its checkpoint instead of anew, and the next bracket
begins whenever a worker would be idle.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from tunewell import options
from tunewell.events import Reported
from tunewell.history import History, Rung
from tunewell.numerics.brackets import Table, hyperband_trials, levels, rung_steps
from tunewell.protocols import Action, Verdict
from tunewell.schedulers.synchronous import Bracket, Brackets
from tunewell.space import Space

_NAME = re.compile(r"round (\d+), bracket (\d+)")


@dataclass(frozen=True)
class Hyperband:
    """Brackets of successive halving that start ever fewer trials on ever more steps.

    A group is called "round 1, bracket 2": in each round bracket 1 is the most aggressive one (s = s_max in the paper),
    and the last trains all of its trials to the end (s = 0).

    Attributes:
        reduction: η; the best 1/η of a rung go on to η times as many steps.
        min_steps: no trial rests before.
        max_steps: R, the steps of a full training. None: those of the run, or what the objective says or shows.
        table: how many trials a bracket starts: ``"jmlr"`` (81, 34, 15, 8, 5 for R = 81, η = 3) or ``"floor"`` (81,
            27, 9, 6, 5), as in the authors' earlier text and in BOHB.
    """

    reduction: int = 3
    min_steps: int = 1
    max_steps: int | None = None
    table: Table = "jmlr"

    def __post_init__(self) -> None:
        options.rungs("hyperband", self.reduction, self.min_steps, self.max_steps)
        if self.table not in ("jmlr", "floor"):
            raise ValueError(f"hyperband expected table to be 'jmlr' or 'floor', got {self.table!r}")

    def bracket(self, history: History, group: str) -> Bracket | None:
        """Return the plan of a group, None where it is no bracket of ours or R is not known yet."""
        most, name = self._most(history, group), _NAME.fullmatch(group)
        if most is None or name is None:
            return None
        s_max = self._levels(history, most)
        s = max(0, s_max + 1 - int(name[2]))
        steps = history.cadence.moved(rung_steps(most, self.reduction, s))
        return Bracket(group, hyperband_trials(s_max, s, self.reduction, self.table), self.reduction, tuple(steps))

    def rungs(self, history: History, group: str) -> list[int]:
        """Return the steps of the rungs of all brackets of a group's round, R the last; none while R is not known."""
        most = self._most(history, group)
        if most is None:
            return []
        return history.cadence.moved(rung_steps(most, self.reduction, self._levels(history, most)))

    def ladder(self, history: History, group: str) -> dict[int, Rung]:
        """Return the rungs that the brackets of a group's round play on, with the trials of all brackets, by step."""
        return dict(history.ladder(self.rungs(history, group)))

    def next_action(self, space: Space, history: History, rng: np.random.Generator) -> Action:
        """Let a trial go on where a rung is decided; or fill the bracket; or begin the next."""
        return self._brackets.next_action(history)

    def decide(self, history: History, report: Reported) -> Verdict:
        """Rest at a rung, unless it is certain to go on."""
        return self._brackets.decide(history, report)

    @property
    def _brackets(self) -> Brackets:
        return Brackets(self, self.bracket, self._following)

    def _levels(self, history: History, most: int) -> int:
        """Return s_max; nobody is compared before a loss is reported."""
        return levels(most, self.reduction, history.cadence.least(self.min_steps, most, self.reduction))

    def _most(self, history: History, group: str) -> int | None:
        return self.max_steps or history.horizons.get(group) or history.horizon

    def _following(self, history: History, group: str | None) -> str:
        name, most = _NAME.fullmatch(group or ""), self._most(history, group or "")
        if name is None or most is None:
            return "round 1, bracket 1"
        last = int(name[2]) > self._levels(history, most)
        return f"round {int(name[1]) + 1}, bracket 1" if last else f"round {name[1]}, bracket {int(name[2]) + 1}"

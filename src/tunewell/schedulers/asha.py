"""ASHA: asynchronous successive halving.

Li et al., "A system for massively parallel hyperparameter tuning", MLSys 2020, Algorithm 2. Every trial trains to the
first rung and rests there; whenever a worker is free, the best resting trial of the highest rung that has room is
promoted to the next, and only if no rung has room a new trial starts. A rung with n results has room for floor(n/η)
promotions, so it promotes as soon as it has η results, and never has to wait for a bracket to fill.

Rung k lies at ``min_steps * η**(k + early_stopping_rate)`` steps.

Deviations from the paper:

* The paper promotes any trial in the top 1/η that has not been promoted, so that a sequence of ever better trials is
  promoted whole. Here a rung never promotes more than floor(n/η) of its n results in total: the compute that a rung
  passes on is what the algorithm says it is. The promoted trial is always in the top 1/η as well.
* A trial that reports at a rung and is to be promoted at once simply trains on, without the detour over its checkpoint.
* A trial that has no checkpoint at its rung cannot rest. It trains on if the rung has room and it is in the top 1/η,
  and is stopped otherwise (the stopping variant of the paper's Section 3.2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tunewell.events import Reported
from tunewell.history import History, Rung
from tunewell.protocols import Action, Continue, Pause, Resume, Start, Stop, Verdict
from tunewell.space import Space


@dataclass(frozen=True)
class Asha:
    """Asynchronous successive halving with true pause and promotion.

    Attributes:
        reduction: η; the best 1/η of a rung goes on to η times as many steps.
        min_steps: steps to the first rung.
        max_steps: no rung lies here or beyond, so a promoted trial trains to its end. None: the objective ends it.
        early_stopping_rate: s; shifts the first rung to ``min_steps * η**s``.
    """

    reduction: int = 3
    min_steps: int = 1
    max_steps: int | None = None
    early_stopping_rate: int = 0

    def __post_init__(self) -> None:
        if self.reduction != int(self.reduction) or self.reduction < 2:
            raise ValueError(f"asha expected a whole reduction of at least 2, got {self.reduction!r}")
        if self.min_steps != int(self.min_steps) or self.min_steps < 1:
            raise ValueError(f"asha expected min_steps of at least 1, got {self.min_steps!r}")
        if self.max_steps is not None and self.max_steps < self.min_steps:
            raise ValueError(f"asha expected max_steps of at least min_steps={self.min_steps}, got {self.max_steps!r}")
        if self.early_stopping_rate != int(self.early_stopping_rate) or self.early_stopping_rate < 0:
            raise ValueError(f"asha expected an early_stopping_rate of at least 0, got {self.early_stopping_rate!r}")

    def rungs(self, up_to: int) -> list[int]:
        """Return the steps of all rungs up to and including ``up_to`` steps, below ``max_steps``."""
        end = up_to if self.max_steps is None else min(up_to, self.max_steps - 1)
        found, step = [], self.min_steps * self.reduction**self.early_stopping_rate
        while step <= end:
            found.append(step)
            step *= self.reduction
        return found

    def next_action(self, space: Space, history: History, rng: np.random.Generator) -> Action:
        """Promote from the highest rung that has room; start a new trial when none has."""
        for step in reversed(self.rungs(history.furthest_step)):
            rung = history.rung(step)
            room = self._room(rung)
            if room <= 0:
                continue
            trial = rung.best_waiting(history.trials)
            if trial is not None:
                return Resume(trial, f"promoted from rung {step}: {self._place(rung, trial)}")
        return Start()

    def decide(self, history: History, report: Reported) -> Verdict:
        """Rest at a rung, unless there is room to go on at once."""
        if not self.rungs(report.step) or self.rungs(report.step)[-1] != report.step:
            return Continue()
        rung = history.rung(report.step)
        trial = history.trials[report.trial]
        # The trial itself counts among those that have moved on until it is told to rest.
        has_room = self._room(rung) + 1 >= 1
        place = f"rung {report.step}: {self._place(rung, trial.number)}"
        if trial.saved != report.step:
            if has_room and rung.rank(trial.number) <= len(rung) // self.reduction:
                return Continue(f"{place}, so it trains on")
            return Stop(f"{place}, and without a checkpoint it cannot wait")
        waiting = rung.best_waiting(history.trials)
        is_best = waiting is None or rung.rank(trial.number) < rung.rank(waiting)
        if has_room and is_best:
            return Continue(f"{place}, so it trains on")
        return Pause(f"{place}, so it waits")

    def _room(self, rung: Rung) -> int:
        """Return how many more the rung may promote now."""
        return len(rung) // self.reduction - rung.moved_on

    def _place(self, rung: Rung, trial: int) -> str:
        return f"place {rung.rank(trial)} of {len(rung)}, {len(rung) // self.reduction} go on"

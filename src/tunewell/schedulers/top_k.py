"""First a little of everything, then the best to the end: the baseline that any cleverer scheduler has to beat.

Egele et al., "Is one epoch all you need for multi-fidelity hyperparameter optimization?", 2023 (arXiv:2307.15422): all
configurations train for one epoch, then the best K train to the end. On many benchmarks that is as good as
Hyperband and its kin; where it is not, early losses mislead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tunewell.events import Reported
from tunewell.history import History, Rung
from tunewell.protocols import Action, Continue, Done, Pause, Resume, Start, Stop, Verdict, Wait
from tunewell.schedulers import options
from tunewell.space import Space


@dataclass(frozen=True)
class TopK:
    """All trials train ``first`` steps, then the best ``keep`` train to the end.

    A trial that is certain of its place, whatever those that are missing report, goes on before all are there; a worker
    with nothing of that kind to do waits. A trial that ends before ``first`` steps ranks last. A run that goes on with
    a larger total ranks the new trials among the old. A trial without a checkpoint cannot wait: it trains on if it is
    in the best share, ``keep`` of the total, of those that are there, and is stopped otherwise.

    Attributes:
        first: steps after which trials are compared.
        keep: K, how many train to the end.
        trials: how many trials there are. None: those of the run, ``study.run(..., trials=100)``.
    """

    first: int = 1
    keep: int = 3
    trials: int | None = None

    def __post_init__(self) -> None:
        options.whole("top_k", "first", self.first, 1)
        options.whole("top_k", "keep", self.keep, 1)
        if self.trials is not None:
            options.whole("top_k", "trials", self.trials, self.keep)

    def next_action(self, space: Space, history: History, rng: np.random.Generator) -> Action:
        """Let a trial go on that is certain to be among the best; or start another; or wait for those that are missing.

        Raises:
            ValueError: nothing says how many trials there are to choose from.
        """
        total = self._total(history)
        rung, missing = history.rung(self.first), self._missing(history, total)
        trial = rung.best_waiting(history.trials)
        if trial is not None and rung.rank(trial) <= self.keep - missing:
            return Resume(trial, f"goes on from {self._place(rung, trial, missing)}")
        if history.spent_trials < total:
            return Start(reason=f"trial {history.spent_trials + 1} of {total}")
        if missing:
            return Wait(f"{missing} of {total} trials are on their way to step {self.first}, where {self.keep} go on")
        if history.moving:
            return Wait(f"the best {self.keep} of {total} trials are in training")
        return Done(f"the best {self.keep} of {total} trials are trained")

    def decide(self, history: History, report: Reported) -> Verdict:
        """Rest at the first step, unless it is certain that one is among the best."""
        if report.step != self.first:
            return Continue()
        trial, total = history.trials[report.trial], self._total(history)
        rung, missing = history.rung(self.first), self._missing(history, total)
        rank, place = rung.rank(trial.number), self._place(rung, trial.number, missing)
        if rank <= self.keep - missing:
            return Continue(f"{place}, so it trains on")
        if trial.saved == report.step:
            return Pause(f"{place}, so it waits")
        if missing and rank <= len(rung) * self.keep // total:
            return Continue(f"{place}, so it trains on")
        return Stop(f"{place}, and without a checkpoint it cannot wait")

    def _total(self, history: History) -> int:
        limit = history.run.trials if history.run is not None else None
        if self.trials is None and limit is None:
            raise ValueError(
                "top_k expected to know how many trials there are: study.run(..., trials=100) or TopK(trials=100)"
            )
        return min(limit or self.trials or 0, self.trials or limit or 0)

    def _missing(self, history: History, total: int) -> int:
        rung = history.rung(self.first)
        moving = sum(trial not in rung for trials in history.moving.values() for trial in trials)
        return max(0, total - history.spent_trials) + moving

    def _place(self, rung: Rung, trial: int, missing: int) -> str:
        place = f"step {self.first}: place {rung.rank(trial)} of {len(rung)}"
        return f"{place}{f' ({missing} to come)' if missing else ''}, {self.keep} go on"

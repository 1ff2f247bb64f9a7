"""What all parts of a report look at: a study's values as columns, who is best, and which trials are drawn.

Computed once, because a trial record finds its value by looking through its reports.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tunewell.events import Status
from tunewell.history import History, TrialRecord
from tunewell.numerics.pareto import non_dominated
from tunewell.scales import Floats
from tunewell.space import Space
from tunewell.surrogate.incumbent import incumbent

DRAWN = 1500
"""Charts draw at most this many trials: the best, and an even selection of the rest."""

BEST_DRAWN = 200

PARAMETERS_SHOWN = 24


@dataclass(frozen=True)
class Digest:
    """A study in columns.

    Attributes:
        history: the study.
        values: every trial's value for every goal, shape ``(n_trials, n_goals)``, NaN where unknown.
        losses: the same as something to minimise.
        observed: whose values count as measurements, shape ``(n_trials,)``.
        feasible: who keeps the constraints, shape ``(n_trials,)``: all of them where there are none.
    """

    history: History
    values: Floats
    losses: Floats
    observed: NDArray[np.bool_]
    feasible: NDArray[np.bool_]

    @staticmethod
    def of(history: History) -> Digest:
        """Look through a study once."""
        goals = history.goals
        known = [[math.nan if v is None else v for v in trial.values] for trial in history.trials]
        values = np.array(known, dtype=np.float64).reshape(len(known), len(goals))
        signs = np.array([goal.loss(1.0) for goal in goals], dtype=np.float64)
        observed = np.array([trial.observed for trial in history.trials], dtype=np.bool_)
        feasible = np.array([trial.feasible for trial in history.trials], dtype=np.bool_)
        return Digest(history, values, values * signs, observed, feasible)

    @property
    def trials(self) -> Sequence[TrialRecord]:
        """All trials, by number."""
        return self.history.trials

    @property
    def space(self) -> Space:
        """The newest space."""
        return self.history.space

    @cached_property
    def eligible(self) -> NDArray[np.bool_]:
        """Who may be the best: observed and feasible, shape ``(n_trials,)``."""
        return self.observed & self.feasible

    @cached_property
    def best(self) -> TrialRecord | None:
        """The best trial; None with several goals, where none is best."""
        return incumbent(self.history) if len(self.history.goals) == 1 else None

    @cached_property
    def front(self) -> list[int]:
        """The numbers of the eligible trials that no other beats in every goal, by the first goal's value."""
        rows = np.flatnonzero(self.eligible)
        if not self.history.goals or not len(rows):
            return []
        kept = rows[non_dominated(self.losses[rows].tolist())]
        return [int(n) for n in kept[np.argsort(self.losses[kept, 0], kind="stable")]]

    @cached_property
    def ranking(self) -> list[int]:
        """All numbers: Pareto front or best first, then the other observed by the first goal, then the rest.

        What breaks a constraint comes after all that was observed and breaks none.
        """
        front = set(self.front) if len(self.history.goals) > 1 else set()
        first = self.losses[:, 0] if self.history.goals else np.zeros(len(self.trials))
        place = np.where(self.eligible, 1, np.where(self.observed, 2, np.where(np.isfinite(first), 3, 4)))
        place[list(front)] = 0
        if self.best is not None:
            place[self.best.number] = 0
        return [int(n) for n in np.lexsort((np.nan_to_num(first, nan=np.inf), place))]

    @cached_property
    def drawn(self) -> list[int]:
        """The numbers of the trials that charts draw, in order."""
        n = len(self.trials)
        if n <= DRAWN:
            return list(range(n))
        best = self.ranking[:BEST_DRAWN]
        rest = np.setdiff1d(np.arange(n), best)
        even = rest[np.linspace(0, len(rest) - 1, DRAWN - BEST_DRAWN).round().astype(np.intp)]
        return sorted({*best, *map(int, even)})

    @cached_property
    def drawn_note(self) -> str:
        """What the charts leave out, as a sentence; empty when nothing."""
        n = len(self.trials)
        if len(self.drawn) == n:
            return ""
        return (
            f"Charts draw {len(self.drawn):,} of the {n:,} trials: the {BEST_DRAWN} best and an even selection of the "
            f"others. Numbers, sentences and best-so-far lines count all."
        )

    @cached_property
    def shown_parameters(self) -> list[str]:
        """The parameters with a chart of their own: all, or those along which the first goal's rank differs most."""
        names = list(self.space)
        if len(names) <= PARAMETERS_SHOWN:
            return names
        effects = self._effects(names)
        chosen = set(sorted(names, key=lambda name: -effects[name])[:PARAMETERS_SHOWN])
        return [name for name in names if name in chosen]

    def _effects(self, names: Sequence[str]) -> Mapping[str, float]:
        """Return for each parameter the share of the ranks' variance between its fifths, or its choices."""
        rows = np.flatnonzero(self.observed)
        ranks = np.empty(len(rows))
        ranks[np.argsort(self.losses[rows, 0], kind="stable")] = np.arange(len(rows))
        return {name: _between(self._groups(name, rows), ranks) for name in names}

    def _groups(self, name: str, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return the fifth or the choice each row lies in, shape ``(n_rows,)``; -1 where it is inactive."""
        values = [self.trials[row].params.get(name) for row in rows]
        numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(numbers) < sum(v is not None for v in values) or not numbers:
            kinds = {kind: k for k, kind in enumerate(dict.fromkeys(map(repr, values)))}
            return np.array([kinds[repr(v)] for v in values], dtype=np.intp)
        edges = np.quantile(np.array(numbers, dtype=np.float64), [0.2, 0.4, 0.6, 0.8])
        x = np.array([np.nan if v is None else v for v in values], dtype=np.float64)
        return np.where(np.isnan(x), -1, np.searchsorted(edges, x, side="left"))

    def numbers_by_status(self, numbers: Sequence[int]) -> dict[Status, list[int]]:
        """Return ``numbers`` by the status of their trials, in the order of statuses."""
        found: dict[Status, list[int]] = {status: [] for status in Status}
        for n in numbers:
            found[self.trials[n].status].append(n)
        return {status: members for status, members in found.items() if members}


def count_statuses(trials: Sequence[TrialRecord]) -> dict[Status, int]:
    """Return how many trials have each status, in the order of statuses, none left at zero."""
    counts = Counter(trial.status for trial in trials)
    return {status: counts[status] for status in Status if counts[status]}


def _between(groups: NDArray[np.intp], ranks: Floats) -> float:
    """Return the share of the variance between groups, less what as many groups of chance would have."""
    kinds = np.unique(groups)
    spare = len(ranks) - len(kinds)
    total = float(((ranks - ranks.mean()) ** 2).sum()) if len(ranks) else 0.0
    if not total or spare <= 0:
        return 0.0
    members = [ranks[groups == kind] for kind in kinds]
    within = sum(float(((m - m.mean()) ** 2).sum()) for m in members)
    return 1.0 - (within / spare) / (total / (len(ranks) - 1))

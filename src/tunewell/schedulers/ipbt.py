"""IPBT: population-based training that starts again with a longer interval when it gets no further.

How many steps lie between two comparisons decides what population-based training finds, and nobody knows it in
advance. Chebykin, Alderliesten and Bosman, "Iterated population based training with task-agnostic restarts", 2025
(arXiv:2511.09190), begin with a short interval. When the best loss has not improved for some comparisons, the
population starts again from there: with the weights it has, new hyperparameters, and an interval twice as long.

Between restarts the values of forks come from the time-varying model of :mod:`tunewell.schedulers.pb2`. At a restart
every member becomes a fork: the best ones of themselves, the others of one of those, half of them with values drawn at
random and half with values from the model.

Deviations from the paper:

* The weights are not shrunk and perturbed at a restart, and none are random: a scheduler does not reach into a
  checkpoint. What it costs is diversity, which then comes from the hyperparameters alone.
* Stagnation is plain: the best loss of ``patience`` rungs in a row is no better than what was there before. The paper
  smooths the best losses by a Gaussian process first and also ends what improves too slowly.
* The model at a restart is that of progress within the training, not one across restarts.
* A restart happens at a multiple of the next interval, so that rungs stay on one grid, and only where at least one
  such interval is left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tunewell import options
from tunewell.events import Reported
from tunewell.history import History, TrialRecord
from tunewell.protocols import Action, Continue, Fork, Verdict
from tunewell.schedulers.exploring import check_fixed, explored
from tunewell.schedulers.generations import Generations
from tunewell.schedulers.pb2 import promising
from tunewell.schedulers.pbt import check_shares, truncated
from tunewell.schedulers.populating import check_budget, check_forks, check_numbers, interval_of
from tunewell.schedulers.standing import Heir, Population, Standing
from tunewell.space import Config, Space

_GROWTH = 2  # of the interval
_RANDOM = 0.5  # of the members at a restart


@dataclass(frozen=True)
class IPBT:
    """Iterated population-based training.

    Attributes:
        population: how many train side by side.
        interval: steps from one comparison to the next before the first restart; None takes a twentieth of
            ``max_steps``, for it will grow.
        truncation: the share of the population that is stopped, and the share that they become forks of.
        patience: comparisons in a row without a better loss until the population starts again.
        fixed: parameters that keep the donor's value.

    Raises:
        ValueError: as :class:`~tunewell.schedulers.PBT`, or a patience below 1.
    """

    population: int = 8
    interval: int | None = None
    truncation: float = 0.25
    patience: int = 3
    fixed: Sequence[str] = ()

    def __post_init__(self) -> None:
        check_numbers("ipbt", self.population, self.interval)
        check_shares("ipbt", self.truncation, 0.0, (1.25,), self.fixed)
        options.whole("ipbt", "patience", self.patience, 1)

    def check_space(self, space: Space) -> None:
        """Refuse names in ``fixed`` that the space does not have.

        Raises:
            ValueError: so it is.
        """
        check_fixed("ipbt", self.fixed, space)

    def next_action(self, space: Space, history: History, rng: np.random.Generator) -> Action:
        """As PB2 within a round; at the end of one, fork everybody into the next."""
        newest = _rounds(history) - 1
        self.check_space(space)
        check_budget("ipbt", history, self.population, [_group(0)])
        check_forks("ipbt", history, _group(newest), self.fixed)

        def act(number: int) -> Action:
            def explore(donor: TrialRecord, step: int) -> Config:
                values = donor.values_after(step)
                if self._may_restart(history, number, step) and rng.random() < _RANDOM:
                    return explored(space, values, rng, resample=1.0, fixed=self.fixed)
                group, interval = _group(number), self._interval(history, number)
                return promising(space, history, group, interval, values, step, self.fixed, rng)

            return self._round(history, number).next_action(history, rng, explore)

        if newest and len(history.begun[_group(newest), _first(history, newest)]) < self.population:
            action = act(newest - 1)  # the restart is under way
            if isinstance(action, Fork):
                return action
        return act(newest)

    def decide(self, history: History, report: Reported) -> Verdict:
        """Go on, rest or stop at a rung of the trial's own round."""
        name, _, number = history.trials[report.trial].group.partition("/")
        if name != "ipbt" or not number.isdigit():
            return Continue()
        return self._round(history, int(number)).decide(history, report)

    def _interval(self, history: History, number: int) -> int:
        first = interval_of(history, _group(0), self.interval)
        if self.interval is None and not history.groups.get(_group(0)):
            first = max(1, first // 2)
        return int(first * _GROWTH**number)

    def _round(self, history: History, number: int) -> Generations:
        """Return the generations between two restarts."""
        count = max(1, int(self.truncation * self.population))
        population = Population(_group(number), self.population, _first(history, number))
        following = Population(_group(number + 1), self.population)
        keep = self._interval(history, number + 1)

        def at_risk(population: Population, step: int) -> int:
            return self.population if self._may_restart(history, number, step) else count

        def heirs(history: History, standing: Standing) -> Sequence[Heir]:
            if not self._may_restart(history, number, standing.step):
                return truncated(history, standing, count, count)
            best = [trial for trial in standing.rung.ranked()[:count] if _can_go_on(history, standing, trial)]
            if not best:
                return []
            why = f"nothing better for {self.patience} comparisons, so all start again, {keep} steps at a time"
            order = [None] * standing.dead + list(reversed(standing.rung.ranked()))
            return [Heir(loser, why, loser if loser in best else None, None, following, keep) for loser in order]

        interval = self._interval(history, number)
        return Generations("ipbt", (population,), interval, history.horizon, count, at_risk, heirs)

    def _may_restart(self, history: History, number: int, step: int) -> bool:
        """Whether the round ends at a rung, unless somebody who is still to come does better."""
        interval, group = self._interval(history, number), _group(number)
        begin, end = _first(history, number) + interval, history.horizon
        ends = [at for name, at in history.at_limit if name == group and at >= step] + (
            [end] if end is not None else []
        )
        if step % (_GROWTH * interval) or step < begin or any(step + _GROWTH * interval > end for end in ends):
            return False
        rungs = [history.rung(at, group) for at in range(begin, step + 1, interval)]
        best = [rung.loss(rung.ranked()[0]) for rung in rungs if len(rung)]
        return len(best) > self.patience and min(best[-self.patience :]) >= min(best[: -self.patience])


def _can_go_on(history: History, standing: Standing, number: int) -> bool:
    """Whether a member came to a rung with a finite loss and a checkpoint, whatever became of it since."""
    trial = history.trials[number]
    saved = trial.saved == standing.step or standing.step in trial.kept
    return saved and math.isfinite(standing.rung.loss(number))


def _group(number: int) -> str:
    return f"ipbt/{number}"


def _rounds(history: History) -> int:
    """Return how many rounds have begun, the first one at once."""
    number = 1
    while history.groups.get(_group(number)):
        number += 1
    return number


def _first(history: History, number: int) -> int:
    """Return the step at which a round began."""
    members = history.groups.get(_group(number))
    fork = history.trials[members[0]].fork if members and number else None
    return fork.step if fork is not None else 0

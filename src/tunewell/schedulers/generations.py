"""Populations that train from rung to rung together: what population-based schedulers share.

A population is a number of *places*. A place is held by one trial after the other: a trial that does badly is stopped
and a fork of a better one takes its place. Rungs lie ``interval`` steps apart, and everything is compared at equal
step, on the rung. Who loses a place at a rung depends on the losses there and on nothing else, not on who came first
nor on the number of workers; yet nobody waits for longer than that takes:

* a member goes on at once when enough others are known to be worse, whoever is still to come;
* the others rest, with their checkpoints, until all have come; then those who lost their place are replaced;
* nobody goes on from a rung while places are empty at the rung before, so a donor is never more than one rung ahead,
  and two checkpoints a member are all that has to be kept: see :meth:`History.needed_checkpoints`;
* a member whose values a person changed keeps its place, and its loss counts for nobody's: the others are compared.

A trial that diverges, fails or ends by itself before the next rung leaves its place empty, to be filled there by a
fork; before the first rung by a new trial, as long as not every second one ends like that. One that completes there has
had its place: where trainings are shorter than the interval, nobody is compared, and nobody is replaced.

Members that completed because their run allowed no more steps go on when a later run allows more: each place goes to a
fork with the very values, and nobody is compared where the earlier run ended.

All of this is read off the history, in time proportional to the population: who has begun where (``History.begun``),
who is still there (``History.alive``), who got how far with which loss (``History.rung``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tunewell.events import Reported, Status
from tunewell.history import History, TrialRecord
from tunewell.protocols import Action, Continue, Done, Fork, Pause, Resume, Start, Stop, Verdict, Wait
from tunewell.schedulers.exploring import explored
from tunewell.schedulers.standing import Heir, Population, Standing, by_hand
from tunewell.space import Config, Space

Heirs = Callable[[History, Standing], Sequence[Heir]]
"""Who takes which place at a rung when all have come; always in the same order, those already forked included."""

Explore = Callable[[TrialRecord, int], Config]
"""The donor and the step to the configuration of its fork."""


@dataclass(frozen=True)
class Generations:
    """Populations with common rungs.

    Attributes:
        name: the scheduler's, for what it says.
        populations: all of them.
        interval: steps from rung to rung.
        end: the steps of a full training; no rung lies there or beyond. None: trainings end by themselves.
        top: how many of a population its donors are drawn from.
        at_risk: how many places of a population may be lost at a rung.
        heirs: see :data:`Heirs`.
    """

    name: str
    populations: Sequence[Population]
    interval: int
    end: int | None
    top: int
    at_risk: Callable[[Population, int], int]
    heirs: Heirs

    def next_action(self, history: History, rng: np.random.Generator, explore: Explore) -> Action:
        """Fill the places, the lowest rung first; then let those go on who may.

        Raises:
            ValueError: the objective reports no steps, or what has to be forked was not saved.
        """
        self._check_reports(history)
        for population in self.populations:
            if self._to_start(history, population):
                number = len(history.begun.get((population.group, 0), ())) + 1
                reason = f"founder {number} of a population of {population.size}"
                return Start(group=population.group, reason=self._with_remark(reason), keep=self.interval)
            if left_off := self._left_off(history, population):
                return self._taken_on(left_off[0], population, history.space, rng)
        free: list[tuple[int, int, str]] = []
        for step in self._open_rungs(history):
            standings = [self.standing(history, population, step) for population in self.populations]
            for standing in standings:
                if fork := self._fork(history, standing, rng, explore):
                    return fork
                free += [(step, trial, standing.place(trial)) for trial in self._free(history, standing)]
        if free:
            _, trial, place = min(free)
            return Resume(trial, f"{place}, so it trains on")
        left = sum(len(history.alive.get(population.group, ())) for population in self.populations)
        if left:
            return Wait(f"{left} members are training or wait for the others at their step")
        members = [number for population in self.populations for number in history.groups.get(population.group, ())]
        last = history.trials[max(members)]
        if last.status is not Status.COMPLETED and last.reason:
            return Done(f"nobody is left to go on or to fork; the last member, trial {last.number}: {last.reason}")
        size = sum(population.size for population in self.populations)
        return Done(self._with_remark(f"the population of {size} is trained"))

    def decide(self, history: History, report: Reported) -> Verdict:
        """Go on between rungs; at a rung go on, rest or stop."""
        trial = history.trials[report.trial]
        population = next((p for p in self.populations if p.group == trial.group), None)
        if population is None:
            return Continue()
        rung, metric = report.step // self.interval * self.interval, trial.goals[0].metric
        begun = trial.fork.step if trial.fork is not None else 0
        before = trial.reports[-2].step if len(trial.reports) > 1 else begun
        if not self.is_rung(history, rung, population) or rung <= before:
            return Continue()
        if report.step != rung or metric not in report.metrics:
            return Stop(
                f"{self.name} expected {metric} at step {rung}, where members are compared, found none: "
                f"report it at least every {self.interval} steps, or set interval= to where it is reported"
            )
        if not trial.has_checkpoint(report.step):
            return Stop(
                f"{self.name} expected a checkpoint of step {report.step}, for members rest and are forked there, "
                f"found none: call trial.save(...) at least every {self.interval} steps"
            )
        return self._verdict(history, self.standing(history, population, report.step), trial)

    def is_rung(self, history: History, step: int, population: Population) -> bool:
        """Whether members are compared at a step: not where trainings end, or ended in a shorter run."""
        inside = step > population.first and (self.end is None or step < self.end)
        return inside and step % self.interval == 0 and (population.group, step) not in history.at_limit

    def standing(self, history: History, population: Population, step: int) -> Standing:
        """Return what is known of a population at a rung, if all places of the rung before have been filled."""
        rung, coming = history.rung(step, population.group), self._coming(history, population, step)
        dead, unborn = max(0, population.size - len(rung) - coming), 0
        if population.first:  # a restart may be under way
            unborn = max(0, population.size - len(history.begun.get((population.group, population.first), ())))
        elif step == self.interval:
            unborn = self._to_start(history, population)
        coming, dead = coming + unborn, max(0, dead - unborn)
        at_risk = self.at_risk(population, step)
        return Standing(population, step, rung, coming, dead, at_risk, by_hand(history, rung))

    def _coming(self, history: History, population: Population, step: int) -> int:
        """Return how many members that have begun may still get to a step, those to be taken on in a longer run too."""
        alive = (history.trials[number] for number in history.alive.get(population.group, ()))
        return sum(trial.step < step for trial in (*alive, *self._left_off(history, population)))

    def all_known(self, history: History, step: int) -> bool:
        """Whether all members of all populations have come to a rung."""
        return all(self.standing(history, population, step).known for population in self.populations)

    def is_settled(self, history: History, standing: Standing) -> bool:
        """Whether all have come to a rung, and all places are filled."""
        return standing.known and self._next_heir(history, standing) is None

    # --- one rung -----------------------------------------------------------------------------------------------------

    def _verdict(self, history: History, standing: Standing, trial: TrialRecord) -> Verdict:
        """Decide on a trial that has come to a rung."""
        place = standing.place(trial.number)
        before = standing.step - self.interval
        if not self._all_settled(history, before):
            return Pause(f"{place}; waits until all have left step {before}")
        if standing.is_safe(trial.number):
            return Continue(f"{place}, so it trains on")
        if not self.all_known(history, standing.step):
            return Pause(f"{place}, so it waits")
        heir = next((heir for heir in self.heirs(history, standing) if heir.loser == trial.number), None)
        if heir is None:
            return Continue(f"{place}, so it trains on")
        if heir.population is not None:  # all lose their places, and what a donor is forked from has to stay
            return Pause(f"{place}: {heir.why}")
        return Stop(f"{place}: {heir.why}")

    def _all_settled(self, history: History, step: int) -> bool:
        """Whether all places at a rung are filled, in all populations; so too where there is no rung."""
        standings = (self.standing(history, p, step) for p in self.populations if self.is_rung(history, step, p))
        return all(self.is_settled(history, standing) for standing in standings)

    def _free(self, history: History, standing: Standing) -> list[int]:
        """Return the resting members of a rung that may go on; as :meth:`_verdict`, for all of them at once."""
        resting = self._resting(history, standing)
        if not resting or not self._all_settled(history, standing.step - self.interval):
            return []
        safe = {trial.number for trial in resting if trial.by_hand or standing.is_safe(trial.number)}
        if not self.all_known(history, standing.step):
            return sorted(safe)
        losers = {heir.loser for heir in self.heirs(history, standing)}
        return [trial.number for trial in resting if trial.number in safe or trial.number not in losers]

    def _fork(self, history: History, standing: Standing, rng: np.random.Generator, explore: Explore) -> Fork | None:
        """Return the next fork of a rung, None when no place is empty there or that is not known yet."""
        if not standing.known or (heir := self._next_heir(history, standing)) is None:
            return None
        step = standing.step
        losers = {each.loser for each in self.heirs(history, standing)}
        saved = [trial for trial in standing.donors(history, len(standing.rung)) if trial != heir.loser]
        donors = standing.donors(history, self.top) or [trial for trial in saved if trial not in losers] or saved
        if heir.donor is not None:
            donors = [heir.donor]
        if not donors:  # a person stopped them all
            return None
        number = donors[int(rng.integers(len(donors)))]
        donor = history.trials[number]
        config = explore(donor, step) if heir.config is None else heir.config
        loser = None if heir.loser is None else history.trials[heir.loser]
        rests = loser is not None and loser.status is Status.PAUSED and not (loser.held or loser.by_hand)
        instead = "" if loser is None else f" in the place of trial {loser.number}, {standing.place(loser.number)}"
        return Fork(
            trial=number,
            step=step,
            config=config,
            reason=f"fork of trial {number} at step {step}{instead}: {heir.why}",
            group=(heir.population or standing.population).group,
            keep=heir.keep or self.interval,
            replaces=heir.loser if rests else None,
        )

    def _next_heir(self, history: History, standing: Standing) -> Heir | None:
        """Return who is to be forked next at a rung: forks begin in the order of the heirs, so they are counted."""
        if not self.all_known(history, standing.step):
            return None
        heirs = self.heirs(history, standing)
        if not heirs:
            return None
        population = heirs[0].population or standing.population
        launched = len(history.begun.get((population.group, standing.step), ()))
        return heirs[launched] if launched < len(heirs) else None

    def _open_rungs(self, history: History) -> list[int]:
        """Return the rungs at which something may be left to do, the lowest first."""
        steps, reached = [], [0]
        for population in self.populations:
            newest = history.groups.get(population.group, ())[-2 * population.size :]
            reached += [history.trials[number].step for number in newest]
            steps += [history.trials[number].step for number in history.alive.get(population.group, ())]
        last = history.furthest_step if self.end is None else min(history.furthest_step, self.end - 1)
        begin = (min(steps) if steps else max(reached)) // self.interval * self.interval
        rungs = range(max(self.interval, begin - self.interval), last + 1, self.interval)
        return [step for step in rungs if any(self.is_rung(history, step, p) for p in self.populations)][:4]

    def _resting(self, history: History, standing: Standing) -> list[TrialRecord]:
        """Return the members that the scheduler paused at a rung."""
        alive = (history.trials[number] for number in history.alive.get(standing.population.group, ()))
        return [
            trial
            for trial in alive
            if trial.step == standing.step and trial.status is Status.PAUSED and trial.paused_by == "scheduler"
        ]

    # --- the beginning ------------------------------------------------------------------------------------------------

    def _to_start(self, history: History, population: Population) -> int:
        """Return how many places founders may still fill: never filled, or left before the first rung unfinished."""
        founders = [history.trials[number] for number in history.begun.get((population.group, 0), ())]
        if population.first or not history.may_start or len(founders) >= 2 * population.size:
            return 0
        finished = sum(trial.status is Status.COMPLETED and trial.step < self.interval for trial in founders)
        there = len(history.rung(self.interval, population.group)) + finished
        return max(0, population.size - there - self._coming(history, population, self.interval))

    def _check_reports(self, history: History) -> None:
        """Say so when a founder has trained to its end without a report."""
        for population in self.populations:
            for number in history.begun.get((population.group, 0), ()):
                trial = history.trials[number]
                if trial.keep and trial.status is Status.COMPLETED and not trial.reports:
                    raise ValueError(
                        f"{self.name} expected a report and a checkpoint at least every {self.interval} steps, where "
                        f"members are compared, but trial {number} completed without a report: loop over "
                        "trial.steps(), and call trial.report(...) and trial.save(...) there"
                    )

    def _with_remark(self, text: str) -> str:
        """Say besides that nobody is compared, where that is so."""
        if self.end is None or self.end > self.interval:
            return text
        return (
            f"{text}, without a comparison: these are {self.interval} steps apart, and training ends at step {self.end}"
        )

    # --- a longer run -------------------------------------------------------------------------------------------------

    def _left_off(self, history: History, population: Population) -> list[TrialRecord]:
        """Return the members that ended with a shorter run and have not been taken on yet."""
        found: list[TrialRecord] = []
        for (group, step), numbers in history.at_limit.items():
            if group == population.group and self.end is not None and step < self.end:
                forks = (history.trials[number].fork for number in history.begun.get((group, step), ()))
                taken_on = {fork.trial for fork in forks if fork is not None}
                found += [history.trials[number] for number in numbers if number not in taken_on]
        return found

    def _taken_on(self, trial: TrialRecord, population: Population, space: Space, rng: np.random.Generator) -> Fork:
        """Return the fork that goes on for a member that ended with a shorter run, with its values as far as they fit.

        Raises:
            ValueError: it did not save its last step.
        """
        step = trial.step
        if not trial.has_checkpoint(step):
            raise ValueError(
                f"{self.name} expected a checkpoint of step {step}, where trial {trial.number} completed, to train it "
                f"on to step {self.end}, found none: save the last step too, or begin another study"
            )
        reason = f"goes on for trial {trial.number}, which an earlier run ended at step {step}"
        config = explored(space, trial.values_after(step), rng, (1.0,), 0.0)
        return Fork(trial.number, step, config, reason, population.group, self.interval)

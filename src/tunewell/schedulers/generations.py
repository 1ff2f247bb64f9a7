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

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tunewell import options
from tunewell.events import Reported, Status
from tunewell.history import History, Rung, TrialRecord
from tunewell.protocols import Action, Continue, Done, Fork, Pause, Resume, Start, Stop, Verdict, Wait
from tunewell.schedulers.exploring import explored
from tunewell.space import Config, Space

DEFAULT_INTERVAL = 5  # where not even the length of a training is known
_DEFAULT_RUNGS = 10
_LEAST_FAILED = 2  # forks that fail before their first report until that is no accident


@dataclass(frozen=True, slots=True)
class Population:
    """A number of places for trials of one group; ``first`` is the step at which they began."""

    group: str
    size: int
    first: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a population at a rung.

    Attributes:
        rung: the losses there.
        coming: how many members may still get there.
        dead: how many places are empty, for their trials ended on the way.
        at_risk: how many places at the end of the order may be lost here.
        by_hand: members that came here with values that a person chose: they keep their places, whatever their losses.
    """

    population: Population
    step: int
    rung: Rung
    coming: int
    dead: int
    at_risk: int
    by_hand: frozenset[int] = frozenset()

    @property
    def known(self) -> bool:
        """Whether all have come who will."""
        return self.coming == 0

    def is_safe(self, trial: int) -> bool:
        """Whether the trial keeps its place whoever is still to come."""
        rank = self.rung.rank(trial)
        worse = len(self.rung) - rank - sum(self.rung.rank(other) > rank for other in self.by_hand)
        return worse + self.dead >= self.at_risk and math.isfinite(self.rung.loss(trial))

    def place(self, trial: int) -> str:
        """Say where the trial stands."""
        so_far = f" so far, {self.coming} still to come" if self.coming else ""
        return f"place {self.rung.rank(trial)} of {len(self.rung)} at step {self.step}{so_far}"

    def compared(self) -> list[int]:
        """The trials that may lose their places here, best first."""
        return [trial for trial in self.rung.ranked() if trial not in self.by_hand]

    def losers(self, history: History, most: int) -> list[int]:
        """The trials that lose their place here when ``most`` places do, empty ones included; the worst first.

        Whoever rests here and got other values by hand meanwhile keeps its place, and no other loses one instead: those
        that are better have gone on.
        """
        ranked = self.compared()
        wrong = sum(not math.isfinite(self.rung.loss(trial)) for trial in ranked)
        count = min(len(ranked), max(most - self.dead, wrong, 0))
        worst = reversed(ranked[len(ranked) - count :])
        return [trial for trial in worst if history.trials[trial].over or not history.trials[trial].by_hand]

    def donors(self, history: History, count: int) -> list[int]:
        """The best ``count`` trials with a finite loss, as far as their checkpoints of this rung are there."""
        best = [trial for trial in self.rung.ranked()[:count] if math.isfinite(self.rung.loss(trial))]
        return [trial for trial in best if history.trials[trial].has_checkpoint(self.step)]


@dataclass(frozen=True, slots=True)
class Heir:
    """Who takes a place: a fork of ``donor``, with ``config`` or else one to be explored; None: of any donor.

    ``loser`` is the trial that lost the place at the rung, None where it had ended before. ``population`` is the one
    that has the place, None for the loser's own; ``keep`` is its interval.
    """

    loser: int | None
    why: str
    donor: int | None = None
    config: Config | None = None
    population: Population | None = None
    keep: int | None = None


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
        return Standing(population, step, rung, coming, dead, at_risk, _by_hand(history, rung))

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


def _by_hand(history: History, rung: Rung) -> frozenset[int]:
    """Return who came to a rung, and not with a loss that is none, with values that a person chose."""
    came = [number for number in rung.ranked() if history.trials[number].by_hand_before(rung.step)]
    return frozenset(number for number in came if math.isfinite(rung.loss(number)))


def vacancies(standing: Standing) -> list[Heir]:
    """Return the heirs to the places that were empty when all others had come."""
    return [Heir(None, "a place was empty")] * standing.dead


def interval_of(history: History, group: str, given: int | None) -> int:
    """Return the steps from rung to rung: as given, or as the population began, or a tenth of a training."""
    if given is not None:
        return given
    members = history.groups.get(group)
    if members and history.trials[members[0]].keep:
        return history.trials[members[0]].keep
    return max(1, history.horizon // _DEFAULT_RUNGS) if history.horizon else DEFAULT_INTERVAL


def check_budget(name: str, history: History, size: int, groups: Sequence[str]) -> None:
    """Say that a total of trials is too small for a population that has yet to be filled.

    Raises:
        ValueError: it is.
    """
    limit = history.run.trials if history.run is not None else None
    founders = sum(len(history.begun.get((group, 0), ())) for group in groups)
    if limit is not None and limit < size and founders < size:
        raise ValueError(
            f"{name} expected a total of at least {size} trials, one for each member, got trials={limit}: "
            f"leave trials out and say steps={size} * max_steps, or take a smaller population"
        )


def check_forks(name: str, history: History, group: str) -> None:
    """Say so when forks cannot load what they are forked from, as when a parameter shapes the network.

    Raises:
        ValueError: the newest forks have all failed before their first report.
    """
    newest = [history.trials[number] for number in history.groups.get(group, ())[-_LEAST_FAILED:]]
    failed = [t for t in newest if t.fork is not None and t.status is Status.FAILED and not t.reports]
    if len(failed) < _LEAST_FAILED:
        return
    fork = failed[-1]
    assert fork.fork is not None
    donor = history.trials[fork.fork.trial]
    before = donor.values_after(fork.fork.step)
    changed = [key for key, value in fork.params.items() if before.get(key) != value]
    if not changed:  # it goes on for a member of a shorter run: no value is to blame
        return
    raise ValueError(
        f"{name} expected forks that go on from their donor's checkpoint, but the last {len(failed)} failed before "
        f"their first report; trial {fork.number}, a fork of trial {donor.number} with another "
        f"{' and '.join(changed)}, with {fork.reason}: if a parameter cannot change in mid-training because the "
        f'weights would not fit, name it, e.g. fixed=("{changed[0] if changed else "width"}",)'
    )


def check_numbers(name: str, population: int, interval: int | None, least: int = 2) -> None:
    """Say what is wrong with the size of a population or its interval.

    Raises:
        ValueError: one of them is not a whole number, or too small.
    """
    options.whole(name, "population", population, least)
    if interval is not None:
        options.whole(name, "interval", interval, 1)

"""How a synchronous bracket is played: what successive halving and Hyperband share.

The trials of a bracket all train to its first rung and rest there. When none is missing any more, the planned number of
the best go on to the next rung, and so on to the end of training. What happens on the way:

* **A trial that ends before its rung** (failed, diverged, timed out, lost for good) counts as arrived and ranks last:
  nobody waits for it, and the planned number of the others goes on. One that goes on from a rung and then fails is not
  replaced.
* **A trial that is certain to go on** does so at once: if k go on and m are still missing, the best k - m cannot be
  overtaken. So what a bracket decides is what it would have decided with everybody there, only sooner.
* **Stragglers** do not keep workers idle: when no bracket has anything to do for a free worker, the next one begins.
  Brackets never look at each other's trials, so none decides otherwise for it. Older brackets come first.
* **The last bracket of a run** that may start no more trials is judged with the trials that it has.
* **A trial without a checkpoint** cannot wait. It trains on if it is in the top share of those that are there, and is
  stopped otherwise.
* **A trial of no bracket** (put in line by hand while a promotion was due, or asked for) trains to its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from tunewell.events import Reported, Status
from tunewell.history import History, Rung
from tunewell.memo import remembered
from tunewell.numerics.brackets import rung_trials
from tunewell.protocols import Action, Continue, Pause, Resume, Start, Stop, Verdict, Wait


@dataclass(frozen=True, slots=True)
class Bracket:
    """The plan of one bracket: ``trials`` trials of a group, and the steps of its rungs, the last its end.

    Several rungs may lie at one step, where losses are reported less often than planned: they are one then, to which
    as many train as to the first of them, and from which as many go on as from the last.
    """

    group: str
    trials: int
    reduction: int
    steps: tuple[int, ...]

    @property
    def sizes(self) -> list[int]:
        """How many trials train to each rung."""
        return rung_trials(self.trials, self.reduction, len(self.steps) - 1)

    @property
    def stages(self) -> dict[int, tuple[int, int]]:
        """How many trials train to each step from which some go on, and how many these are."""
        found: dict[int, tuple[int, int]] = {}
        sizes = self.sizes
        for step, size, go_on in zip(self.steps, sizes, sizes[1:], strict=False):
            if step < self.steps[-1]:
                found[step] = (found[step][0] if step in found else size), go_on
        return found


@dataclass(frozen=True)
class Brackets:
    """One bracket after another.

    Attributes:
        player: the scheduler whose brackets they are; equal ones play alike.
        plan: returns the bracket of a group; None for a group that is none of ours, and as long as the steps of a full
            training are not known.
        following: returns the name of the group after another, or of the first.
    """

    player: object
    plan: Callable[[History, str], Bracket | None]
    following: Callable[[History, str | None], str]

    def next_action(self, history: History) -> Action:
        """Let a trial of the oldest bracket go on; or fill the newest bracket; or begin another."""
        names = iter(reversed(history.groups))
        newest = next((bracket for name in names if (bracket := self.plan(history, name)) is not None), None)
        if newest is None:
            group = self.following(history, None)
            if group in history.groups and _first_to_tell(history):
                return Wait("how long a full training is, is not known before a first trial says so")
            return Start(group=group)
        for bracket in (*self._open(history, newest.group), _as_it_stands(history, newest)):
            action = promotion(history, bracket)
            if action is not None:
                return action
            _settled(self.player, history, bracket.group)
        begun = len(history.groups[newest.group])
        if begun < newest.trials:
            return Start(reason=f"{newest.group}: trial {begun + 1} of {newest.trials}", group=newest.group)
        group = self.following(history, newest.group)
        return Start(reason=f"{group} begins", group=group)

    def decide(self, history: History, report: Reported) -> Verdict:
        """Rest at a rung of one's bracket until all are there, unless it is certain that one goes on."""
        group = history.trials[report.trial].group
        bracket = self.plan(history, group)
        if bracket is None:
            return Continue()
        return verdict(history, _as_it_stands(history, bracket), report)

    def _open(self, history: History, newest: str) -> Iterator[Bracket]:
        """The older brackets that may have something to do, oldest first."""
        for group in _unsettled(self.player, history):
            bracket = self.plan(history, group)
            if bracket is not None and group != newest:
                yield replace(bracket, trials=min(bracket.trials, len(history.groups[group])))


def promotion(history: History, bracket: Bracket) -> Resume | None:
    """Return which trial of a bracket goes on now, or None."""
    for level in _levels(history, bracket):
        trial = level.rung.best_waiting(history.trials)
        if trial is not None and level.room > 0 and level.is_certain(trial):
            return Resume(trial, f"goes on from {level.describe(bracket.group, trial)}")
    return None


def verdict(history: History, bracket: Bracket, report: Reported) -> Verdict:
    """Return what becomes of a trial that is at a rung of its bracket."""
    trial = history.trials[report.trial]
    level = next((each for each in _levels(history, bracket) if each.rung.came_at(report.trial) == report.step), None)
    if level is None:  # no rung, or no loss was reported here
        return Continue()
    rank, place = level.rung.rank(trial.number), level.describe(bracket.group, trial.number)
    room = level.room + 1  # the trial itself counts among those that have moved on until it is told to rest
    if trial.saved != report.step:
        allowed = len(level.rung) * level.go_on // level.size if level.missing else level.go_on
        if rank <= allowed and room + allowed - level.go_on > 0:
            return Continue(f"{place}, so it trains on")
        return Stop(f"{place}, and without a checkpoint it cannot wait")
    waiting = level.rung.best_waiting(history.trials)
    is_best = waiting is None or rank < level.rung.rank(waiting)
    if room > 0 and is_best and level.is_certain(trial.number):
        return Continue(f"{place}, so it trains on")
    return Pause(f"{place}, so it waits")


@dataclass(frozen=True, slots=True)
class _Level:
    """A rung of a bracket as it stands: ``go_on`` of ``size`` go on, ``missing`` may still arrive."""

    rung: Rung
    size: int
    go_on: int
    missing: int

    @property
    def room(self) -> int:
        """How many more go on."""
        return self.go_on - self.rung.moved_on

    def is_certain(self, trial: int) -> bool:
        """Whether a trial's place is good enough whatever those that are missing report."""
        return not self.missing or self.rung.rank(trial) <= self.go_on - self.missing

    def describe(self, group: str, trial: int) -> str:
        """Say where a trial stands: the first half of a reason."""
        place = f"rung {self.rung.step} of {group}: place {self.rung.rank(trial)} of {len(self.rung)}"
        return f"{place}{f' ({self.missing} to come)' if self.missing else ''}, {self.go_on} go on"


def _levels(history: History, bracket: Bracket) -> Iterator[_Level]:
    """The rungs of a bracket but the last, from which nobody goes on."""
    moving = history.moving.get(bracket.group, {})

    def coming(rung: Rung) -> list[int]:
        return [number for number in moving if number not in rung and history.trials[number].step < rung.until]

    below: _Level | None = None
    stages = bracket.stages
    ladder = history.ladder([*stages, bracket.steps[-1]], bracket.group)
    for (size, go_on), (_, rung) in zip(stages.values(), ladder, strict=False):
        if below is None:
            missing = max(0, size - len(history.groups.get(bracket.group, ())))
            missing += len(coming(rung))
        else:
            missing = sum(trial in below.rung for trial in coming(rung))
            if below.room > 0 and (below.missing or below.rung.best_waiting(history.trials) is not None):
                missing += below.room
        below = _Level(rung, size, go_on, missing)
        yield below


def _as_it_stands(history: History, bracket: Bracket) -> Bracket:
    """Return the bracket, or what it comes to if the run may start no more trials."""
    begun = len(history.groups[bracket.group])
    if begun < bracket.trials and not history.may_start:
        return replace(bracket, trials=begun)
    return bracket


def _first_to_tell(history: History) -> bool:
    """Whether a trial is in training that will show how long a full training is."""
    return not history.counts[Status.COMPLETED] and any(history.trials[trial].driver for trial in history.running)


# --- which brackets to look at ----------------------------------------------------------------------------------------
#
# A bracket that has nothing to do has nothing to do until one of its trials reports at a rung, comes to rest or goes
# on. So it is enough to look at those where that happened since.


@dataclass(slots=True)
class _Stirred:
    read: int = 0  # of history.stirred
    open: dict[str, int] = field(default_factory=dict)  # groups, with their first trial


@remembered
def _stirred(history: History, player: object) -> _Stirred:
    return _Stirred()


def _unsettled(player: object, history: History) -> list[str]:
    """Return the groups, oldest first, in which something has happened since they were settled."""
    memo = _stirred(history, player)
    for trial in history.stirred[memo.read :]:
        group = history.trials[trial].group
        if group in history.groups:  # an added result is in none
            memo.open[group] = history.groups[group][0]
    memo.read = len(history.stirred)
    return sorted(memo.open, key=memo.open.__getitem__)


def _settled(player: object, history: History, group: str) -> None:
    """Note that a group has nothing to do until something happens in it."""
    _stirred(history, player).open.pop(group, None)

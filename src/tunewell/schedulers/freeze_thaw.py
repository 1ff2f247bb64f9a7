"""Freeze-thaw: whichever training, new or paused, promises most for what it costs goes on, one rung at a time.

The idea is that of Swersky et al. 2014 (arXiv:1406.3896): trainings are never lost but frozen, and thawed when a model
of all learning curves says so. The model is here a Gaussian process of curves (:mod:`tunewell.numerics.curves`), fitted
to every trial's losses at its rungs and where it stands; losses count by their order (:func:`warps.scores`).

A training is a box that is opened in stages: each rung (1, 2, 4, … steps) costs its steps and tells more about the end.
For such boxes the best policy is known (:mod:`tunewell.numerics.gittins`), and so is the price of compute at which each
is just worth its next stage. The box that stands the highest price goes on. So little is paid for a look at something
new, much for what is ahead, and what had a bad start is thawed when the better ones have disappointed. Further:

* a new configuration is searched for by climbing its expected improvement at the end, times the probabilities that
  samplers know (failure, constraints, belief, novelty); what a success costs is divided by them;
* prices are for what may end better than all that is expected so far, so that looking goes on while it pays; what
  looks best has to be finished as well, to be had at all: a share of the compute, once a full training's worth of it
  is spent, goes to the training with the largest expected improvement on the best loss that was *seen*, while that one
  has a fair chance to beat it;
* a share of the other decisions begins a new training whatever the model says, half of them at random and half where it
  expects the best end: no model is right about everything (as in Mallik et al. 2023, "PriorBand", arXiv:2306.12370);
* what hyperparameters of known names usually do over a range (:mod:`tunewell.surrogate.usual`) is the mean that the
  model begins with, and how finely they have to be searched is its length scales; learning rates are compared by how
  far they are from where batch size, momentum and others put the best one; the first trainings are drawn by the mean,
  and so are a quarter of those that would be begun at random, for what is usual may be wrong here;
* a step that takes one configuration longer than others costs more, and what one takes that nobody has tried is told
  from those (:mod:`tunewell.surrogate.costs`); but of the seconds beyond the usual only as large a share counts as is
  used up of the totals: compute is worth what it would bring at the end of the run, which is little while much is left.
  (To count all of them from the beginning, and most of all then, took twice the compute to the same accuracy over
  eleven kinds of networks: small ones that improve a little for little put off larger ones that are better.);
* a run with a total of steps or seconds has an end. Trainings count for the last rung that they can come to until then;
  the one that looks best is finished as soon as that takes half of what is left to each worker; and once a training has
  been completed and there is no time for another one, nothing new begins: those are finished that can be, and then the
  one goes on that promises most for as far as it still comes;
* a training that goes as another one went, to the last digit, counts with the probability that it will not go on so
  (:func:`tunewell.surrogate.twins.doubles`);
* a paused trial counts with its probability to keep the constraints.

Trials in training are believed to reach their next rung as expected, so several workers keep apart. A trial that cannot
be saved cannot be frozen: once one has been trained to its end, it is stopped for good below a chance of 5 % to become
the best, and where something new promises more for its cost, unless it is among the best third at its rung or it is
time to finish one. (By the prices alone so much is looked at once that too little is finished: no price tells that what
is stopped is lost.) One that is saved, though not at this rung, is stopped only below 5 %.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr

from tunewell.events import Reported, Status
from tunewell.history import History, Rung
from tunewell.numerics.brackets import geometric_steps
from tunewell.options import between, whole, yes_or_no
from tunewell.protocols import Action, Continue, Done, Exhausted, Pause, Resume, Start, Stop, Verdict
from tunewell.samplers.acquiring import anything_new, drawn, first
from tunewell.samplers.untried import without_result
from tunewell.schedulers.choosing import chooses
from tunewell.schedulers.prospects import front_runner, log_kept, log_news, log_prices, most_promising
from tunewell.space import Config, Space
from tunewell.surrogate import processes
from tunewell.surrogate.cube import cube_of
from tunewell.surrogate.observations import believed, tried, values_of
from tunewell.surrogate.outlook import Outlook, look
from tunewell.surrogate.usual import promising, trend_of

_HOPELESS, _FAIR = 0.05, 0.1
_BEST = 3  # the best one in so many at a rung is not stopped for something new
_LATE = 0.5  # the share of what is left to a worker from which on the best one is finished first
_USUAL = 0.25  # of what begins whatever the model says: how much of it where it is usually good, not at random
_DEEP = 4  # a trial in training is under way to its end from this part of it on
_FINISHED = "looks best, and it is time to finish one"
_FURTHER = "promises most for as far as it can still come"


@dataclass(frozen=True)
class FreezeThaw:
    """Freeze-thaw over rungs; see the module's text.

    Attributes:
        reduction: η; rungs lie at ``min_steps * η**k`` steps and at the end.
        min_steps: steps to the first rung.
        max_steps: of a full training; None: those of the run, or those the objective says it means to train.
        explore: the share of the decisions with nothing to finish that begin a new training in any case.
        finish: the largest share of the compute that finishes the trainings that look best.
        initial: trainings that begin before anything is modelled.
        evaluations: of the log posterior, at most, in a fit of the curves' hyperparameters.
        usual: whether what is usual of hyperparameters with known names counts.

    Raises:
        ValueError: a number out of range.
    """

    reduction: float = 2.0
    min_steps: int = 1
    max_steps: int | None = None
    explore: float = 0.25
    finish: float = 0.7
    initial: int = 4
    evaluations: int = 20
    usual: bool = True

    def __post_init__(self) -> None:
        if not between(self.reduction, 1.0):
            raise ValueError(f"freeze_thaw expected a reduction above 1, got {self.reduction!r}")
        for name in ("min_steps", "initial", "evaluations"):
            whole("freeze_thaw", name, getattr(self, name), 1)
        if self.max_steps is not None:
            whole("freeze_thaw", "max_steps", self.max_steps, self.min_steps)
        for name in ("explore", "finish"):
            share = getattr(self, name)
            if not between(share, 0.0, 1.0, ends=True):
                raise ValueError(f"freeze_thaw expected {name} from 0 to 1, got {share!r}")
        yes_or_no("freeze_thaw", "usual", self.usual)

    def rungs(self, steps: int) -> list[int]:
        """Return where a training of so many steps may be frozen, its end included.

        Where losses are not reported after every step, each lies at the next report: see :mod:`tunewell.cadence`.
        """
        return geometric_steps(self.min_steps, steps, self.reduction)

    def next_action(self, space: Space, history: History, rng: np.random.Generator) -> Action:
        """Return the training that promises most for what it costs: a new or a paused one."""
        steps, full = self.max_steps or history.horizon, not history.may_start
        if len(history.trials) < self.initial and not full:
            return self._begin(space, history, rng)
        if steps is None:
            return Done("no more trials may start") if full else Start(None, "how long a training is, is not known yet")
        with processes.one_thread():
            view = self._look(history, steps, space=space)
            if full:
                return _finish(history, view)
            draw = _Draw.of(history, self.explore, view)
            if view is None:
                return self._anything(space, history, draw.rng) or Done(_all_tried(space, history))
            return self._choose(space, history, view, draw)

    def decide(self, history: History, report: Reported) -> Verdict:
        """Freeze a training at a rung unless it is the one that would be chosen."""
        steps, full = self.max_steps or history.horizon, not history.may_start
        if steps is None or report.step >= steps or history.goals[0].metric not in report.metrics:
            return Continue()
        if self._rung(history, steps, report.trial) is None:
            return Continue()
        if history.trials[report.trial].losses is None:
            return Continue("not every goal has been measured yet")
        with processes.one_thread():
            if history.trials[report.trial].saved != report.step:
                return self._unsaved(history, steps, report.trial)
            if len(history.trials) < self.initial and not full:
                return Pause("the first trainings wait for each other")
            reason = self._going_on(history, steps, report.trial, full)
        if reason:
            return Continue(reason)
        return Pause(f"frozen at step {report.step}: another training promises more for its cost")

    # --- the rule -----------------------------------------------------------------------------------------------------

    def _choose(self, space: Space, history: History, view: Outlook, draw: _Draw) -> Action:
        paused = view.paused(history, None)
        due = self._due(history, view, paused)
        if due is not None:
            return Resume(*due)
        if draw.exploring and draw.blindly:
            start = self._anything(space, history, draw.rng)
            if start is not None:
                return start
        config, price = most_promising(space, history, view, draw.rng)
        if config is not None and draw.exploring:
            return Start(_own(config, history), "explores where the model expects the best end")
        prices = log_prices(history, view, paused) if paused else np.full(1, -np.inf)
        best = int(np.argmax(prices))
        if config is not None and (price > prices[best] or not paused):
            words = "a new training promises more for its cost than any paused one"
            return Start(_own(config, history), words if paused else "a new training, as none is paused")
        if not paused:
            return Done(_all_tried(space, history, ", and none is paused"))
        return Resume(paused[best], _most(view, history, paused[best]))

    def _going_on(self, history: History, steps: int, trial: int, full: bool) -> str:
        """Return why a trial is the one that goes on, or an empty string where it is not."""
        view = self._look(history, steps, trial)
        if view is None:
            return "nothing to compare it with"
        if not view.seen.placed[trial]:
            return "it cannot be compared with the others"
        if full:
            chosen = _finish(history, view, trial)
            return chosen.reason if isinstance(chosen, Resume) and chosen.trial == trial else ""
        paused = view.paused(history, trial)
        due = self._due(history, view, paused, trial)
        if due is not None:
            return due[1] if due[0] == trial else ""
        draw = _Draw.of(history, self.explore, view)
        if draw.exploring:
            return ""
        prices = log_prices(history, view, paused)
        best = int(np.argmax(prices))
        if paused[best] != trial or most_promising(history.space, history, view, draw.rng)[1] > prices[best]:
            return ""
        return _most(view, history, trial)

    def _due(
        self, history: History, view: Outlook, paused: list[int], current: int | None = None
    ) -> tuple[int, str] | None:
        """Return the trial that it is time to finish and why; None where it is not, or where none has a fair chance."""
        steps = np.array([history.trials[number].step for number in paused])
        needs = (view.steps - steps) * np.exp(view.speeds[paused])
        timely = [number for number, need in zip(paused, needs, strict=True) if need <= view.left]
        if paused and not timely and view.closing:
            return front_runner(history, view, paused), _FURTHER
        due, late = self._to_finish(history, view.steps, current), needs >= _LATE * view.left
        if not timely or not (due or late.any()):
            return None
        ahead = front_runner(history, view, timely)
        chance = _log_chances(view, [ahead]) + log_kept(history, view, [ahead]) + log_news(view, [ahead])
        return (ahead, _FINISHED) if (due or late[paused.index(ahead)]) and chance[0] >= np.log(_FAIR) else None

    def _to_finish(self, history: History, steps: int, current: int | None = None) -> bool:
        """Whether the share of the compute that finishes trainings is behind, those under way counted as finished."""
        deep = sum(history.trials[n].step * _DEEP >= steps for n in history.running if n != current)
        finished = history.counts[Status.COMPLETED] + deep
        return finished * steps < self.finish * (history.steps_done - steps)

    def _unsaved(self, history: History, steps: int, trial: int) -> Verdict:
        if not history.counts[Status.COMPLETED]:
            return Continue("nothing has been trained to its end yet")
        view = self._look(history, steps, trial)
        if view is None or not view.seen.placed[trial]:
            return Continue()
        chance = float(np.exp(_log_chances(view, [trial])[0] + log_news(view, [trial])[0]))
        words = f"a chance of {100.0 * chance:.2g} % to become the best"
        if chance < _HOPELESS:
            return Stop(f"{words}, and without a checkpoint it cannot wait")
        seldom = history.trials[trial].saved > 0  # it saves, though not here: it may rest at a later rung
        rung = self._rung(history, steps, trial)
        ahead = rung is not None and rung.rank(trial) <= max(1, len(rung) // _BEST)
        if not seldom and not ahead and history.may_start and not self._to_finish(history, steps, trial):
            _, price = most_promising(history.space, history, view, _Draw.of(history, self.explore, view).rng)
            if price > log_prices(history, view, [trial])[0]:
                return Stop("a new training promises more for its cost, and without a checkpoint this one cannot wait")
        return Continue(words)

    def _look(
        self, history: History, steps: int, current: int | None = None, space: Space | None = None
    ) -> Outlook | None:
        fewest = min(2, self.initial) if history.may_start else 1
        space = history.space if space is None else space
        trend = trend_of(space, history) if self.usual else None
        return look(space, history, self._rungs(history, steps), fewest, self.evaluations, current, trend)

    def _rungs(self, history: History, steps: int) -> list[int]:
        """Return the rungs as they lie in a study."""
        first = min(history.cadence.at(self.min_steps), steps)
        return history.cadence.rungs(geometric_steps(first, steps, self.reduction))

    def _rung(self, history: History, steps: int, trial: int) -> Rung | None:
        """Return the rung that a trial has come to with its newest report, None where it has not."""
        rungs, step = self._rungs(history, steps), history.trials[trial].step
        place = bisect_right(rungs, step) - 1
        if place < 0 or place + 1 == len(rungs):
            return None
        rung = history.rung(rungs[place], until=rungs[place + 1])
        return rung if rung.came_at(trial) == step else None

    def _begin(self, space: Space, history: History, rng: np.random.Generator) -> Action:
        if not chooses(history):
            return Start(None, "to begin with")
        usual = self._promising(space, history, rng)
        if usual is not None:
            return Start(usual, "to begin with, where hyperparameters of these names are usually good")
        try:
            return Start(first(cube_of(space), space, history, rng), "to begin with")
        except Exhausted as exhausted:
            return Done(str(exhausted))

    def _promising(self, space: Space, history: History, rng: np.random.Generator) -> Config | None:
        """Return what is usually good; None where nothing is, or where somebody believes in configurations."""
        if not self.usual or len(believed(space, history)[0]):
            return None
        return promising(space, history, rng)

    def _anything(self, space: Space, history: History, rng: np.random.Generator) -> Start | None:
        """Return a new training anywhere, None where every configuration has been tried."""
        if not chooses(history):
            return Start(None, "explores")
        usual = self._promising(space, history, rng)
        if usual is not None and rng.random() < _USUAL:
            return Start(usual, "explores where hyperparameters of these names are usually good")
        belief = drawn(cube_of(space), space, history, 1, rng)
        if belief is not None:
            config = space.decode_one(belief[0].tolist())
            if values_of(space, config) not in tried(space, history):
                return Start(config, "explores where somebody believes in")
        try:
            return Start(anything_new(space, history, rng), "explores at random")
        except Exhausted:
            return None


@dataclass(frozen=True, eq=False)
class _Draw:
    """What a decision leaves to chance: whether it explores, and how.

    Drawn from the study's seed and how far it has come, so that a trial that is frozen for another makes way for it.
    """

    rng: np.random.Generator
    exploring: bool
    blindly: bool

    @classmethod
    def of(cls, history: History, explore: float, view: Outlook | None) -> _Draw:
        """Return the draw of this moment; where a run closes, nothing is explored."""
        rng = np.random.default_rng([history.seed, len(history.trials), history.steps_done // history.cadence.at(1)])
        closing = view is not None and view.closing
        return cls(rng, bool(rng.random() < explore) and not closing, bool(rng.random() < 0.5))


def _log_chances(view: Outlook, trials: list[int]) -> np.ndarray:
    """Return the log probability of each trial to end better than the best loss so far."""
    mean, std = view.ahead(trials, [view.steps] * len(trials))
    return np.asarray(log_ndtr((view.best - mean) / std))


def _finish(history: History, view: Outlook | None, current: int | None = None) -> Done | Resume:
    """Return the paused trial that is most likely to end as the best, where no more may start."""
    paused = [] if view is None else view.paused(history, current)
    if view is None or not paused:
        return Done("no more trials may start, and none is paused that could become the best")
    likely = _log_chances(view, paused) + log_news(view, paused)
    best = int(np.argmax(likely + log_kept(history, view, paused) - view.speeds[paused]))
    if likely[best] < np.log(_HOPELESS):
        return Done("no paused trial is likely to become the best, and no more may start")
    return Resume(paused[best], f"of the paused trials the most likely to become the best ({_percent(likely[best])})")


def _all_tried(space: Space, history: History, and_none: str = "") -> str:
    return f"every configuration has been tried{and_none}{without_result(space, history)}"


def _own(config: Config, history: History) -> Config | None:
    return config if chooses(history) else None


def _most(view: Outlook, history: History, trial: int) -> str:
    chance = _percent(float(_log_chances(view, [trial])[0]))
    return (
        f"promises most for what it costs: at step {history.trials[trial].step} a chance of {chance} to end as the best"
    )


def _percent(log_chance: float) -> str:
    return f"{100.0 * min(1.0, float(np.exp(log_chance))):.2g} %"

"""The default: how far to train follows from what the run is given and from what the history shows.

* A total of *trials* asks for so many whole trainings, and gets them: first in, first out.
* A total of *steps* or *seconds* asks for the best that so much compute can find. Then trainings are frozen and thawed
  by a model of their curves (:mod:`.freeze_thaw`); with more than 32 workers by ASHA, since a model that decides for
  one worker what the others are about to learn gains little, and promotions need no model.
* How long a full training is, is the run's ``max_steps`` or what the objective says it means to train; before that is
  known, and where trainings report fewer than four steps, every trial trains to its end.
* Early losses count only as far as they have told late ones. Among trials that were trained to the end the rank
  correlation of their losses at each rung with those at the end is looked at, and trainings are first compared at the
  first rung where it is at least 0.3; where it is so nowhere but at the end, whole trainings are compared.
* Trials that are not saved cannot be frozen: the model then only ends those with little chance (see there).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tunewell.events import Reported
from tunewell.history import History
from tunewell.protocols import Action, Continue, Scheduler, Start, Verdict
from tunewell.schedulers.asha import Asha
from tunewell.schedulers.fifo import Fifo
from tunewell.schedulers.freeze_thaw import FreezeThaw
from tunewell.space import Space

_FEWEST_STEPS = 4
_MANY_WORKERS = 32
_COMPARED = 8  # trials trained to the end, before their early losses are judged
_TELLING = 0.3


@dataclass(frozen=True)
class Auto:
    """The scheduler that fits the budget, the workers and the history; see the module's text.

    >>> import tunewell as tw
    >>> study = tw.Study(tw.Space(x=tw.Float(0.0, 1.0)), scheduler="auto")
    """

    def next_action(self, space: Space, history: History, rng: np.random.Generator) -> Action:
        """Return what the scheduler in charge says."""
        chosen, why = self.chosen(history)
        action = chosen.next_action(space, history, rng)
        if isinstance(action, Start) and why:
            return replace(action, reason="; ".join(filter(None, (why, action.reason))))
        return action

    def decide(self, history: History, report: Reported) -> Verdict:
        """Return what the scheduler in charge says."""
        chosen, _ = self.chosen(history)
        return Continue() if isinstance(chosen, Fifo) else chosen.decide(history, report)

    def chosen(self, history: History) -> tuple[Scheduler, str]:
        """Return the scheduler in charge and, where it is not the plain one, why in words."""
        run, horizon = history.run, history.horizon
        if run is None or (run.steps is None and run.seconds is None) or run.trials is not None:
            return Fifo(), ""
        if horizon is None or horizon < _FEWEST_STEPS:
            return Fifo(), ""
        first = _first_telling(history, FreezeThaw(max_steps=horizon).rungs(horizon))
        if first >= horizon:
            return Fifo(), "whole trainings, for early losses have not told late ones here"
        if run.workers > _MANY_WORKERS:
            return Asha(min_steps=first, max_steps=horizon), f"ASHA for {run.workers} workers"
        return FreezeThaw(min_steps=first, max_steps=horizon), "freeze-thaw"


def _first_telling(history: History, rungs: list[int]) -> int:
    """Return the first rung at which losses rank like those at the end; the first of all while little is known."""
    end = history.rung(rungs[-1])
    finished = [number for number in end.ranked() if np.isfinite(end.loss(number))]
    if len(finished) < _COMPARED:
        return rungs[0]
    late = np.arange(len(finished), dtype=np.float64)
    for step in rungs[:-1]:
        rung = history.rung(step)
        known = np.array([number in rung for number in finished])
        if known.sum() < _COMPARED:
            continue
        early = [rung.rank(number) for number, there in zip(finished, known, strict=True) if there]
        order = np.argsort(np.argsort(early)).astype(np.float64)
        if float(np.corrcoef(order, late[known])[0, 1]) >= _TELLING:
            return step
    return rungs[-1]

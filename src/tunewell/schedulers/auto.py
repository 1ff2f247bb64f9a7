"""The default: how far to train follows from what the run is given and from what the history shows.

* A total of *trials* asks for so many whole trainings, and gets them: first in, first out.
* A total of *steps* or *seconds* asks for the best that so much compute can find. Then trainings are frozen and thawed
  by a model of their curves (:mod:`.freeze_thaw`); with more than 32 workers by ASHA, since a model that decides for
  one worker what the others are about to learn gains little, and promotions need no model.
* How long a full training is, is the run's ``max_steps`` or what the objective says it means to train; before that is
  known, and where trainings report fewer than four steps, every trial trains to its end.
* Early losses count only as far as they have told late ones (:mod:`tunewell.surrogate.spending`, which the report and
  the console read, too, to say which scheduler is in charge and why).
* A total that holds about one training for each worker leaves nothing to choose: what was begun first goes on to
  its end, and nothing begins that would not come half way (:mod:`tunewell.surrogate.scarcity`).
* Trials that are not saved cannot be frozen: the model then ends those that promise less than new ones (see there).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tunewell.events import Reported, Status
from tunewell.history import History
from tunewell.protocols import Action, Continue, Resume, Scheduler, Start, Verdict, Wait
from tunewell.schedulers.asha import Asha
from tunewell.schedulers.fifo import Fifo
from tunewell.schedulers.freeze_thaw import FreezeThaw
from tunewell.space import Space
from tunewell.surrogate.scarcity import WHY, is_worth_beginning
from tunewell.surrogate.spending import DOUBLING, TRIPLING, Spending, spending


@dataclass(frozen=True)
class Auto:
    """The scheduler that fits the budget, the workers and the history; see the module's text.

    >>> import tunewell as tw
    >>> study = tw.Study(tw.Space(x=tw.Float(0.0, 1.0)), scheduler="auto")
    """

    def next_action(self, space: Space, history: History, rng: np.random.Generator) -> Action:
        """Return what the scheduler in charge says."""
        compute = spending(history)
        chosen, why = _in_charge(history, compute)
        if compute.scarce:
            if rested := _rested(history):
                return Resume(rested[0], WHY)
            if not history.queue and not is_worth_beginning(history):
                return Wait(f"{WHY}, and what is left is less than half of another one")
        action = chosen.next_action(space, history, rng)
        if isinstance(action, Start) and why:
            return replace(action, reason="; ".join(filter(None, (why, action.reason))))
        return action

    def decide(self, history: History, report: Reported) -> Verdict:
        """Return what the scheduler in charge says."""
        compute = spending(history)
        if compute.scarce:
            return Continue(WHY)
        chosen, _ = _in_charge(history, compute)
        return Continue() if isinstance(chosen, Fifo) else chosen.decide(history, report)

    def chosen(self, history: History) -> tuple[Scheduler, str]:
        """Return the scheduler in charge and, where it is not the plain one, why in words."""
        return _in_charge(history, spending(history))


def _in_charge(history: History, compute: Spending) -> tuple[Scheduler, str]:
    if compute.rule == "asha" and history.run is not None:
        return Asha(TRIPLING, compute.rungs[0], history.horizon), f"ASHA for {history.run.workers} workers"
    if compute.rule == "freeze_thaw":
        why = compute.why if compute.scarce else "freeze-thaw"
        return FreezeThaw(DOUBLING, compute.rungs[0], history.horizon), why
    return Fifo(), f"whole trainings, for {compute.why}" if compute.why.startswith("early losses") else ""


def _rested(history: History) -> list[int]:
    """Return the trials that were frozen before the total turned out to be so small, the oldest first."""
    return [t.number for t in history.trials if t.status is Status.PAUSED and t.paused_by == "scheduler"]

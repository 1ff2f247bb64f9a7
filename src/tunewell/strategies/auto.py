"""The default: by tiers where a total of trials is too small for every one of them, else what the evidence says.

With plenty of trainings, a model of everything at once finds what matters by itself
(:mod:`tunewell.samplers.evidence`). With about ten it cannot, and knowing that the learning rate comes first is worth
more: on most recorded tables the tiered search (:mod:`tunewell.strategies.tiered`) then ends lower, and with 25 or more
they are equal. So where the total of the newest run is known to be so small, trials proceed as there, and say so.

That was measured with whole trainings, one after another. So it is done only for one goal and a total of trials, where
the scheduler keeps no population, the first tier has a learning rate, and the run has the time to learn from a few
rounds of it; and not where somebody has said where good values lie.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tunewell import knowledge
from tunewell.history import History
from tunewell.protocols import Suggestion
from tunewell.samplers.evidence import Evidence
from tunewell.space import Space
from tunewell.strategies.tiered import Tiered
from tunewell.tiers import few, tiers_of

_SCHEDULERS = ("auto", "fifo")


@dataclass(frozen=True)
class Auto:
    """The default sampler; see the module's text.

    >>> import tunewell as tw
    >>> study = tw.Study(tw.Space(x=tw.Float(0.0, 1.0)), sampler="auto")
    """

    def suggest(self, space: Space, history: History, rng: np.random.Generator) -> Suggestion:
        """Return what the sampler in charge suggests; raise Exhausted when everything has been tried."""
        if _by_tiers(space, history):
            return Tiered().suggest(space, history, rng)
        return Evidence().suggest(space, history, rng)


def _by_tiers(space: Space, history: History) -> bool:
    """Tell whether the newest run's total is too small for anything but the tiers that come first."""
    run, scheduler = history.run, history.settings.get("scheduler", "auto")
    if run is None or run.trials is None or len(history.goals) > 1:
        return False
    if history.beliefs or any(parameter.prior is not None for parameter in space.values()):
        return False
    if (scheduler if isinstance(scheduler, str) else scheduler.get("name")) not in _SCHEDULERS:
        return False
    tiers = tiers_of(space)
    rate = any(knowledge.find(name) == "learning_rate" for tier in tiers[:1] for name in tier.parameters)
    return rate and few(run.trials - 1.0, tiers) and tiers[0].fewest * run.workers < run.trials

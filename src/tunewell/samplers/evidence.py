"""The model that explains this study best decides what to try next: what :mod:`tunewell.strategies.auto` mostly asks.

It begins with the middle of the ranges (or the stated default, or what somebody believes in) and two quasi-random
configurations; from then on a Gaussian process decides, see :mod:`tunewell.samplers.gp`, which may bend the axes. What
the process makes of the study is evidence:

* noise that it finds, or cannot tell from roughness, is tested by a repeat, and repeats go on where it is confirmed;
* an objective that it cannot predict (no better than the mean does, when each trial is left out in turn) gets every
  other suggestion from a tree-structured Parzen estimator, which asks of the losses only their order.

So which model decides follows from how well it has done here, not from a table of kinds of spaces. Two to four goals
are left to :mod:`tunewell.samplers.ehvi`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tunewell.history import History
from tunewell.protocols import Suggestion
from tunewell.samplers.acquiring import first
from tunewell.samplers.ehvi import EHVI, MOST_GOALS
from tunewell.samplers.gp import GP
from tunewell.samplers.tpe import TPE
from tunewell.samplers.view import look
from tunewell.space import Space
from tunewell.surrogate import processes
from tunewell.surrogate.cube import cube_of

_JUDGED = 20  # losses before the process is judged


@dataclass(frozen=True)
class Evidence:
    """The model that explains this study best decides; see the module's text."""

    def suggest(self, space: Space, history: History, rng: np.random.Generator) -> Suggestion:
        """Return what the model in charge suggests; raise Exhausted when everything has been tried."""
        if 1 < len(history.goals) <= MOST_GOALS:
            return EHVI().suggest(space, history, rng)
        process = GP(warping=True)
        with processes.one_thread():
            view = look(space, history, process.initial, process.evaluations, rng, process.warping)
            if view is None:
                return Suggestion(first(cube_of(space), space, history, rng), "to begin with")
            again = view.to_repeat(space, history)
            if again is not None:
                return again
            if history.suggested % 2 and len(view.targets) >= _JUDGED and view.model.skill <= 0.0:
                config = TPE().suggest(space, history, rng)
                return Suggestion(config, "Parzen estimator, for the process predicts no better than the mean does")
            return process.next(view, space, history, rng)

"""Asynchronous Hyperband: ASHA with several first rungs, each with the same share of the budget.

Li et al., "A system for massively parallel hyperparameter tuning", MLSys 2020, where the brackets of
Hyperband are played by ASHA with early-stopping rates s = 0 ... s_max. Within a bracket everything is as in
:mod:`tunewell.schedulers.asha`; brackets do not look at each other.

Hyperband gives each bracket the same budget. A trial of the bracket with rungs r_0 < r_1 < ... < r_m (the last is R)
trains, if each rung passes on 1/η,

    c = r_0 + Σ_i (r_i - r_(i-1)) η^-i    steps,                                                            (1)

and a new trial goes to the bracket that will have spent least with it, (trials + 1) c; ties go to the more aggressive.
So after every trial the budgets are as equal as whole trials allow, where the paper plays one bracket's whole budget
after the other's: here a study that ends early has seen the cheap brackets first and all of them in proportion. In the
paper c is r_0 (m + 1), for promoted trials begin anew there.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from tunewell import options
from tunewell.events import Reported
from tunewell.history import History
from tunewell.numerics.brackets import levels
from tunewell.protocols import Action, Continue, Start, Verdict
from tunewell.schedulers.asha import Asha
from tunewell.space import Space


@dataclass(frozen=True)
class AsyncHyperband:
    """ASHA's brackets side by side, from the most aggressive to training to the end at once.

    A group is called after its first rung as planned, "from step 9", which lies later where no loss is reported yet.

    Attributes:
        reduction: η; the best 1/η of a rung goes on to η times as many steps.
        min_steps: steps to the first rung of the most aggressive bracket.
        max_steps: R, the steps of a full training, where no rung lies any more. None: those of the run, or what the
            objective says or shows; until they are known, all trials begin in the most aggressive bracket.
    """

    reduction: int = 3
    min_steps: int = 1
    max_steps: int | None = None

    def __post_init__(self) -> None:
        options.rungs("async_hyperband", self.reduction, self.min_steps, self.max_steps)

    def brackets(self, most: int | None, first: int = 1) -> dict[str, Asha]:
        """Return the brackets for a full training of ``most`` steps by name, the most aggressive first.

        ``first`` is the first step at which a loss is reported.
        """
        least = max(self.min_steps, first)
        s_max = levels(most, self.reduction, least) if most else 0
        end = None if most is None else max(most, least)
        return {
            f"from step {self.min_steps * self.reduction**s}": Asha(self.reduction, least, end, s)
            for s in range(s_max + 1)
        }

    def _brackets(self, history: History) -> dict[str, Asha]:
        return self.brackets(self.max_steps or history.horizon, history.cadence.at(self.min_steps))

    def next_action(self, space: Space, history: History, rng: np.random.Generator) -> Action:
        """Promote where a rung has room, in the most aggressive bracket first; or start where least is spent."""
        most = self.max_steps or history.horizon
        brackets = self._brackets(history)
        for group, asha in brackets.items():
            if group in history.groups and (promoted := asha.promotion(history, group)):
                return promoted
        begun = {group: len(history.groups.get(group, ())) for group in brackets}
        if most is None:
            (group,) = brackets
            return Start(group=group)
        group = min(brackets, key=lambda group: (begun[group] + 1) * _expected_steps(brackets[group], most))
        return Start(reason=f"trial {begun[group] + 1} {group}, where least is spent", group=group)

    def decide(self, history: History, report: Reported) -> Verdict:
        """Rest at a rung of one's bracket, unless there is room to go on at once."""
        group = history.trials[report.trial].group
        asha = self._brackets(history).get(group)
        return Continue() if asha is None else asha.verdict(history, report, group)


def _expected_steps(asha: Asha, most: int) -> Fraction:
    """Return (1), exactly."""
    ends = [*asha.rungs(most), most]
    gains = [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
    return sum((Fraction(gain, asha.reduction**i) for i, gain in enumerate(gains)), Fraction(0))

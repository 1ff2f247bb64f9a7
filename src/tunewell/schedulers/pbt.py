"""PBT: population-based training, which finds a schedule of hyperparameters instead of one value for all of a training.

Jaderberg et al., "Population based training of neural networks", 2017 (arXiv:1711.09846), Algorithm 1 with truncation
selection. A population of trainings is compared every ``interval`` steps. The worst quarter is stopped, and each of
their places goes to a fork of a member drawn from the best quarter: its weights (*exploit*), its hyperparameters
changed a little (*explore*). So good weights spread, and hyperparameters follow what is good at this stage.

Deviations from the paper:

* Members are compared at equal step, on common rungs. In the paper each member looks at the others wherever they happen
  to be, which favours whoever is further. Nobody waits for longer than the comparison takes:
  see :mod:`tunewell.schedulers.generations`. Who is replaced at a rung does not depend on the number of workers or
  their speed; what the founders are may, for the sampler learns from those that have come further.
* Factors act on each parameter's own scale, and 0.8 has 1.25 for its opposite instead of 1.2, so that exploring has no
  drift: see :mod:`tunewell.schedulers.exploring`.
* A member is not replaced while it trains: a fork is a trial of its own, with its own number and record. Who descends
  from whom is read off ``TrialRecord.fork``; ``study.schedule()`` says what the winner lived through.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from tunewell import options
from tunewell.events import Reported
from tunewell.history import History, TrialRecord
from tunewell.protocols import Action, Verdict
from tunewell.schedulers.exploring import check_fixed, explored
from tunewell.schedulers.generations import Generations
from tunewell.schedulers.populating import check_budget, check_forks, check_numbers, interval_of
from tunewell.schedulers.standing import Heir, Population, Standing, vacancies
from tunewell.space import Config, Space

GROUP = "pbt"


@dataclass(frozen=True)
class PBT:
    """Population-based training.

    The founders' configurations come from the study's sampler. The objective has to save a checkpoint at least every
    ``interval`` steps, and to read ``trial.params`` anew when it goes on from one: a fork carries the learning rate of
    its own configuration, whatever the optimiser's saved state says.

    The population has an end of its own, when all members have trained for ``max_steps``; that costs
    ``population * max_steps`` steps, which is the total to give. Forks count as trials, but a total of trials
    does not stop them; it has to have room for the founders.

    Attributes:
        population: how many train side by side; any number of workers will do, the members wait their turn.
        interval: steps from one comparison to the next; None takes a tenth of ``max_steps``, or 5 steps where the run
            does not say that.
        truncation: the share of the population that is stopped, and the share that they become forks of.
        perturb: the factors of which one is applied to each number.
        resample: the probability with which a value is drawn anew from its range.
        fixed: parameters that keep the donor's value, because they shape the network and its weights would not fit.

    Raises:
        ValueError: a number out of range, a name in ``fixed`` that the space does not have; when deciding, a total of
            trials below the population, forks that fail one after the other.

    >>> import tunewell as tw
    >>> scheduler = tw.schedulers.PBT(population=8, interval=5, fixed=("width",))
    """

    population: int = 8
    interval: int | None = None
    truncation: float = 0.25
    perturb: Sequence[float] = (0.8, 1.25)
    resample: float = 0.25
    fixed: Sequence[str] = ()

    def __post_init__(self) -> None:
        check_numbers("pbt", self.population, self.interval)
        check_shares("pbt", self.truncation, self.resample, self.perturb, self.fixed)

    def check_space(self, space: Space) -> None:
        """Refuse names in ``fixed`` that the space does not have.

        Raises:
            ValueError: so it is.
        """
        check_fixed("pbt", self.fixed, space)

    def next_action(self, space: Space, history: History, rng: np.random.Generator) -> Action:
        """Start the founders, fork the best in the place of the worst, let the others go on."""
        self.check_space(space)
        check_budget("pbt", history, self.population, [GROUP])
        check_forks("pbt", history, GROUP, self.fixed)

        def explore(donor: TrialRecord, step: int) -> Config:
            return explored(space, donor.values_after(step), rng, self.perturb, self.resample, self.fixed)

        return self._generations(history).next_action(history, rng, explore)

    def decide(self, history: History, report: Reported) -> Verdict:
        """Go on, rest or stop at a step of comparison."""
        return self._generations(history).decide(history, report)

    def _generations(self, history: History) -> Generations:
        return truncating(
            "pbt",
            Population(GROUP, self.population),
            interval_of(history, GROUP, self.interval),
            self.truncation,
            history,
        )


def truncating(name: str, population: Population, interval: int, truncation: float, history: History) -> Generations:
    """Return the generations of one population in which the worst share becomes forks of the best one."""
    count = max(1, int(truncation * population.size))

    def heirs(history: History, standing: Standing) -> Sequence[Heir]:
        return truncated(history, standing, count, count)

    return Generations(name, (population,), interval, history.horizon, count, lambda population, step: count, heirs)


def truncated(history: History, standing: Standing, count: int, top: int) -> list[Heir]:
    """Return the heirs to empty places and to those of the worst ``count``; none where there is nobody to fork."""
    losers = standing.losers(history, count)
    if not any(donor not in losers for donor in standing.donors(history, len(standing.rung))):
        return []
    why = f"the worst {count} of {standing.population.size} become forks of the best {top}"
    return [*vacancies(standing), *(Heir(loser, why) for loser in losers)]


def check_shares(name: str, truncation: float, resample: float, factors: Sequence[float], fixed: Sequence[str]) -> None:
    """Say what is wrong with the options of truncation selection and exploration.

    Raises:
        TypeError: ``fixed`` is a single name.
        ValueError: one of them is out of range.
    """
    if isinstance(fixed, str):
        raise TypeError(f"{name} expected a list of names in fixed, got {fixed!r}: write fixed=({fixed!r},)")
    if not isinstance(fixed, Collection):
        raise TypeError(f"{name} expected a list of names in fixed, got {fixed!r}")
    if not options.between(truncation, 0.0, 0.5, ends=True) or truncation == 0.0:
        raise ValueError(f"{name} expected a truncation above 0 and of at most 0.5, got {truncation!r}")
    if not options.between(resample, 0.0, 1.0, ends=True):
        raise ValueError(f"{name} expected a resample probability from 0 to 1, got {resample!r}")
    if not isinstance(factors, Collection) or not factors or not all(options.between(f, 0.0) for f in factors):
        raise ValueError(f"{name} expected factors above 0 in perturb, such as (0.8, 1.25), got {factors!r}")

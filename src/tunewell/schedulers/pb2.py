"""PB2: population-based training that learns which values make the loss fall, instead of perturbing at random.

Parker-Holder et al., "Provably efficient online hyperparameter optimization with population-based bandits", 2020
(arXiv:2002.02518). Selection is PBT's. The values of a fork maximise an upper confidence bound of the improvement until
the next rung, under a Gaussian process on time and values, because what is good changes in the course of a training:

    x = argmin  μ(t, x) - κ σ(t, x),     κ² = 0.2 + max(0, log 0.4 n)

with μ and σ of the change of the loss a step, from n stretches of training (their Section 3.2, and the constants
of the authors' code). Members in training count with the change that is expected of them, so that forks differ.

Deviations from the paper:

* The kernel is ours, not theirs. Theirs is a squared exponential of the values times (1 - ε)^(|t - t'|/2) of the time,
  which forgets at one rate. Here time is one more column of the kernel of :mod:`tunewell.numerics.kernels`, a
  Matérn-5/2 of all columns together plus the mean of one per column, with a length scale of time that is fitted as the
  others are. It can forget, and it can also learn that something holds at all times; their regret bound is not for it.
* Unordered choices are columns of the process as well, where the paper leaves them to random search.
* While fewer than four stretches are known, values are explored as PBT does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tunewell.events import Reported, Status
from tunewell.history import History, TrialRecord
from tunewell.protocols import Action, Verdict
from tunewell.scales import Floats
from tunewell.schedulers.exploring import allows, check_fixed, explored
from tunewell.schedulers.generations import Generations
from tunewell.schedulers.pbt import check_shares, truncating
from tunewell.schedulers.populating import check_budget, check_forks, check_numbers, interval_of
from tunewell.schedulers.standing import Population
from tunewell.space import Config, Space
from tunewell.surrogate import processes
from tunewell.surrogate.cube import cube_of
from tunewell.surrogate.progress import TimeVarying, progress

GROUP = "pb2"
_FEWEST = 4  # stretches that a process is fitted to
_CANDIDATES = 512


@dataclass(frozen=True)
class PB2:
    """Population-based bandits: PBT with a model. For small populations, such as four.

    Attributes:
        population: how many train side by side.
        interval: steps from one comparison to the next; None as for :class:`~tunewell.schedulers.PBT`.
        truncation: the share of the population that is stopped, and the share that they become forks of.
        fixed: parameters that keep the donor's value.

    Raises:
        ValueError: as :class:`~tunewell.schedulers.PBT`.
    """

    population: int = 8
    interval: int | None = None
    truncation: float = 0.25
    fixed: Sequence[str] = ()

    def __post_init__(self) -> None:
        check_numbers("pb2", self.population, self.interval)
        check_shares("pb2", self.truncation, 0.0, (1.25,), self.fixed)

    def check_space(self, space: Space) -> None:
        """Refuse names in ``fixed`` that the space does not have.

        Raises:
            ValueError: so it is.
        """
        check_fixed("pb2", self.fixed, space)

    def next_action(self, space: Space, history: History, rng: np.random.Generator) -> Action:
        """As PBT, with values from the model."""
        self.check_space(space)
        check_budget("pb2", history, self.population, [GROUP])
        check_forks("pb2", history, GROUP, self.fixed)
        interval = interval_of(history, GROUP, self.interval)

        def explore(donor: TrialRecord, step: int) -> Config:
            return promising(space, history, GROUP, interval, donor.values_after(step), step, self.fixed, rng)

        return self._generations(history).next_action(history, rng, explore)

    def decide(self, history: History, report: Reported) -> Verdict:
        """As PBT."""
        return self._generations(history).decide(history, report)

    def _generations(self, history: History) -> Generations:
        interval = interval_of(history, GROUP, self.interval)
        return truncating("pb2", Population(GROUP, self.population), interval, self.truncation, history)


def promising(
    space: Space,
    history: History,
    group: str,
    interval: int,
    config: Config,
    step: int,
    fixed: Sequence[str],
    rng: np.random.Generator,
) -> Config:
    """Return the values with the best confidence bound from ``step`` on; ``fixed`` parameters as in ``config``."""
    seen = progress(space, history, group, interval)
    known = all(allows(parameter, name, config) for name, parameter in space.items() if name in config)
    cube = cube_of(space)
    if int(np.isfinite(seen.slopes).sum()) < _FEWEST or not known or not len(cube.free):
        return explored(space, config, rng, fixed=fixed)
    here = space.encode([{name: config[name] for name in space if name in config}])
    members = [history.trials[number] for number in history.alive.get(group, ())]
    running = [trial.values_after(trial.step) for trial in members if trial.status is Status.RUNNING]
    with processes.one_thread():
        model = TimeVarying.of(space, seen, max(step, int(seen.steps.max())), _encoded(space, running))
        best = seen.units[np.argsort(seen.slopes, kind="stable")[:4]]
        near = np.concatenate([here, best])[rng.integers(1 + len(best), size=_CANDIDATES // 2)]
        units = np.concatenate(
            [rng.random((_CANDIDATES // 2, len(space))), cube.mutate(near, rng, (-3.0, -0.5), len(space))]
        )
        for column, name in enumerate(space):
            if name in fixed and name in config:
                units[:, column] = here[0, column]
        units = cube.snap(units)
        mean, std = model.predict(step, units)
        kappa = math.sqrt(0.2 + max(0.0, math.log(0.4 * len(seen))))
        unit = units[int(np.argmin(mean - kappa * std))]
    found = space.decode_one(np.nan_to_num(unit, nan=0.5).tolist())
    return {name: config[name] if name in fixed and name in config else value for name, value in found.items()}


def _encoded(space: Space, configs: Sequence[Config]) -> Floats:
    """Return the coordinates of the configurations that the space, changed since, can hold."""
    fitting = [c for c in configs if all(name in space and allows(space[name], name, c) for name in c)]
    return space.encode(fitting)

"""Where a new training promises most: the configuration that :mod:`.freeze_thaw` compares with the paused ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tunewell.history import History
from tunewell.numerics import acquisition
from tunewell.protocols import Exhausted
from tunewell.samplers.acquiring import Sum, largest
from tunewell.samplers.view import conditions, constraints
from tunewell.scales import Floats
from tunewell.space import Config, Space
from tunewell.surrogate import processes
from tunewell.surrogate.observations import observe
from tunewell.surrogate.outlook import Outlook, time

_CANDIDATES = 160
_MOST_POINTS = 256  # that constraints are modelled with
_TOP = 10


@dataclass(frozen=True, eq=False)
class Promise:
    """What a new training promises after ``step`` steps, as a term of an acquisition.

    Attributes:
        outlook: how trainings will go on.
        step: see above.
        measure: what is made of the score's mean and deviation there.
    """

    outlook: Outlook
    step: int
    measure: acquisition.Measure

    def value(self, units: Floats) -> Floats:
        """Return the promise at coordinates, shape ``(m, d)`` to ``(m,)``."""
        at = float(time(self.step, self.outlook.steps))
        return self.measure(*self.outlook.model.predict(units[:, self.outlook.cube.free], at))[0]

    def value_and_slopes(self, units: Floats) -> tuple[Floats, Floats]:
        """Return the promise and its gradient, ``(m,)`` and ``(m, d)``."""
        free, at = self.outlook.cube.free, float(time(self.step, self.outlook.steps))
        mean, std, of_mean, of_std = self.outlook.model.predict_with_slopes(units[:, free], at)
        value, by_mean, by_std = self.measure(mean, std)
        slopes = np.zeros(units.shape)
        slopes[:, free] = by_mean[:, None] * of_mean + by_std[:, None] * of_std
        return value, slopes


def most_promising(
    space: Space, history: History, promise: Promise, rng: np.random.Generator
) -> tuple[Config | None, float]:
    """Return the new configuration with the largest promise found, None where all have been tried, and its value.

    The promise is added to the logs of the probabilities that samplers know of, and divided by the cost of a step.
    """
    outlook = promise.outlook
    cube, seen = outlook.cube, observe(space, history)
    targets = processes.targets_of(seen.losses, np.ones(seen.losses.shape[1])) if len(seen.losses) else np.zeros(0)
    rows = processes.subset(seen.units[:, cube.free], targets, _MOST_POINTS)
    target = Sum([promise, *conditions(cube, space, history, seen, targets, rows)])
    top = outlook.seen.units[outlook.shown[:_TOP]]
    try:
        config = largest(cube, space, history, target, top, _CANDIDATES, rng)
    except Exhausted:
        return None, -np.inf
    unit = space.encode([config])
    return config, float(target.value(unit)[0]) - outlook.speed_at(unit[0])


def log_kept(history: History, outlook: Outlook, trials: list[int]) -> Floats:
    """Return the log of the probability that trials keep the constraints, shape ``(m,)``."""
    kept = np.zeros(len(trials))
    if history.constraints:
        cube, seen = outlook.cube, observe(history.space, history)
        rows = np.arange(len(seen.losses))[-_MOST_POINTS:]
        for term in constraints(cube, seen, rows):
            kept += term.value(outlook.seen.units[trials])
    return kept

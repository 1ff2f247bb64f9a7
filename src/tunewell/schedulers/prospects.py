"""What trainings promise for what they cost, new ones and those that are paused; :mod:`.freeze_thaw` compares them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tunewell.history import History
from tunewell.numerics import acquisition
from tunewell.numerics.gittins import log_price
from tunewell.protocols import Exhausted
from tunewell.samplers.acquiring import Sum, Term, ranked
from tunewell.samplers.view import constraints, odds
from tunewell.scales import Floats
from tunewell.space import Config, Space
from tunewell.surrogate import processes
from tunewell.surrogate.beliefs import belief, components
from tunewell.surrogate.observations import observe
from tunewell.surrogate.outlook import Outlook
from tunewell.surrogate.twins import REPEATS

_CANDIDATES = 160
_PRICED = (30, 10)  # of the new ones found: those with the largest promise, and those with the best mean
_MOST_POINTS = 256  # that constraints are modelled with
_TOP = 10


@dataclass(frozen=True, eq=False)
class Promise:
    """How much better than all that is expected so far a new training may end, as a term of an acquisition."""

    outlook: Outlook

    def value(self, units: Floats) -> Floats:
        """Return the log of the expected improvement at coordinates, shape ``(m, d)`` to ``(m,)``."""
        return self._measure(*self.outlook.model.predict(units[:, self.outlook.cube.free]))[0]

    def value_and_slopes(self, units: Floats) -> tuple[Floats, Floats]:
        """Return the same and its gradient, ``(m,)`` and ``(m, d)``."""
        free = self.outlook.cube.free
        mean, std, of_mean, of_std = self.outlook.model.predict_with_slopes(units[:, free])
        value, by_mean, by_std = self._measure(mean, std)
        slopes = np.zeros(units.shape)
        slopes[:, free] = by_mean[:, None] * of_mean + by_std[:, None] * of_std
        return value, slopes

    @property
    def _measure(self) -> acquisition.Measure:
        return acquisition.expecting(self.outlook.expected)


def most_promising(
    space: Space, history: History, outlook: Outlook, rng: np.random.Generator
) -> tuple[Config | None, float]:
    """Return the new configuration that is worth the highest price, None where all have been tried, and its log.

    Where a run closes, nothing new is worth a price.

    What is priced is found by climbing the promise times the probabilities that samplers know of, times what a person
    believes. A belief is no probability of success, so it says where to look and nothing about the price.
    """
    cube, seen, promise = outlook.cube, observe(space, history), Promise(outlook)
    targets = processes.targets_of(seen.losses, np.ones(seen.losses.shape[1])) if len(seen.losses) else np.zeros(0)
    rows = processes.subset(seen.units[:, cube.free], targets, _MOST_POINTS)
    likely = odds(cube, space, history, seen, rows)
    somebody = len(components(cube, space, history)[0]) > 0
    favour = belief(cube, space, history, seen.units, targets) if somebody else None
    terms: list[Term] = [promise, *likely]
    target = Sum(terms if favour is None else [*terms, favour])
    top = outlook.seen.units[outlook.shown[:_TOP]]
    try:
        configs = list(ranked(cube, space, history, target, top, _CANDIDATES, rng))
    except Exhausted:
        return None, -np.inf
    if not configs:
        return None, -np.inf
    units = space.encode(configs)
    means, _ = outlook.model.predict(units[:, cube.free])
    many, few = _PRICED
    priced = np.append(np.arange(len(units))[:many], many + np.argsort(means[many:], kind="stable")[:few])
    m = len(priced)
    speeds = outlook.costs.log(units[priced][:, cube.free])
    reach = np.minimum(outlook.left * np.exp(-speeds), outlook.steps)
    prices = _staged(outlook, units[priced], [-1] * m, [0] * m, reach)
    prices += np.sum([term.value(units[priced]) for term in likely], axis=0)
    prices -= outlook.dear(speeds)
    best = int(np.argmax(prices))
    return configs[priced[best]], -np.inf if outlook.closing else float(prices[best])


def log_prices(history: History, outlook: Outlook, trials: Sequence[int]) -> Floats:
    """Return the log of the price of compute that each trial is worth to go on, shape ``(m,)``.

    In units of scores for a full training of usual speed; a gain is what a trial may end better than all that is
    expected so far. A trial is worth less as it is likely to break a constraint, and nothing where what is left of the
    total does not bring it to a rung.
    """
    steps = [history.trials[number].step for number in trials]
    prices = _staged(outlook, outlook.seen.units[trials], trials, steps, outlook.reach(history, trials))
    total: Floats = prices + log_kept(history, outlook, trials) - outlook.dear(outlook.speeds[trials])
    return total + log_news(outlook, trials)


def _staged(outlook: Outlook, units: Floats, trials: Sequence[int], steps: Sequence[int], reach: Floats) -> Floats:
    """Return the log prices of trainings for what they can come to; -inf where that is no rung."""
    rungs = np.array(outlook.rungs)
    able = np.searchsorted(rungs, reach, side="right") > np.searchsorted(rungs, steps, side="right")
    prices = np.full(len(units), -np.inf)
    if able.any():
        numbers, done = np.array(trials)[able].tolist(), np.array(steps)[able].tolist()
        prices[able] = log_price(*outlook.stages(units[able], numbers, done, reach[able]), outlook.expected)
    return prices


def front_runner(history: History, outlook: Outlook, trials: Sequence[int]) -> int:
    """Return the trial with the largest expected improvement on the best loss so far, were it trained to its end.

    Or as far as what is left of the total brings it.
    """
    means, stds = outlook.ahead(trials, outlook.reach(history, trials))
    gains, _, _ = acquisition.log_expected_improvement(means, stds, outlook.best)
    return trials[int(np.argmax(gains + log_kept(history, outlook, trials) + log_news(outlook, trials)))]


def log_news(outlook: Outlook, trials: Sequence[int]) -> Floats:
    """Return the log of the probability that trials do not just repeat others, shape ``(m,)``."""
    twice = outlook.doubles[trials]
    return np.where(twice < REPEATS, np.log1p(-twice), -np.inf)


def log_kept(history: History, outlook: Outlook, trials: Sequence[int]) -> Floats:
    """Return the log of the probability that trials keep the constraints, shape ``(m,)``."""
    kept = np.zeros(len(trials))
    if history.constraints:
        cube, seen = outlook.cube, observe(history.space, history)
        rows = np.arange(len(seen.losses))[-_MOST_POINTS:]
        for term in constraints(cube, seen, rows):
            kept += term.value(outlook.seen.units[trials])
    return kept

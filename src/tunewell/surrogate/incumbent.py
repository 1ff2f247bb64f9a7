"""The best trial when losses are noisy: best by what a process expects of it, not by luck.

The smallest of many noisy losses is small for two reasons, and one of them does not come back. So where repeats of the
same configuration have ended differently, which is proof of noise, a Gaussian process is fitted to all losses, and the
configuration with the smallest posterior mean is the best. Only what may be higher than the smallest loss by chance
alone, as far as the repeats tell, can take its place: where they hardly differ, no smooth model argues a measured lead
away. Of its trials the one with the median loss stands for it. Without such proof the best trial is the one with the
smallest loss; and so where that is a fork, or was changed on the way: its loss is the work of a schedule, which no
model of configurations can judge.

Where trials were cut short, the process sees all losses at one level of training. Only trials whose own loss is at that
level and who came as far as the one with the smallest loss can take its place, and where that one went beyond the
level, it stays: what was trained for a step cannot stand for what was trained to the end.

Constrained metrics may be noisy as well. Where repeats of a configuration differ in one, a process of it has to expect
that a trial keeps the constraint, beside what the trial measured itself; where all that measured well were lucky, that
is all there is to go by.

A space that changes leaves the verdict on the trials so far as it is: they are compared in the space that holds most of
them, as far as those of other spaces have parameters in common with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tunewell.events import Status
from tunewell.history import History, TrialRecord
from tunewell.memo import remembered
from tunewell.space import Space

if TYPE_CHECKING:
    from tunewell.surrogate.observations import Observations

_MOST_CANDIDATES = 500


def incumbent(history: History) -> TrialRecord | None:
    """Return the best trial of a history with one goal, None while none has a value and keeps the constraints."""
    return _after(history, len(history))


@remembered
def _after(history: History, events: int) -> TrialRecord | None:
    """Return the best trial of a history of so many events."""
    luckiest = history.best
    if luckiest is None or luckiest.loss is None or len(history.goals) != 1 or _is_schedule(luckiest):
        return luckiest
    return _expected(history, luckiest) if _repeated(history) else luckiest


def _is_schedule(trial: TrialRecord) -> bool:
    """Tell whether a loss is the work of more than one configuration."""
    return trial.fork is not None or bool(trial.adjustments)


def _as_far(trial: TrialRecord, luckiest: TrialRecord) -> bool:
    """Tell whether a trial trained as far as it meant to or as another did."""
    return trial.status is Status.COMPLETED or trial.step >= luckiest.step


def _repeated(history: History) -> bool:
    """Tell whether two trials had the same configuration."""
    configs = {tuple(sorted((name, repr(value)) for name, value in trial.params.items())) for trial in history.trials}
    return len(configs) < len(history.trials)


def _expected(history: History, luckiest: TrialRecord) -> TrialRecord:
    """Return the best trial by posterior means, as far as repeats differed; ``luckiest`` where they never did."""
    from tunewell.surrogate import processes  # here: a command about a study without repeats need not wait for it
    from tunewell.surrogate.observations import observe

    space = _where_compared(history, luckiest)
    seen = observe(space, history)
    measured = [t for t in history.trials if t.observed and t.feasible and not _is_schedule(t)]
    with processes.one_thread():
        sound = _sound(space, seen, measured) or measured
        return _likeliest(space, seen, sorted(sound, key=_loss))


def _loss(trial: TrialRecord) -> float:
    return trial.loss or 0.0


def _where_compared(history: History, luckiest: TrialRecord) -> Space:
    """Return the space that holds the most trials, the newest of several, among those that can say where one lies."""
    if len(history.spaces) == 1:
        return history.space
    from tunewell.surrogate.observations import encoded

    able = [space for space in reversed(history.spaces) if encoded(space, [luckiest.params])[1][0]]
    counts = [sum(space.allows(trial.params) for trial in history.trials) for space in able]
    return able[counts.index(max(counts))] if able else history.space


def _sound(space: Space, seen: Observations, trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return the trials that are expected to keep the constraints of which repeats have differed."""
    import numpy as np

    from tunewell.surrogate import processes
    from tunewell.surrogate.cube import cube_of
    from tunewell.surrogate.noise import repeats
    from tunewell.surrogate.observations import encoded

    cube, kept = cube_of(space), np.ones(len(trials), dtype=np.bool_)
    for column in seen.violations.T if len(cube.free) else ():
        known = np.flatnonzero(~np.isnan(column))
        losses, units = column[known, None], seen.units[known]
        of_it = replace(seen, units=units, losses=losses, weak=seen.weak[known], native=seen.native[known])
        if repeats(of_it).differ:
            rows = known[processes.chosen(units[:, cube.free], column[known])]
            points, inside = encoded(space, [trial.params for trial in trials])
            means, _ = processes.of_constraint(cube, seen, column, rows).predict(points[:, cube.free])
            kept &= inside & (means <= 0.0)
    return [trial for trial, each in zip(trials, kept.tolist(), strict=True) if each]


def _likeliest(space: Space, seen: Observations, trials: Sequence[TrialRecord]) -> TrialRecord:
    """Return the best of some trials, the smallest loss first, by the posterior mean where repeats differed."""
    import numpy as np

    from tunewell.surrogate import processes
    from tunewell.surrogate.cube import cube_of
    from tunewell.surrogate.noise import by_chance, repeats
    from tunewell.surrogate.observations import encoded

    cube, luckiest, at_level = cube_of(space), trials[0], set(seen.losses[~seen.weak, 0].tolist())
    if not repeats(seen).differ or not len(cube.free) or luckiest.loss not in at_level:
        return luckiest
    known = [trial for trial in trials if trial.loss in at_level and _as_far(trial, luckiest)]
    most = _loss(luckiest) + by_chance(seen, len(known))
    candidates = [trial for trial in known if _loss(trial) <= most][:_MOST_CANDIDATES]
    units, inside = encoded(space, [trial.params for trial in candidates])
    weights = np.ones(1)
    targets = processes.targets_of(seen.losses, weights)
    rows = processes.chosen(seen.units[:, cube.free], targets)
    means, _ = processes.likeliest(cube, seen, seen.losses, weights, rows).predict(units[:, cube.free])
    means[~inside] = np.inf
    same = np.flatnonzero(means <= means.min() + 1e-12)
    losses = np.array([_loss(candidates[row]) for row in same])
    return candidates[int(same[np.argmin(np.abs(losses - np.median(losses)))])]

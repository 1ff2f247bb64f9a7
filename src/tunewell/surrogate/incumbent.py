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
"""

from __future__ import annotations

from operator import itemgetter
from weakref import WeakKeyDictionary

from tunewell.events import Status
from tunewell.history import History, TrialRecord

_MOST_CANDIDATES = 500
_BEST: WeakKeyDictionary[History, tuple[int, TrialRecord | None]] = WeakKeyDictionary()


def incumbent(history: History) -> TrialRecord | None:
    """Return the best trial of a history with one goal, None while none has a value and keeps the constraints."""
    known = _BEST.get(history)
    if known is None or known[0] != len(history):
        known = _BEST[history] = (len(history), _incumbent(history))
    return known[1]


def _incumbent(history: History) -> TrialRecord | None:
    luckiest = history.best
    if luckiest is None or luckiest.loss is None or len(history.goals) != 1 or _is_schedule(luckiest):
        return luckiest
    return _expected(history, luckiest, luckiest.loss) if _repeated(history) else luckiest


def _is_schedule(trial: TrialRecord) -> bool:
    """Tell whether a loss is the work of more than one configuration."""
    return trial.fork is not None or bool(trial.adjustments)


def _as_far(trial: TrialRecord, luckiest: TrialRecord) -> bool:
    """Tell whether a trial's loss is that of one configuration, trained as far as it meant to or as another was."""
    whole = trial.status is Status.COMPLETED or trial.step >= luckiest.step
    return whole and trial.observed and trial.feasible and not _is_schedule(trial)


def _repeated(history: History) -> bool:
    """Tell whether two trials had the same configuration."""
    configs = {tuple(sorted((name, repr(value)) for name, value in trial.params.items())) for trial in history.trials}
    return len(configs) < len(history.trials)


def _expected(history: History, luckiest: TrialRecord, least: float) -> TrialRecord:
    """Return the best trial by the posterior mean, or ``luckiest`` where repeats never differed."""
    import numpy as np  # here, for a terminal command about a study without repeats need not wait for it

    from tunewell.surrogate import processes
    from tunewell.surrogate.cube import cube_of
    from tunewell.surrogate.noise import by_chance, repeats
    from tunewell.surrogate.observations import observe

    space = history.space
    cube, seen = cube_of(space), observe(space, history)
    at_level = set(seen.losses[~seen.weak, 0].tolist())
    if not repeats(seen).differ or not len(cube.free) or least not in at_level:
        return luckiest
    known = [(t.loss or 0.0, t) for t in history.trials if t.loss in at_level and _as_far(t, luckiest)]
    most = least + by_chance(seen, len(known))
    candidates = [t for loss, t in sorted(known, key=itemgetter(0)) if loss <= most][:_MOST_CANDIDATES]
    try:
        units = space.encode([trial.params for trial in candidates])
    except ValueError:  # the space has changed since
        return luckiest
    weights = np.ones(1)
    with processes.one_thread():
        targets = processes.targets_of(seen.losses, weights)
        rows = processes.chosen(seen.units[:, cube.free], targets)
        means, _ = processes.likeliest(cube, seen, seen.losses, weights, rows).predict(units[:, cube.free])
    same = np.flatnonzero(means <= means.min() + 1e-12)
    losses = np.array([candidates[row].loss for row in same], dtype=np.float64)
    return candidates[int(same[np.argmin(np.abs(losses - np.median(losses)))])]

"""What has not been tried: a deterministic objective on a finite space need not be asked the same thing twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from tunewell.events import Status
from tunewell.history import OBSERVED, History
from tunewell.protocols import Exhausted
from tunewell.scales import Floats
from tunewell.space import Config, Space
from tunewell.surrogate.noise import repeats
from tunewell.surrogate.observations import Observations, observe, tried, values_of

_MOST_LISTED = 10_000  # a space of that size is searched for what has not been tried
_MOST_RETURNED = 512
_DRAWS = 20  # until one is new
_NO_RESULT = {
    Status.FAILED: "failed",
    Status.CANCELLED: "cancelled",
    Status.LOST: "lost",
    Status.RUNNING: "still running",
}


def noisy(seen: Observations, space: Space, history: History) -> bool:
    """Tell whether the same configuration has ended with different losses among the newest trials."""
    return len(tried(space, history)) < len(history.trials) and repeats(seen).differ


def untried(space: Space, history: History, rng: np.random.Generator) -> list[Config]:
    """Return configurations of a finite space that have not been tried: of a small one up to 512 random ones.

    Of a space with more than 10,000 configurations it is one or, when no draw of a hundred is new, none.

    Raises:
        Exhausted: there are none.
    """
    known = tried(space, history)
    if space_size(space) <= _MOST_LISTED:
        left = [config for config in _listed(space) if values_of(space, config) not in known]
        if not left:
            n = len(_listed(space))
            which = "the only configuration" if n == 1 else f"all {n} configurations"
            came_to = without_result(space, history)
            raise Exhausted(f"{which} of the space {'has' if n == 1 else 'have'} been tried{came_to}")
        return [left[k] for k in rng.permutation(len(left))[:_MOST_RETURNED].tolist()]
    drawn = (space.sample(rng) for _ in range(100))
    new = next((config for config in drawn if values_of(space, config) not in known), None)
    return [] if new is None else [new]


def without_result(space: Space, history: History) -> str:
    """Return in words how many configurations of the space came to nothing that counts against them; often nothing."""
    newest: dict[tuple[object, ...], Status] = {}
    for trial in history.trials:
        values = values_of(space, trial.params)
        if newest.get(values) not in OBSERVED and space.allows(trial.params):
            newest[values] = trial.status
    counts = Counter(newest.values())
    found = [f"{counts[status]} {words}" for status, words in _NO_RESULT.items() if counts[status]]
    return f" ({', '.join(found)}): study.enqueue(params) tries one again" if found else ""


def fresh(
    space: Space,
    history: History,
    rng: np.random.Generator,
    propose: Callable[[], Config],
    but: Config | None = None,
) -> Config:
    """Return the first of up to 20 proposals that has not been tried.

    When all have been tried: of a finite space what is nearest to the first proposal among the untried (except ``but``,
    which is never proposed), of another one the first proposal. An objective that gives the same configuration
    different losses is asked again.

    Raises:
        Exhausted: every configuration of the space has been tried.
    """
    finite = space_size(space) < np.inf
    first = propose()
    if finite and noisy(observe(space, history), space, history):
        return first
    known, config = tried(space, history), first
    for _ in range(_DRAWS - 1):
        if values_of(space, config) not in known:
            return config
        config = propose()
    if values_of(space, config) not in known:
        return config
    if not finite:
        return first
    left = untried(space, history, rng)
    others = left if but is None else [config for config in left if values_of(space, config) != values_of(space, but)]
    if left and not others and space_size(space) <= _MOST_LISTED:
        raise Exhausted(f"all other configurations of the space have been tried{without_result(space, history)}")
    return others[int(np.argmin(_away(space, others, first)))] if others else first


@lru_cache(maxsize=16)
def space_size(space: Space) -> float:
    """Return the number of configurations, or infinity; counted once."""
    return space.size


@lru_cache(maxsize=4)
def _listed(space: Space) -> Sequence[Config]:
    return list(space.grid({name: int(parameter.count) for name, parameter in space.items()}))


def _away(space: Space, configs: Sequence[Config], center: Config) -> Floats:
    """Return the distances of configurations from ``center`` in the unit cube; another category is 1 away."""
    units, here = space.encode(configs), space.encode([center])[0]
    categorical = np.array([parameter.is_categorical for parameter in space.values()], dtype=np.bool_)
    gaps = np.nan_to_num(np.abs(units - here), nan=1.0)
    gaps[np.isnan(units) & np.isnan(here)] = 0.0
    gaps[:, categorical] = gaps[:, categorical] > 0.0
    distances: Floats = gaps.sum(axis=1)
    return distances

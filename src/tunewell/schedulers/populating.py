"""Whether a population can be trained as it was asked for, and how many steps lie between its rungs."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tunewell import options
from tunewell.events import Status
from tunewell.history import History, TrialRecord
from tunewell.parameters import Float
from tunewell.space import Space

DEFAULT_INTERVAL = 5  # where not even the length of a training is known
_DEFAULT_RUNGS = 10
_LEAST_FAILED = 2  # forks that fail before their first report until that is no accident


def interval_of(history: History, group: str, given: int | None) -> int:
    """Return the steps from rung to rung: as given, or as the population began, or a tenth of a training."""
    if given is not None:
        return given
    members = history.groups.get(group)
    if members and history.trials[members[0]].keep:
        return history.trials[members[0]].keep
    return max(1, history.horizon // _DEFAULT_RUNGS) if history.horizon else DEFAULT_INTERVAL


def check_budget(name: str, history: History, size: int, groups: Sequence[str]) -> None:
    """Say that a total of trials is too small for a population that has yet to be filled.

    Raises:
        ValueError: it is.
    """
    limit = history.run.trials if history.run is not None else None
    founders = sum(len(history.begun.get((group, 0), ())) for group in groups)
    if limit is not None and limit < size and founders < size:
        raise ValueError(
            f"{name} expected a total of at least {size} trials, one for each member, got trials={limit}: "
            f"leave trials out and say steps={size} * max_steps, or take a smaller population"
        )


def check_forks(name: str, history: History, group: str, fixed: Collection[str]) -> None:
    """Say so when forks cannot load what they are forked from, as when a parameter shapes the network.

    Those that changed a parameter which is ``fixed`` by now say nothing of what is to come.

    Raises:
        ValueError: the newest forks have all failed before their first report.
    """
    newest = [history.trials[number] for number in history.groups.get(group, ())[-_LEAST_FAILED:]]
    failed = [t for t in newest if t.fork is not None and t.status is Status.FAILED and not t.reports]
    changes = [_changes(history, fork) for fork in failed]
    if len(failed) < _LEAST_FAILED or not changes[-1] or any(key in fixed for keys in changes for key in keys):
        return  # without a change it goes on for a member of a shorter run: no value is to blame
    fork = failed[-1]
    assert fork.fork is not None
    raise ValueError(
        f"{name} expected forks that go on from their donor's checkpoint, but the last {len(failed)} failed before "
        f"their first report; trial {fork.number}, a fork of trial {fork.fork.trial} with another "
        f"{' and '.join(changes[-1])}, with {fork.reason}: if a parameter cannot change in mid-training because the "
        f'weights would not fit, name it, e.g. fixed=("{_suspect(history.space, changes)}",)'
    )


def _changes(history: History, fork: TrialRecord) -> list[str]:
    """Return the parameters whose value a fork does not have from its donor."""
    assert fork.fork is not None
    before = history.trials[fork.fork.trial].values_after(fork.fork.step)
    return [key for key, value in fork.params.items() if before.get(key) != value]


def _suspect(space: Space, changes: Sequence[Sequence[str]]) -> str:
    """Return what most likely shapes the network: a whole number or a choice, and one that all forks changed."""

    def doubt(key: str) -> tuple[bool, int]:
        return isinstance(space.get(key), Float), -sum(key in keys for keys in changes)

    return min(changes[-1], key=doubt)


def check_numbers(name: str, population: int, interval: int | None, least: int = 2) -> None:
    """Say what is wrong with the size of a population or its interval.

    Raises:
        ValueError: one of them is not a whole number, or too small.
    """
    options.whole(name, "population", population, least)
    if interval is not None:
        options.whole(name, "interval", interval, 1)

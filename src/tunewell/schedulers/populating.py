"""Whether a population can be trained as it was asked for, and how many steps lie between its rungs."""

from __future__ import annotations

from collections.abc import Sequence

from tunewell import options
from tunewell.events import Status
from tunewell.history import History

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


def check_forks(name: str, history: History, group: str) -> None:
    """Say so when forks cannot load what they are forked from, as when a parameter shapes the network.

    Raises:
        ValueError: the newest forks have all failed before their first report.
    """
    newest = [history.trials[number] for number in history.groups.get(group, ())[-_LEAST_FAILED:]]
    failed = [t for t in newest if t.fork is not None and t.status is Status.FAILED and not t.reports]
    if len(failed) < _LEAST_FAILED:
        return
    fork = failed[-1]
    assert fork.fork is not None
    donor = history.trials[fork.fork.trial]
    before = donor.values_after(fork.fork.step)
    changed = [key for key, value in fork.params.items() if before.get(key) != value]
    if not changed:  # it goes on for a member of a shorter run: no value is to blame
        return
    raise ValueError(
        f"{name} expected forks that go on from their donor's checkpoint, but the last {len(failed)} failed before "
        f"their first report; trial {fork.number}, a fork of trial {donor.number} with another "
        f"{' and '.join(changed)}, with {fork.reason}: if a parameter cannot change in mid-training because the "
        f'weights would not fit, name it, e.g. fixed=("{changed[0] if changed else "width"}",)'
    )


def check_numbers(name: str, population: int, interval: int | None, least: int = 2) -> None:
    """Say what is wrong with the size of a population or its interval.

    Raises:
        ValueError: one of them is not a whole number, or too small.
    """
    options.whole(name, "population", population, least)
    if interval is not None:
        options.whole(name, "interval", interval, 1)

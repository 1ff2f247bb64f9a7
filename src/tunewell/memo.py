"""What was worked out from a history, remembered as long as the history is there.

What samplers and schedulers decide is a pure function of the history, and they keep nothing. To read a hundred thousand
trials anew for each decision would take long, so what was read is remembered: beside the history, never in who asked.
That changes the time an answer takes and not the answer, as long as what is remembered follows from the history and the
other arguments alone. It does in two ways:

* What grows with the history notes how far it has read and reads on from there. Where what it has read is no longer so,
  as when a trial that was lost comes back, it begins anew.
* What hangs on all of the history takes its length as a further argument.

So a history that was asked at every event and a new one of the same events answer alike, which is what tests ask for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, TypeVarTuple
from weakref import WeakKeyDictionary

from tunewell.history import History

T = TypeVar("T")
Others = TypeVarTuple("Others")

_NEWEST = 8  # of an argument that changes as a study goes on, such as the space
_KNOWN: WeakKeyDictionary[History, dict[Any, dict[Any, Any]]] = WeakKeyDictionary()


def remembered(work: Callable[[History, *Others], T]) -> Callable[[History, *Others], T]:
    """Return ``work`` as a function that answers the same object again, for the newest few arguments of each history.

    It is :func:`functools.lru_cache` but for the history, which goes by its identity and is not kept alive; so what is
    remembered must not hold it.
    """

    @wraps(work)
    def asked(history: History, *others: *Others) -> T:
        known = _KNOWN.setdefault(history, {}).setdefault(work, {})
        if others not in known:
            if len(known) == _NEWEST:
                del known[next(iter(known))]
            known[others] = work(history, *others)
        found: T = known[others]
        return found

    return asked


def forget(history: History) -> None:
    """Forget what was worked out from a history: it will be worked out again."""
    _KNOWN.pop(history, None)

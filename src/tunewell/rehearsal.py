"""A script is rehearsed: it runs up to where a study would begin to train, and leaves nothing behind.

That is how the command line reads the studies of a file before compute is spent. Meanwhile, in all threads, a study
is kept in memory, whatever its storage; whoever would train, or asks for what only trials can tell, ends the rehearsal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_going_on = False


class _Rehearsed(BaseException):
    """A rehearsal has come to its end.

    Not an ``Exception``, so that a script's own ``except Exception`` lets it pass.
    """


def rehearse(script: Callable[[], object]) -> Any:
    """Run a script to where it would train; return the study that would, None if it comes to its own end."""
    global _going_on  # threads that the script starts have to know, too
    _going_on = True
    try:
        script()
    except _Rehearsed as end:
        return end.args[0]
    finally:
        _going_on = False
    return None


def is_rehearsal() -> bool:
    """Return whether all this is only a rehearsal."""
    return _going_on


def end_rehearsal(study: Any = None) -> None:
    """End a rehearsal, if this is one, where a study would train or be read; None: one that is not at hand."""
    if _going_on:
        raise _Rehearsed(study)

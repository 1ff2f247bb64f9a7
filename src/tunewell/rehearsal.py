"""A script is rehearsed: it runs up to where a study would begin to train, and leaves nothing behind.

That is how the command line reads the studies of a file before compute is spent. Meanwhile, in all threads, a study
is kept in memory, whatever its storage; whoever would train, or asks for what only trials can tell, ends the rehearsal.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

_going_on = False
_was_ended = False  # in the script's own thread
_ended_by: Any = None  # the first study that would train, if it is at hand


class _Rehearsed(BaseException):
    """A rehearsal has come to its end.

    Not an ``Exception``, so that a script's own ``except Exception`` lets it pass.
    """


def rehearse(script: Callable[[], object]) -> tuple[Any, bool]:
    """Run a script to where it would train; return the study that would, and whether the script went on from there.

    The study is None if the script comes to its own end. It goes on where it catches everything, as a bare ``except:``
    does; nothing trains there either.
    """
    global _going_on, _was_ended, _ended_by  # threads that the script starts have to know, too
    _going_on, _was_ended, _ended_by = True, False, None
    went_on = False
    complain = threading.excepthook
    threading.excepthook = lambda raised: None if raised.exc_type is _Rehearsed else complain(raised)
    try:
        script()
        went_on = _was_ended
    except _Rehearsed:
        pass
    finally:
        _going_on, threading.excepthook = False, complain
    return _ended_by, went_on


def is_rehearsal() -> bool:
    """Return whether all this is only a rehearsal."""
    return _going_on


def end_rehearsal(study: Any = None) -> None:
    """End a rehearsal, if this is one, where a study would train or be read; None: one that is not at hand."""
    global _was_ended, _ended_by
    if _going_on:
        _was_ended = _was_ended or threading.current_thread() is threading.main_thread()
        _ended_by = _ended_by or study
        raise _Rehearsed

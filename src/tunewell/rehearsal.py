"""A script is rehearsed: it runs up to where a study would begin to train, and leaves nothing behind.

That is how the command line reads the studies of a file before compute is spent. Meanwhile, in all threads, a study
is kept in memory, whatever its storage; whoever would train, or asks for what only trials can tell, ends the rehearsal.

A script that catches everything, as a bare ``except:`` does, goes on from there without a training. Where it tries the
same line again and again it would never end: so from the third time on the end is raised once more, at the next line
that the script comes to, which is in the clause that catches it, or in one that cleans up. This ends what goes round in
the script's own thread, unless a second clause around the first one catches everything, too.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FrameType
from typing import Any

_PATIENCE = 3  # times that a script may catch the end of the same line

_Place = tuple[CodeType, int]

_going_on = False
_ends: Counter[_Place] = Counter()  # how often the script's own thread was told to end, and at which of its lines
_ended_by: Any = None  # the first study that would train, if it is at hand


class _Rehearsed(BaseException):
    """A rehearsal has come to its end.

    Not an ``Exception``, so that a script's own ``except Exception`` lets it pass.
    """


def rehearse(script: Callable[[], object]) -> tuple[Any, bool]:
    """Run a script to where it would train; return the study that would, and whether the script went on from there.

    The study is None if the script comes to its own end.
    """
    global _going_on, _ends, _ended_by  # threads that the script starts have to know, too
    _going_on, _ends, _ended_by = True, Counter(), None
    went_on = False
    complain, traced = threading.excepthook, sys.gettrace()
    threading.excepthook = lambda raised: None if raised.exc_type is _Rehearsed else complain(raised)
    try:
        script()
        went_on = bool(_ends)
    except _Rehearsed:
        went_on = _ends.total() > 1
    finally:
        _going_on, threading.excepthook = False, complain
        if sys.gettrace() is not traced:
            sys.settrace(traced)
    return _ended_by, went_on


def is_rehearsal() -> bool:
    """Return whether all this is only a rehearsal."""
    return _going_on


def end_rehearsal(study: Any = None) -> None:
    """End a rehearsal, if this is one, where a study would train or be read; None: one that is not at hand."""
    global _ended_by
    if _going_on:
        _ended_by = _ended_by or study
        if threading.current_thread() is threading.main_thread():
            frames = list(_frames_of_script())
            place = (frames[0].f_code, frames[0].f_lineno) if frames else (rehearse.__code__, 0)
            _ends[place] += 1
            if _ends[place] >= _PATIENCE:
                _insist(frames)
        raise _Rehearsed


def _frames_of_script() -> Iterator[FrameType]:
    """Yield the frames between here and the rehearsal that are none of this package, the innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code is not rehearse.__code__:
        if not frame.f_globals.get("__name__", "").startswith("tunewell."):
            yield frame
        frame = frame.f_back


def _insist(frames: Iterable[FrameType]) -> None:
    """Have the end raised once more at the next line that one of the frames comes to."""

    def again(frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            raise _Rehearsed
        return again

    sys.settrace(lambda frame, event, argument: None)  # frames are traced one by one while there is any tracer
    for frame in frames:
        frame.f_trace = again

"""One line per event, for files and pipes: ``tail -f`` tells the story, and a fast study does not flood it.

Reports are not events worth a line. A new best is, where it is another trial's or some time after the last; and once a
minute without any line, how far the running trials are.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice

from tunewell.console.seen import Best
from tunewell.console.text import duration, measured, one_line, params, plural, stamp, words
from tunewell.events import (
    Adjusted,
    Answered,
    Believed,
    CheckpointSaved,
    Ended,
    Enqueued,
    Event,
    Noted,
    Paused,
    Reported,
    Requested,
    SettingsChanged,
    SpaceChanged,
    Status,
    TrialResumed,
    TrialStarted,
)
from tunewell.history import History

LINES_PER_SECOND = 20
BEST_SECONDS = 5.0
QUIET_SECONDS = 60.0
_WITH_PARAMS = (Status.FAILED, Status.OUT_OF_MEMORY, Status.DIVERGED, Status.TIMED_OUT)


def sentence(event: Event, history: History) -> str:
    """Say in one line what happened, or nothing where it is not worth a line."""
    match event:
        case TrialStarted(trial=n, origin="added"):
            return f"trial {n} added: {params(event.config)}"
        case TrialStarted(trial=n, fork=None):
            whose = {"default": " by default", "enqueued": " by hand"}.get(event.origin, "")
            return f"trial {n} started{whose}: {params(event.config)}"
        case TrialStarted(trial=n, fork=fork) if fork is not None:
            return f"trial {n} forked from trial {fork.trial} at step {fork.step}: {params(event.config)}"
        case TrialResumed(trial=n):
            return _because(f"trial {n} goes on from step {event.step}", event.reason)
        case Paused(trial=n):
            return _because(f"trial {n} paused{_where(history, n)}", event.reason)
        case Ended(trial=n):
            return _ended(event, history)
        case Adjusted(trial=n):
            return _because(f"trial {n} adjusted by the {event.by}: {params(event.values)}", event.reason)
        case SpaceChanged():
            return _because("the space was changed", event.reason)
        case SettingsChanged():
            return "sampler or scheduler were changed"
        case Enqueued():
            return f"first in line: {params(event.config)}"
        case Believed():
            return f"believed with {event.confidence} confidence: {params(event.config)}"
        case Requested():
            return _because(f"asked for by the {event.by}: {wished(event)}", event.reason)
        case Answered(done=False):
            return f"cannot be done: {wished(history.requests[event.request])}: {one_line(event.reason)}"
        case Noted():
            return f"note: {one_line(event.text)}"
    return ""


def wished(request: Requested) -> str:
    """Say what a person wished, such as ``adjust trial 3: learning_rate=0.001``."""
    words = {"back": "take back", "undo": "undo the newest change of"}.get(request.wish, request.wish)
    step = f" to step {request.step}" if request.wish == "back" else f" at step {request.step}"
    where = "" if request.step is None else step
    values = f" with {params(request.values)}" if request.values else ""
    return f"{words} trial {request.trial}{where}{values}"


def _ended(event: Ended, history: History) -> str:
    took = f" after {duration(history.trials[event.trial].seconds)}"
    text = f"trial {event.trial} {words(event.status)}{_where(history, event.trial)}{took}"
    if event.status not in _WITH_PARAMS:
        return _because(text, event.reason)
    why = one_line(event.reason) or one_line((event.error.strip().splitlines() or [""])[-1])
    place = _place(event.error)
    with_params = f"with {params(history.trials[event.trial].params)}"
    return f"{_because(text, why)}{f' ({place})' if place else ''} {with_params}"


def _where(history: History, trial: int) -> str:
    record = history.trials[trial]
    value = measured(history, record)
    return (f" at step {record.step}" if record.step else "") + (f", {value}" if value else "")


def _because(text: str, reason: str) -> str:
    return f"{text}: {one_line(reason)}" if reason else text


def _place(error: str) -> str:
    """Return the last file and line of a traceback."""
    places = [line.strip() for line in error.splitlines() if line.lstrip().startswith('File "')]
    if not places:
        return ""
    file, _, rest = places[-1].removeprefix('File "').partition('", line ')
    return f"{one_line(file, 120)}:{rest.partition(',')[0]}"


class LineView:
    """Writes to standard output; an output that is gone is no reason to stop training."""

    def __init__(self, history: History, clock: Callable[[], float] = time.monotonic) -> None:
        self._best = Best()
        self._best.look(history)
        self._clock = clock
        self._second = self._said = self._bettered = clock()
        self._in_second = 0
        self._left_out: Counter[str] = Counter()
        self._pending: list[str] = []
        self._new_best = False
        self._reported = False

    def watch(self, history: History, events: Sequence[Event]) -> None:
        """Write a line for each event that is worth one."""
        self._say_pending()
        self._new_second(history)
        self._new_best = self._best.look(history) or (self._new_best and self._best.loss is not None)
        for event in events:
            self._reported = self._reported or isinstance(event, Reported)
            if not isinstance(event, Reported | CheckpointSaved):
                self._event(event, history)
        if self._new_best and events and self._may_tell_best():
            self._line(stamp(events[-1].time), f"best so far: {self._best.in_words(history.goals[0].metric)}")
            self._best_told()
        if self._reported and self._clock() - self._said > QUIET_SECONDS:
            self._line(stamp(history.last_time), _how_far(history))

    def say(self, text: str) -> None:
        """Write a remark; may be called from a signal handler in the middle of another line."""
        self._pending.append(text)
        self._say_pending()

    def close(self, history: History) -> None:
        """Write what was held back."""
        self._say_pending()
        self._tell_left_out(history)

    def _event(self, event: Event, history: History) -> None:
        failed = isinstance(event, Ended) and event.status is Status.FAILED
        if not failed and self._in_second >= LINES_PER_SECOND:
            self._left_out[_kind(event)] += 1
            return
        self._in_second += 1
        text = sentence(event, history)
        if self._new_best and isinstance(event, Ended | Paused) and event.trial == self._best.trial:
            text = f"{text} [best so far]"
            self._best_told()
        if text:
            self._line(stamp(event.time), text)

    def _may_tell_best(self) -> bool:
        return self._clock() - self._bettered > BEST_SECONDS and self._in_second < LINES_PER_SECOND

    def _best_told(self) -> None:
        self._new_best, self._bettered = False, self._clock()

    def _new_second(self, history: History) -> None:
        if self._clock() - self._second >= 1.0:
            self._second, self._in_second = self._clock(), 0
            self._tell_left_out(history)

    def _tell_left_out(self, history: History) -> None:
        if not self._left_out:
            return
        told = ", ".join(f"{n} {kind}" for kind, n in self._left_out.most_common())
        best = f"; best {self._best.in_words(history.goals[0].metric)}" if self._best.loss is not None else ""
        self._line(stamp(history.last_time), f"{plural(self._left_out.total(), 'more event')}: {told}{best}")
        self._left_out.clear()
        self._best_told()

    def _line(self, when: str, text: str) -> None:
        self._said, self._reported = self._clock(), False
        write_line(f"{when} {text}")

    def _say_pending(self) -> None:
        while self._pending:
            text = self._pending.pop(0)
            if not write_line(one_line(text, 2000)):
                self._pending.insert(0, text)
                return


def _kind(event: Event) -> str:
    match event:
        case TrialStarted():
            return "started"
        case TrialResumed():
            return "resumed"
        case Paused():
            return "paused"
        case Ended():
            return words(event.status)
    return "other"


def _how_far(history: History) -> str:
    shown = [history.trials[n] for n in islice(history.running, 8)]
    more = len(history.running) - len(shown)
    parts = [f"trial {trial.number}{_where(history, trial.number)}" for trial in shown]
    return f"{plural(len(history.running), 'trial')} running: {'; '.join(parts)}{f'; and {more} more' if more else ''}"


def write_line(text: str) -> bool:
    """Write a line to standard output at once; return False when it has to be tried again later."""
    stream = sys.stdout
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        print(text.encode(encoding, "replace").decode(encoding), flush=True)
    except RuntimeError:  # a signal came in the middle of another write
        return False
    except (OSError, ValueError):  # closed: nobody reads any more
        pass
    return True

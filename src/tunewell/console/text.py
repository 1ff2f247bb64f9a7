"""Numbers, times, configurations and curves as short plain text."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from tunewell.events import Goal, Status
from tunewell.history import History, TrialRecord

_RAMP = "▁▂▃▄▅▆▇█"
_EPOCH = 1e9  # times below are those of a virtual clock
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x1f\x7f-\x9f]+")


def number(value: Any) -> str:
    """Return a value with five significant digits where it is a float."""
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def duration(seconds: float) -> str:
    """Return a time span in the units a person would use: ``0.4 s``, ``3 min 20 s``, ``2 h 05 min``, ``3 d 4 h``."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def roughly(seconds: float) -> str:
    """Return an estimated time span without a precision that it does not have."""
    if seconds < 99.5:
        return f"{max(1, round(seconds))} s"
    if seconds < 99.5 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} d"


def stamp(time: float) -> str:
    """Return the time of an event: of day, or since the start of a virtual clock."""
    return datetime.fromtimestamp(time).strftime("%H:%M:%S") if time > _EPOCH else f"{time:.1f} s"


def ago(time: float, now: float) -> str:
    """Return how long ago an event was, or nothing where a virtual clock told its time."""
    return f", {duration(now - time)} ago" if time > _EPOCH else ""


def moment(time: float) -> str:
    """Return the date and time of an event."""
    return datetime.fromtimestamp(time).strftime("%Y-%m-%d %H:%M") if time > _EPOCH else f"{time:.1f} s"


def one_line(text: str, limit: int = 300) -> str:
    """Return text without line ends and terminal codes, cut to ``limit`` characters."""
    plain = _CONTROL.sub(" ", text).strip()
    return plain if len(plain) <= limit else f"{plain[: limit - 3]}..."


def params(config: Mapping[str, Any]) -> str:
    """Return a configuration as ``name=value`` pairs."""
    return " ".join(f"{name}={one_line(number(value), 60)}" for name, value in config.items()) or "no parameters"


def sparkline(values: Sequence[float], width: int = 40) -> str:
    """Return a curve as at most ``width`` bars, each the mean of its share; ``x`` where it is not finite."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite or width < 1:
        return "x" * min(len(values), max(0, width))
    shares = min(width, len(values))
    edges = [len(values) * i // shares for i in range(shares + 1)]
    means = [_mean(values[begin:end]) for begin, end in pairwise(edges)]
    low, high = min(finite), max(finite)
    scale = (len(_RAMP) - 1) / (high - low) if high > low and math.isfinite(high - low) else 0.0
    return "".join(_RAMP[round((mean - low) * scale)] if math.isfinite((mean - low) * scale) else "x" for mean in means)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def counts(history: History) -> str:
    """Return how many trials have each status, the most frequent first."""
    found = sorted(((n, status.value) for status, n in dict(history.counts).items() if n), key=lambda p: (-p[0], p[1]))
    untold = len(history.untold)
    of_these = {Status.RUNNING.value: f" ({untold} asked for and not told yet)"} if untold else {}
    return ", ".join(f"{n} {s.replace('_', ' ')}{of_these.get(s, '')}" for n, s in found) or "none yet"


def goal(history: History) -> str:
    """Return what the study looks for: ``val_loss (min)``."""
    return ", ".join(f"{goal.metric} ({goal.mode})" for goal in history.goals)


def measured(history: History, trial: TrialRecord) -> str:
    """Return the trial's newest values of the goals, with the best ones where it diverged, or an empty string."""
    values = [(goal, trial.metric(goal.metric)) for goal in history.goals]
    return ", ".join(
        f"{goal.metric} {number(value)}{_before_diverging(goal, trial)}" for goal, value in values if value is not None
    )


def best_report(goal: Goal, trial: TrialRecord) -> tuple[int, float] | None:
    """Return step and value of the trial's best finite report of a goal, the last of equals, None without any."""
    finite = [point for point in trial.curve(goal.metric) if math.isfinite(point[1])]
    return min(reversed(finite), key=lambda point: goal.loss(point[1]), default=None)


def _before_diverging(goal: Goal, trial: TrialRecord) -> str:
    best = best_report(goal, trial) if trial.status is Status.DIVERGED else None
    if best is None or best[1] == trial.metric(goal.metric):
        return ""
    return f" (best {number(best[1])} at step {best[0]})"


def plural(n: int, thing: str) -> str:
    """Return ``1 trial`` or ``2 trials``."""
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"


def words(status: Status) -> str:
    """Return a status as people say it."""
    return status.value.replace("_", " ")

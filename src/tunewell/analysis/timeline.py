"""Who trained what when: one lane per worker, its stretches as bars, and how busy it was.

Hours in which nobody trained (a study continued the next day) would squeeze everything else, so long idle times are cut
out of the axis and the cuts are marked.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tunewell.analysis.axes import Axis, duration_steps
from tunewell.analysis.charts import bars, lane_place, lanes, legend, seams
from tunewell.analysis.digest import Digest, count_statuses
from tunewell.analysis.words import clipped, counted, duration, percent
from tunewell.events import Status
from tunewell.scales import Floats

LANES = 48
BARS = 6000
"""Above this many stretches those of one lane and status that touch on the screen are drawn as one."""

CUT_SHARE = 0.08
"""An idle time longer than this share of all busy time is cut out."""

CUT_WIDTH = 0.015


@dataclass(frozen=True, slots=True)
class Work:
    """One stretch of a trial on a worker; seconds on the executor's clock."""

    begin: float
    end: float
    trial: int
    status: Status


@dataclass(frozen=True, slots=True)
class Lane:
    """What one worker did, oldest first."""

    driver: str
    worker: int
    work: tuple[Work, ...]

    @property
    def busy(self) -> float:
        """Seconds of training."""
        return sum(work.end - work.begin for work in self.work)


@dataclass(frozen=True, slots=True)
class Clock:
    """Busy intervals of the study in order, and where each begins on an axis from which idle times are cut."""

    begins: tuple[float, ...]
    ends: tuple[float, ...]
    offsets: tuple[float, ...]
    total: float

    def place(self, time: float) -> float:
        """Return where a time lies on the axis, 0 to 1."""
        k = max(0, bisect_right(self.begins, time) - 1)
        inside = min(time, self.ends[k]) - self.begins[k]
        return min(1.0, max(0.0, (self.offsets[k] + inside) / self.total))


def lanes_of(digest: Digest) -> list[Lane]:
    """Return what each worker did; trials that overlap on one worker (asked for by hand) get lanes of their own."""
    now = digest.history.last_time
    found: dict[tuple[str, int], list[Work]] = {}
    for trial in digest.trials:
        for stretch in trial.stretches if trial.origin != "added" else ():
            end = max(stretch.begin, now if stretch.end is None else stretch.end)
            work = Work(stretch.begin, end, trial.number, trial.status)
            found.setdefault((stretch.driver, stretch.worker), []).append(work)
    first: dict[str, float] = {}
    for (driver, _), stretches in found.items():
        first[driver] = min([w.begin for w in stretches] + [first.get(driver, math.inf)])
    lanes: list[Lane] = []
    for driver, worker in sorted(found, key=lambda key: (first[key[0]], key)):
        lanes += [Lane(driver, worker, tuple(row)) for row in _without_overlap(found[driver, worker])]
    return lanes


def peak_workers(lanes: Sequence[Lane]) -> int:
    """Return the largest number of trials that trained at one time."""
    changes = sorted(change for lane in lanes for w in lane.work for change in ((w.begin, 1), (w.end, -1)))
    running = peak = 0
    for _, change in changes:
        running += change
        peak = max(peak, running)
    return max(peak, 1 if changes else 0)


def clock_of(lanes: Sequence[Lane]) -> Clock | None:
    """Return the axis of busy time, long idle times cut out; None when no time has passed."""
    union: list[list[float]] = []
    for begin, end in sorted((w.begin, w.end) for lane in lanes for w in lane.work):
        if union and begin <= union[-1][1]:
            union[-1][1] = max(union[-1][1], end)
        else:
            union.append([begin, end])
    busy = sum(end - begin for begin, end in union)
    if busy <= 0.0:
        return None
    kept: list[list[float]] = []
    for begin, end in union:
        if kept and begin - kept[-1][1] <= CUT_SHARE * busy:
            kept[-1][1] = end
        else:
            kept.append([begin, end])
    offsets, at = [], 0.0
    for begin, end in kept:
        offsets.append(at)
        at += end - begin + CUT_WIDTH * busy
    total = at - CUT_WIDTH * busy
    return Clock(tuple(b for b, _ in kept), tuple(e for _, e in kept), tuple(offsets), total)


def timeline_chart(digest: Digest) -> str:
    """Return the lanes of all workers, or an empty string when no time has passed."""
    everyone = lanes_of(digest)
    clock = clock_of(everyone)
    if clock is None:
        return ""
    shown = everyone[:LANES]
    spans: dict[Status, list[tuple[float, float, float, int]]] = {}
    coarse = sum(len(lane.work) for lane in shown) > BARS
    for k, lane in enumerate(shown):
        for status, begin, end, trial in _spans(lane, clock, coarse):
            spans.setdefault(status, []).append((begin, end, lane_place(k, len(shown)), trial))
    body = "".join(
        bars(status.value, [(b, e, y) for b, e, y, _ in found], [trial for *_, trial in found])
        for status, found in sorted(spans.items(), key=lambda item: list(Status).index(item[0]))
    )
    if not coarse:
        body += seams([(b, y) for found in spans.values() for b, _, y, _ in found if b], len(shown))
    many_drivers = len({lane.driver for lane in everyone}) > 1
    labels = [(_label(lane, many_drivers), percent(min(1.0, lane.busy / _busy_time(clock)))) for lane in shown]
    cuts = [
        (clock.place(end) + CUT_WIDTH * _busy_time(clock) / clock.total / 2, f"idle {duration(begin - end)}")
        for end, begin in zip(clock.ends, clock.begins[1:], strict=False)
    ]
    remarks = [f"{LANES} of {len(everyone)} lanes are shown."] if len(everyone) > LANES else []
    if coarse:
        remarks.append("Neighbouring bars of one colour that touch are drawn as one.")
    if len(cuts) > 8:
        cuts = [(at, "") for at, _ in cuts[:200]]
    note = f'<p class="remark">{" ".join(remarks)}</p>' if remarks else ""
    drawn = [digest.trials[w] for w in dict.fromkeys(w.trial for lane in shown for w in lane.work)]
    return lanes(
        _time_axis(clock),
        labels,
        body,
        cuts=cuts,
        name="What each worker trained when",
        below=legend(count_statuses(drawn)) + note,
    )


def busy_words(digest: Digest) -> str:
    """Return how busy the workers were, in a sentence."""
    found = lanes_of(digest)
    clock = clock_of(found)
    if clock is None:
        return "No time has been spent on workers yet."
    total = _busy_time(clock)
    shares = [min(1.0, lane.busy / total) for lane in found]
    spent = duration(sum(lane.busy for lane in found))
    if len(found) == 1:
        return f"One worker trained for {spent}, {percent(shares[0])} of the {duration(total)} from first to last."
    idlest = min(range(len(found)), key=shares.__getitem__)
    label = _label(found[idlest], len({lane.driver for lane in found}) > 1)
    return (
        f"{counted(len(found), 'worker')} trained for {spent} in all, within {duration(total)}: busy "
        f"{percent(sum(shares) / len(shares))} of that on average, the least busy ({label}) {percent(shares[idlest])}."
    )


def _busy_time(clock: Clock) -> float:
    return sum(end - begin for begin, end in zip(clock.begins, clock.ends, strict=True))


def _without_overlap(work: Sequence[Work]) -> list[list[Work]]:
    rows: list[list[Work]] = []
    for one in sorted(work, key=lambda w: (w.begin, w.end)):
        slack = 1e-6 * max(1.0, abs(one.begin))
        row = next((row for row in rows if row[-1].end <= one.begin + slack), None)
        if row is None:
            rows.append([one])
        else:
            row.append(one)
    return rows


def _spans(lane: Lane, clock: Clock, coarse: bool) -> list[tuple[Status, float, float, int]]:
    """Return a lane's bars as places; ``coarse`` joins neighbours of one status less than a thousandth apart."""
    found: list[tuple[Status, float, float, int]] = []
    for work in lane.work:
        begin, end = clock.place(work.begin), clock.place(work.end)
        if coarse and found and found[-1][0] is work.status and begin - found[-1][2] < 1e-3:
            found[-1] = (work.status, found[-1][1], end, found[-1][3])
        else:
            found.append((work.status, begin, end, work.trial))
    return found


def _label(lane: Lane, many_drivers: bool) -> str:
    """Return a worker's name: with several driving processes also the machine and process that led it."""
    if not lane.driver:
        return "asked by hand"
    parts = lane.driver.rsplit("/", 4)
    if not many_drivers or len(parts) != 5:
        return f"worker {lane.worker}"
    return f"{clipped(parts[0], 14)} {parts[2]} · {lane.worker}"


def _time_axis(clock: Clock) -> Axis:
    """Return the axis of time since the beginning, idle cuts left out of the count."""
    total = clock.total

    def places_of(values: Sequence[float]) -> Floats:
        return np.array(values, dtype=np.float64) / total

    if len(clock.begins) > 1:
        return Axis("time, idle hours cut out", "", (), places_of)
    ticks = tuple((t / total, duration(t)) for t in duration_steps(total, 6))
    return Axis("time since the first trial began", "", ticks, places_of)

"""One frame of the live view, for a terminal of any size: a function of the history and of what the onlooker has seen.

Its cost depends on the size of the terminal, not on the number of trials. It may be drawn while another thread adds to
the history, so it copies what it walks over.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from rich.text import Text

from tunewell.console.seen import Best, Meter
from tunewell.console.text import counts, duration, goal, number, plural, roughly, sparkline
from tunewell.history import History, TrialRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

_EVENTS = 6
_BAR = 20
_NEWEST = 200  # reports of a curve that are looked at


@dataclass(frozen=True)
class Scene:
    """All that a frame shows: the history, and what is known besides. ``since``: seconds since its last event."""

    history: History
    best: Best
    meters: Sequence[Meter]
    left: float | None
    since: float
    remarks: Sequence[str]


def frame(scene: Scene, width: int, height: int) -> list[Text]:
    """Return at most ``height - 1`` lines, each narrower than ``width``."""
    history = scene.history
    low = height < 20
    lines = [_head(history), *_best(scene, width, 1 if low else 2), *_budget(scene, width, low)]
    room = max(0, height - 1 - len(lines))
    events = min(len(scene.remarks), _EVENTS, max(1, room // 3))
    lines += _running(scene, width, room - events)
    lines += [Text(remark, style="dim") for remark in scene.remarks[len(scene.remarks) - events :]]
    lines = lines[: max(1, height - 1)]
    for line in lines:
        line.no_wrap = True
        line.truncate(max(1, width - 1), overflow="ellipsis")
    return lines


def _head(history: History) -> Text:
    head = Text(history.name, style="bold")
    head.append(f"  {goal(history)}  {plural(len(history.trials), 'trial')}: {counts(history)}", style="not bold")
    return head


def _best(scene: Scene, width: int, rows: int) -> list[Text]:
    if scene.best.loss is None:
        return [Text("best  no value yet")]
    lines = [Text.assemble(("best  ", "bold"), (scene.best.in_words(scene.history.goals[0].metric), "bold green"))]
    words, line = scene.best.params().split(" "), ""
    for word in words:
        if line and len(line) + len(word) + 8 > width:
            lines.append(Text(f"      {line}"))
            line = word
        else:
            line = f"{line} {word}".strip()
    lines.append(Text(f"      {line}"))
    if len(lines) > rows + 1:
        lines = lines[: rows + 1]
        lines[-1].append(" …")
    return lines


def _budget(scene: Scene, width: int, low: bool) -> list[Text]:
    """One bar for each total; on a low terminal only that of the total which is nearest."""
    left = "time left not known yet"
    if scene.left is not None:
        waits = any(status == "paused" and n for status, n in dict(scene.history.counts).items())
        left = f"{'at least' if waits else 'about'} {roughly(scene.left)} left"
    meters = [max(scene.meters, key=lambda meter: meter.share)] if low and scene.meters else scene.meters
    bar = min(_BAR, max(5, width - 56))
    lines = []
    for index, meter in enumerate(meters):
        full = round(meter.share * bar)
        used, total = (duration(x) if meter.name == "seconds" else f"{x:g}" for x in (meter.used, meter.total))
        lines.append(
            Text.assemble(
                f"{meter.name:<8}",
                ("━" * full, "cyan"),
                ("─" * (bar - full), "dim"),
                f"  {used} of {total}",
                f"  {left}" if index == 0 else "",
            )
        )
    return lines


def _running(scene: Scene, width: int, rows: int) -> list[Text]:
    history = scene.history
    running = list(history.running)
    if not running:
        return [Text("nothing is running", style="dim")][: max(0, rows)]
    if rows < 2:
        return [Text(f"{plural(len(running), 'trial')} running")][: max(0, rows)]
    metric = history.goals[0].metric
    shown = running if len(running) < rows else running[: rows - 2]
    hosts = {_host(history.trials[n]) for n in islice(running, 100)}
    lines = [Text(f"{'trial':>6} {'worker':>6} {'step':>6} {metric[:10]:>10} {'time':>10}  curve", style="dim")]
    for n in shown:
        trial = history.trials[n]
        newest = trial.reports[-_NEWEST:]
        values = [report.metrics[metric] for report in newest if metric in report.metrics]
        stretch = trial.stretches[-1]
        seconds = (history.last_time or stretch.begin) - stretch.begin + scene.since
        room = max(0, width - 46)
        worker = str(stretch.worker) if trial.driver else "asked"
        line = Text(
            f"{n:>6} {worker:>6} {newest[-1].step if newest else trial.step:>6} "
            f"{number(values[-1]) if values else '-':>10} {duration(seconds):>10}  "
        )
        line.append(sparkline(values[-room:], room), style="cyan")
        if len(hosts) > 1:
            line.append(f" {_host(trial)}", style="dim")
        lines.append(line)
    if len(shown) < len(running):
        lines.append(Text(f"       and {len(running) - len(shown)} more", style="dim"))
    return lines


def _host(trial: TrialRecord) -> str:
    return trial.driver.partition("/")[0]

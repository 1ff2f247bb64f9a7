"""The page as lines of text, for a terminal of any size: a function of the history and of what is looked at."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.text import Text

from tunewell.console.text import duration, number, one_line, roughly, stamp, words
from tunewell.events import Status
from tunewell.history import History, TrialRecord
from tunewell.watching.advice import Advice
from tunewell.watching.curves import Curve, curves, in_force, seconds_per_step, turns
from tunewell.watching.plot import Line, Mark, plot
from tunewell.watching.typed import COMMANDS
from tunewell.watching.view import Told, View, compared, family, stories

CHANGED = "bold magenta"
_VALIDATION, _TRAINING, _BESIDE = "green", "cyan", "blue"
_PLAIN = str.maketrans({"…": "...", "–": "-", "−": "-", "∞": "inf"})
_FEWEST_PLOT = 7
_ADVICE, _EVENTS = 4, 8

KEYS = (
    ("Tab", "complete a command or a parameter"),
    ("arrow up", "what was typed before"),
    ("Page up, Page down", "the trial before, the trial after"),
    ("Ctrl-C, Ctrl-D", "leave; the training goes on"),
)


@dataclass(frozen=True)
class Scene:
    """All that a frame shows.

    Attributes:
        history: the study so far.
        view: what of it is looked at.
        told: the newest of its events, in words.
        advice: what is advised for the trial watched.
        trained: a run looks after the study.
        plain: the terminal shows ASCII only.
    """

    history: History
    view: View
    told: Sequence[Told] = ()
    advice: Advice | None = None
    trained: bool = True
    plain: bool = False


def frame(scene: Scene, width: int, height: int) -> list[Text]:
    """Return at most ``height`` lines of at most ``width`` characters."""
    if scene.view.helping:
        lines = _help()
    elif scene.view.trial is None:
        lines = [_name(scene), Text("no trial has started yet"), *_nobody(scene)]
    else:
        lines = _watched(scene, scene.history.trials[scene.view.trial], width, height)
    return [_fitted(line, width, scene.plain) for line in lines[: max(height, 1)]]


def _watched(scene: Scene, record: TrialRecord, width: int, height: int) -> list[Text]:
    above = [_head(scene, record), _measured(scene, record), *_values(scene, record, width), *_nobody(scene)]
    advice = _advice(scene, width)
    events = _events(scene, record)
    room = max(0, height - len(above))
    advice = advice[: max(1, room - _FEWEST_PLOT - min(2, len(events)))]
    shown = min(len(events), max(1, min(_EVENTS, (room - len(advice)) // 4)), max(0, room - len(advice) - _FEWEST_PLOT))
    below = [*advice, *events[len(events) - shown :]]
    drawn = _plot(scene, record, width, max(0, height - len(above) - len(below)))
    return [*above, *drawn, *below]


def _name(scene: Scene) -> Text:
    return Text(scene.history.name, style="bold")


def _head(scene: Scene, record: TrialRecord) -> Text:
    history = scene.history
    head = _name(scene)
    status = "held" if record.held else words(record.status)
    head.append(f"  trial {record.number}", style="bold").append(f" {status}", style=_STATUS.get(record.status, "bold"))
    total = history.horizon
    head.append(f"  step {record.step}{f' of {total}' if total else ''}", style="not bold")
    pace = seconds_per_step(record)
    if pace is not None and record.status is Status.RUNNING:
        head.append(f"  {_pace(pace)} a step", style="not bold")
        if total and total > record.step:
            head.append(f"  about {roughly(pace * (total - record.step))} left", style="not bold")
    if record.fork is not None:
        head.append(f"  from trial {record.fork.trial} step {record.fork.step}", style="not bold dim")
    others = [str(n) for n in history.running if n != record.number]
    if others:
        more = f" and {len(others) - 8} more" if len(others) > 8 else ""
        head.append(f"  also running: {', '.join(others[:8])}{more}", style="not bold dim")
    return head


_STATUS: Mapping[Status, str] = {
    Status.RUNNING: "bold green",
    Status.PAUSED: "bold blue",
    Status.DIVERGED: "bold red",
    Status.FAILED: "bold red",
    Status.OUT_OF_MEMORY: "bold red",
}


def _measured(scene: Scene, record: TrialRecord) -> Text:
    """The newest values of all metrics, the study's own first, with the best so far."""
    goals = [goal.metric for goal in scene.history.goals]
    newest = {name: value for report in record.reports[-20:] for name, value in report.metrics.items()}
    newest |= record.metrics
    line = Text()
    for goal in scene.history.goals:
        if goal.metric not in newest:
            line.append(f"{goal.metric} ({goal.mode}) has no value yet  ")
            continue
        line.append(f"{goal.metric} {number(newest[goal.metric])}", style="bold")
        points = record.curve(goal.metric)
        if points:
            step, best = min(points, key=lambda point: (math.isnan(point[1]), goal.loss(point[1])))
            line.append(f" (best {number(best)} at step {step})")
        line.append("  ")
    rest = [f"{name} {number(value)}" for name, value in newest.items() if name not in goals]
    return line.append("  ".join(rest))


def _values(scene: Scene, record: TrialRecord, width: int) -> list[Text]:
    """The values in force; those that were changed stand first, with what they were."""
    was: dict[str, object] = {}
    for turn in turns(scene.history, record.number):
        was.update({name: turn.before.get(name) for name in turn.now})
    parts = []
    now = in_force(record)
    for name in sorted(now, key=lambda name: name not in was):
        text = f"{name}={one_line(number(now[name]), 40)}"
        old = f" (was {one_line(number(was[name]), 40)})" if name in was and was[name] != now[name] else ""
        parts.append(Text(text + old, style=CHANGED if name in was else ""))
    lines = [Text()]
    for part in parts or [Text("no parameters")]:
        if len(lines[-1]) and len(lines[-1]) + len(part) + 2 > width:
            lines.append(Text())
        lines[-1].append_text(part).append("  ")
    if len(lines) > 2:
        lines[1].append(f"and {sum(map(_count, lines[2:]))} more", style="dim")
    return lines[:2]


def _count(line: Text) -> int:
    return line.plain.count("=")


def _nobody(scene: Scene) -> list[Text]:
    if scene.trained:
        return []
    return [Text("nobody trains this study now: what is asked for waits for the next run", style="bold red")]


def _plot(scene: Scene, record: TrialRecord, width: int, height: int) -> list[Text]:
    lines = [_line(curve) for curve in reversed(curves(scene.history, record.number))]
    other = compared(scene.history, scene.view)
    if other is not None:
        beside = curves(scene.history, other)[:1]
        lines = [Line(f"{c.metric} of trial {other}", c.points, _BESIDE, "o", 4) for c in beside] + lines
    marks = [
        Mark(turn.after, " ".join(f"{name}={one_line(number(value), 20)}" for name, value in turn.now.items()), CHANGED)
        for turn in turns(scene.history, record.number)
    ]
    drawn = plot(lines, marks, width, height, plain=scene.plain)
    if drawn or height < 1:
        return drawn
    return [Text("no report yet" if not lines else "the terminal is too small for a plot", style="dim")]


def _line(curve: Curve) -> Line:
    look = (_TRAINING, ".", 2) if curve.training else (_VALIDATION, "*", 1)
    return Line(curve.metric, curve.points, *look)


def _advice(scene: Scene, width: int) -> list[Text]:
    advice = scene.advice
    if advice is None:
        return [Text("no diagnosis: no training or validation curve is known", style="dim")]
    found = advice.diagnosis
    what, _, evidence = found.message.partition(": ")
    sure = f" ({100 * found.confidence:.0f} % sure)" if found.label.ill else ""
    said = f"{what}{sure}{f': {evidence}' if evidence else ''}"
    lines = []
    if advice.command:
        lines.append(Text.assemble(("advice: ", "bold"), (advice.command, "bold green"), "   type accept to do it"))
        said += f". So {advice.why}"
    else:
        lines.append(Text.assemble(("advice: ", "bold"), advice.why if found.label.ill else "nothing to do"))
    said, more = (said.translate(_PLAIN), " ...") if scene.plain else (said, " …")
    rows = textwrap.wrap(one_line(said, 600), max(20, width - 8), max_lines=_ADVICE - 1, placeholder=more)
    return [*lines, *(Text(f"        {row}") for row in rows)]


def _events(scene: Scene, record: TrialRecord) -> list[Text]:
    told = stories(scene.history, scene.told, family(scene.history, record.number))
    return [Text(f"{stamp(one.event.time)} {one.words}", style="dim") for one in told[-_EVENTS:]]


def _help() -> list[Text]:
    rows = [*COMMANDS.values(), ("", ""), *KEYS]
    return [Text.assemble((f"  {usage:<28}", "bold"), meaning) for usage, meaning in rows]


def _pace(seconds: float) -> str:
    return duration(seconds) if seconds >= 1.0 else f"{seconds:.2g} s"


def _fitted(line: Text, width: int, plain: bool) -> Text:
    if plain:
        line.plain = "".join(character if character.isascii() else "?" for character in line.plain)
    line.no_wrap = True
    line.truncate(max(1, width), overflow="crop" if plain else "ellipsis")
    return line

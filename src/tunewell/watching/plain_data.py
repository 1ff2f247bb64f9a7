"""What the page shows, as plain data for a program."""

from __future__ import annotations

from typing import Any

from tunewell.watching.curves import curves, in_force, seconds_per_step, turns
from tunewell.watching.frame import Scene
from tunewell.watching.view import compared, family, stories

_EVENTS = 20


def data_of(scene: Scene) -> dict[str, Any]:
    """Return what a frame shows; only the study and whether it is trained where no trial has started."""
    history, number = scene.history, scene.view.trial
    found: dict[str, Any] = {"study": history.name, "trained": scene.trained, "trial": number}
    if number is None:
        return found
    record, total = history.trials[number], history.horizon
    pace = seconds_per_step(record)
    told = stories(history, scene.told, family(history, number))
    return {
        **found,
        "status": "held" if record.held else record.status.value,
        "step": record.step,
        "total": total,
        "seconds_per_step": pace,
        "seconds_left": pace * max(0, total - record.step) if pace is not None and total else None,
        "metrics": {name: record.metric(name) for report in record.reports[-1:] for name in report.metrics},
        "values": dict(in_force(record)),
        "changes": [{"after": turn.after, "before": turn.before, "now": turn.now} for turn in turns(history, number)],
        "curves": {curve.metric: curve.points for curve in curves(history, number)},
        "compared": compared(history, scene.view),
        "running": list(history.running),
        "pending": [f"{request.wish} trial {request.trial}" for request in history.pending.values()],
        "diagnosis": None if scene.advice is None else scene.advice.diagnosis.to_json(),
        "advice": None if scene.advice is None or not scene.advice.command else scene.advice.command,
        "why": None if scene.advice is None else scene.advice.why,
        "events": [{"time": one.event.time, "words": one.words} for one in told[-_EVENTS:]],
    }

"""What was typed, carried over into a study."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tunewell.analysis.words import counted
from tunewell.history import History
from tunewell.watching.curves import in_force
from tunewell.watching.typed import Mistyped, Typed, understood
from tunewell.watching.view import View

if TYPE_CHECKING:
    from tunewell.events import Requested
    from tunewell.study import Study
    from tunewell.watching.advice import Advice


def meant(text: str, history: History, view: View, advice: Advice | None) -> Typed:
    """Return what a line means for the trial that is watched; ``accept`` means the command that is advised.

    Raises:
        Mistyped: it means nothing, or nothing that can be done now.
    """
    record = None if view.trial is None else history.trials[view.trial]
    typed = understood(text, history.space, {} if record is None else in_force(record))
    if typed.verb in ("quit", "help", "note"):
        return typed
    if typed.number is not None and typed.number >= len(history.trials):
        there = f"there {'is' if len(history.trials) == 1 else 'are'} {counted(len(history.trials), 'trial')}"
        raise Mistyped(f"expected the number of a trial, got {typed.number}: {there}")
    if record is None:
        raise Mistyped(f"{typed.verb} expected a trial to look at, and none has started yet")
    if typed.verb != "accept":
        return typed
    if advice is None or not advice.command:
        raise Mistyped("accept expected an advice that is a command, and there is none now")
    advised = understood(advice.command, history.space, in_force(record))
    found = advice.diagnosis
    return replace(advised, reason=typed.reason or f"advised: {found.label.value}, {100 * found.confidence:.0f} % sure")


def looked(typed: Typed, view: View) -> View:
    """Return what is looked at after a command that is about the view; other commands leave it but for the help."""
    if typed.verb == "help":
        return replace(view, helping=not view.helping)
    view = replace(view, helping=False)
    if typed.verb == "watch":
        chosen = typed.number is not None
        return replace(view, trial=typed.number if chosen else view.trial, chosen=chosen, beside=None)
    return replace(view, beside=typed.number) if typed.verb == "compare" else view


def act(study: Study, typed: Typed, number: int | None) -> Requested | None:
    """Write a wish or a note into a study; return the request, None for a note, which needs no trial.

    Raises:
        ValueError: it cannot be wished of this trial.
    """
    if number is None or typed.verb == "note":
        study.note(typed.text, number)
        return None
    why = typed.reason
    match typed.verb:
        case "set":
            return study.adjust(number, typed.values, reason=why)
        case "back":
            return study.go_back(number, typed.step or 0, typed.values, reason=why)
        case "fork":
            return study.fork(number, typed.step, typed.values, reason=why)
        case "pause":
            return study.pause(number, reason=why)
        case "resume":
            return study.resume(number, reason=why)
        case "stop":
            return study.stop(number, reason=why)
        case "undo":
            return study.undo(number, reason=why)
    return None

"""``adjust``, ``back``, ``fork``, ``pause``, ``resume``, ``stop``, ``undo``, ``note``: a person's hand on a study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunewell.cli.storage import DEFAULT, Mistake, Storage, chosen, opened, told_in_a_sentence

if TYPE_CHECKING:
    from tunewell.events import Requested, Wish
    from tunewell.history import History
    from tunewell.study import Study

_WHICH = "Which study and trial; either may be left out where there is just one."
Words = Annotated[list[str] | None, typer.Argument(metavar="[STUDY] [TRIAL]", help=_WHICH)]
WordsAndValues = Annotated[list[str] | None, typer.Argument(metavar="[STUDY] [TRIAL] [NAME=VALUE]...", help=_WHICH)]
Reason = Annotated[str, typer.Option("--reason", "-m", help="Why, for the record.")]
Step = Annotated[int | None, typer.Option("--step", help="After how many steps.")]


def adjust(
    words: WordsAndValues = None,
    storage: Storage = DEFAULT,
    reason: Reason = "",
    guard: Annotated[bool, typer.Option(help="Take the change back if it makes things clearly worse.")] = True,
) -> None:
    """Change values of a trial from its next step on, such as learning_rate=1e-3."""
    _wish("adjust", words, storage, reason=reason, guard=guard)


def back(words: WordsAndValues = None, storage: Storage = DEFAULT, step: Step = None, reason: Reason = "") -> None:
    """Take a trial back to its checkpoint of --step, with other values where any are given; nothing is lost."""
    if step is None:
        with told_in_a_sentence():
            raise Mistake("back expected --step, the step to go back to")
    _wish("back", words, storage, step=step, reason=reason)


def fork(words: WordsAndValues = None, storage: Storage = DEFAULT, step: Step = None, reason: Reason = "") -> None:
    """Start a trial from a trial's newest checkpoint, or that of --step, while that one goes on."""
    _wish("fork", words, storage, step=step, reason=reason)


def pause(words: Words = None, storage: Storage = DEFAULT, reason: Reason = "") -> None:
    """Hold a trial at its next checkpoint, until it is resumed."""
    _wish("pause", words, storage, reason=reason)


def resume(words: Words = None, storage: Storage = DEFAULT, reason: Reason = "") -> None:
    """Let a trial that was paused or stopped go on, first in line."""
    _wish("resume", words, storage, reason=reason)


def stop(words: Words = None, storage: Storage = DEFAULT, reason: Reason = "") -> None:
    """End a trial at its next step; give up one that was asked for and is not told yet."""
    _wish("stop", words, storage, reason=reason)


def undo(words: Words = None, storage: Storage = DEFAULT, reason: Reason = "") -> None:
    """Take back the newest change of a trial: to the step before it, with the values before."""
    _wish("undo", words, storage, reason=reason)


def note(
    text: Annotated[str, typer.Argument(help="The remark, in quotes.")],
    study: Annotated[str | None, typer.Option("--study", help="Which study, if the storage holds several.")] = None,
    trial: Annotated[int | None, typer.Option("--trial", help="About this trial; without, about the study.")] = None,
    storage: Storage = DEFAULT,
) -> None:
    """Write a remark into a study."""
    with told_in_a_sentence(), _study(storage, study) as stored:
        stored.note(text, trial)
        typer.echo(f"noted in study {stored.name!r}" + ("" if trial is None else f", about trial {trial}"))


def _wish(wish: Wish, words: Sequence[str] | None, storage: str, **options: Any) -> None:
    with told_in_a_sentence():
        rest = [word for word in words or () if "=" not in word]
        pairs = [word.partition("=") for word in words or () if "=" in word]
        with opened(storage) as database:
            name, number = _meant(rest, database.names(), storage)
        with _study(storage, name) as study:
            history = study.history
            trial = _only(history) if number is None else number
            values = dict(_value(history, trial, name, text) for name, _, text in pairs)
            if wish in ("adjust", "back", "fork"):
                options["values"] = values
            elif values:
                raise Mistake(f"{wish} expected no values, got {', '.join(values)}")
            if wish == "stop" and 0 <= trial < len(history.trials) and history.trials[trial].untold:
                study.tell(trial, status="cancelled", reason=options["reason"])
                typer.echo(f"trial {trial} is cancelled: it was asked for, and nobody has told what it came to")
                return
            method = getattr(study, "go_back" if wish == "back" else wish)
            typer.echo(_said(method(trial, **options), history))


def _value(history: History, trial: int, word: str, text: str) -> tuple[str, Any]:
    """Return the parameter that a word means, first of those in force in a trial, and the value of a text for it."""
    from tunewell.steering import parameter_meant
    from tunewell.watching.typed import value_of

    in_force = history.trials[trial].params if 0 <= trial < len(history.trials) else {}
    name = parameter_meant(word, in_force, history.space) or word
    return name, value_of(history.space, name, text)


def _study(storage: str, name: str | None) -> Study:
    from tunewell.study import open as open_study

    with opened(storage) as database:
        name = chosen(database.names(), name, storage)
    return open_study(storage, name)


def _meant(words: Sequence[str], names: list[str], storage: str) -> tuple[str, int | None]:
    """Return the study and the trial that words name; a whole number alone is a trial, unless a study is called so.

    Raises:
        Mistake: they name something else, or too much.
    """
    if len(words) > 2:
        raise Mistake(f"expected a study, a trial and NAME=VALUE, got {' '.join(words)!r}")
    study, trial = (words[0], words[1]) if len(words) == 2 else (words[0] if words else None, None)
    if trial is None and study is not None and study not in names and study.isdigit():
        study, trial = None, study
    if trial is not None and not trial.isdigit():
        raise Mistake(f"expected the number of a trial, got {trial!r}; values are given as NAME=VALUE")
    return chosen(names, study, storage), None if trial is None else int(trial)


def _only(history: History) -> int:
    """Return the one trial that trains, or else the one there is that rests.

    Raises:
        Mistake: there are none or several.
    """
    for numbers in (list(history.running), [t.number for t in history.trials if not t.over]):
        if len(numbers) == 1:
            return numbers[0]
        if numbers:
            raise Mistake(f"expected the number of a trial, for there are several: {', '.join(map(str, numbers))}")
    raise Mistake("expected the number of a trial, for none is in training")


def _said(request: Requested, history: History) -> str:
    from tunewell.console.lines import sentence

    running = request.trial in history.running
    when = "at its next step" if running and request.wish != "fork" else "by the run" if history.running else ""
    return f"{sentence(request, history)} ({when or 'waits for the next run'})"

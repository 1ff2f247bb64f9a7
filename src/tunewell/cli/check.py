"""``replay``: check a study against itself."""

from __future__ import annotations

from typing import Annotated

import typer

from tunewell.cli.output import as_json
from tunewell.cli.storage import DEFAULT, NO, Json, Name, Storage, read, told_in_a_sentence


def replay(
    study: Name = None,
    storage: Storage = DEFAULT,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing; the exit status tells.")] = False,
    json: Json = False,
) -> None:
    """Make every decision of a study again from the events before it. Exit status 1 when one comes out otherwise."""
    stored = read(storage, study)
    with told_in_a_sentence():
        from tunewell.console.text import plural
        from tunewell.replay import replay as replay_events

        result = replay_events(stored.events)
    wrong = result.mismatch
    if json:
        as_json(
            {
                "study": stored.name,
                "events": result.events,
                "checked": result.checked,
                "suggestions": result.suggestions,
                "verdicts": result.verdicts,
                "mismatch": None
                if wrong is None
                else {"event": wrong.position, "recorded": wrong.recorded, "expected": wrong.expected},
            }
        )
    elif not quiet:
        checked = (
            f"{plural(result.checked, 'decision')} checked in {plural(result.events, 'event')} "
            f"({plural(result.suggestions, 'start')}, {plural(result.verdicts, 'verdict')} of the scheduler)"
        )
        typer.echo(
            f"{checked}: all as recorded" if wrong is None else f"{checked}: a mismatch at event {wrong.position}"
        )
        if wrong is not None:
            typer.echo(f"  recorded: {wrong.recorded}\n  expected: {wrong.expected}")
    if wrong is not None:
        raise typer.Exit(NO)

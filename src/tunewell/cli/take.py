"""``report``, ``export`` and ``schedule``: take something out of a study."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TextIO

import typer

from tunewell.cli.output import finite
from tunewell.cli.storage import DEFAULT, NO, Mistake, Name, Storage, chosen, opened, read, told_in_a_sentence

if TYPE_CHECKING:
    from collections.abc import Sequence


def report(
    study: Name = None,
    storage: Storage = DEFAULT,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write. [default: STUDY-report.html]")
    ] = None,
) -> None:
    """Write a report that opens in any browser, as one file; print where it is."""
    stored = read(storage, study)
    with told_in_a_sentence():
        from tunewell.analysis.report import write_report

        plain = re.sub(r"[^\w.-]+", "-", stored.name).strip("-.") or "study"
        typer.echo(write_report(stored.history, output or Path(f"{plain}-report.html")))


def export(
    study: Name = None,
    storage: Storage = DEFAULT,
    form: Annotated[Literal["csv", "json", "jsonl"], typer.Option("--format", "-f", help="How to write it.")] = "csv",
    output: Annotated[str, typer.Option("--output", "-o", help="The file to write; - for standard output.")] = "-",
    events: Annotated[
        bool, typer.Option("--events", help="All events as stored, readable or not, instead of trials.")
    ] = False,
) -> None:
    """Write one row per trial, or the raw events."""
    if events:
        with opened(storage) as database:
            found = _event_rows(database.journal(chosen(database.names(), study, storage), create=False).rows(), form)
    else:
        from tunewell.reading import rows

        found = rows(read(storage, study).history)
    with told_in_a_sentence(output), _target(output) as target:
        _write(found, form, target)


def schedule(
    study: Name = None,
    trial: Annotated[
        int | None, typer.Argument(metavar="[TRIAL]", help="A trial's number. [default: the best]")
    ] = None,
    storage: Storage = DEFAULT,
    output: Annotated[str, typer.Option("--output", "-o", help="The file to write; - for standard output.")] = "-",
) -> None:
    """Write the hyperparameters that a trial lived through, step by step, to be trained again by ``Replay``.

    Exit status 1 when there is no best trial yet.
    """
    from tunewell.analysis.words import counted
    from tunewell.schedules import schedule_of
    from tunewell.surrogate.incumbent import incumbent

    stored = read(storage, study)
    history = stored.history
    with told_in_a_sentence():
        if trial is None and len(history.goals) != 1:
            raise Mistake(f"study {stored.name!r} has {len(history.goals)} goals and no single best trial: say which")
        if trial is not None and not 0 <= trial < len(history.trials):
            raise Mistake(f"study {stored.name!r} has no trial {trial}: it has {counted(len(history.trials), 'trial')}")
    best = incumbent(history) if trial is None else history.trials[trial]
    if best is None:
        typer.echo(f"study {stored.name!r} has no trial with a value yet", err=True)
        raise typer.Exit(NO)
    with told_in_a_sentence(output), _target(output) as target:
        target.write(schedule_of(history, best.number).to_json() + "\n")


def _event_rows(stored: Sequence[tuple[int, str, str]], form: str) -> list[dict[str, Any]]:
    return [
        {"position": position, "kind": kind, "event": body if form == "csv" else _parsed(body)}
        for position, kind, body in stored
    ]


def _parsed(body: str) -> Any:
    """Return what a text in JSON says, or the text where it is damaged."""
    try:
        return json.loads(body)
    except ValueError:
        return body


def _write(rows: list[dict[str, Any]], form: str, target: TextIO) -> None:
    if form == "csv":
        writer = csv.DictWriter(target, list(rows[0]) if rows else ["number", "status"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    elif form == "jsonl":
        target.writelines(json.dumps(finite(row), ensure_ascii=False) + "\n" for row in rows)
    else:
        json.dump(finite(rows), target, indent=2, ensure_ascii=False)
        target.write("\n")


@contextmanager
def _target(output: str) -> Iterator[TextIO]:
    if output == "-":
        yield sys.stdout
        return
    with open(output, "w", encoding="utf-8", newline="") as file:
        yield file

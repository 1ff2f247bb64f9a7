"""Which storage and which study a command means, and mistakes told in one sentence."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tunewell.events import Event
    from tunewell.history import History
    from tunewell.journals.sql import SqlStorage

DEFAULT = "sqlite:///tunewell.db"
OK, NO, MISTAKE = 0, 1, 2

Storage = Annotated[
    str,
    typer.Option(
        "--storage", "-s", envvar="TUNEWELL_STORAGE", help="Where studies are: a database URL or a path to a file."
    ),
]
Name = Annotated[
    str | None, typer.Argument(metavar="[STUDY]", help="May be left out where the storage holds just one.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]


class Mistake(Exception):
    """What the user asked for cannot be done; the sentence says why."""


@contextmanager
def told_in_a_sentence(target: object = None) -> Iterator[None]:
    """Turn mistakes of the user, and what the system refuses, into a sentence on standard error and exit status 2.

    ``target`` is the file that is written, named where the system names none.
    """
    try:
        yield
    except BrokenPipeError:  # whoever reads our output has enough of it
        raise
    except _mistakes() as error:
        typer.echo(f"tunewell: {_said(error, target)}", err=True)
        raise typer.Exit(MISTAKE) from error


def _mistakes() -> tuple[type[Exception], ...]:
    import sqlite3

    from tunewell.protocols import JournalError

    return (Mistake, JournalError, sqlite3.Error, ValueError, KeyError, ModuleNotFoundError, OSError)


def _said(error: Exception, target: object) -> str:
    if isinstance(error, OSError) and error.strerror:
        place = error.filename or target
        return error.strerror if place is None else f"{error.strerror}: {place}"
    return str(error.args[0] if isinstance(error, KeyError) and error.args else error)


@dataclass(frozen=True)
class Stored:
    """One stored study: its name, its events so far, and their fold."""

    name: str
    events: list[Event]
    history: History


@contextmanager
def opened(storage: str) -> Iterator[SqlStorage]:
    """Open a storage that is there; told in a sentence when it is not."""
    with told_in_a_sentence():
        from tunewell.journals.sql import SqlStorage

        database = SqlStorage(storage, create=False)
        try:
            yield database
        finally:
            database.close()


def read(storage: str, name: str | None) -> Stored:
    """Read one study: the one called ``name``, or the only one there is."""
    with opened(storage) as database:
        return read_from(database, chosen(database.names(), name, storage))


def read_from(database: SqlStorage, name: str) -> Stored:
    """Read one study of an open storage."""
    from tunewell.history import History
    from tunewell.storages import directory_of

    events = list(database.journal(name, create=False).read())
    history = History(events)
    history.files = directory_of(history, database.path, name)
    return Stored(name, events, history)


def chosen(names: list[str], name: str | None, storage: str) -> str:
    """Return the name of the study that is meant.

    Raises:
        Mistake: there is none of that name, or several to choose from.
    """
    if name is None:
        if len(names) == 1:
            return names[0]
        raise Mistake(f"{storage} holds {len(names)} studies: say which of {_listed(names)}")
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"it holds {_listed(names)}"
    if not near and ("://" in name or Path(name).is_file()):
        hint = f"did you mean --storage {name}?"
    raise Mistake(f"there is no study {name!r} in {storage}: {hint}")


def _listed(names: list[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "") or "none"

"""``delete``: remove a study."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tunewell.cli.storage import DEFAULT, NO, Storage, Stored, opened, read


def delete(
    study: Annotated[str, typer.Argument(help="The study to remove.")],
    storage: Storage = DEFAULT,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing.")] = False,
) -> None:
    """Remove a study with its checkpoints and logs, after asking. Exit status 1 when the answer is no."""
    if not yes and not _confirmed(read(storage, study)):
        typer.echo("nothing was removed")
        raise typer.Exit(NO)
    with opened(storage):  # a storage that is there
        from tunewell.storages import delete as delete_study

        delete_study(storage, study)
    if not quiet:
        typer.echo(f"removed study {study!r} with its files")


def _confirmed(stored: Stored) -> bool:
    from tunewell.console.text import counts, plural

    history = stored.history
    typer.echo(f"study {stored.name!r}: {plural(len(history.trials), 'trial')} ({counts(history)})")
    typer.echo(f"files: {history.files}")
    if history.running:
        typer.echo(f"{plural(len(history.running), 'trial')} may still be running: their run would break")
    typer.echo("remove it for good? [y/N] ", nl=False)
    return sys.stdin.readline().strip().lower() in ("y", "yes")

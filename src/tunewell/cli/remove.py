"""``delete``: remove a study."""

from __future__ import annotations

from typing import Annotated

import typer

from tunewell.cli.storage import DEFAULT, NO, Storage, read, told_in_a_sentence


def delete(
    study: Annotated[str, typer.Argument(help="The study to remove.")],
    storage: Storage = DEFAULT,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing.")] = False,
) -> None:
    """Remove a study with its checkpoints and logs, after asking. Exit status 1 when the answer is no."""
    from tunewell.console.text import counts, plural

    stored = read(storage, study)
    history = stored.history
    if not yes:
        typer.echo(f"study {stored.name!r}: {plural(len(history.trials), 'trial')} ({counts(history)})")
        typer.echo(f"files: {history.files}")
        if history.running:
            typer.echo(f"{plural(len(history.running), 'trial')} may still be running: a run of this study would break")
        if not typer.confirm("remove it for good?"):
            raise typer.Exit(NO)
    with told_in_a_sentence():
        from tunewell.study import delete as delete_study

        delete_study(storage, stored.name)
    if not quiet:
        typer.echo(f"removed study {stored.name!r} with its files")

"""``demo``: see a study at work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tunewell.cli.storage import told_in_a_sentence


def demo(
    directory: Annotated[Path, typer.Argument(help="Where the study and its files go.")] = Path("tunewell-demo"),
    workers: Annotated[int, typer.Option("--workers", "-w", min=1, help="Trials at a time.")] = 2,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Do not show the run.")] = False,
) -> None:
    """Tune a small network on this machine, to see what there is to see."""
    with told_in_a_sentence():
        from tunewell.demo import run

        status = run(directory, workers, quiet)
    raise typer.Exit(status)

"""The command line: look at studies, take something out of them, check them, remove them.

Commands import what they need when they run, so that ``tunewell --help`` is there at once.
"""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from tunewell.cli import (
    again,
    check,
    demo,
    diagnosing,
    knowing,
    look,
    planning,
    remove,
    start,
    steering,
    take,
    watch,
)

_EPILOG = (
    "Exit status: 0 all is well; 1 the answer is no (no best trial yet, a mismatch, nothing found, lint found "
    "something, a trial is ill, what was found does not hold any more, not confirmed); 2 the command was not "
    "understood, or a file or study is not there; 130 interrupted."
)

app = typer.Typer(
    name="tunewell",
    help="Look at studies of hyperparameters, take something out of them, check them, remove them.",
    epilog=_EPILOG,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (look.ls, look.show, look.best, take.report, take.export, take.schedule):
    app.command()(command)
app.command()(check.replay)
app.command()(diagnosing.diagnose)
app.command()(knowing.explain)
app.command()(knowing.lint)
app.command()(planning.plan)
app.command()(start.init)
app.command()(again.retune)
app.command()(watch.watch)
app.command()(steering.adjust)
app.command()(steering.back)
app.command()(steering.fork)
app.command()(steering.pause)
app.command()(steering.resume)
app.command()(steering.stop)
app.command()(steering.undo)
app.command()(steering.note)
app.command()(remove.delete)
app.command()(demo.demo)


def _version(wanted: bool) -> None:
    if wanted:
        from tunewell import __version__

        typer.echo(f"tunewell {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Take the options that come before a command."""


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a curve on a terminal that cannot draw it is no reason to fail
    app()

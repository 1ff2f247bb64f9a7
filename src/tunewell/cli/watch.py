"""``watch``: one trial under a person's eye."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from tunewell.cli.output import as_json
from tunewell.cli.storage import DEFAULT, Json, Mistake, Name, Storage, chosen, opened, told_in_a_sentence

if TYPE_CHECKING:
    from tunewell.watching.onlooker import Onlooker

_PIPED = (100, 30)  # columns and rows where there is no terminal


def watch(
    study: Name = None,
    trial: Annotated[
        int | None, typer.Argument(metavar="[TRIAL]", help="A trial's number; without, the one that trains.")
    ] = None,
    storage: Storage = DEFAULT,
    once: Annotated[bool, typer.Option("--once", help="Print the page once and exit.")] = False,
    json: Json = False,
) -> None:
    """Watch one trial train and steer it by hand; without a terminal, print what the page would show."""
    with told_in_a_sentence(), opened(storage) as database:
        names = database.names()
        if trial is None and study is not None and study.isdigit() and study not in names and len(names) == 1:
            study, trial = names[0], int(study)
        name = chosen(names, study, storage)

        from tunewell.analysis.words import counted
        from tunewell.study import open as open_study
        from tunewell.watching.onlooker import Onlooker
        from tunewell.watching.view import View

        onlooker = Onlooker(database.journal(name, create=False), lambda: open_study(storage, name))
        onlooker.look()
        if trial is not None:
            known = len(onlooker.history.trials)
            if not 0 <= trial < known:
                raise Mistake(f"study {name!r} has no trial {trial}: it has {counted(known, 'trial')}")
            onlooker.view = View(trial, chosen=True)
            onlooker.look()
        try:
            _show(onlooker, once, json)
        finally:
            onlooker.close()


def _show(onlooker: Onlooker, once: bool, json: bool) -> None:
    if json:
        from tunewell.watching.plain_data import data_of

        as_json(data_of(onlooker.scene()))
        return
    on_terminal = sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")
    encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
    onlooker.plain = encoding != "utf8"
    colours = on_terminal and not os.environ.get("NO_COLOR")
    if once or not on_terminal or not sys.stdin.isatty():
        columns, rows = os.get_terminal_size(sys.stdout.fileno()) if on_terminal else _PIPED
        text = onlooker.drawn(columns, rows - 1, colours)
        typer.echo("\n".join(line.rstrip() for line in text.rstrip().split("\n")))
        return
    try:
        from tunewell.watching.page import Page
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "watch expected prompt_toolkit to be installed: pip install 'tunewell[watch]', or say --once"
        ) from None
    Page(onlooker, colours).run()

"""Tables for people and JSON for programs."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import typer

_WIDE = 100_000


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> None:
    """Print a table; headings in ``right`` are aligned to the right. Only a terminal cuts long cells short."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    last = len(headings) - 1
    for index, heading in enumerate(headings):
        shown.add_column(
            heading,
            justify="right" if heading in right else "left",
            no_wrap=True,
            overflow="ellipsis",
            min_width=min(12, len(heading)) if index == last else None,
        )
    for row in rows:
        shown.add_row(*(Text(cell) for cell in row))
    console = Console(highlight=False) if sys.stdout.isatty() else Console(width=_WIDE, highlight=False)
    with console.capture() as captured:
        console.print(shown)
    typer.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def as_json(data: Any) -> None:
    """Print data as JSON; numbers that JSON does not have become null."""
    typer.echo(json.dumps(finite(data), indent=2, ensure_ascii=False))


def finite(data: Any) -> Any:
    """Return data with None in the place of NaN and infinities, at any depth."""
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, Mapping):
        return {key: finite(value) for key, value in data.items()}
    return [finite(value) for value in data] if isinstance(data, list | tuple) else data

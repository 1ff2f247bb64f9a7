"""What the knowledge is worth: do the best recorded configurations lie in the ranges, and how good are the defaults?

``python -m benchmarks.knowledge`` writes ``results/knowledge.md``. Looked at are the trainings recorded here and, with
``TUNEWELL_TABLES``, public tables. A table's own space may be narrower than a range; the share of *all* its rows inside
tells how much a range leaves out.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from benchmarks._common import RESULTS, SCRATCH
from benchmarks.knowledge.defaults import default_of, placed
from benchmarks.knowledge.tables import BEST, WORDS, Table, all_tables, recorded_here
from tunewell.knowledge import explain

TARGET = 0.95


@cache
def inside(name: str, value: Any, domain: str, optimizer: str | None) -> bool:
    """Tell whether a value lies in the usual range; between the choices counts as one of them."""
    known = explain(name, domain=domain, optimizer=optimizer)
    usual = known.range.value
    if known.scale.value == "unordered":
        return WORDS.get(value, value) in usual
    return bool(min(usual) * (1 - 1e-6) <= value <= max(usual) * (1 + 1e-6))


@dataclass(frozen=True)
class Coverage:
    """How many of a table's rows have a hyperparameter inside its usual range."""

    name: str
    table: str
    best: float  # of the best rows
    near: float | None  # of those within two standard deviations of the best
    every: float  # of all rows
    lost: int  # how many rows are better than the best one inside
    extremes: tuple[Any, Any]  # of the best rows


def coverage(table: Table) -> Iterator[Coverage]:
    """Return the coverage of each hyperparameter of a table."""
    order = np.argsort(table.losses, kind="stable")
    best = order[: max(3, round(BEST * len(order)))]
    near = None if table.noise is None else np.flatnonzero(table.losses <= table.losses.min() + 2.0 * table.noise)
    place = np.argsort(order)
    found: dict[str, list[tuple[bool, bool, bool, Any, int]]] = {}
    chosen, close = set(best.tolist()), set() if near is None else set(near.tolist())
    for i, config in enumerate(table.configs):
        optimizer = table.under(config)
        for column, value in config.items():
            name = table.known_as(column, optimizer)
            if name is not None:
                lies = inside(name, value, table.domain, optimizer)
                found.setdefault(name, []).append((lies, i in chosen, i in close, value, int(place[i])))
    for name, rows in found.items():
        values = sorted((value for _, is_best, _, value, _ in rows if is_best), key=lambda v: (str(type(v)), v))
        if values:
            yield Coverage(
                name,
                table.name,
                share([lies for lies, is_best, *_ in rows if is_best]),
                share([lies for lies, _, is_close, *_ in rows if is_close]) if near is not None else None,
                share([lies for lies, *_ in rows]),
                lost(rows),
                (values[0], values[-1]),
            )


def lost(rows: Sequence[tuple[bool, bool, bool, Any, int]]) -> int:
    """Return how many rows are better than the best one inside; all of them if none is."""
    best = min((place for lies, *_, place in rows if lies), default=math.inf)
    return len({place for *_, place in rows if place < best})


def share(answers: Sequence[bool]) -> float:
    """Return the share that is true."""
    return sum(answers) / len(answers) if answers else math.nan


def of_defaults(table: Table) -> tuple[float, float]:
    """Return how many percent of all rows are better than those nearest to the defaults, and how far these are off.

    The distance is the root mean square over the known columns, in the unit cube of the table's space.
    """
    defaults = default_of(table)
    units, apart = table.units, np.zeros(len(table.configs))
    for j, column in enumerate(table.space):
        if column in defaults:
            unit = placed(table, column, defaults[column])
            if table.space[column].is_categorical:
                apart += units[:, j] != unit
            else:
                apart += np.where(np.isnan(units[:, j]), 0.0, units[:, j] - unit) ** 2
    nearest = np.flatnonzero(apart <= apart.min() + 1e-12)
    ranks = [float(np.mean(table.losses < table.losses[i])) for i in nearest]
    return 100.0 * float(np.mean(ranks)), math.sqrt(float(apart.min()) / len(defaults))


# --- the page ---------------------------------------------------------------------------------------------------------


def percent(value: float | None) -> str:
    """Return a share as percent."""
    return "–" if value is None or math.isnan(value) else f"{100.0 * value:.0f} %"


def mean(values: Sequence[float]) -> float:
    """Return the mean of those that are numbers."""
    numbers = [value for value in values if not math.isnan(value)]
    return sum(numbers) / len(numbers) if numbers else math.nan


def lines(heading: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Return a table in Markdown; all columns but the first stand to the right."""
    ruled = [heading, ["---", *["---:"] * (len(heading) - 1)], *rows]
    return ["| " + " | ".join(map(str, line)) + " |" for line in ruled] + [""]


def summary(found: Sequence[Coverage]) -> list[list[str]]:
    """Return one row for each hyperparameter: the means over its tables."""
    rows = []
    for name in dict.fromkeys(one.name for one in found):
        of = [one for one in found if one.name == name]
        best = mean([one.best for one in of])
        least = min(of, key=lambda one: one.best)
        near = [one.near for one in of if one.near is not None]
        row = [name, str(len(of)), percent(best), percent(mean(near) if near else None)]
        row += [f"{percent(least.best)} ({least.table})", percent(mean([one.every for one in of]))]
        row += [str(max(one.lost for one in of))]
        rows.append([*row, "yes" if best >= TARGET else "**no**"])
    return rows


def exceptions(found: Sequence[Coverage]) -> list[str]:
    """Return a sentence on each hyperparameter that misses the target, with the evidence from its tables."""
    told = []
    for name in dict.fromkeys(one.name for one in found):
        if mean([one.best for one in found if one.name == name]) >= TARGET:
            continue
        short = [one for one in found if one.name == name and one.best < TARGET]
        told.append(
            f"- **{name}** misses the target on {len(short)} tables: on these {percent(mean([o.best for o in short]))} "
            f"of the best rows lie inside and {percent(mean([o.every for o in short]))} of all rows. "
            f"{max(o.lost for o in short)} of a table's rows at most are better than the best inside."
        )
    return told


DRAWS = 10
WIDTH = (
    "Where no domain is said, the range of Adam's β1 and β2 holds nearly all that large searches tried; with a domain "
    f"it is narrower. What the width costs somebody who tunes them: how many percent of all rows are better than the "
    f"best of {DRAWS} that are drawn at random inside both ranges, in expectation."
)
WIDTH_HEADING = ["table without a domain", "no domain said", "narrower, as for vision"]


def widths(tables: Sequence[Table]) -> list[list[str]]:
    """Return a row for each table that varies β1 and β2 and has no domain."""
    rows = []
    for table in tables:
        adams = [c for c in table.columns if table.known_as(c, table.optimizer) in ("beta1", "beta2")]
        if table.domain == "generic" and len(adams) == 2:
            within = [
                [_within(table, config, adams, domain) for config in table.configs] for domain in ("generic", "vision")
            ]
            rows.append([table.name, *(f"{_best_drawn(table.losses, np.array(kept)):.1f} %" for kept in within)])
    return rows


def _within(table: Table, config: Mapping[str, Any], columns: Sequence[str], domain: str) -> bool:
    names = [table.known_as(column, table.optimizer) for column in columns]
    return all(inside(str(n), config[c], domain, table.optimizer) for n, c in zip(names, columns, strict=True))


def _best_drawn(losses: np.ndarray, kept: np.ndarray) -> float:
    """Return how many percent of all rows are better than the best of a few drawn with replacement, in expectation."""
    better = np.sort([100.0 * np.mean(losses < loss) for loss in losses[kept]])
    left = (np.arange(len(better), -1, -1) / len(better)) ** DRAWS  # the chance that all lie behind the i-th
    return float(better @ (left[:-1] - left[1:]))


def page(tables: Sequence[Table]) -> str:
    """Return the page of results."""
    found = [one for table in tables for one in coverage(table)]
    text = [
        "# Knowledge against recorded trainings",
        "",
        f"`python -m benchmarks.knowledge`: {len(tables)} tables, {sum(len(t.configs) for t in tables):,} "
        f"configurations. Best are the {100 * BEST:.0f} % of a table's rows with the lowest validation loss, 3 at the "
        "least. A row is within noise of the best if it lies within two standard deviations between seeds of it. Every "
        "row is judged by the range for its table's domain and its own optimizer. Shares are means over tables. Lost "
        "says what a range costs: how many rows of a table are better than the best one inside, at most.",
        "",
        "## Do the best configurations lie in the usual range?",
        "",
        *lines(
            [
                "hyperparameter",
                "tables",
                "of the best",
                "of those within noise",
                "least",
                "of all rows",
                "lost",
                "≥ 95 %",
            ],
            summary(found),
        ),
    ]
    text += [*(f"{line}\n" for line in exceptions(found)), WIDTH, "", *lines(WIDTH_HEADING, widths(tables)), ""]
    judged = [(table, *of_defaults(table)) for table in tables]
    ranks = [rank for _, rank, _ in judged]
    text += [
        "## How good are the defaults alone?",
        "",
        "The row nearest to the known defaults, and how many percent of the table's rows are better: 0 is the best, "
        "50 a random one. Distance is the root mean square per known parameter in the unit cube: where it is large, "
        "the row is hardly the default. Unknown columns are left open, and rows that tie are averaged.",
        "",
        f"Median {np.median(ranks):.0f} %, mean {np.mean(ranks):.0f} %; better than a random row on "
        f"{sum(rank < 50 for rank in ranks)} of {len(ranks)} tables.",
        "",
        *lines(
            ["table", "domain", "optimizer", "rows", "better than the defaults", "distance"],
            [
                [
                    table.name,
                    table.domain,
                    default_of(table).get("optimizer", table.optimizer),
                    len(table.configs),
                    f"{rank:.0f} %",
                    f"{distance:.2f}",
                ]
                for table, rank, distance in judged
            ],
        ),
        "## Every table",
        "",
        *lines(
            [
                "hyperparameter",
                "table",
                "of the best",
                "of those within noise",
                "of all rows",
                "lost",
                "the best lie in",
            ],
            [
                [
                    one.name,
                    one.table,
                    percent(one.best),
                    percent(one.near),
                    percent(one.every),
                    one.lost,
                    between(one.extremes),
                ]
                for one in sorted(found, key=lambda one: one.name)
            ],
        ),
    ]
    return "\n".join(text)


def between(extremes: tuple[Any, Any]) -> str:
    """Return lowest and highest as text."""
    show: Callable[[Any], str] = lambda v: f"{v:.3g}" if isinstance(v, float) else str(v)  # noqa: E731
    return f"{show(extremes[0])} – {show(extremes[1])}"


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.knowledge", description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--quick", action="store_true", help="only the trainings recorded here; write to build/")
    given = parser.parse_args()
    found = recorded_here() if given.quick else list(all_tables())
    folder = SCRATCH if given.quick else RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "knowledge.md").write_text(page(found), encoding="utf-8")
    print(page(found))


if __name__ == "__main__":
    main()

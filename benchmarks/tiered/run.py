"""Every method on every table, seed by seed, written down as soon as it is finished; then the page of results.

The results are lines of JSON in ``results/tiered/<method>.jsonl``. What is there is not run again, so the same command
after an interruption goes on; ``--again`` measures anew what is asked for.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks._common import RESULTS, keep_lines, with_sources
from benchmarks.search.run import seeds
from benchmarks.tiered import report
from benchmarks.tiered.methods import METHODS
from benchmarks.tiered.tasks import ANSWERS, names

FOLDER = RESULTS / "tiered"
BUDGETS = (10, 25, 50)
LIMIT = 3600.0  # seconds for one method on one table


def main() -> None:
    """Read the command line, run, and write the page."""
    tables = names()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tiered", description=__doc__)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), metavar="METHOD")
    parser.add_argument("--tables", nargs="+", choices=tables, default=tables, metavar="TABLE")
    parser.add_argument("--answers", nargs="+", choices=ANSWERS, default=list(ANSWERS))
    parser.add_argument("--seeds", type=seeds, default=list(range(10)), help="10: from 0 to 9; 3-5: these; 7,9: these")
    parser.add_argument("--again", action="store_true", help="forget and measure anew what is asked for")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the lines are kept")
    parser.add_argument("--report", action="store_true", help="only write the page, from what is there")
    given = parser.parse_args()
    if not given.report:
        for answer in given.answers:
            for table in (table for table in given.tables if table in names(answer)):
                for method in given.methods:
                    _measure(method, table, answer, given)
    page = report.page({method: read(given.folder, method) for method in METHODS}, BUDGETS)
    place = RESULTS / "tiered.md" if given.folder == FOLDER else given.folder / "tiered.md"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(page, encoding="utf-8")
    print(page)


def read(folder: Path, method: str) -> list[dict[str, Any]]:
    """Return all results of a method."""
    path = folder / f"{method}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def _measure(method: str, table: str, answer: str, given: argparse.Namespace) -> None:
    asked = {(table, answer, seed) for seed in given.seeds}
    rows = read(given.folder, method)
    if given.again:
        rows = [row for row in rows if (row["table"], row["answer"], row["seed"]) not in asked]
        if rows or (given.folder / f"{method}.jsonl").exists():
            text = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
            (given.folder / f"{method}.jsonl").write_text(text, encoding="utf-8")
    done = {(row["table"], row["answer"], row["seed"]) for row in rows if row["budget"] == max(BUDGETS)}
    missing = sorted(seed for _, _, seed in asked - done)
    if missing:
        line = [METHODS[method].python, "-m", "benchmarks.tiered.worker", method, table, answer, *missing]
        command = [*map(str, line), "--budgets", *map(str, BUDGETS)]
        wrote = keep_lines(command, with_sources(), given.folder / f"{method}.jsonl", LIMIT)
        if wrote < len(missing) * len(BUDGETS):
            print(f"{method} on {table} ({answer}): {wrote} of {len(missing) * len(BUDGETS)} lines", file=sys.stderr)

"""What a suggestion costs when many trials are there already: ``python -m benchmarks.search.cost``.

Every measurement is a fresh interpreter: it fills a study with random configurations and their losses, lets the sampler
see them once, and then times ``ask`` and ``tell`` together.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

from benchmarks._common import ROOT, Page, number, with_sources
from benchmarks.search.methods import METHODS

SIZES = (100, 1_000, 10_000, 100_000)
DIMENSIONS = (5, 20)


@dataclass(frozen=True)
class Row:
    """One method: how large its studies get, and how many of the calls are timed."""

    method: str
    largest: int
    share: float = 1.0  # of the calls that the others get


ROWS = (
    Row("tunewell-auto", 100_000),
    Row("tunewell-gp", 100_000),
    Row("tunewell-tpe", 100_000),
    Row("tunewell-cmaes", 100_000),
    Row("optuna-tpe", 10_000),
    Row("optuna-cmaes", 10_000),
    Row("optuna-gp", 1_000, 0.2),
)


def main() -> None:
    """Measure everything and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="to 1,000 trials; results go to build/, not to results/")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=[row.method for row in ROWS])
    parser.add_argument("--largest", type=int, default=SIZES[-1], help="trials in the largest study")
    parser.add_argument("--without-peers", action="store_true", help="measure Tunewell alone")
    parser.add_argument("--repeats", type=int, default=None, help="calls that are timed (default 15)")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    given.with_peers, given.said_repeats = not given.without_peers, given.repeats is not None
    given.repeats = given.repeats or 15
    page = Page("search.cost", "What a suggestion costs", given, how="one call after another; median (largest)")
    largest = min(1_000, given.largest) if given.quick else given.largest
    rows = [row for row in ROWS if row.method in given.methods and METHODS[row.method].python.exists()]
    rows = [row for row in rows if given.with_peers or METHODS[row.method].module == "ours"]
    measured = {
        (row.method, size, d): _measure(row, size, d, given.repeats, given.seed)
        for size in SIZES
        for row in rows
        if size <= min(row.largest, largest)
        for d in DIMENSIONS
    }
    sizes = [size for size in SIZES if size <= largest]
    page.text(
        "Milliseconds for one `ask` and its `tell` in a study that holds so many finished trials, in memory, with one "
        "thread: median of the calls, and the largest of them. Of optuna-gp a fifth as many calls are timed. The first "
        "call after opening, in which a sampler may read the whole study, is not among them and has its own table."
    )
    for clock, title in (("wall", "Wall clock"), ("cpu", "Processor time")):
        for d in DIMENSIONS:
            table = [[row.method, *(_cell(measured.get((row.method, n, d)), clock) for n in sizes)] for row in rows]
            page.table(f"{title}, {d} parameters", ["method", *(f"{n:,} trials" for n in sizes)], table)
    table = [
        [f"{row.method}, {d} parameters", *(_first(measured.get((row.method, n, d))) for n in sizes)]
        for row in rows
        for d in DIMENSIONS
    ]
    page.table("The first call, processor time", ["method", *(f"{n:,} trials" for n in sizes)], table)
    page.keep(calls=[{"method": m, "trials": n, "parameters": d, **found} for (m, n, d), found in measured.items()])
    page.write()


def _measure(row: Row, size: int, d: int, calls: int, seed: int) -> dict[str, Any]:
    line = [str(METHODS[row.method].python), "-m", "benchmarks.search.filled", row.method]
    line += [str(size), str(d), str(max(2, round(row.share * calls))), str(seed)]
    begun = time.perf_counter()
    done = subprocess.run(line, cwd=ROOT, env=with_sources(), capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{row.method} with {size:,} trials failed:\n{done.stderr[-2000:]}", file=sys.stderr)
        return {}
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    print(
        f"{row.method}, {size:,} trials, {d} parameters: {1000 * statistics.median(found['wall']):.1f} ms; "
        f"the measurement took {time.perf_counter() - begun:.0f} s",
        file=sys.stderr,
        flush=True,
    )
    return found


def _cell(found: dict[str, Any] | None, clock: str) -> str:
    if found is None:
        return ""
    if not found:
        return "failed"
    values = [1000 * seconds for seconds in found[clock]]
    return f"{number(statistics.median(values))} ({number(max(values), 2)})"


def _first(found: dict[str, Any] | None) -> str:
    return f"{number(1000 * found['first'])}" if found else ""


if __name__ == "__main__":
    main()

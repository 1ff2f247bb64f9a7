"""Who finds what in how little training: every method on every recorded task, seed by seed.

Each method's results are lines of JSON in ``results/fidelity/<method>.jsonl``. What is there is not run again, so the
same command after an interruption goes on; ``--again`` measures anew what is asked for.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks._common import RESULTS, keep_lines, with_sources
from benchmarks.fidelity import tables
from benchmarks.fidelity.methods import METHODS
from benchmarks.fidelity.replay import ANSWERS
from benchmarks.search.run import seeds

FOLDER = RESULTS / "fidelity"
BUDGET = 20.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and run; return 1 if a method failed."""
    given = _options(arguments)
    failed = 0
    for name in given.methods:
        if not METHODS[name].python.exists():
            print(f"{name} expected its environment, found none: run benchmarks/peers.sh", file=sys.stderr)
            failed = 1
            continue
        if given.again:
            _forget(name, given)
        failed |= not _measure(name, given)
    return failed


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fidelity", description=__doc__)
    known = tables.names()
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["tunewell-auto"], metavar="METHOD")
    parser.add_argument("--tasks", nargs="+", choices=known, default=known, metavar="TASK", help="default: all")
    parser.add_argument("--seeds", type=seeds, default=list(range(10)), help="10: from 0 to 9; 3-5: these; 7,9: these")
    parser.add_argument("--budget", type=float, default=BUDGET, help="full trainings")
    parser.add_argument("--cost", choices=("steps", "seconds"), default="steps", help="what the budget is counted in")
    parser.add_argument(
        "--tables",
        choices=ANSWERS,
        default="nearest",
        help="what answers: a recorded row, a mean of them, or live, a real training",
    )
    parser.add_argument("--again", action="store_true", help="forget and measure anew what is asked for")
    parser.add_argument("--limit", type=float, default=3600, help="seconds for one method")
    return parser.parse_args(arguments)


def path_of(method: str) -> Path:
    """Return the file with a method's results."""
    return FOLDER / f"{method}.jsonl"


def read(method: str) -> list[dict[str, Any]]:
    """Return all results of a method; one that does not say which tables answered is of the nearest rows."""
    path = path_of(method)
    lines = path.read_text().splitlines() if path.exists() else []
    return [{"tables": "nearest", **json.loads(line)} for line in lines]


def _asked(row: Mapping[str, Any], given: argparse.Namespace) -> bool:
    same = (row["budget"], row["cost"], row["tables"]) == (given.budget, given.cost, given.tables)
    return same and row["task"] in given.tasks and row["seed"] in given.seeds


def _forget(method: str, given: argparse.Namespace) -> None:
    if path_of(method).exists():
        kept = [row for row in read(method) if not _asked(row, given)]
        path_of(method).write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in kept))


def _measure(method: str, given: argparse.Namespace) -> bool:
    """Run what is missing of one method, all tasks with the first seed first; return whether it went well."""
    done = {(row["task"], row["seed"]) for row in read(method) if _asked(row, given)}
    missing = [f"{task}={seed}" for seed in given.seeds for task in given.tasks if (task, seed) not in done]
    if not missing:
        return True
    line = [str(METHODS[method].python), "-m", "benchmarks.fidelity.worker", method, *missing]
    line += ["--budget", str(given.budget), "--cost", given.cost, "--tables", given.tables]
    begun = time.perf_counter()
    n = keep_lines(line, with_sources(), path_of(method), given.limit)
    spent = time.perf_counter() - begun
    print(f"{method}: {n} of {len(missing)} searches in {spent:.1f} s", file=sys.stderr, flush=True)
    return n == len(missing)


if __name__ == "__main__":
    sys.exit(main())

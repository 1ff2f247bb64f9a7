"""Who finds what: every method on every problem, seed by seed, written down as soon as it is finished.

Each method's results are lines of JSON in ``results/search/<method>.jsonl``. What is there is not run again, so the
same command after an interruption goes on; ``--again`` measures anew what is asked for.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks._common import RESULTS, keep_lines, with_sources
from benchmarks.search.methods import METHODS
from benchmarks.search.problems import ANYWHERE, LEFT_OUT, LIVE, MULTI, PROBLEMS

FOLDER = RESULTS / "search"


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and run; return 1 if a method failed."""
    given = _options(arguments)
    for sentence in LEFT_OUT:
        print(sentence, file=sys.stderr)
    failed = 0
    for name in given.methods:
        if not METHODS[name].python.exists():
            print(f"{name} expected its environment, found none: run benchmarks/peers.sh", file=sys.stderr)
            failed = 1
            continue
        for problem in given.problems or PROBLEMS:
            if given.again:
                forget(name, problem, given.seeds, given.budget, given.batch)
            failed |= not _measure(name, problem, given)
    return failed


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__)
    known = [*PROBLEMS, *ANYWHERE, *LIVE, *MULTI]
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["tunewell-auto"], metavar="METHOD")
    parser.add_argument("--problems", nargs="+", choices=known, metavar="PROBLEM", help="default: all with a score")
    parser.add_argument("--seeds", type=seeds, default=list(range(10)), help="10: from 0 to 9; 3-5: these; 7,9: these")
    parser.add_argument("--budget", type=int, default=None, help="evaluations: 100, or 96 in batches")
    parser.add_argument("--batch", type=int, default=1, help="pending at a time")
    parser.add_argument("--again", action="store_true", help="forget and measure anew what is asked for")
    parser.add_argument("--limit", type=float, default=7200, help="seconds for one method on one problem")
    given = parser.parse_args(arguments)
    given.budget = given.budget or (100 if given.batch == 1 else 100 // given.batch * given.batch)
    return given


def seeds(text: str) -> list[int]:
    """Return the seeds that a text means."""
    if "," in text:
        return [int(part) for part in text.split(",")]
    first, dash, last = text.partition("-")
    return list(range(int(first), int(last) + 1)) if dash else list(range(int(first)))


def path_of(method: str) -> Path:
    """Return the file with a method's results."""
    return FOLDER / f"{method}.jsonl"


def read(method: str) -> list[dict[str, Any]]:
    """Return all results of a method."""
    path = path_of(method)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def forget(method: str, problem: str, these: Sequence[int], budget: int, batch: int) -> None:
    """Remove results that are to be measured anew."""
    kept = [
        row
        for row in read(method)
        if (row["problem"], row["budget"], row["batch"]) != (problem, budget, batch) or row["seed"] not in these
    ]
    if path_of(method).exists():
        path_of(method).write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in kept))


def _measure(method: str, problem: str, given: argparse.Namespace) -> bool:
    """Run what is missing of one method on one problem; return whether it went well."""
    key = (problem, given.budget, given.batch)
    done = {row["seed"] for row in read(method) if (row["problem"], row["budget"], row["batch"]) == key}
    missing = [seed for seed in given.seeds if seed not in done]
    if not missing:
        return True
    line = [str(METHODS[method].python), "-m", "benchmarks.search.worker", method, problem, *map(str, missing)]
    line += ["--budget", str(given.budget), "--batch", str(given.batch)]
    begun = time.perf_counter()
    n = keep_lines(line, with_sources(), path_of(method), given.limit)
    seconds = time.perf_counter() - begun
    print(f"{method} on {problem}: {n} of {len(missing)} seeds in {seconds:.1f} s", file=sys.stderr, flush=True)
    return n == len(missing)


if __name__ == "__main__":
    sys.exit(main())

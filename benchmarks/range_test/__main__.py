"""``python -m benchmarks.range_test``: train the grids, ask every rule, train what it suggests, write the page.

What is in ``results/range_test/`` is not measured again, so the same command after an interruption goes on.
"""

from __future__ import annotations

import argparse

from benchmarks.range_test import report
from benchmarks.range_test.rows import Suggestion, grid, keep, read, train_missing
from benchmarks.range_test.rules import RULES, suggest
from benchmarks.range_test.tasks import LONGER, TASKS, loaded
from benchmarks.search.tables import folder


def main() -> None:
    """Read the command line, measure what is missing, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.range_test", description=__doc__)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS, metavar="TASK")
    parser.add_argument("--rules", nargs="+", default=list(RULES), choices=RULES, metavar="RULE")
    parser.add_argument("--report", action="store_true", help="only write the page, from what is there")
    given = parser.parse_args()
    home = folder()
    if not given.report:
        if home is None:
            parser.error("expected the folder of the data sets in TUNEWELL_TABLES, found none: set it")
        for name in given.tasks:
            task = TASKS[name]
            train_missing(grid([task], report.POINTS, report.SEEDS), home)
            done = {(row.task, row.rule, row.repeat) for row in read(Suggestion)}
            for rule in given.rules:
                for repeat in range(report.REPEATS):
                    if (name, rule, repeat) not in done:
                        keep(suggest(rule, task, *loaded(name, home), repeat))
            said = [row for row in read(Suggestion) if row.task == name and row.rate is not None]
            train_missing(((task, row.rate or 0.0, seed) for row in said for seed in range(report.SEEDS)), home)
        for name in [name for name in LONGER if name in given.tasks]:
            train_missing(grid([TASKS[name]], report.LONGER_POINTS, 1), home, report.LONGER_STEPS)
            said = [row for row in read(Suggestion) if row.task == name and row.rule == report.OURS]
            train_missing(((TASKS[name], row.rate or 0.0, 0) for row in said), home, report.LONGER_STEPS)
    report.write()


if __name__ == "__main__":
    main()

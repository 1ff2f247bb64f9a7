"""One method, task after task and seed after seed, under the method's own Python; prints a JSON line for each."""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import sys

from benchmarks.fidelity.methods import METHODS
from benchmarks.fidelity.replay import ANSWERS, Meter, Spent, task


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("searches", nargs="+", help="task=seed: which ones")
    parser.add_argument("--budget", type=float, required=True)
    parser.add_argument("--cost", choices=("steps", "seconds"), required=True)
    parser.add_argument("--tables", choices=ANSWERS, required=True)
    given = parser.parse_args()
    method = METHODS[given.method]
    search = method.search()
    versions = {name: importlib.metadata.version(name) for name in method.packages}
    for name, seed in (text.split("=") for text in given.searches):
        meter = Meter(task(name, given.tables), given.budget, given.cost)
        with contextlib.redirect_stdout(sys.stderr), contextlib.suppress(Spent):
            search(meter, int(seed), **method.options)
        about = {"method": given.method, "task": name, "seed": int(seed)}
        about |= {"budget": given.budget, "cost": given.cost, "tables": given.tables}
        row = about | {"versions": versions} | meter.measured()
        print(json.dumps(row, separators=(",", ":")), flush=True)


if __name__ == "__main__":
    main()

"""One search of one tool, or one of the tool's processes, under its own Python."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

from benchmarks.fidelity.live.methods import METHODS
from benchmarks.fidelity.live.training import TASKS, Search, loaded


def main() -> None:
    """Read the command line and search."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--rank", type=int, default=0)
    given = parser.parse_args()
    method, task = METHODS[given.method], TASKS[given.task]
    tool = import_module(f"benchmarks.fidelity.live.{method.module}")
    search = Search(task, loaded(task), given.seed, given.seconds, given.folder, given.rank)
    tool.search(search, **method.options)


if __name__ == "__main__":
    main()

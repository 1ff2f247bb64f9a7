"""Wall time to a target test accuracy, on two cores: ``python -m benchmarks.fidelity.live``, about an hour.

Searches follow one another, method after method, task after task, seed after seed, so that a busy neighbour falls on
all alike; nothing else should run meanwhile. Each finished search is a line in ``results/fidelity_live/<method>.jsonl``
and is not run again, so the same command after an interruption goes on; ``--again`` measures anew what is asked for.
The random trainings that state the targets (:mod:`benchmarks.fidelity.live.target`) come first, where they are missing.
``python -m benchmarks.fidelity.live.report`` makes the page. ``--quick`` searches for 30 seconds with one seed, makes
no targets, and writes to ``build/`` instead.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks._common import RESULTS, ROOT, SCRATCH, VERSIONS, scratch, with_sources
from benchmarks.fidelity.live.methods import METHODS, Method
from benchmarks.fidelity.live.target import record
from benchmarks.fidelity.live.training import TASKS
from benchmarks.search.run import seeds

SECONDS: Mapping[str, float] = {"mnist_live": 60.0, "letter_live": 180.0}  # most searches get to the target
QUICK_SECONDS = 30.0
_LIMITS = ", ".join(f"{seconds:g} on {task}" for task, seconds in SECONDS.items())
STARTING = 15.0  # seconds that tools get beyond the limit, as their own clocks begin well before the first training
PATIENCE = 60.0  # seconds beyond that, for trainings that run to their end, after which a tool is killed


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and search; return 1 if a search failed."""
    given = _options(arguments)
    missing = [name for name in given.methods if not METHODS[name].python.exists()]
    if missing:
        print(f"{', '.join(missing)} expected .venv-peers, found none: run benchmarks/peers.sh", file=sys.stderr)
        return 1
    if not given.quick:
        record(given.tasks)
    failed = 0
    given.folder.mkdir(parents=True, exist_ok=True)
    for name in given.methods if given.again else ():
        kept = [row for row in read(name, given.folder) if not _asked(row, given)]
        path_of(name, given.folder).write_text("".join(map(_line, kept)))
    for seed in given.seeds:
        for task in given.tasks:
            for name in given.methods:
                there = [row for row in read(name, given.folder) if _asked(row, given)]
                if any((row["task"], row["seed"]) == (task, seed) for row in there):
                    continue
                try:
                    row = searched(name, task, seed, limit_of(task, given.seconds, given.quick))
                except RuntimeError as error:
                    print(error, file=sys.stderr)
                    failed = 1
                    continue
                with path_of(name, given.folder).open("a", encoding="utf-8") as file:
                    file.write(_line(row))
                print(f"{task} {seed} {name}: {_summary(row)}", file=sys.stderr, flush=True)
    return failed


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fidelity.live", description=__doc__)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), metavar="METHOD")
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS), metavar="TASK")
    parser.add_argument("--seeds", type=seeds, default=None, help="3, the default: from 0 to 2; 3-5: these; 7,9: these")
    parser.add_argument("--seconds", type=float, default=None, help=f"of each search; {_LIMITS}")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--again", action="store_true", help="forget and measure anew what is asked for")
    given = parser.parse_args(arguments)
    given.folder = folder_of(given.quick)
    given.seeds = given.seeds or (range(1) if given.quick else range(3))
    return given


def folder_of(quick: bool) -> Path:
    """Return where results are kept."""
    return (SCRATCH if quick else RESULTS) / "fidelity_live"


def limit_of(task: str, seconds: float | None, quick: bool) -> float:
    """Return the seconds of a search: those asked for, or those of the quick run, or of the task."""
    return seconds or (QUICK_SECONDS if quick else SECONDS[task])


def path_of(method: str, folder: Path) -> Path:
    """Return the file with a method's results."""
    return folder / f"{method}.jsonl"


def read(method: str, folder: Path) -> list[dict[str, Any]]:
    """Return all results of a method."""
    path = path_of(method, folder)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, separators=(",", ":")) + "\n"


def _asked(row: Mapping[str, Any], given: argparse.Namespace) -> bool:
    there = row["task"] in given.tasks and row["seed"] in given.seeds
    return there and row["seconds"] == limit_of(row["task"], given.seconds, given.quick)


def _summary(row: Mapping[str, Any]) -> str:
    share = 100 * row["training"] / (2 * row["seconds"])
    return (
        f"test {row['found'][-1][2]:.4f}, {row['trainings']} configurations, {row['epochs']} epochs, "
        f"{row['start_up']:.1f} s to start, {share:.0f} % of the workers' time in training"
    )


# --- one search -------------------------------------------------------------------------------------------------------


def searched(name: str, task: str, seed: int, seconds: float) -> dict[str, Any]:
    """Let one tool search and return the result.

    Raises:
        RuntimeError: it failed, or trained nothing.
    """
    method = METHODS[name]
    with scratch() as folder:
        launched, busy = time.time(), os.getloadavg()[0]
        ended_well = _together(method, name, task, seed, seconds, folder)
        log, said = folder / "epochs.jsonl", (folder / "said.txt").read_text()[-3000:]
        lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        if not ended_well or not any("validation" in line for line in lines):
            raise RuntimeError(f"expected {name} on {task}, seed {seed}, to search to the end, it did not:\n{said}")
    about = {"method": name, "task": task, "seed": seed, "seconds": seconds, "load": round(busy, 2)}
    return about | {"versions": _versions(method)} | measured(lines, launched, seconds)


def _together(method: Method, name: str, task: str, seed: int, seconds: float, folder: Path) -> bool:
    """Run the processes of a tool, and kill those that do not end; return whether none of the others failed."""
    line = [str(method.python), "-m", "benchmarks.fidelity.live.worker", name, task, str(folder)]
    line += ["--seed", str(seed), "--seconds", str(seconds + STARTING)]
    said = with_sources()
    with (folder / "said.txt").open("w") as out:
        running = [
            subprocess.Popen(
                [*line, "--rank", str(rank)], cwd=ROOT, env=said, stdout=out, stderr=out, start_new_session=True
            )
            for rank in range(method.processes)
        ]
        late = time.monotonic() + seconds + STARTING + PATIENCE
        try:
            for process in running:
                process.wait(max(0.0, late - time.monotonic()))
        except subprocess.TimeoutExpired:
            print(f"{name} took {PATIENCE:g} s longer than it was given, and was killed", file=sys.stderr)
        finally:
            well = not any(process.poll() for process in running)
            for process in running:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        return well


def _versions(method: Method) -> dict[str, str]:
    line = [str(method.python), "-c", VERSIONS, method.package, "torch"]
    found: dict[str, str] = json.loads(subprocess.run(line, capture_output=True, text=True, check=True).stdout)
    return found


def measured(lines: Iterable[Mapping[str, Any]], launched: float, seconds: float) -> dict[str, Any]:
    """Return what a log shows of the ``seconds`` after the first training began.

    ``start_up`` is what passed before, since ``launched``. ``found`` lists when the incumbent, the epoch with the best
    validation accuracy so far of whatever training, changed: seconds since the first training began, its validation
    and its test accuracy, and the processor seconds of all epochs until then. ``training`` and ``cpu`` are the wall
    and processor seconds of all epochs.
    """
    ordered = sorted(lines, key=lambda line: line["time"])
    begun = ordered[0]["time"]
    within = [line for line in ordered if line["time"] - begun <= seconds]
    epochs = [line for line in within if "epoch" in line]
    found: list[tuple[float, float, float, float]] = []
    cpu = 0.0
    for line in epochs:
        cpu += line["cpu"]
        if "validation" in line and (not found or line["validation"] > found[-1][1]):
            accuracies = round(line["validation"], 5), round(line["test"], 5)
            found.append((round(line["time"] - begun, 2), *accuracies, round(cpu, 2)))
    return {
        "start_up": round(begun - launched, 2),
        "found": found,
        "trainings": len({json.dumps(line["begin"], sort_keys=True) for line in within if "begin" in line}),
        "stretches": sum("begin" in line for line in within),
        "epochs": len(epochs),
        "training": round(sum(line["seconds"] for line in epochs), 1),
        "cpu": round(cpu, 1),
    }


if __name__ == "__main__":
    sys.exit(main())

"""The page of the live benchmark and its picture, from all results: ``python -m benchmarks.fidelity.live.report``."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._common import PEERS_PYTHON, RESULTS, ROOT, SCRATCH, number, versions_in
from benchmarks.fidelity.live.methods import HELD_OUT, METHODS, OURS
from benchmarks.fidelity.live.run import folder_of, limit_of, read
from benchmarks.fidelity.live.target import OF, read_trainings, seen_target, target
from benchmarks.fidelity.live.training import EPOCHS, TASKS

TITLES: Mapping[str, str] = {
    "mnist_live": "convolutional network on MNIST, 3000 images of 14 x 14, 1000 for validation, 1000 for test",
    "letter_live": "perceptron on Letter Recognition, 12000 rows, 4000 for validation, 4000 for test",
}
FEWER = (4, 8, 16)  # random trainings that lower targets are the best of
POINTS = 200  # of a curve in the picture


@dataclass(frozen=True)
class Ran:
    """One search; seconds count from the first training, or ``with_start_up`` from the launch of the tool."""

    row: Mapping[str, Any]

    def reached(self, accuracy: float, *, with_start_up: bool = False) -> float:
        """Return the seconds until the incumbent first has a test accuracy, infinity where it never has."""
        there = next((time for time, _, test, _ in self.row["found"] if test >= accuracy), np.inf)
        return float(there + with_start_up * self.row["start_up"])

    def seen(self, accuracy: float) -> float:
        """Return the seconds until a validation accuracy is first reported, infinity where it never is."""
        return float(next((time for time, seen, _, _ in self.row["found"] if seen >= accuracy), np.inf))

    def stayed(self, accuracy: float) -> float:
        """Return the seconds from which on no incumbent has less, infinity where the last one has."""
        kept = list(takewhile(lambda each: each[2] >= accuracy, reversed(self.row["found"])))
        return float(kept[-1][0]) if kept else float(np.inf)

    def trained(self, accuracy: float) -> float:
        """Return the processor seconds of all epochs until then."""
        return float(next((cpu for _, _, test, cpu in self.row["found"] if test >= accuracy), np.inf))

    def after(self, seconds: float, *, with_start_up: bool = False) -> float:
        """Return the test accuracy of the incumbent after so many seconds, NaN before there is one."""
        since = seconds - with_start_up * self.row["start_up"]
        return float(next((test for time, _, test, _ in reversed(self.row["found"]) if time <= since), np.nan))

    @property
    def busy(self) -> float:
        """The share of two workers' time in which epochs were trained."""
        return float(self.row["training"] / (2 * self.row["seconds"]))


Results = Mapping[str, Mapping[str, Sequence[Ran]]]
"""By task and method, seed after seed."""


def gather(folder: Path, seconds: float | None, quick: bool) -> Results:
    """Return the searches with their task's limit or the given one, those seeds of a task that all methods have."""
    rows = {
        (row["task"], name, row["seed"]): Ran(row)
        for name in METHODS
        for row in read(name, folder)
        if row["seconds"] == limit_of(row["task"], seconds, quick)
    }
    found: dict[str, dict[str, list[Ran]]] = {}
    for task in TASKS:
        methods = [name for name in METHODS if any(key[:2] == (task, name) for key in rows)]
        seeds = {key[2] for key in rows if key[0] == task}
        shared = sorted(seed for seed in seeds if all((task, name, seed) in rows for name in methods))
        if shared:
            found[task] = {name: [rows[task, name, seed] for seed in shared] for name in methods}
    return found


def main() -> None:
    """Read the results, write the page and its picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="of the quick run, to build/")
    parser.add_argument("--seconds", type=float, default=None)
    given = parser.parse_args()
    results = gather(folder_of(given.quick), given.seconds, given.quick)
    if not results:
        parser.error("expected results with this limit, found none: run python -m benchmarks.fidelity.live")
    text, place = page(results), SCRATCH if given.quick else RESULTS
    (place / "fidelity.live.md").write_text(text, encoding="utf-8")
    draw(results, place / "fidelity.live.png")
    print(text)


# --- the page ---------------------------------------------------------------------------------------------------------


def page(results: Results) -> str:
    """Return the results as Markdown."""
    parts = ["# Wall time to a target test accuracy", *_opening(results)]
    for task, ran in results.items():
        goal, trainings = target(task), len(read_trainings()[task])
        parts += [
            f"## {task}: {TITLES[task]}",
            f"Target: a test accuracy of {100 * goal:.2f} %, that of the best by validation accuracy of {OF} random "
            f"full trainings, the median over draws from {trainings}; {_limit(ran):g} s a search. {_ratios(ran, goal)}",
            _table(ran, goal),
            "Seconds to lower targets, those of the best of fewer random trainings, on whose way luck decides less:",
            _levels("test accuracy", {of: target(task, of) for of in (*FEWER, OF)}, ran, Ran.reached),
            "And to the validation accuracies of these, which is what every tool sees and is asked for:",
            _levels("validation accuracy", {of: seen_target(task, of) for of in (*FEWER, OF)}, ran, Ran.seen),
        ]
    return "\n\n".join([*parts, "![Test accuracy of the incumbent against wall time](fidelity.live.png)"]) + "\n"


def _opening(results: Results) -> list[str]:
    every = [one for ran in results.values() for searches in ran.values() for one in searches]
    said = versions_in(one.row for one in every)
    seeds = {len(searches) for ran in results.values() for searches in ran.values()}
    return [
        f"`python -m benchmarks.fidelity.live`, then `python -m benchmarks.fidelity.live.report` on "
        f"{datetime.date.today()}: {len(os.sched_getaffinity(0))} cores, {platform.system()}, Python "
        f"{platform.python_version()}, {said}; {min(seeds)} seed(s); load before a search "
        f"{min(one.row['load'] for one in every):.1f}–{max(one.row['load'] for one in every):.1f}.",
        f"Every tool trains the same networks with the same code, at most {EPOCHS} epochs each, two at a time in "
        "processes with one thread, and sees validation accuracies alone. Its incumbent is the epoch with the best "
        "validation accuracy that any of its trainings has reported; what counts is when the incumbent's test "
        "accuracy, which no tool sees, first is at least the target. Seconds count from the beginning of the first "
        "training; with start-up, from the launch of the tool's process.",
        "Tunewell has its defaults and a total of seconds, and saves every epoch. What it knows of hyperparameters by "
        f"their names was learnt from recordings that include networks of this kind on these data; `{HELD_OUT}` knows "
        "only what recordings of other data teach, as on yours. Optuna is started twice on one "
        "journal file, has its defaults and prunes after every epoch; `optuna-random` trains everything to the end. "
        "Ray Tune has its default random search under ASHA and uses its actors again.",
        "A search that is there is not run again, so methods may have been measured on different days, on one machine. "
        "Medians over seeds, in brackets the smallest and the largest; ∞ is a search that did not get there within its "
        "limit. *For good* is when the incumbents were there to stay: accuracies are noisy, and a lucky one may be "
        "followed by one below the target. *Epochs' CPU* are the processor seconds of all epochs until the target, "
        "which a busy machine changes little. *Training* is the share of the two workers' time in which epochs were "
        "trained.",
    ]


def _limit(ran: Mapping[str, Sequence[Ran]]) -> float:
    """Return the seconds of all searches of a task."""
    return float(next(iter(ran.values()))[0].row["seconds"])


def _table(ran: Mapping[str, Sequence[Ran]], goal: float) -> str:
    seconds = _limit(ran)
    columns = [
        "method",
        "to target, s",
        "with start-up, s",
        "for good, s",
        "epochs' CPU, s",
        "start-up, s",
        f"test at {seconds / 4:g} s",
        "test at the end",
        "configurations",
        "epochs",
        "training",
    ]
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)]]
    for name, searches in ran.items():
        lines.append(
            [
                name,
                _spread(one.reached(goal) for one in searches),
                _spread(one.reached(goal, with_start_up=True) for one in searches),
                _spread(one.stayed(goal) for one in searches),
                _spread(one.trained(goal) for one in searches),
                number(statistics.median(one.row["start_up"] for one in searches), 2),
                _percent(one.after(seconds / 4) for one in searches),
                _percent(one.after(seconds) for one in searches),
                f"{statistics.median(one.row['trainings'] for one in searches):g}",
                f"{statistics.median(one.row['epochs'] for one in searches):g}",
                f"{100 * statistics.median(one.busy for one in searches):.0f} %",
            ]
        )
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _levels(
    what: str, goals: Mapping[int, float], ran: Mapping[str, Sequence[Ran]], until: Callable[[Ran, float], float]
) -> str:
    """Return a table of the seconds until each goal."""
    lines = [["best of", what, *ran, "ours over the quickest other"], ["---", *["---:"] * (len(ran) + 2)]]
    for of, goal in goals.items():
        reached = {name: [until(one, goal) for one in searches] for name, searches in ran.items()}
        spreads = [_spread(values) for values in reached.values()]
        lines.append([f"{of}", f"{100 * goal:.2f} %", *spreads, _against(reached, _limit(ran))])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _spread(values: Iterable[float]) -> str:
    every = [float(value) for value in values]
    shown = [number(v) if np.isfinite(v) else "∞" for v in (statistics.median(every), min(every), max(every))]
    return shown[0] if len(every) == 1 else f"{shown[0]} ({shown[1]}–{shown[2]})"


def _percent(values: Iterable[float]) -> str:
    every = [100 * value for value in values]
    middle = f"{np.median(every):.2f} %"
    return middle if len(every) == 1 else f"{middle} ({min(every):.2f}–{max(every):.2f})"


def _ratios(ran: Mapping[str, Sequence[Ran]], goal: float) -> str:
    """Return in words how ours compares with whoever else is quickest."""
    plain, with_start_up = (
        _against(
            {name: [one.reached(goal, with_start_up=also) for one in searches] for name, searches in ran.items()},
            _limit(ran),
        )
        for also in (False, True)
    )
    return f"Tunewell's seconds over those of the quickest of the others: **{plain}**; with start-up {with_start_up}."


def _against(reached: Mapping[str, Sequence[float]], seconds: float) -> str:
    """Return how the median of ours compares with that of whoever else is quickest, of searches of so many seconds."""
    medians = {name: statistics.median(values) for name, values in reached.items()}
    peers = {name: value for name, value in medians.items() if name not in (OURS, HELD_OUT)}
    if OURS not in medians or not peers:
        return "not measured"
    best = min(peers, key=lambda name: peers[name])
    return f"{_ratio(medians[OURS], peers[best], seconds)} against {best}"


def _ratio(ours: float, theirs: float, seconds: float) -> str:
    if np.isinf(ours) and np.isinf(theirs):
        return "neither got there"
    sign = "more than " if np.isinf(ours) else "less than " if np.isinf(theirs) else ""
    known = [seconds if np.isinf(value) else value for value in (ours, theirs)]
    return f"{sign}{number(known[0] / known[1], 2)}"


# --- the picture ------------------------------------------------------------------------------------------------------


def draw(results: Results, path: Path) -> None:
    """Have the picture drawn by the peers' Matplotlib."""
    if not PEERS_PYTHON.exists():
        print("expected .venv-peers for the picture, found none: run benchmarks/peers.sh")
        return
    panels: dict[str, Any] = {}
    for task, ran in results.items():
        times = np.linspace(0.0, _limit(ran), POINTS + 1)[1:]
        curves = {name: _curve(searches, times) for name, searches in ran.items()}
        panels[task] = {"target": target(task), "curves": curves}
    line = [str(PEERS_PYTHON), "-m", "benchmarks.fidelity.live.plot", str(path)]
    subprocess.run(line, cwd=ROOT, input=json.dumps(panels), text=True, check=True)


def _curve(searches: Sequence[Ran], times: np.ndarray) -> dict[str, list[float]]:
    """Return median and extremes over seeds, from when all of them have an incumbent."""
    values = np.array([[one.after(time, with_start_up=True) for time in times] for one in searches])
    known = np.isfinite(values).all(axis=0)
    values, shown = values[:, known], times[known]
    parts = {
        "seconds": shown,
        "value": np.median(values, axis=0),
        "low": values.min(axis=0),
        "high": values.max(axis=0),
    }
    return {name: part.round(5).tolist() for name, part in parts.items()}


if __name__ == "__main__":
    main()

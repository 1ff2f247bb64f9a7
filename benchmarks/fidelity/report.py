"""The page of the multi-fidelity benchmark from all results there are: ``python -m benchmarks.fidelity.report``.

What counts after some compute is the best validation value that any step of any training has reported by then. It is
compared with random search with full trainings (:mod:`.reference`).
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks._common import PEERS_PYTHON, RESULTS, ROOT, markdown, number, versions_in
from benchmarks.fidelity import tables
from benchmarks.fidelity.methods import METHODS, RANDOM
from benchmarks.fidelity.reference import SAMPLE, TARGET, Facts, facts
from benchmarks.fidelity.replay import GRAIN, Answer, task
from benchmarks.fidelity.run import BUDGET, read

FLOOR = 1e-3
ROUNDED = 1e-4  # of recorded accuracies
POINTS = (5, 10, 20)
EARLY = (1, 2, 3, 5, 10, 20)
RESAMPLES = 400
FEW = 5
FAMILIES: Mapping[str, str] = {
    "recorded": "small networks recorded here",
    "taskset": "TaskSet, Adam with eight parameters",
    "nmt": "machine translation",
    "nnperf": "architectures",
    "deepobs": "DeepOBS learning rates",
}
MAIN = ("recorded", "taskset")
SIDES = (
    "A *smooth* table answers with the mean of a Gaussian process fitted to all recorded curves, so that every "
    f"configuration has a curve of its own; its random search draws from {SAMPLE:,} configurations, and regret counts "
    "from the least loss that a local search has found. Of the two, smooth answers are nearer to what fresh trainings "
    "do ([surrogates.md](surrogates.md)). But they leave out the noise, so first steps tell more than they do in "
    "reality, and a search by such a process finds in them what it assumes: see also the real trainings below."
)

LIVE = (
    "The same searches where nothing is replayed: each suggestion trains the network itself, an epoch at a time and "
    "always from the same seed, on {} of the tasks. Random search draws from the recorded rows, which were trained so "
    "once, each from a seed of its own; regret counts from the best that anybody has found, with whatever budget, so "
    "it is not that of the tables. How much freeze-thaw explores was chosen on seeds 0 and 1. The second table has the "
    "regret at 5 full trainings by task."
)
TIMED_LIVE = (
    "The same on {} tasks with a budget in seconds, in mean full trainings. An epoch takes what a smooth table of the "
    "recorded seconds says of its configuration, so nothing depends on the machine. Regret counts from the same best. "
    "That what an epoch takes counts for little while much of the budget is left was chosen on seeds 0 and 1."
)


@dataclass(frozen=True)
class Found:
    """What one method found on one task: ``best[seed, k]`` after k twentieths of a full training, infinite at first."""

    facts: Facts
    best: np.ndarray
    cpu: tuple[float, ...]

    def reach(self, budget: float) -> np.ndarray:
        """Return each seed's compute until the target; twice the budget if it was not reached."""
        there = self.best <= self.facts.target + 1e-12
        return np.where(there.any(axis=1), there.argmax(axis=1) / GRAIN, 2 * budget)

    def regret(self, n: float) -> np.ndarray:
        """Return each seed's regret after ``n`` full trainings over random search's, or the floor."""
        known = self.facts
        mine, base = self.best[:, round(n * GRAIN)] - known.least, known.regrets[int(n) - 1]
        return np.asarray(np.maximum(mine / base if base > 0 else np.where(mine > 0, np.inf, 0.0), FLOOR))

    def scaled(self, n: float) -> np.ndarray:
        """Return each seed's regret after ``n`` full trainings over that of one random full training, or the floor."""
        known = self.facts
        return np.asarray(np.maximum((self.best[:, round(n * GRAIN)] - known.least) / known.regrets[0], FLOOR))

    def percentile(self, n: float) -> np.ndarray:
        """Return, for each seed, how many in a hundred trainings are at least as good as what was found."""
        best = self.facts.best
        places = np.searchsorted(best, self.best[:, round(n * GRAIN)] + 1e-12, side="right")
        return 100 * np.maximum(places, 1) / len(best)


Results = Mapping[tuple[str, str], Found]


def family(name: str) -> str:
    """Return the family of a task."""
    return name.partition("/")[0] if "/" in name else "recorded"


def gather(budget: float, cost: str, answer: Answer = "nearest") -> dict[tuple[str, str], Found]:
    """Return all results with a budget, on the tables that are here, answered in one way."""
    rows: dict[tuple[str, str], dict[int, dict[str, Any]]] = {}
    trained: dict[str, list[dict[str, Any]]] = {}
    here = set(tables.names())
    for method in METHODS:
        for row in read(method):
            if row["task"] in here and row["tables"] == answer:
                trained.setdefault(row["task"], []).append(row)
                if (row["budget"], row["cost"]) == (budget, cost):
                    rows.setdefault((method, row["task"]), {})[row["seed"]] = row
    known = {name: facts(name, answer) for _, name in rows}
    if answer == "live":
        known = {name: _with_least(known[name], trained[name]) for name in known}
    return {key: _found(known[key[1]], key[1], list(ran.values()), budget, answer) for key, ran in rows.items()}


def _with_least(known: Facts, rows: Sequence[dict[str, Any]]) -> Facts:
    """Return the facts counted from the least loss that anybody has found, with whatever budget."""
    least = min([known.least, *(loss for row in rows for _, loss in row["found"])])
    return replace(known, least=least, target=known.target + ROUNDED, regrets=known.regrets + known.least - least)


def _found(known: Facts, name: str, rows: Sequence[dict[str, Any]], budget: float, answer: Answer) -> Found:
    losses = task(name, answer).table.values
    best = np.full((len(rows), round(budget * GRAIN) + 1), np.inf)
    for k, row in enumerate(rows):
        for at, *where in row["found"]:  # a row and a step, or the loss itself
            loss = losses[where[0], where[1] - 1] if answer == "nearest" else where[0]
            best[k, min(round(at * GRAIN), best.shape[1]) :] = loss
    return Found(known, best, tuple(row["cpu"] for row in rows))


# --- scores -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measure:
    """One number of a search: a method of :class:`Found` and how much compute it looks at."""

    name: str
    at: float

    def of(self, found: Found) -> np.ndarray:
        """Return the number of each seed."""
        values: np.ndarray = getattr(found, self.name)(self.at)
        return values


def score(results: Results, method: str, tasks: Iterable[str], measure: Measure) -> float:
    """Return the geometric mean over tasks of the median over seeds."""
    return float(np.exp(np.mean([np.log(np.median(measure.of(results[method, t]))) for t in tasks])))


def band(results: Results, method: str, tasks: Iterable[str], measure: Measure) -> tuple[float, float]:
    """Return the 90 % interval of a score when the seeds of each task are drawn again."""
    rng, logs = np.random.default_rng(0), []
    for name in tasks:
        values = measure.of(results[method, name])
        logs.append(np.log(np.median(values[rng.integers(len(values), size=(RESAMPLES, len(values)))], axis=1)))
    low, high = np.exp(np.quantile(np.mean(logs, axis=0), [0.05, 0.95]))
    return float(low), float(high)


def complete(results: Results, tasks: Sequence[str]) -> list[str]:
    """Return the methods that ran on all these tasks, least regret after 10 full trainings first."""
    there = [m for m in METHODS if tasks and all((m, t) in results for t in tasks)]
    return sorted(there, key=lambda m: (score(results, m, tasks, Measure("regret", 10)), m))


# --- the page ---------------------------------------------------------------------------------------------------------


def main() -> None:
    """Read the results, write the page and its picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", type=float, default=BUDGET)
    given = parser.parse_args()
    results, timed = gather(given.budget, "steps"), gather(given.budget, "seconds")
    smooth = gather(given.budget, "steps", "smooth")
    live, timed_live = gather(given.budget, "steps", "live"), gather(given.budget, "seconds", "live")
    known = [name for name in tables.names() if (RANDOM, name) in results]
    groups = {key: [name for name in known if family(name) == key] for key in FAMILIES}
    main_tasks = [name for key in MAIN for name in groups[key]]
    parts = [
        "# How far to train",
        *_opening(given.budget),
        f"## Networks recorded here and TaskSet ({len(main_tasks)} tasks)",
        _scores(results, main_tasks, given.budget),
        "![Regret against compute](fidelity.png)",
        "Share of the rows that are at least as good as what was found, in per cent:",
        _percentiles(results, main_tasks, given.budget),
        *_beside(
            results, smooth, {"All of these": main_tasks} | {FAMILIES[key]: groups[key] for key in MAIN}, given.budget
        ),
        *_live(live, given.budget, "Really trained", LIVE),
        *_live(timed_live, given.budget, "Really trained, with a budget in seconds", TIMED_LIVE),
        "## By family",
    ]
    for key, tasks in groups.items():
        if tasks:
            parts += [f"### {FAMILIES[key]} ({len(tasks)})", _scores(results, tasks, given.budget)]
            parts += [_percentiles(results, tasks, given.budget)] if key in MAIN else []
    parts += ["## By task: full trainings to the target", _tasks(results, known, Measure("reach", given.budget))]
    parts += ["## By task: regret at 10 full trainings", _tasks(results, known, Measure("regret", 10))]
    seconds = [name for name in groups["recorded"] if (RANDOM, name) in timed]
    if seconds:
        head = "The same on the networks recorded here when the budget is recorded seconds, in mean full trainings."
        parts += ["## Counted in seconds", head, _scores(timed, seconds, given.budget)]
    (RESULTS / "fidelity.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    _draw(results, {FAMILIES[key]: groups[key] for key in MAIN}, given.budget)
    print("\n\n".join(parts))


def _opening(budget: float) -> list[str]:
    machine = f"{len(os.sched_getaffinity(0))} cores shared with other work, {platform.system()}"
    return [
        f"`python -m benchmarks.fidelity`, then `python -m benchmarks.fidelity.report` on {datetime.date.today()}: "
        f"{machine}, Python {platform.python_version()}. "
        f"Versions: {versions_in(row for method in METHODS for row in read(method))}.",
        f"Learning curves are replayed, one worker, {budget:g} full trainings of compute; a suggestion takes the "
        "nearest recorded row. What counts is the best validation value that any step has reported so far. *To target* "
        f"is the compute, in full trainings, until it reaches the median best of {TARGET} random full trainings "
        f"({2 * budget:g}: not within the budget). Regret is the distance from the table's best over that of random "
        f"search with full trainings at equal compute, no task counting as less than {FLOOR:g}. Lower is better "
        "everywhere. Numbers are geometric means over tasks of medians over seeds; in brackets the 90 % interval when "
        f"seeds, {FEW} or more, are drawn again. CPU is the processor time of a whole search, the median.",
        "Tunewell and NePS pause trainings, continue them, and pay for the new steps alone, except where a name says "
        "stopping. Optuna, Ray Tune and Syne Tune stop a training for ever or train it on at once. SMAC and DEHB train "
        "a configuration that goes on anew from the first step, which is counted. Tunewell is told of a divergence by "
        "NaN, the others by the table's worst loss. "
        "Methods have their defaults, a first rung of one step where they ask for one, and one thread.",
        "*tunewell-auto* is the default as it comes, today. It reads the names of hyperparameters: what is usual of "
        "them over a range was learnt from recorded tables, these among them (results/effects.md); *held-out* was told "
        "only what tables of other data teach, the same kinds of networks among them, and *unnamed*, like stopping, "
        "nothing. What is learnt and the scheduler's defaults were chosen on these tasks, with other seeds. Rows of "
        "*freeze-thaw* are older: *unnamed* and *stopping* finished with a quarter of the compute instead of up to "
        "seven tenths, whether or not what looked best had a fair chance, and explored in a tenth of the decisions "
        "instead of a quarter. "
        "No space here states a default, so neither NePS's PriorBand nor Tunewell's has a prior: configurations are "
        "random, or lie around the best one. NePS's ASHA, in this version, promotes the best third of what has not "
        "been promoted yet, again and again, so it trains most of the few configurations that it begins to the end. "
        "NePS's ifBO is left out: its network is in no package and is downloaded when it is first used.",
        "A table has the methods that ran on all of its tasks. With few seeds, take differences below a factor of two "
        "as open. Searches cannot leave the recorded rows: in spaces of many parameters a few rows are nearest to much "
        "of the space and are suggested again and again, so the last digits of the regret are harder to get than in a "
        "space that can be searched freely.",
    ]


def _count(results: Results, method: str, tasks: Sequence[str]) -> int:
    return min(len(results[method, t].best) for t in tasks)


def _cell(results: Results, method: str, tasks: Sequence[str], measure: Measure) -> str:
    value = score(results, method, tasks, measure)
    if _count(results, method, tasks) < FEW:
        return number(value)
    low, high = band(results, method, tasks, measure)
    return f"{number(value)} ({number(low, 2)}–{number(high, 2)})"


def _scores(results: Results, tasks: Sequence[str], budget: float) -> str:
    columns = [Measure("reach", budget), *(Measure("regret", n) for n in POINTS if n <= budget)]
    rows = []
    for method in complete(results, tasks):
        seconds = float(np.median([cpu for t in tasks for cpu in results[method, t].cpu]))
        cells = [_cell(results, method, tasks, measure) for measure in columns]
        rows.append([method, _count(results, method, tasks), *cells, f"{number(seconds, 2)} s"])
    names = ["to target", *(f"regret at {n}" for n in POINTS if n <= budget)]
    return markdown(["method", "seeds", *names, "CPU"], rows)


def _beside(nearest: Results, smooth: Results, groups: Mapping[str, Sequence[str]], budget: float) -> list[str]:
    """Return the scores of both ways to answer side by side, of all methods with smooth ones."""
    measures = {f"regret at {n}": Measure("regret", n) for n in POINTS if n <= budget}
    measures = {"to target": Measure("reach", budget)} | measures
    columns = ["method", *(f"{name}, {answer}" for name in measures for answer in ("nearest", "smooth"))]
    parts = []
    for title, tasks in groups.items():
        shared = [name for name in tasks if (RANDOM, name) in smooth]
        methods, both = complete(smooth, shared), complete(nearest, shared)
        if not methods:
            continue
        rows = []
        for m in methods:
            cells = [(at, found) for at in measures.values() for found in (nearest, smooth)]
            known = [found is smooth or m in both for _, found in cells]
            told = zip(cells, known, strict=True)
            rows.append([m, *(_cell(found, m, shared, at) if there else "–" for (at, found), there in told)])
        parts += [f"### {title} ({len(shared)})", markdown(columns, rows)]
    return ["## Nearest rows and smooth tables side by side", SIDES, *parts] if parts else []


def _live(results: Results, budget: float, title: str, head: str) -> list[str]:
    """Return the scores where every configuration was really trained, on the tasks that any method ran on."""
    searched = {name for _, name in results}
    tasks = [name for name in tables.names() if name in searched]
    if not tasks:
        return []
    return [
        f"## {title}",
        head.format(len(tasks)),
        _scores(results, tasks, budget),
        _tasks(results, tasks, Measure("regret", 5)),
    ]


def _percentiles(results: Results, tasks: Sequence[str], budget: float) -> str:
    points = [n for n in EARLY if n <= budget]
    rows = [
        [m, *(number(score(results, m, tasks, Measure("percentile", n)), 2) for n in points)]
        for m in complete(results, tasks)
    ]
    return markdown(["method", *(f"after {n}" for n in points)], rows)


def _tasks(results: Results, tasks: Sequence[str], measure: Measure) -> str:
    methods = [m for m in METHODS if any((m, t) in results for t in tasks)]
    rows = []
    for name in tasks:
        medians = {m: float(np.median(measure.of(results[m, name]))) for m in methods if (m, name) in results}
        least = min(medians.values())
        marked = {m: f"**{number(v, 2)}**" if v == least else number(v, 2) for m, v in medians.items()}
        rows.append([name, *(marked.get(m, "") for m in methods)])
    return markdown(["task", *methods], rows)


def _draw(results: Results, groups: Mapping[str, Sequence[str]], budget: float) -> None:
    """Have the picture drawn by the peers' Matplotlib; without it the page keeps the one it has."""
    if not PEERS_PYTHON.exists():
        print("expected .venv-peers for the picture, found none: run benchmarks/peers.sh")
        return
    points = [k / 4 for k in range(1, round(budget * 4) + 1)]
    curves: dict[str, Any] = {}
    for title, tasks in groups.items():
        curves[title] = {}
        for method in complete(results, tasks):
            measures, few = [Measure("scaled", n) for n in points], _count(results, method, tasks) < FEW
            values = [score(results, method, tasks, measure) for measure in measures]
            shown = [(n, v, m) for n, v, m in zip(points, values, measures, strict=True) if np.isfinite(v)]
            curves[title][method] = {
                "n": [n for n, _, _ in shown],
                "value": [v for _, v, _ in shown],
                "band": [(v, v) if few else band(results, method, tasks, m) for _, v, m in shown],
            }
    line = [str(PEERS_PYTHON), "-m", "benchmarks.fidelity.plot", str(RESULTS / "fidelity.png")]
    subprocess.run(line, cwd=ROOT, input=json.dumps(curves), text=True, check=True)


if __name__ == "__main__":
    main()

"""The page of the search benchmark from all results there are: ``python -m benchmarks.search.report``.

A method's score after n evaluations is the geometric mean over problems of its median regret divided by random search's
median regret after as many evaluations, no problem counting as less than a thousandth. Lower is better; random search
has 1. A problem that random search has solved by then in the median says nothing and is left out.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import platform
import statistics
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from benchmarks._common import PEERS_PYTHON, RESULTS, ROOT, markdown, number, versions_in
from benchmarks.search import tables
from benchmarks.search.methods import METHODS, RANDOM
from benchmarks.search.problems import LIVE, MULTI
from benchmarks.search.run import read
from benchmarks.search.synthetic import ANYWHERE, MAKERS, NOISE_SHARE, SHIFTED

CHECKPOINTS = (25, 50, 100)
FLOOR = 1e-3
RESAMPLES = 400
FEW = 5  # with fewer seeds the interval of a resampled median says nothing
CORE = ("hartmann6", "ackley5", "rosenbrock4", "mixed", "conditional", "mixed_noisy", "fcnet_protein_noisy")
UNSCORED = ("deepar_monthly",)  # fewer than 200 recorded rows: whether a search hits the very best is a lottery
SCORED = tuple(name for name in (*MAKERS, *tables.MAKERS) if name not in UNSCORED)
NOISY = tuple(name for name in SCORED if name.endswith("_noisy"))
GROUPS: Mapping[str, Sequence[str]] = {
    "continuous": ("branin", "hartmann6", "ackley5", "levy8", "rosenbrock4", "rastrigin4", "sparse20"),
    "mixed and conditional": ("mixed", "conditional"),
    "noisy": NOISY,
    "recorded": tuple(name for name in SCORED if name in tables.MAKERS and name not in NOISY),
}


@dataclass(frozen=True)
class Found:
    """What one method found on one problem: ``regrets[seed, point]`` after ``points`` evaluations."""

    points: tuple[int, ...]
    regrets: np.ndarray
    cpu: tuple[float, ...]  # median seconds of one ask and its tell, seed by seed, where they were measured

    def at(self, n: int) -> np.ndarray | None:
        """Return the regrets of all seeds after ``n`` evaluations, None if nobody looked then."""
        return self.regrets[:, self.points.index(n)] if n in self.points else None

    def median(self, n: int) -> float | None:
        """Return the median regret after ``n`` evaluations."""
        found = self.at(n)
        return None if found is None else float(np.median(found))


Results = Mapping[tuple[str, str], Found]  # by method and problem


def gather(batch: int = 1) -> dict[tuple[str, str], Found]:
    """Return all results with so many pending; of a seed that ran with several budgets, the largest."""
    rows: dict[tuple[str, str], dict[int, dict[str, Any]]] = {}
    for method in METHODS:
        for row in sorted(read(method), key=lambda row: row["budget"]):
            if row["batch"] == batch:
                rows.setdefault((method, row["problem"]), {})[row["seed"]] = row
    return {key: _found(list(seeds.values())) for key, seeds in rows.items()}


def _found(rows: Sequence[dict[str, Any]]) -> Found:
    points = tuple(sorted(set.intersection(*({int(n) for n in row["recommended"]} for row in rows))))
    regrets = np.array([[row["recommended"][str(n)] for n in points] for row in rows])
    return Found(points, np.maximum(regrets, 0.0), tuple(row["cpu"]["median"] for row in rows if "cpu" in row))


# --- scores -----------------------------------------------------------------------------------------------------------


def told(results: Results, problems: Iterable[str], n: int) -> list[str]:
    """Return the problems that tell methods apart after ``n`` evaluations: random search has not solved them."""
    return [p for p in problems if (RANDOM, p) in results and (results[RANDOM, p].median(n) or 0.0) > 0.0]


def score(results: Results, method: str, problems: Iterable[str], n: int) -> float | None:
    """Return a method's score, None if it lacks one of the problems."""
    ratios = []
    for problem in told(results, problems, n):
        mine = results[method, problem].median(n) if (method, problem) in results else None
        base = results[RANDOM, problem].median(n)
        if mine is None or base is None:
            return None
        ratios.append(max(mine / base, FLOOR))
    return float(np.exp(np.mean(np.log(ratios)))) if ratios else None


def band(results: Results, method: str, problems: Iterable[str], n: int) -> tuple[float, float]:
    """Return the score's 90 % interval when the method's seeds are drawn again; random search's medians are kept."""
    rng, logs = np.random.default_rng(0), []
    for problem in told(results, problems, n):
        mine, base = results[method, problem].at(n), results[RANDOM, problem].median(n)
        if mine is None or base is None:
            raise ValueError(f"{method} has no results on {problem} after {n} evaluations: ask for its score first")
        drawn = np.median(mine[rng.integers(len(mine), size=(RESAMPLES, len(mine)))], axis=1)
        logs.append(np.log(np.maximum(drawn / base, FLOOR)))
    low, high = np.exp(np.quantile(np.mean(logs, axis=0), [0.05, 0.95]))
    return float(low), float(high)


def ranks(results: Results, methods: Sequence[str], problems: Iterable[str], n: int) -> dict[str, float]:
    """Return each method's rank by median regret among ``methods``, the mean over problems; ties share theirs."""
    placed = [rankdata([results[m, p].median(n) for m in methods]) for p in told(results, problems, n)]
    return dict(zip(methods, np.mean(placed, axis=0).tolist(), strict=True))


def complete(results: Results, problems: Iterable[str], n: int) -> list[str]:
    """Return the methods that have a score on these problems, best first."""
    scores = {method: score(results, method, problems, n) for method in METHODS}
    return sorted((m for m, s in scores.items() if s is not None), key=lambda m: scores[m] or 0.0)


# --- the page ---------------------------------------------------------------------------------------------------------


def main() -> None:
    """Read the results, write the page and its pictures."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    results, batches = gather(), gather(batch=8)
    problems = [p for p in SCORED if (RANDOM, p) in results]
    shown = [*problems, *(p for p in UNSCORED if (RANDOM, p) in results)]
    parts = [
        "# Sample efficiency",
        *_opening(),
        "## All problems",
        _scores(results, problems, CHECKPOINTS),
        "![Score against evaluations](search.png)",
        f"Not in the scores: {', '.join(UNSCORED)}, which has too few recorded rows to tell skill from luck; and what "
        f"random search solves in the median: {_solved(results, problems)}.",
        "## By kind of problem, after 50 and 100 evaluations",
        _groups(results, problems),
        "## Core problems",
        f"For methods too slow for all of them: {', '.join(CORE)}.",
        _scores(results, CORE, CHECKPOINTS),
        "## Median regret after 100 evaluations",
        _medians(results, shown, 100),
        "![Regret on each problem](search-problems.png)",
        "## Median regret after 50 evaluations",
        _medians(results, shown, 50),
        *_anywhere(results),
        *_batches(batches),
        *_several(results),
        *_live(results),
    ]
    (RESULTS / "search.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    _draw(results, problems, shown)
    print("\n\n".join(parts))


def _opening() -> list[str]:
    machine = f"{len(os.sched_getaffinity(0))} cores shared with other work, {platform.system()}"
    return [
        f"`python -m benchmarks.search`, then `python -m benchmarks.search.report` on {datetime.date.today()}: "
        f"{machine}, Python {platform.python_version()}. "
        f"Versions: {versions_in(row for method in METHODS for row in read(method))}.",
        "Regret is the true loss of the configuration that a method would hand over, minus the optimum. The score "
        "after n evaluations is the geometric mean over problems of a method's median regret divided by that of "
        f"random search, no problem counting as less than {FLOOR:g}; lower is better, random search has 1. In brackets "
        f"after it the 90 % interval when the method's seeds, if {FEW} or more, are drawn again, with random "
        "search's kept; then the mean rank within the table. With few seeds, take differences below a factor of two as "
        "open.",
        "A seed makes another instance of every problem, the same for all methods: its optimum lies elsewhere (where "
        "it is shifted, in the middle 60 % of each axis), axes are warped or turned round. Most optima keep clear of "
        "the edges, so methods whose first trial is the middle of all ranges, as ours and NGOpt's is, profit from that "
        "at first: see the section on optima anywhere. Scores differ between sets of ten seeds by up to a factor of "
        "two at 25 evaluations, which the intervals do not show where a method has both sets. Noise is "
        f"{100 * NOISE_SHARE:g} % of the distance from the optimum to the 90 % quantile of random configurations, or "
        "one of the recorded seeds of a table; nobody is told whether there is any. Methods have their defaults, one "
        "thread, and hand over what they themselves recommend; milliseconds are processor time for one ask and its "
        "tell, the median over a search.",
    ]


def _seeds(results: Results, method: str, problems: Iterable[str]) -> str:
    counts = [len(results[method, p].regrets) for p in problems if (method, p) in results]
    return str(min(counts)) if min(counts) == max(counts) else f"{min(counts)}–{max(counts)}"


def _scores(results: Results, problems: Sequence[str], points: Sequence[int]) -> str:
    order = complete(results, problems, points[-1])
    order += [m for m in complete(results, problems, points[0]) if m not in order]
    cells: dict[str, list[str]] = {method: [] for method in order}
    for n in points:
        there = complete(results, problems, n)
        placed = ranks(results, there, problems, n) if there else {}
        for method in order:
            value = score(results, method, problems, n)
            if value is None:
                cells[method].append("")
                continue
            low, high = band(results, method, problems, n)
            interval = "" if _few(results, method, problems) else f" ({number(low, 2)}–{number(high, 2)})"
            text = "1" if method == RANDOM else f"{number(value)}{interval}"
            cells[method].append(f"{text}, {placed[method]:.1f}")
    rows = [[m, _seeds(results, m, problems), *cells[m], _milliseconds(results, m, problems)] for m in order]
    return markdown(["method", "seeds", *(f"{n} evaluations" for n in points), "ms"], rows)


def _few(results: Results, method: str, problems: Iterable[str]) -> bool:
    return min(len(results[method, p].regrets) for p in problems) < FEW


def _milliseconds(results: Results, method: str, problems: Iterable[str]) -> str:
    values = [seconds for p in problems if (method, p) in results for seconds in results[method, p].cpu]
    return number(1000 * statistics.median(values), 2) if values else ""


def _solved(results: Results, problems: Sequence[str]) -> str:
    said = []
    for n in CHECKPOINTS:
        known = told(results, problems, n)
        said += [f"{problem} at {n}" for problem in problems if problem not in known]
    return ", ".join(said) or "none"


def _groups(results: Results, problems: Sequence[str]) -> str:
    methods, rows = complete(results, problems, 100), []
    for method in methods:
        cells = []
        for group in GROUPS.values():
            values = [score(results, method, [p for p in group if p in problems], n) for n in (50, 100)]
            cells.append(" / ".join("" if value is None else number(value, 2) for value in values))
        rows.append([method, *cells])
    return markdown(["method", *(f"{name} ({len(group)})" for name, group in GROUPS.items())], rows)


def _medians(results: Results, problems: Sequence[str], n: int) -> str:
    order = complete(results, problems, n)
    order += [m for m in METHODS if m not in order and any((m, p) in results for p in problems)]
    rows = []
    for problem in problems:
        medians = {m: results[m, problem].median(n) for m in order if (m, problem) in results}
        least = min(value for value in medians.values() if value is not None)
        cells = [_cell(medians.get(m), least, results.get((m, problem))) for m in order]
        rows.append([problem, *cells])
    used = [k for k, _ in enumerate(order) if any(row[k + 1] for row in rows)]
    return markdown(["problem", *(order[k] for k in used)], [[row[0], *(row[k + 1] for k in used)] for row in rows])


def _cell(value: float | None, least: float, found: Found | None) -> str:
    if value is None or found is None:
        return ""
    text = f"{value:.2g}" if value < 1e-3 or value >= 1e4 else number(value, 2)
    few = f" ({len(found.regrets)})" if len(found.regrets) < FEW else ""
    return f"**{text}**{few}" if value == least else text + few


def _anywhere(results: Results) -> list[str]:
    """Return the section on optima near edges and in corners, beside the same formulas with optima inside."""
    problems = [p for p in ANYWHERE if (RANDOM, p) in results]
    methods = [m for m in METHODS if all((m, p) in results for p in problems)]
    if not problems:
        return []
    rows = []
    for method in sorted(methods, key=lambda m: score(results, m, problems, CHECKPOINTS[-1]) or math.inf):
        cells = [score(results, method, these, n) for these in (problems, list(SHIFTED)) for n in CHECKPOINTS]
        rows.append([method, _seeds(results, method, problems), *("" if c is None else number(c, 2) for c in cells)])
    text = (
        f"Scores on {', '.join(SHIFTED)} with the optimum anywhere in the box, uniformly, so that most have a "
        "coordinate near an edge; beside them the scores on the same formulas as above, with optima inside."
    )
    head = ["method", "seeds", *(f"{n}, {where}" for where in ("anywhere", "inside") for n in CHECKPOINTS)]
    return ["## Optima anywhere in the box", text, markdown(head, rows)]


def _batches(results: Results) -> list[str]:
    """Return the section on batches: problems that were searched with eight pending."""
    problems = [p for p in SCORED if (RANDOM, p) in results]
    methods = [m for m in METHODS if any((m, p) in results for p in problems)]
    if not problems:
        return []
    rows = [
        [m, *(_cell(results[m, p].median(96), -1.0, results[m, p]) if (m, p) in results else "" for p in problems)]
        for m in methods
    ]
    head = "Median regret after 96 evaluations: twelve rounds of eight. Fewer than five seeds stand in brackets."
    return ["## Eight pending", head, markdown(["method", *problems], rows)]


def _several(results: Results) -> list[str]:
    """Return the section on several objectives."""
    problems = [p for p in MULTI if (RANDOM, p) in results]
    methods = [m for m in METHODS if any((m, p) in results for p in problems)]
    if not problems:
        return []
    rows = []
    for method in methods:
        cells = []
        for p in problems:
            found = results.get((method, p))
            missing = found.median(100) if found is not None else None
            few = f" ({len(found.regrets)})" if found is not None and len(found.regrets) < FEW else ""
            cells.append("" if missing is None else number(100 * missing, 3) + few)
        value = score(results, method, problems, 100)
        total = "" if value is None else number(value)
        rows.append([method, *cells, total, _milliseconds(results, method, problems)])
    return [
        "## Several objectives",
        "The hypervolume still missing after 100 evaluations, in per cent of the whole front's, median over seeds. "
        "Fewer than five seeds stand in brackets. The score compares it with random search as above. tunewell-told and "
        "qlognehvi are told the point from which the hypervolume is measured, the first as constraints on the goals.",
        markdown(["method", *problems, "score", "ms"], rows),
    ]


def _live(results: Results) -> list[str]:
    """Return the section on the problem that trains."""
    rows = [
        [method, len(found.regrets), *(number(found.median(n) or 0.0) for n in CHECKPOINTS)]
        for problem in LIVE
        for method in METHODS
        if (found := results.get((method, problem))) is not None and set(CHECKPOINTS) <= set(found.points)
    ]
    if not rows:
        return []
    head = "A small network on handwritten digits: validation loss of the configuration handed over, median over seeds."
    return ["## Trained live", head, markdown(["method", "seeds", *(f"{n} evaluations" for n in CHECKPOINTS)], rows)]


def _draw(results: Results, problems: Sequence[str], shown: Sequence[str]) -> None:
    """Have the pictures drawn by the peers' Matplotlib; without it the page keeps those it has."""
    if not PEERS_PYTHON.exists():
        print("expected .venv-peers for the pictures, found none: run benchmarks/peers.sh")
        return
    curves: dict[str, Any] = {"score": {}, "problems": {p: {} for p in shown}}
    for method in METHODS:
        points = [n for n in range(5, 101, 5) if score(results, method, problems, n) is not None]
        if points:
            values = [score(results, method, problems, n) for n in points]
            few = _few(results, method, problems)
            bands = [(v, v) if few else band(results, method, problems, n) for n, v in zip(points, values, strict=True)]
            curves["score"][method] = {"n": points, "value": values, "band": bands}
            for p in shown:
                if (method, p) not in results:
                    continue
                found = results[method, p]
                middle, low, high = np.quantile(found.regrets, [0.5, 0.25, 0.75], axis=0).tolist()
                curves["problems"][p][method] = {
                    "n": found.points,
                    "value": middle,
                    "band": list(zip(low, high, strict=True)),
                }
    line = [str(PEERS_PYTHON), "-m", "benchmarks.search.plot", str(RESULTS)]
    subprocess.run(line, cwd=ROOT, input=json.dumps(curves), text=True, check=True)


if __name__ == "__main__":
    main()

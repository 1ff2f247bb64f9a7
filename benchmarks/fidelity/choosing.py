"""Which configurations nobody has tried are good, told from few points: what the process of curves makes of names.

A case is a recorded task of which 12, 24 or 48 random rows were trained for a step, the better half of them for two, a
third for four and so on, and one to four to the end. The process is fitted as the scheduler fits it, and foretells the
ends of all other rows. Reported are the rank correlation with what they were, and the mean scores (normal scores of the
ends among all rows, lower is better) of the eight with the best means and of the four with the largest expected
improvement. What is usual was learnt from the tables of other data.

``python -m benchmarks.fidelity.choosing`` writes ``results/choosing.md``, in a minute or two.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import spearmanr

from benchmarks._common import RESULTS
from benchmarks.fidelity import tables
from benchmarks.fidelity.learn_effects import learnt, scores, source
from benchmarks.fidelity.report import FAMILIES, MAIN, family
from tunewell.numerics import acquisition, curves
from tunewell.numerics.brackets import geometric_steps
from tunewell.numerics.trends import Trend
from tunewell.surrogate import usual
from tunewell.surrogate.cube import cube_of
from tunewell.surrogate.outlook import time

PAGE = RESULTS / "choosing.md"
BEGUN, SPLITS = (12, 24, 48), 6
PARTS = (1.0, 0.5, 1 / 3, 1 / 6, 1 / 12)  # of these, that reach each rung
EVALUATIONS = 20
GENERAL = curves.Law(shorter=0.0)
SHIPPED = "and length scales (as shipped)"
Use = tuple[Trend | None, curves.Law]


@dataclass(frozen=True)
class Case:
    """Points of curves, and how others have ended."""

    columns: curves.Columns
    units: np.ndarray  # of the points, (n, d)
    times: np.ndarray  # (n,)
    owners: np.ndarray  # (n,)
    scores: np.ndarray  # (n,)
    others: np.ndarray  # coordinates of the others, (m, d)
    ends: np.ndarray  # their scores, (m,)


def cases(name: str, begun: int) -> Iterator[Case]:
    """Yield cases of a task."""
    table = tables.load(name)
    losses = table.curves if table.mode == "min" else -table.curves
    steps = np.arange(losses.shape[1])
    last = np.minimum(steps, table.lengths[:, None] - 1)
    losses = np.take_along_axis(np.where(np.isfinite(losses), losses, np.inf), last, axis=1)
    ends, cube = scores(losses[:, -1]), cube_of(table.space)
    units, rungs = table.units[:, cube.free], geometric_steps(1, len(steps), 2.0)
    for split in range(SPLITS):
        order = np.random.default_rng(split).permutation(len(losses))
        kept, points, before = order[:begun], [], rungs[0]
        for k, rung in enumerate(rungs):
            share = begun / 12 if rung == rungs[-1] else max(begun * PARTS[min(k, len(PARTS) - 1)], 1)
            kept = kept[np.argsort(losses[kept, before - 1], kind="stable")][: round(share)]
            points += [(rung, row) for row in kept]
            before = rung
        at, rows = np.array(points).T
        seen, rest = scores(losses[rows, at - 1]), order[begun:]
        yield Case(cube.columns, units[rows], time(at, len(steps)), rows, seen, units[rest], ends[rest])


class Unaligned(Trend):
    """A trend whose wells say nothing of who is whose neighbour."""

    def aligned(self, units: np.ndarray) -> np.ndarray:
        """Return the coordinates themselves."""
        return units


def judged(case: Case, use: Use) -> tuple[float, float, float]:
    """Return the rank correlation and the mean scores of those chosen by mean and by expected improvement."""
    trend, law = use
    points = case.units, case.times, case.owners, case.scores
    theta, _ = curves.fit(curves.Evidence(case.columns, *points, law=law, trend=trend), EVALUATIONS)
    mean, std = curves.Curves.of(case.columns, theta, *points, trend=trend).predict(case.others)
    gains, _, _ = acquisition.log_expected_improvement(mean, std, float(case.scores.min()))
    best, promising = np.argsort(mean)[:8], np.argsort(-gains)[:4]
    return float(spearmanr(mean, case.ends)[0]), float(case.ends[best].mean()), float(case.ends[promising].mean())


def uses(name: str) -> Mapping[str, Use]:
    """Return what is compared: more and more of what is usual."""
    space, law = tables.load(name).space, curves.Law()
    columns = usual.columns_of(space, learnt(source(name)))
    mean = usual.trend_from(columns, columns) or Trend()
    steady = tuple(replace(well, movers=()) for well in mean.wells)
    return {
        "no names": (None, law),
        "effects of each": (replace(mean, wells=steady, lengths=()), law),
        "and what moves wells": (replace(mean, lengths=()), law),
        SHIPPED: (mean, law),
        "as shipped, but no length scale shorter": (mean, GENERAL),
        "as shipped, but not aligned": (Unaligned(mean.effects, mean.wells, mean.lengths), law),
    }


def page() -> str:
    """Return the page."""
    names = [name for name in tables.names() if family(name) in MAIN]
    heads = list(uses(names[0]))
    found: dict[tuple[str, int, str], list[tuple[float, float, float]]] = {}
    for name in names:
        ways = uses(name)
        for begun in BEGUN:
            for case in cases(name, begun):
                for head, use in ways.items():
                    found.setdefault((head, begun, name), []).append(judged(case, use))
    lines = [
        "# Choosing from few points",
        "",
        "`python -m benchmarks.fidelity.choosing`: from 12, 24 or 48 random rows of a recorded task that were trained "
        "for a step, half of them for two, a third for four and so on, the ends of all other rows are foretold. Rank "
        "correlation (higher is better) / mean score of the eight rows with the best means / of the four with the "
        f"largest expected improvement (lower is better); means over tasks and {SPLITS} draws each, in brackets the "
        "difference to the line above, of the last two to what is shipped, in standard errors over tasks (of two kinds "
        "of networks some data are the same). "
        "What is usual was learnt from other data; what is learnt, and how much shorter all length scales are thought "
        "to be, was chosen with these cases in view.",
    ]
    for key in MAIN:
        of = [name for name in names if family(name) == key]
        lines += ["", f"## {FAMILIES[key]} ({len(of)})", "", "| | " + " | ".join(f"{n} begun" for n in BEGUN) + " |"]
        lines += ["| --- |" + " ---: |" * len(BEGUN)]
        for place, head in enumerate(heads):
            cells = []
            for begun in BEGUN:
                mine = np.array([np.mean(found[head, begun, name], axis=0) for name in of])
                other = heads[min(max(place - 1, 0), heads.index(SHIPPED))]
                above = np.array([np.mean(found[other, begun, name], axis=0) for name in of])
                cells.append(_cell(mine, mine - above if place else None))
            lines.append(f"| {head} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(values: np.ndarray, differences: np.ndarray | None) -> str:
    cells = []
    for column, (value, form) in enumerate(zip(values.mean(axis=0), ("{:.3f}", "{:+.2f}", "{:+.2f}"), strict=True)):
        text = form.format(value)
        if differences is not None:
            error = differences[:, column].std(ddof=1) / np.sqrt(len(differences))
            text += f" ({differences[:, column].mean() / error:+.1f})" if error > 0.0 else ""
        cells.append(text)
    return " / ".join(cells)


def main() -> None:
    """Measure and write the page."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        text = page()
    PAGE.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()

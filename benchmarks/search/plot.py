"""The pictures of the search benchmark, drawn with Matplotlib from curves given as JSON on standard input."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot, ticker

COLOURS = {
    "tunewell-auto": "#c1121f",
    "tunewell-gp": "#e76f51",
    "tunewell-tpe": "#f4a261",
    "tunewell-cmaes": "#b08968",
    "tunewell-sobol": "#adb5bd",
    "tunewell-random": "#495057",
    "optuna-tpe": "#1d6fb8",
    "optuna-gp": "#0b3c6f",
    "optuna-cmaes": "#6fb1e0",
    "ngopt": "#2a9d8f",
    "hyperopt": "#8e6bbf",
}
"""Ours warm, the others cold, what does not learn grey."""

FIRST = ("tunewell-auto", "tunewell-random")


def main() -> None:
    """Read the curves and write two pictures into the folder given."""
    curves, folder = json.load(sys.stdin), Path(sys.argv[1])
    pyplot.rcParams.update(
        {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}
    )
    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    _lines(axes, curves["score"], shade=0.13)
    axes.set(xlabel="evaluations", ylabel="median regret, random search = 1", yscale="log", xlim=(5, 100))
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    axes.yaxis.set_minor_locator(ticker.NullLocator())
    axes.set_title("Score over all problems, with 90 % intervals over seeds (five or more)", loc="left", fontsize=10)
    _name_ends(axes, curves["score"])
    figure.savefig(folder / "search.png", dpi=130)
    _grid(curves["problems"], folder / "search-problems.png")


def _lines(axes: Any, curves: dict[str, Any], *, shade: float) -> None:
    for method, curve in curves.items():
        colour, ours = COLOURS.get(method, "#666666"), method.startswith("tunewell")
        low, high = zip(*curve["band"], strict=True)
        axes.fill_between(curve["n"], low, high, color=colour, alpha=shade, linewidth=0)
        style = "--" if method in ("tunewell-random", "tunewell-sobol") else "-"
        axes.plot(curve["n"], curve["value"], style, color=colour, linewidth=2 if ours else 1.4, label=method)


def _name_ends(axes: Any, curves: dict[str, Any]) -> None:
    """Write each method's name at the end of its line, moved apart where they would overlap (9 points each)."""
    figure = axes.get_figure()
    figure.canvas.draw()
    pixels = 11 * figure.dpi / 72
    ends = sorted((axes.transData.transform((c["n"][-1], c["value"][-1]))[1], m) for m, c in curves.items())
    at = float("-inf")
    for y, method in ends:
        at = max(y, at + pixels)
        curve = curves[method]
        axes.annotate(
            method,
            (curve["n"][-1], curve["value"][-1]),
            xytext=(8, (at - y) * 72 / figure.dpi),
            textcoords="offset points",
            va="center",
            color=COLOURS.get(method, "#666666"),
            annotation_clip=False,
        )


def _grid(problems: dict[str, dict[str, Any]], path: Path) -> None:
    """Draw one small plot for each problem: the median and the middle half of the seeds."""
    columns = 4
    rows = -(-(len(problems) + 1) // columns)
    figure, places = pyplot.subplots(rows, columns, figsize=(12, 2.4 * rows), layout="constrained", squeeze=False)
    cells = list(places.flat)
    for axes, (problem, curves) in zip(cells, problems.items(), strict=False):
        _lines(axes, curves, shade=0.08)
        axes.set_title(problem, loc="left", fontsize=9)
        axes.set_xlim(5, 100)
        axes.set_yscale("log")
        positive = [v for c in curves.values() for v in c["value"] if v > 0]
        axes.set_ylim(max(min(positive, default=1e-3), 1e-6) / 2, None)  # solved exactly: below the frame
    for axes in cells[len(problems) :]:
        axes.set_axis_off()
    handles, labels = cells[0].get_legend_handles_labels()
    cells[len(problems)].legend(handles, labels, loc="center left", fontsize=8)
    figure.suptitle("Regret against evaluations: median and middle half of the seeds", x=0.01, ha="left", fontsize=11)
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    main()

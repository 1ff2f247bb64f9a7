"""The picture of the multi-fidelity benchmark, drawn with Matplotlib from curves given as JSON on standard input."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot, ticker

COLOURS = {
    "tunewell-auto": "#c1121f",
    "tunewell-auto-held-out": "#c9184a",
    "tunewell-freeze-thaw-unnamed": "#ff758f",
    "tunewell-asha-auto": "#e76f51",
    "tunewell-asha": "#f4a261",
    "tunewell-hyperband": "#b08968",
    "tunewell-auto-full": "#7f5539",
    "tunewell-random": "#495057",
    "optuna-tpe-hyperband": "#1d6fb8",
    "optuna-tpe-halving": "#0b3c6f",
    "optuna-tpe-median": "#6fb1e0",
    "ray-asha": "#2a9d8f",
    "dehb": "#8e6bbf",
    "smac-multi-fidelity": "#588157",
    "syne-tune-asha": "#00b4d8",
    "syne-tune-bohb": "#5a189a",
    "neps-priorband": "#a3b18a",
}
"""Ours warm, the others cold, random search grey; other methods are in the tables alone."""


def main() -> None:
    """Read the curves of each group of tasks and write one picture."""
    groups = json.load(sys.stdin)
    pyplot.rcParams.update(
        {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}
    )
    figure, places = pyplot.subplots(1, len(groups), figsize=(15, 5), layout="constrained", squeeze=False)
    for axes, (title, curves) in zip(places.flat, groups.items(), strict=True):
        for method, curve in curves.items():
            if method not in COLOURS:
                continue
            low, high = zip(*curve["band"], strict=True)
            axes.fill_between(curve["n"], low, high, color=COLOURS[method], alpha=0.1, linewidth=0)
            width = 2.0 if method.startswith("tunewell") else 1.3
            style = "--" if method == "tunewell-random" else "-"
            axes.plot(curve["n"], curve["value"], style, color=COLOURS[method], linewidth=width, label=method)
        axes.set(title=title, xlabel="compute, full trainings", xscale="log", yscale="log", ylim=(None, 3))
        axes.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
        axes.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)
    places.flat[0].set_ylabel("regret, one random full training = 1")
    title = "Regret against compute: medians over seeds, with 90 % intervals for five seeds or more"
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    figure.savefig(Path(sys.argv[1]), dpi=110)


if __name__ == "__main__":
    main()

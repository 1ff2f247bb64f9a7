"""The picture of the live benchmark, drawn with Matplotlib from curves given as JSON on standard input."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot, ticker

COLOURS = {
    "tunewell": "#c1121f",
    "tunewell-held-out": "#f4a261",
    "optuna-tpe-hyperband": "#1d6fb8",
    "ray-asha": "#2a9d8f",
    "optuna-random": "#495057",
}


def main() -> None:
    """Read the curves of each task and write one picture."""
    panels = json.load(sys.stdin)
    pyplot.rcParams.update(
        {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}
    )
    figure, places = pyplot.subplots(
        1, len(panels), figsize=(6 * len(panels), 4.5), layout="constrained", squeeze=False
    )
    for axes, (title, panel) in zip(places.flat, panels.items(), strict=True):
        for method, curve in panel["curves"].items():
            if not curve["seconds"]:
                continue
            errors = {part: [100 - 100 * value for value in curve[part]] for part in ("value", "low", "high")}
            axes.fill_between(curve["seconds"], errors["high"], errors["low"], color=COLOURS[method], alpha=0.12, lw=0)
            width, style = (2.0 if method == "tunewell" else 1.3), ("--" if method == "optuna-random" else "-")
            axes.plot(curve["seconds"], errors["value"], style, color=COLOURS[method], linewidth=width, label=method)
        axes.axhline(100 - 100 * panel["target"], color="black", linewidth=0.8, linestyle=":", label="target")
        axes.set(title=title, xlabel="wall seconds since the launch, start-up included", xscale="log", yscale="log")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
            axis.set_major_formatter(ticker.FormatStrFormatter("%g"))
            axis.set_minor_formatter(ticker.NullFormatter())
        axes.legend(loc="lower left", fontsize=8)
    places.flat[0].set_ylabel("test error of the incumbent, %")
    figure.suptitle("Test error against wall time: medians and extremes over seeds", x=0.01, ha="left", fontsize=11)
    figure.savefig(Path(sys.argv[1]), dpi=110)


if __name__ == "__main__":
    main()

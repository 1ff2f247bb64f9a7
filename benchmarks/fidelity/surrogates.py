"""How true the answers of :class:`tunewell.testing.Table` are: what they foretell of trainings that they do not know.

``python -m benchmarks.fidelity.surrogates`` leaves out a fifth of each table's rows at a time and foretells where these
end: by the nearest row, by means over neighbours (the estimator of Nadaraya and Watson with a bandwidth for each
parameter, which smooth answers were until they were compared here), and by means of a Gaussian process, which they are
now. ``--fresh`` also really trains, for each task that was recorded here, 25 random configurations and the twelve of
1,000 random ones that each of these thinks best; about a minute a task. The page is ``results/surrogates.md``; what was
trained stands in ``surrogates.jsonl`` beside it and is not trained again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.stats import spearmanr

from benchmarks._common import RESULTS
from benchmarks.fidelity import tables
from benchmarks.fidelity.replay import Epochs, task
from benchmarks.fidelity.report import FAMILIES, MAIN, family
from tunewell.numerics import smoothing
from tunewell.scales import Floats
from tunewell.testing.tables import Answer, Table

PAGE, FRESH = RESULTS / "surrogates.md", RESULTS / "surrogates.jsonl"
FOLDS, SAMPLE, RANDOM, BEST = 5, 1000, 25, 12
FENCE = 3.0  # interquartile ranges beyond the worse quartile: no value counts as worse in means over neighbours
NAMES = {"nearest": "nearest row", "neighbours": "means over neighbours", "smooth": "means of a process (smooth)"}
Foretell = Callable[[Table, Floats], Floats]


def answered(answer: Answer) -> Foretell:
    """Return what foretells the best of each training as the answers of a table do."""

    def foretell(table: Table, units: Floats) -> Floats:
        same = Table(table.space, table.units, table.values, answer=answer)
        return best_of(np.array([training.values for training in same.trainings(units)]))

    return foretell


def neighbours(table: Table, units: Floats) -> Floats:
    """Foretell the best of each training by means over neighbours, with the bandwidths that explain the ends."""
    low, high = np.nanquantile(table.values, [0.25, 0.75])
    values = np.nan_to_num(np.minimum(table.values, high + FENCE * (high - low)), nan=high + FENCE * (high - low))
    known, asked = (np.nan_to_num(np.asarray(places), nan=-1.0) for places in (table.units, units))
    widths = smoothing.bandwidths(table._squares(known, known), values[:, -1])
    return best_of(smoothing.weights(table._squares(asked, known), widths) @ values)


WAYS: Mapping[str, Foretell] = {
    "nearest": answered("nearest"),
    "neighbours": neighbours,
    "smooth": answered("smooth"),
}


def best_of(values: Floats) -> Floats:
    """Return the least loss of each training, infinite where there is none, shape ``(n,)``."""
    return np.asarray(np.where(np.isfinite(values), values, np.inf).min(axis=1))


def left_out(name: str) -> dict[str, tuple[float, float]]:
    """Return each way's rank correlation with the best of the rows left out: of all, and of the best quarter."""
    table = task(name).table
    truth = best_of(table.values)
    folds = np.random.default_rng(0).permutation(len(truth)) % FOLDS
    good = truth <= np.quantile(truth, 0.25)
    found = {}
    for way, foretell in WAYS.items():
        told = np.empty(len(truth))
        for fold in range(FOLDS):
            rest = folds != fold
            told[~rest] = foretell(Table(table.space, table.units[rest], table.values[rest]), table.units[~rest])
        found[way] = (_ranks(told, truth), _ranks(told[good], truth[good]))
    return found


def trained(name: str) -> dict[str, list[float]]:
    """Train fresh configurations; return each way's correlations, of all and of those thought best, and their mean."""
    of = task(name)
    rng = np.random.default_rng(5)
    configs = [of.space.sample(rng) for _ in range(SAMPLE)]
    told = {way: foretell(of.table, of.space.encode(configs)) for way, foretell in WAYS.items()}
    best = {way: np.argsort(values, kind="stable")[:BEST] for way, values in told.items()}
    rows = np.unique(np.concatenate([np.arange(RANDOM), *best.values()]))
    truth = np.full(SAMPLE, np.inf)
    for row in rows:
        epochs = Epochs(name, configs[row], of.horizon)
        losses = []
        for step in range(of.horizon):
            losses.append(epochs[step])
            if not np.isfinite(losses[-1]):
                break
        truth[row] = best_of(np.array([losses]))[0]
    top = rows[rows >= RANDOM]
    worst = truth[rows][np.isfinite(truth[rows])].max()
    return {
        way: [
            _ranks(told[way][rows], truth[rows]),
            _ranks(told[way][top], truth[top]),
            float(np.minimum(truth[best[way]], worst).mean()),
        ]
        for way in WAYS
    }


def _ranks(told: Floats, truth: Floats) -> float:
    return float(spearmanr(told, truth)[0]) if len(np.unique(told)) > 1 else 0.0


def page(fresh: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """Return the page."""
    names = [name for name in tables.names() if family(name) in MAIN]
    lines = [
        "# How true replayed answers are",
        "",
        "`python -m benchmarks.fidelity.surrogates --fresh`: rank correlations of what a table's answers foretell with "
        f"what was measured. Rows left out: one of {FOLDS} parts at a time; of all rows / among the best quarter.",
        "",
        "| task | " + " | ".join(NAMES.values()) + " |",
        "| --- |" + " ---: |" * len(NAMES),
    ]
    cells = {name: left_out(name) for name in names}
    for key in MAIN:
        of = [name for name in names if family(name) == key]
        lines += [_row(name, [[f"{x:.2f}" for x in cells[name][way]] for way in WAYS]) for name in of]
        means = [np.mean([cells[name][way] for name in of], axis=0) for way in WAYS]
        lines.append(_row(f"**mean: {FAMILIES[key]}**", [[f"{x:.2f}" for x in mean] for mean in means]))
    if fresh:
        lines += [
            "",
            "## Against fresh trainings",
            "",
            f"Configurations that no table knows were really trained: {RANDOM} random ones, and the {BEST} of "
            f"{SAMPLE:,} random ones that each way thinks best. Correlations over all of them / over those that "
            "somebody thinks best / what a way's twelve really come to in the mean (the best validation accuracy).",
            "",
            "| task | " + " | ".join(NAMES.values()) + " |",
            "| --- |" + " ---: |" * len(NAMES),
        ]
        for name, found in fresh.items():
            lines.append(
                _row(name, [[f"{a:.2f}", f"{b:.2f}", f"{-c:.4f}"] for a, b, c in (found[way] for way in WAYS)])
            )
    return "\n".join(lines) + "\n"


def _row(name: str, cells: Sequence[Sequence[str]]) -> str:
    return f"| {name} | " + " | ".join(" / ".join(cell) for cell in cells) + " |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fidelity.surrogates", description=__doc__)
    parser.add_argument("--fresh", action="store_true", help="train fresh configurations, too")
    given = parser.parse_args(arguments)
    known = map(json.loads, FRESH.read_text().splitlines()) if FRESH.exists() else []
    fresh = {line["task"]: line["found"] for line in known}
    missing = [name for name in tables.names() if family(name) == "recorded" and name not in fresh]
    for name in missing if given.fresh else ():
        fresh[name] = trained(name)
        with FRESH.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"task": name, "found": fresh[name]}) + "\n")
        print(name, fresh[name], file=sys.stderr, flush=True)
    PAGE.write_text(page(fresh), encoding="utf-8")
    print(PAGE.read_text())


if __name__ == "__main__":
    main()

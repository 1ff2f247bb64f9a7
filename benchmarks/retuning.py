"""What retune advice is worth: do best learning rates move as the rules say, and does drift raise false alarms?

``python -m benchmarks.retuning`` writes ``results/retuning.md``. The rates are read off HPOBench's table of perceptrons
under Adam (30,000 configurations on each task, from the folder ``TUNEWELL_TABLES``), the alarms off halves of data.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tunewell as tw
from benchmarks._common import RESULTS, SCRATCH
from tunewell.fingerprints import Fingerprint
from tunewell.retuning.changes import changes_between

TASKS = ("australian", "credit_g", "phoneme", "vehicle")
FACTOR = 3  # places on the grid of batch sizes: a batch four times as large
TRIED = 60  # random configurations of which the old best is the best
REPEATS = 400
SPLITS = 100
COLUMNS = ["task", "power, batch", "power, parameters", "keep", "moved", "near moved", "best rate", "new search"]


RATES = """# Retune advice against recorded trainings

`python -m benchmarks.retuning`. On HPOBench's perceptrons under Adam, 30,000 configurations on each of four tasks: by
which power of the batch size and of the number of parameters does the best learning rate move? The rules say 0.5 and
-0.33. Then the balanced validation accuracy after a change of the batch by a factor of four, up or down, starting from
the best of {tried} random configurations, mean of {repeats}: with the rate kept, moved by the rule, the best of five
rates near that (the advice), of all ten rates, and of a new search of five random configurations.
"""
ALARMS = """
How often is retuning asked for, in {splits} random halves of real data: when nothing has changed (a false alarm), when
one random column moved by a standard deviation, and when all columns doubled? (Of the digits' columns, one in twenty is
constant and does not move.)

| data | rows | false alarms | one column + 1 sd | all columns x 2 |
| --- | ---: | ---: | ---: | ---: |"""


def accuracies(task: str) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    """Return the mean accuracy over five seeds, shape ``(alpha, batch, depth, rate, width)``, and the axes by name."""
    if "TUNEWELL_TABLES" not in os.environ:
        raise ValueError("expected the folder of the tables in TUNEWELL_TABLES, found none: set it")
    with np.load(Path(os.environ["TUNEWELL_TABLES"]) / "hpobench_mlp_final.npz") as table:
        axes = {name: np.array(values, float) for name, values in json.loads(str(table["meta"]))["space"].items()}
        shape = tuple(len(values) for values in axes.values())
        grid = np.full(shape, np.nan)
        grid[tuple(table["config_idx"].astype(int).T)] = table[f"{task}/val_acc"].mean(axis=1)
    return grid, axes


def power(accuracy: NDArray[np.float64], rates: NDArray[np.float64], sizes: NDArray[np.float64]) -> float:
    """Return the power of a size that the best rate follows; accuracies of shape ``(sizes, rates)``.

    The best rate is the geometric mean of the three best on the grid, whose points are 3.6 apart.
    """
    best = np.argsort(accuracy, axis=1)[:, -3:]
    return float(np.polyfit(np.log(sizes), np.log(rates)[best].mean(axis=1), 1)[0])


def powers(grid: NDArray[np.float64], axes: dict[str, NDArray[np.float64]]) -> tuple[float, float]:
    """Return the mean powers of the batch size and of the number of parameters (the square of the width)."""
    rates, over_alpha = axes["learning_rate_init"], grid.mean(axis=0)
    by_batch = [
        power(over_alpha[:, depth, :, width], rates, axes["batch_size"])
        for depth in range(grid.shape[2])
        for width in range(grid.shape[4])
    ]
    by_width = [
        power(over_alpha[batch, depth].T, rates, axes["width"] ** 2)
        for batch in range(grid.shape[1])
        for depth in range(1, grid.shape[2])
    ]
    return float(np.mean(by_batch)), float(np.mean(by_width))


def regrets(grid: NDArray[np.float64], axes: dict[str, NDArray[np.float64]]) -> Iterator[list[float]]:
    """Yield, for batches four times as large or small: accuracy with the rate kept, moved, and so on as in COLUMNS."""
    rng, rates, sizes = np.random.default_rng(0), axes["learning_rate_init"], axes["batch_size"]
    shape = [grid.shape[k] for k in (0, 2, 3, 4)]
    for _ in range(REPEATS):
        before = int(rng.integers(0, len(sizes) - FACTOR))
        after = before + FACTOR
        if rng.random() < 0.5:
            before, after = after, before
        alpha, depth, rate, width = rng.integers(0, shape, size=(TRIED, 4)).T
        first = int(np.argmax(grid[alpha, before, depth, rate, width]))
        line = grid[alpha[first], after, depth[first], :, width[first]]
        then, now = (Fingerprint(batch_size=int(sizes[place]), optimizer="adam") for place in (before, after))
        (change,) = changes_between(then, now)
        centre = rates[rate[first]] * change.learning_rate
        near = centre * change.width ** np.linspace(-1.0, 1.0, 5)
        places = [int(np.abs(np.log(rates / value)).argmin()) for value in (centre, *near)]
        fresh = rng.integers(0, shape, size=(5, 4)).T
        again = grid[fresh[0], after, fresh[1], fresh[2], fresh[3]].max()
        yield [line[rate[first]], line[places[0]], line[places[1:]].max(), line.max(), again]


def alarms() -> Iterator[list[Any]]:
    """Yield, for real data sets, how often halves of them are told apart, and whether real changes are found."""
    from sklearn import datasets

    loaders = {"digits": datasets.load_digits, "breast cancer": datasets.load_breast_cancer, "wine": datasets.load_wine}
    for name, load in loaders.items():
        x, y = load(return_X_y=True)
        rng, found = np.random.default_rng(0), 0
        changed = {
            "one column + 1 sd": lambda x, k: x + np.eye(x.shape[1])[k] * x.std(axis=0),
            "all columns x 2": lambda x, k: 2.0 * x,
        }
        hits = dict.fromkeys(changed, 0)
        for _ in range(SPLITS):
            order, k = rng.permutation(len(x)), int(rng.integers(x.shape[1]))
            one, other = order[: len(x) // 2], order[len(x) // 2 :]
            then = tw.fingerprint((x[one], y[one]))
            found += asks(then, tw.fingerprint((x[other], y[other])))
            for what, change in changed.items():
                hits[what] += asks(then, tw.fingerprint((change(x, k)[other], y[other])))
        yield [name, len(x) // 2, f"{found} %", *(f"{count} %" for count in hits.values())]


def asks(then: Fingerprint, now: Fingerprint) -> bool:
    """Return whether anything is to be tuned again because of the data; the halves may differ by one example."""
    return any(change.verdict != "keep" for change in changes_between(then, now))


def page() -> str:
    """Return the page."""
    lines = [
        RATES.format(tried=TRIED, repeats=REPEATS),
        f"| {' | '.join(COLUMNS)} |",
        f"| --- |{' ---: |' * (len(COLUMNS) - 1)}",
    ]
    for task in TASKS:
        grid, axes = accuracies(task)
        values = [*powers(grid, axes), *np.mean(list(regrets(grid, axes)), axis=0)]
        shown = [f"{value:.2f}" for value in values[:2]] + [f"{value:.4f}" for value in values[2:]]
        lines.append(f"| {' | '.join([task, *shown])} |")
    lines += [ALARMS.format(splits=SPLITS), *(f"| {' | '.join(map(str, row))} |" for row in alarms())]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.retuning", description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--quick", action="store_true", help="write to build/")
    folder = SCRATCH if parser.parse_args().quick else RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    text = page()
    (folder / "retuning.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()

"""Which trainings there are: a grid of learning rates first, then every fault at the best of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.diagnosis.families import FAMILIES
from benchmarks.diagnosis.training import Run

RATES = {"sgd": 10.0 ** np.arange(-3.5, 0.51, 0.5), "adamw": 10.0 ** np.arange(-4.5, -0.99, 0.5)}
WIDE = {
    "sgd": 10.0 ** np.arange(-4.0, 1.01, 0.5),
    "adamw": 10.0 ** np.arange(-5.0, 0.01, 0.5),
    "adam": 10.0 ** np.arange(-5.0, 0.01, 0.5),
    "rmsprop": 10.0 ** np.arange(-5.5, -0.49, 0.5),
}
"""Of the families with circumstances of their own."""
CHEAP = ("mlp", "bag", "regression")  # these are trained under both optimizers
UNDER_SGD = ("cnn/mnist", "cnn_bn/cifar", "cnn_bn/mnist")
FACTORS = np.array([0.001, 0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0, 1000.0])
FAR_TOO_HIGH = ((1, 30.0), (1, 100.0), (2, 300.0), (2, 1000.0))  # seed and factor
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "": {},
    "brief": {"steps": 120, "reports": 10, "cosine": True, "dropout": 0.0},
    "small": {"steps": 240, "reports": 8, "rows": 0.3, "batch_size": 32, "dropout": 0.3},
    "staircase": {"reports": 18, "staircase": True},
}
"""The circumstances that trainings are made in beside the plain ones."""
LONG = {"steps": 1080, "reports": 54}
WITH_FAULTS = ("", "brief")
ONLY_PLAIN = ("mlp/cifar", "cnn/digits")


def setups() -> list[tuple[str, str]]:
    """Return family and optimizer of every set-up: first those that are learnt from, and of these the quick ones."""
    own = [(name, family.usual["optimizer"]) for name, family in FAMILIES.items() if family.usual]
    others = [name for name, family in FAMILIES.items() if not family.usual]
    both = [(name, o) for name in others if name.startswith(CHEAP) for o in ("sgd", "adamw")]
    one = [(name, "sgd" if name in UNDER_SGD else "adamw") for name in others if not name.startswith(CHEAP)]
    return sorted(both + one + own, key=lambda setup: FAMILIES[setup[0]].held_out)


def usual(family: str, optimizer: str, rate: float, variant: str = "") -> Run:
    """Return a training without a fault, in the circumstances of a variant."""
    run = Run(family, optimizer, float(rate), batch_size=FAMILIES[family].batch_size, variant=variant)
    longer = LONG if variant == "staircase" and family.startswith(CHEAP) else {}
    return replace(run, **{**VARIANTS[variant], **longer, **FAMILIES[family].usual})


def grid(family: str, optimizer: str, variant: str = "", rate: float = 0.0) -> list[Run]:
    """Return one training for each learning rate; those of a variant lie around the best ``rate`` of the plain grid."""
    rates = rate * FACTORS if variant else (WIDE if FAMILIES[family].usual else RATES)[optimizer]
    return [usual(family, optimizer, each, variant) for each in rates]


def ending(row: Mapping[str, Any]) -> float:
    """Return the test loss that a training ended with, a mean of three; infinite where it diverged."""
    losses = np.array(row["test_loss"][-3:], dtype=float)
    return float(losses.mean()) if np.isfinite(losses).all() and len(row["test_loss"]) > 3 else np.inf


def best_rate(rows: Sequence[Mapping[str, Any]]) -> float:
    """Return the rate of the grid that ended best."""
    return float(min(rows, key=ending)["run"]["learning_rate"])


def planned(family: str, optimizer: str, variant: str, row_of: Callable[[Run], Mapping[str, Any] | None]) -> list[Run]:
    """Return all trainings of a set-up in the circumstances of a variant; ``row_of`` tells what came of one.

    Empty where a training of a grid is missing, by which the others are chosen, and where none are planned.
    """
    if variant and (family in ONLY_PLAIN or FAMILIES[family].usual):
        return []
    rate = 0.0
    for each in dict.fromkeys(["", variant]):
        runs = grid(family, optimizer, each, rate)
        rows = [row for run in runs if (row := row_of(run)) is not None]
        if len(rows) < len(runs):
            return []
        rate = best_rate(rows)
    return [*runs, *others(family, optimizer, rate, variant)]


def others(family: str, optimizer: str, rate: float, variant: str = "") -> Iterator[Run]:
    """Yield the trainings at the best rate: without a fault, and with those that a variant has."""
    usually = usual(family, optimizer, rate, variant)
    for seed in (1, 2):
        yield replace(usually, seed=seed, purpose="healthy")
    yield replace(usually, seed=3, cosine=True, staircase=False, purpose="healthy")
    yield replace(usually, width=4.0 if family.startswith(CHEAP) else 2.0, seed=1, purpose="twin")
    if not variant:
        for seed, factor in FAR_TOO_HIGH:
            yield replace(usually, learning_rate=rate * factor, seed=seed)
    if variant in WITH_FAULTS:
        yield from faults(usually)


def faults(usually: Run) -> Iterator[Run]:
    """Yield the trainings that have each fault, and those that they are compared with."""
    rate = usually.learning_rate
    decay = 0.1 if usually.optimizer == "sgd" else 0.03 / rate
    plain = replace(usually, dropout=0.0, weight_decay=0.0, width=2.0, purpose="overfitting")
    for seed, rows in ((1, 0.04), (2, 0.1)):
        yield replace(plain, rows=rows, seed=seed)
        yield replace(plain, rows=rows, seed=seed, dropout=0.4, purpose="twin")
    yield replace(usually, width=0.05, seed=1, purpose="underfitting")
    yield replace(usually, width=0.05, seed=1, learning_rate=3.0 * rate, purpose="twin")
    yield replace(usually, dropout=0.8, seed=2, purpose="underfitting")
    yield replace(usually, weight_decay=decay, seed=3, purpose="underfitting")
    for seed, share in ((1, 0.06), (2, 0.12)):
        yield replace(usually, drop_at=share, seed=seed, purpose="plateau")
    for seed in (1, 2):
        yield replace(usually, kicks=True, seed=seed, purpose="unstable")
    for seed, rows in ((1, 12), (2, 24)):
        yield replace(usually, eval_rows=rows, seed=seed, purpose="noisy_evaluation")
    yield replace(usually, noise=1.0, seed=1, purpose="data_problem")
    yield replace(usually, noise=0.75, seed=2, purpose="data_problem")
    yield replace(usually, mislabelled=True, seed=3, purpose="data_problem")
    for seed, wiring in ((1, "frozen"), (2, "dead"), (3, "inputs")):
        yield replace(usually, wiring=wiring, seed=seed, purpose="nothing_learnt")

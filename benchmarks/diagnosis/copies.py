"""Copies of a training as other people would have reported it: the examples that the judge is learnt on.

One training is many examples: some of its curves, some of its steps, every second or third report, hyperparameters
told or not, a loss that is a multiple of the cross-entropy. What a copy lacks is drawn from a generator that its
training's key seeds.
"""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.diagnosis.labels import Row
from benchmarks.diagnosis.record import run_of
from benchmarks.diagnosis.training import Run
from tunewell.analysis.diagnosis.curves import ROLES, Curves, Role
from tunewell.analysis.diagnosis.diagnosing import FEWEST
from tunewell.analysis.diagnosis.judge import PATTERNS, STAGES, told
from tunewell.analysis.diagnosis.thinning import fewer

SHARES = (0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0)
REPORTED: Mapping[str, Sequence[Role]] = dict(PATTERNS) | {"plain": ("train_loss", "val_loss")}
OFTEN = {"all": 0.35, "losses": 0.25, "plain": 0.12, "training": 0.1, "validation": 0.12, "accuracy": 0.06}
EVERY = {1: 0.5, 2: 0.25, 3: 0.15, 4: 0.1}
WHOLE, SCALED, LIFTED = 0.5, 0.15, 0.15
"""How often a copy has all steps, how often its losses are multiples, and how often they lie higher, as those do that
hold a penalty or cannot come near 0.
"""
UNTOLD = {(): 0.65, ("train_accuracy",): 0.1, ("train_accuracy", "val_accuracy"): 0.25}
"""How often a copy lacks accuracies: then it is as those of numbers foretold."""


@dataclass(frozen=True)
class Copy:
    """What a copy of a training has: curves, a share of its steps, every so many reports, and hyperparameters.

    ``told`` is 0 for no hyperparameters, 1 for those of :func:`params_of`, 2 for these and the optimizer. Losses are
    multiplied by ``scale``, and ``lift`` times the first of them is added. ``untold`` are curves that it lacks of those
    of its pattern.
    """

    pattern: str = "all"
    share: float = 1.0
    every: int = 1
    told: int = 1
    scale: float = 1.0
    lift: float = 0.0
    untold: tuple[str, ...] = ()


def params_of(run: Run) -> dict[str, Any]:
    """Return the hyperparameters under the names that users give them."""
    return {"lr": run.learning_rate, "weight_decay": run.weight_decay, "dropout": run.dropout}


def curves_of(row: Row, roles: Sequence[str] = ROLES, share: float = 1.0) -> Curves:
    """Return the curves of a training as a user would have reported them, up to a share of its steps."""
    whole = run_of(row).reports
    n = min(len(row["train_loss"]), math.ceil(share * whole))
    given = {role: row[role][:n] for role in roles if role.endswith("loss") or not np.isnan(row[role]).all()}
    return Curves.of(total=whole, **given)


def features_of(row: Row, copy: Copy) -> dict[str, float]:
    """Return what the judge sees of a copy; of validation losses where there is no accuracy to be told alone."""
    run = run_of(row)
    pattern = copy.pattern
    if pattern == "accuracy" and np.isnan(row["val_accuracy"]).all():
        pattern = "validation"
    roles = [role for role in REPORTED[pattern] if role not in copy.untold or pattern == "accuracy"]
    curves = fewer(curves_of(row, roles, copy.share), copy.every)
    if copy.scale != 1.0 or copy.lift:
        lift = copy.lift * abs(row["train_loss"][0])
        losses = {role: copy.scale * (one + lift) for role, one in curves.known.items() if role.endswith("loss")}
        curves = replace(curves, **losses)
    params = params_of(run) if copy.told else {}
    return told(curves, params | ({"optimizer": run.optimizer} if copy.told == 2 else {}))


def plain_copies() -> list[Copy]:
    """Return the copies that thresholds are chosen by: every set of curves at every stage, with values and without."""
    return [Copy(pattern, stage, told=told) for pattern, stage, told in itertools.product(REPORTED, STAGES, (0, 1))]


def drawn_copies(row: Row, n: int) -> Iterator[Copy]:
    """Yield ``n`` copies of a training, drawn at random."""
    run = run_of(row)
    rng = np.random.default_rng(zlib.crc32(run.key.encode()))
    for _ in range(n):
        share = 1.0 if rng.random() < WHOLE else float(rng.choice(SHARES))
        every = int(rng.choice(list(EVERY), p=list(EVERY.values())))
        yield Copy(
            str(rng.choice(list(OFTEN), p=list(OFTEN.values()))),
            share,
            max(1, min(every, int(run.reports * share / FEWEST))),
            int(rng.integers(3)),
            float(np.exp(rng.uniform(-1.0, 1.0))) if rng.random() < SCALED else 1.0,
            float(np.exp(rng.uniform(-3.0, 0.0))) if rng.random() < LIFTED else 0.0,
            list(UNTOLD)[rng.choice(len(UNTOLD), p=list(UNTOLD.values()))],
        )

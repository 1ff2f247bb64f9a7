"""Learn what the diagnosis knows: ``python -m benchmarks.diagnosis.learn`` writes ``analysis/diagnosis/judge.json``.

Learnt is from the families that are not held out. How strongly weights are held down is fixed; the temperature, and how
improbable health has to be before a fault is named, are chosen on families left out in turn: as probable as it can be
with at most one healthy training in a hundred called ill.
"""

from __future__ import annotations

import collections
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar
from scipy.special import logsumexp

import tunewell.analysis.diagnosis as home
from benchmarks.diagnosis.families import FAMILIES
from benchmarks.diagnosis.labels import Row, labelled
from benchmarks.diagnosis.plan import setups
from benchmarks.diagnosis.record import recorded, run_of
from tunewell.analysis.diagnosis.curves import ROLES, Curves
from tunewell.analysis.diagnosis.judge import PATTERNS, STAGES, Model, told

RIDGE = 1.5  # sum of squares of the weights, in labelled trainings
FALSE_ALARMS = 0.01
UNUSED = ("accuracy", "train_accuracy", "accuracy_gained", "train_accuracy_gained",
          "spike", "spike_log", "val_spike", "val_spike_log")  # fmt: skip
LAST = "nothing_learnt"  # what is trained last in a set-up
Array = NDArray[np.float64]


def set_of(rows: dict[str, Row]) -> list[tuple[Row, str]]:
    """Return all trainings with a confirmed label."""
    by: dict[tuple[str, str], list[Row]] = collections.defaultdict(list)
    for row in rows.values():
        by[run_of(row).family, run_of(row).optimizer].append(row)
    whole = [setup for setup in setups() if any(run_of(row).purpose == LAST for row in by[setup])]
    found = [pair for setup in whole for pair in labelled(by[setup])]
    return [(row, label) for row, label in found if label is not None]


def curves_of(row: Row, roles: Sequence[str] = ROLES, share: float = 1.0, total: bool = True) -> Curves:
    """Return the curves of a training as a user would have reported them, up to a share of its steps."""
    whole = 24
    n = min(len(row["train_loss"]), math.ceil(share * whole))
    given = {role: row[role][:n] for role in roles if role.endswith("loss") or not np.isnan(row[role]).all()}
    return Curves.of(total=whole if total else None, **given)


def features_of(row: Row, pattern: str, stage: float) -> dict[str, float]:
    """Return what a model of a set of curves and a stage sees of a training; nothing where it lacks these curves."""
    if all(np.isnan(row[role]).all() for role in PATTERNS[pattern]):
        return {}
    return told(curves_of(row, PATTERNS[pattern], stage), run_of(row).dropout)


def matrix(found: Sequence[dict[str, float]], unused: Sequence[str] = UNUSED) -> tuple[list[str], Array]:
    """Return the features that are known of at least a fifth, and their values, shape ``(n, d)``, NaN where unknown.

    Levels of accuracy are the data's, not the training's, and single spikes belong to the data as well: models with
    them do worse on families left out.
    """
    names = [n for n in max(found, key=len) if n not in unused]
    names = [n for n in names if np.mean([math.isfinite(one.get(n, math.nan)) for one in found]) >= 0.2]
    values = np.array([[one.get(name, math.nan) for name in names] for one in found])
    keep = np.nanstd(values, axis=0) > 1e-9
    return [name for name, kept in zip(names, keep, strict=True) if kept], values[:, keep]


def fitted(names: list[str], x: Array, wanted: NDArray[np.int64], labels: list[str]) -> Model:
    """Return the regression, its temperature 1 and no threshold."""
    mean, scale = np.nanmean(x, axis=0), np.nanstd(x, axis=0)
    blank = Model(
        tuple(labels), tuple(names), mean, np.where(scale > 0, scale, 1.0), np.empty(0), np.empty(0), 1.0, 0.0
    )
    z = np.array([blank.standard(dict(zip(names, row, strict=True))) for row in x])
    d, k = z.shape[1], len(labels)
    chosen = np.eye(k)[wanted]

    def cost(flat: Array) -> tuple[float, Array]:
        weights, offsets = flat[: k * d].reshape(k, d), flat[k * d :]
        scores = z @ weights.T + offsets
        logs = scores - logsumexp(scores, axis=1, keepdims=True)
        error = np.exp(logs) - chosen
        value = -float((chosen * logs).sum()) + 0.5 * RIDGE * float((weights**2).sum())
        return value, np.concatenate([(error.T @ z + RIDGE * weights).ravel(), error.sum(axis=0)])

    best = minimize(cost, np.zeros(k * d + k), jac=True, method="L-BFGS-B", options={"maxiter": 2000})
    weights, offsets = best.x[: k * d].reshape(k, d), best.x[k * d :]
    return Model(blank.labels, blank.names, blank.mean, blank.scale, weights, offsets, 1.0, 0.0)


def left_out(names: list[str], x: Array, wanted: NDArray[np.int64], labels: list[str], groups: Sequence[str]) -> Array:
    """Return the scores of each training from the models that know nothing of its family, shape ``(n, labels)``."""
    scores = np.zeros((len(x), len(labels)))
    for group in dict.fromkeys(groups):
        out = np.array([other == group for other in groups])
        model = fitted(names, x[~out], wanted[~out], labels)
        z = np.array([model.standard(dict(zip(names, row, strict=True))) for row in x[out]])
        scores[out] = z @ model.weights.T + model.offsets
    return scores


def temperature(scores: Array, wanted: NDArray[np.int64]) -> float:
    """Return the temperature that makes the labels most probable."""
    rows = np.arange(len(wanted))

    def cost(log: float) -> float:
        logs = scores / math.exp(log)
        return float((logsumexp(logs, axis=1) - logs[rows, wanted]).mean())

    return float(math.exp(minimize_scalar(cost, bounds=(-1.5, 2.0), method="bounded").x))


def threshold(shares: Array, wanted: NDArray[np.int64], healthy: int) -> float:
    """Return how improbable health must be for a fault to be named: so few healthy ones are called ill."""
    well = np.sort(shares[wanted == healthy, healthy])
    return float(min(0.5, well[int(FALSE_ALARMS * len(well))]) * 0.98)


def learn(known: Sequence[tuple[Row, str]]) -> dict[str, Any]:
    """Return everything that is stored."""
    kept = [(r, label) for r, label in known if not FAMILIES[run_of(r).family].held_out and _finite(r)]
    labels = sorted({label for _, label in kept})
    groups = [run_of(row).family for row, _ in kept]
    wanted = np.array([labels.index(label) for _, label in kept])
    models = []
    for pattern in PATTERNS:
        for stage in STAGES:
            found = [features_of(row, pattern, stage) for row, _ in kept]
            names, x = matrix(found, () if pattern == "accuracy" else UNUSED)
            enough = np.isfinite(x).any(axis=1)  # a training that broke off at once is no matter of features
            x, some = x[enough], wanted[enough]
            scores = left_out(names, x, some, labels, [g for g, e in zip(groups, enough, strict=True) if e])
            heat = temperature(scores, some)
            shares = np.exp(scores / heat - logsumexp(scores / heat, axis=1, keepdims=True))
            bar = threshold(shares, some, labels.index("healthy"))
            well = labels.index("healthy")
            ill = np.where(np.arange(len(labels)) == well, -1.0, shares).argmax(axis=1)
            right = float(np.mean(np.where(shares[:, well] >= bar, well, ill) == some))
            quality = f"{right:.1%} of {len(some)} right in families left out"
            print(f"{pattern} {stage:g}: {quality}, temperature {heat:.2f}, threshold {bar:.2f}", flush=True)
            model = fitted(names, x, some, labels)
            models.append(
                {
                    "curves": pattern,
                    "stage": stage,
                    "temperature": round(heat, 3),
                    "threshold": round(bar, 3),
                    "names": list(model.names),
                    "mean": _short(model.mean),
                    "scale": _short(model.scale),
                    "offsets": _short(model.offsets),
                    "weights": [_short(row) for row in model.weights],
                }
            )
    about = (
        f"Logistic regressions on {len(kept)} labelled trainings of {len(set(groups))} families; "
        "written by python -m benchmarks.diagnosis.learn, read by tunewell/analysis/diagnosis/judge.py."
    )
    return {"about": about, "labels": labels, "models": models}


def _finite(row: Row) -> bool:
    """Whether all losses are finite; a diagnosis needs no model where they are not."""
    return bool(np.isfinite(row["train_loss"] + row["val_loss"]).all())


def _short(values: Array) -> list[float]:
    return [float(f"{value:.3g}") for value in values]


def main() -> None:
    """Learn and write."""
    path = Path(home.__file__).parent / "judge.json"
    text = json.dumps(learn(set_of(recorded())), separators=(",", ":"))
    path.write_text(text.replace('{"curves"', '\n{"curves"') + "\n", encoding="utf-8")
    print(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()

"""Learn what the diagnosis knows: ``python -m benchmarks.diagnosis.learn`` writes ``analysis/diagnosis/judge.json``.

Learnt is from the families that are not held out, on copies of their trainings (see ``copies.py``), with PyTorch. The
temperature, and how improbable health has to be before a fault is named, are chosen on families left out in turn,
all of one data set together: as probable as it can be with four healthy trainings in a hundred called ill.
``--check`` stops there, and writes nothing. It takes about fifteen minutes.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp, softmax
from torch import nn

import tunewell.analysis.diagnosis as home
from benchmarks.diagnosis.copies import Copy, drawn_copies, features_of, plain_copies
from benchmarks.diagnosis.families import FAMILIES
from benchmarks.diagnosis.labels import Row, labelled
from benchmarks.diagnosis.plan import VARIANTS, planned, setups
from benchmarks.diagnosis.record import recorded, run_of
from tunewell.analysis.diagnosis import configuration, course, features
from tunewell.analysis.diagnosis.diagnosing import FEWEST
from tunewell.analysis.diagnosis.judge import LIKE_HEALTH, PATTERNS, STAGES, TELLING, inputs

FALSE_ALARMS = {False: 0.0133, True: 0.0267}
"""How many healthy trainings of families left out may be called ill, by whether health looks like such a fault. Half of
the families have few rows, where health is hard to tell: of the others these are some two in a hundred.
"""
MOST = 0.5
"""Health is never called improbable above this."""
FOLDS = 5
COPIES = 12
UNITS, MEMBERS, EPOCHS = 128, 4, 12
RATE, DECAY, HIDDEN_DROPOUT, INPUT_DROPOUT, SMOOTHING, BATCH = 3e-3, 0.1, 0.2, 0.1, 0.02, 256
CURVE_KNOWN = ("fallen", "val_fallen", "accuracy_lost")
UNUSED = ("accuracy", "train_accuracy", "accuracy_gained", "train_accuracy_gained", "improved")
"""Levels of accuracy are the data's, not the training's; what has improved is only for the advice."""
NAMES = tuple(name for name in (*features.NAMES, *course.NAMES, *configuration.NAMES, "share") if name not in UNUSED)
Array = NDArray[np.float64]
Labelled = Sequence[tuple[Row, str]]


def set_of(rows: Mapping[str, Row]) -> list[tuple[Row, str]]:
    """Return all trainings with a confirmed label."""
    found: list[tuple[Row, str | None]] = []
    for variant, (family, optimizer) in itertools.product(VARIANTS, setups()):
        runs = planned(family, optimizer, variant, lambda run: rows.get(run.key))
        if runs and all(run.key in rows for run in runs):
            found += labelled([_for(run.purpose, rows[run.key]) for run in runs])
    return [(row, label) for row, label in found if label is not None]


def _for(purpose: str, row: Row) -> Row:
    """Return a row as it was planned, where the same training was made for something else first."""
    return {**row, "run": {**row["run"], "purpose": purpose}}


def examples(known: Labelled, copies: int) -> Array:
    """Return the features of the plain copies and then of some drawn ones, shape ``(n, copies, features)``."""
    plain = plain_copies()

    def one(row: Row, copy: Copy) -> list[float]:
        found = features_of(row, copy)
        return [found.get(name, math.nan) for name in NAMES]

    return np.array([[one(row, copy) for copy in (*plain, *drawn_copies(row, copies))] for row, _ in known])


def judged(x: Array) -> NDArray[np.bool_]:
    """Return which examples have enough reports to be judged, by their features, shape ``(n, copies)``."""
    known = np.isfinite(x[..., [NAMES.index(name) for name in CURVE_KNOWN]])
    return np.asarray(known.any(axis=-1), dtype=np.bool_)


def fitted(z: Array, wanted: NDArray[np.int64], labels: int, seed: int) -> nn.Sequential:
    """Return a network that is trained on what it sees of examples, shape ``(n, d)``, and their labels, ``(n,)``."""
    torch.manual_seed(seed)
    x, y = torch.tensor(z, dtype=torch.float32), torch.tensor(wanted)
    hidden = nn.Linear(x.shape[1], UNITS), nn.Tanh(), nn.Dropout(HIDDEN_DROPOUT)
    net = nn.Sequential(nn.Dropout(INPUT_DROPOUT), *hidden, nn.Linear(UNITS, labels))
    optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=DECAY)
    steps = EPOCHS * (len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for step in range(steps):
        place = step % (len(x) // BATCH) * BATCH
        if place == 0:
            order = torch.randperm(len(x))
        rows = order[place : place + BATCH]
        optimizer.zero_grad()
        torch.autograd.backward(nn.functional.cross_entropy(net(x[rows]), y[rows], label_smoothing=SMOOTHING))
        optimizer.step()
        schedule.step()
    return net.eval()


def scores_of(nets: Sequence[nn.Sequential], z: Array) -> Array:
    """Return the scores of each network, shape ``(members, ..., labels)``."""
    with torch.no_grad():
        return np.array([net(torch.tensor(z, dtype=torch.float32)).numpy().astype(float) for net in nets])


def standard(x: Array) -> tuple[Array, Array]:
    """Return mean and standard deviation of each feature, where it is known."""
    flat = x.reshape(-1, x.shape[-1])
    return np.nanmean(flat, axis=0), np.maximum(np.nanstd(flat, axis=0), 1e-9)


def networks(x: Array, wanted: NDArray[np.int64], labels: int, mean: Array, scale: Array) -> list[nn.Sequential]:
    """Return the members, trained on all copies that can be judged, shape ``(n, copies, features)``."""
    there = judged(x)
    z = inputs(x[there], NAMES, mean, scale)
    truth = np.repeat(wanted[:, None], there.shape[1], axis=1)[there]
    return [fitted(z, truth, labels, seed) for seed in range(MEMBERS)]


def left_out(x: Array, wanted: NDArray[np.int64], labels: int, families: Sequence[str], plain: int) -> Array:
    """Return the scores of the plain copies by networks that know nothing of their families, nor of their data."""
    sets = list(dict.fromkeys(family.partition("/")[2] for family in families))
    fold = np.array([sets.index(family.partition("/")[2]) % FOLDS for family in families])
    scores = np.zeros((MEMBERS, len(x), plain, labels))
    for k in range(FOLDS):
        out = fold == k
        mean, scale = standard(x[~out])
        nets = networks(x[~out], wanted[~out], labels, mean, scale)
        scores[:, out] = scores_of(nets, inputs(x[out, :plain], NAMES, mean, scale))
    return scores


def temperature(scores: Array, wanted: NDArray[np.int64]) -> float:
    """Return the temperature that makes the labels most probable; scores of shape ``(members, n, labels)``."""
    rows = np.arange(len(wanted))

    def cost(log: float) -> float:
        logs = scores / math.exp(log)
        logs = logs - logsumexp(logs, axis=2, keepdims=True)
        return -float(logsumexp(logs[:, rows, wanted], axis=0).mean())

    return float(math.exp(minimize_scalar(cost, bounds=(-1.5, 2.0), method="bounded").x))


def named(shares: Array, bars: Array, healthy: int) -> NDArray[np.int64]:
    """Return which label is named, -1 where nothing is certain: the rule of ``diagnosing.py``.

    ``bars`` is how improbable health has to be for each label, shape ``(labels,)``.
    """
    best, ill = shares.argmax(axis=1), worst(shares, healthy)
    return np.where(shares[:, healthy] < bars[ill], ill, np.where(best == healthy, healthy, -1))


def worst(shares: Array, healthy: int) -> NDArray[np.int64]:
    """Return the most probable fault of each example."""
    return np.asarray(np.where(np.arange(shares.shape[1]) == healthy, -1.0, shares).argmax(axis=1))


def threshold(health: Array, count: int, share: float) -> float:
    """Return how improbable health must be for a fault to be named, so that few healthy trainings are called ill.

    Args:
        health: how probable it is in the healthy trainings that such a fault could be named of, shape ``(n,)``.
        count: how many healthy trainings there are.
        share: how many of these may be called ill.
    """
    place = int(share * count)
    return float(min(MOST, np.sort(health)[place] if place < len(health) else MOST) * 0.98)


def thresholds(
    shares: Array, there: NDArray[np.bool_], wanted: NDArray[np.int64], labels: Sequence[str]
) -> dict[str, dict[str, list[float]]]:
    """Return both thresholds of each set of curves and stage, and print how good they are; shares of the plain copies.

    ``there`` says which of them can be judged.
    """
    copies, well = plain_copies(), list(labels).index("healthy")
    like = np.isin(labels, LIKE_HEALTH)
    found: dict[str, dict[str, list[float]]] = {pattern: {} for pattern in PATTERNS}
    for pattern, stage in itertools.product(PATTERNS, STAGES):
        same = (pattern, "plain") if pattern == "losses" else (pattern,)
        places = [k for k, copy in enumerate(copies) if copy.pattern in same and copy.share == stage]
        known = there[:, places]
        part, truth = shares[:, places][known], np.repeat(wanted[:, None], len(places), axis=1)[known]
        healthy = truth == well
        alike = like[worst(part, well)]
        both = [
            threshold(part[healthy & (alike == of), well], int(healthy.sum()), FALSE_ALARMS[of]) for of in (False, True)
        ]
        found[pattern][f"{stage:g}"] = [round(bar, 4) for bar in both]
        said = named(part, np.where(like, both[True], both[False]), well)
        alarms = np.mean((said[truth == well] >= 0) & (said[truth == well] != well))
        print(f"{pattern} {stage:g}: {np.mean(said == truth):.1%} of {len(truth)} right in families left out, "
              f"{alarms:.1%} false alarms, {np.mean(said < 0):.1%} uncertain, "
              f"{np.mean(said[truth != well] == well):.1%} of the ill called healthy, "
              f"most probable {np.mean(part.argmax(axis=1) == truth):.1%}, thresholds {both[0]:.3f} and {both[1]:.3f}",
              flush=True)  # fmt: skip
    return found


def learn(known: Labelled, check: bool = False) -> dict[str, Any]:
    """Return everything that is stored."""
    kept = [(r, label) for r, label in known if not FAMILIES[run_of(r).family].held_out and _enough(r)]
    labels = sorted({label for _, label in kept})
    families = [run_of(row).family for row, _ in kept]
    wanted = np.array([labels.index(label) for _, label in kept])
    x, plain = examples(kept, COPIES), len(plain_copies())
    print(f"{len(kept)} trainings, {x.shape[1]} copies of each, {len(NAMES)} features", flush=True)
    scores = left_out(x, wanted, len(labels), families, plain)
    there = judged(x[:, :plain])
    heat = temperature(scores[:, there], np.repeat(wanted[:, None], plain, axis=1)[there])
    bars = thresholds(softmax(scores / heat, axis=3).mean(axis=0), there, wanted, labels)
    if check:
        return {}
    mean, scale = standard(x)
    members = []
    for net in networks(x, wanted, len(labels), mean, scale):
        first, last = (layer for layer in net if isinstance(layer, nn.Linear))
        values = {"hidden": first.weight, "hidden_offsets": first.bias, "out": last.weight, "out_offsets": last.bias}
        members.append({name: (1000.0 * value.detach()).round().int().tolist() for name, value in values.items()})
    about = (
        f"Networks learnt from {len(kept)} labelled trainings of {len(set(families))} families; "
        "written by python -m benchmarks.diagnosis.learn, read by tunewell/analysis/diagnosis/judge.py."
    )
    return {"about": about, "labels": labels, "names": list(NAMES), "telling": list(TELLING), "mean": _short(mean),
            "scale": _short(scale), "temperature": round(heat, 3), "thresholds": bars, "members": members}  # fmt: skip


def _enough(row: Row) -> bool:
    """Whether all losses are finite and there are enough of them; a diagnosis needs no judge where they are not."""
    return bool(np.isfinite(row["train_loss"] + row["val_loss"]).all()) and len(row["train_loss"]) >= FEWEST


def _short(values: Any) -> Any:
    """Return three significant digits of each number, in nested lists."""
    return [_short(part) for part in values] if np.ndim(values) else float(f"{float(values):.3g}")


def main() -> None:
    """Learn and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.diagnosis.learn")
    parser.add_argument("--check", action="store_true", help="only measure on families left out; write nothing")
    given = parser.parse_args()
    torch.set_num_threads(1)
    stored = learn(set_of(recorded()), given.check)
    if given.check:
        return
    path = Path(home.__file__).parent / "judge.json"
    text = json.dumps(stored, separators=(",", ":"))
    path.write_text(text.replace('{"hidden"', '\n{"hidden"') + "\n", encoding="utf-8")
    print(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()

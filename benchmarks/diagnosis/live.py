"""Is it safe to end trials early? The rule of ``analysis/diagnosis/explosion.py`` on all recorded learning curves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks._common import markdown
from benchmarks.fidelity.record import RECORDED
from benchmarks.search import tables
from tunewell.analysis.diagnosis.explosion import FACTOR, UNSURE, collapsed, exploded

TEXT = """By default a study ends a trial whose curve is plainly beyond hope. The rule is asked at every report of
every recorded training: the small networks of `fidelity/recorded`, and with `TUNEWELL_TABLES` those of TaskSet and
DeepOBS. An alarm is harmless unless the training would have become a good
one: among the best half (or quarter) of its task by its best value after the alarm."""


@dataclass(frozen=True)
class Alarms:
    """What the rule did to the curves of one kind."""

    curves: int
    steps: int
    alarms: int
    saved: int
    recovered: int
    half: int
    quarter: int


def curves() -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield source, kind (``"train"``, ``"val"``, ``"accuracy"``) and the curves of one task, shape ``(n, steps)``."""
    for path in sorted(RECORDED.glob("*.npz")):
        with np.load(path) as stored:
            for kind, name in (("train", "train_loss"), ("val", "val_loss"), ("accuracy", "val_accuracy")):
                yield "small networks", kind, stored[name].astype(float)
    home = tables.folder()
    names = {"train_loss": "train", "train_losses": "train", "valid_loss": "val", "test_losses": "val"}
    names |= {"test_accuracies": "accuracy"}
    for file, source in (("taskset.npz", "TaskSet"), ("deepobs_lr_grids.npz", "DeepOBS")) if home else ():
        for name, values in tables.load(home, file).items():
            kind = names.get(name.rpartition("/")[2])
            if kind is not None:
                yield source, kind, values.astype(float)


def alarm(values: np.ndarray, kind: str) -> int | None:
    """Return after how many reports a training is ended by the rule, None where it is not."""
    for n in range(1, len(values) + 1):
        if not np.isfinite(values[n - 1]):
            return None  # a study ends it for that
        seen: Sequence[float] = values[:n].tolist()
        said = (
            collapsed("", seen) if kind == "accuracy" else exploded("", seen, FACTOR * (UNSURE if kind == "val" else 1))
        )
        if said:
            return n
    return None


def judged(kind: str, all_curves: np.ndarray) -> Alarms:
    """Return what the rule does to the curves of one task."""
    losses = -all_curves if kind == "accuracy" else all_curves
    best = np.array([np.nanmin(row) if np.isfinite(row).any() else np.inf for row in losses])
    half, quarter = np.quantile(best, [0.5, 0.25], method="lower")
    counts = dict.fromkeys(("alarms", "saved", "recovered", "half", "quarter"), 0)
    for row, values in zip(losses, all_curves, strict=True):
        at = alarm(values, kind)
        if at is None:
            continue
        later = np.where(np.isfinite(row[at:]), row[at:], np.inf)
        reached = float(later.min(initial=np.inf))
        counts["alarms"] += 1
        counts["saved"] += int(np.isfinite(row[at:]).sum())
        counts["recovered"] += reached < row[:at].min()
        counts["half"] += reached < half
        counts["quarter"] += reached < quarter
    return Alarms(len(losses), int(np.isfinite(losses).sum()), **counts)


def page() -> str:
    """Return the table and what it means."""
    found: dict[tuple[str, str], list[Alarms]] = {}
    for source, kind, values in curves():
        found.setdefault((source, kind), []).append(judged(kind, values))
    rows = []
    for (source, kind), parts in found.items():
        total = [sum(getattr(p, name) for p in parts) for name in ("curves", "alarms", "recovered", "half", "quarter")]
        share = sum(p.saved for p in parts) / sum(p.steps for p in parts)
        rows.append([f"{source}, {kind}", *total, f"{share:.1%}"])
    heads = ["curves", "trainings", "ended", "later a new best", "then in the best half", "quarter", "steps saved"]
    return f"{TEXT}\n\n{markdown(heads, rows)}"

"""How probable each label is, by a small model that was learnt on trainings whose faults are known.

The model is a multinomial logistic regression on standardised features,

    P(label | x) = softmax((W z + b) / T),     z_j = clip((x_j - m_j) / s_j, -4, 4),  z_j = 0 where x_j is unknown,

one for each set of curves that may be known and for each stage of a training (its first quarter, half, or all of it).
The weights lie in ``judge.json``, written by ``python -m benchmarks.diagnosis.learn`` from the families of
``benchmarks/diagnosis`` that are not held out; T is chosen so that in the families left out in turn the probabilities
are what they say (Guo et al. 2017, "On calibration of modern neural networks", equation 9).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

from tunewell.analysis.diagnosis.curves import Curves, Role
from tunewell.analysis.diagnosis.features import measured
from tunewell.analysis.diagnosis.thinning import share_of, thinned
from tunewell.scales import Floats

STAGES = (0.25, 0.5, 1.0)
"""The shares of a training after which it is judged; another share is judged as the nearest of them."""

PATTERNS: Mapping[str, tuple[Role, ...]] = {
    "all": ("train_loss", "val_loss", "train_accuracy", "val_accuracy", "grad_norm", "update_ratio", "dead_units"),
    "losses": ("train_loss", "val_loss", "train_accuracy", "val_accuracy"),
    "training": ("train_loss", "train_accuracy"),
    "validation": ("val_loss", "val_accuracy"),
    "accuracy": ("val_accuracy",),
}
"""The sets of curves that there are models for, the richest first; which accuracies are known does not matter."""

_NEEDED: Mapping[str, tuple[Role, ...]] = {
    "all": ("train_loss", "val_loss", "grad_norm", "update_ratio"),
    "losses": ("train_loss", "val_loss"),
    "training": ("train_loss",),
    "validation": ("val_loss",),
    "accuracy": ("val_accuracy",),
}
_CLIP = 4.0
USUAL_DROPOUT = 0.4


@dataclass(frozen=True)
class Model:
    """A logistic regression.

    Attributes:
        labels: the labels, one for each row of the weights.
        names: the features, one for each column.
        mean, scale: of each feature, shape ``(d,)``.
        weights: shape ``(labels, d)``.
        offsets: shape ``(labels,)``.
        temperature: what scores are divided by.
        threshold: how improbable health has to be for a fault to be named.
    """

    labels: tuple[str, ...]
    names: tuple[str, ...]
    mean: Floats
    scale: Floats
    weights: Floats
    offsets: Floats
    temperature: float
    threshold: float

    def standard(self, features: Mapping[str, float]) -> Floats:
        """Return z, shape ``(d,)``."""
        x = np.array([features.get(name, np.nan) for name in self.names])
        z = np.clip((x - self.mean) / self.scale, -_CLIP, _CLIP)
        return np.where(np.isfinite(z), z, 0.0)

    def probabilities(self, features: Mapping[str, float]) -> dict[str, float]:
        """Return the probability of each label."""
        scores = (self.weights @ self.standard(features) + self.offsets) / self.temperature
        found = np.exp(scores - scores.max())
        return {label: float(p) for label, p in zip(self.labels, found / found.sum(), strict=True)}


def pattern_of(curves: Curves) -> str:
    """Return the richest set of curves that is known, an empty string where there is none."""
    known = curves.known
    return next((name for name, needed in _NEEDED.items() if all(role in known for role in needed)), "")


def stage_of(curves: Curves) -> float:
    """Return at which stage a training is; one whose length nobody knows is taken to be over."""
    share = share_of(curves)
    return min(STAGES, key=lambda stage: abs(stage - share))


def model_of(curves: Curves) -> Model | None:
    """Return the model for what is known of a training; None where nothing is."""
    name = pattern_of(curves)
    return models()[name, stage_of(curves)] if name else None


def told(curves: Curves, dropout: float | None = None) -> dict[str, float]:
    """Return the features of a training at the judge's number of reports, see :mod:`.thinning`.

    With them goes the share of units dropped beyond a usual one, where that is known.
    """
    return measured(thinned(curves)) | {
        "dropout": float("nan") if dropout is None else max(0.0, dropout - USUAL_DROPOUT)
    }


@cache
def models() -> Mapping[tuple[str, float], Model]:
    """Return all models, by set of curves and stage."""
    stored = json.loads((files("tunewell.analysis.diagnosis") / "judge.json").read_text(encoding="utf-8"))
    return {(one["curves"], one["stage"]): read(one, stored["labels"]) for one in stored["models"]}


def read(one: Mapping[str, object], labels: list[str]) -> Model:
    """Return a model from plain data."""
    columns = {name: np.array(one[name], dtype=float) for name in ("mean", "scale", "weights", "offsets")}
    return Model(
        labels=tuple(labels),
        names=tuple(one["names"]),  # type: ignore[arg-type]
        temperature=float(one["temperature"]),  # type: ignore[arg-type]
        threshold=float(one["threshold"]),  # type: ignore[arg-type]
        **columns,
    )

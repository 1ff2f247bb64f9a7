"""How probable each label is, by a small network that was learnt on trainings whose faults are known.

The judge is the mean of a few networks with one hidden layer each (Lakshminarayanan et al. 2017, "Simple and scalable
predictive uncertainty estimation using deep ensembles"):

    P(label | x) = mean_m softmax((V_m tanh(W_m z + a_m) + b_m) / T),

    z_j = clip((x_j - mean_j) / scale_j, -4, 4), and 0 where x_j is unknown,

with the features x of :mod:`.features`, :mod:`.course` and :mod:`.configuration`, the share of its steps that a
training has taken, and whether each of :data:`TELLING` is known. One judge serves all sets of curves and all stages,
because it was learnt on copies of trainings that lack curves, reports and hyperparameters. The weights lie in
``judge.json``, in thousandths, written by ``python -m benchmarks.diagnosis.learn`` from the families of
``benchmarks/diagnosis`` that are not held out; T is chosen so that in families left out in turn the probabilities are
what they say (Guo et al. 2017, "On calibration of modern neural networks", equation 9).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from tunewell.analysis.diagnosis.configuration import configured
from tunewell.analysis.diagnosis.course import course
from tunewell.analysis.diagnosis.curves import Curves, Role
from tunewell.analysis.diagnosis.features import measured
from tunewell.analysis.diagnosis.thinning import share_of, thinned
from tunewell.scales import Floats

STAGES = (0.25, 0.5, 1.0)
"""The shares of a training for which it is known how improbable health has to be; others count as the nearest."""

PATTERNS: Mapping[str, tuple[Role, ...]] = {
    "all": ("train_loss", "val_loss", "train_accuracy", "val_accuracy", "grad_norm", "update_ratio", "dead_units"),
    "losses": ("train_loss", "val_loss", "train_accuracy", "val_accuracy"),
    "training": ("train_loss", "train_accuracy"),
    "validation": ("val_loss", "val_accuracy"),
    "accuracy": ("val_accuracy",),
}
"""The sets of curves that are told apart, the richest first; which accuracies are known does not matter."""

_NEEDED: Mapping[str, tuple[Role, ...]] = {
    "all": ("train_loss", "val_loss", "grad_norm", "update_ratio"),
    "losses": ("train_loss", "val_loss"),
    "training": ("train_loss",),
    "validation": ("val_loss",),
    "accuracy": ("val_accuracy",),
}
LIKE_HEALTH = ("rate-too-high", "rate-too-low", "plateau")
"""Faults that health looks like where data are of another kind: for them health has to be less probable."""
TELLING = ("fallen", "val_fallen", "accuracy_lost", "accuracy_gap", "update_log", "rate")
"""Features that tell by being known at all what was reported."""
_CLIP = 4.0


@dataclass(frozen=True)
class Member:
    """One network: ``hidden`` of shape ``(h, d)`` and ``hidden_offsets`` ``(h,)``; ``out`` ``(labels, h)`` and
    ``out_offsets`` ``(labels,)``.
    """

    hidden: Floats
    hidden_offsets: Floats
    out: Floats
    out_offsets: Floats


@dataclass(frozen=True)
class Judge:
    """What was learnt.

    Attributes:
        labels: the labels, in the order of the networks' answers.
        names: the features, in the order of the networks' inputs.
        mean, scale: of each feature, shape ``(len(names),)``.
        members: the networks.
        temperature: what scores are divided by.
        thresholds: how improbable health has to be for a fault to be named, by set of curves, stage and whether the
            fault is one of :data:`LIKE_HEALTH`.
    """

    labels: tuple[str, ...]
    names: tuple[str, ...]
    mean: Floats
    scale: Floats
    members: tuple[Member, ...]
    temperature: float
    thresholds: Mapping[tuple[str, float, bool], float]

    def probabilities(self, features: Mapping[str, float]) -> dict[str, float]:
        """Return the probability of each label."""
        x = np.array([features.get(name, np.nan) for name in self.names])
        z = inputs(x, self.names, self.mean, self.scale)
        found = np.zeros(len(self.labels))
        for one in self.members:
            scores = one.out @ np.tanh(one.hidden @ z + one.hidden_offsets) + one.out_offsets
            shares = np.exp((scores - scores.max()) / self.temperature)
            found += shares / shares.sum()
        return {label: float(p) for label, p in zip(self.labels, found / len(self.members), strict=True)}


def inputs(x: Floats, names: tuple[str, ...], mean: Floats, scale: Floats) -> Floats:
    """Return what the networks see of features, shape ``(..., len(names) + len(TELLING))``; NaN is unknown."""
    known = np.isfinite(x)
    z = np.where(known, np.clip((np.where(known, x, 0.0) - mean) / scale, -_CLIP, _CLIP), 0.0)
    return np.concatenate([z, known[..., [names.index(name) for name in TELLING]]], axis=-1)


def pattern_of(curves: Curves) -> str:
    """Return the richest set of curves that is known, an empty string where there is none."""
    known = curves.known
    return next((name for name, needed in _NEEDED.items() if all(role in known for role in needed)), "")


def stage_of(curves: Curves) -> float:
    """Return at which stage a training is; one whose length nobody knows is taken to be over."""
    share = share_of(curves)
    return min(STAGES, key=lambda stage: abs(stage - share))


def told(curves: Curves, params: Mapping[str, Any]) -> dict[str, float]:
    """Return the features of a training at the judge's number of reports, see :mod:`.thinning`, and of its values."""
    few = thinned(curves)
    return measured(few) | course(few) | configured(params) | {"share": share_of(curves)}


@cache
def judge() -> Judge:
    """Return the judge that is shipped."""
    return read(json.loads((files("tunewell.analysis.diagnosis") / "judge.json").read_text(encoding="utf-8")))


def read(stored: Mapping[str, Any]) -> Judge:
    """Return a judge from plain data; the members' weights are in thousandths."""
    return Judge(
        labels=tuple(stored["labels"]),
        names=tuple(stored["names"]),
        mean=np.array(stored["mean"], dtype=float),
        scale=np.array(stored["scale"], dtype=float),
        members=tuple(
            Member(**{name: np.array(values) / 1000.0 for name, values in one.items()}) for one in stored["members"]
        ),
        temperature=float(stored["temperature"]),
        thresholds={
            (pattern, float(stage), like): float(value)
            for pattern, stages in stored["thresholds"].items()
            for stage, values in stages.items()
            for like, value in zip((False, True), values, strict=True)
        },
    )

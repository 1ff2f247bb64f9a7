"""The curves of one training, and which metric is which.

Metrics are recognised by their names, as people write them: ``train_loss``, ``loss``, ``val_loss``, ``valid/acc``,
``eval.accuracy``. Case and separators do not matter. What a name does not tell can be said.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import numpy as np

from tunewell.events import Goal
from tunewell.knowledge.metrics import is_cost
from tunewell.records import TrialRecord
from tunewell.scales import Floats

Role: TypeAlias = Literal[
    "train_loss", "val_loss", "train_accuracy", "val_accuracy", "grad_norm", "update_ratio", "dead_units"
]
ROLES: tuple[Role, ...] = (
    "train_loss", "val_loss", "train_accuracy", "val_accuracy", "grad_norm", "update_ratio", "dead_units",
)  # fmt: skip

_TRAINING = {"train", "training", "tr", "fit"}
_VALIDATION = {"val", "valid", "validation", "eval", "evaluation", "dev", "test", "holdout"}
_LOSS = {
    "loss", "nll", "ce", "bce", "mse", "rmse", "mae", "error", "err", "perplexity", "ppl", "crossentropy", "deviance",
}  # fmt: skip
_PARTS = {  # of a loss: what may rise while the whole falls
    "kl", "kld", "kldiv", "value", "policy", "actor", "critic", "q", "td", "g", "d", "gen", "generator", "disc",
    "discriminator", "adv", "adversarial", "aux", "auxiliary", "commit", "commitment", "vq", "reg", "regularization",
    "regularisation", "penalty", "balance", "balancing", "router",
}  # fmt: skip
_ACCURACY = {"acc", "accuracy", "auc", "f1", "top1", "top", "precision", "recall", "bleu", "r2", "miou", "iou"}
LARGEST = 1e60
"""A loss beyond this is taken for infinite."""

_PLAIN = ("loss", "error")
_WATCHED: dict[str, Role] = {
    "grad_norm": "grad_norm", "gradient_norm": "grad_norm", "grad_norms": "grad_norm", "gnorm": "grad_norm",
    "update_ratio": "update_ratio", "update_to_weight": "update_ratio", "dead_units": "dead_units",
}  # fmt: skip


@dataclass(frozen=True)
class Curves:
    """What a training reported, one value a report; None for what was never reported.

    NaN stands where a report lacks it, infinity for what was reported and is no finite number.

    Attributes:
        steps: the step of each report, shape ``(n,)``, rising.
        train_loss, val_loss: something to minimise, shape ``(n,)``.
        train_accuracy, val_accuracy: something to maximise, shape ``(n,)``.
        grad_norm: the norm of the gradient, shape ``(n,)``.
        update_ratio: the size of an update relative to that of the weights, shape ``(n,)``.
        dead_units: the share of hidden units that are zero on every example, shape ``(n,)``.
        total: how many steps the training means to take, None when unknown.
    """

    steps: Floats
    train_loss: Floats | None = None
    val_loss: Floats | None = None
    train_accuracy: Floats | None = None
    val_accuracy: Floats | None = None
    grad_norm: Floats | None = None
    update_ratio: Floats | None = None
    dead_units: Floats | None = None
    total: int | None = None

    @classmethod
    def of(cls, total: int | None = None, steps: Sequence[float] | None = None, **given: Any) -> Curves:
        """Return the curves of plain lists, by their roles.

        Raises:
            TypeError: an unknown role.
            ValueError: nothing is given, lengths differ, or something is no list of numbers.
        """
        known: dict[str, Floats] = {}
        for name, values in given.items():
            if name not in ROLES:
                raise TypeError(f"diagnose expected curves such as train_loss= and val_loss=, got {name}=")
            if values is not None:
                known[name] = _numbers(name, values)
        if not known:
            raise ValueError("diagnose expected at least one curve, got none: give train_loss= or val_loss=")
        lengths = {name: len(values) for name, values in known.items()}
        if len(set(lengths.values())) > 1:
            said = ", ".join(f"{name} has {n}" for name, n in lengths.items())
            raise ValueError(
                f"diagnose expected curves of one length, got others: {said}; put None where one is missing"
            )
        n = next(iter(lengths.values()))
        places = np.arange(1.0, n + 1) if steps is None else _numbers("steps", steps)
        if len(places) != n:
            raise ValueError(f"diagnose expected {n} steps, one for each value, got {len(places)}")
        return cls(places, total=total, **known)

    @classmethod
    def of_trial(
        cls,
        trial: TrialRecord,
        roles: Mapping[str, str] | None = None,
        until: int | None = None,
        total: int | None = None,
    ) -> Curves:
        """Return the curves of a trial up to a step; ``roles`` says which metric is which where names do not."""
        found = dict(roles) if roles is not None else recognised(trial)
        reports = [report for report in trial.reports if until is None or report.step <= until]
        known = {role: _floats(report.metrics.get(name) for report in reports) for role, name in found.items()}
        return cls(np.array([report.step for report in reports], dtype=float), total=total, **known)

    @property
    def known(self) -> dict[Role, Floats]:
        """The curves there are, by role."""
        return {role: values for role in ROLES if (values := getattr(self, role)) is not None}

    def until(self, n: int) -> Curves:
        """Return the first n reports."""
        cut = {role: values[:n] for role, values in self.known.items()}
        return replace(self, steps=self.steps[:n], **cut)  # type: ignore[arg-type]

    def without(self, *roles: Role) -> Curves:
        """Return the curves as they would be had these roles not been reported."""
        return replace(self, **dict.fromkeys(roles))  # type: ignore[arg-type]


@lru_cache(maxsize=1000)
def role_of(name: str) -> Role | None:
    """Return what a metric is, told by its name; None for what is none of them.

    A loss without a further word is that of training; an accuracy without one is that of validation, for which people
    choose. A loss with a word that says which (``kl_loss``, ``value_loss``) is a part of the whole, and may well rise.
    """
    words = [word for word in re.split(r"[^a-z0-9]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()) if word]
    watched = _WATCHED.get("_".join(words)) or _WATCHED.get("_".join(words[-2:]))
    if watched is not None:
        return watched
    seen = set(words)
    if seen & _ACCURACY:
        return "train_accuracy" if seen & _TRAINING else "val_accuracy"
    if seen & _PARTS or ("entropy" in seen and not seen & {"cross", "binary", "categorical"}):
        return None
    if seen & _LOSS:
        return "val_loss" if seen & _VALIDATION else "train_loss"
    return None


def check_metrics(metrics: Mapping[str, str] | None, trials: Iterable[TrialRecord]) -> None:
    """Check what a user says about which metric is which; trials without a report agree with everything.

    Raises:
        ValueError: a role that there is none of, or a metric that no report of the trials has.
    """
    for role in metrics or {}:
        if role not in ROLES:
            raise ValueError(
                f"diagnose expected metrics={{role: name}} with a role of {', '.join(ROLES)}, got {role!r}"
            )
    reported = dict.fromkeys(name for t in trials for report in t.reports for name in report.metrics) if metrics else {}
    for role, name in (metrics or {}).items():
        if reported and name not in reported:
            raise ValueError(
                f"diagnose expected metrics that were reported, got {role}={name!r}; there are {', '.join(reported)}"
            )


def recognised(trial: TrialRecord) -> dict[str, str]:
    """Return the metric of each role, ``{role: name}``: the first reported of several of one role."""
    names = dict.fromkeys(name for report in trial.reports for name in report.metrics)
    return dict(roles_among(tuple(names), trial.goals))


@lru_cache(maxsize=1000)
def roles_among(names: tuple[str, ...], goals: tuple[Goal, ...]) -> Mapping[str, str]:
    """Return which of the metrics has each role, ``{role: name}``.

    Of a study's own metrics each is what its name says. One whose name says nothing is the measure of validation where
    it is the only goal, and nothing that a network takes, such as its size or its seconds.
    """
    found: dict[str, str] = {}
    for goal in goals:
        role = role_of(goal.metric)
        if role is None and (len(goals) > 1 or is_cost(goal.metric)):
            continue
        if role is None or (goal.metric in _PLAIN and not any(role_of(n) == "val_loss" for n in names)):
            role = "val_loss" if goal.mode == "min" else "val_accuracy"
        if goal.metric in names:
            found.setdefault(role, goal.metric)
    for name in names:
        role = role_of(name)
        if role is not None and name not in found.values():
            found.setdefault(role, name)
    return found


def _numbers(name: str, values: Any) -> Floats:
    """Return what a user gave as floats; raise ValueError in a sentence when it is no list of numbers."""
    shape = np.shape(values) if not isinstance(values, str) else ()
    if len(shape) != 1:
        got = f"an array of shape {shape}" if shape else f"{values!r:.60}"
        raise ValueError(f"diagnose expected {name} to be a list of numbers, got {got}")
    try:
        return _floats(values)
    except (TypeError, ValueError):
        raise ValueError(f"diagnose expected {name} to be a list of numbers, got {values!r:.60}") from None


def _floats(values: Iterable[Any]) -> Floats:
    """Return NaN for None, infinity for what is not finite or as good as that, and other numbers as they are."""

    def one(value: Any) -> float:
        if value is None:
            return math.nan
        number = float(value)
        return number if abs(number) <= LARGEST else math.inf  # NaN is not

    return np.array([one(value) for value in values])

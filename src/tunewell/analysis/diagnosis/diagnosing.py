"""From curves to a diagnosis: a certain one where losses are no numbers, else the most probable label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunewell.analysis.diagnosis.actions import Action
from tunewell.analysis.diagnosis.curves import Curves, check_metrics
from tunewell.analysis.diagnosis.explosion import exploded
from tunewell.analysis.diagnosis.features import finite, measured
from tunewell.analysis.diagnosis.guessing import guessing
from tunewell.analysis.diagnosis.judge import LIKE_HEALTH, judge, pattern_of, stage_of, told
from tunewell.analysis.diagnosis.labels import MEANINGS, Label, advised
from tunewell.analysis.diagnosis.thinning import share_of, thinned
from tunewell.analysis.diagnosis.words import best_place, evidence, has_improved, is_past
from tunewell.events import Status
from tunewell.knowledge import find
from tunewell.lint.finding import Finding
from tunewell.records import TrialRecord

FEWEST = 5
"""Fewer finite reports say nothing."""
SURE = 0.95
"""How sure it is that a loss that has exploded will not come back, see :mod:`.explosion`, or will ever move."""
ALSO = 0.25
"""A label as probable as this is named beside the main one."""
CANDIDATES, WORTH_NAMING = 3, 0.1
"""Where nothing is certain, so many labels are named at most, each as probable as this at least."""
WHOLE = 0.8
"""From this share of its steps on a training may be called healthy."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What a training suffers from, or that it looks healthy, that it is too early to say or that nothing is certain.

    Attributes:
        label: a :class:`Label`; compares equal to its name, such as ``"overfitting"``.
        confidence: how probable it is, from 0 to 1, as measured on trainings of other networks and data; of
            ``"uncertain"``, how probable the most probable label is.
        evidence: what in the curves speaks for it, in words.
        actions: what to do, the most useful first, as data; see :meth:`Action.apply`.
        parameter: the hyperparameter it is about, by its name in ``params`` where they are known; None for none.
    """

    label: Label
    confidence: float
    evidence: tuple[str, ...]
    actions: tuple[Action, ...]
    parameter: str | None = None

    @property
    def code(self) -> str:
        """The label, as a finding has it."""
        return self.label.value

    @property
    def message(self) -> str:
        """What is wrong and what speaks for it."""
        said = "; ".join(self.evidence)
        return f"{MEANINGS[self.label].words}{f': {said}' if said else ''}"

    @property
    def fix(self) -> str:
        """What to do, the first of the actions; empty where there is nothing to do."""
        return self.actions[0].words if self.actions else ""

    @property
    def finding(self) -> Finding:
        """The same as a finding, as lint has them."""
        return Finding(self.code, self.parameter, self.message, self.fix, "warning" if self.label.ill else "advice")

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        actions = [{"kind": a.kind, "role": a.role, "amount": a.amount, "words": a.words} for a in self.actions]
        return {
            "code": self.code,
            "confidence": round(self.confidence, 3),
            "parameter": self.parameter,
            "message": self.message,
            "evidence": list(self.evidence),
            "fix": self.fix,
            "actions": actions,
        }

    @property
    def headline(self) -> str:
        """The label and how sure it is, such as ``overfitting (98 % sure)``; the label alone where none is sure."""
        if self.label in (Label.TOO_EARLY, Label.UNCERTAIN):
            return self.code
        return f"{self.code} ({100 * self.confidence:.0f} % sure)"

    def __str__(self) -> str:
        return f"{self.headline}: {self.message}{f'; {self.fix}' if self.fix else ''}"


def diagnose(
    train_loss: Any = None,
    val_loss: Any = None,
    *,
    train_accuracy: Any = None,
    val_accuracy: Any = None,
    grad_norm: Any = None,
    update_ratio: Any = None,
    dead_units: Any = None,
    steps: Any = None,
    total: int | None = None,
    params: Mapping[str, Any] | None = None,
) -> list[Diagnosis]:
    """Return what a training suffers from, by its curves, the main diagnosis first; there is always one.

    Any of the curves may be missing; the more are there, the surer the answer. All have one value for each report,
    None where it lacks one; NaN and infinity are what was reported.

    Args:
        train_loss, val_loss: something that is minimised on the training and on the validation rows.
        train_accuracy, val_accuracy: something that is maximised, such as the share of right answers.
        grad_norm, update_ratio, dead_units: norm of the gradient, size of an update relative to the weights, share of
            units that are always zero.
        steps: the step of each report; 1, 2, 3, … where it is left out.
        total: how many steps the training means to take; left out, it is taken to be over.
        params: the hyperparameters, recognised by their names, such as ``{"lr": 0.1, "dropout": 0.2}``.

    Raises:
        ValueError: no curve, curves of several lengths, or no list of numbers.

    >>> diagnose(val_loss=[2.3, 1.2, float("nan")])[0].code
    'diverging'
    """
    curves = Curves.of(
        total=total,
        steps=steps,
        train_loss=train_loss,
        val_loss=val_loss,
        train_accuracy=train_accuracy,
        val_accuracy=val_accuracy,
        grad_norm=grad_norm,
        update_ratio=update_ratio,
        dead_units=dead_units,
    )
    return diagnosed(curves, params or {})


def diagnosed(curves: Curves, params: Mapping[str, Any] | None = None) -> list[Diagnosis]:
    """Return what :func:`diagnose` does, of curves that are there already."""
    params = params or {}
    features = told(curves, params)
    named = _labels(curves, features)
    if named[0][0] is Label.UNCERTAIN:
        return [_undecided(named, curves)]
    return [_made(label, confidence, curves, features, params) for label, confidence in named]


def diagnose_trial(
    trial: TrialRecord, *, metrics: Mapping[str, str] | None = None, total: int | None = None
) -> list[Diagnosis]:
    """Return what a trial suffers from, as :func:`diagnose`; ``[]`` when it has reported no curve that is known.

    Args:
        metrics: which metric is which, such as ``{"train_loss": "objective"}``, where the names do not tell.
        total: how many steps it means to train; None: what it has trained, if it is over.

    Raises:
        ValueError: ``metrics`` has an unknown role, or a metric that the trial has not reported.
    """
    check_metrics(metrics, [trial])
    return of_trial(trial, metrics, total)


def of_trial(trial: TrialRecord, metrics: Mapping[str, str] | None, total: int | None) -> list[Diagnosis]:
    """Return what :func:`diagnose_trial` does, of metrics that are checked already."""
    curves = Curves.of_trial(trial, metrics, total=total)
    found = diagnosed(curves, trial.params) if curves.known else []
    return found if any(one.label.ill for one in found) else [*diverged(trial), *found]


def diverged(trial: TrialRecord) -> list[Diagnosis]:
    """Return that a trial diverged if it ended so, whatever its curves say, which may be unknown."""
    if trial.status is not Status.DIVERGED:
        return []
    return [Diagnosis(Label.DIVERGING, 1.0, (trial.reason,), MEANINGS[Label.DIVERGING].actions)]


def _labels(curves: Curves, features: Mapping[str, float]) -> list[tuple[Label, float]]:
    """Return the labels that are named and how probable they are, the main one first.

    After "uncertain" come the candidates, the most probable first.
    """
    if _not_finite(curves):
        return [(Label.DIVERGING, 1.0)]
    train = curves.train_loss
    if train is not None and exploded("loss", list(train[np.isfinite(train)])) and not has_improved(curves):
        return [(Label.DIVERGING, SURE)]
    main = next(iter(curves.known.values()))
    if not pattern_of(curves) or int(np.isfinite(main).sum()) < FEWEST:
        return [(Label.TOO_EARLY, 1.0)]
    if curves.train_loss is not None and np.ptp(main[np.isfinite(main)]) == 0.0:  # not even by another batch
        return [(Label.NOTHING_LEARNT, SURE)]
    probable = {Label(name): p for name, p in judge().probabilities(features).items()}
    guesses = guessing(curves) if share_of(curves) >= WHOLE else ""
    odd = abs(features.get("rate", 0.0)) > 0.0
    if guesses and (odd or curves.val_accuracy is not None):  # of that there is no doubt
        rest = max(1.0 - probable[Label.HEALTHY], 1e-9)
        probable = {label: p / rest if label.ill else 0.0 for label, p in probable.items()}
    ill = sorted(((label, p) for label, p in probable.items() if label.ill), key=lambda pair: -pair[1])
    healthy = probable[Label.HEALTHY]
    faults = [ill[0], *((label, p) for label, p in ill[1:] if p >= ALSO)]
    if healthy < judge().thresholds[pattern_of(curves), stage_of(curves), ill[0][0].value in LIKE_HEALTH]:
        return faults
    if share_of(curves) < WHOLE:
        return [(Label.TOO_EARLY, healthy)]
    looks_healthy = healthy >= ill[0][1]
    if looks_healthy and not guesses:
        return [(Label.HEALTHY, healthy)]
    if guesses and not looks_healthy:
        return faults
    candidates = sorted(probable.items(), key=lambda pair: -pair[1])[:CANDIDATES]
    return [(Label.UNCERTAIN, ill[0][1]), *((label, p) for label, p in candidates if p >= WORTH_NAMING)]


def _not_finite(curves: Curves) -> bool:
    """Whether the newest loss that was reported is no finite number."""
    losses = [values for values in (curves.train_loss, curves.val_loss) if values is not None]
    told = [values[~np.isnan(values)] for values in losses]
    return any(len(values) and not np.isfinite(values[-1]) for values in told)


def _made(
    label: Label, confidence: float, curves: Curves, features: Mapping[str, float], params: Mapping[str, Any]
) -> Diagnosis:
    place = best_place(curves)
    step = int(curves.steps[place]) if place is not None and is_past(curves, place) else None
    role = MEANINGS[label].role
    named = next((name for name in params if find(name, ambiguous=True) == role), role or None)
    # Features are those of fewer reports; sentences are about the curves as they were reported.
    seen = features if thinned(curves) is curves else {**features, **measured(curves)}
    norms = finite(curves.grad_norm)
    usual_norm = None if norms is None else float(np.median(norms))
    actions = advised(label, features, step, params, usual_norm)
    return Diagnosis(label, confidence, evidence(label, curves, seen), actions, named)


def _undecided(named: Sequence[tuple[Label, float]], curves: Curves) -> Diagnosis:
    """Return a diagnosis that names the candidates, which come after "uncertain"."""
    (label, confidence), *candidates = named
    shares = ", ".join(f"{candidate} {100 * p:.0f} %" for candidate, p in candidates)
    return Diagnosis(label, confidence, (f"it may be {shares}", *evidence(label, curves, {})), ())

"""How a study or a trial stands to its constraints, in words."""

from __future__ import annotations

import math

from tunewell.history import History, TrialRecord


def why_none_is_best(history: History) -> str:
    """Return in one sentence why no trial is the best: there is no value yet, or none keeps the constraints."""
    if not any(trial.observed for trial in history.trials):
        seen = ", ".join(f"{n} {status.value}" for status, n in history.counts.items() if n) or "no trials"
        return f"the study has no trial with a value yet ({seen}): run it first"
    nearly = history.nearly_feasible
    if nearly is None:
        names = ", ".join(dict.fromkeys(rule.metric for rule in history.constraints))
        return f"no trial has told all of what the constraints are about ({names}): report it with the other metrics"
    missed = [
        f"{rule.metric} is {nearly.metric(rule.metric):g}, {amount:g} {'above' if rule.sense == '<=' else 'below'} "
        f"{rule.bound:g}"
        for rule, amount in zip(history.constraints, nearly.violations, strict=True)
        if amount > 0.0
    ]
    return f"no trial keeps the constraints yet; trial {nearly.number} comes closest: {' and '.join(missed)}"


def constrained(trial: TrialRecord) -> str:
    """Return how a trial stands to each constraint, such as ``latency_ms 23.1, 3.1 too much``; empty without any."""
    parts = []
    for rule, amount in zip(trial.constraints, trial.violations, strict=True):
        value = trial.metric(rule.metric)
        if value is None or math.isnan(amount):
            parts.append(f"{rule.metric} is not known")
        elif amount > 0.0:
            parts.append(f"{rule.metric} {value:.5g}, {amount:.5g} too {'much' if rule.sense == '<=' else 'little'}")
        else:
            parts.append(f"{rule.metric} {value:.5g}")
    return "; ".join(parts)


def feasible(trial: TrialRecord) -> str:
    """Return whether a trial keeps the constraints: ``yes``, ``no`` or ``not known``."""
    if trial.feasible:
        return "yes"
    return "no" if any(amount > 0.0 for amount in trial.violations) else "not known"

"""A study and a trial in words, for ``tunewell show``."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from typing import Any

import typer

from tunewell.analysis.standing import constrained, feasible, why_none_is_best
from tunewell.cli.output import table
from tunewell.console.lines import wished
from tunewell.console.text import (
    ago,
    best_report,
    counts,
    duration,
    goal,
    measured,
    moment,
    number,
    one_line,
    params,
    plural,
    sparkline,
    words,
)
from tunewell.history import History, TrialRecord
from tunewell.surrogate.incumbent import incumbent


def print_study(name: str, history: History) -> None:
    """Print what a study is about and how far it is."""
    _line("study", name)
    _line("goal", goal(history))
    for rule in history.constraints:
        _line("constraint", str(rule))
    _line("trials", f"{len(history.trials)}: {counts(history)}")
    best = incumbent(history) if len(history.goals) == 1 else None
    if best is not None:
        _line("best", f"{measured(history, best)} in trial {best.number}")
        _line("", params(best.params))
    elif history.constraints and any(trial.observed for trial in history.trials) and not history.pareto:
        _line("best", why_none_is_best(history))
    _line("trained", f"{plural(history.steps_done, 'step')} in {duration(history.active_seconds)}")
    _line("created", moment(history.created))
    _line("last active", moment(max(history.created, history.last_time)))
    _line("sampler", _described(history.settings.get("sampler")))
    _line("scheduler", _described(history.settings.get("scheduler")))
    _line("seed", str(history.seed))
    if history.fingerprint is not None:
        _line("fingerprint", one_line(str(history.fingerprint)))
    _line("files", str(history.files))
    for index, (parameter, law) in enumerate(history.space.items()):
        _line("space" if index == 0 else "", f"{parameter} = {law!r}")
    for config in history.queue:
        _line("first in line", params(config))
    for belief in history.beliefs:
        _line("belief", f"{params(belief.config)} ({belief.confidence} confidence)")
    for trial in history.untold:
        since = f"{moment(trial.began)}{ago(trial.began, time.time())}"
        gives_up = f"tunewell stop {shlex.quote(name)} {trial.number} gives it up"
        _line("not told yet", f"trial {trial.number}, asked for {since}: {gives_up}")
    for request in history.pending.values():
        _line("asked for", wished(request))
    for note in history.notes[-5:]:
        _line("note", (f"trial {note.trial}: " if note.trial is not None else "") + one_line(note.text))


def print_trials(history: History, trials: Sequence[TrialRecord]) -> None:
    """Print a table with one row per trial."""
    goals = [each.metric for each in history.goals]
    metrics = list(dict.fromkeys([*goals, *(rule.metric for rule in history.constraints)]))
    names = list(dict.fromkeys([*history.space, *(name for trial in trials for name in trial.params)]))
    rows = [
        [
            str(trial.number),
            words(trial.status),
            *(_value(trial.metric(metric)) for metric in metrics),
            *([feasible(trial)] if history.constraints else []),
            str(trial.step),
            duration(trial.seconds),
            sparkline([value for _, value in trial.curve(goals[0])], 12),
            *(one_line(number(trial.params[name]), 24) if name in trial.params else "" for name in names),
        ]
        for trial in trials
    ]
    right = ["trial", *metrics, "step", "time"]
    kept = ["feasible"] if history.constraints else []
    table(["trial", "status", *metrics, *kept, "step", "time", "curve", *names], rows, right=right)


def print_trial(history: History, trial: TrialRecord, *, brief: bool) -> None:
    """Print all that is known of a trial; ``brief``: only how it stands."""
    value = measured(history, trial)
    _line("trial", f"{trial.number} {words(trial.status)}{f', {value}' if value else ''}")
    if brief:
        return
    if trial.why:
        _line("why", one_line(trial.why, 1000))
    if trial.reason and trial.reason != trial.why:
        _line("reason", one_line(trial.reason, 1000))
    if trial.constraints:
        _line("feasible", f"{feasible(trial)}: {constrained(trial)}")
    for index, (name, chosen) in enumerate(trial.params.items()):
        _line("params" if index == 0 else "", f"{name} = {number(chosen)}")
    fork = f", forked from trial {trial.fork.trial} at step {trial.fork.step}" if trial.fork is not None else ""
    _line("origin", f"{trial.origin}, seed {trial.seed}{fork}")
    _line("trained", f"{plural(trial.step, 'step')} in {duration(trial.seconds)}")
    for each in history.goals:
        _curve(trial, each.metric, best_report(each, trial))
    for name in sorted({name for report in trial.reports for name in report.metrics}):
        if all(name != each.metric for each in history.goals):
            _curve(trial, name)
    for name, returned in trial.metrics.items():
        _line("returned", f"{name} = {number(returned)}")
    for stretch in trial.stretches:
        end = moment(stretch.end) if stretch.end is not None else "now"
        where = f"worker {stretch.worker} on {stretch.driver.partition('/')[0]}" if stretch.driver else "asked for"
        _line("ran", f"{moment(stretch.begin)} to {end}, {where}")
    for change in history.adjustments:
        if change.trial == trial.number:
            _line("adjusted", f"from step {change.step} on by the {change.by}: {params(change.values)} {change.reason}")
    for note in history.notes:
        if note.trial == trial.number:
            _line("note", one_line(note.text))
    checkpoint = trial.checkpoint
    _line("checkpoint", f"{checkpoint}{_gone(checkpoint)}" if checkpoint is not None else "none")
    _line("log", f"{trial.log}{_gone(trial.log)}")
    if trial.error:
        typer.echo(f"\n{trial.error.rstrip()}")


def trial_data(history: History, trial: TrialRecord) -> dict[str, Any]:
    """Return all that is known of a trial as plain data."""
    return {
        "trial": trial.number,
        "status": trial.status.value,
        "why": trial.why,
        "reason": trial.reason,
        "params": dict(trial.params),
        "values": {each.metric: trial.metric(each.metric) for each in history.goals},
        **({"feasible": trial.feasible, "constraints": kept(trial)} if trial.constraints else {}),
        "step": trial.step,
        "seconds": trial.seconds,
        "origin": trial.origin,
        "seed": trial.seed,
        "fork": None if trial.fork is None else {"trial": trial.fork.trial, "step": trial.fork.step},
        "reports": [{"step": r.step, "time": r.time, "metrics": dict(r.metrics)} for r in trial.reports],
        "metrics": dict(trial.metrics),
        "checkpoint": None if trial.checkpoint is None else str(trial.checkpoint),
        "log": str(trial.log),
        "error": trial.error,
    }


def kept(trial: TrialRecord) -> list[dict[str, Any]]:
    """Return how a trial stands to each constraint as plain data."""
    return [
        {"constraint": str(rule), "value": trial.metric(rule.metric), "violation": amount}
        for rule, amount in zip(trial.constraints, trial.violations, strict=True)
    ]


def _curve(trial: TrialRecord, metric: str, best: tuple[int, float] | None = None) -> None:
    curve = trial.curve(metric)
    if curve:
        drawn = sparkline([value for _, value in curve])
        (first, begin), (last, end) = curve[0], curve[-1]
        between = f", best {best[1]:.5g} at {best[0]}" if best is not None and best[0] not in (first, last) else ""
        _line(one_line(metric, 20), f"{drawn}  {begin:.5g} at step {first}{between}, {end:.5g} at {last}")


def _gone(path: Any) -> str:
    return "" if path.exists() else " (not there)"


def _described(settings: Any) -> str:
    if not isinstance(settings, dict):
        return str(settings)
    options = {name: value for name, value in settings.items() if name != "name"}
    return f"{settings.get('name')}{f' ({params(options)})' if options else ''}"


def _value(value: float | None) -> str:
    return "" if value is None else number(value)


def _line(heading: str, text: str) -> None:
    typer.echo(f"{heading:<12} {text}")

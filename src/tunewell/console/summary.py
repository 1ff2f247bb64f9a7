"""The last lines of a run: what is best, what was done, why it ended, what to type next."""

from __future__ import annotations

import shlex

from tunewell.console.text import counts, duration, goal, measured, params, plural
from tunewell.decisions import Budget, choose
from tunewell.history import History
from tunewell.protocols import Done, Wait
from tunewell.samplers import SAMPLERS
from tunewell.schedulers import SCHEDULERS


def summary(history: History, budget: Budget, storage: str | None, ended: str) -> list[str]:
    """Return the summary, three to six lines. ``ended`` says why, where known; ``storage`` is for the command."""
    return [
        *_best(history),
        f"{plural(len(history.trials), 'trial')}: {counts(history)}; {plural(history.steps_done, 'step')} "
        f"in {duration(history.active_seconds)}",
        f"ended: {ended or why_ended(history, budget)}",
        *([f"next: {command('report', history.name, storage)}"] if storage is not None else []),
    ]


def why_ended(history: History, budget: Budget) -> str:
    """Return in words why a run over this history has nothing more to do."""
    spent = budget.spent(history, history.active_seconds)
    if spent:
        return spent
    if budget.trials is not None and history.spent_trials >= budget.trials:
        return f"{budget.trials} trials are done"
    try:
        sampler = SAMPLERS.make(history.settings.get("sampler", "auto"))
        scheduler = SCHEDULERS.make(history.settings.get("scheduler", "auto"))
    except (ValueError, TypeError):  # the user's own
        return "nothing is left to do"
    action = choose(history, sampler, scheduler).action
    return action.reason if isinstance(action, Done | Wait) else "the run was ended"


def command(verb: str, name: str, storage: str) -> str:
    """Return what to type at a shell to do something with a study."""
    place = "" if storage == "sqlite:///tunewell.db" else f" -s {shlex.quote(storage)}"
    return f"tunewell {verb} {shlex.quote(name)}{place}"


def _best(history: History) -> list[str]:
    if len(history.goals) > 1:
        return [f"goals: {goal(history)}; study.pareto holds the trials that no other beats"]
    best = history.best
    if best is None:
        return ["best: no trial has a value yet"]
    at = f" at step {best.step}" if best.step else ""
    return [f"best: {measured(history, best)} in trial {best.number}{at}", f"      {params(best.params)}"]

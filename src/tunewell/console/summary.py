"""The last lines of a run: what is best, what was done, why it ended, what to type next."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

from tunewell.analysis.standing import constrained, why_none_is_best
from tunewell.console.text import counts, duration, goal, measured, params, plural
from tunewell.history import History, TrialRecord
from tunewell.surrogate.incumbent import incumbent
from tunewell.surrogate.spending import in_words
from tunewell.surrogate.tiering_words import came_of_it


def summary(history: History, storage: str | None, ended: str) -> list[str]:
    """Return the summary: three to seven lines, and one for each tier of a tiered search.

    ``ended`` says why the run did; ``storage`` is for the command.
    """
    return [
        *_best(history),
        f"{plural(len(history.trials), 'trial')}: {counts(history)}; {plural(history.steps_done, 'step')} "
        f"in {duration(history.active_seconds)}",
        *([f"scheduler: {chosen}"] if (chosen := in_words(history)) and history.trials else []),
        *came_of_it(history),
        f"ended: {ended}",
        *([f"next: {command('report', history.name, storage)}"] if storage is not None else []),
    ]


def command(verb: str, name: str, storage: str) -> str:
    """Return what to type at a shell to do something with a study."""
    place = "" if storage == "sqlite:///tunewell.db" else f" -s {shlex.quote(storage)}"
    return f"{program()} {verb} {shlex.quote(name)}{place}"


def program() -> str:
    """Return how to call the command line from here: by its name, or by its path where that is not on the PATH."""
    beside = Path(sys.executable).with_name("tunewell")
    if shutil.which("tunewell") or not beside.exists():
        return "tunewell"
    here = Path.cwd()
    return shlex.quote(str(beside.relative_to(here) if beside.is_relative_to(here) else beside))


def _best(history: History) -> list[str]:
    if len(history.goals) > 1:
        return [f"goals: {goal(history)}; study.pareto holds the trials that no other beats"]
    best = incumbent(history)
    if best is None:
        measured_at_all = any(trial.observed for trial in history.trials)
        return [f"best: {why_none_is_best(history)}" if measured_at_all else "best: no trial has a value yet"]
    at = f" at step {best.step}" if best.step else ""
    kept = f" ({constrained(best)})" if best.constraints else ""
    return [
        f"best: {measured(history, best)} in trial {best.number}{at}{kept}",
        f"      {params(best.params)}",
        *_luckier(history, best),
    ]


def _luckier(history: History, best: TrialRecord) -> list[str]:
    """Return what is said where a trial with a better value is not expected to be the best one."""
    lucky = history.best
    if lucky is None or lucky.value == best.value:
        return []
    told = f"trial {lucky.number} with {lucky.value:.5g}"
    return [f"      as measurements are noisy, this is expected to be better than {told}"]

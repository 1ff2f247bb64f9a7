"""What a run says before its first trial: the worst of what lint finds, in a few lines."""

from __future__ import annotations

from tunewell.console.summary import command
from tunewell.console.text import one_line
from tunewell.history import History
from tunewell.lint import lint
from tunewell.plans import plan_of

SHOWN = 3


def findings(history: History, storage: str | None, trials: int | None) -> list[str]:
    """Return at most three warnings, a line each, and where to read all; nothing once there are trials.

    ``storage`` is for the command; None: a study in memory.
    """
    if history.trials:
        return []
    found = lint(plan_of(history, trials=trials))
    warnings = [finding for finding in found if finding.severity == "warning"]
    if not warnings:
        return []
    where = "study.lint()" if storage is None else f"`{command('lint', history.name, storage)}`"
    lines = [one_line(f"{finding.code}: {finding.message}") for finding in warnings[:SHOWN]]
    return [*lines, f"{where} shows all, and what to do"]

"""The tables of a report: the best configuration against the default one, the Pareto front, all trials."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tunewell.analysis.charts import icon
from tunewell.analysis.diagnosis import Diagnosis
from tunewell.analysis.digest import Digest
from tunewell.analysis.gain import default_trial, gained, is_plain
from tunewell.analysis.standing import feasible
from tunewell.analysis.words import NOTHING, clean, clipped, counted, escape, literal, short, shown
from tunewell.events import Status
from tunewell.history import TrialRecord

ALL_ROWS = 2000
BEST_ROWS = 1000
FAILURE_ROWS = 1000
FRONT_ROWS = 50
DIAGNOSES = 100
CELLS = 60_000
TRACEBACK = 5000
"""Characters kept of one traceback: its beginning and, mostly, its end, where the cause stands."""

TRACEBACKS = 600_000
"""Characters kept of all tracebacks together."""

FAILURES = (Status.FAILED, Status.OUT_OF_MEMORY, Status.LOST, Status.TIMED_OUT)


# --- configurations ---------------------------------------------------------------------------------------------------


def python_dict(params: Mapping[str, Any]) -> str:
    """Return a configuration as Python source with aligned values, exact to the last digit."""
    if not params:
        return "{}"
    keys = [f"{literal(name)}:" for name in params]
    width = max(map(len, keys))
    rows = "".join(f"    {key:<{width}} {literal(v)},\n" for key, v in zip(keys, params.values(), strict=True))
    return f"{{\n{rows}}}"


def code_block(source: str, label: str) -> str:
    """Return source text in a box; the script adds a button that copies it."""
    return f'<div class="code" data-copy="{escape(label)}"><pre tabindex="0"><code>{escape(source)}</code></pre></div>'


def against_default(digest: Digest, best: TrialRecord) -> str:
    """Return what the best configuration gained over the default one, and by which changes."""
    default = default_trial(digest)
    if default is None:
        return "<p>The default configuration was not tried, so there is nothing to compare the best one with.</p>"
    if default is best and not is_plain(best):
        return (
            f"<p>Trial {best.number} began with the default configuration and was changed on the way; no other trial "
            "has the default values to compare it with.</p>"
        )
    if default.params == best.params and is_plain(best):
        return f"<p>The default configuration itself, trial {best.number}, is the best so far: no trial beat it.</p>"
    body = "".join(
        f'<tr><th scope="row">{name}</th><td><a href="#t{trial.number}">trial {trial.number}</a></td>'
        f'<td class="num"><b>{short(trial.value)}</b></td><td>at step {trial.step:,}</td></tr>'
        for name, trial in (("default", default), ("best", best))
    )
    return (
        f"<p>{escape(gained(digest, default, best))}</p>"
        f'<table class="plain"><caption class="hidden">Best against default</caption>{body}</table>'
        f"{_changes(default, best)}"
    )


def _changes(default: TrialRecord, best: TrialRecord) -> str:
    names = list(dict.fromkeys([*default.params, *best.params]))
    changed = [n for n in names if _cell(default, n) != _cell(best, n)]
    if not changed:
        return ""
    body = "".join(
        f'<tr><th scope="row">{escape(clipped(name, 40))}</th><td class="num">{_cell(default, name)}</td>'
        f'<td class="num"><b>{_cell(best, name)}</b></td></tr>'
        for name in changed[:30]
    )
    more = f'<p class="remark">and {len(changed) - 30} more</p>' if len(changed) > 30 else ""
    kept = len(names) - len(changed)
    same = f'<p class="remark">{counted(kept, "parameter")} {"has" if kept == 1 else "have"} the same value.</p>'
    head = "".join(f'<th scope="col"{kind}>{word}</th>' for word, kind in _CHANGE_COLUMNS)
    return (
        f'<div class="scroll"><table class="plain changes"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        f"</div>{more}{same if kept else ''}"
    )


_CHANGE_COLUMNS = (("changed", ""), ("default", ' class="num"'), ("best", ' class="num"'))


# --- the Pareto front -------------------------------------------------------------------------------------------------


def front_table(digest: Digest) -> str:
    """Return the trials on the Pareto front, each with a configuration to copy."""
    members = [digest.trials[n] for n in digest.front]
    if not members:
        return ""
    names = digest.shown_parameters
    head = _header(["trial", *(goal.metric for goal in digest.history.goals), "step", *names])
    rows = "".join(
        f'<tr data-copy="the configuration of trial {trial.number}" data-source="{escape(python_dict(trial.params))}">'
        f'<td class="num"><a href="#t{trial.number}">{trial.number}</a></td>{_value_cells(trial)}'
        f'<td class="num">{trial.step:,}</td>{_parameter_cells(trial, names)}</tr>'
        for trial in members[:FRONT_ROWS]
    )
    more = f'<p class="remark">{FRONT_ROWS} of {len(members):,} are listed.</p>' if len(members) > FRONT_ROWS else ""
    return f"{_scrolling(head, rows, 'Pareto front', 'front')}{more}"


# --- all trials -------------------------------------------------------------------------------------------------------


def listed(digest: Digest) -> list[int]:
    """Return the numbers of the trials in the table, best first: all, or the best and those that went wrong."""
    ranking = digest.ranking
    if len(ranking) <= ALL_ROWS:
        return ranking
    head = ranking[:BEST_ROWS]
    wrong = [n for n in ranking[BEST_ROWS:] if digest.trials[n].status in (*FAILURES, Status.RUNNING)]
    return head + wrong[:FAILURE_ROWS]


def listed_note(digest: Digest, numbers: Sequence[int]) -> str:
    """Return which trials and parameters the table leaves out, as sentences."""
    notes = []
    if len(numbers) < len(digest.trials):
        wrong = sum(digest.trials[n].status in (*FAILURES, Status.RUNNING) for n in digest.ranking[BEST_ROWS:])
        which = "all" if wrong <= FAILURE_ROWS else f"{FAILURE_ROWS:,} of the {wrong:,}"
        notes.append(
            f"{len(numbers):,} of {len(digest.trials):,} trials are listed: the {BEST_ROWS:,} best and {which} others "
            f"that failed or still run."
        )
    names = listed_parameters(digest, len(numbers))
    every = _all_names(digest)
    if len(names) < len(every):
        notes.append(f"{len(names)} of {len(every)} parameters are listed.")
    return " ".join(notes)


def listed_parameters(digest: Digest, rows: int) -> list[str]:
    """Return the parameters that are columns: all that any trial has, unless that makes the page too heavy."""
    every = _all_names(digest)
    return every if len(every) * rows <= CELLS else digest.shown_parameters


def trials_table(digest: Digest) -> str:
    """Return one row per trial, best first."""
    numbers = listed(digest)
    if not numbers:
        return ""
    names = listed_parameters(digest, len(numbers))
    goals = [goal.metric for goal in digest.history.goals]
    rules = digest.history.constraints
    others = [name for name in dict.fromkeys(rule.metric for rule in rules) if name not in goals]
    kept = [*others, "feasible"] if rules else []
    columns = ["trial", "status", *goals, *kept, "step", "seconds", "reason", *names]
    head = _header(columns, sorted_by=2 if goals else -1)
    causes = _Causes()
    rows = "".join(
        f'<tr id="t{trial.number}"><td class="num">{trial.number}</td>'
        f'<td><span class="badge st-{trial.status.value}">{icon(trial.status.value)}'
        f"{trial.status.value.replace('_', ' ')}</span></td>{_value_cells(trial)}"
        f"{''.join(_value_cell(trial.metric(name)) for name in others)}{_feasible_cell(trial)}"
        f'<td class="num">{trial.step:,}</td>'
        f'<td class="num" data-v="{trial.seconds:.6g}">{short(trial.seconds, 3)}</td>'
        f'<td class="reason">{causes.cell(trial)}</td>{_parameter_cells(trial, names)}</tr>'
        for trial in (digest.trials[n] for n in numbers)
    )
    return _scrolling(head, rows, "All trials", "trials")


class _Causes:
    """Cells with why each trial ended; a traceback that many trials share is written once."""

    def __init__(self) -> None:
        self._first: dict[str, int] = {}
        self._room = TRACEBACKS

    def cell(self, trial: TrialRecord) -> str:
        """Return the reason, and what there is to read about a failure."""
        reason = clean(trial.reason or trial.why)
        brief = escape(clipped(reason.splitlines()[0], 140)) if reason.strip() else ""
        if not trial.error and trial.status not in FAILURES:
            return brief
        log = f'<p>Output, if any: <code class="path">{escape(trial.log)}</code></p>'
        return f"<details><summary>{brief or 'why'}</summary>{self._traceback(trial)}{log}</details>"

    def _traceback(self, trial: TrialRecord) -> str:
        text = clean(trial.error).strip()
        if not text:
            return ""
        if text in self._first:
            number = self._first[text]
            return f'<p>The same traceback as <a href="#t{number}">trial {number}</a>.</p>'
        if len(text) > TRACEBACK:
            head, tail = text[: TRACEBACK // 5], text[-TRACEBACK * 4 // 5 :]
            text = f"{head}\n… {len(text) - TRACEBACK:,} characters left out …\n{tail}"
        self._room -= len(text)
        if self._room < 0:
            return "<p>Its traceback is left out to keep this page small.</p>"
        self._first[clean(trial.error).strip()] = trial.number
        return f'<pre tabindex="0">{escape(text)}</pre>'


def diagnoses_table(ill: Mapping[int, Diagnosis]) -> str:
    """Return what trials suffer from, by their numbers: the label, how sure it is, what speaks for it, what to do."""
    head = "<tr><th>trial</th><th>diagnosis</th><th>sure</th><th>why</th><th>what to do</th></tr>"
    rows = "".join(
        f"<tr><td>{number}</td><td>{escape(one.code)}</td><td>{100 * one.confidence:.0f} %</td>"
        f"<td>{escape('; '.join(one.evidence))}</td><td>{escape(one.fix)}</td></tr>"
        for number, one in sorted(ill.items(), key=lambda pair: -pair[1].confidence)[:DIAGNOSES]
    )
    return _scrolling(head, rows, "What trials suffer from", "diagnoses")


def _all_names(digest: Digest) -> list[str]:
    """Return the space's parameters, then those that only trials of earlier spaces have."""
    names = dict.fromkeys(digest.space)
    for trial in digest.trials:
        if not trial.params.keys() <= names.keys():
            names.update(dict.fromkeys(trial.params))
    return list(names)


def _feasible_cell(trial: TrialRecord) -> str:
    return f"<td>{feasible(trial)}</td>" if trial.constraints else ""


def _value_cells(trial: TrialRecord) -> str:
    return "".join(map(_value_cell, trial.values))


def _value_cell(value: float | None) -> str:
    if value is None:
        return f'<td class="num none">{NOTHING}</td>'
    exact = f' data-v="{value!r}"' if math.isfinite(value) else ""
    return f'<td class="num"{exact}>{short(value)}</td>'


def _parameter_cells(trial: TrialRecord, names: Sequence[str]) -> str:
    return "".join(_parameter_cell(trial, name) for name in names)


def _parameter_cell(trial: TrialRecord, name: str) -> str:
    if name not in trial.params:
        return '<td class="none">·</td>'
    value = trial.params[name]
    if isinstance(value, float):
        return f'<td class="num" data-v="{value!r}">{short(value)}</td>'
    kind = ' class="num"' if isinstance(value, int) and not isinstance(value, bool) else ""
    return f"<td{kind}>{_cell(trial, name)}</td>"


def _cell(trial: TrialRecord, name: str) -> str:
    if name not in trial.params:
        return "·"
    return escape(clipped(shown(trial.params[name]), 60))


def _header(names: Sequence[str], sorted_by: int = -1) -> str:
    """Return a header row; ``sorted_by`` is the column the rows come ordered by."""
    marked = {sorted_by: ' aria-sort="other"'}
    cells = "".join(
        f'<th scope="col"{marked.get(k, "")}><span>{escape(clipped(name, 32))}</span></th>'
        for k, name in enumerate(names)
    )
    return f"<tr>{cells}</tr>"


def _scrolling(head: str, rows: str, name: str, kind: str) -> str:
    return (
        f'<div class="scroll tall" tabindex="0" role="region" aria-label="{name}"><table class="grid {kind}">'
        f'<caption class="hidden">{name}</caption><thead>{head}</thead><tbody>{rows}</tbody></table></div>'
    )

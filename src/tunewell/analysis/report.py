"""A study as one HTML page: what was found, how, and what went wrong.

The page stands alone: no network, no library, charts as SVG in the text, so it can be mailed, archived with the model
and opened years later. Everything can be read without JavaScript; the script adds what a pointer can do (what is under
it, sorting, copying, hiding). It is a pure function of the history: the same events give the same bytes.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import shlex
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any

from tunewell.analysis.charts import icon, symbols
from tunewell.analysis.diagnosis import diagnose_study
from tunewell.analysis.digest import Digest, count_statuses
from tunewell.analysis.figures import (
    curve_charts,
    history_charts,
    improvements,
    parallel_chart,
    pareto_charts,
    slice_charts,
    slices_note,
    valueless_note,
)
from tunewell.analysis.standing import constrained, feasible, why_none_is_best
from tunewell.analysis.tables import (
    against_default,
    code_block,
    diagnoses_table,
    front_table,
    listed,
    listed_note,
    python_dict,
    trials_table,
)
from tunewell.analysis.timeline import busy_words, lanes_of, peak_workers, timeline_chart
from tunewell.analysis.words import (
    clipped,
    counted,
    duration,
    escape,
    json_for_script,
    moment,
    percent,
    short,
    shown,
    span,
    unbroken,
)
from tunewell.events import Noted
from tunewell.history import History, TrialRecord
from tunewell.surrogate.spending import in_words
from tunewell.surrogate.tiering_words import came_of_it

TIP_PARAMETERS = 14
NOTES = 200
DIAGNOSED = 300


def report(history: History) -> str:
    """Return the report of a study, finished, running or empty, as the text of an HTML page.

    Large studies stay readable and below about 5 MB: charts draw at most 1500 trials, the table lists at most 2000, and
    each part says in words what it leaves out.
    """
    digest = Digest.of(history)
    several = len(history.goals) > 1
    sections = [
        (word, "Pareto front" if several and word == "Best" else title, body)
        for word, title, build in _SECTIONS
        if (body := build(digest))
    ]
    links = "".join(f'<a href="#{word.lower()}">{word}</a>' for word, _, _ in sections)
    content = "".join(
        f'<section id="{word.lower()}" aria-label="{title}"><h2>{title}</h2>{body}</section>'
        for word, title, body in sections
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        "script-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="generator" content="Tunewell {escape(_version())}">'
        f"<title>{escape(clipped(history.name or 'Study', 80))} · Tunewell report</title>\n"
        f"<style>\n{_resource('report.css')}</style></head>\n<body>{symbols()}<main>{_header(digest)}"
        f'<nav aria-label="Sections">{links}</nav>\n{content}</main>{_footer(digest)}\n'
        f'<script type="application/json" id="tips">{json_for_script(_tips(digest))}</script>\n'
        f"<script>\n{_resource('report.js')}</script></body></html>\n"
    )


def write_report(history: History, path: str | os.PathLike[str]) -> Path:
    """Write the report of a study to ``path`` and return the path.

    The page is written aside and renamed, so a reader never meets half of it and an old one stays if the disk is full.
    """
    target = Path(path)
    if target.is_dir():
        raise IsADirectoryError(
            errno.EISDIR, "a report expected a file to write, got a folder: add a file's name", str(target)
        )
    text = report(history)
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(text, encoding="utf-8")
        aside.replace(target)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from error
    finally:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
    return target


# --- the head ---------------------------------------------------------------------------------------------------------


def summary(digest: Digest) -> str:
    """Return the study in one or two sentences."""
    history = digest.history
    if not digest.trials:
        return "No trial has started yet."
    spent = [counted(len(digest.trials), "trial"), counted(history.steps_done, "step")]
    workers = peak_workers(lanes_of(digest))
    spent.append(f"{duration(history.active_seconds)} on {counted(workers, 'worker')}")
    return f"{_outcome(digest)}; {', '.join(spent)}."


def _outcome(digest: Digest) -> str:
    goals = digest.history.goals
    best = digest.best
    if best is not None:
        within = " within the constraints" if digest.history.constraints else ""
        by = f"by trial {best.number} after {counted(best.step, 'step')}"
        return f"Best {goals[0].metric} {short(best.value)}{within} {by}"
    if len(goals) > 1 and digest.front:
        words = " and ".join([", ".join(goal.metric for goal in goals[:-1]), goals[-1].metric])
        return f"{counted(len(digest.front), 'trial')} on the Pareto front of {words}"
    if digest.history.running and not digest.observed.any():
        return f"No trial has ended with a value yet, {counted(len(digest.history.running), 'trial')} running"
    if digest.observed.any():
        return "No trial keeps the constraints"
    return "No trial ended with a value"


def _header(digest: Digest) -> str:
    history = digest.history
    chips = "".join(
        f'<li class="badge st-{status.value}">{icon(status.value)}<b>{n:,}</b> {status.value.replace("_", " ")}</li>'
        for status, n in count_statuses(digest.trials).items()
    )
    goals = ", ".join(f"{'minimise' if goal.mode == 'min' else 'maximise'} {goal.metric}" for goal in history.goals)
    facts = {
        "Goal" if len(history.goals) < 2 else "Goals": goals or "none",
        "Constraints": ", ".join(map(str, history.constraints)),
        "Sampler": _algorithm(history.settings.get("sampler")),
        "Scheduler": _algorithm(history.settings.get("scheduler")),
        "Seed": str(history.seed),
        "Steps": f"{history.steps_done:,}",
        "Active time": duration(history.active_seconds),
        "When": span(history.created or None, history.last_time),
    }
    rows = "".join(f"<div><dt>{name}</dt><dd>{escape(text)}</dd></div>" for name, text in facts.items() if text)
    return (
        f'<header><p class="brand">Tunewell report</p><h1>{escape(history.name or "Unnamed study")}</h1>'
        f'<p class="lead">{escape(unbroken(summary(digest)))}</p>{_paragraph(in_words(history), "remark")}'
        f'<ul class="chips">{chips}</ul>'
        f'<dl class="facts">{rows}</dl></header>'
    )


def _algorithm(described: Any) -> str:
    """Return a sampler or scheduler with its options as one writes them."""
    if not isinstance(described, Mapping):
        return str(described or "")
    options = ", ".join(f"{name}={shown(value)}" for name, value in described.items() if name != "name")
    return f"{described.get('name', '')}" + (f" ({options})" if options else "")


# --- sections: each returns HTML, or nothing when there is nothing to say ---------------------------------------------


def _best(digest: Digest) -> str:
    if digest.best is None:
        return _front(digest) if digest.front else _no_best(digest)
    best, goal = digest.best, digest.history.goals[0]
    others = {name: value for name, value in _newest_metrics(best).items() if name != goal.metric}
    also = ", ".join(f"{name} {short(value)}" for name, value in list(others.items())[:8])
    remarks = [f"Also measured there: {also}."] if also else []
    if best.constraints:
        remarks.append(f"It keeps the constraints: {constrained(best)}.")
    count = int(digest.eligible.sum())
    kind = "feasible measurement" if best.constraints else "measurement"
    lowest = improvements(digest, 0)[0][-1:]
    if lowest and digest.trials[lowest[0]].value != best.value:
        luckiest = digest.trials[lowest[0]]
        remarks.append(
            f"The measurements are noisy: repeats of a configuration ended differently. Trial {luckiest.number} came "
            f"to {short(luckiest.value, 5)}, but this one is expected to be the best when it is trained again."
        )
    elif count > 1:
        remarks.append(
            f"It is the best of {counted(count, kind)}, so part of its lead is luck: "
            "train it again with other seeds before you rely on the number."
        )
    code = code_block(python_dict(best.params), "the best configuration")
    return (
        f'<div class="columns"><div><p><b class="big">{short(best.value, 5)}</b> {escape(goal.metric)}, '
        f'<a href="#t{best.number}">trial {best.number}</a>, {counted(best.step, "step")}, '
        f"{best.status.value}</p>{code}{_paragraph(' '.join(remarks), 'remark')}{_unknown(digest)}</div>"
        f"<div><h3>Against the default</h3>{against_default(digest, best)}</div></div>"
    )


def _no_best(digest: Digest) -> str:
    if not digest.trials:
        return "<p>Nothing has been tried yet. The report fills as soon as trials report values.</p>"
    if digest.observed.any():
        sentence = why_none_is_best(digest.history)
        return f"<p>{escape(unbroken(f'{sentence[0].upper()}{sentence[1:]}.'))}</p>{_unknown(digest)}"
    leaders = [n for n in digest.ranking if n in digest.history.running and digest.trials[n].losses is not None]
    if leaders and len(digest.history.goals) == 1:
        trial = digest.trials[leaders[0]]
        return (
            f"<p>No trial has ended with a value yet. Of those running, trial {trial.number} leads with "
            f"{escape(digest.history.goals[0].metric)} {short(trial.value)} at step {trial.step:,}:</p>"
            f"{code_block(python_dict(trial.params), 'the leading configuration')}"
        )
    return "<p>No trial has ended with a value yet, so there is no best configuration.</p>"


def _front(digest: Digest) -> str:
    measured = int(digest.eligible.sum())
    others = measured - len(digest.front)
    beaten = f"; the other {others:,} are beaten by one of them" if others else ""
    values = "values that keep the constraints" if digest.history.constraints else "values"
    sentence = (
        f"{len(digest.front):,} of {counted(measured, 'trial')} with {values} cannot be improved in one goal without "
        f"losing in another{beaten}."
    )
    return f"<p>{sentence}</p>{_unknown(digest)}{front_table(digest)}"


def _unknown(digest: Digest) -> str:
    """Return a warning about trials that did not tell what the constraints are about."""
    rules = digest.history.constraints
    silent = sum(
        bool(observed) and any(math.isnan(amount) for amount in trial.violations)
        for trial, observed in zip(digest.trials, digest.observed, strict=True)
    )
    if not silent:
        return ""
    names = ", ".join(dict.fromkeys(rule.metric for rule in rules))
    return _paragraph(
        f"{counted(silent, 'trial')} with a value did not report all of {names}, so whether the constraints hold there "
        "is not known, and none of them can be the best.",
        "remark",
    )


def _history(digest: Digest) -> str:
    chart = history_charts(digest)
    if not chart:
        return ""
    numbers = improvements(digest, 0)[0] if len(digest.history.goals) == 1 else []
    words = ""
    tiers = "".join(f"<li>{escape(unbroken(line))}</li>" for line in came_of_it(digest.history))
    if numbers and len(digest.trials) > 1:
        since = len(digest.trials) - 1 - numbers[-1]
        times = counted(len(numbers) - 1, "time") if len(numbers) > 1 else "never"
        which = "the best one" if digest.best is digest.trials[numbers[-1]] else "the one with the best value"
        words = f"The best value improved {times} after the first. " + (
            f"{counted(since, 'trial')} started after {which}." if since else f"The newest trial is {which}."
        )
    plan = f'<p>The plan, tier by tier, and what came of it:</p><ol class="notes">{tiers}</ol>' if tiers else ""
    return f"{_paragraph(words)}{plan}{_paragraph(digest.drawn_note, 'remark')}{chart}"


def _curves(digest: Digest) -> str:
    chart = curve_charts(digest)
    if not chart:
        return ""
    trained = [trial.step for trial in digest.trials if trial.step]
    longest = max(trained)
    full = sum(step == longest for step in trained)
    if len(trained) == 1:
        return chart
    words = f"{counted(full, 'trial')} of {len(trained):,} trained for the full {counted(longest, 'step')} seen here."
    if full < len(trained):
        share = percent(sum(trained) / (longest * len(trained)))
        words += f" Together they took {share} of the steps that all of them in full would take."
    return f"{_paragraph(words)}{chart}"


def _diagnosis(digest: Digest) -> str:
    found = diagnose_study(digest.history, newest=DIAGNOSED)
    ill = {number: said[0] for number, said in found.trials.items() if said[0].label.ill}
    if not ill:
        return ""
    words = "".join(f"<li>{escape(sentence)}.</li>" for sentence in found.sentences)
    left_out = len(digest.trials) - DIAGNOSED
    note = f"Only the newest {DIAGNOSED} trials were looked at." if left_out > 0 else ""
    return f'<ul class="notes">{words}</ul>{_paragraph(note, "remark")}{diagnoses_table(ill)}'


def _slices(digest: Digest) -> str:
    charts = slice_charts(digest)
    if not charts:
        return ""
    first = f" Shown is {digest.history.goals[0].metric}, the first goal." if len(digest.history.goals) > 1 else ""
    words = (
        "Each hyperparameter on its own scale against the value. A slope or a narrow foot means that it matters; "
        f"good values at an edge, that its range may be too small.{first}"
    )
    notes = " ".join(filter(None, [slices_note(digest), valueless_note(digest)]))
    return f"{_paragraph(words)}{_paragraph(notes, 'remark')}{charts}"


def _parallel(digest: Digest) -> str:
    chart = parallel_chart(digest)
    words = "Each line is a trial, the stronger the better; it is interrupted where a parameter is inactive."
    return f"{_paragraph(words)}{chart}" if chart else ""


def _workers(digest: Digest) -> str:
    chart = timeline_chart(digest)
    return f"{_paragraph(busy_words(digest))}{chart}" if chart else ""


def _trials(digest: Digest) -> str:
    table = trials_table(digest)
    if not table:
        return ""
    words = "Best first. A dot means that the parameter was inactive."
    return f"{_paragraph(words)}{_paragraph(listed_note(digest, listed(digest)), 'remark')}{table}"


def _reproduce(digest: Digest) -> str:
    history = digest.history
    words = (
        f"Every decision follows from the study's events and its seed, <b>{history.seed}</b>: with the same seed, "
        "space and objective the next configuration is the same, whatever the number of workers. "
        f"<code>tunewell replay {escape(shlex.quote(history.name))}</code> decides everything again from the stored "
        "events and names the first difference, if there is one."
    )
    parts = [f"<p>{words}</p>"]
    if len(history.space):
        source = f"from tunewell import Choice, Float, Int, Prior, Space\n\nspace = {history.space!r}"
        block = code_block(source, "the search space")
        title = f"The search space, {counted(len(history.space), 'parameter')}"
        parts.append(f"<details><summary>{title}</summary>{block}</details>")
    if history.beliefs:
        items = "".join(
            f"<li>{escape(', '.join(f'{name} = {shown(value)}' for name, value in belief.config.items()))} "
            f"<small>{' · '.join(filter(None, [f'{belief.confidence} confidence', moment(belief.time)]))}</small></li>"
            for belief in history.beliefs[-NOTES:]
        )
        parts.append(f'<h3>Beliefs</h3><ul class="notes">{items}</ul>')
    if history.notes:
        items = "".join(map(_note, history.notes[-NOTES:]))
        left_out = f"The newest {NOTES} of {len(history.notes):,} notes." if len(history.notes) > NOTES else ""
        parts.append(f'<h3>Notes</h3>{_paragraph(left_out, "remark")}<ul class="notes">{items}</ul>')
    return "".join(parts)


_SECTIONS: tuple[tuple[str, str, Callable[[Digest], str]], ...] = (
    ("Best", "Best configuration", _best),
    ("History", "History of the best", _history),
    ("Curves", "Learning curves", _curves),
    ("Diagnosis", "What trials suffer from", _diagnosis),
    ("Slices", "Hyperparameters one by one", _slices),
    ("Parallel", "Hyperparameters together", _parallel),
    ("Goals", "Goals against each other", pareto_charts),
    ("Workers", "Time on workers", _workers),
    ("Trials", "All trials", _trials),
    ("Reproduce", "Reproduce", _reproduce),
)
"""Each with its word in the navigation, its heading and what builds its body."""


def _footer(digest: Digest) -> str:
    return (
        f"<footer><p>Written by Tunewell {escape(_version())} from {counted(len(digest.history), 'event')}"
        f" of study {escape(digest.history.name)}.</p></footer>"
    )


# --- small parts ------------------------------------------------------------------------------------------------------


def _tips(digest: Digest) -> dict[str, list[str]]:
    """Return what the script says about each trial that has a mark: a title, its values, its parameters."""
    return {str(n): _tip(digest.trials[n], digest) for n in digest.drawn}


def _tip(trial: TrialRecord, digest: Digest) -> list[str]:
    goals = digest.history.goals
    values = [f"{goal.metric} {short(v)}" for goal, v in zip(goals, trial.values, strict=True)]
    first = list(trial.params.items())[:TIP_PARAMETERS]
    params = [f"{clipped(name, 28)} {clipped(shown(v), 40)}" for name, v in first]
    if len(trial.params) > TIP_PARAMETERS:
        params.append(f"and {len(trial.params) - TIP_PARAMETERS} more")
    kept = [f"feasible {feasible(trial)}"] if trial.constraints else []
    measured = " · ".join([*values, *kept, counted(trial.step, "step"), duration(trial.seconds)])
    told = (trial.reason or trial.why).strip()
    reason = clipped(told.splitlines()[0], 110) if told else ""
    return [f"Trial {trial.number}", trial.status.value.replace("_", " "), measured, reason, *params]


def _newest_metrics(trial: TrialRecord) -> dict[str, float]:
    newest = dict(trial.reports[-1].metrics) if trial.reports else {}
    return {**newest, **trial.metrics}


def _note(note: Noted) -> str:
    when = " · ".join(filter(None, [moment(note.time), "" if note.trial is None else f"trial {note.trial}"]))
    return f"<li>{escape(note.text)}" + (f" <small>{when}</small>" if when else "") + "</li>"


def _paragraph(text: str, kind: str = "") -> str:
    if not text:
        return ""
    attribute = f' class="{kind}"' if kind else ""
    return f"<p{attribute}>{escape(unbroken(text))}</p>"


def _resource(name: str) -> str:
    return files("tunewell.analysis").joinpath(name).read_text(encoding="utf-8")


def _version() -> str:
    try:
        return version("tunewell")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return ""

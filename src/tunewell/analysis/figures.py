"""The charts of a report: history of the best, learning curves, slices, parallel coordinates, Pareto front.

Each function takes a :class:`~tunewell.analysis.digest.Digest` and returns HTML, or an empty string when there is
nothing to draw.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from tunewell.analysis.axes import (
    JITTER,
    Axis,
    jitter,
    metric_axis,
    parameter_axis,
    step_axis,
)
from tunewell.analysis.charts import (
    BANDS,
    axis_name,
    dots,
    icon,
    legend,
    line,
    mark,
    marks,
    parallel,
    plot,
    ramp_legend,
    shades_of,
    staircase,
    upright,
)
from tunewell.analysis.digest import PARAMETERS_SHOWN, Digest, count_statuses
from tunewell.analysis.words import counted, escape
from tunewell.history import TrialRecord
from tunewell.scales import Floats
from tunewell.space import Parameter

GOALS_SHOWN = 4
CURVES = 400
CURVE_POINTS = 60
SLICE_POINTS = 800
LINES = 300


def goal_axis(digest: Digest, goal: int, count: int = 5) -> Axis:
    """Return the axis on which a goal's values are drawn, with a place for each of the winners."""
    wanted = digest.history.goals[goal]
    values = digest.values[:, goal]
    kept = values[sorted(winners(digest))].tolist()
    return metric_axis(wanted.metric, values, worst_is_high=wanted.mode == "min", count=count, kept=kept)


def winners(digest: Digest) -> set[int]:
    """Return the number of the best trial, or those of a whole Pareto front."""
    return {digest.best.number} if digest.best else set(digest.front)


# --- history ----------------------------------------------------------------------------------------------------------


def history_charts(digest: Digest) -> str:
    """Return each trial's value by its number with the best so far, one chart a goal."""
    goals = [k for k in range(min(len(digest.history.goals), GOALS_SHOWN)) if np.isfinite(digest.values[:, k]).any()]
    return "".join(_history_chart(digest, goal) for goal in goals)


def _history_chart(digest: Digest, goal: int) -> str:
    x = step_axis(len(digest.trials) - 1, label="trial, in the order of starting")
    y = goal_axis(digest, goal)
    wanted = digest.history.goals[goal]
    points = rail = ""
    railed: list[int] = []
    for status, numbers in digest.numbers_by_status(digest.drawn).items():
        across, up = x.places_of(numbers), y.places_of(digest.values[numbers, goal].tolist())
        points += marks(status.value, across, up, numbers)
        rail += _railed(status.value, across, up, numbers, wanted.mode == "min")
        railed += _placeless(numbers, up)
    numbers, values = improvements(digest, goal)
    heights = _clamped(y.places_of(values), 1.0 if wanted.mode == "min" else 0.0)
    stairs = staircase("best", x.places_of(numbers).tolist(), heights.tolist())
    if numbers:
        star = numbers[-1] if digest.best is None else digest.best.number  # under noise not the one with the best value
        height = _clamped(y.places_of(digest.values[[star], goal].tolist()), float(heights[-1]))
        points += mark("best", float(x.places_of([star])[0]), float(height[0]))
    words = "best so far" if digest.best is None or digest.best.number in numbers[-1:] else "best value so far"
    best = f'<li>{icon("best")}best</li><li><span class="stroke best"></span>{words}</li>' if numbers else ""
    return plot(
        x,
        y,
        lines=stairs,
        points=points,
        rail=rail,
        rail_says=_rail_words(digest.values[railed, goal]),
        rail_high=wanted.mode == "min",
        name=f"{wanted.metric} of each trial, with the best so far",
        below=legend(count_statuses([digest.trials[n] for n in digest.drawn]), best),
    )


def improvements(digest: Digest, goal: int) -> tuple[list[int], list[float]]:
    """Return the numbers and values of the eligible trials that were better than all before them."""
    losses = np.where(digest.eligible, digest.losses[:, goal], np.inf)
    if not len(losses):
        return [], []
    best_before = np.concatenate([[np.inf], np.minimum.accumulate(losses)[:-1]])
    numbers = [int(n) for n in np.flatnonzero(losses < best_before)]
    return numbers, digest.values[numbers, goal].tolist()


def _railed(name: str, x: Floats, y: Floats, numbers: Sequence[int], high: bool) -> str:
    """Return the marks of trials without a place on y, at the rail's height."""
    lacking = np.isnan(y)
    return marks(name, x[lacking], np.full(int(lacking.sum()), 1.0 if high else 0.0), _placeless(numbers, y))


def _placeless(numbers: Sequence[int], y: Floats) -> list[int]:
    """Return the numbers of the trials without a place on y, shape ``(n,)``."""
    return [n for n, missing in zip(numbers, np.isnan(y), strict=True) if missing]


def _rail_words(values: Floats) -> str:
    """Return why values, shape ``(n,)``, are on the rail: there are none, or they are far worse than the others."""
    known = np.isfinite(values)
    return "off scale" if known.all() else "no place" if known.any() else "no value"


# --- learning curves --------------------------------------------------------------------------------------------------


def curve_charts(digest: Digest) -> str:
    """Return the learning curves with how each ended, one chart a goal."""
    charts = [_curve_chart(digest, goal) for goal in range(min(len(digest.history.goals), GOALS_SHOWN))]
    return "".join(charts)


def curve_trials(digest: Digest, goal: int) -> tuple[list[TrialRecord], int]:
    """Return the trials whose curves are drawn, best last, and how many have a curve at all."""
    metric = digest.history.goals[goal].metric
    drawn = set(digest.drawn)
    with_curve = [n for n in digest.ranking if any(metric in report.metrics for report in digest.trials[n].reports)]
    ranked = [n for n in with_curve if n in drawn]
    if len(ranked) <= CURVES:
        kept = ranked
    else:
        kept = ranked[: CURVES // 4]
        rest = sorted(ranked[CURVES // 4 :])
        kept += [rest[int(i)] for i in np.linspace(0, len(rest) - 1, CURVES - len(kept)).round()]
    return [digest.trials[n] for n in reversed(kept)], len(with_curve)


def _curve_chart(digest: Digest, goal: int) -> str:
    wanted = digest.history.goals[goal]
    trials, total = curve_trials(digest, goal)
    if not trials:
        return ""
    curves = {trial.number: thinned(trial.curve(wanted.metric)) for trial in trials}
    last = max(steps[-1] for steps, _ in curves.values())
    first = min(steps[0] for steps, _ in curves.values())
    x = step_axis(last, first=first)
    worst_is_high = wanted.mode == "min"
    won = winners(digest)
    y = metric_axis(
        wanted.metric,
        np.concatenate([v for _, v in curves.values()]),
        worst_is_high=worst_is_high,
        kept=[float(curves[number][1][-1]) for number in sorted(won & curves.keys())],
    )
    lines = ends = rail = crowns = ""
    railed: list[float] = []
    for trial in trials:
        steps, values = curves[trial.number]
        across, up = x.places_of(steps), y.places_of(values.tolist())
        kind = f"curve{_winner(len(won))}" if trial.number in won else "curve"
        lines += line(kind, across.tolist(), up.tolist(), trial.number, trial.status.value)
        end, off = _curve_end(trial, across, up, worst_is_high)
        rail, ends = (rail + end, ends) if off else (rail, ends + end)
        railed += values[-1:].tolist() if off else []
        if digest.best is trial and not off:
            crowns += mark("best", float(across[-1]), float(up[-1]))
    note = f'<p class="remark">{CURVES} of {total:,} curves: the {CURVES // 4} best and an even selection.</p>'
    winner = "best trial" if digest.best else "Pareto front"
    extra = f'<li><span class="stroke winner"></span>{winner}</li>' if won & curves.keys() else ""
    return plot(
        x,
        y,
        lines=lines,
        points=ends + crowns,
        rail=rail,
        rail_says=_rail_words(np.array(railed)),
        rail_high=worst_is_high,
        height=320,
        name=f"{wanted.metric} of the trials by step",
        below=legend(count_statuses(trials), extra) + (note if total > CURVES else ""),
    )


def _winner(count: int) -> str:
    """Return the classes of the best trial's line, or of one line of a Pareto front of so many."""
    return " winner" if count == 1 else " winner one-of-many"


def thinned(curve: Sequence[tuple[int, float]]) -> tuple[list[int], Floats]:
    """Return a curve's steps and values, at most ``CURVE_POINTS`` of them, first and last included."""
    if len(curve) > CURVE_POINTS:
        curve = [curve[int(i)] for i in np.linspace(0, len(curve) - 1, CURVE_POINTS).round()]
    return [step for step, _ in curve], np.array([value for _, value in curve], dtype=np.float64)


def _curve_end(trial: TrialRecord, x: Floats, y: Floats, rail_high: bool) -> tuple[str, bool]:
    """Return the mark at a curve's end, and whether it belongs on the rail because the last value has no place."""
    off = bool(np.isnan(y[-1]))
    height = np.array([1.0 if rail_high else 0.0]) if off else y[-1:]
    return marks(trial.status.value, x[-1:], height, [trial.number]), off


# --- slices -----------------------------------------------------------------------------------------------------------


def slice_charts(digest: Digest) -> str:
    """Return the first goal's value against each hyperparameter on its own scale, coloured by the step reached."""
    numbers = [n for n in digest.drawn if np.isfinite(digest.losses[n, 0])] if digest.history.goals else []
    if len(numbers) > SLICE_POINTS:
        numbers = [numbers[int(i)] for i in np.linspace(0, len(numbers) - 1, SLICE_POINTS).round()]
    if not numbers:
        return ""
    bands, labels = step_bands([digest.trials[n].step for n in numbers])
    shades = shades_of(len(labels))
    layers = [([n for n, b in zip(numbers, bands, strict=True) if b == k], f"q{shades[k]}") for k in range(len(labels))]
    y = goal_axis(digest, 0, count=4)
    charts = "".join(_slice(digest, name, digest.space[name], y, layers) for name in digest.shown_parameters)
    height = f'<ul class="legend"><li class="title">Height</li><li><span>{axis_name(y)}</span></li></ul>'
    best = f'<ul class="legend"><li>{icon("best")}best</li></ul>' if digest.best else ""
    return (
        f'<div class="legends">{height}{ramp_legend("Step reached", labels)}{best}</div>'
        f'<div class="slices">{charts}</div>'
    )


def step_bands(steps: Sequence[int]) -> tuple[list[int], list[str]]:
    """Return the band of each trial by the step it reached, and what the bands mean, fewest steps first."""
    distinct = sorted(set(steps))
    if len(distinct) <= BANDS - 1:
        return [distinct.index(step) for step in steps], [f"{step:,}" for step in distinct]
    edges = sorted({int(np.quantile(distinct, share)) for share in (0.2, 0.4, 0.6, 0.8)})
    bands = [int(np.searchsorted(edges, step, side="left")) for step in steps]
    used = sorted(set(bands))
    spans = [[step for step in distinct if int(np.searchsorted(edges, step, side="left")) == band] for band in used]
    labels = [f"{s[0]:,}" if s[0] == s[-1] else f"{s[0]:,} to {s[-1]:,}" for s in spans]
    return [used.index(band) for band in bands], labels


def _slice(
    digest: Digest, name: str, parameter: Parameter, y: Axis, layers: Sequence[tuple[Sequence[int], str]]
) -> str:
    everyone = [n for numbers, _ in layers for n in numbers]
    active = [n for n in everyone if name in digest.trials[n].params]
    x = parameter_axis(name, parameter, [digest.trials[n].params[name] for n in active], count=4)
    body = rail = ""
    for numbers, shade in layers:
        here = [n for n in numbers if name in digest.trials[n].params]
        body += dots(shade, *_slice_places(digest, name, x, y, here), here)
    high = digest.history.goals[0].mode == "min"
    for status, numbers in digest.numbers_by_status(active).items():
        rail += _railed(status.value, *_slice_places(digest, name, x, y, numbers), numbers, high)
    crown = ""
    if digest.best is not None and name in digest.best.params:
        across, up = _slice_places(digest, name, x, y, [digest.best.number])
        crown = mark("best", float(across[0]), float(up[0])) if not math.isnan(across[0] + up[0]) else ""
    left_out = len(everyone) - len(active)
    remark = f'<p class="remark">inactive in {counted(left_out, "trial")}, not drawn</p>' if left_out else ""
    return plot(
        x,
        y,
        lines=body,
        points=crown,
        rail=rail,
        rail_says="off scale",
        rail_high=high,
        height=150,
        kind="slice",
        titled=True,
        name=f"{y.label} against {name}",
        below=remark,
    )


def _slice_places(digest: Digest, name: str, x: Axis, y: Axis, numbers: Sequence[int]) -> tuple[Floats, Floats]:
    across = x.places_of([digest.trials[n].params[name] for n in numbers])
    if x.columns:
        across = across + jitter(numbers) * JITTER / x.columns
    return across, y.places_of(digest.values[numbers, 0].tolist())


# --- parallel coordinates ---------------------------------------------------------------------------------------------


def parallel_chart(digest: Digest) -> str:
    """Return one line per trial through all parameters to its values; the better, the stronger."""
    numbers = [n for n in digest.ranking if np.isfinite(digest.losses[n]).all()] if digest.history.goals else []
    if not numbers or not len(digest.space):
        return ""
    total = len(numbers)
    if total > LINES:
        drawn = set(digest.drawn)
        numbers = [n for n in numbers if n in drawn]
        head, rest = numbers[: LINES // 3], numbers[LINES // 3 :]
        numbers = head + [rest[int(i)] for i in np.linspace(0, len(rest) - 1, LINES - len(head)).round()]
    trials = [digest.trials[n] for n in numbers]
    axes = [
        parameter_axis(name, digest.space[name], [t.params[name] for t in trials if name in t.params], width=9)
        for name in digest.shown_parameters
    ]
    columns = [_with_gaps(axis, name, trials) for axis, name in zip(axes, digest.shown_parameters, strict=True)]
    for goal in range(len(digest.history.goals)):
        axes.append(_better_up(goal_axis(digest, goal), digest.history.goals[goal].mode))
        columns.append(_clamped(axes[-1].places_of(digest.values[numbers, goal].tolist()), 0.0))
    places = np.column_stack(columns)
    across = [upright(k, len(axes)) for k in range(len(axes))]
    won = winners(digest)
    lines = ""
    for rank in reversed(range(len(numbers))):  # the best on top
        band = BANDS - 1 - rank * BANDS // len(numbers)
        kind = _winner(len(won)) if numbers[rank] in won else f" q{band}"
        lines += line(f"thread{kind}", across, places[rank].tolist(), numbers[rank])
    remark = f"{LINES} of {total:,} lines are drawn, the {LINES // 3} best among them. " if total > LINES else ""
    legends = ramp_legend(f"{digest.history.goals[0].metric}, ranked", ["worst", "", "", "", "", "best"])
    return parallel(
        axes,
        lines,
        height=330,
        name="Parallel coordinates of all parameters and values",
        below=legends + (f'<p class="remark">{remark}</p>' if remark else ""),
    )


def _with_gaps(axis: Axis, name: str, trials: Sequence[TrialRecord]) -> Floats:
    """Return places on an upright axis, shape ``(n,)``, NaN where the parameter is inactive."""
    missing = object()
    places = axis.places_of([trial.params.get(name, missing) for trial in trials])
    if axis.columns:
        places = places + jitter([trial.number for trial in trials]) * JITTER / (2.0 * axis.columns)
    return places


def _better_up(axis: Axis, mode: str) -> Axis:
    """Return a goal's axis with its better end on top."""
    words = " · ".join(filter(None, ["better ↑", axis.scale]))
    if mode == "max":
        return Axis(axis.label, words, axis.ticks, axis.places_of)
    ticks = tuple((1.0 - place, text) for place, text in axis.ticks)
    return Axis(axis.label, words, ticks, lambda values: 1.0 - axis.places_of(values))


def _clamped(places: Floats, worst: float) -> Floats:
    """Put values off the scale at its worse end, so that their lines stay whole."""
    return np.where(np.isnan(places), worst, places)


# --- several goals ----------------------------------------------------------------------------------------------------


def pareto_charts(digest: Digest) -> str:
    """Return the goals against each other in pairs, the Pareto front drawn in."""
    goals = digest.history.goals
    if len(goals) < 2 or not np.isfinite(digest.losses).all(axis=1).any():
        return ""
    pairs = list(combinations(range(min(len(goals), GOALS_SHOWN)), 2))
    charts = "".join(_pareto_chart(digest, a, b, small=len(pairs) > 1) for a, b in pairs)
    key = (
        '<ul class="legend"><li><span class="swatch winner"></span>Pareto front: no other trial is better in '
        'every goal</li><li><span class="swatch q2"></span>other trials</li></ul>'
    )
    return f'{key}<div class="{"slices wide" if len(pairs) > 1 else ""}">{charts}</div>'


def _pareto_chart(digest: Digest, a: int, b: int, *, small: bool) -> str:
    goals = digest.history.goals
    x, y = goal_axis(digest, a), goal_axis(digest, b)
    front = set(digest.front)
    ordinary = [n for n in digest.drawn if n not in front]
    members = [n for n in digest.front if not np.isnan(digest.losses[n]).any()]
    ax, ay = (axis.places_of(digest.values[members, g].tolist()) for axis, g in ((x, a), (y, b)))
    across, up = (axis.places_of(digest.values[ordinary, g].tolist()) for axis, g in ((x, a), (y, b)))
    body = dots("q2", across, up, ordinary)
    measured = np.isfinite(digest.values[ordinary][:, [a, b]]).all(axis=1)
    off = int((measured & np.isnan(across + up)).sum())
    beyond = f". {counted(off, 'trial')} far off the scale, not drawn" if off else ""
    if len(goals) == 2:
        body += _front_line(ax, ay, goals[1].mode)
    body += dots("winner", ax, ay, members)
    words = ", ".join(f"{'lower' if goals[g].mode == 'min' else 'higher'} {goals[g].metric}" for g in (a, b))
    return plot(
        x,
        y,
        lines=body,
        height=200 if small else 330,
        kind="slice" if small else "",
        name=f"{goals[a].metric} against {goals[b].metric}",
        below=f'<p class="remark">Better: {escape(words)}{beyond}</p>',
    )


def _front_line(x: Floats, y: Floats, mode: str) -> str:
    """Return the border of what the front dominates: level, then a step, in the direction that loses nothing."""
    order = np.argsort(x, kind="stable")
    corners_x: list[float] = []
    corners_y: list[float] = []
    for k, i in enumerate(order):
        if k:
            before = order[k - 1]
            worse = max(y[before], y[i]) if mode == "min" else min(y[before], y[i])
            corners_x.append(float(x[i] if worse == y[before] else x[before]))
            corners_y.append(float(worse))
        corners_x.append(float(x[i]))
        corners_y.append(float(y[i]))
    return line("front", corners_x, corners_y)


def slices_note(digest: Digest) -> str:
    """Return which parameters have no chart of their own, as a sentence."""
    total = len(digest.space)
    if total <= PARAMETERS_SHOWN:
        return ""
    return f"{PARAMETERS_SHOWN} of {total} parameters are shown: those along which the trials' ranks differ most."


def valueless_note(digest: Digest) -> str:
    """Return how many trials have no place in charts of values, as a sentence."""
    if not digest.history.goals:
        return ""
    lacking = int(np.count_nonzero(~np.isfinite(digest.losses[:, 0])))
    verb = "is" if lacking == 1 else "are"
    return f"{counted(lacking, 'trial')} without a finite value {verb} not drawn." if lacking else ""

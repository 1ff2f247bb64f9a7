"""Charts as SVG text that fits any width without a script.

Nothing is laid out in pixels sideways: marks sit at percentages, and lines live in a nested drawing that is stretched
to the plot while its strokes keep their width. Text is placed by the same percentages, so it is never squeezed. Places
come from :mod:`tunewell.analysis.axes`: 0 is left or bottom, 1 right or top.

Whatever belongs to trials carries their numbers in ``data-n``, in the order of its points: that is all the script needs
to say what lies under the pointer, so no coordinate is written twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from tunewell.analysis.axes import Axis
from tunewell.analysis.words import clipped, escape
from tunewell.events import Status
from tunewell.scales import Floats

GRAIN = 2000
"""Lines are drawn on a lattice this fine; half a pixel on a usual screen."""

BANDS = 6
"""Shades of the ramp from faint to strong."""

_FILLED = 'fill="currentColor" stroke="var(--surface)" stroke-width=".8"'
_HOLLOW = 'fill="var(--surface)" stroke="currentColor" stroke-width="1.7"'
_DRAWN = 'fill="none" stroke="currentColor" stroke-width="2.1" stroke-linecap="round"'

SYMBOLS: Mapping[str, str] = {
    Status.COMPLETED: f'<circle r="3.7" {_FILLED}/>',
    Status.STOPPED: f'<path d="M-2.9-2.9h5.8v5.8h-5.8z" {_FILLED}/>',
    Status.PAUSED: f'<circle r="3.3" {_HOLLOW}/>',
    Status.RUNNING: f'<circle r="4" {_HOLLOW}/><circle r="1.7" fill="currentColor"/>',
    Status.DIVERGED: f'<path d="M-3.2-3.2l6.4 6.4m0-6.4l-6.4 6.4" {_DRAWN}/>',
    Status.OUT_OF_MEMORY: f'<path d="M0-5l5 5-5 5-5-5z" {_FILLED}/>',
    Status.FAILED: f'<path d="M0-4.9l4.7 8.3h-9.4z" {_FILLED}/>',
    Status.LOST: f'<path d="M0 4.6l-4.4-7.8h8.8z" {_HOLLOW}/>',
    Status.TIMED_OUT: f'<path d="M0-4.6l4.6 4.6-4.6 4.6-4.6-4.6z" {_HOLLOW}/>',
    Status.CANCELLED: f'<path d="M0-4v8m-4-4h8" {_DRAWN}/>',
    "best": '<path d="M0-9l2.6 5.6 6.1.8-4.5 4.2 1.2 6.1L0 4.7l-5.4 3 1.2-6.1-4.5-4.2 6.1-.8z" '
    'fill="var(--best)" stroke="var(--surface)" stroke-width="1.4"/>',
}
"""A shape for each status, about 8 pixels wide around the origin: no two statuses differ by colour alone."""


def symbols() -> str:
    """Return the shapes, once a page, for the marks to refer to."""
    shapes = "".join(f'<g id="m-{name}">{shape}</g>' for name, shape in SYMBOLS.items())
    return f'<svg class="symbols" width="0" height="0" aria-hidden="true"><defs>{shapes}</defs></svg>'


def icon(name: str) -> str:
    """Return one shape for use in running text."""
    return (
        f'<svg class="icon st-{name}" width="14" height="14" viewBox="-7 -7 14 14" aria-hidden="true">'
        f'<use href="#m-{name}"/></svg>'
    )


def legend(counts: Mapping[Status, int], extra: str = "") -> str:
    """Return the statuses of a chart with how many marks each has; the script turns them into switches."""
    items = "".join(
        f'<li data-status="{status.value}">{icon(status.value)}{status.value.replace("_", " ")} <b>{n:,}</b></li>'
        for status, n in counts.items()
        if n
    )
    return f'<ul class="legend">{items}{extra}</ul>' if items or extra else ""


def ramp_legend(title: str, labels: Sequence[str]) -> str:
    """Return the shades in use, faint to strong, each with its meaning."""
    shades = shades_of(len(labels))
    items = "".join(
        f'<li><span class="swatch q{q}"></span>{escape(text)}</li>' for q, text in zip(shades, labels, strict=True)
    )
    return f'<ul class="legend"><li class="title">{escape(title)}</li>{items}</ul>'


def shades_of(n: int) -> list[int]:
    """Return ``n`` shades from the ramp, evenly spread and always up to the strongest."""
    return [BANDS - 1 - round((n - 1 - k) * (BANDS - 1) / max(1, n - 1)) for k in range(n)]


# --- marks and lines --------------------------------------------------------------------------------------------------


def mark(name: str, x: float, y: float) -> str:
    """Return one shape at a place."""
    return f'<use href="#m-{name}" x="{_percent(x)}" y="{_percent(1.0 - y)}"/>'


def marks(name: str, x: Floats, y: Floats, numbers: Sequence[int]) -> str:
    """Return one shape at n places, shapes ``(n,)``, for trials of one status; places that are NaN are left out."""
    points = [(n, a, b) for n, a, b in zip(numbers, x.tolist(), y.tolist(), strict=True) if a == a and b == b]
    if not points:
        return ""
    body = "".join(mark(name, a, b) for _, a, b in points)
    return f'<g class="marks st-{name}" data-status="{name}" data-n="{_spaced(n for n, _, _ in points)}">{body}</g>'


def dots(kind: str, x: Floats, y: Floats, numbers: Sequence[int]) -> str:
    """Return n round dots, shapes ``(n,)``, as one path: light enough for thousands."""
    points = [(n, a, b) for n, a, b in zip(numbers, x.tolist(), y.tolist(), strict=True) if a == a and b == b]
    if not points:
        return ""
    d = "".join(f"M{_across(a)} {_down(b)}h0" for _, a, b in points)
    return f'<path class="dots {kind}" data-n="{_spaced(n for n, _, _ in points)}" d="{d}"/>'


def line(kind: str, x: Sequence[float], y: Sequence[float], trial: int | None = None, status: str = "") -> str:
    """Return a line through places; a NaN on either axis interrupts it, a lone place becomes a dot."""
    parts: list[str] = []
    run = 0
    for a, b in zip(x, y, strict=True):
        if a != a or b != b:
            if run == 1:
                parts.append("h0")
            run = 0
            continue
        parts.append(f"{'L' if run else 'M'}{_across(a)} {_down(b)}")
        run += 1
    if not parts:
        return ""
    if run == 1:
        parts.append("h0")
    owner = "" if trial is None else f' data-n="{trial}"'
    owner += f' data-status="{status}"' if status else ""
    return f'<path class="line {kind}"{owner} d="{"".join(parts)}"/>'


def staircase(kind: str, x: Sequence[float], y: Sequence[float]) -> str:
    """Return a line that stays level until the next place and then steps, from the first place to the right edge."""
    if not x:
        return ""
    d = f"M{_across(x[0])} {_down(y[0])}" + "".join(
        f"H{_across(a)}V{_down(b)}" for a, b in zip(x[1:], y[1:], strict=True)
    )
    return f'<path class="line {kind}" d="{d}H{GRAIN}"/>'


def bars(status: str, spans: Sequence[tuple[float, float, float]], numbers: Sequence[int]) -> str:
    """Return level bars ``(begin, end, y)`` of one status as one path; the style sheet gives them their height."""
    d = "".join(f"M{_across(begin)} {_down(y)}h{max(1, _across(end) - _across(begin))}" for begin, end, y in spans)
    return f'<path class="bars st-{status}" data-status="{status}" data-n="{_spaced(numbers)}" d="{d}"/>' if d else ""


def seams(places: Sequence[tuple[float, float]], n: int) -> str:
    """Return hairlines at ``(x, y)`` between bars that touch, in a chart of ``n`` rows."""
    height = round(0.56 * GRAIN / n)
    d = "".join(f"M{_across(x)} {_down(y) - height // 2}v{height}" for x, y in places)
    return f'<path class="seams" d="{d}"/>' if d else ""


# --- the plot around them ---------------------------------------------------------------------------------------------


def plot(
    x: Axis,
    y: Axis,
    *,
    lines: str = "",
    points: str = "",
    rail: str = "",
    rail_says: str = "",
    rail_high: bool = True,
    height: int = 280,
    name: str,
    kind: str = "",
    titled: bool = False,
    below: str = "",
) -> str:
    """Return a figure with two axes.

    Args:
        x, y: the axes, whose ticks are drawn.
        lines: paths, drawn in the stretched plane.
        points: marks at percentages, drawn above the lines.
        rail: marks for what has no place on y (no value, off the scale), drawn on a rail beyond its worst end.
        rail_says: which of the two, in as few words as a tick has.
        rail_high: whether the worst end is the upper one.
        height: of the plane, in pixels.
        name: what the chart shows, for people who hear it read.
        kind: classes for the figure.
        titled: whether x is named by a heading and y not at all: for one of many charts that share y.
        below: legends and remarks, HTML.
    """
    classes = ["plot", kind, ("rail-high" if rail_high else "rail-low") if rail else "", "tilted" if _tilts(x) else ""]
    frame = f"{_grid(x, y)}{_rail(rail, rail_says, rail_high)}{_stretched(lines)}{points}"
    above = f"<h3>{axis_name(x)}</h3>" if titled else f'<div class="ylabel">{axis_name(y)}</div>'
    return (
        f'<figure class="{" ".join(filter(None, classes))}">{above}'
        f'<svg class="frame" role="img" aria-label="{escape(name)}" width="100%" height="{height}">{frame}</svg>'
        f'<div class="xlabel">{"" if titled else axis_name(x)}</div>{below}</figure>'
    )


def parallel(axes: Sequence[Axis], lines: str, *, height: int, name: str, below: str = "") -> str:
    """Return upright axes side by side, each with its own ticks; :func:`upright` says where they stand."""
    body = _stretched(lines)
    for k, axis in enumerate(axes):
        at = _percent(upright(k, len(axes)))
        body += f'<line class="upright" x1="{at}" x2="{at}" y1="0" y2="100%"/>'
        side = 'dx="6"' if k == len(axes) - 1 else 'dx="-5" text-anchor="end"'
        body += "".join(
            f'<text class="tick halo" x="{at}" y="{_percent(1.0 - place)}" {side} dy=".32em">{escape(text)}</text>'
            for place, text in axis.ticks
        )
        body += (
            f'<text class="head" x="{at}" y="-22">{escape(clipped(axis.label, 15))}<title>{escape(axis.label)}</title>'
            f'</text><text class="head faint" x="{at}" y="-9">{escape(axis.scale)}</text>'
        )
    width = 96 * len(axes)
    return (
        f'<figure class="plot parallel"><div class="scroll" tabindex="0" role="region" aria-label="{escape(name)}">'
        f'<svg class="frame" role="img" aria-label="{escape(name)}" width="100%" height="{height}" '
        f'style="min-width:{width}px">{body}</svg></div>{below}</figure>'
    )


def upright(k: int, n: int) -> float:
    """Return the place of axis ``k`` of ``n``."""
    return (k + 0.6) / (n + 0.2)


def lanes(
    x: Axis, labels: Sequence[tuple[str, str]], lines: str, *, cuts: Sequence[tuple[float, str]], name: str, below: str
) -> str:
    """Return one row per ``(label, remark)`` over a time axis; ``cuts`` are places where time was left out."""
    n = len(labels)
    height = 30 * n
    grid = _upright_grid(x) + "".join(
        f'<line class="cut" x1="{_percent(at)}" x2="{_percent(at)}" y1="-6" y2="100%"/>'
        f'<text class="tick cutlabel" x="{_percent(at)}" y="-10">{escape(text)}</text>'
        for at, text in cuts
    )
    names = "".join(f"<li><span>{escape(label)}</span><em>{escape(remark)}</em></li>" for label, remark in labels)
    return (
        f'<figure class="plot lanes"><div class="rows"><ul>{names}</ul><div class="track">'
        f'<svg class="frame" role="img" aria-label="{escape(name)}" width="100%" height="{height}">'
        f'{grid}{_stretched(lines)}</svg></div></div><div class="xlabel">{axis_name(x)}</div>{below}</figure>'
    )


def lane_place(k: int, n: int) -> float:
    """Return the place on y of row ``k`` of ``n``, counted from the top."""
    return 1.0 - (k + 0.5) / n


def _stretched(lines: str) -> str:
    if not lines:
        return ""
    return (
        f'<svg class="plane" viewBox="0 0 {GRAIN} {GRAIN}" preserveAspectRatio="none" width="100%" height="100%">'
        f"{lines}</svg>"
    )


def _grid(x: Axis, y: Axis) -> str:
    across = "".join(
        f'<line class="grid" x1="0" x2="100%" y1="{_percent(1.0 - place)}" y2="{_percent(1.0 - place)}"/>'
        f'<text class="tick" x="-8" y="{_percent(1.0 - place)}" dy=".32em" text-anchor="end">{escape(text)}</text>'
        for place, text in y.ticks
    )
    if y.columns:
        across = across.replace('class="grid"', 'class="grid faint"')
    return across + _upright_grid(x) + '<line class="base" x1="0" x2="100%" y1="100%" y2="100%"/>'


def _upright_grid(x: Axis) -> str:
    def one(place: float, text: str) -> str:
        at = _percent(place)
        tick = f'<text class="tick x" x="{at}" y="100%">{escape(text)}</text>'
        return tick if x.columns else f'<line class="grid" x1="{at}" x2="{at}" y1="0" y2="100%"/>{tick}'

    return "".join(one(place, text) for place, text in x.ticks)


def _rail(rail: str, says: str, high: bool) -> str:
    if not rail:
        return ""
    at = "0" if high else "100%"
    return (
        f'<g class="rail" transform="translate(0 {-16 if high else 16})">'
        f'<line x1="0" x2="100%" y1="{at}" y2="{at}"/>'
        f'<text class="tick" x="-8" y="{at}" dy=".32em">{escape(says)}</text>'
        f"{rail}</g>"
    )


def axis_name(axis: Axis) -> str:
    """Return what an axis shows and on which scale, HTML."""
    return escape(axis.label) + (f" <small>{escape(axis.scale)}</small>" if axis.scale else "")


def _tilts(x: Axis) -> bool:
    """Whether a choice's labels are too long to stand side by side."""
    return bool(x.columns) and max((len(text) for _, text in x.ticks), default=0) * len(x.ticks) > 30


def _spaced(numbers: Iterable[int]) -> str:
    return " ".join(map(str, numbers))


def _percent(place: float) -> str:
    return f"{math.floor(place * 1e4 + 0.5) / 1e2:g}%"


def _across(place: float) -> int:
    return round(place * GRAIN)


def _down(place: float) -> int:
    return round((1.0 - place) * GRAIN)

"""A chart as a picture of its own: SVG of a fixed size with its own colours, light or dark as the reader's screen is.

The charts of a report (:mod:`tunewell.analysis.charts`) lean on the report's style sheet and fit any width; a picture
stands alone, in a notebook, a README or a file. Both take their axes from :mod:`tunewell.analysis.axes`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tunewell.analysis.axes import Axis, number_axis
from tunewell.analysis.words import escape

LEFT, RIGHT, TOP, BOTTOM = 58, 14, 30, 40  # pixels around the plane
LETTER, LINE = 6, 14  # pixels of a letter across and of a line of text down

_STYLE = (
    ".p{--surface:#fcfcfb;--ink:#1b2127;--soft:#56606b;--grid:#e2e5e7;--main:#1f5e99;--faint:#9dbad6;--mark:#c25e00}"
    "@media(prefers-color-scheme:dark){.p{--surface:#15181c;--ink:#e8eaed;--soft:#a3adb8;--grid:#2a3038;"
    "--main:#97c3ee;--faint:#4a6d91;--mark:#ffb347}}"
    ".p{font:11px system-ui,sans-serif}.p text{fill:var(--soft)}.p .title{fill:var(--ink);font-weight:600;"
    "font-size:12px}.p .s{fill:var(--surface)}.p .g{stroke:var(--grid)}.p .c{fill:none;stroke-width:2}"
    ".p .main{stroke:var(--main)}.p .faint{stroke:var(--faint);stroke-width:1}.p .mark{stroke:var(--mark)}"
    ".p .b{fill:var(--faint);opacity:.25}.p .d{fill:var(--surface);stroke-width:2;stroke:var(--mark)}"
    ".p .m{fill:var(--mark)}"
)


@dataclass(frozen=True)
class Curve:
    """A line through n places, or n dots; ``kind`` is ``"main"``, ``"faint"`` or ``"mark"``. NaN leaves a gap.

    A ``name`` stands at the line's end.
    """

    x: Sequence[float]
    y: Sequence[float]
    kind: str = "main"
    dots: bool = False
    name: str = ""


@dataclass(frozen=True)
class Upright:
    """A vertical line at ``x`` with a word, or a band from ``x`` to ``until``."""

    x: float
    word: str = ""
    until: float | None = None


def picture(
    curves: Sequence[Curve],
    *,
    x: str,
    y: str,
    title: str = "",
    uprights: Sequence[Upright] = (),
    scale: str = "linear",
    y_scale: str = "linear",
    low: float | None = None,
    high: float | None = None,
    width: int = 640,
    height: int = 320,
) -> str:
    """Return the picture as an SVG text.

    Args:
        curves: what is drawn, the last on top.
        x, y: what the axes show.
        title: what the picture shows; also read aloud.
        uprights: drawn behind the curves.
        scale, y_scale: of the axes, ``"linear"`` or ``"log"``.
        low, high: the ends of y; left out, those of the curves.
        width, height: in pixels.
    """
    across = np.concatenate([np.asarray(curve.x, dtype=np.float64) for curve in curves])
    up = np.concatenate([np.asarray(curve.y, dtype=np.float64) for curve in curves])
    up = up[np.isfinite(up)]
    bottom = float(up.min()) if low is None else low
    top = float(up.max()) if high is None else high
    longest = max(len(curve.name) for curve in curves)
    margin = RIGHT + (LETTER * longest + LINE if longest else 0)
    plane = _Plane(
        number_axis(x, float(across.min()), float(across.max()), scale, count=6),
        number_axis(y, bottom, top, y_scale, pad=0.04, count=4),
        width - LEFT - margin,
        height - TOP - BOTTOM,
    )
    body = [*map(plane.upright, uprights), *map(plane.curve, curves), plane.names(curves)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="p" role="img" aria-label="{escape(title)}" '
        f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"><style>{_STYLE}</style>'
        f'<rect class="s" width="{width}" height="{height}"/>'
        f'<text class="title" x="{LEFT}" y="15">{escape(title)}</text>'
        f'<g transform="translate({LEFT} {TOP})">{plane.grid()}{"".join(body)}</g></svg>\n'
    )


def write(text: str, path: str | Path) -> Path:
    """Write a picture into a file.

    Raises:
        ValueError: the file's name does not end in ``.svg``.
    """
    place = Path(path)
    if place.suffix.lower() != ".svg":
        raise ValueError(f"path expected a name that ends in .svg, got {str(path)!r}: pictures are written as SVG")
    place.write_text(text, encoding="utf-8")
    return place


@dataclass(frozen=True)
class _Plane:
    x: Axis
    y: Axis
    width: float
    height: float

    def grid(self) -> str:
        rows = "".join(
            f'<line class="g" x2="{self.width}" y1="{self._down(place)}" y2="{self._down(place)}"/>'
            f'<text x="-6" y="{self._down(place)}" dy=".35em" text-anchor="end">{escape(text)}</text>'
            for place, text in self.y.ticks
        )
        columns = "".join(
            f'<text x="{self._across(place)}" y="{self.height + 15}" text-anchor="middle">{escape(text)}</text>'
            for place, text in self.x.ticks
        )
        names = (
            f'<text x="{self.width / 2}" y="{self.height + 32}" text-anchor="middle">{escape(self.x.label)}</text>'
            f'<text transform="translate(-46 {self.height / 2}) rotate(-90)" text-anchor="middle">'
            f"{escape(self.y.label)}</text>"
        )
        return rows + columns + names

    def curve(self, curve: Curve) -> str:
        points = list(zip(self._places(self.x, curve.x), self._places(self.y, curve.y), strict=True))
        kind = escape(curve.kind)
        if curve.dots:
            return "".join(
                f'<circle class="d {kind}" r="3.2" cx="{self._across(a)}" cy="{self._down(b)}"/>'
                for a, b in points
                if a == a and b == b
            )
        d, open_line = "", False
        for a, b in points:
            known = a == a and b == b
            d += f"{'L' if open_line else 'M'}{self._across(a)} {self._down(b)}" if known else ""
            open_line = known
        return f'<path class="c {kind}" d="{d}"/>' if d else ""

    def names(self, curves: Sequence[Curve]) -> str:
        """Return the names of curves, right of their ends and a line apart."""
        named = [(curve, [place for place in self._places(self.y, curve.y) if place == place]) for curve in curves]
        ends = [(self._down(places[-1]), curve) for curve, places in named if curve.name and places]
        parts, at = "", -math.inf
        for end, curve in sorted(ends, key=lambda pair: pair[0]):
            at = max(end, at + LINE)
            parts += (
                f'<path class="c {escape(curve.kind)}" d="M{self.width + 5} {at}h10"/>'
                f'<text x="{self.width + 19}" y="{at}" dy=".35em">{escape(curve.name)}</text>'
            )
        return parts

    def upright(self, upright: Upright) -> str:
        at = self._across(self._places(self.x, [upright.x])[0])
        if upright.until is not None:
            end = self._across(self._places(self.x, [upright.until])[0])
            return f'<rect class="b" x="{at}" width="{round(end - at, 1)}" height="{self.height}"/>'
        anchor = "end" if at > 0.8 * self.width else "start"
        return (
            f'<line class="c mark" x1="{at}" x2="{at}" y2="{self.height}"/>'
            f'<text class="m" x="{at + (-4 if anchor == "end" else 4)}" y="11" text-anchor="{anchor}">'
            f"{escape(upright.word)}</text>"
        )

    def _places(self, axis: Axis, values: Sequence[float]) -> list[float]:
        return [float(place) for place in axis.places_of([v if math.isfinite(v) else math.nan for v in values])]

    def _across(self, place: float) -> float:
        return round(place * self.width, 1)

    def _down(self, place: float) -> float:
        return round((1.0 - place) * self.height, 1)

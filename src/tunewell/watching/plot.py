"""Curves as lines of text, drawn with Braille dots, or with plain characters where there are no others.

A character is two dots wide and four high, so a plot of 70 x 12 characters has 140 x 48 dots. Where two curves meet in
one character the one that comes later in the list is seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rich.text import Text

_BRAILLE = 0x2800
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # by row, then column, of a character
_WIDE, _HIGH = 2, 4
_LOG_FROM = 30.0  # the largest value over the smallest
_LARGEST = 1e150
_FAR = 4  # a gap that the legend shows as a wide one
_SMALLEST = (16, 5)


@dataclass(frozen=True, slots=True)
class Line:
    """A curve: ``(x, y)`` in the order of x, and how it looks.

    Attributes:
        plain: the character for it where there are no dots.
        gap: one column of dots of so many is drawn.
    """

    name: str
    points: Sequence[tuple[float, float]]
    style: str = ""
    plain: str = "*"
    gap: int = 1


@dataclass(frozen=True, slots=True)
class Mark:
    """A place on the x axis that something is to be said of."""

    x: float
    text: str
    style: str = ""


def plot(lines: Sequence[Line], marks: Sequence[Mark], width: int, height: int, *, plain: bool = False) -> list[Text]:
    """Return at most ``height`` lines of at most ``width`` characters: a legend, the curves, the axis, its marks.

    ``plain``: of ASCII alone. The y axis is logarithmic where all values are above 0 and the largest is at least thirty
    times the smallest. What is not finite stands as an x at the top.
    """
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points if _known(y)]
    if not xs or width < _SMALLEST[0] or height < _SMALLEST[1]:
        return []
    log = bool(ys) and min(ys) > 0.0 and max(ys) >= _LOG_FROM * min(ys)
    axis = _Axis(*_range([math.log10(y) if log else y for y in ys]), log)
    labels = [_short(axis.value(share)) for share in (1.0, 0.5, 0.0)] if ys else ["", "", ""]
    left = max(map(len, labels))
    area = _Area(width - left - 2, height - 3, min(xs), max(max(xs), min(xs) + 1), plain)
    for line in lines:
        area.draw(line, axis)
    places = {0: labels[0], (area.rows - 1) // 2: labels[1], area.rows - 1: labels[2]}
    bar, tick, corner, flat, arrow = ("|", "+", "+", "-", "^") if plain else ("│", "┤", "└", "─", "▲")
    body = [
        Text.assemble((f"{places.get(row, ''):>{left}} ", "dim"), (tick if places.get(row) else bar, "dim"), content)
        for row, content in enumerate(area.content())
    ]
    at = {area.column(mark.x): mark for mark in marks if area.first <= mark.x <= area.last}
    ground = Text(" " * (left + 1) + corner, style="dim")
    for column in range(area.columns):
        mark = at.get(column)
        ground.append(arrow if mark else flat, style=mark.style if mark else "")
    return [_legend(lines, log, plain), *body, ground, _under(at, area, left + 2)]


class _Axis:
    """The y axis: from a value, or its logarithm, to a share of the height."""

    def __init__(self, low: float, high: float, log: bool) -> None:
        self.low, self.high, self.log = low, high, log

    def share(self, y: float) -> float:
        return ((math.log10(y) if self.log else y) - self.low) / (self.high - self.low)

    def value(self, share: float) -> float:
        y = self.low + share * (self.high - self.low)
        return float(10.0**y) if self.log else y


class _Area:
    """The characters inside the axes, and the dots in them."""

    def __init__(self, columns: int, rows: int, first: float, last: float, plain: bool) -> None:
        self.columns, self.rows, self.first, self.last, self.plain = columns, rows, first, last, plain
        self.wide, self.high = (columns, rows) if plain else (columns * _WIDE, rows * _HIGH)
        self._cells: dict[tuple[int, int], tuple[int, Line]] = {}  # by row and column: dots, and whose

    def column(self, x: float) -> int:
        """Return the character column of a place."""
        return round((x - self.first) / (self.last - self.first) * (self.columns - 1))

    def draw(self, line: Line, axis: _Axis) -> None:
        dots = [(self._across(x), self._down(axis.share(y)) if _known(y) else None) for x, y in line.points]
        for (x, y), (_, value) in zip(dots, line.points, strict=True):
            if not _known(value):
                self._cells[0, min(x // (1 if self.plain else _WIDE), self.columns - 1)] = (0, line)
            elif y is not None:
                self._dot(x, y, line)
        for (x, y), (next_x, next_y) in pairwise(dots):
            if y is None or next_y is None:
                continue
            for column, row in _between(x, y, next_x, next_y):
                if column % line.gap == 0:
                    self._dot(column, row, line)

    def content(self) -> Iterator[Text]:
        for row in range(self.rows):
            text = Text()
            for column in range(self.columns):
                cell = self._cells.get((row, column))
                if cell is None:
                    text.append(" ")
                    continue
                dots, line = cell
                sign = line.plain if self.plain else chr(_BRAILLE + dots)
                text.append(sign if dots else "x", style=line.style)
            yield text

    def _across(self, x: float) -> int:
        return round((x - self.first) / (self.last - self.first) * (self.wide - 1))

    def _down(self, share: float) -> int:
        return round((1.0 - share) * (self.high - 1))

    def _dot(self, x: int, y: int, line: Line) -> None:
        place, dot = ((y, x), 1) if self.plain else ((y // _HIGH, x // _WIDE), _DOTS[y % _HIGH][x % _WIDE])
        there, whose = self._cells.get(place, (0, line))
        if there or place not in self._cells:  # an x stays
            self._cells[place] = (dot | there if whose is line else dot, line)


def _between(x: int, y: int, next_x: int, next_y: int) -> Iterator[tuple[int, int]]:
    """Yield the dots of a straight line."""
    count = max(abs(next_x - x), abs(next_y - y), 1)
    for i in range(count + 1):
        yield x + round((next_x - x) * i / count), y + round((next_y - y) * i / count)


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    return (low, high) if high > low else (low - max(abs(low), 1.0) * 0.1, high + max(abs(high), 1.0) * 0.1)


def _legend(lines: Sequence[Line], log: bool, plain: bool) -> Text:
    legend = Text("  ")
    for line in reversed(lines):
        sign = line.plain if plain else "⠤⠤" if line.gap == 1 else "⠄⠄" if line.gap < _FAR else "⠄ ⠄"
        legend.append(f"{sign} {line.name}  ", style=line.style)
    return legend.append("logarithmic" if log else "", style="dim")


def _under(at: dict[int, Mark], area: _Area, left: int) -> Text:
    """Return the line below the axis: its ends, and what there is to say of the marks, as far as there is room."""
    first, last = f"{area.first:g}", f"{area.last:g}"
    line = Text(" " * left + first, style="dim")
    end = left + area.columns - len(last)
    for column, mark in sorted(at.items()):
        words = f"{mark.x:g}: {mark.text}"
        begin = min(left + column, end - len(words) - 1)
        if begin > len(line):
            line.append(" " * (begin - len(line)))
            line.append(words, style=mark.style)
    if len(line) < end:
        line.append(" " * (end - len(line)) + last)
    return line


def _known(y: float) -> bool:
    """Return whether a value can be drawn: it is finite, and the sums of such values are."""
    return abs(y) < _LARGEST


def _short(value: float) -> str:
    return f"{value:.3g}"

"""Curves as lines of text."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewell.watching.plot import Line, Mark, plot


def drawn(*lines: Line, marks: list[Mark] | None = None, width: int = 40, height: int = 12, plain: bool = True) -> str:
    return "\n".join(line.plain for line in plot(lines, marks or [], width, height, plain=plain))


def test_a_falling_line_falls_from_corner_to_corner() -> None:
    rows = drawn(Line("loss", [(1, 10.0), (20, 0.0)])).split("\n")
    area = [row.partition("|")[2] or row.partition("+")[2] for row in rows[1:-2]]
    assert area[0].startswith("*")
    assert area[-1].rstrip().endswith("*")
    places = [row.index("*") for row in area]
    assert places == sorted(places)
    assert rows[-1].split() == ["1", "20"]
    assert [row.split()[0] for row in (rows[1], rows[5], rows[9])] == ["10", "5", "0"]


def test_dots_are_finer_than_characters() -> None:
    rows = drawn(Line("loss", [(1, 8.0), (9, 1.0)]), width=20, height=8, plain=False).split("\n")
    area = "".join(row.partition("│")[2] or row.partition("┤")[2] for row in rows[1:-2])
    dots = sum(bin(ord(sign) - 0x2800).count("1") for sign in area if sign != " ")
    assert dots >= 30  # one in each half of 15 characters


def test_the_scale_is_logarithmic_where_that_pays() -> None:
    wide = drawn(Line("loss", [(1, 1000.0), (2, 10.0), (3, 0.1)]))
    assert "logarithmic" in wide
    assert [label for label in ("1e+03", "10", "0.1") if label in wide] == ["1e+03", "10", "0.1"]
    assert "logarithmic" not in drawn(Line("loss", [(1, 10.0), (3, 1.0)]))
    assert "logarithmic" not in drawn(Line("loss", [(1, 1000.0), (3, 0.0)]))


def test_marks_stand_on_the_axis_with_their_words_where_there_is_room() -> None:
    marks = [Mark(5, "lr=0.1"), Mark(6, "lr=0.01"), Mark(99, "outside")]
    rows = drawn(Line("loss", [(1, 1.0), (20, 0.0)]), marks=marks).split("\n")
    assert rows[-2].count("^") == 2
    assert "5: lr=0.1" in rows[-1]
    assert "0.01" not in rows[-1]
    assert "outside" not in rows[-1]


def test_what_is_not_finite_stands_at_the_top() -> None:
    rows = drawn(Line("loss", [(1, 1.0), (2, 2.0), (3, math.nan), (4, math.inf), (5, 1.0)])).split("\n")
    assert rows[1].count("x") == 2
    assert "x" in drawn(Line("loss", [(1, math.nan)]))


def test_the_last_line_is_seen_where_two_meet() -> None:
    points = [(1, 1.0), (9, 2.0)]
    text = drawn(Line("train", points, plain="."), Line("val", points, plain="*"))
    assert "." not in "".join(text.split("\n")[1:-2]).replace("1.5", "")
    assert text.split("\n")[0].split()[:4] == ["*", "val", ".", "train"]


@pytest.mark.parametrize(("width", "height"), [(15, 9), (40, 4), (0, 0)])
def test_where_there_is_no_room_there_is_no_plot(width: int, height: int) -> None:
    assert drawn(Line("loss", [(1, 1.0), (2, 2.0)]), width=width, height=height) == ""


def test_nothing_to_draw_draws_nothing() -> None:
    assert drawn() == ""
    assert drawn(Line("loss", [])) == ""


NUMBERS = st.floats(allow_nan=True, allow_infinity=True)


@given(
    st.lists(st.lists(NUMBERS, max_size=12), max_size=3),
    st.lists(st.integers(0, 14), max_size=3),
    st.integers(10, 120),
    st.integers(3, 40),
    st.booleans(),
)
def test_any_curves_fit_any_room(
    values: list[list[float]], marks: list[int], width: int, height: int, plain: bool
) -> None:
    lines = [Line(f"m{i}", list(enumerate(ys, 1)), gap=1 + 2 * i) for i, ys in enumerate(values)]
    found = plot(lines, [Mark(x, "here") for x in marks], width, height, plain=plain)
    assert len(found) <= height
    assert all(len(line) <= width for line in found[1:])  # the legend is cut by whoever shows it
    assert not plain or all(line.plain.isascii() for line in found)

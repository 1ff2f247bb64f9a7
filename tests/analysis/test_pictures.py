"""Pictures that stand alone: names of curves, where they end and apart from each other."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from tunewell.analysis.axes import number_axis, step_axis
from tunewell.analysis.pictures import Curve, picture


def drawn(*curves):
    return picture(curves, x="step", y="loss", width=400, height=200)


@pytest.mark.parametrize("last", [*range(40), 100, 250, 12_345])
def test_ticks_of_steps_are_whole_numbers_and_stand_where_they_say(last):
    axis = step_axis(last)
    said = [float(text.replace(",", "")) for _, text in axis.ticks]
    np.testing.assert_allclose(axis.places_of(said), [place for place, _ in axis.ticks])
    assert len(said) <= 8


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 10.0), (88.0, 98.0), (0.0, 1.0), (0.1, 0.35), (0.0, 25.0), (-10.0, 2.0)]
)
def test_ticks_of_numbers_stand_where_they_say(low, high):
    for count in range(2, 9):
        axis = number_axis("accuracy", low, high, count=count)
        said = [float(text.replace(",", "").replace("−", "-")) for _, text in axis.ticks]
        np.testing.assert_allclose(axis.places_of(said), [place for place, _ in axis.ticks])
        assert said


def test_names_stand_at_the_ends_of_curves_and_apart():
    ends = {"low": 0.0, "just above": 0.01, "high & far": 1.0}
    svg = drawn(*(Curve([0.0, 1.0], [end, math.nan], name=name) for name, end in ends.items()))
    places = {name: float(y) for y, name in re.findall(r'y="([\d.]+)" dy=".35em">([^<]+)</text>', svg)}
    assert places["high &amp; far"] < places["just above"] < places["low"]
    assert places["low"] - places["just above"] >= 11  # pixels, the size of the letters


def test_names_take_their_room_from_the_plane():
    plain, named = drawn(Curve([0, 1], [0, 1])), drawn(Curve([0, 1], [0, 1], name="a name of some length"))
    across = [float(re.search(r'class="g" x2="([\d.]+)"', svg)[1]) for svg in (plain, named)]
    assert across[1] + len("a name of some length") * 5 < across[0]
    assert 'width="400" height="200"' in named

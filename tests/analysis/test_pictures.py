"""Pictures that stand alone: names of curves, where they end and apart from each other."""

from __future__ import annotations

import math
import re

from tunewell.analysis.pictures import Curve, picture


def drawn(*curves):
    return picture(curves, x="step", y="loss", width=400, height=200)


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

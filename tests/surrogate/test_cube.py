from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest, truncnorm

import tunewell as tw
from tunewell.surrogate.cube import Cube, bin_walls, cube_of
from tunewell.testing.histories import mixed_space

DEEP = tw.Space(
    model=tw.Choice(["a", "b", "c"]),
    depth=tw.Int(1, 3, when={"model": ["b", "c"]}),
    rate=tw.Float(1e-4, 1.0, scale="log", when={"depth": 3}),
    width=tw.Choice([16, 64, 256], ordered=True),
    steps=tw.Int(1, 100_000, scale="log"),
    fixed=tw.Float(0.5, 0.5),
)
SPACES = {"mixed": mixed_space(), "deep": DEEP}


@pytest.mark.parametrize("name", SPACES)
def test_snapped_points_are_configurations_and_the_nearest(name):
    space = SPACES[name]
    cube = Cube(space)
    units = np.random.default_rng(0).random((300, len(space)))
    snapped = cube.snap(units)
    there = [space.decode_one(row.tolist()) for row in np.nan_to_num(snapped, nan=0.5)]
    few = np.flatnonzero(cube.counts <= 4096)
    np.testing.assert_array_equal(np.isnan(snapped), np.isnan(space.encode(there)))
    np.testing.assert_allclose(snapped[:, few], space.encode(there)[:, few], atol=1e-12)
    decoded = space.encode([space.decode_one(row.tolist()) for row in units])
    both = ~np.isnan(decoded) & ~np.isnan(snapped)
    assert both.sum() > 0.98 * max((~np.isnan(decoded)).sum(), (~np.isnan(snapped)).sum())
    assert (np.abs(snapped - units) <= np.abs(decoded - units) + 1e-9)[both].all()
    categories = both & cube.categorical
    np.testing.assert_allclose(snapped[categories], decoded[categories], atol=1e-12)


def test_snapping_twice_is_snapping_once():
    cube = Cube(mixed_space())
    once = cube.snap(np.random.default_rng(1).random((200, 8)))
    again = cube.snap(np.nan_to_num(once, nan=0.5))
    np.testing.assert_allclose(again, once, atol=1e-12)


def test_columns_are_those_with_more_than_one_value():
    cube = Cube(DEEP)
    assert cube.free.tolist() == [0, 1, 2, 3, 4]
    assert cube.columns.categories == (3, 0, 0, 0, 0)
    assert cube.columns.gaps == (False, True, True, False, False)
    assert cube.smooth.tolist() == [False, False, True, False, True, False]
    assert cube.counts.tolist() == [3, 3, np.inf, 3, 100_000, 1]


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("most", [1, 3, 100])
def test_mutants_stay_in_the_cube_and_differ(name, most):
    space, rng = SPACES[name], np.random.default_rng(2)
    cube = Cube(space)
    units = cube.snap(rng.random((400, len(space))))
    moved = cube.mutate(units, rng, (-3.0, -0.5), most)
    assert ((moved >= 0.0) & (moved <= 1.0)).all()
    changed = ~np.isclose(moved, units, rtol=0.0, atol=0.0, equal_nan=True) & ~np.isnan(units)
    assert changed[:, cube.free].any(axis=1).mean() > 0.7  # the others moved what is inactive, or drew what they had
    assert changed.sum(axis=1).mean() < most + 1.5
    np.testing.assert_array_equal(units, cube.snap(np.nan_to_num(units, nan=0.5)))  # the given rows are left alone


def test_a_mutant_of_a_whole_number_moves_by_one_place_at_least():
    space = tw.Space(n=tw.Int(0, 9))
    cube = Cube(space)
    units = np.full((500, 1), 0.45)  # 4
    moved = cube.snap(cube.mutate(units, np.random.default_rng(3), (-6.0, -5.0), 1))
    assert sorted({space.decode_one(row.tolist())["n"] for row in moved}) == [3, 5]


def test_a_space_of_one_point_is_left_as_it_is():
    cube = Cube(tw.Space(x=tw.Float(0.5, 0.5), c=tw.Choice(["a"])))
    assert len(cube.free) == 0
    snapped = cube.snap(np.random.default_rng(4).random((3, 2)))
    assert cube.mutate(snapped, np.random.default_rng(5), (-3.0, -0.5), 5).shape == (3, 2)


def test_believing_follows_a_cut_off_normal_law():
    prior = tw.Prior(0.9, "high")
    space = tw.Space(x=tw.Float(0.0, 1.0, prior=prior), c=tw.Choice(list("abcdef"), prior=tw.Prior("f", "high")))
    cube = Cube(space)
    units = cube.believe(np.random.default_rng(6).random((4000, 2)))
    _, center, std = cube.beliefs[0]
    law = truncnorm((0.0 - center) / std, (1.0 - center) / std, center, std)
    assert kstest(units[:, 0], law.cdf).pvalue > 1e-3
    values = [space.decode_one(row.tolist())["c"] for row in units]
    assert values.count("f") > 0.6 * len(values)
    assert set(values) == set("abcdef")


def test_a_cube_is_made_once():
    space = mixed_space()
    assert cube_of(space) is cube_of(space)


def test_the_bins_of_a_number_have_its_values_in_their_middles():
    layers = tw.Int(1, 5, scale="log")
    walls = bin_walls(layers)
    assert (walls[0], walls[-1], len(walls)) == (0.0, 1.0, 6)
    np.testing.assert_allclose((walls[1:] + walls[:-1]) / 2.0, layers.to_units([1, 2, 3, 4, 5]))
    assert bin_walls(tw.Float(0.0, 1.0)) is None
    assert bin_walls(tw.Int(1, 1025)) is None

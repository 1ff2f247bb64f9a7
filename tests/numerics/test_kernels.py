from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.gaussian_process.kernels import Matern

from tunewell.numerics.bends import Bend
from tunewell.numerics.kernels import Columns, Kernel, matern52, squared_distances

ARC = np.pi / 2.0


def random_units(rng, columns, n):
    """Return coordinates as spaces give them: the middle of a bin for a category, NaN in some gaps."""
    units = rng.random((n, len(columns)))
    for j, (count, gap) in enumerate(zip(columns.categories, columns.gaps, strict=True)):
        if count:
            units[:, j] = (rng.integers(count, size=n) + 0.5) / count
        if gap:
            units[rng.random(n) < 0.3, j] = np.nan
    return units


MIXED = Columns((0, 0, 3, 0, 4, 0), (False, True, False, False, True, True))


def random_kernel(rng, columns, share=None):
    d = len(columns)
    return Kernel(columns, rng.uniform(0.1, 3.0, d), rng.uniform(0.1, 3.0, d), rng.random() if share is None else share)


def squared_distance(u, v, count, gap):
    """Return the squared distance of two values of one column, by the table of the module."""
    if np.isnan(u) and np.isnan(v):
        return 0.0
    if np.isnan(u) or np.isnan(v):
        return 0.5 if count else 1.0 / ARC**2
    if count:
        return 0.0 if u == v else 1.0
    if gap:
        angles = ARC * np.array([u, v])
        return float(np.sum(np.square(np.diff(np.stack([np.cos(angles), np.sin(angles)])))) / ARC**2)
    return (u - v) ** 2


def matern(t):
    return Matern(1.0, nu=2.5)(np.zeros((1, 1)), np.full((1, 1), np.sqrt(t)))[0, 0]


def test_matern_against_scikit_learn():
    t = np.concatenate([[0.0, 1e-14], np.geomspace(1e-6, 1e3, 50)])
    reference = Matern(1.0, nu=2.5)(np.zeros((1, 1)), np.sqrt(t)[:, None])[0]
    np.testing.assert_allclose(matern52(t)[0], reference, rtol=1e-12)


def test_the_derivative_of_matern_against_differences():
    t = np.geomspace(1e-3, 30.0, 40)
    step = 1e-5 * t
    slope = (matern52(t + step)[0] - matern52(t - step)[0]) / (2.0 * step)
    np.testing.assert_allclose(matern52(t)[1], slope, rtol=1e-7)


def test_the_joint_part_against_scikit_learn():
    rng = np.random.default_rng(0)
    columns = Columns((0,) * 4, (False,) * 4)
    kernel = random_kernel(rng, columns, share=0.0)
    a, b = rng.random((9, 4)), rng.random((200, 4))
    np.testing.assert_allclose(kernel.matrix(a, b), Matern(kernel.joint, nu=2.5)(a, b), atol=1e-7)


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_both_parts_against_an_explicit_double_loop(share):
    """Ordered, with gaps, unordered, unordered with gaps; a block of rows more than one."""
    rng = np.random.default_rng(1)
    kernel = random_kernel(rng, MIXED, share)
    units, others = random_units(rng, MIXED, 60), random_units(rng, MIXED, 11)
    expected = np.empty((60, 11))
    for i, x in enumerate(units):
        for k, y in enumerate(others):
            parts = [squared_distance(*each) for each in zip(x, y, MIXED.categories, MIXED.gaps, strict=True)]  # D_j
            joint = matern(sum(part / ell**2 for part, ell in zip(parts, kernel.joint, strict=True)))
            single = np.mean([matern(part / a**2) for part, a in zip(parts, kernel.single, strict=True)])
            expected[i, k] = (1.0 - share) * joint + share * single
    found = kernel.matrix(MIXED.features(units), MIXED.features(others))
    np.testing.assert_allclose(found, expected, atol=1e-7)


@pytest.mark.parametrize("scale", [0.02, 0.3, 1e3])
def test_products_give_the_additive_part_of_rough_and_of_smooth_functions(scale):
    """The smaller of two matrix products, at the ends of the box of a; the corners and equal points among them."""
    rng, columns = np.random.default_rng(6), Columns((0,) * 3, (False,) * 3)
    kernel = Kernel(columns, np.ones(3), np.full(3, scale), 1.0)
    a = np.concatenate([rng.random((300, 3)), [[0.0, 0.5, 1.0], [1.0, 0.0, 0.0]]])
    b = np.concatenate([a[:40], a[-2:], rng.random((60, 3))])
    expected = matern52(((a[:, None, :] - b) / scale) ** 2)[0].mean(axis=2)
    np.testing.assert_allclose(kernel.matrix(a, b), expected, atol=1e-12)


def test_distances_of_pairs_are_those_of_the_table():
    rng = np.random.default_rng(2)
    units = random_units(rng, MIXED, 30)
    rows, others = np.triu_indices(30, 1)
    found = MIXED.distances(MIXED.features(units), rows, others) ** 2
    expected = [
        [
            squared_distance(units[i, j], units[k, j], MIXED.categories[j], MIXED.gaps[j])
            for i, k in zip(rows, others, strict=True)
        ]
        for j in range(len(MIXED))
    ]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_the_square_is_the_lower_triangle_of_the_matrix():
    rng = np.random.default_rng(3)
    kernel = random_kernel(rng, MIXED)
    features = MIXED.features(random_units(rng, MIXED, 230))
    expected = np.tril(kernel.matrix(features, features))
    np.testing.assert_allclose(np.tril(kernel.square(features)), expected, atol=1e-12)


def test_slopes_against_differences():
    rng = np.random.default_rng(4)
    kernel = random_kernel(rng, MIXED, 0.5)
    inputs = MIXED.features(random_units(rng, MIXED, 70))
    units = random_units(rng, MIXED, 6)
    weights = [rng.standard_normal((6, 70)) for _ in range(2)]
    found = kernel.slopes(units, MIXED.features(units), inputs, weights)
    for w, slopes in zip(weights, found, strict=True):
        for j in range(len(MIXED)):
            step = np.zeros_like(units)
            step[:, j] = 0.0 if MIXED.categories[j] else 1e-5
            above, below = (kernel.matrix(MIXED.features(units + s), inputs) for s in (step, -step))
            np.testing.assert_allclose(slopes[:, j], ((above - below) * w).sum(axis=1) / 2e-5, atol=1e-6)


@pytest.mark.parametrize("bend", [False, True])
def test_the_matrix_and_its_derivative_together_are_what_each_is_alone(bend):
    rng = np.random.default_rng(5)
    kernel = random_kernel(rng, MIXED, 0.5)
    if bend:
        kernel = replace(kernel, bend=Bend.of(0.3 * rng.standard_normal(2 * len(MIXED))))
    inputs, units = MIXED.features(random_units(rng, MIXED, 70)), random_units(rng, MIXED, 6)
    features, weights = kernel.features(units), [rng.standard_normal((6, 70)) for _ in range(2)]
    matrix, derivative = kernel.at(features).matrix_and_derivative(units, kernel.at(inputs))
    np.testing.assert_allclose(matrix, kernel.matrix(features, inputs), rtol=1e-12)
    alone = kernel.slopes(units, features, inputs, weights)
    np.testing.assert_allclose(derivative.along(weights), alone, rtol=1e-10, atol=1e-13)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.tuples(st.sampled_from([0, 0, 2, 5, 80]), st.booleans()), min_size=1, max_size=6),
)
def test_matrices_are_positive_definite(seed, kinds):
    rng = np.random.default_rng(seed)
    columns = Columns(*zip(*kinds, strict=True))
    features = columns.features(random_units(rng, columns, 25))
    matrix = random_kernel(rng, columns).matrix(features, features)
    np.testing.assert_allclose(np.diagonal(matrix), 1.0, atol=1e-6)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-9)
    assert np.linalg.eigvalsh(matrix).min() > -1e-6


def test_ten_thousand_categories_need_no_ten_thousand_features():
    """Fixed random directions: two different ones are 1 ± 1/8 apart, by squares, and the table stays small."""
    columns = Columns((10_000, 0), (False, False))
    units = np.stack([(np.arange(0, 10_000, 25) + 0.5) / 10_000, np.zeros(400)], axis=1)
    features = columns.features(units)
    assert features.shape == (400, 65)
    apart = squared_distances(features, features)[np.triu_indices(400, 1)]
    assert abs(apart.mean() - 1.0) < 0.01
    assert apart.std() == pytest.approx(1.0 / 8.0, rel=0.05)
    assert apart.min() > 0.3


def test_what_an_earlier_space_did_not_have_stands_for_the_middle():
    columns = Columns((0, 0), (False, False))
    found = columns.features(np.array([[0.2, np.nan], [0.2, 0.5]]))
    np.testing.assert_array_equal(found[0], found[1])

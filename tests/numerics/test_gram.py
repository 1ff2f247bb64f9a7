from __future__ import annotations

import numpy as np
import pytest

from tunewell.numerics.gp import GaussianProcess
from tunewell.numerics.gram import Gram, cholesky
from tunewell.numerics.kernels import Columns

PLAIN = Columns((0,) * 3, (False,) * 3)
MIXED = Columns((0, 0, 3, 4), (False, True, False, True))


def points(columns, n, seed=0):
    rng = np.random.default_rng(seed)
    units = rng.random((n, len(columns)))
    for j, (count, gap) in enumerate(zip(columns.categories, columns.gaps, strict=True)):
        if count:
            units[:, j] = (rng.integers(count, size=n) + 0.5) / count
        if gap:
            units[rng.random(n) < 0.3, j] = np.nan
    return units


def theta_of(columns, log_noise=-4.0):
    rng, d = np.random.default_rng(1), len(columns)
    return np.concatenate([np.log(rng.uniform(0.3, 2.0, 2 * d)), [0.3, log_noise]])


@pytest.mark.parametrize("columns", [PLAIN, MIXED], ids=["plain", "mixed"])
@pytest.mark.parametrize("head", [1, 5, 60, 99])
def test_rows_added_later_give_the_factor_of_all(columns, head):
    units, extra = points(columns, 100), np.where(np.arange(100) % 7 == 0, 0.1, 0.0)
    whole = Gram.of(columns, theta_of(columns), units, extra)
    grown = Gram.of(columns, theta_of(columns), units[:head], extra[:head]).append(units[head:], extra[head:])
    np.testing.assert_allclose(np.tril(grown.factor), np.tril(whole.factor), atol=1e-9)
    np.testing.assert_array_equal(grown.inputs, whole.inputs)
    np.testing.assert_array_equal(grown.extra, whole.extra)
    targets = np.sin(np.arange(100.0))
    for found, expected in zip(
        GaussianProcess.given(grown, targets).predict(points(columns, 20, 2)),
        GaussianProcess.given(whole, targets).predict(points(columns, 20, 2)),
        strict=True,
    ):
        np.testing.assert_allclose(found, expected, atol=1e-9)


def test_rows_that_are_there_already_are_added_without_noise():
    """Twenty points, four times each: the factor needs a raised diagonal, in the head and in what is added."""
    units, theta = np.tile(points(PLAIN, 20), (4, 1)), theta_of(PLAIN, -40.0)
    whole, grown = Gram.of(PLAIN, theta, units), Gram.of(PLAIN, theta, units[:50]).append(units[50:])
    targets = np.tile(np.sin(np.arange(20.0)), 4)
    for gram in (whole, grown):
        mean, std = GaussianProcess.given(gram, targets).predict(units)
        np.testing.assert_allclose(mean, targets, atol=1e-3)
        assert (std < 1e-2).all()


def test_a_singular_matrix_has_a_factor_nearby():
    matrix = np.ones((6, 6))
    factor = cholesky(matrix)
    np.testing.assert_allclose(factor @ factor.T, matrix, atol=1e-8)
    np.testing.assert_array_equal(cholesky(np.zeros((2, 2))), 1e-150 * np.eye(2))

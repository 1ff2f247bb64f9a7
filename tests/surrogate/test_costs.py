"""What a step costs, told from few trainings."""

from __future__ import annotations

import numpy as np

from tunewell.numerics.kernels import Columns
from tunewell.surrogate.costs import Costs

MIXED = Columns((0, 0, 3), (False, True, False))


def places(n, seed=0):
    """Return coordinates, the second column inactive in some of them."""
    rng = np.random.default_rng(seed)
    units = rng.random((n, 3))
    units[:, 2] = (rng.integers(3, size=n) + 0.5) / 3
    units[::5, 1] = np.nan
    return units


def test_a_power_law_is_found_from_a_dozen_trainings():
    units = np.random.default_rng(0).random((12, 2))
    found = Costs.of(Columns((0, 0), (False, False)), units, 2.0 * units[:, 0] - 0.5 * units[:, 1] + 1.0)
    new = np.array([[0.0, 0.5], [1.0, 0.5], [0.5, 0.0], [0.5, 1.0]])
    np.testing.assert_allclose(found.log(new), 2.0 * new[:, 0] - 0.5 * new[:, 1] + 1.0, atol=0.15)


def test_what_few_trainings_tell_is_not_believed_far():
    columns = Columns((0,), (False,))
    assert Costs.of(columns, np.zeros((0, 1)), np.zeros(0)).log(np.array([[0.3]])) == 0.0
    assert Costs.of(columns, np.array([[0.4]]), np.array([0.7])).log(np.array([[0.9]])) == 0.7
    steep = Costs.of(columns, np.array([[0.5], [0.51]]), np.array([0.0, 1.0]))
    assert abs(steep.log(np.array([[1.0]])) - 0.5) < 0.1


def test_categories_and_inactive_columns_count():
    units = places(60)
    kinds = np.floor(units[:, 2] * 3)
    logs = np.where(kinds == 1, 1.0, 0.0) + np.where(np.isnan(units[:, 1]), 0.0, 0.5)
    new = places(40, seed=1)
    found = Costs.of(MIXED, units, logs).log(new)
    expected = np.where(np.floor(new[:, 2] * 3) == 1, 1.0, 0.0) + np.where(np.isnan(new[:, 1]), 0.0, 0.5)
    np.testing.assert_allclose(found, expected, atol=0.15)

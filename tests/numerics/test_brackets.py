"""The rungs of successive halving and Hyperband against tables written out by hand."""

from __future__ import annotations

import doctest
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewell.numerics import brackets
from tunewell.numerics.brackets import halving, hyperband, levels, rung_steps

# (trials, steps) of each rung of each bracket, the most aggressive first.
TABLES = [
    # Li et al., JMLR 2018, Table 1
    (
        (81, 3, 1, "jmlr"),
        [
            [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
            [(34, 3), (11, 9), (3, 27), (1, 81)],
            [(15, 9), (5, 27), (1, 81)],
            [(8, 27), (2, 81)],
            [(5, 81)],
        ],
    ),
    # Li et al., ICLR 2017, Table 1; Falkner et al. 2018
    (
        (81, 3, 1, "floor"),
        [
            [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
            [(27, 3), (9, 9), (3, 27), (1, 81)],
            [(9, 9), (3, 27), (1, 81)],
            [(6, 27), (2, 81)],
            [(5, 81)],
        ],
    ),
    (
        (27, 3, 1, "jmlr"),
        [[(27, 1), (9, 3), (3, 9), (1, 27)], [(12, 3), (4, 9), (1, 27)], [(6, 9), (2, 27)], [(4, 27)]],
    ),
    (
        (27, 3, 1, "floor"),
        [[(27, 1), (9, 3), (3, 9), (1, 27)], [(9, 3), (3, 9), (1, 27)], [(6, 9), (2, 27)], [(4, 27)]],
    ),
    ((8, 2, 1, "jmlr"), [[(8, 1), (4, 2), (2, 4), (1, 8)], [(6, 2), (3, 4), (1, 8)], [(4, 4), (2, 8)], [(4, 8)]]),
    # R is no power of η: the steps are rounded, 100 / 64 = 1.56, 100 / 16 = 6.25
    (
        (100, 4, 1, "jmlr"),
        [[(64, 2), (16, 6), (4, 25), (1, 100)], [(22, 6), (5, 25), (1, 100)], [(8, 25), (2, 100)], [(4, 100)]],
    ),
    # with a least number of steps there are fewer brackets
    ((81, 3, 9, "jmlr"), [[(9, 9), (3, 27), (1, 81)], [(5, 27), (1, 81)], [(3, 81)]]),
    ((50, 3, 5, "jmlr"), [[(9, 6), (3, 17), (1, 50)], [(5, 17), (1, 50)], [(3, 50)]]),
    ((2, 3, 1, "jmlr"), [[(1, 2)]]),
]


@pytest.mark.parametrize(("arguments", "table"), TABLES)
def test_the_tables(arguments, table):
    assert hyperband(*arguments) == table


def test_the_examples_of_the_docstrings():
    assert doctest.testmod(brackets).failed == 0


def test_a_logarithm_would_be_off_by_one():
    assert [levels(3**k, 3) for k in range(1, 20)] == list(range(1, 20))
    assert [levels(3**k - 1, 3) for k in range(1, 20)] == list(range(19))


def test_too_few_trials_leave_one():
    assert halving(10, 81, 3, 4) == [(10, 1), (3, 3), (1, 9), (1, 27), (1, 81)]


@given(most=st.integers(1, 10**6), reduction=st.integers(2, 10), least=st.integers(1, 50))
def test_rungs_rise_from_the_least_to_the_most(most, reduction, least):
    s_max = levels(most, reduction, least)
    assert s_max == 0 or least * reduction**s_max <= most < least * reduction ** (s_max + 1)
    for s in range(s_max + 1):
        steps = rung_steps(most, reduction, s)
        assert len(steps) == s + 1
        assert steps[-1] == most
        assert all(low < high for low, high in itertools.pairwise(steps))
        assert s == 0 or steps[0] >= least
    for table in ("jmlr", "floor"):
        for rungs in hyperband(most, reduction, least, table):
            assert all(more // reduction == fewer for (more, _), (fewer, _) in itertools.pairwise(rungs))

"""The usual ranges hold what was best in the trainings that are recorded in this repository."""

from __future__ import annotations

import pytest
from benchmarks.knowledge.__main__ import TARGET, coverage, mean, of_defaults
from benchmarks.knowledge.tables import Table, recorded_here


@pytest.fixture(scope="module")
def tables() -> list[Table]:
    return recorded_here()


def test_the_best_configurations_lie_in_the_usual_ranges(tables: list[Table]) -> None:
    found = [one for table in tables for one in coverage(table)]
    shares = {name: mean([one.best for one in found if one.name == name]) for name in {one.name for one in found}}
    assert len(shares) >= 14
    assert {name: share for name, share in shares.items() if share < TARGET} == {}


def test_the_defaults_are_better_than_a_random_configuration(tables: list[Table]) -> None:
    ranks = [of_defaults(table)[0] for table in tables]
    assert len(ranks) == 11
    assert sum(ranks) / len(ranks) < 50.0

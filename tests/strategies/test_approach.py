"""Panda or caviar: which of the two fits the machine and the budget."""

from __future__ import annotations

from typing import Any

import pytest

import tunewell as tw
from tunewell.strategies import panda_or_caviar

SPACE = tw.Space(lr=tw.Float(1e-4, 1.0, scale="log", default=1e-2))
HOUR = 3600.0


@pytest.mark.parametrize(
    ("given", "choice", "at_a_time", "reason"),
    [
        (
            {"seconds": 8 * HOUR, "training": 3 * HOUR},
            "panda",
            1,
            "8 h are 2 trainings of 3 h, too few to compare: watch one and change it by hand",
        ),
        (
            {"seconds": 8 * HOUR, "training": 3 * HOUR, "workers": 8},
            "caviar",
            8,
            "8 h are 16 trainings of 3 h, 8 at a time: the best of 16 is on average among the best 5.9 %",
        ),
        (
            {"seconds": 2 * HOUR, "training": HOUR, "memory": 5.0, "capacity": 24.0},
            "caviar",
            4,
            "2 h are 8 trainings of 60 min, 4 at a time: the best of 8 is on average among the best 11 %",
        ),
        (
            {"seconds": HOUR, "training": 2 * HOUR, "workers": 100},
            "panda",
            100,
            "60 min are no trainings of 2 h, 100 at a time: none can finish, so take more time or train for less",
        ),
        (
            {"seconds": 0.3, "training": 0.1},
            "panda",
            1,
            "0.3 s are 3 trainings of 0.1 s, too few to compare: watch one and change it by hand",
        ),
        (
            {"seconds": 2 * HOUR, "training": 1.0, "memory": 90.0, "capacity": 80.0},
            "panda",
            0,
            "a training needs 90 GB and there are 80: make it smaller first, and watch it",
        ),
    ],
)
def test_it_goes_by_the_number_of_trainings(given: dict[str, Any], choice: str, at_a_time: int, reason: str):
    found = panda_or_caviar(**given)
    assert (found.choice, found.at_a_time, found.reason) == (choice, at_a_time, reason)
    assert str(found) == f"{choice}: {reason}"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seconds": 0.0, "training": 1.0}, "panda_or_caviar expected seconds to be a number above 0, got 0.0"),
        ({"seconds": "8h", "training": 3}, "expected seconds to be a number above 0, got '8h': times are in seconds"),
        ({"seconds": 9.0, "training": None}, "expected training to be a number above 0, got None"),
        ({"seconds": 9.0, "training": 1.0, "memory": 4.0}, "panda_or_caviar expected memory= and capacity= together"),
    ],
)
def test_what_cannot_be_judged_is_told(given: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        panda_or_caviar(**given)


def test_a_plan_says_it_in_its_last_line():
    study = tw.Study(SPACE)
    few = str(study.plan(trials=3)).splitlines()[-1]
    assert few == "  Panda: 3 trainings, too few to compare: watch one and change it by hand."
    many = str(study.plan(seconds=2 * HOUR, training=HOUR, workers=8)).splitlines()[-1]
    assert many == "  Caviar: 16 trainings: the best of 16 is on average among the best 5.9 %."
    assert study.plan().approach is None
    short = study.plan(seconds=HOUR, training=2 * HOUR, workers=100)
    assert str(short).startswith("plan for 60 min, less than a training of 2 h takes\n")
    assert str(short).endswith("Panda: no trainings: none can finish, so take more time or train for less.")
    assert short.to_json()["approach"]["trainings"] == 0
    with pytest.raises(ValueError, match="a plan expected a whole number of workers of at least 1, got 0"):
        study.plan(seconds=HOUR, workers=0)

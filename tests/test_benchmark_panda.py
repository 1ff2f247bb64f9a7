"""The benchmark of watching one training: how changes are judged, and that a training can be copied in the middle."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from benchmarks.panda.changes import SETUPS, Change, Training, Values

BEFORE = (2.0, 1.5, 1.2, 1.0, 1.0, 1.0)
UNCHANGED = ((0.6,) * 30, (0.62,) * 30, (0.58,) * 30)


def change(*after: float, values: Values | None = None) -> Change:
    return Change("a training", values or {"learning_rate": 1.0}, BEFORE, after, UNCHANGED)


@pytest.mark.parametrize(
    ("after", "outcome"),
    [
        ((1.2,) * 30, "harmful at once"),
        ((0.9, math.nan), "harmful at once"),
        ((*[0.9] * 15, *[1.2] * 15), "harmful later"),
        ((*[1.2] * 15, *[0.9] * 15), "slower"),
        ((0.9,) * 30, "slower"),
        ((0.65,) * 30, "neutral"),
        ((*[9.0] * 25, *[0.5] * 5), "helpful"),
    ],
)
def test_a_change_is_judged_by_where_the_loss_ends(after: tuple[float, ...], outcome: str):
    assert change(*after).outcome == outcome


def test_the_guard_sees_one_report_after_another():
    assert change(*[5.0] * 30).taken_back_after == 3
    assert change(*[1.9] * 30).taken_back_after == 5
    assert change(0.9, math.nan).taken_back_after == 2
    assert change(*[0.9] * 10, *[9.0] * 20).taken_back_after is None
    assert change(*UNCHANGED[0]).taken_back_after is None


def test_what_was_changed_has_a_name():
    assert change(0.6).parameter == "learning_rate"
    assert Change("a training", {}, BEFORE, UNCHANGED[0], UNCHANGED).parameter == "nothing"


@pytest.mark.parametrize("setup", SETUPS, ids=lambda setup: setup.name)
def test_a_training_goes_on_from_the_middle_again_and_again(setup):
    training, values = Training(setup, setup.rates[0], seed=0), setup.values(setup.rates[0])
    training.losses(1, order=9)
    state = training.state()
    first = training.losses(2, order=0)
    training.back(state, {**values, "learning_rate": 10.0, "dropout": 0.9})
    assert training.losses(2, order=0) != first
    training.back(state, values)
    assert training.losses(2, order=0) == first

"""The labelled set of trainings, and how good the shipped diagnosis is on families it was not learnt from."""

from __future__ import annotations

import math
import re
from collections import Counter
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

import torch
from benchmarks.diagnosis.__main__ import guessed, said_of
from benchmarks.diagnosis.advice import changed, repaired
from benchmarks.diagnosis.copies import Copy, drawn_copies, features_of
from benchmarks.diagnosis.data import Shape
from benchmarks.diagnosis.families import FAMILIES, chance, circumstances
from benchmarks.diagnosis.labels import Row, earlier_was_better, exploded, finite, learnt_in_the_end, much, restlessness
from benchmarks.diagnosis.learn import named, set_of, threshold
from benchmarks.diagnosis.plan import planned, setups
from benchmarks.diagnosis.record import recorded, run_of
from benchmarks.diagnosis.training import Run

from tunewell.analysis.diagnosis import Action, Label

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def labelled() -> list[tuple[Row, str]]:
    return set_of(recorded())


def test_the_set_is_large_and_families_are_held_out_whole(labelled: list[tuple[Row, str]]) -> None:
    counts = Counter(label for _, label in labelled)
    assert len(labelled) >= 2000
    assert set(counts) == set(Label) - {"too-early", "uncertain"}
    assert min(counts.values()) >= 15
    held = {run_of(row).family for row, _ in labelled if FAMILIES[run_of(row).family].held_out}
    assert len(held) == 16
    well = [row for row, label in labelled if label == "healthy" and run_of(row).family in held]
    assert len(well) >= 100
    assert len({(run_of(row).family, run_of(row).optimizer) for row, _ in labelled}) == len(setups())


def test_the_shipped_diagnosis_is_as_good_as_its_page_says(labelled: list[tuple[Row, str]]) -> None:
    held = [(row, label) for row, label in labelled if FAMILIES[run_of(row).family].held_out]
    named = [(said_of(row)[0], label) for row, label in held]
    right = sum(said.code == label for said, label in named)
    false = sum(said.label.ill for said, label in named if label == "healthy")
    page = (ROOT / "benchmarks/results/diagnosis.md").read_text()
    told = re.search(r"right\*\*: of \d+ of (\d+) trainings.*are named rightly \((\d+)\)", page)
    alarms = re.search(r"healthy trainings \((\d+) of (\d+);", page)
    assert told is not None
    assert alarms is not None
    assert (len(held), right) == (int(told[1]), int(told[2]))
    assert false == int(alarms[1])
    assert right >= 0.86 * len(held)


def test_where_nothing_is_certain_the_most_probable_label_is_guessed(labelled: list[tuple[Row, str]]) -> None:
    held = [row for row, _ in labelled if FAMILIES[run_of(row).family].held_out]
    unsure = [row for row in held if said_of(row)[0].label is Label.UNCERTAIN]
    assert unsure
    assert all(f"may be {guessed(row)} " in said_of(row)[0].evidence[0] for row in unsure)
    assert guessed(held[0]) == said_of(held[0])[0].code


def test_trainings_that_end_no_better_than_guessing_are_hardly_ever_called_healthy(
    labelled: list[tuple[Row, str]],
) -> None:
    dead = [row for row, label in labelled if label != "healthy" and finite(row) and not learnt_in_the_end(row)]
    dead = [row for row in dead if FAMILIES[run_of(row).family].held_out]
    assert len(dead) >= 200
    assert sum(said_of(row, params=False)[0].code == "healthy" for row in dead) <= 0.02 * len(dead)


def test_copies_of_a_training_are_the_same_every_time_and_lack_what_they_say(
    labelled: list[tuple[Row, str]],
) -> None:
    row = next(row for row, _ in labelled if run_of(row).reports == 24)
    copies = list(drawn_copies(row, 40))
    assert copies == list(drawn_copies(row, 40))
    assert {copy.told for copy in copies} == {0, 1, 2}
    plain = features_of(row, Copy("plain", told=0))
    assert math.isnan(plain["rate"])
    assert "skill" not in plain or math.isnan(plain["skill"])
    assert features_of(row, Copy(share=0.5))["share"] == 0.5
    scaled = features_of(row, Copy("losses", scale=2.0))
    assert scaled["fallen"] == pytest.approx(features_of(row, Copy("losses"))["fallen"])


def test_the_threshold_calls_few_healthy_trainings_ill() -> None:
    health = np.linspace(0.01, 0.49, 97)
    assert np.sum(health < threshold(health, 100, 0.015)) == 1
    assert np.sum(health < threshold(health, 400, 0.015)) == 6  # the others look like no such fault
    assert threshold(np.array([0.9]), 100, 0.015) < 0.5  # and never is it more probable than not


def test_a_fault_that_health_looks_like_needs_a_less_probable_health() -> None:
    bars = np.array([0.3, 0.0, 0.1])  # of the labels; the second is health
    shares = np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7], [0.05, 0.05, 0.9], [0.2, 0.6, 0.2]])
    assert named(shares, bars, 1).tolist() == [0, -1, 2, 1]


def test_copies_may_lack_accuracies_and_have_lifted_losses(labelled: list[tuple[Row, str]]) -> None:
    row = next(row for row, _ in labelled if run_of(row).family == "mlp/digits" and run_of(row).reports == 24)
    told, untold = features_of(row, Copy()), features_of(row, Copy(untold=("train_accuracy", "val_accuracy")))
    assert math.isfinite(told["skill"])
    assert math.isnan(untold["skill"])
    assert untold["fallen"] == told["fallen"]
    lifted = features_of(row, Copy(lift=1.0))
    assert lifted["fallen"] == pytest.approx(told["fallen"] / 2.0)
    assert any(copy.lift for copy in drawn_copies(row, 40))
    assert any(copy.untold for copy in drawn_copies(row, 40))


def test_families_of_their_own_circumstances_have_the_same_ones_every_time_and_differ() -> None:
    own = {name: family.usual for name, family in FAMILIES.items() if family.usual}
    assert len(own) >= 100
    assert all(circumstances(name) == usual for name, usual in own.items())
    for what in ("optimizer", "reports", "batch_size", "cosine", "staircase", "momentum", "dropout"):
        assert len({usual[what] for usual in own.values()}) > 1
    assert all(8 <= usual["reports"] <= 60 and 100 <= usual["steps"] <= 600 for usual in own.values())
    assert all(planned(name, usual["optimizer"], "brief", lambda run: None) == [] for name, usual in own.items())


@pytest.mark.parametrize(
    ("loss", "wanted", "chance_of"),
    [
        ("squared", [[0.0, 1.0], [2.0, 1.0]], 0.5),  # variances of 1 and 0
        ("absolute", [[0.0], [2.0], [7.0]], 7.0 / 3.0),  # of the median
        ("binary", [[0.0], [1.0]], math.log(2.0)),
    ],
)
def test_chance_is_the_loss_of_the_best_constant(
    loss: Literal["squared", "absolute", "binary"], wanted: list[list[float]], chance_of: float
) -> None:
    shape = Shape((1,), 0, numbers=len(wanted[0]), loss=loss)
    assert chance(shape, torch.tensor(wanted)) == pytest.approx(chance_of, rel=1e-5)


def row_of(train: list[float], test: list[float], chance: float = 2.3) -> Row:
    run = {"family": "mlp/digits", "optimizer": "sgd", "learning_rate": 0.1, "reports": len(train)}
    return {"run": run, "train_loss": train, "test_loss": test, "val_loss": test, "chance": chance}


def test_only_a_loss_that_ends_far_above_its_beginning_diverges() -> None:
    assert exploded(row_of([2.3, 9.0, 40.0, 40.0, 40.0], [2.3, 9.0, 40.0, 40.0, 40.0]))
    assert exploded(row_of([2.3, 2.0, 1.0, 1.0, math.nan], [2.3, 2.0, 1.0, 1.0, math.nan]))
    assert not exploded(row_of([900.0, 9.0, 6.0, 6.0, 6.0], [90.0, 9.0, 6.0, 6.0, 6.0]))  # thrown up, and falls since


def test_a_loss_of_zero_is_at_rest() -> None:
    assert restlessness(row_of([0.1] * 6, [0.0] * 6)) == 0.0


def test_a_fault_has_to_cost_something() -> None:
    assert much(row_of([1.0] * 5, [1.0] * 5)) == pytest.approx(0.75)
    assert much(row_of([0.1] * 5, [0.1] * 5)) < 0.0  # nothing is much better than so little
    fallen = [2.0, 1.0, 0.5, 0.3, 0.2, 0.1, 0.1, 0.05]
    assert earlier_was_better(row_of(fallen, [2.0, 1.0, 1.0, 1.2, 1.4, 1.6, 1.8, 1.8]))
    assert not earlier_was_better(row_of(fallen, [2.0, 0.2, 0.1, 0.1, 0.1, 0.12, 0.13, 0.14]))


def test_an_action_changes_the_training_that_it_is_given_for() -> None:
    run = Run("mlp/digits", "sgd", 0.1, dropout=0.0)
    again = changed(run, [Action("multiply", "learning_rate", 0.1, ""), Action("at_least", "dropout", 0.4, "")])
    assert (again.learning_rate, again.dropout, again.clip) == (pytest.approx(0.01), 0.4, 0.0)
    assert repaired(Run("mlp/digits", "sgd", 0.1, noise=0.5)).noise == 0.0

"""The labelled set of trainings, and how good the shipped diagnosis is on families it was not learnt from."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("torch")

from benchmarks.diagnosis.__main__ import said_of
from benchmarks.diagnosis.advice import changed, repaired
from benchmarks.diagnosis.families import FAMILIES
from benchmarks.diagnosis.labels import Row
from benchmarks.diagnosis.learn import set_of
from benchmarks.diagnosis.record import recorded, run_of
from benchmarks.diagnosis.training import Run

from tunewell.analysis.diagnosis import Action, Label

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def labelled() -> list[tuple[Row, str]]:
    return set_of(recorded())


def test_the_set_is_large_and_families_are_held_out_whole(labelled: list[tuple[Row, str]]) -> None:
    counts = Counter(label for _, label in labelled)
    assert len(labelled) >= 400
    assert set(counts) == set(Label) - {"too-early", "uncertain"}
    assert min(counts.values()) >= 15
    held = {run_of(row).family for row, _ in labelled if FAMILIES[run_of(row).family].held_out}
    assert len(held) == 8


def test_the_shipped_diagnosis_is_as_good_as_its_page_says(labelled: list[tuple[Row, str]]) -> None:
    held = [(row, label) for row, label in labelled if FAMILIES[run_of(row).family].held_out]
    named = [(said_of(row)[0].code, label) for row, label in held]
    right = sum(code == label for code, label in named)
    page = (ROOT / "benchmarks/results/diagnosis.md").read_text()
    said = re.search(r"right\*\* \((\d+) of (\d+);", page)
    assert said is not None
    assert (right, len(held)) == (int(said[1]), int(said[2]))
    assert right >= 0.8 * len(held)


def test_an_action_changes_the_training_that_it_is_given_for() -> None:
    run = Run("mlp/digits", "sgd", 0.1, dropout=0.0)
    again = changed(run, [Action("multiply", "learning_rate", 0.1, ""), Action("at_least", "dropout", 0.4, "")])
    assert (again.learning_rate, again.dropout, again.clip) == (pytest.approx(0.01), 0.4, 0.0)
    assert repaired(Run("mlp/digits", "sgd", 0.1, noise=0.5)).noise == 0.0

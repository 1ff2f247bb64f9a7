"""The benchmark of the tiered strategy: its tasks, and how its page counts."""

from __future__ import annotations

import math

import pytest
from benchmarks.search.methods.axes import axes, said
from benchmarks.tiered import report
from benchmarks.tiered.tasks import names, problem


def test_a_table_becomes_a_problem_with_known_names_and_defaults() -> None:
    assert "digits_cnn" in names()
    assert "phoneme_mlp" not in names()  # five hyperparameters only
    at = problem("digits_cnn", "nearest")
    assert {"channels", "schedule", "learning_rate"} <= set(at.space)
    assert at.space.default()["momentum"] == pytest.approx(0.9)
    assert at.scale[0] <= at.loss(at.space.default())


def test_peers_are_told_the_default_in_their_own_words() -> None:
    at = problem("digits_cnn", "nearest")
    told = said(at.space, at.space.default())
    back = {axis.name: axis.value(told[axis.name]) for axis in axes(at.space)}
    for name, value in at.space.default().items():
        assert back[name] == (pytest.approx(value) if isinstance(value, float) else value)


def test_the_page_counts_regrets_and_ranks() -> None:
    least, middle = problem("digits_mlp", "nearest").scale
    ends = {"tunewell-tiered": least, "tunewell-random": middle, "optuna-tpe": (least + middle) / 2}
    rows = {
        method: [
            {"table": "digits_mlp", "answer": "nearest", "seed": seed, "budget": budget, "best": best}
            for seed in range(2)
            for budget in (10, 25)
        ]
        for method, best in ends.items()
    }
    page = report.page(rows, (10, 25))
    assert "1 tasks on 1 tables, 2 seeds each" in page
    assert "| tunewell-tiered | 1.00 (0.0 %) | 1.00 (0.0 %) |" in page
    assert "| optuna-tpe | 2.00 (50.0 %) | 2.00 (50.0 %) |" in page
    assert "| tunewell-random, optuna-tpe at once | 1 | 1 |" in page
    assert not math.isnan(least)


def test_the_page_says_what_holds_of_live_trainings_alone() -> None:
    rows = {
        method: [
            {"table": "digits_mlp", "answer": answer, "seed": 0, "budget": 10, "best": best}
            for answer in ("nearest", "live")
        ]
        for method, best in {"tunewell-tiered": -0.9, "tunewell-random": -0.8}.items()
    }
    page = report.page(rows, (10,))
    assert "# Only nearest\n" in page
    live = page.partition("# Only live\n")[2]
    assert "1 tasks on 1 tables, 1 seeds each: 1 searches a method." in live
    assert "| tunewell-random | 1 |" in live
    assert "Only" not in report.page({method: of[:1] for method, of in rows.items()}, (10,))

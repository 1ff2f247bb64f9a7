"""The live benchmark: trainings continue as if they had never rested, and a log says when the target was reached."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

sys.path.append(str(Path(__file__).parent.parent))  # the benchmarks stand beside the package, not in it

from benchmarks.fidelity.live import ours
from benchmarks.fidelity.live.report import Ran, _levels, _ratios
from benchmarks.fidelity.live.run import measured
from benchmarks.fidelity.live.training import TASKS, Search
from benchmarks.fidelity.networks import Tensors

import tunewell as tw

LOG = [
    {"time": 103.0, "begin": {"x": 1}},
    {"time": 105.0, "epoch": 1, "seconds": 2.0, "cpu": 1.5, "validation": 0.5, "test": 0.6},
    {"time": 107.0, "epoch": 2, "seconds": 2.0, "cpu": 1.5, "validation": 0.4, "test": 0.9},
    {"time": 108.0, "begin": {"x": 2}},
    {"time": 109.0, "epoch": 1, "seconds": 1.0, "cpu": 0.5},
    {"time": 111.0, "begin": {"x": 1}},
    {"time": 113.0, "epoch": 3, "seconds": 2.0, "cpu": 1.0, "validation": 0.7, "test": 0.8},
    {"time": 114.0, "epoch": 4, "seconds": 1.0, "cpu": 1.0, "validation": 0.9, "test": 0.95},
]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def search(tmp_path: Path) -> Search:
    rng = np.random.default_rng(0)
    parts = [
        (torch.tensor(rng.normal(size=(40, 16)), dtype=torch.float32), torch.tensor(rng.integers(3, size=40)))
        for _ in range(3)
    ]
    return Search(TASKS["letter_live"], Tensors(parts[0], parts[1], parts[2], 3), 0, 1.0, tmp_path)


def epochs(search: Search) -> list[tuple[int, float, float]]:
    lines = [json.loads(line) for line in search.log.read_text().splitlines()]
    return [(line["epoch"], line["validation"], line["test"]) for line in lines if "epoch" in line]


def test_a_training_that_was_saved_and_continued_is_the_same_as_one_in_one_go(search: Search, tmp_path: Path) -> None:
    config = search.task.space.default(batch_norm=True, batch_size=16)
    whole = search.begin(config)
    expected = [whole.epoch(epoch) for epoch in (1, 2, 3)]
    first = search.begin(config)
    begun = [first.epoch(epoch) for epoch in (1, 2)]
    first.save(tmp_path)
    rest = search.begin(config)
    rest.load(tmp_path)
    assert [*begun, rest.epoch(3)] == expected
    logged = epochs(search)
    assert logged[:3] == logged[3:]


def test_tunewell_is_told_the_validation_accuracy_and_nothing_else(search: Search, tmp_path: Path) -> None:
    study = tw.Study(search.task.space, "val_accuracy", "max", seed=0, scheduler="fifo", directory=tmp_path / "study")
    study.run(lambda trial: ours.train(search, trial), trials=1, executor="inline", progress=False)
    reports = study.trials[0].reports
    assert [dict(report.metrics) for report in reports] == [{"val_accuracy": value} for _, value, _ in epochs(search)]


def test_what_counts_is_the_test_accuracy_of_the_best_by_validation_within_the_limit() -> None:
    row = measured(reversed(LOG), launched=100.0, seconds=10.0)
    assert row["found"] == [(2.0, 0.5, 0.6, 1.5), (10.0, 0.7, 0.8, 4.5)]
    assert (row["start_up"], row["trainings"], row["stretches"]) == (3.0, 2, 3)
    assert (row["epochs"], row["training"], row["cpu"]) == (4, 7.0, 4.5)


def test_the_target_is_reached_when_the_incumbent_first_has_it() -> None:
    ran = Ran({**measured(LOG, launched=100.0, seconds=10.0), "seconds": 10.0})
    assert ran.reached(0.75) == 10.0
    assert ran.reached(0.75, with_start_up=True) == 13.0
    assert ran.trained(0.75) == 4.5
    assert ran.reached(0.9) == ran.trained(0.9) == np.inf
    assert ran.after(9.0) == 0.6
    assert np.isnan(ran.after(4.0, with_start_up=True))


def test_the_target_is_reached_for_good_after_the_last_incumbent_below_it() -> None:
    tests = [0.6, 0.9, 0.7, 0.85, 0.9]
    ran = Ran({"start_up": 0.0, "found": [(float(k), 0.1 * k, test, 0.0) for k, test in enumerate(tests)]})
    assert (ran.reached(0.8), ran.stayed(0.8)) == (1.0, 3.0)
    assert ran.stayed(0.95) == np.inf


def test_ours_is_compared_with_whoever_else_is_quickest_for_each_target() -> None:
    def searches(*times: float) -> list[Ran]:
        found = [(time, 0.1 * k, 0.8 + 0.1 * k, 0.0) for k, time in enumerate(times)]
        return [Ran({"start_up": 2.0, "seconds": 60.0, "found": found})]

    ran = {"tunewell": searches(3.0, 12.0), "slow": searches(40.0), "quick": searches(10.0, 24.0)}
    assert _ratios(ran, 0.8).endswith("**0.30 against quick**; with start-up 0.42 against quick.")
    assert _ratios(ran, 0.9).endswith("**0.50 against quick**; with start-up 0.54 against quick.")
    assert "**more than 2.5 against quick**" in _ratios({**ran, "tunewell": searches(3.0)}, 0.9)
    assert "**not measured**" in _ratios({"quick": ran["quick"]}, 0.9)
    assert _levels("test accuracy", {4: 0.8, 32: 0.9}, ran, Ran.reached).splitlines()[2:] == [
        "| 4 | 80.00 % | 3.00 | 40.0 | 10.0 | 0.30 against quick |",
        "| 32 | 90.00 % | 12.0 | ∞ | 24.0 | 0.50 against quick |",
    ]
    assert _levels("validation accuracy", {8: 0.1}, ran, Ran.seen).splitlines()[2:] == [
        "| 8 | 10.00 % | 12.0 | ∞ | 24.0 | 0.50 against quick |",
    ]

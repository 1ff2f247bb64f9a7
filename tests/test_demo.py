"""The demo, on a tiny plan: its split, its silence about the test images, exact resumption, honest arithmetic."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest
from scipy import stats

pytest.importorskip("torch")
pytest.importorskip("sklearn")

import torch
from sklearn.datasets import load_digits

import tunewell as tw
from tunewell import demo

TINY = demo.Plan(trials=4, epochs=3, seeds=(1, 2), executor="inline")


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def parts():
    return demo.three_parts()


# --- the images -------------------------------------------------------------------------------------------------------


def test_the_parts_are_all_images_without_overlap(parts):
    assert sorted(index for part in parts for index in part) == list(range(1797))
    assert [len(part) for part in parts] == [599, 599, 599]


def test_the_split_is_stratified_and_fixed(parts):
    labels = load_digits().target
    counts = [Counter(labels[part].tolist()) for part in parts]
    for digit in range(10):
        found = [count[digit] for count in counts]
        assert max(found) - min(found) <= 1
    assert demo.three_parts() == parts


def test_a_part_holds_its_own_images(parts):
    part = demo.load_part(parts[1])
    assert part.pixels.shape == (599, 1, 8, 8)
    assert (part.pixels.min(), part.pixels.max()) == (0.0, 1.0)
    assert part.labels.tolist() == load_digits().target[parts[1]].tolist()


def test_the_search_has_no_test_images(parts, monkeypatch, tmp_path):
    loaded = []

    def load(indices):
        loaded.append(indices)
        return whole(indices)

    def stop_here(*_):
        raise StopIteration

    whole = demo.load_part
    monkeypatch.setattr(demo, "load_part", load)
    monkeypatch.setattr(demo, "_winner", stop_here)
    with pytest.raises(StopIteration):
        demo.run_plan(dataclasses.replace(TINY, trials=1, epochs=1), tmp_path, None, quiet=True)
    assert loaded == [parts[0], parts[1]]
    assert {field.name for field in dataclasses.fields(demo.Search)} == {"training", "validation", "epochs"}


# --- resuming ---------------------------------------------------------------------------------------------------------


def test_a_resumed_training_equals_an_uninterrupted_one(parts, tmp_path):
    part, config = demo.load_part(parts[0]), demo.SPACE.default(shift=0.5, dropout=0.5)
    straight = demo.Training(config, seed=3, epochs=3)
    for epoch in (1, 2, 3):
        straight.train(part, epoch)

    first = demo.Training(config, seed=3, epochs=3)
    first.train(part, 1)
    first.save(tmp_path)
    torch.rand(7)  # whatever happens in between
    resumed = demo.Training(config, seed=99, epochs=3)
    resumed.load(tmp_path)
    for epoch in (2, 3):
        resumed.train(part, epoch)

    one, other = straight.network.state_dict(), resumed.network.state_dict()
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_study_cut_in_two_reports_the_same_as_one_in_one_piece(parts):
    objective = demo.Search(demo.load_part(parts[0]), demo.load_part(parts[1]), epochs=3)

    def curve(*totals):
        study = tw.Study(demo.SPACE, metric="val_loss", seed=0)
        for steps in totals:
            study.run(objective, steps=steps, trials=1, executor="inline", progress=False)
        return [(report.step, dict(report.metrics)) for report in study.trials[0].reports]

    assert curve(1, 3) == curve(3)
    assert len(curve(3)) == 3


def test_images_move_by_at_most_a_pixel():
    torch.manual_seed(0)
    pixels = torch.zeros(200, 1, 8, 8)
    pixels[:, :, 4, 4] = 1.0
    moved = demo.shifted(pixels, 1.0)
    places = moved.flatten(1).argmax(dim=1)
    assert {(int(place) // 8 - 4, int(place) % 8 - 4) for place in places} == {
        (dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)
    }
    assert moved.sum() == pixels.sum()
    assert torch.equal(demo.shifted(pixels, 0.0), pixels)


# --- the comparison ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_the_comparison_is_the_paired_t_interval_of_scipy(seed):
    rng = np.random.default_rng(seed)
    default, winner = rng.normal(0.98, 0.004, 6), rng.normal(0.985, 0.003, 6)
    found = demo.compare(default.tolist(), winner.tolist())
    expected = stats.ttest_rel(winner, default).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-9)
    assert found.difference == pytest.approx(winner.mean() - default.mean())


def test_the_verdict_says_what_the_interval_says():
    assert demo.compare([0.90, 0.91, 0.92], [0.95, 0.96, 0.98]).verdict.startswith("The winner is better")
    assert demo.compare([0.95, 0.96, 0.98], [0.90, 0.91, 0.92]).verdict.startswith("The default is better")
    assert demo.compare([0.95, 0.90, 0.93], [0.94, 0.93, 0.92]).verdict.startswith("No clear difference")
    same = demo.compare([0.95, 0.95], [0.95, 0.95])
    assert (same.low, same.high) == (0.0, 0.0)
    assert same.verdict.startswith("No clear difference")


@pytest.mark.parametrize(("default", "winner"), [([0.9], [0.9]), ([], []), ([0.9, 0.8], [0.9])])
def test_a_comparison_needs_two_pairs(default, winner):
    with pytest.raises(ValueError, match="expected at least two pairs"):
        demo.compare(default, winner)


# --- the whole --------------------------------------------------------------------------------------------------------


def test_the_demo_runs_and_a_second_run_only_shows(tmp_path, capsys):
    assert demo.run_plan(TINY, tmp_path, None) == 0
    first = capsys.readouterr().out
    assert "Tuning 7 hyperparameters" in first
    assert "Accuracy on the 599 test images" in first
    assert (tmp_path / "report.html").stat().st_size > 1000
    database = str(tmp_path / "digits.db")
    search, final = tw.open(database, "digits"), tw.open(database, "digits-final")
    assert search.trials[0].params == demo.SPACE.default()
    assert len(search.trials) == 4
    # The printed table is what the trials measured.
    measured = demo.pairs(final.history, TINY.seeds)
    assert [seed for seed, _, _ in measured] == [1, 2]
    for seed, default, winner in measured:
        assert f"seed {seed}" in first
        assert f"{100 * default:.2f} %" in first
        assert f"{100 * winner:.2f} %" in first
    events = len(search.events), len(final.events)

    assert demo.run_plan(TINY, tmp_path, None) == 0
    second = capsys.readouterr().out
    assert "This demo is finished" in second
    assert "To start over" in second
    assert first.partition("Accuracy on")[2] == second.partition("Accuracy on")[2]
    assert (len(search.events), len(final.events)) == events


def test_without_pytorch_one_sentence_says_how_to_install_it(tmp_path):
    code = """
import sys
from pathlib import Path

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

sys.meta_path.insert(0, NoTorch())
from tunewell.demo import run
try:
    run(Path("demo"))
except ModuleNotFoundError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "the demo expected torch to be installed: pip install 'tunewell[demo]'\n"
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_is_told_and_130(monkeypatch, tmp_path, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "run_plan", interrupted)
    assert demo.run(tmp_path) == 130
    assert "goes on where this one stopped" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_demo_killed_again_and_again_comes_to_the_same_totals(tmp_path):
    command = [
        sys.executable,
        "-c",
        "import sys; from pathlib import Path; from tunewell import demo; "
        "sys.exit(demo.run_plan(demo.Plan(trials=12, epochs=9, seeds=(1, 2)), Path(sys.argv[1]), 2))",
        str(tmp_path / "killed"),
    ]
    for seconds in (9, 7, 8):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        time.sleep(seconds)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    database = str(tmp_path / "killed" / "digits.db")
    search, final = tw.open(database, "digits"), tw.open(database, "digits-final")
    assert len(search.trials) == 12
    assert {trial.status for trial in search.trials} <= {"paused", "completed"}
    assert [trial.status for trial in final.trials] == ["completed"] * 4
    assert len(demo.pairs(final.history, (1, 2))) == 2

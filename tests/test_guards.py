"""The guard of a person's change: on curves made up, and on networks that train for real."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tunewell as tw
from tunewell.events import Adjusted, CheckpointSaved, Ended, Fork, Goal, Reported, Requested, Status, TrialStarted
from tunewell.guards import objection, taken_back
from tunewell.history import History
from tunewell.replay import replay
from tunewell.testing.histories import created

SPACE = tw.Space(lr=tw.Float(1e-4, 10.0, scale="log", default=0.1))


def changed_after(
    before: Sequence[float], after: Sequence[float], mode: Any = "min", **more: Any
) -> tuple[History, list[str]]:
    """Return a history with a change between two pieces of a curve, and what the guard said at each report since."""
    history = History([created(SPACE, goals=(Goal("loss", mode),)), TrialStarted(0.0, 0, {"lr": 0.1}, 1, driver="d")])
    sign = 1.0 if mode == "min" else -1.0
    said = []
    for step, loss in enumerate([*before, *after], 1):
        history.apply(Reported(float(step), 0, step, {"loss": sign * loss}))
        history.apply(CheckpointSaved(float(step), 0, step))
        if step == len(before):
            change = {"lr": 1.0} | more
            history.apply(Adjusted(float(step), 0, step, change, "person", "", True))
        elif step > len(before):
            said.append(objection(history, 0))
    return history, said


def falling(n: int, noise: float = 0.0, floor: float = 0.1, seed: int = 0) -> list[float]:
    rng = np.random.default_rng(seed)
    return [floor + math.exp(-0.2 * k) + noise * rng.standard_normal() for k in range(n)]


def test_an_explosion_is_taken_back_at_the_third_report_of_it():
    _, said = changed_after(falling(12), [3.0, 7.0, 9.0])
    assert said == ["", "", "lr=1.0 after step 12 took loss from 0.2108 to 9 in 3 reports, where 0.14 is noise"]


@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_climb_that_stays_up_is_taken_back_at_the_fifth(mode: Any):
    _, said = changed_after(falling(12), [0.5, 0.55, 0.5, 0.52, 0.55, 0.5], mode)
    assert [bool(words) for words in said] == [False, False, False, False, True, True]


def test_divergence_is_taken_back_whatever_the_curve_was():
    history, _ = changed_after([1.0], [math.nan])
    history.apply(Ended(9.0, 0, Status.DIVERGED, "NaN"))
    (request,) = taken_back(history, 10.0)
    assert (request.trial, request.wish, request.by) == (0, "undo", "guard")
    history.apply(request)
    assert taken_back(history, 11.0) == [], "once"


@pytest.mark.parametrize(
    ("what", "after"),
    [
        ("nothing changes", falling(22)[12:]),
        ("helps at once", [0.15, 0.12, *[0.1] * 8]),
        ("a bump that is on its way back", [0.9, 0.8, 0.7, 0.55, 0.42, 0.34, 0.28, 0.22, 0.18, 0.15]),
        ("a bump of four reports", [0.6, 0.7, 0.7, 0.6, 0.2, 0.15, 0.12, 0.11, 0.1, 0.1]),
        ("a little worse", [0.25] * 10),
        ("a high bump that is on its way back", [4.0, 2.5, 1.2, 0.5, 0.4, 0.3, 0.2, 0.15, 0.12, 0.1]),
        ("one spike in two", [5.0, 0.2] * 5),
    ],
)
def test_what_helps_or_does_no_harm_is_left_alone(what: str, after: list[float]):
    _, said = changed_after(falling(12), after)
    assert not any(said), what


def test_a_curve_that_rose_before_is_expected_to_rise_on():
    overfits = [*falling(12), *(0.21 + 0.02 * k + 0.005 * (-1) ** k for k in range(10))]
    rises_on = [0.41 + 0.02 * k for k in range(10)]
    _, said = changed_after(overfits, rises_on)
    assert not any(said)
    _, said = changed_after(overfits, [loss + 0.6 for loss in rises_on])
    assert any(said)


def test_what_happens_after_ten_reports_is_no_fault_of_the_change():
    _, said = changed_after(falling(12), [*[0.2] * 10, *[9.0] * 5])
    assert not any(said)


def test_too_little_is_known_after_three_reports():
    _, said = changed_after([1.0, 0.9, 0.8], [5.0] * 6)
    assert not any(said)


@pytest.mark.parametrize("noise", [0.01, 0.05, 0.2])
def test_noise_alone_is_hardly_ever_taken_for_harm(noise: float):
    wrong = 0
    for seed in range(50):
        curve = falling(30, noise, seed=seed)
        wrong += any(changed_after(curve[:20], curve[20:])[1])
    assert wrong == 0


def test_a_fork_is_judged_by_what_its_ancestors_came_to():
    history, _ = changed_after(falling(12), [])
    history.apply(TrialStarted(20.0, 1, {"lr": 0.1}, 1, origin="person", fork=Fork(0, 12), driver="d"))
    for step, loss in ((13, 0.2), (14, 3.0), (15, 3.0), (16, 3.0)):
        history.apply(Reported(20.0 + step, 1, step, {"loss": loss}))
        if step == 13:
            history.apply(Adjusted(33.0, 1, 13, {"lr": 1.0}, "person", "", True))
    assert "took loss from" in objection(history, 1)


# --- for real ---------------------------------------------------------------------------------------------------------


def digits(trial: tw.Trial) -> None:
    """Train a small network on handwritten digits, an epoch a step."""
    torch = pytest.importorskip("torch")
    from sklearn.datasets import load_digits

    torch.manual_seed(0)
    images, labels = (torch.tensor(part) for part in load_digits(return_X_y=True))
    images = images.float() / 16.0
    train, held = slice(0, 1200), slice(1200, None)
    net = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    optimizer = torch.optim.SGD(net.parameters(), lr=trial.params["lr"], momentum=0.9)
    if trial.checkpoint:
        saved = torch.load(trial.checkpoint / "state.pt")
        net.load_state_dict(saved["net"])
        optimizer.load_state_dict(saved["optimizer"])
    loss_of = torch.nn.functional.cross_entropy
    for step in trial.steps(24):
        tw.torch.follow(optimizer, trial)
        order = torch.randperm(1200, generator=torch.Generator().manual_seed(step))
        for rows in order.split(64):
            optimizer.zero_grad()
            loss_of(net(images[train][rows]), labels[train][rows]).backward()
            optimizer.step()
        with torch.no_grad():
            trial.report(loss=loss_of(net(images[held]), labels[held]))
        state = {"net": net.state_dict(), "optimizer": optimizer.state_dict()}
        trial.save(lambda folder, state=state: torch.save(state, folder / "state.pt"))


def steered(tmp_path: Path, lr: float, then: float, at: int = 10, guard: bool = True) -> tw.Study:
    """Train once, with a change of the learning rate on the way."""
    study = tw.Study(tw.Space(lr=tw.Float(1e-5, 1.0, scale="log", default=lr)), seed=0, directory=tmp_path)

    def watch(history: History, events: Any) -> None:
        if any(isinstance(event, Reported) and (event.trial, event.step) == (0, at) for event in events):
            study.adjust(0, lr=then, guard=guard)

    study.run(digits, trials=1, executor="inline", progress=watch)
    result = replay(study.events)
    assert result.ok, result.mismatch
    return study


@pytest.mark.parametrize(("lr", "then"), [(0.02, 5.0), (0.02, 1e8)], ids=["explodes", "is NaN at once"])
def test_a_harmful_learning_rate_is_taken_back(tmp_path: Path, lr: float, then: float):
    study = steered(tmp_path, lr, then)
    old, new = study.trials
    assert old.status == ("diverged" if then == 1e8 else "paused")
    assert (new.fork, new.params["lr"], new.status) == (Fork(0, 10), lr, "completed")
    assert new.value < old.reports[9].metrics["loss"]
    (request,) = [request for request in study.history.requests if request.by == "guard"]
    assert f"lr={then} after step 10" in request.reason
    assert study.history.answers[1].done


@pytest.mark.parametrize(
    ("lr", "then"),
    [(0.02, 0.018), (0.3, 0.03), (0.001, 0.02)],
    ids=["neutral", "a smaller one", "a larger one"],
)
def test_a_neutral_or_helpful_learning_rate_is_left_alone(tmp_path: Path, lr: float, then: float):
    study = steered(tmp_path, lr, then)
    assert len(study.trials) == 1
    assert not [request for request in study.history.requests if request.by == "guard"]
    assert study.best.value < study.trials[0].reports[9].metrics["loss"] + 0.02


def test_a_helpful_change_with_a_bump_is_left_alone(tmp_path: Path):
    study = steered(tmp_path, 0.01, 0.3, at=6)
    losses = [report.metrics["loss"] for report in study.trials[0].reports]
    assert len(study.trials) == 1
    assert max(losses[6:8]) > losses[5] + 0.1
    assert losses[-1] < losses[5] - 0.5


def test_without_a_guard_a_change_stands(tmp_path: Path):
    study = steered(tmp_path, 0.02, 1e8, guard=False)
    assert [trial.status for trial in study.trials] == ["diverged"]
    assert [type(event) for event in study.events if isinstance(event, Requested)] == [Requested]

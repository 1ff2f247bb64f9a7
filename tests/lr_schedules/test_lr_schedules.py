"""Schedules beside PyTorch's own, step by step; warm-up, validation, pictures, and as a part of a space."""

from __future__ import annotations

import doctest
import math
import warnings
from functools import partial

import numpy as np
import pytest

import tunewell as tw
from tunewell import lr_schedules
from tunewell.lr_schedules import (
    Constant,
    Cosine,
    CosineRestarts,
    Exponential,
    InverseSquareRoot,
    Linear,
    OneCycle,
    Plateau,
    Polynomial,
    Step,
    WarmupStableDecay,
    plateau,
    shapes,
    tuning,
)

ALL = [
    Constant(60), Step(60), Exponential(60), Linear(60), Polynomial(60), Cosine(60), CosineRestarts(60), OneCycle(60),
    WarmupStableDecay(60), InverseSquareRoot(60),
]  # fmt: skip


def torchs(make, steps):
    """Return the rates that one of PyTorch's schedulers gives to a rate of 1, and the momenta."""
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    rates, momenta = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler = make(torch.optim.lr_scheduler, optimizer)
        for _ in range(steps):
            rates.append(optimizer.param_groups[0]["lr"])
            momenta.append(optimizer.param_groups[0]["momentum"])
            scheduler.step()
    return rates, momenta


def one_cycle(schedulers, optimizer, steps):
    return schedulers.OneCycleLR(optimizer, 1.0, steps, pct_start=0.2, div_factor=10, final_div_factor=100)


@pytest.mark.parametrize(
    ("schedule", "make"),
    [
        (Step(80, factor=0.3, at=(0.25, 0.5, 0.75)), lambda s, o: s.StepLR(o, 20, 0.3)),
        (Step(80, at=(0.5, 0.75)), lambda s, o: s.MultiStepLR(o, [40, 60], 0.1)),
        (Exponential(70, 0.02), lambda s, o: s.ExponentialLR(o, 0.02 ** (1 / 70))),
        (Cosine(70, 0.1), lambda s, o: s.CosineAnnealingLR(o, 70, 0.1)),
        (CosineRestarts(70, 7), lambda s, o: s.CosineAnnealingWarmRestarts(o, 10)),
        (CosineRestarts(70, 3, 2.0, 0.05), lambda s, o: s.CosineAnnealingWarmRestarts(o, 10, 2, 0.05)),
        (Linear(70, 0.2), lambda s, o: s.LinearLR(o, 1.0, 0.2, 70)),
        (Polynomial(70, 3.0), lambda s, o: s.PolynomialLR(o, 70, 3.0)),
        (OneCycle(70), lambda s, o: s.OneCycleLR(o, 1.0, 70)),
        (OneCycle(90, 0.2, 0.1, 1e-3), partial(one_cycle, steps=90)),
        (Constant(70), lambda s, o: s.ConstantLR(o, 1.0)),
    ],
)  # fmt: skip
def test_values_are_those_of_pytorch(schedule, make):
    expected, momenta = torchs(make, schedule.steps)
    np.testing.assert_allclose([schedule(step) for step in range(schedule.steps)], expected, atol=1e-12)
    if isinstance(schedule, OneCycle):
        np.testing.assert_allclose([schedule.momentum(step) for step in range(schedule.steps)], momenta, atol=1e-12)


def test_warm_up_then_the_same_schedule_as_pytorchs_sequence():
    schedule = Cosine(60, warmup=10)
    expected, _ = torchs(
        lambda s, o: s.SequentialLR(o, [s.LinearLR(o, 1 / 11, 1.0, 10), s.CosineAnnealingLR(o, 50)], [10]), 60
    )
    np.testing.assert_allclose([schedule(step) for step in range(60)], expected, atol=1e-12)


def test_the_transformers_schedule():
    """Vaswani et al. 2017, equation 3, with its peak set to 1."""
    warmup = 40
    schedule = InverseSquareRoot(400, warmup=warmup - 1)
    for step in range(400):
        k = step + 1
        paper = min(k**-0.5, k * warmup**-1.5) / warmup**-0.5
        assert schedule(step) == pytest.approx(paper)


@pytest.mark.parametrize("schedule", ALL, ids=lambda s: type(s).__name__)
def test_every_schedule_warms_up_in_a_straight_line_to_where_it_begins(schedule):
    warm = type(schedule)(schedule.steps + 9, warmup=9)
    if not isinstance(schedule, InverseSquareRoot):  # its timescale is the warm-up
        assert [warm(9 + step) for step in range(60)] == [schedule(step) for step in range(60)]
    assert [warm(step) for step in range(9)] == pytest.approx([warm(9) * k / 10 for k in range(1, 10)])
    assert all(0.0 <= warm(step) <= 1.0 for step in range(100))
    assert warm(69) == warm(500)  # nothing happens after the end


def test_stable_then_down():
    schedule = WarmupStableDecay(100, decay=0.2)
    assert [schedule(step) for step in (0, 50, 80)] == pytest.approx([1.0, 1.0, 1.0])
    assert schedule(85) == pytest.approx(1.0 - math.sqrt(0.25))
    assert schedule(100) == pytest.approx(0.0)
    assert WarmupStableDecay(100, decay=0.2, shape="linear")(85) == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Cosine(0), "at least 1 steps after a warm-up"),
        (lambda: Cosine(10, warmup=10), "warm up for less"),
        (lambda: Cosine(10, end=1.5), "end of Cosine expected a share from 0 to 1, got 1.5"),
        (lambda: Exponential(10, 0.0), "above 0"),
        (lambda: Step(10, at=(0.7, 0.5)), "rising order"),
        (lambda: Polynomial(10, 0.0), "power of Polynomial expected a number above 0"),
        (lambda: CosineRestarts(10, 11), "cycles of CosineRestarts expected 1 to 10"),
        (lambda: OneCycle(10, rise=0.01), "leaves steps on both sides"),
        (lambda: WarmupStableDecay(10, 0.0), "use Constant"),
        (lambda: WarmupStableDecay(10, shape="cosine"), "'1-sqrt' or 'linear'"),
        (lambda: InverseSquareRoot(10, timescale=-1), "timescale of InverseSquareRoot"),
        (lambda: Cosine(10)(-1), "first update is step 0"),
        (lambda: Plateau(factor=1.0), "between 0 and 1"),
        (lambda: Plateau(patience=-1), "no negative numbers"),
        (lambda: Plateau(mode="least"), "'min' or 'max'"),
        (lambda: Plateau(lowest=1.5), "lowest of Plateau expected a factor of the learning rate from 0 to 1"),
        (lambda: lr_schedules.space(["cosin"]), "did you mean 'cosine'"),
        (lambda: lr_schedules.space([]), "at least one"),
        (lambda: lr_schedules.from_params({"schedule": "magic"}, steps=10), "expected a schedule"),
    ],
)
def test_wrong_arguments_are_refused_in_one_sentence(make, words):
    with pytest.raises(ValueError, match=words):
        make()


# --- plateau ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(("patience", "cooldown", "lowest"), [(2, 0, 0.0), (1, 3, 0.0), (0, 0, 0.2)])
def test_a_plateau_reduces_when_pytorchs_does(mode, patience, cooldown, lowest):
    torch = pytest.importorskip("torch")
    plateau = Plateau(0.5, patience, 1e-2, cooldown, lowest, mode)
    rng = np.random.default_rng(0)
    metrics = np.round(5.0 / (1.0 + np.arange(60)) + rng.uniform(0.5, 1.0, 60), 2).tolist()
    metrics[20] = math.nan
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode, 0.5, patience, 1e-2, "rel", cooldown, lowest, eps=0.0
    )
    expected = []
    for metric in metrics:
        theirs.step(metric)
        expected.append(optimizer.param_groups[0]["lr"])
    assert plateau.factors(metrics) == pytest.approx(expected)
    assert expected[-1] < 1.0


# --- in a space -------------------------------------------------------------------------------------------------------


def test_the_options_are_active_only_with_their_schedule():
    space = tw.Space(learning_rate=tw.Float(1e-4, 1.0, scale="log"), **lr_schedules.space(lr_schedules.NAMES))
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(200):
        config = space.sample(rng)
        schedule = lr_schedules.from_params(config, steps=200)
        seen.add(type(schedule).__name__)
        assert ("decay_factor" in config) == isinstance(schedule, Step)
        assert ("rise_ratio" in config) == isinstance(schedule, OneCycle)
        assert ("warmup_ratio" in config) == (not isinstance(schedule, OneCycle))
        assert ("min_learning_rate_ratio" in config) == hasattr(schedule, "end") * (not isinstance(schedule, OneCycle))
        if "min_learning_rate_ratio" in config:
            assert schedule(200) == pytest.approx(config["min_learning_rate_ratio"])
        if "warmup_ratio" in config:
            assert schedule.warmup == round(200 * config["warmup_ratio"])
    assert len(seen) == len(lr_schedules.NAMES)


def test_a_space_has_what_its_schedules_need_and_no_more():
    assert list(lr_schedules.space(["constant"], warmup=False)) == ["schedule"]
    assert list(lr_schedules.space(["one_cycle"])) == ["schedule", "rise_ratio"]
    assert lr_schedules.space()["schedule"].default == "cosine"
    with pytest.raises(TypeError, match="list of schedules"):
        lr_schedules.space("cosine")
    with pytest.raises(KeyError, match="expected 'schedule' among the parameters"):
        lr_schedules.from_params({"learning_rate": 0.1}, steps=10)


def test_all_schedules_may_be_chosen_by_their_names():
    space = lr_schedules.space(lr_schedules.NAMES)
    assert space["schedule"].choices == lr_schedules.NAMES
    assert set(lr_schedules.space()["schedule"].choices) < set(lr_schedules.NAMES)
    for name in lr_schedules.NAMES:
        shape = lr_schedules.from_params({"schedule": name}, steps=60)
        assert shape in ALL


def test_a_training_of_a_few_steps_has_no_more_restarts_than_steps():
    params = {"schedule": "cosine_restarts", "restart_cycles": 5, "warmup_ratio": 0.3}
    for steps in (1, 2, 3, 4):
        schedule = lr_schedules.from_params(params, steps=steps)
        assert isinstance(schedule, CosineRestarts)
        assert 1 <= schedule.cycles <= steps - schedule.warmup
        assert all(0.0 <= schedule(step) <= 1.0 for step in range(steps))
    assert lr_schedules.from_params(params, steps=100).cycles == 5
    with pytest.raises(ValueError, match="at least 4 steps after a warm-up of 0 steps or more, got steps=3, warmup=0"):
        lr_schedules.from_params({"schedule": "one_cycle"}, steps=3)


@pytest.mark.parametrize("module", [shapes, tuning, plateau])
def test_the_examples_in_the_docstrings_are_right(module):
    assert doctest.testmod(module).failed == 0


def test_a_schedule_is_drawn(tmp_path):
    for schedule in ALL:
        drawn = schedule.plot(tmp_path / "schedule.svg").read_text()
        assert drawn == schedule._repr_svg_()
        assert drawn.startswith("<svg ")
        assert type(schedule).__name__ in drawn
        assert "nan" not in drawn
    with pytest.raises(ValueError, match=r"ends in \.svg"):
        ALL[0].plot(tmp_path / "schedule.pdf")


def test_a_plateau_is_drawn_from_metrics(tmp_path):
    plateau, losses = Plateau(factor=0.5, patience=1), [1.0, 0.8, 0.8, 0.8, 0.8]
    drawn = plateau.plot(tmp_path / "plateau.svg", losses).read_text()
    assert drawn == plateau.picture(losses)
    assert drawn.startswith("<svg ")
    assert drawn != plateau.picture([1.0, 0.8, 0.7, 0.6, 0.5]), "which is not reduced"
    with pytest.raises(ValueError, match="the metric of at least one epoch, got none"):
        plateau.picture([])

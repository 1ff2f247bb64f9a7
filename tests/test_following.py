"""An optimizer of PyTorch follows the values of a trial."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tunewell as tw
from tunewell.protocols import Continue, Job

torch = pytest.importorskip("torch")


def trial_with(before: dict[str, Any], now: dict[str, Any]) -> tw.Trial:
    job = Job(0, now, 1, 0, 3, None, Path(), Path("log"), ("loss",), 9, previous=before)
    return tw.Trial(job, lambda events: Continue(), lambda: 0.0)


def net_and(make: Any, *rates: float, **options: Any) -> Any:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates]
    return make(groups, **options)


def rates(optimizer: Any) -> list[float]:
    return [group["lr"] for group in optimizer.param_groups]


def test_only_what_changed_is_set_and_unknown_names_are_left_alone():
    optimizer = net_and(torch.optim.SGD, 0.1, momentum=0.9, weight_decay=0.01)
    trial = trial_with({"lr": 0.1, "momentum": 0.9, "dropout": 0.1}, {"lr": 0.01, "momentum": 0.9, "dropout": 0.5})
    assert tw.torch.follow(optimizer, trial) == ("lr",)
    assert optimizer.param_groups[0]["lr"] == 0.01
    assert (optimizer.param_groups[0]["momentum"], optimizer.param_groups[0]["weight_decay"]) == (0.9, 0.01)


def test_momentum_and_betas_mean_what_the_optimizer_has():
    values = {"momentum": 0.8, "beta2": 0.99, "optimizer.weight_decay": 0.1}
    before = {"momentum": 0.9, "beta2": 0.999, "optimizer.weight_decay": 0.01}
    adam = net_and(torch.optim.AdamW, 0.1, weight_decay=0.01)
    assert tw.torch.follow(adam, trial_with(before, values)) == tuple(values)
    assert (adam.param_groups[0]["betas"], adam.param_groups[0]["weight_decay"]) == ((0.8, 0.99), 0.1)
    sgd = net_and(torch.optim.SGD, 0.1, momentum=0.9, weight_decay=0.01)
    assert tw.torch.follow(sgd, trial_with(before, values)) == ("momentum", "optimizer.weight_decay")
    assert sgd.param_groups[0]["momentum"] == 0.8


def test_ratios_between_groups_stay_and_twice_is_as_once():
    optimizer = net_and(torch.optim.SGD, 0.001, 0.01)
    trial = trial_with({"lr": 0.01}, {"lr": 0.05})
    for _ in range(2):
        tw.torch.follow(optimizer, trial)
        assert rates(optimizer) == pytest.approx([0.005, 0.05])


@pytest.mark.parametrize(
    ("numbers", "before", "value", "expected"),
    [
        ([1e-3, 1e-2], 1e-2, 1e-3, [1e-4, 1e-3]),
        ([1e-4, 1e-3], 1e-2, 1e-3, [1e-4, 1e-3]),  # made with the new value
        ([1e-1, 1e-2], 1e-2, 1e-1, [1.0, 1e-1]),  # the new value is another group's
        ([1e-4, 16e-4], 1e-4, 1e-3, [1e-3, 16e-3]),  # the smaller one is named
        ([1e-3, 1e-4], 0.1, 0.05, [5e-4, 5e-5]),  # reduced by something
        ([0.0, 0.01], 0.01, 0.1, [0.0, 0.1]),
        ([0.0, 0.0], 0.0, 0.1, [0.1, 0.1]),
        ([0.2, 0.4], None, 0.1, [0.1, 0.2]),
    ],
)
def test_all_groups_change_by_the_factor_of_the_trials_value(numbers, before, value, expected):
    optimizer = net_and(torch.optim.SGD, *numbers)
    trial = trial_with({} if before is None else {"lr": before}, {"lr": value})
    for _ in range(2):
        assert tw.torch.follow(optimizer, trial) == ("lr",)
        assert rates(optimizer) == pytest.approx(expected)


def test_groups_without_decay_stay_without_where_the_others_had_none_for_a_while():
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "weight_decay": decay} for decay in (0.01, 0.0)]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    for before, now in ((0.01, 0.0), (0.0, 0.001)):
        tw.torch.follow(optimizer, trial_with({"weight_decay": before}, {"weight_decay": now}))
    assert [group["weight_decay"] for group in optimizer.param_groups] == pytest.approx([0.001, 0.0])


def test_an_optimizer_that_another_rate_drives_is_left_alone():
    """A GAN: the rate of the discriminator changes."""
    before = {"generator.lr": 1e-4, "discriminator.lr": 4e-4}
    trial = trial_with(before, {**before, "discriminator.lr": 8e-4})
    generator, discriminator = net_and(torch.optim.Adam, 1e-4), net_and(torch.optim.Adam, 4e-4)
    assert tw.torch.follow(generator, trial) == ()
    assert tw.torch.follow(discriminator, trial) == ("discriminator.lr",)
    assert rates(generator) + rates(discriminator) == [1e-4, pytest.approx(8e-4)]


LR = torch.optim.lr_scheduler
SCHEDULES = {
    "one cycle": lambda optimizer, rate: LR.OneCycleLR(optimizer, max_lr=rate, total_steps=40),
    "cyclic": lambda optimizer, rate: LR.CyclicLR(optimizer, rate / 10, rate, step_size_up=4),
    "warm-up": lambda optimizer, rate: LR.SequentialLR(
        optimizer, [LR.LinearLR(optimizer, 0.1, total_iters=3), LR.CosineAnnealingLR(optimizer, 30)], [3]
    ),
    "chained": lambda optimizer, rate: LR.ChainedScheduler(
        [LR.LinearLR(optimizer, 0.1, total_iters=3), LR.ExponentialLR(optimizer, 0.9)]
    ),
    "steps": lambda optimizer, rate: LR.StepLR(optimizer, 4, 0.5),
}


@pytest.mark.parametrize("made", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("factor", [0.1, 0.8, 3.0])
@pytest.mark.parametrize("after", [1, 5, 12])
def test_a_rate_goes_on_as_if_it_had_been_so_from_the_beginning(made, factor, after):
    changed, fresh = net_and(torch.optim.SGD, 0.1), net_and(torch.optim.SGD, 0.1 * factor)
    schedule, expected = made(changed, 0.1), made(fresh, 0.1 * factor)
    trial = trial_with({"lr": 0.1}, {"lr": 0.1 * factor})
    for step in range(20):
        if step == after:
            assert tw.torch.follow(changed, trial, schedule) == ("lr",)
        if step >= after:
            assert rates(changed) == pytest.approx(rates(fresh), rel=1e-6)
        for optimizer, its in ((changed, schedule), (fresh, expected)):
            optimizer.step()
            its.step()


def test_schedules_that_are_given_twice_are_changed_once():
    optimizer = net_and(torch.optim.SGD, 0.1)
    parts = [LR.LinearLR(optimizer, 0.1, total_iters=3), LR.CosineAnnealingLR(optimizer, 30)]
    whole = LR.SequentialLR(optimizer, parts, [3])
    tw.torch.follow(optimizer, trial_with({"lr": 0.1}, {"lr": 0.2}), whole, *parts)
    assert [schedule.base_lrs for schedule in parts] == [pytest.approx([0.2])] * 2


@pytest.mark.parametrize("made", ["torch", "tunewell"])
def test_a_rate_that_was_reduced_on_a_plateau_stays_reduced(made):
    optimizer = net_and(torch.optim.SGD, 0.1)
    if made == "torch":
        schedule = LR.ReduceLROnPlateau(optimizer, factor=0.1, patience=0, min_lr=0.001)
    else:
        schedule = tw.torch.scheduler(optimizer, tw.lr_schedules.Plateau(factor=0.1, patience=0, lowest=0.01))
    for _ in range(3):
        schedule.step(1.0)
    assert rates(optimizer) == pytest.approx([0.001])
    trial = trial_with({"lr": 0.1}, {"lr": 0.05})
    for _ in range(2):
        tw.torch.follow(optimizer, trial, schedule)
        assert rates(optimizer) == pytest.approx([0.0005])
    for _ in range(3):
        schedule.step(1.0)
    assert rates(optimizer) == pytest.approx([0.0005])  # the least


def test_a_schedule_goes_on_from_the_new_rate():
    optimizer = net_and(torch.optim.SGD, 0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    closed = torch.optim.lr_scheduler.LambdaLR(net_and(torch.optim.SGD, 0.1), lambda step: 1.0 / (1 + step))
    for _ in range(5):
        optimizer.step()
        schedule.step()
        closed.optimizer.step()
        closed.step()
    trial = trial_with({"lr": 0.1}, {"lr": 0.02})
    tw.torch.follow(optimizer, trial, schedule)
    tw.torch.follow(closed.optimizer, trial, closed)
    assert rates(optimizer) == pytest.approx([0.01])
    assert rates(closed.optimizer) == pytest.approx([0.02 / 6])
    schedule.step()
    closed.optimizer.step()
    closed.step()
    expected = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.02)
    fresh = torch.optim.lr_scheduler.CosineAnnealingLR(expected, 10)
    for _ in range(6):
        expected.step()
        fresh.step()
    assert rates(optimizer) == pytest.approx(rates(expected))
    assert rates(closed.optimizer) == pytest.approx([0.02 / 7])


def test_a_saved_optimizer_is_brought_up_to_the_values_in_force():
    old = net_and(torch.optim.Adam, 0.1)
    new = net_and(torch.optim.Adam, 0.3)
    new.load_state_dict(old.state_dict())
    assert rates(new) == [0.1]
    tw.torch.follow(new, trial_with({"lr": 0.1}, {"lr": 0.3}))
    assert rates(new) == pytest.approx([0.3])


def test_a_rate_that_is_a_tensor_keeps_its_place():
    rate = torch.tensor(0.1)
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=rate, capturable=False)
    held = optimizer.param_groups[0]["lr"]
    tw.torch.follow(optimizer, trial_with({"lr": 0.1}, {"lr": 0.3}))
    assert optimizer.param_groups[0]["lr"] is held
    assert float(held) == pytest.approx(0.3)

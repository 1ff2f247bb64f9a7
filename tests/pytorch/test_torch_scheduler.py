"""Schedules as PyTorch schedulers: rates, momenta, resuming, refusals."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

import tunewell as tw  # noqa: E402
from tunewell.lr_schedules import Cosine, OneCycle, Plateau  # noqa: E402


def make(kind=torch.optim.SGD, **options):
    weights = [torch.nn.Parameter(torch.ones(1)) for _ in range(2)]
    return kind([{"params": weights[:1], "lr": 0.1}, {"params": weights[1:], "lr": 0.01}], **options)


def walk(optimizer, scheduler, steps):
    seen = []
    for _ in range(steps):
        seen.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    return seen


def test_every_group_follows_the_schedule_from_its_own_rate():
    optimizer, schedule = make(), Cosine(20, warmup=5)
    scheduler = tw.torch.scheduler(optimizer, schedule)
    assert isinstance(scheduler, torch.optim.lr_scheduler.LRScheduler)
    for step, rates in enumerate(walk(optimizer, scheduler, 25)):
        assert rates == pytest.approx([0.1 * schedule(step), 0.01 * schedule(step)])
    assert scheduler.get_last_lr() == [group["lr"] for group in optimizer.param_groups]


@pytest.mark.parametrize(("kind", "options"), [(torch.optim.SGD, {"momentum": 0.9}), (torch.optim.AdamW, {})])
def test_momentum_moves_against_the_rate(kind, options):
    optimizer, schedule = make(kind, **options), OneCycle(20)
    scheduler = tw.torch.scheduler(optimizer, schedule, momentum=(0.8, 0.9))
    for step in range(20):
        for group in optimizer.param_groups:
            momentum = group["betas"][0] if "betas" in group else group["momentum"]
            assert momentum == pytest.approx(schedule.momentum(step, 0.8, 0.9))
            assert group.get("betas", (0, 0.999))[1] == 0.999
        optimizer.step()
        scheduler.step()


def test_a_resumed_training_goes_on_with_the_same_rates(tmp_path):
    optimizer = make()
    scheduler = tw.torch.scheduler(optimizer, Cosine(20))
    walk(optimizer, scheduler, 7)
    torch.save({"optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()}, tmp_path / "state.pt")
    expected = walk(optimizer, scheduler, 10)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    again = make()
    resumed = tw.torch.scheduler(again, Cosine(20))
    again.load_state_dict(state["optimizer"])
    resumed.load_state_dict(state["scheduler"])
    assert walk(again, resumed, 10) == expected


def test_a_plateau_takes_metrics():
    optimizer = make()
    plateau = Plateau(factor=0.5, patience=1, lowest=0.2)
    scheduler = tw.torch.scheduler(optimizer, plateau)
    metrics = [1.0, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9]
    for metric, factor in zip(metrics, plateau.factors(metrics), strict=True):
        scheduler.step(metric)
        assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.1 * factor, 0.01 * factor])


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: tw.torch.scheduler("sgd", Cosine(10)), TypeError, "PyTorch's optimizers, got str"),
        (lambda: tw.torch.scheduler(make(), lambda step: 1.0), TypeError, "one of tw.lr_schedules"),
        (lambda: tw.torch.scheduler(make(), Plateau(), momentum=(0.8, 0.9)), ValueError, "leave the momentum out"),
        (lambda: tw.torch.scheduler(make(), Cosine(10), momentum=(0.9, 0.8)), ValueError, "lowest and the highest"),
        (
            lambda: tw.torch.scheduler(make(torch.optim.Adagrad), Cosine(10), momentum=(0.8, 0.9)),
            ValueError,
            "has one, got Adagrad",
        ),
    ],
)
def test_wrong_arguments(call, kind, words):
    with pytest.raises(kind, match=words):
        call()

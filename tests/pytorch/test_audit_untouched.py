"""An audit leaves model, optimizer and generators as they were, bit by bit, also when somebody's code fails."""

from __future__ import annotations

import copy
import random

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from networks_small import vgg  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402
from training_setups import Setup, audited, classify, images, usual_step, watched  # noqa: E402

from tunewell.torch import audit, recalibrate, watching  # noqa: E402

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, 0.05, momentum=0.9),
    "adam": lambda p: torch.optim.Adam(p, 1e-3, amsgrad=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, 1e-3, centered=True),
    "fused adam": lambda p: torch.optim.AdamW(p, 1e-3, fused=True),
}


def state(setup, loader):
    """Everything that may not change, copied."""
    model, optimizer = setup.model, setup.optimizer
    generators = (
        torch.get_rng_state().tolist(),
        random.getstate(),
        np.random.get_state()[1].tolist(),  # noqa: NPY002
        loader.generator.get_state().tolist(),
    )
    grads = {name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()}
    hooks = [(dict(m._forward_hooks), dict(m._forward_pre_hooks)) for m in model.modules()]
    return copy.deepcopy(
        (
            model.state_dict(), optimizer.state_dict(), grads, generators, hooks,
            [(name, part.training) for name, part in model.named_modules()],
            [(name, p.requires_grad) for name, p in model.named_parameters()],
            [(part.momentum, part.eps) for part in model.modules() if isinstance(part, nn.BatchNorm2d)],
        )
    )  # fmt: skip


def same(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.fixture(params=OPTIMIZERS)
def training(request):
    torch.manual_seed(0)
    model = vgg()
    setup = Setup(model, images(), optimizer=OPTIMIZERS[request.param](model.parameters()))
    for _ in range(3):
        usual_step(setup, setup.batch)
    model[0].eval()
    loader = DataLoader(TensorDataset(*images(40)), 8, shuffle=True, generator=torch.Generator().manual_seed(5))
    return setup, loader


def random_step(setup):
    def step(batch):
        random.random()
        np.random.rand()  # noqa: NPY002
        usual_step(setup, batch)

    return step


def test_a_whole_audit_leaves_no_trace(training):
    setup, loader = training
    before = state(setup, loader)
    objects = [id(p) for p in setup.model.parameters()], [id(p.grad) for p in setup.model.parameters()]
    audit(setup.model, setup.optimizer, loader=loader, loss_of=classify, train_step=random_step(setup))
    audit(setup.model, setup.optimizer, batch=setup.batch, loss_of=classify)
    audited(setup, loader=loader)
    assert same(state(setup, loader), before)
    assert objects == ([id(p) for p in setup.model.parameters()], [id(p.grad) for p in setup.model.parameters()])


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failing_step_leaves_no_trace(training, error):
    setup, loader = training
    before = state(setup, loader)

    def step(batch):
        usual_step(setup, batch)
        setup.model.requires_grad_(False)
        setup.optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(2))]})
        raise error("in the middle")

    with pytest.raises(error, match="in the middle"):
        audit(setup.model, setup.optimizer, loader=loader, loss_of=classify, train_step=step)
    assert same(state(setup, loader), before)


def test_hidden_layers_all_optimizers_and_a_data_sets_own_generator_are_left_as_they_were():
    class Noisy(TensorDataset):
        noise = None

        def __getitem__(self, index):
            x, y = super().__getitem__(index)
            return x + self.noise.normal(scale=0.01), y

    class Hiding(nn.Module):
        def __init__(self):
            super().__init__()
            self.shown, self.parts = nn.Linear(4, 4), [nn.BatchNorm1d(4)]
            self.gain = torch.ones(4, requires_grad=True)

        def forward(self, x):
            return self.parts[0](self.shown(x)) * self.gain

    model, data = Hiding(), Noisy(torch.randn(32, 4), torch.randint(4, (32,)))
    data.noise = np.random.default_rng(0)
    norm = model.parts[0]
    optimizers = [
        torch.optim.SGD(model.shown.parameters(), 0.1, momentum=0.9),
        torch.optim.Adam([model.gain, *norm.parameters()]),
    ]

    def step(batch):
        model.zero_grad()
        classify(model, (batch[0].float(), batch[1])).backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.noted = True

    def kept():
        hidden = norm.state_dict(), model.gain.detach(), norm.training, data.noise.bit_generator.state
        return copy.deepcopy((model.state_dict(), *hidden, [optimizer.state_dict() for optimizer in optimizers]))

    before, attributes = kept(), [sorted(vars(optimizer)) for optimizer in optimizers]
    audit(model, optimizers, loader=DataLoader(data, 8), train_step=step)
    assert same(kept(), before)
    assert [sorted(vars(optimizer)) for optimizer in optimizers] == attributes


def test_watching_changes_no_number_and_leaves_no_hook():
    def trained(watch):
        torch.manual_seed(0)
        setup = Setup(vgg(), images())
        if watch:
            watched(setup, 3)
        else:
            for _ in range(3):
                setup.step(setup, setup.batch)
            for _ in range(2):
                setup.evaluate(setup, setup.batch)
        return setup

    plain, seen = trained(False), trained(True)
    assert same(plain.model.state_dict(), seen.model.state_dict())
    assert same(plain.optimizer.state_dict(), seen.optimizer.state_dict())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in seen.model.modules())
    assert not any(p._backward_hooks for p in seen.model.parameters())


def test_a_watch_whose_loop_fails_leaves_no_hook():
    setup = Setup(vgg(), images())
    with pytest.raises(RuntimeError, match="shape|size"), watching(setup.model):
        setup.model(torch.randn(2, 3, 4, 4))
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in setup.model.modules())
    assert not torch.overrides._get_current_function_mode_stack()


def test_recalibration_changes_statistics_only():
    torch.manual_seed(0)
    setup = Setup(vgg(dropout=0.5), images())
    usual_step(setup, setup.batch)
    before = copy.deepcopy(setup.model.state_dict())
    setup.model[0].eval()
    modes = [part.training for part in setup.model.modules()]
    assert recalibrate(setup.model, [images()[0], images()]) == 2
    changed = {name for name, value in setup.model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {f"{n}.{what}" for n in (1, 5) for what in ("running_mean", "running_var", "num_batches_tracked")}
    assert [part.training for part in setup.model.modules()] == modes
    assert {setup.model[1].momentum, setup.model[5].momentum} == {0.1}


def test_recalibrated_statistics_are_the_averages_over_batches():
    torch.manual_seed(0)
    model, batches = vgg(), [images()[0] for _ in range(5)]
    recalibrate(model, batches)
    outs = [model[0](batch) for batch in batches]
    mean = torch.stack([out.mean((0, 2, 3)) for out in outs]).mean(0)
    var = torch.stack([out.var((0, 2, 3)) for out in outs]).mean(0)
    torch.testing.assert_close(model[1].running_mean, mean)
    torch.testing.assert_close(model[1].running_var, var)

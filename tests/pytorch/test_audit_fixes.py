"""Fixes: what a model computes stays what it is where it must, and the finding is gone."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from networks_small import Mixer, ResNet, Shared, mlp, vgg  # noqa: E402
from torch import nn  # noqa: E402
from training_setups import Setup, codes, images, rows, usual_step  # noqa: E402

from tunewell.torch import audit, fix, recalibrate  # noqa: E402


def look(setup):
    return audit(setup.model, setup.optimizer, batch=setup.batch, loss_of=setup.loss_of)


def outputs(setup):
    """In evaluation and in training mode, without touching statistics."""
    model, x = setup.model, setup.batch[0]
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with torch.no_grad():
        found = [model.eval()(x), model.train()(x)]
    model.load_state_dict(buffers, strict=False)
    return found


NETWORKS = {
    "ResNet": lambda: (ResNet(bias=True), images()),
    "VGG": lambda: (vgg(bias=True, dropout=0.0), images()),
    "a norm behind a transpose": lambda: (Mixer(bias=True), images()),
    "a shared bias with two norms": lambda: (Shared(bias=True), images()),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_useless_bias_is_removed_and_every_output_stays(name):
    torch.manual_seed(0)
    model, batch = NETWORKS[name]()
    setup = Setup(model, batch, optimizer=torch.optim.Adam(model.parameters(), 1e-2))
    for _ in range(5):
        usual_step(setup, batch)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter += torch.randn_like(parameter)
    before, weights = outputs(setup), sum(p.numel() for p in model.parameters())
    found = look(setup)
    assert codes(found) == {"useless-bias"}
    assert fix(model, setup.optimizer, found) == found
    for old, new in zip(before, outputs(setup), strict=True):
        torch.testing.assert_close(new, old, rtol=1e-4, atol=1e-5)
    assert sum(p.numel() for p in model.parameters()) < weights
    assert look(setup) == []
    held = {id(p) for group in setup.optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in model.parameters()} == {id(p) for p in setup.optimizer.state}
    usual_step(setup, batch)


def test_a_bias_whose_norm_others_use_is_left_where_it_is():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.norm = nn.Linear(12, 6), nn.Linear(12, 6), nn.BatchNorm1d(6)
            self.head = nn.Linear(6, 4)

        def forward(self, x):
            return self.head(torch.relu(self.norm(self.a(x))) + torch.relu(self.norm(self.b(x))))

    setup = Setup(Two())
    found = look(setup)
    assert codes(found) == {"useless-bias", "shared-batch-norm"}
    assert fix(setup.model, setup.optimizer, found) == []
    assert setup.model.a.bias is not None


def test_decay_is_taken_off_norms_and_the_state_is_kept():
    model = ResNet()
    setup = Setup(model, images(), optimizer=torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.1))
    usual_step(setup, setup.batch)
    state = {p: dict(values) for p, values in setup.optimizer.state.items()}
    found = look(setup)
    assert fix(model, setup.optimizer, found) == found
    assert look(setup) == []
    decays = {p: group["weight_decay"] for group in setup.optimizer.param_groups for p in group["params"]}
    assert {p.dim() > 1 for p, decay in decays.items() if decay} == {True}
    assert {p.dim() > 1 for p, decay in decays.items() if not decay} == {False}
    assert {p: dict(values) for p, values in setup.optimizer.state.items()} == state
    assert {group["lr"] for group in setup.optimizer.param_groups} == {1e-3}
    usual_step(setup, setup.batch)


@pytest.mark.parametrize(
    ("options", "momentum", "eps"),
    [({"momentum": 0.99}, 0.01, 1e-5), ({"momentum": 0.0}, 0.1, 1e-5), ({"momentum": None}, 0.1, 1e-5),
     ({"eps": 0.1}, 0.1, 1e-5), ({"eps": 1e-9}, 0.1, 1e-5)],
)  # fmt: skip
def test_options_out_of_line_are_set(options, momentum, eps):
    setup = Setup(vgg(**options), images())
    found = audit(setup.model, setup.optimizer)
    assert fix(setup.model, setup.optimizer, found) == found
    assert audit(setup.model, setup.optimizer) == []
    assert (setup.model[1].momentum, setup.model[1].eps) == (momentum, eps)


def test_frozen_parameters_leave_the_optimizer():
    setup = Setup(vgg(), images())
    setup.model[0].requires_grad_(False)
    fix(setup.model, setup.optimizer, audit(setup.model, setup.optimizer))
    assert audit(setup.model, setup.optimizer) == []
    assert id(setup.model[0].weight) not in {id(p) for g in setup.optimizer.param_groups for p in g["params"]}


def test_missing_and_stale_statistics_are_recalibrated_where_batches_are_given():
    torch.manual_seed(0)
    setup = Setup(vgg(tracked=False), images())
    usual_step(setup, setup.batch)
    found = audit(setup.model, setup.optimizer)
    assert codes(found) == {"no-running-statistics"}
    assert fix(setup.model, setup.optimizer, found) == []
    assert fix(setup.model, setup.optimizer, found, batches=[setup.batch] * 3) == found
    assert audit(setup.model, setup.optimizer) == []
    setup.model.eval()
    with torch.no_grad():
        alone, among = setup.model(setup.batch[0][:1]), setup.model(setup.batch[0])[:1]
    torch.testing.assert_close(alone, among)


def test_recalibration_wants_batches_and_a_batch_norm():
    with pytest.raises(ValueError, match="expected at least one batch, got none"):
        recalibrate(vgg(), [])
    with pytest.raises(ValueError, match="expected a model with batch norm that tracks statistics, found none"):
        recalibrate(mlp(), [rows()])

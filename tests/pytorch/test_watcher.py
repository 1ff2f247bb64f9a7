"""The watcher's numbers against their definitions, its silence, and that it goes away."""

from __future__ import annotations

import copy
import math

import pytest

torch = pytest.importorskip("torch")

from networks_small import Attention, Recurrent, ResNet, mlp, vgg  # noqa: E402
from torch import nn  # noqa: E402
from training_setups import Setup, accumulating, images, rows, sequences, texts, usual_step  # noqa: E402

import tunewell as tw  # noqa: E402
from tunewell.torch import Watcher, watching  # noqa: E402


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def test_norms_and_ratios_are_what_they_are_defined_as():
    setup = Setup(mlp())
    watch = Watcher(setup.model, setup.optimizer, every=1)
    usual_step(setup, setup.batch)
    before = {name: p.detach().clone() for name, p in setup.model.named_parameters()}
    watch.metrics()
    usual_step(setup, setup.batch)
    found = watch.metrics()
    gradients = [p.grad for p in setup.model.parameters()]
    assert found["grad_norm"] == pytest.approx(math.sqrt(sum(float(g.square().sum()) for g in gradients)), rel=1e-5)
    ratios = sorted(
        float((p.detach() - before[name]).norm() / before[name].norm())
        for name, p in setup.model.named_parameters()
        if p.dim() > 1
    )
    assert found["update_ratio"] == pytest.approx(ratios[1], rel=1e-5)
    layers = {layer.name: layer for layer in watch.layers()}
    assert list(layers) == ["0", "3", "6"]
    weight, bias = setup.model[6].weight.grad, setup.model[6].bias.grad
    assert layers["6"].grad_norm == pytest.approx(math.hypot(weight.norm(), bias.norm()), rel=1e-5)


def test_sparse_gradients_count():
    model = nn.Sequential(nn.Embedding(20, 4, sparse=True), nn.Flatten(), nn.Linear(12, 2))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    watch = Watcher(model, optimizer, every=1)
    for factor in (1.0, math.nan):
        optimizer.zero_grad()
        (factor * model(torch.randint(0, 20, (8, 3))).square().mean()).backward()
        norm = math.sqrt(sum(float(p.grad.to_dense().square().sum()) for p in model.parameters()))
        optimizer.step()
        found = watch.metrics()
        if math.isfinite(factor):
            assert found["grad_norm"] == pytest.approx(norm, rel=1e-5)
        else:
            assert found["bad_layers"] > 0.0


def test_packed_sequences_are_looked_at():
    model = nn.LSTM(3, 4, batch_first=True)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    watch = Watcher(model, optimizer, every=1)
    packed = nn.utils.rnn.pack_padded_sequence(torch.randn(2, 5, 3), [5, 3], batch_first=True)
    for _ in range(2):
        out, _ = model(packed)
        out.data.square().mean().backward()
        optimizer.step()
    assert "saturated_units" in watch.metrics()


def test_activations_are_those_of_the_layers():
    setup = Setup(mlp())
    out = setup.model[0](setup.batch[0]).detach()
    watch = Watcher(setup.model, setup.optimizer)
    usual_step(setup, setup.batch)
    first = watch.layers()[0]
    assert first.mean == pytest.approx(float(out.mean()), abs=1e-6)
    assert first.std == pytest.approx(float(out.std(correction=0)), rel=1e-5)


@pytest.mark.parametrize("functional", [False, True])
def test_dead_units_are_counted_whoever_rectifies(functional):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.act, self.last = nn.Linear(12, 20), nn.ReLU(), nn.Linear(20, 4)

        def forward(self, x):
            x = self.first(x)
            return self.last(torch.relu(x) if functional else self.act(x))

    setup = Setup(Net(), rows(64))
    with torch.no_grad():
        setup.model.first.bias[:5] = -100.0
    watch = Watcher(setup.model, setup.optimizer, every=1)
    for _ in range(7):
        usual_step(setup, setup.batch)
    assert watch.metrics()["dead_units"] == 5 / 20
    assert watch.layers()[1].dead == 5 / 20


def test_a_unit_that_fires_once_in_the_last_five_samples_is_not_dead():
    setup = Setup(mlp(sizes=(12, 16, 4)), rows(64), optimizer=None)
    for group in setup.optimizer.param_groups:
        group["lr"] = 0.0
    watch = Watcher(setup.model, setup.optimizer, every=1)
    alive = setup.model[0].bias.detach().clone()
    found = []
    for number in range(8):
        with torch.no_grad():
            setup.model[0].bias[:] = alive if number == 1 else -100.0
        usual_step(setup, setup.batch)
        found.append(watch.metrics()["dead_units"])
    assert found == [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0]


def test_saturated_units_are_counted():
    model = nn.Sequential(nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 8), nn.Sigmoid(), nn.Linear(8, 4))
    setup = Setup(model)
    watch = Watcher(model, setup.optimizer, every=1)
    usual_step(setup, setup.batch)
    gentle = watch.metrics()["saturated_units"]
    with torch.no_grad():
        model[0].weight *= 1e4
        model[2].weight *= 1e4
    usual_step(setup, setup.batch)
    assert gentle < 0.1
    assert watch.metrics()["saturated_units"] > 0.9
    saturated = {layer.name: layer.saturated for layer in watch.layers()}
    assert saturated["0"] is None
    assert min(saturated["1"], saturated["3"]) > 0.9


def test_bad_numbers_are_named_with_step_and_first_layer():
    setup = Setup(vgg(), images())
    watch = Watcher(setup.model, setup.optimizer, every=1)
    usual_step(setup, setup.batch)
    assert watch.first_bad is None
    with torch.no_grad():
        setup.model[4].weight[0] = math.nan
    for _ in range(2):
        usual_step(setup, setup.batch)
    assert watch.first_bad == (2, "4")
    assert watch.metrics()["bad_layers"] > 0


def test_only_every_nth_step_is_a_sample_and_has_hooks():
    setup = Setup(ResNet(), images())
    watch = Watcher(setup.model, setup.optimizer, every=3)
    hooked, sampled = [], []
    for _ in range(7):
        hooked.append(any(part._forward_hooks for part in setup.model.modules()))
        before = len(watch._samples)
        usual_step(setup, setup.batch)
        sampled.append(len(watch._samples) > before)
    assert hooked == sampled == [True, False, False, True, False, False, True]


def test_watching_changes_nothing_and_closing_leaves_no_hook():
    def trained(watching):
        torch.manual_seed(0)
        setup = Setup(vgg(), images())
        watch = Watcher(setup.model, setup.optimizer, every=2) if watching else None
        for _ in range(4):
            usual_step(setup, setup.batch)
        if watch:
            watch.close()
        return setup

    plain, watched = trained(False), trained(True)
    for one, other in zip(plain.model.state_dict().values(), watched.model.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    assert not any(part._forward_hooks for part in watched.model.modules())
    assert not watched.optimizer._optimizer_step_pre_hooks
    assert not watched.optimizer._optimizer_step_post_hooks
    copy.deepcopy(watched.model)


def test_a_watcher_that_is_closed_keeps_what_it_saw():
    setup = Setup(mlp())
    watch = Watcher(setup.model, setup.optimizer)
    usual_step(setup, setup.batch)
    watch.close()
    assert watch.metrics()["grad_norm"] > 0
    assert str(watch).splitlines()[0].split() == [
        "layer", "mean", "std", "dead", "saturated", "grad", "norm", "update", "ratio",
    ]  # fmt: skip


def test_metrics_repeat_the_last_ones_while_there_is_no_new_sample():
    setup = Setup(mlp())
    watch = Watcher(setup.model, setup.optimizer, every=50)
    assert watch.metrics() == {}
    usual_step(setup, setup.batch)
    first = watch.metrics()
    usual_step(setup, setup.batch)
    assert watch.metrics() == first


def test_micro_batches_of_a_step_are_one_sample():
    setup = Setup(mlp(), step=accumulating)
    watch = Watcher(setup.model, setup.optimizer, every=1)
    for _ in range(2):
        setup.step(setup, setup.batch)
    assert watch.steps == len(watch._samples) == 2


def test_evaluation_without_gradients_is_not_sampled():
    setup = Setup(mlp())
    watch = Watcher(setup.model, setup.optimizer)
    with torch.no_grad():
        setup.model(torch.full((16, 12), 1e6))
    usual_step(setup, setup.batch)
    assert watch.layers()[0].std < 10


@pytest.mark.parametrize("kind", ["transformer", "LSTM", "bfloat16"])
def test_other_networks_are_watched(kind):
    model, batch = {
        "transformer": lambda: (Attention(), texts()),
        "LSTM": lambda: (Recurrent(nn.LSTM), sequences()),
        "bfloat16": lambda: (vgg(), images()),
    }[kind]()
    setup = Setup(model, batch)
    watch = Watcher(model, setup.optimizer)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=kind == "bfloat16"):
        loss = setup.model(batch[0]).float().square().mean()
    loss.backward()
    setup.optimizer.step()
    found = watch.metrics()
    assert found["grad_norm"] > 0 < found["update_ratio"]
    assert ("saturated_units" in found) == (kind == "LSTM")
    assert found["bad_layers"] == 0


def test_of_a_compiled_model_gradients_and_updates_are_seen():
    model = mlp()
    compiled = torch.compile(model, backend="eager")
    optimizer = torch.optim.SGD(compiled.parameters(), 0.1)
    watch = Watcher(compiled, optimizer)
    compiled(rows()[0]).square().mean().backward()
    optimizer.step()
    assert set(watch.metrics()) == {"grad_norm", "update_ratio", "bad_layers"}


@pytest.mark.parametrize("fused", [False, True])
def test_a_gradient_scaler_is_undone(fused):
    def norm(scale):
        torch.manual_seed(0)
        model = mlp()
        setup = Setup(model, optimizer=torch.optim.AdamW(model.parameters(), 1e-3, fused=fused))
        scaler = torch.amp.GradScaler("cpu", init_scale=scale, enabled=scale > 1)
        watch = Watcher(setup.model, setup.optimizer)
        scaler.scale(setup.loss_of(setup.model, setup.batch)).backward()
        scaler.step(setup.optimizer)
        return watch.metrics()["grad_norm"]

    assert norm(1024.0) == pytest.approx(norm(1.0), rel=1e-4)


@pytest.mark.parametrize("fused", [False, True])
def test_a_step_that_a_gradient_scaler_skips_is_no_fault(fused):
    model = mlp()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, fused=fused, weight_decay=0.0)
    setup, scaler = Setup(model, optimizer=optimizer), torch.amp.GradScaler("cpu", init_scale=1e38)
    watch = Watcher(model, optimizer, every=1)
    with watching(model) as audited:
        for _ in range(20):
            optimizer.zero_grad()
            scaler.scale(100 * setup.loss_of(model, setup.batch)).backward()
            scaler.step(optimizer)
            scaler.update()
    assert audited.findings() == []
    assert watch.metrics()["bad_layers"] == 0
    assert watch.first_bad is None


def test_metrics_go_into_a_report():
    def train(trial):
        setup = Setup(mlp())
        watch = Watcher(setup.model, setup.optimizer)
        for _ in trial.steps(2):
            usual_step(setup, setup.batch)
            trial.report(loss=1.0, **watch.metrics())

    study = tw.Study(tw.Space(rate=tw.Float(0.1, 1.0)), metric="loss", seed=0)
    study.run(train, trials=1, executor="inline", progress=False)
    assert {"grad_norm", "update_ratio", "dead_units", "loss"} <= study.trials[0].reports[-1].metrics.keys()


@pytest.mark.parametrize(
    ("build", "error", "sentence"),
    [
        (lambda: Watcher("net", None), TypeError, "Watcher expected a torch.nn.Module and a torch.optim.Optimizer"),
        (lambda: _watch(every=0), ValueError, "every expected a number of steps of at least 1, got 0"),
        (lambda: _watch(of=mlp()), ValueError, "Watcher expected an optimizer that holds parameters of the model"),
    ],
)
def test_wrong_arguments_get_a_sentence(build, error, sentence):
    with pytest.raises(error, match=sentence):
        build()


def _watch(of=None, **options):
    model = mlp()
    return Watcher(model, torch.optim.SGD((of or model).parameters(), 0.1), **options)

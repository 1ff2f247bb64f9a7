"""The range test on small real models: what it leaves untouched, finds and refuses, and what its options do."""

from __future__ import annotations

import pickle
import random
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

import tunewell as tw  # noqa: E402
from tunewell.torch import RangeTestError, find_learning_rate  # noqa: E402

SHORT = {"ramp_steps": 80, "repeats": 2, "probe_steps": 40}

OPTIMIZERS = {
    "sgd": lambda w: torch.optim.SGD(w, 0.1, momentum=0.9, nesterov=True),
    "adam": lambda w: torch.optim.Adam(w, 1e-3, amsgrad=True),
    "adamw": lambda w: torch.optim.AdamW(w, 1e-3),
    "rmsprop": lambda w: torch.optim.RMSprop(w, 1e-3, centered=True, momentum=0.5),
    "adagrad": lambda w: torch.optim.Adagrad(w, 1e-2),
    "nadam": lambda w: torch.optim.NAdam(w, 1e-3),
}


def make_data(n=192, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 8, generator=generator)
    return x, (x[:, :3] + 0.5 * torch.randn(n, 3, generator=generator)).argmax(dim=1)


def make_model():
    torch.manual_seed(1)
    hidden = [nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2)]
    return nn.Sequential(*hidden, nn.Linear(16, 3), nn.BatchNorm1d(3))


def make_loader(seed=3, batch=16):
    return DataLoader(
        TensorDataset(*make_data()), batch, shuffle=True, drop_last=True, generator=torch.Generator().manual_seed(seed)
    )


class Training:
    """A training that is under way, and everything about it that a range test must not change."""

    def __init__(self, optimizer):
        self.model, self.loader = make_model(), make_loader()
        self.model[4].bias.requires_grad_(False)
        self.optimizer = OPTIMIZERS[optimizer](self.model.parameters())
        self.scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, 50)
        random.seed(5), np.random.seed(6), torch.manual_seed(7)  # noqa: NPY002
        self.train(3)
        self.model[1].eval()  # a frozen batch norm in a model that trains

    def train(self, steps):
        batches = iter(self.loader)
        for _ in range(steps):
            x, y = next(batches)
            self.optimizer.zero_grad()
            nn.functional.cross_entropy(self.model(x), y).backward()
            self.optimizer.step()
            self.scheduler.step()

    def facts(self):
        """Return everything as bytes, and the identity of what others may hold references to."""
        weights = list(self.model.parameters())
        state = [value for part in self.optimizer.state.values() for value in part.values()]
        held = [*weights, *self.model.buffers(), *(w.grad for w in weights), *state, self.optimizer.state]
        return (
            [None if tensor is None else tensor.detach().numpy().tobytes() for tensor in held[: -1 - len(state)]],
            [weight.requires_grad for weight in weights],
            [part.training for part in self.model.modules()],
            pickle.dumps(self.optimizer.state_dict()),
            pickle.dumps(self.scheduler.state_dict()),
            sorted(vars(self.optimizer)),
            [id(thing) for thing in held],
            (random.getstate(), np.random.get_state()[1].tobytes()),  # noqa: NPY002
            torch.get_rng_state().numpy().tobytes(),
            self.loader.generator.get_state().numpy().tobytes(),
        )


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_everything_is_as_before_bit_by_bit(optimizer):
    training = Training(optimizer)
    before = training.facts()
    find_learning_rate(
        training.model, training.optimizer, training.loader, nn.CrossEntropyLoss(), held_out=make_loader(), **SHORT
    )
    assert training.facts() == before
    training.train(5)
    twin = Training(optimizer)
    twin.train(5)
    for ours, theirs in zip(training.model.parameters(), twin.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)
        for name, value in training.optimizer.state.get(ours, {}).items():
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(twin.optimizer.state[theirs][name]))


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, StopIteration])
@pytest.mark.parametrize("calls", [1, 30, 130])
def test_everything_is_as_before_after_an_exception(error, calls):
    training = Training("adam")
    before, seen = training.facts(), []

    def loss_of(model, batch):
        seen.append(1)
        loss = nn.functional.cross_entropy(model(batch[0]), batch[1])
        random.random(), np.random.rand(), torch.rand(1)  # noqa: NPY002
        if len(seen) == calls:
            raise error
        return loss

    with pytest.raises((error, RuntimeError)):
        find_learning_rate(training.model, training.optimizer, training.loader, loss_of=loss_of, **SHORT)
    assert len(seen) == calls
    assert training.facts() == before


def test_a_fresh_optimizer_stays_without_state_and_without_gradients():
    model = make_model()
    optimizer = torch.optim.Adam(model.parameters())
    find_learning_rate(model, optimizer, make_loader(), nn.CrossEntropyLoss(), **SHORT)
    assert not optimizer.state
    assert all(weight.grad is None for weight in model.parameters())


def test_what_a_step_or_the_loss_changes_beside_the_weights_is_put_back():
    class Counting(torch.optim.SGD):
        count = 0

        def step(self, closure=None):
            self.count = self.count + 1
            super().step(closure)

    def loss_of(model, batch):
        model[0].bias.requires_grad_(False)
        model[2].train(False)
        return nn.functional.cross_entropy(model(batch[0]), batch[1])

    model = make_model()
    optimizer = Counting(model.parameters(), 0.1)
    optimizer.count = 7
    torch.optim.lr_scheduler.StepLR(optimizer, 5)
    held = dict(vars(optimizer))
    find_learning_rate(model, optimizer, make_loader(), loss_of=loss_of, **SHORT)
    assert vars(optimizer) == held
    assert model[0].bias.requires_grad
    assert model[2].training


def test_a_buffer_that_forward_replaces_is_put_back():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(8, 3)
            self.register_buffer("seen", torch.zeros(1))

        def forward(self, x):
            self.seen = self.seen + len(x)
            return self.linear(x)

    model = Counting()
    seen = model.seen
    find_learning_rate(model, torch.optim.SGD(model.parameters(), 0.1), make_loader(), nn.CrossEntropyLoss(), **SHORT)
    assert model.seen is seen
    assert seen.item() == 0.0


# --- what it finds ----------------------------------------------------------------------------------------------------


def found_on(seed=0, batches=None, **options):
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    loader = make_loader() if batches is None else batches
    return find_learning_rate(model, optimizer, loader, nn.CrossEntropyLoss(), seed=seed, **options)


def test_the_same_seed_finds_the_same():
    first, second, other = found_on(1, **SHORT), found_on(1, **SHORT), found_on(2, **SHORT)
    assert first.suggestion == second.suggestion
    np.testing.assert_array_equal(first.losses, second.losses)
    assert not np.array_equal(first.losses, other.losses)
    assert not np.array_equal(first.losses[0], first.losses[1])  # the repeats see other batches


def test_the_suggestion_trains_about_as_well_as_the_best_of_a_grid():
    """On real digits, with a short training along a cosine; twice, and both suggestions are within a factor of two."""
    sklearn = pytest.importorskip("sklearn.datasets")
    digits = sklearn.load_digits()
    x, y = torch.tensor(digits.data / 16.0, dtype=torch.float32), torch.tensor(digits.target)
    train, held = (TensorDataset(x[a:b], y[a:b]) for a, b in ((0, 1200), (1200, 1500)))

    def fresh():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(64, 10))

    def trained(rate, steps=250):
        model = fresh()
        optimizer = torch.optim.SGD(model.parameters(), rate)
        falling = tw.torch.scheduler(optimizer, tw.lr_schedules.Cosine(steps))
        torch.manual_seed(1)
        for _, rows in zip(range(steps), iter(lambda: torch.randint(1200, (32,)), None), strict=False):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
            falling.step()
        with torch.no_grad():
            return nn.functional.cross_entropy(model(x[1500:]), y[1500:]).item()

    model = fresh()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    loader, judges = DataLoader(train, 32, shuffle=True), DataLoader(held, 100)
    rates = [
        find_learning_rate(model, optimizer, loader, nn.CrossEntropyLoss(), held_out=judges, seed=seed, probe_steps=120)
        for seed in (0, 1)
    ]
    best = min(trained(rate) for rate in np.geomspace(1e-3, 10, 13))
    assert all(trained(found.suggestion) < 1.15 * best for found in rates)
    assert 0.5 < rates[0].suggestion / rates[1].suggestion < 2.0
    assert all(found.low < found.suggestion <= found.high for found in rates)
    assert trained(rates[0].low / 3) > 1.5 * best


def test_what_is_found_is_a_parameter_a_belief_and_a_rate_for_the_optimizer():
    found = found_on(**SHORT)
    parameter = found.parameter("high")
    assert (parameter.low, parameter.high, parameter.scale) == (found.low / 10, found.high, "log")
    assert parameter.default == parameter.prior.center == found.suggestion
    study = tw.Study(tw.Space(learning_rate=parameter), seed=0)
    study.believe({"learning_rate": found.suggestion})
    assert study.ask().params == {"learning_rate": found.suggestion}
    weights = [nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = torch.optim.SGD([{"params": weights[:1], "lr": 0.2}, {"params": weights[1:], "lr": 0.02}])
    found.apply(optimizer)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx(
        [found.suggestion, 0.1 * found.suggestion]
    )


def test_a_scheduler_made_after_the_rate_was_applied_begins_there():
    found = found_on(**SHORT)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=torch.tensor(0.5))
    torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    held = optimizer.param_groups[0]["lr"]
    found.apply(optimizer)
    assert optimizer.param_groups[0]["lr"] is held
    after = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    assert [float(rate) for rate in after.base_lrs] == pytest.approx([found.suggestion])


def test_a_first_group_without_a_rate_takes_the_suggestion_alone_and_has_no_ratios():
    found = found_on(**SHORT)
    weights = [nn.Parameter(torch.zeros(1)) for _ in range(2)]
    alone = torch.optim.SGD(weights, lr=0.0)
    found.apply(alone)
    assert alone.param_groups[0]["lr"] == found.suggestion
    several = torch.optim.SGD([{"params": weights[:1], "lr": 0.0}, {"params": weights[1:], "lr": 0.02}])
    with pytest.raises(ValueError, match="above 0 in the optimizer's first group, got 0, to which the other groups"):
        found.apply(several)
    assert [group["lr"] for group in several.param_groups] == [0.0, 0.02]


def test_a_suggestion_at_the_upper_end_is_said():
    found = replace(found_on(**SHORT), suggestion=0.1, high=1.0)
    assert "upper end" not in str(found)
    assert str(replace(found, high=0.1)).endswith("the suggestion lies at the upper end, so try a smaller rate too")


def test_the_picture_is_one_svg_with_the_suggestion(tmp_path):
    found = found_on(**SHORT)
    drawn = found.plot(tmp_path / "test.svg").read_text()
    assert drawn == found._repr_svg_() == found.picture()
    assert drawn.startswith("<svg ")
    assert drawn.count("<svg") == drawn.count("</svg>") == 1
    assert f"suggested {found.suggestion:.2g}" in drawn
    assert "nan" not in drawn
    assert "inf" not in drawn
    assert f"start with {found.suggestion:.2g}" in str(found)
    with pytest.raises(ValueError, match=r"ends in \.svg"):
        found.plot(tmp_path / "test.png")


# --- options ----------------------------------------------------------------------------------------------------------


def test_groups_keep_their_ratios():
    model = make_model()
    optimizer = torch.optim.AdamW(
        [{"params": model[0].parameters(), "lr": 1e-4}, {"params": model[4].parameters(), "lr": 1e-3}]
    )
    seen = set()

    def loss_of(model, batch):
        seen.add(round(optimizer.param_groups[1]["lr"] / (optimizer.param_groups[0]["lr"] or 1.0), 6))
        return nn.functional.cross_entropy(model(batch[0]), batch[1])

    find_learning_rate(model, optimizer, make_loader(), loss_of=loss_of, **SHORT)
    assert seen == {10.0}


def test_gradients_are_accumulated_over_batches_of_one_step():
    model, calls = make_model(), []

    def loss_of(model, batch):
        calls.append(1)
        return nn.functional.cross_entropy(model(batch[0]), batch[1])

    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    found = find_learning_rate(model, optimizer, make_loader(), loss_of=loss_of, accumulate=3, **SHORT)
    judged = 4  # batches that tell the loss before training
    assert (len(calls) - judged) / 3 == pytest.approx(found.steps, abs=8)  # a step that is not finite is not taken


def test_accumulated_batches_step_as_one_large_batch_does():
    """Without batch norm and dropout the ramps are the same, so the loss is divided and summed rightly."""
    x, y = make_data()
    whole = [(x[:48], y[:48])]
    parts = [(x[i : i + 16], y[i : i + 16]) for i in (0, 16, 32)]
    found = []
    for batches, accumulate in ((whole, 1), (parts, 3)):
        torch.manual_seed(0)
        model = nn.Linear(8, 3)
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        found.append(
            find_learning_rate(model, optimizer, batches, nn.CrossEntropyLoss(), accumulate=accumulate, **SHORT)
        )
    np.testing.assert_allclose(found[0].losses[:, :30], found[1].losses[:, :30], rtol=1e-4)


def test_mixed_precision_with_a_scaler_which_stays_as_it_was():
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    before = scaler.state_dict()
    found = found_on(autocast=torch.autocast("cpu", torch.bfloat16), scaler=scaler, max_norm=1.0, **SHORT)
    assert scaler.state_dict() == before
    assert 1e-4 < found.suggestion < 10.0


def test_clipping_makes_larger_rates_stable():
    assert found_on(max_norm=0.05, **SHORT).suggestion > 3 * found_on(**SHORT).suggestion


def test_several_inputs_and_batches_of_any_kind():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 3), nn.Linear(4, 3)

        def forward(self, left, right):
            return self.a(left) + self.b(right)

    x, y = make_data()
    model = Two()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    triples = [(x[i : i + 16, :4], x[i : i + 16, 4:], y[i : i + 16]) for i in range(0, 192, 16)]
    named = [{"left": left, "right": right, "labels": labels} for left, right, labels in triples]

    def loss_of(model, batch):
        return nn.functional.cross_entropy(model(batch["left"], batch["right"]), batch["labels"])

    first = find_learning_rate(model, optimizer, triples, nn.CrossEntropyLoss(), **SHORT)
    second = find_learning_rate(model, optimizer, named, loss_of=loss_of, **SHORT)
    assert first.suggestion == second.suggestion


def test_a_loader_shorter_than_the_test_is_cycled():
    x, y = make_data(32)
    loader = DataLoader(TensorDataset(x, y), 16, shuffle=True)
    assert len(loader) == 2
    assert found_on(batches=loader, **SHORT).steps > 100


# --- refusals ---------------------------------------------------------------------------------------------------------


def refused(kind, words, **changes):
    model = changes.pop("model", None) or nn.Linear(8, 3)
    optimizer = changes.pop("optimizer", None) or torch.optim.SGD(model.parameters(), 0.1)
    given = {"criterion": nn.CrossEntropyLoss(), **SHORT, **changes}
    before = [
        weight.detach().clone() for weight in model.parameters() if not isinstance(weight, nn.UninitializedParameter)
    ]
    with pytest.raises(kind, match=words) as caught:
        find_learning_rate(model, optimizer, given.pop("batches", make_loader()), given.pop("criterion"), **given)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=False))


def test_a_loss_that_is_not_finite_from_the_start():
    def loss_of(model, batch):
        return model(batch[0]).sum() * torch.nan

    refused(RangeTestError, "finite loss before the first step, got nan", criterion=None, loss_of=loss_of)


def test_a_loss_that_does_not_move():
    def loss_of(model, batch):
        return 0.0 * model(batch[0]).sum() + batch[0].mean()

    refused(RangeTestError, "expected the loss to move", criterion=None, loss_of=loss_of)


def test_a_loss_that_rises_at_once():
    refused(RangeTestError, "rises at once.*nothing to learn in this data", lowest=30.0, highest=1e6)


def test_a_model_that_is_at_its_best_already():
    model = nn.Linear(8, 1, bias=False)
    nn.init.zeros_(model.weight)

    def loss_of(model, batch):
        return model(batch[0]).square().mean() + (model.weight - 0.0).abs().sum()

    refused(RangeTestError, "rises at once|expected the loss to move", model=model, criterion=None, loss_of=loss_of)


def test_an_optimizer_that_needs_a_closure():
    model = nn.Linear(8, 3)
    refused(ValueError, "no closure, got LBFGS", model=model, optimizer=torch.optim.LBFGS(model.parameters()))


def test_an_optimizer_of_another_model():
    refused(ValueError, "weights of this model", optimizer=torch.optim.SGD(nn.Linear(2, 2).parameters(), 0.1))


def test_an_optimizer_without_a_rate():
    model = nn.Linear(8, 3)
    refused(ValueError, "learning rate above 0", model=model, optimizer=torch.optim.SGD(model.parameters(), 0.0))


def test_layers_without_weights_yet():
    model = nn.LazyLinear(3)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    refused(ValueError, "run one batch through it first", model=model, optimizer=optimizer)


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"batches": iter([1])}, TypeError, "gone through again"),
        ({"held_out": iter([1])}, TypeError, "held_out expected an iterable that can be gone through again"),
        ({"batches": []}, ValueError, "at least one batch"),
        ({"batches": [torch.zeros(2, 8)]}, TypeError, "batches of"),
        ({"held_out": []}, ValueError, "held_out expected at least one batch"),
        ({"criterion": None}, TypeError, "either a criterion or loss_of"),
        ({"loss_of": lambda model, batch: 0}, TypeError, "either a criterion or loss_of"),
        ({"criterion": nn.CrossEntropyLoss(reduction="none")}, TypeError, "a tensor of one number"),
        ({"lowest": 1.0, "highest": 1.0}, ValueError, "lowest < highest"),
        ({"ramp_steps": 5}, ValueError, "ramp_steps expected"),
        ({"max_norm": 0.0}, ValueError, "max_norm expected"),
        ({"model": "net"}, TypeError, "torch.nn.Module"),
    ],
)
def test_wrong_arguments(changes, kind, words):
    if changes.get("model"):
        with pytest.raises(kind, match=words):
            find_learning_rate(**changes, optimizer=None, batches=[], criterion=None)
    else:
        refused(kind, words, **changes)


def test_without_pytorch_one_sentence_names_the_command():
    code = (
        "import sys; sys.modules['torch'] = None\nimport tunewell\n"
        "try: tunewell.torch.find_learning_rate\nexcept ModuleNotFoundError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == (
        'tunewell.torch.find_learning_rate expected PyTorch to be installed: pip install "tunewell[torch]"'
    )

"""Models, optimizers and generators are put back: the same objects with the same bits, and no needless writing."""

from __future__ import annotations

import random

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset  # noqa: E402

from tunewell.torch.untouched import untouched  # noqa: E402

OPTIMIZERS = {
    "adam": lambda p: torch.optim.Adam(p, 1e-3, amsgrad=True),
    "capturable adam with tensors as options": lambda p: torch.optim.Adam(
        p, torch.tensor(1e-3), (torch.tensor(0.9), torch.tensor(0.99)), foreach=False
    ),
    "lbfgs": lambda p: torch.optim.LBFGS(p, 0.1, max_iter=2),
}


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 2))


def step(model, optimizer):
    def closure():
        optimizer.zero_grad()
        loss = model(torch.randn(8, 4)).square().mean()
        loss.backward()
        return loss

    optimizer.step(closure)


def tensors_of(value):
    if isinstance(value, torch.Tensor):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [tensor for part in inner for tensor in tensors_of(part)]


def held(model, optimizer):
    state, groups = tensors_of(list(optimizer.state.values())), tensors_of(optimizer.param_groups)
    return [*model.parameters(), *model.buffers(), *state, *groups]


def facts(model, optimizer):
    """Every tensor's identity and bits, and the dicts and lists that hold them."""
    places = [optimizer.param_groups, optimizer.state, *optimizer.param_groups, *optimizer.state.values()]
    return (
        [(id(tensor), tensor.detach().numpy().tobytes(), tensor.requires_grad) for tensor in held(model, optimizer)],
        [(id(place), list(place)) if isinstance(place, dict) else (id(place), len(place)) for place in places],
        [id(weight.grad) for weight in model.parameters()],
        [part.training for part in model.modules()],
    )


@pytest.fixture(params=OPTIMIZERS)
def training(request):
    model = network()
    optimizer = OPTIMIZERS[request.param](model.parameters())
    for _ in range(3):
        step(model, optimizer)
    return model, optimizer


def test_steps_leave_the_same_objects_with_the_same_bits(training):
    model, optimizer = training
    before = facts(*training)
    with untouched([model], [optimizer]) as (snapshot, _):
        assert all(weight.grad is None for weight in model.parameters())
        for _ in range(2):
            step(model, optimizer)
            model.eval()
            snapshot.rewind()
            assert all(weight.grad is None for weight in model.parameters())
            assert facts(*training)[0] == before[0]
        step(model, optimizer)
    assert facts(*training) == before


def test_a_loaded_state_and_an_added_group_are_gone_afterwards(training):
    model, optimizer = training
    before, attributes = facts(*training), dict(vars(optimizer))
    with untouched([model], [optimizer]):
        optimizer.load_state_dict(optimizer.state_dict())
        optimizer.param_groups.append({"params": [nn.Parameter(torch.zeros(2))]})
        optimizer.state.clear()
        optimizer.noted = 1
    assert facts(*training) == before
    assert vars(optimizer) == attributes


def test_what_did_not_change_is_not_written_to(training):
    model, optimizer = training
    with torch.no_grad():
        model[0].bias[0], model[0].bias[1] = torch.nan, -0.0
    versions = [tensor._version for tensor in held(*training)]
    with untouched([model], [optimizer]) as (snapshot, _), torch.no_grad():
        model.eval()(torch.randn(8, 4))
        snapshot.rewind()
    assert [tensor._version for tensor in held(*training)] == versions


def test_a_changed_sign_of_zero_is_put_back():
    weight = torch.tensor([-0.0, 1.0])
    with untouched([weight]):
        weight.abs_()
    assert torch.signbit(weight).tolist() == [True, False]


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64, torch.complex64, torch.complex128, torch.bool])
@pytest.mark.parametrize("shape", [(), (0,), (3, 2)])
def test_tensors_of_any_type_are_put_back(dtype, shape):
    tensor = torch.ones(shape, dtype=dtype)
    with untouched([tensor]):
        tensor.zero_()
    assert torch.equal(tensor, torch.ones(shape, dtype=dtype))


def test_sparse_buffers_are_put_back():
    model = nn.Module()
    model.register_buffer("graph", torch.eye(3).to_sparse())
    graph = model.graph
    with untouched([model]):
        graph.mul_(2.0)
    assert model.graph is graph
    assert torch.equal(graph.to_dense(), torch.eye(3))


def test_several_optimizers_that_share_weights_are_put_back():
    model = network()
    optimizers = [torch.optim.SGD(model.parameters(), 0.1, momentum=0.9), torch.optim.Adam(model[3].parameters())]
    step(model, optimizers[0])
    before = [facts(model, optimizer) for optimizer in optimizers]
    with untouched([model], optimizers):
        for optimizer in optimizers:
            step(model, optimizer)
    assert [facts(model, optimizer) for optimizer in optimizers] == before
    assert not optimizers[1].state


def test_layers_and_tensors_given_beside_the_model_are_put_back():
    model, norm, loose = network(), nn.BatchNorm1d(2), torch.ones(2, requires_grad=True)
    optimizer = torch.optim.SGD([*model.parameters(), loose], 0.1)
    loose.grad = gradient = torch.ones(2)
    with untouched([model, norm, loose], [optimizer]):
        assert loose.grad is None
        norm(model(torch.randn(8, 4)) * loose).sum().backward()
        optimizer.step()
        norm.eval()
    assert norm.training
    assert (norm.running_mean.tolist(), norm.num_batches_tracked.item()) == ([0.0, 0.0], 0)
    assert loose.tolist() == [1.0, 1.0]
    assert loose.grad is gradient


def test_replaced_added_and_removed_weights_are_put_back():
    model = network()
    before, order = dict(model.state_dict(keep_vars=True)), list(model.state_dict())
    with untouched([model]):
        model[0].weight = nn.Parameter(torch.zeros(6, 4))
        model[1].running_mean = torch.zeros(6)
        model[3].bias = None
        model[3].register_parameter("gain", nn.Parameter(torch.ones(2)))
        model[2].register_buffer("count", torch.zeros(1))
    after = model.state_dict(keep_vars=True)
    assert list(after) == order
    assert all(after[name] is tensor for name, tensor in before.items())


def test_a_buffer_that_joined_a_graph_leaves_it():
    model = network()
    model.register_buffer("average", torch.zeros(2))
    with untouched([model]):
        model.average.add_(model(torch.randn(8, 4)).mean(0))
        assert not model.average.is_leaf
    assert model.average.is_leaf
    assert not model.average.requires_grad
    assert model.average.tolist() == [0.0, 0.0]


# --- random numbers ---------------------------------------------------------------------------------------------------


class Augmented(TensorDataset):
    """A data set that draws from generators of its own."""

    def __init__(self, *tensors):
        super().__init__(*tensors)
        self.numpy, self.legacy, self.python = np.random.default_rng(1), np.random.RandomState(2), random.Random(3)

    def draw(self):
        return self.numpy.random(), self.legacy.rand(), self.python.random()


def loaders():
    data = Augmented(torch.arange(12.0))
    own = torch.Generator().manual_seed(4)
    inner = RandomSampler(data, generator=torch.Generator().manual_seed(5))
    batches = DataLoader(data, batch_sampler=BatchSampler(inner, 4, False), generator=own)
    return [batches, DataLoader(data, 4, shuffle=True, generator=torch.Generator().manual_seed(6)), [1, 2], None]


def drawn(given):
    """Draw from every generator there is."""
    orders = [batch[0].tolist() for loader in given[:2] for batch in loader]
    return orders, given[0].dataset.draw(), random.random(), np.random.rand(), torch.rand(2).tolist()  # noqa: NPY002


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_every_generator_goes_on_where_it_was(error):
    given = loaders()
    random.seed(0), np.random.seed(0), torch.manual_seed(0)  # noqa: NPY002
    expected = drawn(given)
    given = loaders()
    random.seed(0), np.random.seed(0), torch.manual_seed(0)  # noqa: NPY002

    def draw_and_fail():
        with untouched([], (), given):
            drawn(given)
            raise error

    with pytest.raises(error):
        draw_and_fail()
    assert drawn(given) == expected


def test_a_seed_starts_every_generator_anew():
    given = loaders()
    with untouched([], (), given) as (_, randomness):
        seen = []
        for seed in (7, 7, 8):
            randomness.seed(seed)
            seen.append(drawn(given))
    assert seen[0] == seen[1]
    assert all(one != other for one, other in zip(seen[0], seen[2], strict=True))


def test_generators_are_put_back_even_where_a_model_cannot_be():
    weight = torch.ones(2)
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)

    def draw_and_resize():
        with untouched([weight]):
            torch.rand(1)
            weight.resize_(3)

    with pytest.raises(RuntimeError, match="size"):
        draw_and_resize()
    assert torch.equal(torch.rand(1), expected)

"""Leaves a model, its optimizer, the data's order and all random generators as they were, whatever happens in between.

Memory: one more copy of the weights and buffers, and of the optimizer's state where it has one already.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

Copied: TypeAlias = tuple[Any, Any]
"""What something was, the object itself and a copy of what was in it."""


class Snapshot:
    """Weights, gradients, buffers, modes and the optimizer's groups and state, to be put back as often as wanted.

    What is put back is the same object with the same bits in it, so whoever holds a reference to a tensor of the model
    or the optimizer sees what was there before.
    """

    def __init__(self, modules: Sequence[nn.Module], optimizer: torch.optim.Optimizer) -> None:
        parts = [part for module in modules for part in module.modules()]
        trained = [weight for group in optimizer.param_groups for weight in group["params"]]
        weights = {id(w): w for w in (*trained, *(w for module in modules for w in module.parameters()))}
        self._weights = [
            (weight, weight.detach().clone(), weight.grad, weight.requires_grad) for weight in weights.values()
        ]
        self._modes = [(part, part.training) for part in parts]
        self._buffers = [(part, name, _copied(value)) for part in parts for name, value in part._buffers.items()]
        self._optimizer = optimizer
        self._attributes = dict(vars(optimizer))
        self._groups = [{key: _copied(value) for key, value in group.items()} for group in optimizer.param_groups]
        self._state = {weight: _copied(state) for weight, state in optimizer.state.items()}

    def restore(self) -> None:
        """Put everything back, gradients included."""
        self._put_back(keep_gradients=True)

    def rewind(self) -> None:
        """Put everything back for another run, with no gradients."""
        self._put_back(keep_gradients=False)

    def _put_back(self, *, keep_gradients: bool) -> None:
        with torch.no_grad():
            for weight, values, gradient, required in self._weights:
                weight.requires_grad_(required)
                weight.copy_(values)
                weight.grad = gradient if keep_gradients else None
            for part, name, buffer in self._buffers:
                part._buffers[name] = _original(buffer)
            for part, mode in self._modes:
                part.training = mode
            for name in set(vars(self._optimizer)) - set(self._attributes):
                del vars(self._optimizer)[name]
            vars(self._optimizer).update(self._attributes)
            for group, values in zip(self._optimizer.param_groups, self._groups, strict=True):
                group.clear()
                group.update({key: _original(value) for key, value in values.items()})
            self._optimizer.state.clear()
            self._optimizer.state.update({weight: _original(state) for weight, state in self._state.items()})


def _copied(value: Any) -> Copied:
    """Return a value with a copy of its contents; weights in groups are copied elsewhere, so lists stay as they are."""
    if isinstance(value, Tensor):
        return value, value.detach().clone()
    if isinstance(value, Mapping):
        return value, {key: _copied(part) for key, part in value.items()}
    if isinstance(value, list):
        return value, list(value)
    return value, copy.deepcopy(value)


def _original(copied: Copied) -> Any:
    """Return the object itself with its contents put back; must not record gradients."""
    value, contents = copied
    if isinstance(value, Tensor):
        value.copy_(contents)
    elif isinstance(value, dict):
        value.clear()
        value.update({key: _original(part) for key, part in contents.items()})
    elif isinstance(value, list):
        value[:] = contents
    else:
        return copy.deepcopy(contents)
    return value


# --- random numbers ---------------------------------------------------------------------------------------------------


class Randomness:
    """Every random generator that a training step or a loader may draw from.

    Python's, NumPy's and PyTorch's global ones, those of CUDA where it is awake, and those that the loaders, their
    samplers and their data sets hold.
    """

    def __init__(self, loaders: Iterable[object]) -> None:
        self._own = list(_generators(loaders))
        self._held = [_state_of(generator) for generator in self._own]
        self._python, self._numpy, self._torch = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
        self._cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]

    def seed(self, seed: int) -> None:
        """Start all of them anew."""
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        torch.manual_seed(seed)
        for generator in self._own:
            _seed(generator, seed)

    def restore(self) -> None:
        """Put all of them back."""
        random.setstate(self._python)
        np.random.set_state(self._numpy)  # noqa: NPY002
        torch.set_rng_state(self._torch)
        if self._cuda:
            torch.cuda.set_rng_state_all(self._cuda)
        for generator, state in zip(self._own, self._held, strict=True):
            _set_state(generator, state)


_KINDS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)


def _generators(loaders: Iterable[object]) -> Iterator[Any]:
    """Return the generators that loaders hold: their own, and those of their samplers and data sets."""
    places = list(loaders)
    seen: set[int] = set()
    for _ in range(4):  # a loader, its batch sampler, the sampler of that, its data
        inner: list[object] = []
        for place in places:
            for name, value in vars(place).items() if hasattr(place, "__dict__") else ():
                if id(value) in seen:
                    continue
                seen.add(id(value))
                if isinstance(value, _KINDS):
                    yield value
                elif name in ("sampler", "batch_sampler", "dataset", "data_source"):
                    inner.append(value)
        places = inner


def _state_of(generator: Any) -> Any:
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    if isinstance(generator, np.random.Generator):
        return copy.deepcopy(generator.bit_generator.state)
    return generator.getstate() if isinstance(generator, random.Random) else generator.get_state()


def _set_state(generator: Any, state: Any) -> None:
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    elif isinstance(generator, random.Random):
        generator.setstate(state)
    else:
        generator.set_state(state)


def _seed(generator: Any, seed: int) -> None:
    if isinstance(generator, torch.Generator):
        generator.manual_seed(seed)
    elif isinstance(generator, np.random.Generator):
        kind = type(generator.bit_generator)
        generator.bit_generator.state = kind(seed).state
    else:
        generator.seed(seed % 2**32)


@contextmanager
def untouched(
    modules: Iterable[nn.Module], optimizer: torch.optim.Optimizer, loaders: Iterable[object]
) -> Iterator[tuple[Snapshot, Randomness]]:
    """Give the means to rewind and to seed; afterwards, and after any exception, all is as it was."""
    snapshot, randomness = Snapshot(list(modules), optimizer), Randomness(loaders)
    try:
        yield snapshot, randomness
    finally:
        snapshot.restore()
        randomness.restore()

"""Leaves models, optimizers, the data's order and all random generators as they were, whatever happens in between.

Memory: one more copy of weights and buffers, and of the optimizers' state where they have one already.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer


@contextmanager
def untouched(
    things: Iterable[nn.Module | Tensor], optimizers: Iterable[Optimizer] = (), loaders: Iterable[object] = ()
) -> Iterator[tuple[Snapshot, Randomness]]:
    """Give the means to rewind and to seed; afterwards, and after any exception, all is as it was bit by bit.

    There are no gradients at the beginning. What did not change is not written to.

    Args:
        things: models, and whatever layers and tensors they hold without registering them.
        optimizers: with attributes, groups and state; what else they train is put back, too.
        loaders: of batches, whose own generators are put back as the global ones are.
    """
    snapshot, randomness = Snapshot(things, optimizers), Randomness(loaders)
    try:
        snapshot.drop_gradients()
        yield snapshot, randomness
    finally:
        try:
            snapshot.restore()
        finally:
            randomness.restore()


class Snapshot:
    """Weights, gradients, buffers, modes and the optimizers' groups and state, to be put back as often as wanted.

    What is put back is the same object with the same bits in it, so whoever holds a reference to a tensor of a model or
    an optimizer sees what was there before.
    """

    def __init__(self, things: Iterable[nn.Module | Tensor], optimizers: Iterable[Optimizer] = ()) -> None:
        self._tensors: dict[int, _Kept] = {}
        self._modes: list[tuple[nn.Module, bool]] = []
        self._slots: list[tuple[Any, dict[str, Tensor | None]]] = []
        for thing in things:
            if isinstance(thing, Tensor):
                self._keep(thing)
            else:
                self._keep_layers(thing)
        self._attributes = [(optimizer, dict(vars(optimizer))) for optimizer in optimizers]
        self._containers = [
            self._keep(container)
            for optimizer, _ in self._attributes
            for container in (optimizer.param_groups, optimizer.state)
        ]

    def restore(self) -> None:
        """Put everything back, gradients included."""
        self._put_back()
        for kept in self._tensors.values():
            if kept.is_leaf:
                kept.tensor.grad = kept.gradient

    def rewind(self) -> None:
        """Put everything back for another run, with no gradients."""
        self._put_back()
        self.drop_gradients()

    def drop_gradients(self) -> None:
        """Leave no gradients."""
        for kept in self._tensors.values():
            if kept.is_leaf:
                kept.tensor.grad = None

    def _keep_layers(self, module: nn.Module) -> None:
        for part in module.modules():
            self._modes.append((part, part.training))
            for store in (part._parameters, part._buffers):
                self._slots.append((store, dict(store.items())))
                for tensor in store.values():
                    self._keep(tensor)

    def _keep(self, value: Any) -> Callable[[], Any]:
        """Return a function that gives an optimizer's value as it is now: the same tensors, dicts, lists and tuples."""
        if isinstance(value, Tensor):
            if id(value) not in self._tensors:
                self._tensors[id(value)] = _Kept.of(value)
            return lambda: value
        if isinstance(value, dict):
            items = {key: self._keep(part) for key, part in value.items()}
            return lambda: _filled(value, {key: give() for key, give in items.items()})
        if isinstance(value, list):
            parts = [self._keep(part) for part in value]
            return lambda: _refilled(value, [give() for give in parts])
        if isinstance(value, tuple):
            members = [self._keep(part) for part in value]
            return lambda: _seen_to(value, members)
        own = copy.deepcopy(value)
        return lambda: copy.deepcopy(own)

    def _put_back(self) -> None:
        for part, mode in self._modes:
            part.training = mode
        for store, tensors in self._slots:
            for name in set(store.keys()) - tensors.keys():
                del store[name]
            for name, tensor in tensors.items():
                if name not in store or store[name] is not tensor:
                    store[name] = tensor
        for optimizer, attributes in self._attributes:
            _filled(vars(optimizer), attributes)
        for give in self._containers:
            give()
        for kept in self._tensors.values():
            kept.put_back()


def _filled(held: dict[Any, Any], items: dict[Any, Any]) -> dict[Any, Any]:
    """Return a dict with these items and no others."""
    held.clear()
    held.update(items)
    return held


def _refilled(held: list[Any], items: list[Any]) -> list[Any]:
    """Return a list with these items and no others."""
    held[:] = items
    return held


def _seen_to(held: tuple[Any, ...], members: Iterable[Callable[[], Any]]) -> tuple[Any, ...]:
    """Return a tuple after what its members hold was put back."""
    for give in members:
        give()
    return held


@dataclass(frozen=True, eq=False, slots=True)
class _Kept:
    """A tensor and what it was."""

    tensor: Tensor
    values: Tensor
    requires_grad: bool
    is_leaf: bool
    gradient: Tensor | None

    @classmethod
    def of(cls, tensor: Tensor) -> _Kept:
        gradient = tensor.grad if tensor.is_leaf else None
        return cls(tensor, tensor.detach().clone(), tensor.requires_grad, tensor.is_leaf, gradient)

    def put_back(self) -> None:
        """Put values and flags back, where they changed."""
        if self.is_leaf and not self.tensor.is_leaf:
            self.tensor.detach_()
        if self.tensor.requires_grad != self.requires_grad:
            self.tensor.requires_grad_(self.requires_grad)
        if not _same_bits(self.tensor.detach(), self.values):
            with torch.no_grad():
                self.tensor.copy_(self.values)


_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Whole numbers by their size in bytes."""


def _same_bits(one: Tensor, other: Tensor) -> bool:
    """Whether tensors are the same bit by bit; unlike for numbers, -0.0 is not 0.0, and NaN is NaN."""
    bits = _BITS.get(one.element_size())
    if bits is None or one.layout is not torch.strided or one.is_quantized:  # cannot be told
        return False
    if one.dtype is not other.dtype or one.device != other.device:
        return False
    return torch.equal(one.view(bits), other.view(bits))


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

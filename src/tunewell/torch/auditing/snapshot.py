"""Leaving no trace: model, optimizers and generators are put back bit by bit, also after an exception."""

from __future__ import annotations

import copy
import random
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tunewell.torch.auditing.parts import hidden


@contextmanager
def untouched(model: nn.Module, optimizers: Sequence[Optimizer] = (), loader: object = None) -> Iterator[None]:
    """Put everything back that a training step changes, at the price of one copy of weights and optimizer state.

    These are weights, buffers, gradients, ``requires_grad`` and modes of the model, also of what it holds without
    registering it; state and options of the optimizers; the generators of Python, NumPy, PyTorch and the loader. What
    was not changed is not written to.
    """
    modules = [*model.modules()]
    for thing in hidden(model).values():
        modules += [*thing.modules()] if isinstance(thing, nn.Module) else []
    loose = [thing for thing in hidden(model).values() if isinstance(thing, Tensor)]
    places = [_slots(part) for part in modules]
    modes = [part.training for part in modules]
    tensors = _unique([*(t for slots in places for _, _, t in slots), *loose, *_of_optimizers(optimizers)])
    values = [(tensor, tensor.detach().clone(), tensor.requires_grad, tensor.grad) for tensor in tensors]
    states = [(optimizer, _groups(optimizer), _state(optimizer)) for optimizer in optimizers]
    for tensor in tensors:
        tensor.grad = None
    generators = _generators(loader)
    try:
        yield
    finally:
        for slots, part, training in zip(places, modules, modes, strict=True):
            part.training = training
            for store, key, tensor in slots:
                store[key] = tensor
        with torch.no_grad():
            for tensor, value, requires_grad, grad in values:
                if not _same(tensor, value):
                    tensor.copy_(value)
                if tensor.requires_grad != requires_grad:
                    tensor.requires_grad_(requires_grad)
                tensor.grad = grad
        for optimizer, groups, state in states:
            _put_back(optimizer, groups, state)
        for restore in generators:
            restore()


def _slots(part: nn.Module) -> list[tuple[dict[str, Any], str, Tensor]]:
    stores: list[dict[str, Any]] = [part._parameters, part._buffers]
    return [(store, key, tensor) for store in stores for key, tensor in store.items() if tensor is not None]


def _unique(tensors: Iterable[Tensor]) -> list[Tensor]:
    return list({id(tensor): tensor for tensor in tensors}.values())


def _same(tensor: Tensor, value: Tensor) -> bool:
    return tensor.shape == value.shape and bool(torch.equal(tensor.detach(), value))


# --- optimizers -------------------------------------------------------------------------------------------------------


def _of_optimizers(optimizers: Sequence[Optimizer]) -> Iterator[Tensor]:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            yield from group["params"]


def _groups(optimizer: Optimizer) -> list[dict[str, Any]]:
    return [{k: list(v) if k == "params" else copy.copy(v) for k, v in g.items()} for g in optimizer.param_groups]


def _state(optimizer: Optimizer) -> dict[Any, Any]:
    return {key: _copied(value) for key, value in optimizer.state.items()}


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value, value.detach().clone()
    return {k: _copied(v) for k, v in value.items()} if isinstance(value, dict) else copy.deepcopy(value)


def _restored(value: Any) -> Any:
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], Tensor):
        tensor, kept = value
        if not _same(tensor, kept):
            with torch.no_grad():
                tensor.copy_(kept)
        return tensor
    return {k: _restored(v) for k, v in value.items()} if isinstance(value, dict) else value


def _put_back(optimizer: Optimizer, groups: list[dict[str, Any]], state: dict[Any, Any]) -> None:
    del optimizer.param_groups[len(groups) :]
    for group, kept in zip(optimizer.param_groups, groups, strict=True):
        group.clear()
        group.update(kept)
    optimizer.state.clear()
    for key, value in state.items():
        optimizer.state[key] = _restored(value)


# --- generators -------------------------------------------------------------------------------------------------------


def _generators(loader: object) -> list[Any]:
    """Return functions that put the generators back to where they are now."""
    python, own = random.getstate(), torch.get_rng_state()
    restore: list[Any] = [lambda: random.setstate(python), lambda: torch.set_rng_state(own)]
    if "numpy" in sys.modules:
        import numpy

        legacy = numpy.random.get_state()  # noqa: NPY002
        restore.append(lambda: numpy.random.set_state(legacy))  # noqa: NPY002
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        devices = torch.cuda.get_rng_state_all()
        restore.append(lambda: torch.cuda.set_rng_state_all(devices))
    for holder in (loader, getattr(loader, "sampler", None)):
        generator = getattr(holder, "generator", None)
        if isinstance(generator, torch.Generator):
            restore.append(_restoring(generator))
    return restore


def _restoring(generator: torch.Generator) -> Any:
    state = generator.get_state()
    return lambda: generator.set_state(state)

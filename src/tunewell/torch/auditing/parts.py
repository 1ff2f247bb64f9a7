"""What a model consists of, by name: its weights, its normalising layers, and what it forgot to register."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.optim import Optimizer

BatchNorm: TypeAlias = _BatchNorm
Dropout: TypeAlias = _DropoutNd
NORMS = (_BatchNorm, _InstanceNorm, nn.LayerNorm, nn.GroupNorm, nn.LocalResponseNorm, nn.RMSNorm)
WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel)


def unwrapped(model: object) -> nn.Module:
    """Return the model inside wrappers for several devices.

    Raises:
        TypeError: it is no module, or a compiled or scripted one, whose layers cannot be watched.
        ValueError: it has lazy layers that never ran.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model expected a torch.nn.Module, got {model!r:.80}: pass the network itself")
    if isinstance(getattr(model, "_orig_mod", None), nn.Module):
        raise TypeError("model expected a model that is not compiled, got one: pass it as it was before torch.compile")
    if isinstance(model, torch.jit.ScriptModule):
        raise TypeError("model expected a model that is not scripted, got one: pass it as it was before torch.jit")
    if any(isinstance(p, nn.parameter.UninitializedParameter) for p in model.parameters()):
        raise ValueError("model expected weights, got lazy layers that have none yet: call it once with a batch")
    return unwrapped(model.module) if isinstance(model, WRAPPERS) else model


def several(optimizer: object) -> tuple[Optimizer, ...]:
    """Return the optimizers given: none, one, or a sequence of them.

    Raises:
        TypeError: something else.
    """
    given = () if optimizer is None else optimizer if isinstance(optimizer, list | tuple) else (optimizer,)
    for one in given:
        if not isinstance(one, Optimizer):
            raise TypeError(f"optimizer expected a torch.optim.Optimizer or a list of them, got {one!r:.80}")
    return tuple(given)


def batch_norms(model: nn.Module) -> dict[str, BatchNorm]:
    """Return the batch normalising layers of a model by name."""
    return {name: part for name, part in model.named_modules() if isinstance(part, _BatchNorm)}


def exempt_from_decay(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that weight decay does no good: biases, scales, and whatever belongs to a norm."""
    of_norms = {
        id(p) for part in model.modules() if isinstance(part, NORMS) or _norm_by_name(part) for p in part.parameters()
    }
    return {
        name: p
        for name, p in model.named_parameters()
        if id(p) in of_norms or name.rpartition(".")[2].startswith("bias") or name.rpartition(".")[2].endswith("_bias")
    }


def _norm_by_name(part: nn.Module) -> bool:
    """Whether a layer of somebody's own says that it normalises, and consists of nothing but vectors."""
    return "norm" in type(part).__name__.lower() and all(p.dim() <= 1 for p in part.parameters())


def owner(model: nn.Module, name: str) -> tuple[nn.Module, str]:
    """Return the layer that holds a parameter, and what the parameter is called there."""
    path, _, last = name.rpartition(".")
    return model.get_submodule(path), last


def listed(names: Iterable[str], most: int = 3) -> str:
    """Return names for a message: the first few, and how many more."""
    names = list(names)
    if len(names) <= most:
        return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    return f"{', '.join(names[:most])} and {len(names) - most} more"


def joined(names: Iterable[str]) -> str:
    """Return names as a finding holds them."""
    return ", ".join(names)


# --- what is not registered -------------------------------------------------------------------------------------------


def hidden(model: nn.Module) -> dict[str, nn.Module | Tensor]:
    """Return layers and weights that train, in plain attributes, lists or dicts, where PyTorch does not look."""
    registered: set[int] = {id(p) for p in model.parameters()} | {id(part) for part in model.modules()}
    registered |= {id(b) for b in model.buffers()}
    return {
        name: thing
        for path, part in model.named_modules()
        for attribute, value in vars(part).items()
        if attribute not in _OWN
        for name, thing in _within(f"{path}.{attribute}" if path else attribute, value, 2)
        if id(thing) not in registered and _trains(thing)
    }


_OWN = {*vars(nn.Module())}


def _within(name: str, value: object, depth: int) -> Iterator[tuple[str, nn.Module | Tensor]]:
    if isinstance(value, nn.Module | Tensor):
        yield name, value
    elif depth and isinstance(value, list | tuple):
        for n, inner in enumerate(value):
            yield from _within(f"{name}[{n}]", inner, depth - 1)
    elif depth and isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _within(f"{name}[{key!r}]", inner, depth - 1)


def _trains(thing: nn.Module | Tensor) -> bool:
    if isinstance(thing, Tensor):
        return thing.requires_grad and thing.is_leaf
    return any(p.requires_grad for p in thing.parameters())


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield the tensors of nested tuples, lists, mappings and data classes."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from tensors_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from tensors_in(inner)
    elif hasattr(value, "__dataclass_fields__"):
        for field in value.__dataclass_fields__:
            yield from tensors_in(getattr(value, field, None))

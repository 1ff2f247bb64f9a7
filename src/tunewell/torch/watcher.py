"""What learning curves cannot show: dead and saturated units, activations, gradients and updates, layer by layer.

Every n-th step of the optimizer is a sample. Hooks on layers are there during samples only, so the other steps cost two
calls of Python. A sample's update needs a copy of the weights, which is given back after it.

A ratio of update to weight of 1e-3 to 1e-2 a step is usual; much more shakes the weights, much less leaves them where
they are. A unit that gives zero for every sample gets no gradient and stays dead.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.rnn import PackedSequence
from torch.optim import Optimizer

from tunewell.torch.layers import Layer, Sample, dead_units, table
from tunewell.torch.optimizers import held_by, skips

RECENT = 5
"""Samples over which a unit has to be zero throughout to count as dead."""

_SATURATING: dict[type[nn.Module], float] = {nn.Tanh: 0.97, nn.Sigmoid: 0.97, nn.Softmax: 0.99, nn.Hardtanh: 1.0}


class Watcher:
    """Watches a model while it trains: ``trial.report(..., **watch.metrics())`` after each epoch.

    Args:
        model: the network. Of a compiled one only gradients and updates are seen.
        optimizer: the one that trains it.
        every: steps from one sample to the next. The first step is a sample.

    Raises:
        TypeError: these are no model and no optimizer.
        ValueError: ``every`` is below 1, or the optimizer holds no parameter of the model.
    """

    def __init__(self, model: nn.Module, optimizer: Optimizer, *, every: int = 50) -> None:
        if not isinstance(model, nn.Module) or not isinstance(optimizer, Optimizer):
            raise TypeError(
                f"Watcher expected a torch.nn.Module and a torch.optim.Optimizer, got {type(model).__name__} and "
                f"{type(optimizer).__name__}"
            )
        if not isinstance(every, int) or every < 1:
            raise ValueError(f"every expected a number of steps of at least 1, got {every!r}")
        held = held_by([optimizer])
        compiled = isinstance(getattr(model, "_orig_mod", None), nn.Module)
        self.model: nn.Module = getattr(model, "_orig_mod", model)
        self.every, self.steps = every, 0
        self._parts = {} if compiled else {name: part for name, part in self.model.named_modules() if _watched(part)}
        self._weights = {name: p for name, p in self.model.named_parameters() if id(p) in held}
        if not self._weights:
            raise ValueError("Watcher expected an optimizer that holds parameters of the model, this one holds none")
        self._samples: deque[Sample] = deque(maxlen=RECENT)
        self._since: list[Sample] = []
        self._first_bad: tuple[int, str] | None = None
        self._open: Sample | None = None
        self._before: dict[str, Tensor] = {}
        self._hooks: list[Any] = []
        self._on_step = [
            optimizer.register_step_pre_hook(self._before_step),
            optimizer.register_step_post_hook(self._after_step),
        ]
        self._begin()

    # --- what it tells ------------------------------------------------------------------------------------------------

    def metrics(self) -> dict[str, float]:
        """Return numbers for a report: averages over the samples since the last call, or the last sample's.

        ``grad_norm``: the norm of all gradients as the optimizer got them. ``update_ratio``: the median over weights of
        the update's norm over the weight's. ``dead_units``: the share of rectified units that were zero for every input
        of the last five samples. ``saturated_units``: the share of outputs of tanh, sigmoid, softmax and recurrent
        layers near their ends. ``bad_layers``: layers in which NaN or infinity was seen. What the model has none of is
        left out.
        """
        samples = self._since or list(self._samples)[-1:]
        self._since = []
        found = {
            "grad_norm": _mean(sample.grad_norm for sample in samples),
            "update_ratio": _mean(sample.update_ratio for sample in samples),
            "dead_units": _share(dead_units(self._samples)),
            "saturated_units": _mean(sample.saturated_share for sample in samples),
            "bad_layers": _mean(float(len(sample.bad)) for sample in samples),
        }
        return {name: value for name, value in found.items() if value is not None}

    def layers(self) -> tuple[Layer, ...]:
        """Return what the last sample saw of each layer, in the order of their calls; dead units of the last five."""
        if not self._samples:
            return ()
        dead = {name: off / units for name, (off, units) in dead_units(self._samples).items()}
        last = self._samples[-1]
        return tuple(last.layer(name, dead.get(name)) for name in last.names)

    @property
    def first_bad(self) -> tuple[int, str] | None:
        """The step and the layer in which NaN or infinity was first seen, exact to a sample."""
        return self._first_bad

    def __str__(self) -> str:
        return table(self.layers())

    def close(self) -> None:
        """Take all hooks away; what was seen stays."""
        for hook in [*self._hooks, *self._on_step]:
            hook.remove()
        self._hooks, self._on_step = [], []
        self._open, self._before = None, {}

    # --- samples ------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._open = Sample(self.steps + 1)
        for name, part in self._parts.items():
            self._hooks.append(part.register_forward_hook(self._seen(name)))

    def _before_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if self._open is None:
            return
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        if skips(optimizer):
            self._open = None
            return
        named = {name: p for name, p in self._weights.items() if p.grad is not None}
        gradients = [_dense(p.grad) for p in named.values() if p.grad is not None]
        scale = getattr(optimizer, "grad_scale", None)  # fused optimizers undo the loss's scale themselves
        if scale is not None:
            gradients = [*torch._foreach_div(gradients, float(scale))]
        self._open.gradients = dict(zip(named, _norms(gradients), strict=True))
        self._before = {name: p.detach().clone() for name, p in named.items() if p.dim() > 1}

    def _after_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        self.steps += 1
        if self._open is not None:
            self._finish(self._open)
        if self.steps % self.every == 0:
            self._begin()

    def _finish(self, sample: Sample) -> None:
        after = [self._weights[name].detach() for name in self._before]
        before = list(self._before.values())
        sizes = _norms(before)
        moves = _norms([*torch._foreach_sub(after, before)]) if before else []
        sample.settle(dict(zip(self._before, zip(moves, sizes, strict=True), strict=True)))
        self._before, self._open = {}, None
        if sample.bad and self._first_bad is None:
            self._first_bad = (sample.step, sample.bad[0])
        self._samples.append(sample)
        self._since.append(sample)

    def _seen(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(part: nn.Module, args: Any, out: Any) -> None:
            if self._open is None or not torch.is_grad_enabled():
                return
            with torch.no_grad():
                self._look(self._open, name, part, args, out)

        return hook

    @staticmethod
    def _look(sample: Sample, name: str, part: nn.Module, args: Any, out: Any) -> None:
        result = out[0] if isinstance(out, tuple) and not isinstance(out, PackedSequence) else out
        result = result.data if isinstance(result, PackedSequence) else result
        if not isinstance(result, Tensor) or not result.is_floating_point() or not result.numel():
            return
        if isinstance(part, nn.RNNBase) or type(part) in _SATURATING:
            limit = _SATURATING.get(type(part), 0.97)
            ends = result.amax(part.dim) if isinstance(part, nn.Softmax) and part.dim is not None else result
            low = ends < 1 - limit if isinstance(part, nn.Sigmoid) else ends <= -limit
            sample.saturated[name] = ((ends >= limit) | low).float().mean()
        sample.activations[name] = torch.stack([result.float().mean(), result.float().std(correction=0)])
        given = args[0] if args and isinstance(args[0], Tensor) else None
        if given is not None and given.requires_grad and isinstance(part, nn.Linear | _ConvNd | _BatchNorm):
            axis = given.dim() - 1 if isinstance(part, nn.Linear) else 1
            others = [n for n in range(given.dim()) if n != axis]
            if others:
                sample.add_units(name, given.amin(others), given.amax(others))


def _watched(part: nn.Module) -> bool:
    return isinstance(part, nn.Linear | _ConvNd | _BatchNorm | nn.RNNBase) or type(part) in _SATURATING


def _share(found: Mapping[str, tuple[int, int]]) -> float | None:
    units = sum(n for _, n in found.values())
    return sum(off for off, _ in found.values()) / units if units else None


def _dense(gradient: Tensor) -> Tensor:
    """Return the values of a gradient, of a sparse one those that are there."""
    return gradient.coalesce().values() if gradient.is_sparse else gradient


def _norms(tensors: list[Tensor]) -> list[Tensor]:
    """Return the Euclidean norms of tensors, in one call for each device and type."""
    return list(torch._foreach_norm(tensors)) if tensors else []


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None

"""One sample of a training, layer by layer: collected as tensors, so that a GPU is waited for once, then as numbers."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field

import torch
from torch import Tensor

from tunewell.analysis.words import short


@dataclass(frozen=True, slots=True)
class Layer:
    """What was seen of one layer; None where it has nothing of the kind.

    Attributes:
        name: as in ``named_modules()``.
        mean, std: of its outputs.
        dead: the share of its inputs, units or channels, that are rectified and were zero throughout.
        saturated: the share of its outputs near their ends.
        grad_norm: the Euclidean norm of its parameters' gradients.
        update_ratio: the norm of its weights' last update over that of the weights.
    """

    name: str
    mean: float | None = None
    std: float | None = None
    dead: float | None = None
    saturated: float | None = None
    grad_norm: float | None = None
    update_ratio: float | None = None


@dataclass
class Sample:
    """One step under observation; numbers after :meth:`settle`."""

    step: int
    activations: dict[str, Tensor] = field(default_factory=dict)
    saturated: dict[str, Tensor] = field(default_factory=dict)
    gradients: dict[str, Tensor] = field(default_factory=dict)
    ends: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    moments: dict[str, tuple[float, float]] = field(default_factory=dict)
    dead: dict[str, Tensor] = field(default_factory=dict)
    full: dict[str, float] = field(default_factory=dict)
    grad_norms: dict[str, float] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)
    bad: list[str] = field(default_factory=list)

    def add_units(self, name: str, low: Tensor, high: Tensor) -> None:
        """Add the ends of each unit's range over a batch, both of shape ``(units,)``."""
        if name in self.ends:
            before = self.ends[name]
            low, high = torch.minimum(low, before[0]), torch.maximum(high, before[1])
        self.ends[name] = (low, high)

    def settle(self, moves: Mapping[str, tuple[Tensor, Tensor]]) -> None:
        """Turn tensors into numbers; ``moves`` has the norms of each weight's update and of the weight before it."""
        pairs = _numbers([part for pair in self.activations.values() for part in pair])
        self.moments = dict(zip(self.activations, zip(pairs[::2], pairs[1::2], strict=True), strict=True))
        self.full = dict(zip(self.saturated, _numbers([*self.saturated.values()]), strict=True))
        self.grad_norms = dict(zip(self.gradients, _numbers([*self.gradients.values()]), strict=True))
        norms = _numbers([part for pair in moves.values() for part in pair])
        self.ratios = {
            name: move / size for name, move, size in zip(moves, norms[::2], norms[1::2], strict=True) if size > 0
        }
        rectified = _numbers([(low >= 0).all() & (low == 0).any() for low, _ in self.ends.values()])
        self.dead = {name: self.ends[name][1] == 0 for name, is_so in zip(self.ends, rectified, strict=True) if is_so}
        forward = [name for name, moment in self.moments.items() if not all(map(math.isfinite, moment))]
        backward = [layer_of(name) for name, norm in self.grad_norms.items() if not math.isfinite(norm)]
        self.bad = list(dict.fromkeys([*forward, *backward]))
        self.activations, self.saturated, self.gradients, self.ends = {}, {}, {}, {}

    @property
    def grad_norm(self) -> float | None:
        """The norm of all gradients together."""
        return math.hypot(*self.grad_norms.values()) if self.grad_norms else None

    @property
    def update_ratio(self) -> float | None:
        """The median over weights of update over weight."""
        return statistics.median(self.ratios.values()) if self.ratios else None

    @property
    def saturated_share(self) -> float | None:
        """The mean over layers that can saturate."""
        return statistics.fmean(self.full.values()) if self.full else None

    @property
    def names(self) -> list[str]:
        """The layers in the order in which they ran, then those that only have parameters."""
        return list(dict.fromkeys([*self.moments, *self.full, *map(layer_of, self.grad_norms)]))

    def layer(self, name: str, dead: float | None) -> Layer:
        """Return what was seen of one layer."""
        norms = [norm for weight, norm in self.grad_norms.items() if layer_of(weight) == name]
        ratios = [ratio for weight, ratio in self.ratios.items() if layer_of(weight) == name]
        mean, std = self.moments.get(name, (None, None))
        return Layer(
            name,
            mean,
            std,
            dead,
            self.full.get(name),
            math.hypot(*norms) if norms else None,
            statistics.fmean(ratios) if ratios else None,
        )


def layer_of(weight: str) -> str:
    """Return the layer of a parameter."""
    return weight.rpartition(".")[0]


def dead_units(samples: Sequence[Sample]) -> dict[str, tuple[int, int]]:
    """Return for each layer with rectified inputs how many were zero in all samples that have it, and of how many."""
    found: dict[str, tuple[int, int]] = {}
    for name in samples[-1].dead if samples else ():
        masks = [sample.dead[name] for sample in samples if name in sample.dead]
        off = torch.stack(masks).all(0)
        found[name] = int(off.sum()), off.numel()
    return found


def table(layers: Sequence[Layer]) -> str:
    """Return layers as text in columns."""
    heads = ("layer", "mean", "std", "dead", "saturated", "grad norm", "update ratio")
    rows = [(layer.name or "(model)", *map(short, astuple(layer)[1:])) for layer in layers]
    widths = [max(len(row[k]) for row in [heads, *rows]) for k in range(len(heads))]
    return "\n".join(
        "  ".join(cell.rjust(width) if k else cell.ljust(width) for k, (cell, width) in _counted(row, widths))
        for row in [heads, *rows]
    )


def _counted(row: Sequence[str], widths: Sequence[int]) -> Iterable[tuple[int, tuple[str, int]]]:
    return enumerate(zip(row, widths, strict=True))


def _numbers(tensors: Sequence[Tensor]) -> list[float]:
    """Return tensors of one element as numbers, with one transfer for each device."""
    if not tensors:
        return []
    if len({tensor.device for tensor in tensors}) > 1:
        return [float(tensor) for tensor in tensors]
    values: list[float] = torch.stack([tensor.detach().float().reshape(()) for tensor in tensors]).tolist()
    return values

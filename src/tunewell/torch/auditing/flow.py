"""Where tensors come from and go to: the calls of PyTorch that a training makes, as a graph without the tensors.

A :class:`torch.overrides.TorchFunctionMode` sees every call, whether a module or plain functional code makes it, so
nothing depends on the order in which layers were registered. Kept are shapes and names, never a tensor.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from tunewell.torch.auditing.parts import tensors_in

WEIGHTED = {"linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"}
_SAME = {"contiguous", "clone", "to", "float", "half", "double", "type", "bfloat16", "cuda", "cpu", "requires_grad_"}
_MAX = {f"{kind}max_pool{n}d" for kind in ("", "adaptive_") for n in (1, 2, 3)}
_MEAN = {f"adaptive_avg_pool{n}d" for n in (1, 2, 3)} | {"interpolate", "upsample"}
_PADDED = {f"avg_pool{n}d": n for n in (1, 2, 3)}
_RESHAPING = {"view", "reshape", "flatten", "unsqueeze", "squeeze", "unflatten"}
LOSSES = {"cross_entropy", "nll_loss", "binary_cross_entropy_with_logits", "binary_cross_entropy"}
_KEEPS_ROWS = {*_SAME, *_RESHAPING, "transpose", "permute", "__getitem__", "squeeze_", "select", "chunk", "split"}
SQUASHING = {"softmax": "softmax", "log_softmax": "log-softmax", "sigmoid": "sigmoid", "relu": "ReLU"}


@dataclass(eq=False)
class Node:
    """One call: its name, what went in and who took what came out."""

    name: str
    call: int
    module: str
    inputs: list[Node] = field(default_factory=list)
    consumers: list[Node] = field(default_factory=list)
    shape: tuple[int, ...] = ()
    bias: str | None = None
    axis: int | None = None
    arguments: tuple[Any, ...] = ()
    training: bool = False
    given_out: bool = False


@dataclass(frozen=True)
class LossInput:
    """What a loss got: the function, what made its input (``"softmax"`` and so on, or None), and what its rows are.

    Rows are probabilities if they sum to one, logs of probabilities if their exponentials do, and None is not known.
    """

    loss: str
    made_by: str | None
    sums_to_one: bool
    is_log: bool | None


class Flow(TorchFunctionMode):
    """Records calls while ``active``; else it costs a Python call each."""

    def __init__(self, names: dict[int, str], place: Callable[[], tuple[int, str]]) -> None:
        super().__init__()
        self.names = names
        self.place = place
        self.active = False
        self.nodes: list[Node] = []
        self.losses: list[LossInput] = []
        self.unconditional: list[tuple[int, str, str]] = []
        self._made: dict[int, tuple[weakref.ref[Tensor], Node]] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if not self.active:
            return func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        sources = [node for tensor in tensors_in([*args, *(kwargs or {}).values()]) if (node := self.maker(tensor))]
        seen = self._seen(name, args, kwargs or {}, sources)
        out = func(*args, **(kwargs or {}))
        self._made_by(seen, sources, out)
        return out

    def maker(self, tensor: Tensor) -> Node | None:
        """Return the call that made a tensor, if it was recorded."""
        ref, node = self._made.get(id(tensor), (None, None))
        return node if ref is not None and ref() is tensor else None

    def give_out(self, value: Any) -> None:
        """Say that a value leaves the model, so that anybody may use it."""
        for tensor in tensors_in(value):
            if node := self.maker(tensor):
                node.given_out = True

    def _seen(self, name: str, args: Sequence[Any], kwargs: dict[str, Any], sources: list[Node]) -> Node:
        call, module = self.place()
        node = Node(name, call, module, sources)

        def option(position: int, key: str, default: Any = None) -> Any:
            return args[position] if len(args) > position else kwargs.get(key, default)

        if name in WEIGHTED and len(args) > 1:
            bias = option(2, "bias")
            node.bias = self.names.get(id(bias)) if bias is not None else None
            node.axis = -1 if name == "linear" else 1 - (args[1].dim() - args[0].dim())
        elif name in ("batch_norm", "instance_norm"):
            uses_batch = option(5, "training" if name == "batch_norm" else "use_input_stats", name != "batch_norm")
            node.training = bool(uses_batch)
            if node.training and name == "batch_norm" and option(1, "running_mean") is not None:
                self.unconditional.append((call, module, name))
        elif name in LOSSES and isinstance(option(0, "input"), Tensor):
            self.losses.append(_loss_input(name, option(0, "input"), sources))
        elif name in ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"):
            if option(2, "training", "alpha" not in name) and option(1, "p", 0.5) > 0:
                self.unconditional.append((call, module, name))
        elif name == "scaled_dot_product_attention" and option(4, "dropout_p", 0.0) > 0:
            self.unconditional.append((call, module, name))
        elif name in ("transpose", "permute") or name in _PADDED:
            node.arguments = (*args[1:], *kwargs.values())
            if name in _PADDED and (option(3, "padding", 0) not in (0, (0,) * _PADDED[name])):
                node.arguments = ("padded",)
        return node

    def _made_by(self, node: Node, sources: list[Node], out: Any) -> None:
        outputs = [*tensors_in(out)]
        if not outputs:
            return
        node.shape = tuple(outputs[0].shape)
        self.nodes.append(node)
        for source in sources:
            if source is not node:
                source.consumers.append(node)
        for tensor in outputs:
            self._made[id(tensor)] = (weakref.ref(tensor), node)


def _loss_input(loss: str, given: Tensor, sources: list[Node]) -> LossInput:
    node = sources[0] if sources else None
    while node is not None and node.name in _KEEPS_ROWS and node.inputs:
        node = node.inputs[0]
    made_by = SQUASHING.get(node.name.rstrip("_")) if node is not None else None
    values, close = given.detach().float(), 1e-3 if given.dtype in (torch.float32, torch.float64) else 0.03
    if loss not in ("cross_entropy", "nll_loss") or values.dim() < 2 or values.shape[1] < 2 or values.isnan().any():
        return LossInput(loss, made_by, False, None)
    sums = bool((values >= 0).all() and ((values.sum(1) - 1).abs() < close).all())
    close = 0.03 if made_by == "log-softmax" else close  # it may have been made in half precision
    logs = bool((values <= close).all() and (torch.logsumexp(values, 1).abs() < close).all())
    return LossInput(loss, made_by, sums, logs)


# --- biases that a norm takes away again ------------------------------------------------------------------------------


def useless_biases(nodes: Sequence[Node]) -> dict[str, set[str]]:
    """Return the biases all of whose uses end in a norm over the same channel, with the names of these norms.

    Batch and instance normalisation subtract the mean of each channel, and with it whatever was added to all of the
    channel. Between the two may lie what keeps a constant added to a channel: pooling, reshaping, permuting.
    """
    found: dict[str, set[str]] = {}
    refuted: set[str] = set()
    for node in nodes:
        if node.bias is None or node.name not in WEIGHTED or node.axis is None:
            continue
        axis = node.axis % max(1, len(node.shape))
        norms = _absorbed(node, axis)
        if norms is None:
            refuted.add(node.bias)
        else:
            found.setdefault(node.bias, set()).update(norms)
    return {bias: norms for bias, norms in found.items() if bias not in refuted}


def _absorbed(node: Node, axis: int) -> set[str] | None:
    """Return the norms that take away a constant added to each channel of ``node``; None if anything else sees it."""
    if node.given_out or not node.consumers:
        return None
    norms: set[str] = set()
    for consumer in node.consumers:
        if consumer.name in ("batch_norm", "instance_norm"):
            if not consumer.training or axis != 1 or consumer.inputs[0] is not node:
                return None
            norms.add(consumer.module)
            continue
        after = _carried(node, consumer, axis)
        inner = None if after is None else _absorbed(consumer, after)
        if inner is None:
            return None
        norms |= inner
    return norms


def _carried(before: Node, node: Node, axis: int) -> int | None:
    """Return the axis of the channels after a call that keeps a constant added to a channel, None for other calls."""
    if len(node.inputs) != 1:
        return None
    if node.name in _SAME:
        return axis
    if node.name in _MAX or node.name in _MEAN or (node.name in _PADDED and node.arguments != ("padded",)):
        return axis if axis == 1 else None
    if node.name in _RESHAPING:
        return _reshaped(before.shape, node.shape, axis)
    rank = len(before.shape)
    if node.name == "transpose" and len(node.arguments) == 2:
        first, second = (int(n) % rank for n in node.arguments)
        return {first: second, second: first}.get(axis, axis)
    if node.name == "permute":
        order = node.arguments[0] if isinstance(node.arguments[0], list | tuple) else node.arguments
        places: list[int] = [n % rank for n in order]
        return places.index(axis)
    return None


def _reshaped(before: tuple[int, ...], after: tuple[int, ...], axis: int) -> int | None:
    """Return where an axis is after a reshape that keeps it whole and leaves what lies before it as much as it was."""
    ahead = math.prod(before[:axis])
    for place, size in enumerate(after):
        if math.prod(after[:place]) == ahead and size == before[axis] and size > 1:
            return place
    return None


def feeders(nodes: Sequence[Node]) -> dict[str, set[str]]:
    """Return for each norm the biases of the layers before it, ``""`` for one without a bias and anything else."""
    found: dict[str, set[str]] = {}
    for node in nodes:
        if node.name in ("batch_norm", "instance_norm"):
            source = node.inputs[0] if node.inputs else None
            while source is not None and source.name not in WEIGHTED and len(source.inputs) == 1:
                source = source.inputs[0]
            bias = source.bias if source is not None and source.name in WEIGHTED else None
            found.setdefault(node.module, set()).add(bias or "")
    return found


def names_of(model: nn.Module) -> dict[int, str]:
    """Return the names of a model's parameters and buffers by identity."""
    return {id(tensor): name for name, tensor in [*model.named_parameters(), *model.named_buffers()]}

"""Watching somebody's own loop: which mode, which gradients, which steps, seen from hooks that are gone afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from tunewell.torch.auditing.flow import Flow, feeders, names_of, useless_biases
from tunewell.torch.auditing.parts import BatchNorm, Dropout, several, tensors_in, unwrapped
from tunewell.torch.auditing.record import Call, NormUse, Record, Step
from tunewell.torch.optimizers import held_by, skips

STEPS = 8
"""Gradients are looked at during so many steps, calls are followed in detail as often."""

_MODAL = (BatchNorm, Dropout, _InstanceNorm, nn.RNNBase, nn.MultiheadAttention)


class Watch:
    """A context manager around a training loop; :attr:`record` is what it saw.

    It changes no number. Python is called at every module, parameter and call of PyTorch while it watches, so a few
    steps are enough: two of training, and an evaluation.
    """

    def __init__(self, model: nn.Module, optimizer: object = None) -> None:
        self.model = unwrapped(model)
        self.record = Record(optimizers=[*several(optimizer)])
        self._names = names_of(self.model)
        scripted = torch.jit.ScriptModule  # takes no hooks
        self._modules = [(name, part) for name, part in self.model.named_modules() if not isinstance(part, scripted)]
        self._parameters = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        self._fires: dict[str, int] = dict.fromkeys(self._parameters, 0)
        self._stale: dict[str, bool] = dict.fromkeys(self._parameters, False)
        self._stepped: dict[str, bool] = dict.fromkeys(self._parameters, False)
        self._stack: list[str] = []
        self._call: Call | None = None
        self._evaluating = False
        self._in_step = False
        self._followed = {True: 0, False: 0}
        self._open = ExitStack()
        self._flow = Flow(self._names, lambda: (len(self.record.calls) - 1, self._stack[-1] if self._stack else ""))

    # --- in and out ---------------------------------------------------------------------------------------------------

    def __enter__(self) -> Watch:
        keep = self._open.callback
        for name, part in self._modules:
            keep(part.register_forward_pre_hook(self._before(name), with_kwargs=True).remove)
            keep(part.register_forward_hook(self._after(name), with_kwargs=True, always_call=True).remove)
        for name, parameter in self._parameters.items():
            keep(parameter.register_hook(self._fired(name, parameter)).remove)  # type: ignore[no-untyped-call]
        keep(register_optimizer_step_pre_hook(self._before_step).remove)
        keep(register_optimizer_step_post_hook(self._after_step).remove)
        self._open.enter_context(self._flow)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()
        trained = {call.number for call in self.record.training}
        nodes = [node for node in self._flow.nodes if node.call in trained]
        self.record.useless, self.record.feeders = useless_biases(nodes), feeders(nodes)
        self.record.losses = self._flow.losses
        self.record.unconditional = self._flow.unconditional

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Say that what happens inside evaluates the model, so that nothing has to be guessed."""
        self._evaluating = True
        try:
            yield
        finally:
            self._evaluating = False

    # --- calls of the model -------------------------------------------------------------------------------------------

    def _before(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(part: nn.Module, args: Any, kwargs: Any) -> None:
            again = torch._C._current_graph_task_id() != -1  # inside a backward pass
            if not self._stack and not again:
                self._begin()
            self._stack.append(name)
            if again and isinstance(part, BatchNorm) and part.training:
                self.record.recomputed.add(name)
            elif not again and self._call is not None and isinstance(part, _MODAL):
                self._note(name, part, [*tensors_in([*args, *kwargs.values()])])

        return hook

    def _after(self, name: str) -> Callable[[nn.Module, Any, Any, Any], None]:
        def hook(part: nn.Module, args: Any, kwargs: Any, out: Any) -> None:
            if self._stack:
                self._stack.pop()
            if not self._stack and self._call is not None:
                self._end(self._call, out)

        return hook

    def _begin(self) -> None:
        grad = torch.is_grad_enabled()
        call = Call(len(self.record.calls), grad, self.model.training, self._evaluating, len(self.record.steps))
        self.record.calls.append(call)
        self._call = call
        self._followed[grad] += 1
        self._flow.active = self._followed[grad] <= STEPS

    def _end(self, call: Call, out: Any) -> None:
        self._call = None
        self._flow.give_out(out)
        for tensor in tensors_in(out):
            if tensor.requires_grad:
                tensor.register_hook(_mark(call))  # type: ignore[no-untyped-call]

    def _note(self, name: str, part: nn.Module, given: list[Tensor]) -> None:
        call = self._call
        if call is None or not _minds_its_mode(part):
            return
        (call.training_parts if part.training else call.eval_parts).add(name)
        if isinstance(part, BatchNorm) and given:
            x = given[0]
            channels = x.shape[1] if x.dim() > 1 else 1
            uses_batch = part.training or part.running_mean is None
            fresh = part.running_mean is not None and is_fresh(part)
            values = x.numel() // max(1, channels)
            grad, cumulative = torch.is_grad_enabled(), part.momentum is None
            call.norms.append(NormUse(name, uses_batch, values, x.shape[0], cumulative, fresh, grad))

    # --- gradients and steps ------------------------------------------------------------------------------------------

    def _fired(self, name: str, parameter: Tensor) -> Callable[[Tensor], None]:
        def hook(gradient: Tensor) -> None:
            self.record.got_gradient.add(name)
            if self._in_step or len(self.record.steps) > STEPS:
                return
            if not torch.isfinite(_values(gradient)).all():
                self.record.broken.add(name)
            old = parameter.grad
            if old is None or not _values(old).any():
                self._stale[name], self._fires[name] = False, 0
            elif self._stepped[name]:
                self._stale[name] = True
            self._stepped[name] = False
            self._fires[name] += 1

        return hook

    def _before_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        ours = {id(p) for p in self._parameters.values()} & held_by([optimizer]).keys()
        known = any(optimizer is one for one in self.record.optimizers)
        if not ours and not known:
            return
        if not known:
            self.record.optimizers.append(optimizer)
        number = next(n for n, one in enumerate(self.record.optimizers) if one is optimizer)
        names = [name for name, p in self._parameters.items() if id(p) in ours]
        gradients: dict[str, Tensor] = {}
        if len(self.record.steps) < STEPS and not skips(optimizer):
            gradients = {name: _values(g) for name in names if (g := self._parameters[name].grad) is not None}
        self.record.steps.append(
            Step(
                number,
                max((self._fires[name] for name in names), default=0),
                frozenset(name for name in names if self._stale[name]),
                frozenset(name for name, g in gradients.items() if not torch.isfinite(g).all()),
                frozenset(name for name, g in gradients.items() if g.any()),
            )
        )
        for name in names:
            self._fires[name], self._stepped[name] = 0, True
        self._in_step, self._flow.active = True, False

    def _after_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        self._in_step = False


def _mark(call: Call) -> Callable[[Tensor], None]:
    def hook(gradient: Tensor) -> None:
        call.backpropagated = True

    return hook


def _values(gradient: Tensor) -> Tensor:
    gradient = gradient.detach()
    return gradient.coalesce().values() if gradient.is_sparse else gradient


def is_fresh(part: BatchNorm) -> bool:
    """Whether running statistics are what they were when the layer was made."""
    if part.running_mean is None or part.running_var is None:
        return False
    return bool((part.running_mean == 0).all()) and bool((part.running_var == 1).all())


def _minds_its_mode(part: nn.Module) -> bool:
    """Whether a layer behaves differently in training and in evaluation mode."""
    if isinstance(part, BatchNorm):
        return True
    if isinstance(part, _InstanceNorm):
        return part.running_mean is not None
    if isinstance(part, Dropout):
        return part.p > 0
    if isinstance(part, nn.RNNBase):
        return part.dropout > 0 and part.num_layers > 1
    return isinstance(part, nn.MultiheadAttention) and part.dropout > 0

"""What was seen while a model trained and was evaluated: facts, which the rules read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch.optim import Optimizer

from tunewell.torch.auditing.flow import LossInput


@dataclass
class NormUse:
    """One batch normalisation at work: values it averaged for a channel, the batch, and whether it used them.

    ``fresh`` are running statistics as a new layer has them; ``grad_enabled`` is whether gradients could come back.
    """

    name: str
    training: bool
    values: int
    batch: int
    cumulative: bool
    fresh: bool
    grad_enabled: bool


@dataclass
class Call:
    """One call of the model, or of a part of it that was called on its own.

    ``training_parts`` and ``eval_parts`` are the layers that behave differently in the two modes and took part.
    """

    number: int
    grad_enabled: bool
    model_training: bool
    declared_evaluation: bool
    steps_before: int
    norms: list[NormUse] = field(default_factory=list)
    training_parts: set[str] = field(default_factory=set)
    eval_parts: set[str] = field(default_factory=set)
    backpropagated: bool = False


@dataclass(frozen=True)
class Step:
    """One step of an optimizer.

    ``stale`` are the parameters whose gradients were added to those of a step before; ``backwards`` is how many times
    gradients were added since the last step; ``broken`` are those with NaN or infinite gradients.
    """

    optimizer: int
    backwards: int
    stale: frozenset[str]
    broken: frozenset[str]
    moved: frozenset[str]


@dataclass
class Record:
    """Everything that a watch has seen.

    Attributes:
        calls: calls of the model, in their order.
        steps: steps of optimizers that hold parameters of the model.
        optimizers: these optimizers.
        got_gradient: the parameters that any backward pass reached.
        broken: those that got a NaN or an infinite gradient, before any scaling was undone.
        recomputed: batch norms that ran again inside a backward pass.
        useless: biases that a norm takes away again, with the names of the norms.
        feeders: for each norm the biases that come before it, ``""`` for a layer without one.
        losses: what the losses got.
        unconditional: functional dropout and batch norm in training mode: number of the call, module, function.
        single: the sentence of a batch norm that got one value for a channel.
    """

    calls: list[Call] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    optimizers: list[Optimizer] = field(default_factory=list)
    got_gradient: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    recomputed: set[str] = field(default_factory=set)
    useless: Mapping[str, set[str]] = field(default_factory=dict)
    feeders: Mapping[str, set[str]] = field(default_factory=dict)
    losses: Sequence[LossInput] = ()
    unconditional: Sequence[tuple[int, str, str]] = ()
    single: str = ""

    @property
    def training(self) -> list[Call]:
        """The calls that gradients went back through."""
        return [call for call in self.calls if call.backpropagated and not call.declared_evaluation]

    @property
    def evaluation(self) -> list[Call]:
        """The calls that evaluated: those declared so, else those that no gradient went back through.

        A training step may hold such calls, too: for targets, or for samples to train another network with. They come
        in every step of an optimizer, so as many as come in each are taken to belong to it.
        """
        declared = [call for call in self.calls if call.declared_evaluation]
        if declared:
            return declared
        trained = any(call.backpropagated for call in self.calls)
        loose: dict[int, list[Call]] = {n: [] for n in range(len(self.steps) + 1)}
        for call in self.calls:
            if not call.backpropagated and (trained or not call.grad_enabled) and not _recalibrates(call):
                loose[call.steps_before].append(call)
        for optimizer in {step.optimizer for step in self.steps}:
            windows = [loose[n] for n, step in enumerate(self.steps) if step.optimizer == optimizer]
            usual = min(map(len, windows)) if len(windows) > 1 else 0
            for calls in windows:
                del calls[len(calls) - usual :]
        return [call for calls in loose.values() for call in calls]


def _recalibrates(call: Call) -> bool:
    """Whether a call in training mode only collects statistics, as cumulative averages."""
    at_work = [use for use in call.norms if use.training]
    return bool(at_work) and all(use.cumulative for use in at_work)

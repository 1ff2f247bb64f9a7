"""Applying what is safe to apply, with the optimizer's state kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.optim import Optimizer

from tunewell.lint.finding import Finding
from tunewell.torch.auditing.norms import UselessBias
from tunewell.torch.auditing.parts import BatchNorm, exempt_from_decay, owner, several, unwrapped
from tunewell.torch.auditing.statistics import recalibrate

RECALIBRATED = ("stale-statistics", "never-updated-statistics", "no-running-statistics")


def fix(
    model: nn.Module,
    optimizer: Optimizer | list[Optimizer] | None,
    findings: Iterable[Finding],
    *,
    batches: Sequence[Any] | None = None,
    call: Callable[[nn.Module, Any], Any] | None = None,
) -> list[Finding]:
    """Change model and optimizer so that what is safe to repair is repaired; return the findings that were.

    - ``useless-bias``: the bias is gone, and the norm's running mean makes up for it, so outputs stay the same.
    - ``decay-on-norms``: norms and biases have a parameter group without weight decay.
    - ``batch-norm-momentum``, ``cumulative-statistics``: 1 - momentum, or 0.1 where that makes no sense.
    - ``batch-norm-epsilon``: 1e-5.
    - ``frozen-in-optimizer``, ``duplicate-in-optimizer``: taken out of the optimizer, held once.
    - ``stale-statistics``, ``never-updated-statistics``, ``no-running-statistics``: recalibrated, where batches are
      given.

    All else takes a decision or the source code. Make learning rate schedules afterwards, since they count groups.

    Args:
        batches: batches of the training for :func:`recalibrate`.
        call: how the model takes one of them, as there.
    """
    network, optimizers = unwrapped(model), several(optimizer)
    fixed = []
    for finding in findings:
        names = [name for name in (finding.parameter or "").split(", ") if name]
        repair = _REPAIRS.get(finding.code)
        if isinstance(finding, UselessBias):
            done = _fold(network, optimizers, finding)
        elif repair is not None:
            done = repair(network, optimizers, names)
        else:
            done = finding.code in RECALIBRATED and batches is not None
        if done:
            fixed.append(finding)
    if batches is not None and any(finding.code in RECALIBRATED for finding in fixed):
        if any(finding.code == "no-running-statistics" for finding in fixed):
            _track(network)
        recalibrate(network, batches, call)
    return fixed


def _fold(model: nn.Module, optimizers: Sequence[Optimizer], finding: UselessBias) -> bool:
    """Remove biases, and take each from the running mean of its norm, so that evaluation stays the same."""
    done = 0
    for name, norms in finding.folds:
        layer, attribute = owner(model, name)
        bias, parts = getattr(layer, attribute), [model.get_submodule(norm) for norm in norms]
        if not isinstance(layer, nn.Linear | _ConvNd) or bias is None or not all(map(_foldable, parts)):
            continue
        with torch.no_grad():
            for part in parts:
                if isinstance(part.running_mean, torch.Tensor):
                    part.running_mean -= bias.to(part.running_mean)
        layer.register_parameter("bias", None)
        _take_out(optimizers, {id(bias)})
        done += 1
    return done == len((finding.parameter or "").split(", "))


def _foldable(part: nn.Module) -> bool:
    return isinstance(part, BatchNorm | nn.modules.instancenorm._InstanceNorm)


def _take_out(optimizers: Sequence[Optimizer], gone: set[int]) -> None:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            for p in group["params"]:
                if id(p) in gone:
                    optimizer.state.pop(p, None)
            group["params"] = [p for p in group["params"] if id(p) not in gone]


def _split_decay(model: nn.Module, optimizers: Sequence[Optimizer], names: Sequence[str]) -> bool:
    exempt = {id(p) for p in exempt_from_decay(model).values()}
    for optimizer in optimizers:
        for group in [*optimizer.param_groups]:
            apart = [p for p in group["params"] if id(p) in exempt]
            if group.get("weight_decay", 0.0) and apart:
                group["params"] = [p for p in group["params"] if id(p) not in exempt]
                optimizer.param_groups.append({**group, "params": apart, "weight_decay": 0.0})
        optimizer.param_groups[:] = [group for group in optimizer.param_groups if group["params"]]
    return True


def _momentum(model: nn.Module, optimizers: Sequence[Optimizer], names: Sequence[str]) -> bool:
    for norm in _named(model, names):
        meant = 1.0 - norm.momentum if norm.momentum else 0.1
        norm.momentum = round(meant, 12) if 0.0 < meant < 1.0 and math.isfinite(meant) else 0.1
    return True


def _epsilon(model: nn.Module, optimizers: Sequence[Optimizer], names: Sequence[str]) -> bool:
    for norm in _named(model, names):
        norm.eps = 1e-5
    return True


def _named(model: nn.Module, names: Sequence[str]) -> list[BatchNorm]:
    return [part for name in names if isinstance(part := model.get_submodule(name), BatchNorm)]


def _without_frozen(model: nn.Module, optimizers: Sequence[Optimizer], names: Sequence[str]) -> bool:
    _take_out(optimizers, {id(p) for p in model.parameters() if not p.requires_grad})
    return True


def _once(model: nn.Module, optimizers: Sequence[Optimizer], names: Sequence[str]) -> bool:
    seen: set[int] = set()
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            first = list({id(p): p for p in group["params"] if id(p) not in seen}.values())
            seen |= {id(p) for p in first}
            group["params"] = first
    return True


def _track(model: nn.Module) -> None:
    for norm in model.modules():
        if isinstance(norm, BatchNorm) and norm.running_mean is None:
            like = next(norm.parameters(), torch.zeros(()))
            norm.track_running_stats = True
            norm.register_buffer("running_mean", torch.zeros(norm.num_features, device=like.device))
            norm.register_buffer("running_var", torch.ones(norm.num_features, device=like.device))
            norm.register_buffer("num_batches_tracked", torch.tensor(0, device=like.device))


_REPAIRS: dict[str, Callable[[nn.Module, Sequence[Optimizer], Sequence[str]], bool]] = {
    "decay-on-norms": _split_decay,
    "batch-norm-momentum": _momentum,
    "cumulative-statistics": _momentum,
    "batch-norm-epsilon": _epsilon,
    "frozen-in-optimizer": _without_frozen,
    "duplicate-in-optimizer": _once,
}

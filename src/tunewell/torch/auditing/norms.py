"""Rules about batch normalisation: its options, its biases, its running statistics and its batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from tunewell.lint.finding import Finding
from tunewell.torch.auditing.evidence import Evidence, last_batch
from tunewell.torch.auditing.parts import batch_norms, exempt_from_decay, joined, listed, unwrapped
from tunewell.torch.auditing.record import NormUse
from tunewell.torch.auditing.watching import is_fresh

FEW, TOO_FEW = 16, 8
"""Values of a channel: with fewer the statistics are rough, or mostly noise (Wu and He 2018, figure 1)."""

MOMENTA = (0.0, 0.5)
"""The share of the newest batch lies between these in every published recipe; 0.9 or 0.99 is another library's 0.1."""

EPSILONS = (1e-7, 1e-2)

OFF, STALE, GAIN = 0.1, 0.5, 0.1
"""Running statistics off by so many standard deviations matter if the loss falls by this share when they are made anew;
without a loss they have to be further off. Averages lag by 0.05 to 0.3 behind weights that move at a usual rate."""


@dataclass(frozen=True, slots=True)
class UselessBias(Finding):
    """The finding about useless biases; ``folds`` are those that the running means of these norms can make up for."""

    folds: tuple[tuple[str, tuple[str, ...]], ...] = ()


def useless_bias(given: Evidence) -> Iterator[Finding]:
    """Point out biases that a norm subtracts again."""
    record = given.record
    if names := [*record.useless]:
        norms = sorted({norm for found in record.useless.values() for norm in found if norm})
        alone = {bias: all(record.feeders[norm] == {bias} for norm in record.useless[bias]) for bias in names}
        yield UselessBias(
            "useless-bias",
            joined(names),
            f"{listed(names)} {_do(names, 'is', 'are')} added right before a normalisation"
            f"{f' ({listed(norms)})' if norms else ''}, which subtracts the mean and with it the bias",
            "make these layers with bias=False",
            "advice",
            tuple((bias, tuple(sorted(record.useless[bias]))) for bias in names if alone[bias]),
        )


def decay(given: Evidence) -> Iterator[Finding]:
    """Point out weight decay on norms and biases."""
    exempt = {id(p): name for name, p in exempt_from_decay(given.model).items()}
    names = [
        exempt[id(p)]
        for optimizer in given.optimizers
        for group in optimizer.param_groups
        for p in group["params"]
        if group.get("weight_decay", 0.0) and id(p) in exempt and p.requires_grad
    ]
    if names:
        yield Finding(
            "decay-on-norms",
            joined(names),
            f"{len(names)} scales and biases ({listed(names)}) are under weight decay, which pulls them to zero and "
            f"regularises nothing",
            "give norms and biases a parameter group of their own with weight_decay=0",
            "advice",
        )


def options(given: Evidence) -> Iterator[Finding]:
    """Point out momentum and epsilon out of line."""
    norms = batch_norms(given.model)
    low, high = MOMENTA
    if odd := {n: m.momentum for n, m in norms.items() if m.momentum is not None and not low < m.momentum <= high}:
        first = next(iter(odd.values()))
        yield Finding(
            "batch-norm-momentum",
            joined(odd),
            f"{listed(odd)} {_do(odd, 'has', 'have')} momentum {first:g}; in PyTorch that is the weight of the newest "
            f"batch, so the running statistics are {'hardly more than that batch' if first else 'never updated'}",
            f"set momentum={1 - first if first else 0.1:.3g}",
        )
    if names := [name for name, norm in norms.items() if norm.momentum is None and norm.track_running_stats]:
        yield Finding(
            "cumulative-statistics",
            joined(names),
            f"{listed(names)} {_do(names, 'averages', 'average')} over all batches since the beginning "
            f"(momentum=None), so the statistics of early weights stay in it",
            "set momentum=0.1, or recalibrate before evaluating",
            "advice",
        )
    low, high = EPSILONS
    if odd := {name: norm.eps for name, norm in norms.items() if not low <= norm.eps <= high}:
        first = next(iter(odd.values()))
        yield Finding(
            "batch-norm-epsilon",
            joined(odd),
            f"{listed(odd)} {_do(odd, 'has', 'have')} eps={first:g}, which "
            f"{'dampens channels of small variance' if first > high else 'half precision rounds to nothing'}",
            "set eps=1e-5, the default",
        )


# --- running statistics -----------------------------------------------------------------------------------------------


def running_statistics(given: Evidence) -> Iterator[Finding]:
    """Point out running statistics that are missing or were never updated."""
    norms = batch_norms(given.model)
    if names := [name for name, norm in norms.items() if norm.running_mean is None]:
        yield Finding(
            "no-running-statistics",
            joined(names),
            f"{listed(names)} {_do(names, 'keeps', 'keep')} no running statistics, so in evaluation a prediction hangs "
            f"on what else is in its batch",
            "set track_running_stats=True and recalibrate",
        )
    if not given.trained:
        return
    took_part = {use.name for call in given.record.training for use in call.norms}
    evaluated = {use.name for call in given.record.evaluation for use in call.norms if use.fresh}
    names = [
        name
        for name, norm in norms.items()
        if is_fresh(norm) and norm.momentum != 0.0 and not norm.num_batches_tracked
        if not given.looped or name in evaluated - took_part
    ]
    if names:
        yield Finding(
            "never-updated-statistics",
            joined(names),
            f"the running statistics of {listed(names)} are still those of a new layer although the model has trained",
            "train with model.train(), or recalibrate",
        )


def stale(given: Evidence) -> Iterator[Finding]:
    """Point out running statistics far from those of the weights, where the loss feels it."""
    if given.staleness is None:
        return
    before, after = given.staleness.before, given.staleness.after
    felt = before is not None and after is not None
    far = {name: d for name, d in given.staleness.distances.items() if d > (OFF if felt else STALE)}
    if not far or (before is not None and after is not None and not before - after > GAIN * abs(after)):
        return
    worst = max(far, key=lambda name: far[name])
    effect = f"; recalibrated, the loss in evaluation goes from {before:.4g} to {after:.4g}" if felt else ""
    yield Finding(
        "stale-statistics",
        joined(far),
        f"the running statistics of {len(far)} batch norms are not those of the current weights: {worst} is "
        f"{far[worst]:.2g} standard deviations off{effect}",
        "recalibrate(model, batches) before evaluating, and after averaging weights",
        "warning" if far[worst] > STALE else "advice",
    )


def averaged(given: Evidence) -> Iterator[Finding]:
    """Point out averaged weights with the statistics of other weights."""
    if given.averaged is None:
        return
    inner = given.averaged.module if isinstance(given.averaged, torch.optim.swa_utils.AveragedModel) else given.averaged
    copy, norms = batch_norms(unwrapped(inner)), batch_norms(given.model)
    weights = dict(given.model.named_parameters())
    same = all(torch.equal(p, weights[name]) for name, p in unwrapped(inner).named_parameters() if name in weights)
    names = [name for name in copy if name in norms and (is_fresh(copy[name]) or _alike(copy[name], norms[name]))]
    if names and not same:
        yield Finding(
            "statistics-of-other-weights",
            joined(names),
            f"the averaged copy has its own weights, and in {listed(names)} the running statistics of others",
            "call torch.optim.swa_utils.update_bn or recalibrate(averaged, batches) before evaluating the average",
        )


def _alike(one: nn.Module, other: nn.Module) -> bool:
    mine, theirs = dict(one.named_buffers()), dict(other.named_buffers())
    return bool(mine) and all(name in theirs and torch.equal(buffer, theirs[name]) for name, buffer in mine.items())


# --- batches ----------------------------------------------------------------------------------------------------------


def _at_work(given: Evidence) -> list[NormUse]:
    return [use for call in given.record.training for use in call.norms if use.training]


def tiny_batches(given: Evidence) -> Iterator[Finding]:
    """Point out statistics of too few values."""
    if given.record.single:
        yield Finding(
            "tiny-batch",
            None,
            "a batch norm got one value for each channel, and PyTorch refuses to train on that",
            "use larger batches, or a GroupNorm in its place",
        )
        return
    uses = sorted(_at_work(given), key=lambda use: use.values)
    if uses and uses[0].values < FEW:
        names = [*dict.fromkeys(use.name for use in uses if use.values < FEW)]
        yield Finding(
            "tiny-batch",
            joined(names),
            f"{listed(names)} {_do(names, 'normalises', 'normalise')} over {uses[0].values} values for a channel, "
            f"whose mean and variance are mostly chance",
            "use larger batches, or a GroupNorm in its place",
            "warning" if uses[0].values < TOO_FEW else "advice",
        )
    positions = min((use.values // use.batch for use in uses if use.batch), default=None)
    if positions is None and any(isinstance(m, nn.BatchNorm1d) for m in given.model.modules()):
        positions = 1
    last = last_batch(given.loader)
    if last is not None and positions is not None and last * positions < TOO_FEW:
        yield Finding(
            "tiny-last-batch",
            None,
            f"the loader's last batch has {last} {'sample' if last == 1 else 'samples'}, too few for batch norm"
            + (", which refuses to train on it" if last * positions == 1 else ""),
            "make the loader with drop_last=True",
        )


def accumulation(given: Evidence) -> Iterator[Finding]:
    """Point out statistics of micro-batches, and several updates of the statistics within a step."""
    uses = _at_work(given)
    calls = Counter(call.steps_before for call in given.record.training if call.norms)
    most = max((min(step.backwards, calls[n]) for n, step in enumerate(given.record.steps)), default=1)
    if most > 1 and uses:
        yield Finding(
            "batch-norm-under-accumulation",
            None,
            f"gradients are added up over {most} backward passes a step, and batch norm knows only the {uses[0].batch} "
            f"samples of each",
            "expect results of the small batch, or use GroupNorm, whose statistics need no batch",
            "advice",
        )
    if names := sorted(given.record.recomputed):
        yield Finding(
            "statistics-updated-twice",
            joined(names),
            f"{listed(names)} {_do(names, 'runs', 'run')} again in the backward pass (activation checkpointing), so "
            f"the running statistics are updated twice a step",
            "keep batch norm out of checkpointed segments, or set momentum to 1 - sqrt(1 - momentum)",
            "advice",
        )
    shared = {
        name: n
        for call in given.record.training
        for name, n in Counter(use.name for use in call.norms if use.training).items()
        if n > 1
    }
    if shared:
        yield Finding(
            "shared-batch-norm",
            joined(shared),
            f"{listed(shared)} {_do(shared, 'is', 'are')} used {max(shared.values())} times in one call, and the "
            f"running statistics mix the uses",
            "share the weights, and give each use a batch norm of its own",
            "advice",
        )


def distributed(given: Evidence) -> Iterator[Finding]:
    """Point out batch norms that know only the batch of their own process."""
    names = [n for n, norm in batch_norms(given.model).items() if not isinstance(norm, nn.SyncBatchNorm)]
    if given.world_size > 1 and names:
        yield Finding(
            "unsynchronised-batch-norm",
            joined(names),
            f"{given.world_size} processes train together, and {len(names)} batch norms see only their own batch",
            "torch.nn.SyncBatchNorm.convert_sync_batchnorm(model) where that batch is small",
            "advice",
        )


def frozen(given: Evidence) -> Iterator[Finding]:
    """Point out batch norms that are frozen and go on moving."""
    norms = batch_norms(given.model)
    names = [*dict.fromkeys(use.name for use in _at_work(given) if use.grad_enabled and _is_frozen(norms[use.name]))]
    if names:
        yield Finding(
            "frozen-batch-norm-moves",
            joined(names),
            f"{listed(names)} {_do(names, 'is', 'are')} frozen, but in training mode, so the running statistics go on "
            f"changing",
            "call .eval() on these layers after every model.train()",
        )


def _is_frozen(norm: nn.Module) -> bool:
    return any(True for _ in norm.parameters()) and not any(p.requires_grad for p in norm.parameters())


def _do(names: object, one: str, more: str) -> str:
    return one if len(names) == 1 else more  # type: ignore[arg-type]


RULES = (
    tiny_batches, running_statistics, stale, averaged, frozen, options,
    useless_bias, decay, accumulation, distributed,
)  # fmt: skip

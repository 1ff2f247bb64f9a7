"""One training, into a fault or not: what it is made of, and the curves it leaves.

A training is a number of steps of the optimizer with a report after each of equally long stretches. What is reported
is what a user would report: the mean loss and accuracy of the stretch's batches, loss and accuracy on the validation
rows, the norm of the gradient, the mean size of an update relative to the weights, and the share of hidden units that
answer zero to everything. The loss on the *test* rows is kept beside it, for the labels alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.diagnosis.data import Part, Shape
from benchmarks.diagnosis.families import FAMILIES, loaded, losses

STAIRS = (0.6, 0.85)
KICK, ADAPTIVE_KICK = {"sgd": 12.0}, 50.0
"""How many times the loss of a bad batch counts; more under optimizers that put gradients into their own scale."""
CURVES = ("train_loss", "val_loss", "train_accuracy", "val_accuracy", "grad_norm", "update_ratio", "dead_units")
HIDDEN = ("test_loss",)  # never shown to a diagnosis


@dataclass(frozen=True)
class Run:
    """A training. Everything after ``seed`` is as a careful person would have it unless a fault is wanted.

    ``noise`` is the share of training labels that are random; ``mislabelled`` shifts the labels of validation and
    test alike as a wrong encoding would; ``wiring`` breaks the network: its hidden units start dead, the optimizer
    has none of its weights, or its inputs are all the same. ``kicks`` are bad batches, one in 47: their labels are
    random and their loss counts :data:`KICK` times. ``eval_rows`` is how many random rows a validation looks at, 0 for
    all. From the share ``drop_at`` of the steps on the rate is a five-hundredth; ``cosine`` lets it fall to 0 after a
    warm-up of 24 steps, ``staircase`` to a tenth after six tenths of the steps and a hundredth near the end.
    ``variant`` names the circumstances that trainings have in common which are compared.
    """

    family: str
    optimizer: str
    learning_rate: float
    seed: int = 0
    rows: float = 1.0
    width: float = 1.0
    dropout: float = 0.1
    weight_decay: float = 1e-4
    batch_size: int = 64
    clip: float = 0.0
    noise: float = 0.0
    mislabelled: bool = False
    wiring: str = ""
    kicks: bool = False
    eval_rows: int = 0
    drop_at: float = 0.0
    cosine: bool = False
    stop_at: float = 1.0
    purpose: str = "grid"
    variant: str = ""
    steps: int = 360
    reports: int = 24
    staircase: bool = False
    momentum: float = 0.9

    @property
    def key(self) -> str:
        """What tells it from all others: its family and what differs from the usual."""
        parts = [f"{f.name}={getattr(self, f.name):.6g}" if isinstance(getattr(self, f.name), float) else
                 f"{f.name}={getattr(self, f.name)}"
                 for f in fields(self) if f.name != "purpose" and getattr(self, f.name) != f.default]  # fmt: skip
        return " ".join(parts)


def train(run: Run) -> dict[str, Any]:
    """Train once; return the curves, lists of at most ``run.reports`` numbers, shorter where the training diverged."""
    (training, validation, test), shape = loaded(run.family)
    with torch.random.fork_rng():
        torch.manual_seed(run.seed)
        training, validation = _spoilt(run, training, validation, shape)
        net = FAMILIES[run.family].net(shape, run.width, run.dropout)
        _break(run, net)
        steps = _optimizer(run, net)
        curves: dict[str, list[float]] = {name: [] for name in (*CURVES, *HIDDEN)}
        batches = _batches(training, run.batch_size)
        each = run.steps // run.reports
        for report in range(round(run.reports * run.stop_at)):
            found = _stretch(run, net, steps, batches, shape, range(report * each, (report + 1) * each))
            with _watching(net) as dead:
                loss, right = judge(net, _looked_at(run, validation), shape)
            found |= {"val_loss": loss, "val_accuracy": right, "dead_units": dead()}
            found["test_loss"] = judge(net, test, shape)[0]
            for name in curves:
                curves[name].append(found[name])
            if not math.isfinite(found["train_loss"] + found["val_loss"]):
                break
    return curves


def _spoilt(run: Run, training: Part, validation: Part, shape: Shape) -> tuple[Part, Part]:
    """Return the rows that are trained and judged on, with the faults of the data."""
    (x, y), (vx, vy) = training, validation
    order = torch.randperm(len(x))[: max(24, round(run.rows * len(x)))]
    x, y = x[order], y[order]
    if run.noise > 0.0:
        chosen = torch.rand(len(y)) < run.noise
        y = y.clone()
        y[chosen] = y[chosen][torch.randperm(int(chosen.sum()))]
    if run.mislabelled:
        vy = (vy + 1) % shape.classes if shape.classes else vy[torch.randperm(len(vy))]
    if run.wiring == "inputs":
        x, vx = x[:1].expand_as(x), vx[:1].expand_as(vx)
    return (x, y), (vx, vy)


def _break(run: Run, net: nn.Module) -> None:
    if run.wiring == "dead":
        for module in net.modules():
            if (
                isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.BatchNorm1d | nn.BatchNorm2d)
                and module.bias is not None
            ):
                nn.init.constant_(module.bias, -20.0)
        for module in [m for m in net.modules() if isinstance(m, nn.Linear)][-1:]:
            nn.init.zeros_(module.bias)


def _optimizer(run: Run, net: nn.Module) -> torch.optim.Optimizer:
    weights = list(net.parameters()) if run.wiring != "frozen" else [nn.Parameter(torch.zeros(1))]
    if run.optimizer == "sgd":
        return torch.optim.SGD(weights, run.learning_rate, run.momentum, weight_decay=run.weight_decay)
    adaptive: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "adamw": torch.optim.AdamW,
        "adam": torch.optim.Adam,
        "rmsprop": torch.optim.RMSprop,
    }
    return adaptive[run.optimizer](weights, run.learning_rate, weight_decay=run.weight_decay)


def _batches(part: Part, size: int) -> Iterator[Part]:
    while True:
        for rows in torch.split(torch.randperm(len(part[0])), size):
            if len(rows) == min(size, len(part[0])):
                yield part[0][rows], part[1][rows]


def _rate(run: Run, step: int) -> float:
    rate = run.learning_rate
    if run.cosine:
        rate *= min(1.0, (step + 1) / 24) * 0.5 * (1.0 + math.cos(math.pi * step / run.steps))
    if run.staircase:
        rate *= 0.1 ** sum(step >= share * run.steps for share in STAIRS)
    if run.drop_at > 0.0 and step >= run.drop_at * run.steps:
        rate *= 0.002
    return rate


def _stretch(
    run: Run, net: nn.Module, steps: torch.optim.Optimizer, batches: Iterator[Part], shape: Shape, numbers: range
) -> dict[str, float]:
    """Train a stretch of steps and return what is reported of the training."""
    net.train()
    weights = [weight for weight in net.parameters() if weight.requires_grad]
    total, right, norms, ratios = 0.0, 0.0, [], []
    for step in numbers:
        x, y = next(batches)
        steps.param_groups[0]["lr"] = _rate(run, step)
        net.zero_grad()
        answers = net(x)
        loss = losses(shape, answers, y)
        total, right = total + float(loss.detach()), right + accuracy(shape, answers.detach(), y)
        if run.kicks and step % 47 == 46:
            loss = KICK.get(run.optimizer, ADAPTIVE_KICK) * losses(shape, answers, y[torch.randperm(len(y))])
        torch.autograd.backward(loss)
        limit = run.clip if run.clip > 0.0 else math.inf
        norms.append(float(nn.utils.clip_grad_norm_(weights, limit)))
        if step % 7 == 0:
            before = [weight.detach().clone() for weight in weights]
            steps.step()
            ratios.append(_ratio(before, weights))
        else:
            steps.step()
    n = len(numbers)
    return {
        "train_loss": total / n,
        "train_accuracy": right / n,
        "grad_norm": sorted(norms)[n // 2],
        "update_ratio": sum(ratios) / len(ratios),
    }


def _ratio(before: list[Tensor], weights: list[nn.Parameter]) -> float:
    """Return the size of an update relative to the weights."""
    size = math.sqrt(sum(float(w.square().sum()) for w in before))
    moved = math.sqrt(sum(float((w.detach() - b).square().sum()) for w, b in zip(weights, before, strict=True)))
    return moved / size


def accuracy(shape: Shape, answers: Tensor, wanted: Tensor) -> float:
    """Return the share of right answers, of several labels all together; NaN for numbers foretold."""
    if shape.loss == "binary":
        return float(((answers.reshape(wanted.shape) > 0.0) == (wanted > 0.5)).float().mean())
    if not shape.classes:
        return math.nan
    found, labels = answers.flatten(0, -2).argmax(dim=-1), wanted.flatten()
    return float((found == labels)[labels >= 0].float().mean())


def _looked_at(run: Run, part: Part) -> Part:
    if not run.eval_rows:
        return part
    rows = torch.randperm(len(part[0]))[: run.eval_rows]
    return part[0][rows], part[1][rows]


def judge(net: nn.Module, part: Part, shape: Shape) -> tuple[float, float]:
    """Return loss and accuracy."""
    net.eval()
    with torch.no_grad():
        answers = net(part[0])
        return float(losses(shape, answers, part[1])), accuracy(shape, answers, part[1])


@contextmanager
def _watching(net: nn.Module) -> Iterator[Callable[[], float]]:
    """Watch the rectified units of what is judged meanwhile; give what says which share was zero throughout."""
    silent: list[Tensor] = []

    def look(module: nn.Module, inputs: Any, output: Tensor) -> None:
        silent.append((output.flatten(2).amax(dim=(0, 2)) if output.dim() > 2 else output.amax(dim=0)) <= 0)

    hooks = [m.register_forward_hook(look) for m in net.modules() if isinstance(m, nn.ReLU)]
    try:
        yield lambda: float(torch.cat(silent).float().mean()) if silent else math.nan
    finally:
        for hook in hooks:
            hook.remove()

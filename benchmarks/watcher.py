"""What ``tunewell.torch.Watcher`` costs a training step: ``python -m benchmarks.watcher``.

The same training without it, with it between samples, and with it sampling every step, in one process, step by step
in turn. A step is forward, backward and SGD with momentum on random data in memory, so nothing hides the cost.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks._common import Page, Spread, options
from tunewell.torch import Watcher

EVERY = (10, 50, 200)
ALLOWED = 0.03
STEPS = 25


class Tokens(nn.Module):
    """An embedding, a body and a head on the mean over the sequence."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.embed, self.body, self.head = nn.Embedding(100, 64), body, nn.Linear(64, 10)

    def forward(self, tokens: Tensor) -> Tensor:
        out = self.body(self.embed(tokens))
        mean: Tensor = self.head((out[0] if isinstance(out, tuple) else out).mean(1))
        return mean


def mlp() -> tuple[nn.Module, Tensor]:
    """A perceptron for small images, batch 64."""
    net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10))
    return net, torch.randn(64, 64)


def wide() -> tuple[nn.Module, Tensor]:
    """A perceptron of 2.6 million weights, batch 64: copying the weights costs most here."""
    net = nn.Sequential(nn.Linear(784, 1200), nn.ReLU(), nn.Linear(1200, 1200), nn.ReLU(), nn.Linear(1200, 10))
    return net, torch.randn(64, 784)


def convolutions() -> tuple[nn.Module, Tensor]:
    """Six convolutions with batch norm on 32 x 32 pixels, batch 32."""
    layers: list[nn.Module] = []
    for n, m in ((3, 16), (16, 16), (16, 32), (32, 32), (32, 64), (64, 64)):
        layers += [nn.Conv2d(n, m, 3, 2 if n < m and n > 3 else 1, 1, bias=False), nn.BatchNorm2d(m), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)), torch.randn(32, 3, 32, 32)


def transformer() -> tuple[nn.Module, Tensor]:
    """Three encoder layers of width 64 on 32 tokens, batch 32."""
    layer = nn.TransformerEncoderLayer(64, 4, 256, batch_first=True)
    return Tokens(nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)), torch.randint(100, (32, 32))


def gru() -> tuple[nn.Module, Tensor]:
    """A recurrent layer of width 64 on 32 tokens, batch 32."""
    return Tokens(nn.GRU(64, 64, batch_first=True)), torch.randint(100, (32, 32))


MODELS: dict[str, Callable[[], tuple[nn.Module, Tensor]]] = {
    "perceptron, 26 k weights": mlp,
    "perceptron, 2.4 M weights": wide,
    "six convolutions, batch norm": convolutions,
    "transformer, three layers": transformer,
    "GRU": gru,
}


def _training(name: str, every: int | None) -> Callable[[], float]:
    """Return a function that takes one step of a training and gives its milliseconds of the processor."""
    torch.manual_seed(0)
    net, x = MODELS[name]()
    y = torch.randint(10, (len(x),))
    optimizer = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9)
    if every is not None:
        Watcher(net, optimizer, every=every)

    def step() -> float:
        begin = time.process_time()
        optimizer.zero_grad()
        cross_entropy(net(x), y).backward()
        optimizer.step()
        return 1000 * (time.process_time() - begin)

    return step


def _fastest(name: str, rounds: int, steps: int) -> dict[str, Spread]:
    """Return, for each round, the fastest step without a watcher, between samples, and of samples, taken in turn."""
    trainings = {"without": _training(name, None), "between": _training(name, 10**9), "sample": _training(name, 1)}
    for training in [*trainings.values()] * 3:
        training()
    found: dict[str, list[float]] = {what: [] for what in trainings}
    for _ in range(rounds):
        taken: dict[str, list[float]] = {what: [] for what in trainings}
        for turn in range(steps):
            order = [*trainings]
            for what in order[turn % 3 :] + order[: turn % 3]:  # nobody is always the one after a sample
                taken[what].append(trainings[what]())
        for what, times in taken.items():
            found[what].append(min(times))  # what neighbours add is never negative
    return {what: Spread(tuple(values)) for what, values in found.items()}


def main() -> None:
    """Measure all models and write the page."""
    given = options("What watching a training costs.", repeats=7, peers=False)
    torch.set_num_threads(1)
    page = Page("watcher", "Watching a training", given)
    rows: list[tuple[str, ...]] = []
    costs: dict[str, dict[str, float]] = {}
    for name in MODELS:
        taken = _fastest(name, given.repeats, STEPS)
        ratios = {what: taken[what].over(taken["without"]).median for what in ("between", "sample")}
        costs[name] = {f"every {n}": (ratios["between"] * (n - 1) + ratios["sample"]) / n - 1 for n in EVERY}
        factors = (taken[what].factor(taken["without"]) for what in ratios)
        rows.append((name, taken["without"].show(), *factors, *(f"{100 * c:+.1f} %" for c in costs[name].values())))
        page.keep(**{name: taken})
    page.text(
        f"Milliseconds of the processor for a training step without a watcher, how many times as long a step between "
        f"samples and a sampled step take, and what follows for samples every n-th step; each round the fastest of "
        f"{STEPS} steps taken in turn, one thread. The default is every 50. Between samples a step differs by two "
        f"calls of Python, so what that column shows beside 1 is mostly the noise of the measurement."
    )
    page.table("A step", ("", "without (ms)", "between", "sampled", *(f"every {n}" for n in EVERY)), rows)
    worst = max(cost["every 50"] for cost in costs.values())
    page.table(
        "Target",
        ("", "target", "found", ""),
        [
            (
                "every 50, all models",
                "at most 3 %",
                f"at most {100 * worst:.1f} %",
                "met" if worst <= ALLOWED else "missed",
            )
        ],
    )
    page.write()


if __name__ == "__main__":
    main()

"""Population-based training on a real network: ``python -m benchmarks.fidelity.pbt [--quick] [--seeds 5]``.

A small network learns handwritten digits from few images, a fifth of them with a wrong label, so that what is good
changes in the course of the training: large steps first, small ones and more regularisation when it begins to learn the
wrong labels by heart. Learning rate, momentum, weight decay and dropout may change in mid-training. Selection is by the
loss on validation images; what is reported is the accuracy on test images, which decide nothing.

Compared at equal compute, 8 x 60 epochs: the best of 8 random fixed configurations, each trained in full, and
populations of 8 that begin with the same 8 configurations. Then every winner is trained anew from 5 other
initialisations: the fixed configuration as it is, a population's winner by the schedule it lived through.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional

import tunewell as tw
from benchmarks._common import RESULTS, SCRATCH
from tunewell.replay import replay

EPOCHS, MEMBERS, INTERVAL, REPEATS = 60, 8, 5, 5
SPACE = tw.Space(
    learning_rate=tw.Float(1e-3, 1.0, scale="log"),
    momentum=tw.Float(0.5, 0.99, scale="reverse_log"),
    weight_decay=tw.Float(1e-6, 1e-1, scale="log"),
    dropout=tw.Float(0.0, 0.6),
)
METHODS: dict[str, Callable[[], Any]] = {
    "random search, fixed values": tw.schedulers.Fifo,
    "pbt": lambda: tw.schedulers.PBT(MEMBERS, INTERVAL),
    "pb2": lambda: tw.schedulers.PB2(MEMBERS, INTERVAL),
    "mf_pbt, factors 1 and 4": lambda: tw.schedulers.MFPBT(MEMBERS, INTERVAL, factors=(1, 4)),
    "ipbt": lambda: tw.schedulers.IPBT(MEMBERS, 3),
}
Split = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Task:
    """The objective: train the network on one split of the images."""

    training: Split
    validation: Split
    test: Split

    def __call__(self, trial: tw.Trial) -> None:
        """Train one stretch; values are read anew at each start, whatever the checkpoint was trained with."""
        torch.manual_seed(trial.seed)
        values: dict[str, Any] = dict(trial.params)
        dropout = nn.Dropout(values["dropout"])
        net = nn.Sequential(
            nn.Linear(64, 128), nn.ReLU(), dropout, nn.Linear(128, 128), nn.ReLU(), dropout, nn.Linear(128, 10)
        )
        optimizer = torch.optim.SGD(net.parameters(), lr=values["learning_rate"])
        if trial.checkpoint:
            state = torch.load(trial.checkpoint / "state.pt", weights_only=True)
            net.load_state_dict(state["net"])
            optimizer.load_state_dict(state["optimizer"])
        for group in optimizer.param_groups:
            group.update(lr=values["learning_rate"], momentum=values["momentum"], weight_decay=values["weight_decay"])
        pixels, labels = self.training
        for epoch in trial.steps():
            net.train()
            for batch in torch.randperm(len(labels)).split(32):
                optimizer.zero_grad()
                torch.autograd.backward(functional.cross_entropy(net(pixels[batch]), labels[batch]))
                optimizer.step()
            loss, accuracy = _measure(net, self.validation)
            trial.report(val_loss=loss, val_accuracy=accuracy, test_accuracy=_measure(net, self.test)[1])
            state = {"net": net.state_dict(), "optimizer": optimizer.state_dict()}
            if epoch % INTERVAL == 0 or epoch % 3 == 0:
                trial.save(lambda folder, state=state: torch.save(state, folder / "state.pt"))


def _measure(net: nn.Module, part: Split) -> tuple[float, float]:
    net.eval()
    with torch.no_grad():
        scores = net(part[0])
    hits = scores.argmax(dim=1) == part[1]
    return functional.cross_entropy(scores, part[1]).item(), hits.double().mean().item()


def task(seed: int) -> Task:
    """Return a split: 300 images to train on, a fifth of their labels wrong; 400 for validation, the rest for test."""
    digits = load_digits()
    rest, test = train_test_split(np.arange(1797), train_size=700, stratify=digits.target, random_state=seed)
    training, validation = train_test_split(rest, train_size=300, stratify=digits.target[rest], random_state=seed)
    labels = digits.target.copy()
    rng = np.random.default_rng([seed, 1])
    wrong = rng.choice(training, size=len(training) // 5, replace=False)
    labels[wrong] = (labels[wrong] + rng.integers(1, 10, size=len(wrong))) % 10

    def part(indices: np.ndarray) -> Split:
        return torch.tensor(digits.data[indices] / 16.0, dtype=torch.float32), torch.tensor(labels[indices])

    return Task(part(training), part(validation), part(test))


@dataclass(frozen=True)
class Found:
    """What one search came to, and what became of its winner when it was trained anew."""

    val_loss: float
    test: float
    changes: int
    again: Sequence[float]
    seconds: float
    replayed: bool
    learning_rates: Sequence[tuple[int, float]]


def search(scheduler: Any, seed: int, folder: Path) -> Found:
    """Search, take the best full training by its validation loss, and train its schedule anew."""
    begin, objective = time.perf_counter(), task(seed)
    study = tw.Study(
        SPACE, "val_loss", sampler="random", scheduler=scheduler, seed=seed, name="search", directory=folder / "search"
    )
    study.run(objective, steps=MEMBERS * EPOCHS, max_steps=EPOCHS, executor="inline", progress=False)
    seconds = time.perf_counter() - begin
    full = [trial for trial in study.trials if trial.status == "completed"]
    winner = min(full, key=lambda trial: trial.value or float("nan"))
    schedule = study.schedule(winner.number)
    anew = tw.Study(
        SPACE,
        "val_loss",
        scheduler=tw.schedulers.Replay(schedule.save(folder / "schedule.json"), repeats=REPEATS),
        seed=1000 + seed,
        name="anew",
        directory=folder / "anew",
    )
    anew.run(objective, steps=REPEATS * EPOCHS, max_steps=EPOCHS, executor="inline", progress=False)
    again = [trial.metric("test_accuracy") or 0.0 for trial in anew.trials if trial.status == "completed"]
    return Found(
        val_loss=winner.value or float("nan"),
        test=winner.metric("test_accuracy") or 0.0,
        changes=len(schedule.changes) - 1,
        again=again,
        seconds=seconds,
        replayed=replay(study.events).ok and replay(anew.events).ok,
        learning_rates=[(change.after, float(str(change.params["learning_rate"]))) for change in schedule.changes],
    )


def main() -> None:
    """Measure everything and write the page."""
    parser = argparse.ArgumentParser(description="Population-based training on a real network.")
    parser.add_argument("--quick", action="store_true", help="one seed; the page goes to build/, not to results/")
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    seeds = range(1 if given.quick else given.seeds)
    torch.set_num_threads(1)
    found: dict[str, list[Found]] = {name: [] for name in METHODS}
    for seed in seeds:
        for name, make in METHODS.items():
            with tempfile.TemporaryDirectory() as folder:
                found[name].append(search(make(), seed, Path(folder)))
            last = found[name][-1]
            print(f"seed {seed}  {name}: test {last.test:.4f}, anew {last.again}", file=sys.stderr, flush=True)
    text = page(found, given)
    folder = SCRATCH if given.quick else RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pbt.md").write_text(text, encoding="utf-8")
    data = {name: [vars(each) for each in all_seeds] for name, all_seeds in found.items()}
    (folder / "pbt.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    print(text)


def page(found: dict[str, list[Found]], given: argparse.Namespace) -> str:
    """Return the results as Markdown."""
    fixed = found["random search, fixed values"]
    rows = []
    for name, each in found.items():
        means = [statistics.mean(one.again) for one in each]
        gains = [
            statistics.mean(one.again) - statistics.mean(base.again) for one, base in zip(each, fixed, strict=True)
        ]
        within = [value for one in each for value in (a - statistics.mean(one.again) for a in one.again)]
        rows.append(
            f"| {name} | {_spread([one.val_loss for one in each], 3)} | {_percent([one.test for one in each])} | "
            f"{_percent(means)} | {100 * statistics.pstdev(within):.2f} | "
            f"{'' if each is fixed else _signed(gains)} | {_spread([one.changes for one in each], 0)} | "
            f"{_spread([one.seconds for one in each], 0)} |"
        )
    rates = [
        f"- split {seed}: " + ", ".join(f"{rate:.2g} from epoch {after + 1}" for after, rate in one.learning_rates)
        for seed, one in enumerate(found["pbt"])
    ]
    checked = all(one.replayed for each in found.values() for one in each)
    command = f"python -m benchmarks.fidelity.pbt{' --quick' if given.quick else f' --seeds {given.seeds}'}"
    return "\n".join(
        [
            "# Population-based training on a real network",
            "",
            f"`{command}` on {datetime.date.today().isoformat()}: {len(os.sched_getaffinity(0))} cores, shared with "
            f"other work; PyTorch {torch.__version__.partition('+')[0]}, one thread; {len(fixed)} split(s).",
            "",
            "A network of two hidden layers of 128 learns scikit-learn's digits from 300 images, a fifth of them with "
            "a wrong label; SGD, batches of 32. Learning rate, momentum, weight decay and dropout may change in "
            f"mid-training. Every method has {MEMBERS} x {EPOCHS} epochs and begins with the same {MEMBERS} random "
            "configurations. The winner is the full training with the smallest loss on 400 clean validation images. "
            f"Then it is trained anew from {REPEATS} other initialisations, a population's winner by its schedule. "
            "Shown is the mean over splits (smallest–largest); test accuracy is on 1097 images that decide nothing.",
            "",
            "| method | validation loss | test, the winner itself | test, trained anew | std between initialisations "
            "| anew, against fixed | changes | seconds |",
            "|---|---:|---:|---:|---:|---:|---:|---:|",
            *rows,
            "",
            "*Test, the winner itself* is one training out of many, chosen by its validation loss. *Trained anew* is "
            "what its values are worth without that luck, the mean of each split's repeats. *Against fixed* compares "
            "these means split by split.",
            "",
            f"Every decision of every study made again comes out as recorded: {'yes' if checked else 'NO'}.",
            "",
            "The learning rates that pbt's winners lived through:",
            "",
            *rates,
            "",
        ]
    )


def _spread(values: Sequence[float], digits: int) -> str:
    return f"{statistics.mean(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def _percent(values: Sequence[float]) -> str:
    return _spread([100 * value for value in values], 2) + " %"


def _signed(gains: Sequence[float]) -> str:
    points = [100 * gain for gain in gains]
    return f"{statistics.mean(points):+.2f} ({min(points):+.2f} … {max(points):+.2f})"


if __name__ == "__main__":
    main()

"""The rules that suggest a learning rate: ours, and two packages as their documentation shows them.

Every rule gets the same untrained model, optimizer and loader, and says a rate. PyTorch Lightning's Tuner and
torch-lr-finder run as they are, with their own defaults; both take the steepest fall of one ramp's loss.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.fidelity.datasets import Data
from benchmarks.fidelity.networks import Tensors
from benchmarks.range_test.rows import Suggestion
from benchmarks.range_test.tasks import BATCH, OPTIMIZERS, Batch, Task, loss_of
from tunewell.torch import RangeTestError, find_learning_rate

Rule = Callable[[Task, nn.Module, Tensors, int], tuple[float | None, float | None, float | None, int, str]]


def loader(part: Batch, seed: int) -> DataLoader[Any]:
    """Return the training batches in an order of its own every epoch."""
    generator = torch.Generator().manual_seed(seed)
    return DataLoader(TensorDataset(*part), BATCH, shuffle=True, drop_last=True, generator=generator)


def held_out(data: Tensors) -> list[Batch]:
    """Return batches that neither training nor validation sees."""
    return list(zip(data.test[0].split(BATCH), data.test[1].split(BATCH), strict=True))


def ours(
    task: Task, model: nn.Module, data: Tensors, repeat: int, *, held: bool
) -> tuple[float | None, float | None, float | None, int, str]:
    """Return what :func:`tunewell.torch.find_learning_rate` suggests, its interval and its steps."""
    optimizer = OPTIMIZERS[task.optimizer](model.parameters(), lr=1e-3)
    judges = held_out(data) if held else None
    try:
        found = find_learning_rate(
            model, optimizer, loader(data.train, repeat), loss_of=loss_of, held_out=judges, seed=repeat
        )
    except RangeTestError as error:
        return None, None, None, 0, str(error)
    return found.suggestion, found.low, found.high, found.steps, ""


def torch_lr_finder(
    task: Task, model: nn.Module, data: Tensors, repeat: int
) -> tuple[float | None, float | None, float | None, int, str]:
    """Return what torch-lr-finder suggests: from 1e-7 to 100 in 100 steps, as in its README."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from torch_lr_finder import LRFinder

    optimizer = OPTIMIZERS[task.optimizer](model.parameters(), lr=1e-7)

    def criterion(output: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(output.flatten(0, -2), labels.flatten())

    finder = LRFinder(model, optimizer, criterion, device="cpu")
    finder.range_test(loader(data.train, repeat), end_lr=100, num_iter=100)
    said = finder.plot(suggest_lr=True)
    pyplot.close("all")
    steps = len(finder.history["lr"])
    return (
        (float(said[1]), None, None, steps, "")
        if isinstance(said, tuple)
        else (None, None, None, steps, "too few points")
    )


def lightning(
    task: Task, model: nn.Module, data: Tensors, repeat: int
) -> tuple[float | None, float | None, float | None, int, str]:
    """Return what Lightning's ``Tuner.lr_find`` suggests: from 1e-8 to 1 in 100 steps."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.tuner import Tuner

    class Module(LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model, self.lr = model, 1e-3

        def training_step(self, batch: Batch, _: int) -> torch.Tensor:
            return loss_of(self.model, batch)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return OPTIMIZERS[task.optimizer](self.parameters(), lr=self.lr)

    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # it writes checkpoints
        try:
            trainer = Trainer(
                max_steps=100, logger=False, enable_checkpointing=False, enable_progress_bar=False, accelerator="cpu",
                enable_model_summary=False,
            )  # fmt: skip
            found = Tuner(trainer).lr_find(Module(), train_dataloaders=loader(data.train, repeat))
        finally:
            os.chdir(here)
    rate = found.suggestion()
    return rate, None, None, len(found.results["lr"]), "" if rate is not None else "too few points"


RULES: Mapping[str, Rule] = {
    "tunewell": lambda *given: ours(*given, held=True),
    "tunewell, training batches": lambda *given: ours(*given, held=False),
    "lightning": lightning,
    "torch-lr-finder": torch_lr_finder,
}


def suggest(rule: str, task: Task, raw: Data, data: Tensors, repeat: int) -> Suggestion:
    """Run a rule; the model is that of the repeat's seed, drawn anew."""
    model = task.model(raw, repeat)
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rate, low, high, steps, said = RULES[rule](task, model, data, repeat)
    seconds = round(time.process_time() - start, 2)
    short = [None if value is None else float(f"{value:.4g}") for value in (rate, low, high)]
    return Suggestion(task.name, rule, repeat, *short, steps, seconds, said)

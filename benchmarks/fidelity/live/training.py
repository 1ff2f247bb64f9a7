"""The training that all tools share, epoch by epoch, and the log that says when which epoch ended how.

The search sees the validation accuracy alone. The test accuracy of every epoch goes to the log, which no tool reads.
Weights, batches and dropout follow from the search's seed, the configuration and the epoch, so a training that was
saved and continued is the same as one in one go.
"""

from __future__ import annotations

import json
import math
import os
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.fidelity.networks import Config, Tensors, advance, judge, network, optimizer, tensors
from benchmarks.fidelity.tasks import LETTER_MLP, MNIST, MNIST_CNN, Task, table
from benchmarks.search import tables
from tunewell.space import Float, Int, Space

EPOCHS = 30
MNIST_LIVE = {name: parameter for name, parameter in MNIST_CNN.items() if name != "decay"} | {
    "width": Int(4, 32, scale="log"),
    "dropout": Float(0.0, 0.7),
}
LETTER_LIVE = {**LETTER_MLP, "width": Int(64, 1024, scale="log")}
TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        Task("mnist_live", "cnn", "sgd", (3000, 1000, 1000), MNIST, Space(MNIST_LIVE)),
        Task("letter_live", "mlp", "sgd", (12000, 4000, 4000), table("letter"), Space(LETTER_LIVE)),
    )
}


def loaded(task: Task) -> Tensors:
    """Return the data of a task, from the folder ``TUNEWELL_TABLES``.

    Raises:
        ValueError: the variable is not set.
    """
    home = tables.folder()
    if home is None:
        raise ValueError("expected the folder of the data in TUNEWELL_TABLES, found none: set it")
    return tensors(task.data(home))


@dataclass(frozen=True)
class Search:
    """One search as its tool is told of it.

    ``rank`` tells the processes of a tool apart that is started several times; ``folder`` is empty at the beginning.
    """

    task: Task
    data: Tensors
    seed: int
    seconds: float
    folder: Path
    rank: int = 0

    @property
    def log(self) -> Path:
        """The file with a line for each stretch of training that began and for each epoch."""
        return self.folder / "epochs.jsonl"

    def begin(self, config: Config) -> Training:
        """Return the training of a configuration before its first epoch."""
        plain = dict(config)
        self.note({"begin": plain})
        return Training(self, plain)

    def note(self, fields: Mapping[str, Any]) -> None:
        """Write a line into the log, with the time; several processes may."""
        line = json.dumps({"time": time.time(), **fields}) + "\n"
        file = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)


class Training:
    """The training of one configuration, wherever it stands."""

    def __init__(self, search: Search, config: Config) -> None:
        torch.set_num_threads(1)
        self._search = search
        self._config = config
        self._seed = zlib.crc32(json.dumps([search.seed, sorted(config.items())]).encode())
        torch.manual_seed(self._seed)
        self._net = network(search.task, config, search.data)
        self._steps = optimizer(search.task, config, self._net)

    def epoch(self, number: int) -> float:
        """Train an epoch, counted from 1; return the validation accuracy, NaN where the training has diverged."""
        start, worked, data = time.perf_counter(), time.process_time(), self._search.data
        torch.manual_seed(self._seed + number)
        fitted, loss, accuracy = advance(self._net, self._steps, self._config, data, number - 1, EPOCHS)
        finite = math.isfinite(fitted) and math.isfinite(loss)
        said = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - worked}
        if finite:
            said |= {"validation": accuracy, "test": judge(self._net, data.test)[1]}
        self._search.note({"epoch": number, **said})
        return accuracy if finite else math.nan

    def save(self, folder: Path) -> None:
        """Write all that the next epoch needs."""
        torch.save({"net": self._net.state_dict(), "steps": self._steps.state_dict()}, folder / "state.pt")

    def load(self, folder: Path) -> None:
        """Go on from what was saved."""
        stored = torch.load(folder / "state.pt", weights_only=True)
        self._net.load_state_dict(stored["net"])
        self._steps.load_state_dict(stored["steps"])

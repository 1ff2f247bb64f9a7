"""What is recorded: small real data sets, each with a network, a hyperparameter space of its own and a fixed split.

``momentum`` is the momentum of SGD and beta1 of Adam. ``decay`` is what becomes of the learning rate: nothing, a cosine
to zero at the last epoch, or a tenth after half of the epochs and a hundredth after four fifths.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.fidelity import datasets
from benchmarks.fidelity.datasets import Data
from tunewell.space import Choice, Float, Int, Parameter, Space

BATCH = Choice([16, 32, 64, 128, 256], ordered=True)
MOMENTUM = Float(0.5, 0.99, scale="reverse_log")
DECAY = Choice(["constant", "cosine", "step"])
OPTIMIZER = Choice(["sgd", "adam"])
SWITCH = Choice([False, True])


@dataclass(frozen=True)
class Task:
    """One network on one data set.

    ``optimizer`` is the one used where the space does not ask for it. ``sizes`` are the rows for training, validation
    and test; which rows is drawn once, from the name.
    """

    name: str
    model: Literal["mlp", "cnn", "bag", "gru"]
    optimizer: Literal["sgd", "adam"]
    sizes: tuple[int, int, int]
    read: Callable[[Path, str, tuple[int, int, int]], Data]
    space: Space

    def data(self, home: Path) -> Data:
        """Return the data, from the folder of the tables."""
        return self.read(home, self.name, self.sizes)


def log(low: float, high: float) -> Float:
    """Return a parameter on the log scale."""
    return Float(low, high, scale="log")


def table(name: str) -> Callable[[Path, str, tuple[int, int, int]], Data]:
    """Return the reader of one of the tabular data sets."""
    return lambda home, task, sizes: datasets.tabular(home, name, task, sizes)


def images(file: str, pool: int) -> Callable[[Path, str, tuple[int, int, int]], Data]:
    """Return the reader of a set of images, averaged over squares of ``pool`` by ``pool`` pixels."""
    return lambda home, task, sizes: datasets.images(home, file, pool, task, sizes)


DIGITS_MLP: Mapping[str, Parameter] = {
    "learning_rate": log(1e-3, 1.0),
    "momentum": MOMENTUM,
    "batch_size": BATCH,
    "width": Int(8, 256, scale="log"),
    "depth": Int(1, 4),
    "dropout": Float(0.0, 0.7),
    "weight_decay": log(1e-6, 1e-1),
}
DIGITS_CNN: Mapping[str, Parameter] = {
    "optimizer": OPTIMIZER,
    "learning_rate": log(1e-4, 3.0),
    "momentum": MOMENTUM,
    "batch_size": BATCH,
    "width": Int(4, 16, scale="log"),
    "dropout": Float(0.0, 0.7),
    "weight_decay": log(1e-6, 1e-1),
    "decay": DECAY,
}
MNIST_MLP: Mapping[str, Parameter] = {
    "learning_rate": log(1e-5, 1.0),
    "momentum": Float(0.5, 0.995, scale="reverse_log"),
    "beta2": Float(0.9, 0.9999, scale="reverse_log"),
    "epsilon": log(1e-10, 1.0),
    "batch_size": BATCH,
    "width": Int(16, 256, scale="log"),
    "depth": Int(1, 3),
    "dropout": Float(0.0, 0.7),
    "weight_decay": log(1e-4, 10.0),
    "decay": DECAY,
}
MNIST_CNN: Mapping[str, Parameter] = {
    "learning_rate": log(1e-3, 1.0),
    "momentum": MOMENTUM,
    "batch_size": BATCH,
    "width": Int(4, 16, scale="log"),
    "depth": Int(1, 3),
    "weight_decay": log(1e-6, 1e-1),
    "decay": DECAY,
}
LETTER_MLP: Mapping[str, Parameter] = {
    "learning_rate": log(1e-3, 10.0),
    "momentum": MOMENTUM,
    "batch_size": BATCH,
    "width": Int(16, 256, scale="log"),
    "depth": Int(1, 3),
    "batch_norm": SWITCH,
    "weight_decay": log(1e-6, 1e-1),
    "decay": DECAY,
}
SATIMAGE_MLP: Mapping[str, Parameter] = {
    "optimizer": OPTIMIZER,
    "learning_rate": log(1e-4, 3.0),
    "momentum": MOMENTUM,
    "batch_size": BATCH,
    "width": Int(8, 128, scale="log"),
    "depth": Int(1, 4),
    "activation": Choice(["relu", "tanh"]),
    "dropout": Float(0.0, 0.5),
    "weight_decay": log(1e-6, 1e-1),
}
SPAMBASE_MLP: Mapping[str, Parameter] = {
    "learning_rate": log(1e-5, 1.0),
    "batch_size": BATCH,
    "width": Int(8, 128, scale="log"),
    "depth": Int(1, 3),
    "dropout": Float(0.0, 0.8),
    "label_smoothing": Float(0.0, 0.3),
    "weight_decay": log(1e-4, 10.0),
}
PHONEME_MLP: Mapping[str, Parameter] = {
    "learning_rate": log(1e-3, 3.0),
    "momentum": Float(0.5, 0.995, scale="reverse_log"),
    "batch_size": BATCH,
    "width": Int(4, 128, scale="log"),
    "depth": Int(1, 5),
}
TREC_BAG: Mapping[str, Parameter] = {
    "learning_rate": log(1e-4, 1.0),
    "momentum": MOMENTUM,
    "batch_size": BATCH,
    "embedding": Int(4, 64, scale="log"),
    "width": Int(8, 128, scale="log"),
    "dropout": Float(0.0, 0.8),
    "weight_decay": log(1e-4, 10.0),
    "decay": DECAY,
}
NAMES_GRU: Mapping[str, Parameter] = {
    "learning_rate": log(1e-4, 1.0),
    "batch_size": BATCH,
    "embedding": Int(4, 32, scale="log"),
    "width": Int(8, 96, scale="log"),
    "dropout": Float(0.0, 0.6),
    "clip": log(1e-2, 10.0),
    "weight_decay": log(1e-4, 10.0),
    "decay": DECAY,
}
CIFAR_CNN: Mapping[str, Parameter] = {
    "optimizer": OPTIMIZER,
    "learning_rate": log(1e-4, 3.0),
    "momentum": MOMENTUM,
    "batch_size": BATCH,
    "width": Int(4, 16, scale="log"),
    "depth": Int(1, 3),
    "batch_norm": SWITCH,
    "weight_decay": log(1e-6, 1e-1),
    "decay": DECAY,
}

DIGITS, MNIST, CIFAR = images("digits8x8.npz", 1), images("mnist5k.npz", 2), images("cifar10_6k.npz", 2)
TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        Task("digits_mlp", "mlp", "sgd", (512, 500, 785), DIGITS, Space(DIGITS_MLP)),
        Task("digits_cnn", "cnn", "sgd", (512, 500, 785), DIGITS, Space(DIGITS_CNN)),
        Task("mnist_mlp", "mlp", "adam", (1024, 1500, 2000), MNIST, Space(MNIST_MLP)),
        Task("mnist_cnn", "cnn", "sgd", (512, 800, 800), MNIST, Space(MNIST_CNN)),
        Task("letter_mlp", "mlp", "sgd", (2048, 1500, 2000), table("letter"), Space(LETTER_MLP)),
        Task("satimage_mlp", "mlp", "sgd", (1536, 1500, 2000), table("satimage"), Space(SATIMAGE_MLP)),
        Task("spambase_mlp", "mlp", "adam", (1024, 1500, 2000), table("spambase"), Space(SPAMBASE_MLP)),
        Task("phoneme_mlp", "mlp", "sgd", (1536, 1500, 2000), table("phoneme"), Space(PHONEME_MLP)),
        Task("trec_bag", "bag", "adam", (1536, 1500, 2000), datasets.questions, Space(TREC_BAG)),
        Task("names_gru", "gru", "adam", (768, 600, 600), datasets.names, Space(NAMES_GRU)),
        Task("cifar_cnn", "cnn", "sgd", (640, 800, 800), CIFAR, Space(CIFAR_CNN)),
    )
}

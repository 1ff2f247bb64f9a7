"""Recorded trainings in one form: configurations, their losses, and which hyperparameter each column is."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.fidelity import tables as curves
from benchmarks.search import tables as finals
from tunewell.space import Choice, Config, Float, Space

BEST = 0.05  # the share of a table's rows that counts as its best

DOMAIN = {
    **dict.fromkeys(["cifar_cnn", "digits_cnn", "digits_mlp", "mnist_cnn", "mnist_mlp"], "vision"),
    **dict.fromkeys(["letter_mlp", "satimage_mlp", "spambase_mlp", "phoneme_mlp"], "tabular"),
    **dict.fromkeys(["nnperf/deep_resnets_cifar10", "nnperf/deep_resnets_tinyimagenet"], "vision"),
    **dict.fromkeys([f"deepobs/{task}" for task in ("cifar100_allcnnc", "fmnist_2c2d", "fmnist_vae")], "vision"),
    **dict.fromkeys(["nnperf/metaqnn_cifar10", "deepobs/mnist_vae"], "vision"),
    "nmt/finetune_zh-en": "language_finetuning",
}
OPTIMIZER = {  # where the space does not say; AdamW in the recordings made here
    **dict.fromkeys(["digits_mlp", "mnist_cnn", "letter_mlp", "phoneme_mlp", "nnperf/lstm_ptb"], "sgd"),
    **dict.fromkeys(["mnist_mlp", "spambase_mlp", "trec_bag", "names_gru"], "adamw"),
    "nnperf/deep_resnets_tinyimagenet": "sgd",
}
NAMES = {  # what a table's column is, where that is not the name of a hyperparameter
    "width": "hidden_units",
    "depth": "layers",
    "clip": "gradient_clipping",
    "decay": "schedule",
    "embedding": "embedding_size",
    "filters": "channels",
    "filter_size": "kernel_size",
    "alpha": "l2",
}
WORDS = {"const": "constant", "momentum": "sgd"}  # of the tables, in those of the knowledge


@dataclass(frozen=True)
class Table:
    """Configurations and what became of them.

    ``columns`` says which hyperparameter a parameter is, given the row's optimizer; ``noise`` is the standard deviation
    of a loss between seeds, None where nobody knows.
    """

    name: str
    domain: str
    space: Space
    configs: Sequence[Config]
    losses: np.ndarray  # (n,), infinite where the training diverged
    columns: Mapping[str, str]
    optimizer: str | None
    noise: float | None = None
    adam: str = "adam"  # which Adam a choice of optimizers means

    def under(self, config: Config) -> str | None:
        """Return the optimizer of a configuration."""
        chosen = config.get("optimizer", self.optimizer)
        return self.adam if chosen == "adam" else None if chosen is None else str(chosen)

    @property
    def units(self) -> np.ndarray:
        """The configurations in the unit cube of the space, shape ``(n, d)``."""
        return self.space.encode(self.configs)

    def known_as(self, column: str, optimizer: str | None) -> str | None:
        """Return the hyperparameter that a column is; the momentum of Adam is its β1."""
        name = self.columns.get(column)
        return "beta1" if name == "momentum" and optimizer in ("adam", "adamw") else name


def recorded_here() -> list[Table]:
    """Return the tables of this repository."""
    return [from_curves(name) for name in curves.names() if "/" not in name]


def all_tables() -> Iterator[Table]:
    """Return every table there is, those made here first."""
    for name in curves.names():
        yield from_curves(name)
    home = finals.folder()
    if home is not None:
        for task in ("naval_propulsion", "protein_structure"):
            yield from_grid(f"fcnet/{task}", "fcnet_final.npz", f"{task}/val_loss", "tabular", FCNET)
        for task in ("australian", "credit_g", "phoneme", "vehicle"):
            yield from_grid(f"hpobench/{task}", "hpobench_mlp_final.npz", f"{task}/val_acc", "tabular", HPOBENCH, -1.0)
        yield from from_deepar(finals.load(home, "deepar.npz"))


FCNET = {
    "activation_fn_1": "activation",
    "activation_fn_2": "activation",
    "batch_size": "batch_size",
    "dropout_1": "dropout",
    "dropout_2": "dropout",
    "init_lr": "learning_rate",
    "lr_schedule": "schedule",
    "n_units_1": "hidden_units",
    "n_units_2": "hidden_units",
}
HPOBENCH = {
    "alpha": "l2",
    "batch_size": "batch_size",
    "depth": "layers",
    "learning_rate_init": "learning_rate",
    "width": "hidden_units",
}
KNOWN = {
    "learning_rate", "momentum", "beta1", "beta2", "epsilon", "l1", "l2", "batch_size", "dropout", "weight_decay",
    "label_smoothing", "lora_rank", "layers", "optimizer", "activation",
}  # fmt: skip


def from_curves(name: str) -> Table:
    """Return a table of learning curves; a row's loss is the best that any step has reached."""
    table = curves.load(name)
    columns = {column: NAMES.get(column, column) for column in table.space}
    columns = {column: known for column, known in columns.items() if known in KNOWN | set(NAMES.values())}
    if "cnn" in name:
        columns["width"] = "channels"
    if name.startswith("nmt/"):
        columns["width"] = "model_width"
    optimizer = OPTIMIZER.get(name, "adam" if name.startswith(("taskset", "nmt", "nnperf")) else None)
    losses = reached(table.curves, table.mode)
    noise = None
    if table.again is not None and table.curves_again is not None:
        again = reached(table.curves_again, table.mode)
        both = np.isfinite(again) & np.isfinite(losses[table.again])
        noise = spread(losses[table.again][both] - again[both])
    configs = table.space.decode(np.where(np.isnan(table.units), 0.5, table.units))
    domain = DOMAIN.get(name, "generic")
    return Table(
        name, domain, table.space, configs, losses, columns, optimizer, noise, "adam" if "/" in name else "adamw"
    )


def reached(rows: np.ndarray, mode: str) -> np.ndarray:
    """Return the best loss of each curve, shape ``(n, steps)`` to ``(n,)``; infinite without any."""
    losses = rows if mode == "min" else -rows
    best: np.ndarray = np.min(np.where(np.isfinite(losses), losses, np.inf), axis=1)
    return best


def spread(differences: np.ndarray) -> float:
    """Return the standard deviation of one training from the differences of pairs, robust to a few that diverged."""
    return float(np.median(np.abs(differences)) / 0.6745 / math.sqrt(2.0))


def from_grid(name: str, file: str, column: str, domain: str, columns: Mapping[str, str], sign: float = 1.0) -> Table:
    """Return a table with a row for each combination; a row's loss is the mean of the recorded seeds."""
    home = finals.folder()
    assert home is not None
    stored = finals.load(home, file)
    values = {key: list(choices) for key, choices in json.loads(str(stored["meta"]))["space"].items()}
    space = Space({key: Choice(choices, ordered=key not in finals.UNORDERED) for key, choices in values.items()})
    index = stored["config_idx"].astype(int)
    configs = [
        {key: choices[k] for (key, choices), k in zip(values.items(), row, strict=True)} for row in index.tolist()
    ]
    seeds = sign * stored[column].astype(float)
    losses = np.nanmean(seeds, axis=1)
    best = np.argsort(losses)[: max(3, round(BEST * len(losses)))]
    noise = float(np.median(np.nanstd(seeds[best], axis=1, ddof=1))) / math.sqrt(seeds.shape[1])
    return Table(name, domain, space, configs, losses, columns, "adam", noise)


def from_deepar(stored: Mapping[str, np.ndarray]) -> Iterator[Table]:
    """Return the forecasters of DeepAR, whose stored values are natural logs."""
    for task in json.loads(str(stored["meta"]))["tasks"]:
        values = np.exp(stored[f"{task}/configs"].astype(float))[:, :4]
        keys = ("num_layers", "num_cells", "dropout", "learning_rate")
        space = Space(
            {k: Float(float(v.min()), float(v.max()), scale="log") for k, v in zip(keys, values.T, strict=True)}
        )
        configs = [dict(zip(keys, row, strict=True)) for row in values.tolist()]
        losses = stored[f"{task}/CRPS"].astype(float)
        columns = {"num_layers": "layers", "num_cells": "hidden_units", "dropout": "dropout", "learning_rate": keys[3]}
        yield Table(f"deepar/{task}", "generic", space, configs, losses, columns, "adam")

"""Problems from recorded trainings: every configuration of a grid, or the nearest one that was trained.

The folder of the tables comes from the environment variable ``TUNEWELL_TABLES``. In a grid every configuration of the
space was trained, so nothing is interpolated; the seed permutes categories and turns the order of ordered choices
round. ``deepar`` was trained at random configurations: the nearest recorded one in the encoded unit cube answers; the
seed keeps a random 80 % of them and warps and flips the cube's axes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.search.instances import Instance, Params, generator
from benchmarks.search.synthetic import Warp, box, point, vector
from tunewell.space import Choice, Parameter, Space

UNORDERED = {"activation_fn_1", "activation_fn_2", "lr_schedule", *(f"Op{j}" for j in range(6))}


def folder() -> Path | None:
    """Return the folder of the tables, None if nobody said where it is."""
    given = os.environ.get("TUNEWELL_TABLES")
    return Path(given) if given else None


@dataclass(frozen=True)
class Grid:
    """A table with a row for each combination of its values: ``losses[row, seed]``, NaN where a seed was not run."""

    values: Mapping[str, tuple[Any, ...]]
    rows: np.ndarray  # the row of each combination, one axis per hyperparameter
    losses: np.ndarray


@cache
def load(home: Path, file: str) -> Mapping[str, np.ndarray]:
    """Return the arrays of a file."""
    with np.load(home / file, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


@cache
def grid(home: Path, file: str, column: str, sign: float, offset: float) -> Grid:
    """Return a grid's table; the losses are ``offset + sign * column``."""
    stored = load(home, file)
    values = {name: tuple(choices) for name, choices in json.loads(str(stored["meta"]))["space"].items()}
    rows = np.full([len(choices) for choices in values.values()], -1)
    rows[tuple(stored["config_idx"].T.astype(int))] = np.arange(len(stored["config_idx"]))
    if (rows < 0).any():
        raise ValueError(f"expected every combination in {file}, {int((rows < 0).sum())} are missing")
    return Grid(values, rows, offset + sign * stored[column].astype(float))


def from_grid(
    file: str, column: str, *, sign: float = 1.0, offset: float = 0.0, noisy: bool = False
) -> Callable[[int], Instance]:
    """Return the instances of a grid: the truth is the mean of the recorded seeds, and noise is one of them."""

    def make(seed: int) -> Instance:
        home = folder()
        if home is None:
            raise ValueError("expected the folder of the tables in TUNEWELL_TABLES, found none: set it")
        table, rng = grid(home, file, column, sign, offset), generator(seed)
        means = np.nanmean(table.losses, axis=1)
        shown: dict[str, Parameter] = {}
        for name, choices in table.values.items():
            turned = choices[:: int(rng.choice([-1, 1]))]
            order = rng.permutation(len(choices))
            shown[name] = (
                Choice([choices[k] for k in order]) if name in UNORDERED else Choice(list(turned), ordered=True)
            )

        def row(params: Params) -> int:
            return int(table.rows[tuple(c.index(params[name]) for name, c in table.values.items())])

        def observed(params: Params, rng: np.random.Generator) -> float:
            recorded = table.losses[row(params)]
            return float(rng.choice(recorded[~np.isnan(recorded)]))

        best = int(np.argmin(means))
        places = [int(axis[0]) for axis in np.nonzero(table.rows == best)]
        return Instance(
            Space(shown),
            lambda params: float(means[row(params)]),
            float(means[best]),
            0.0,
            {name: choices[k] for (name, choices), k in zip(table.values.items(), places, strict=True)},
            observed if noisy else None,
        )

    return make


def from_deepar(task: str) -> Callable[[int], Instance]:
    """Return the instances of a DeepAR task: the loss is the CRPS of the nearest recorded configuration.

    The axes are the logs of layers, cells, dropout, learning rate, batches and context length, each from 0 to 1.
    """

    def make(seed: int) -> Instance:
        home = folder()
        if home is None:
            raise ValueError("expected the folder of the tables in TUNEWELL_TABLES, found none: set it")
        rng, stored = generator(seed), load(home, "deepar.npz")
        logs, losses = stored[f"{task}/configs"].astype(float), stored[f"{task}/CRPS"].astype(float)
        low, high = logs.min(axis=0), logs.max(axis=0)
        kept, d = np.sort(rng.permutation(len(losses))[: int(0.8 * len(losses))]), logs.shape[1]
        units, losses, warp = (logs[kept] - low) / (high - low), losses[kept], Warp(rng, d)

        def truth(params: Params) -> float:
            u = warp(vector(params, d))
            return float(losses[int(np.argmin(np.sum((units - u) ** 2, axis=1)))])

        best = int(np.argmin(losses))
        return Instance(box(d, 0.0, 1.0), truth, float(losses[best]), 0.0, point(warp.inverse(units[best])))

    return make


MAKERS: dict[str, Callable[[int], Instance]] = {
    "fcnet_naval": from_grid("fcnet_final.npz", "naval_propulsion/val_loss"),
    "fcnet_protein": from_grid("fcnet_final.npz", "protein_structure/val_loss"),
    "fcnet_protein_noisy": from_grid("fcnet_final.npz", "protein_structure/val_loss", noisy=True),
    "hpobench_credit": from_grid("hpobench_mlp_final.npz", "credit_g/val_acc", sign=-1.0, offset=1.0),
    "hpobench_vehicle": from_grid("hpobench_mlp_final.npz", "vehicle/val_acc", sign=-1.0, offset=1.0),
    "nasbench201": from_grid("nasbench201_final.npz", "cifar100/val_acc", sign=-0.01, offset=1.0),
    "deepar_monthly": from_deepar("m4-Monthly"),
}

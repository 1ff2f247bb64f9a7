"""Who decides what is trained and how far: Tunewell's schedulers and the peers.

A method's module has a function ``search(meter, seed, **options)``, which trains by its own rules until the meter says
that the budget is spent. A peer's module is imported only under the Python of the environment that has the peer;
``benchmarks/peers.sh`` makes these environments. Each method gets the space the way its own users write it
(:mod:`benchmarks.search.methods.axes`), a first rung of one step and otherwise its defaults.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks._common import ROOT


@dataclass(frozen=True)
class Method:
    """One contestant: where it lives, and what its module is told about it."""

    module: str
    environment: str = ""  # "": Tunewell's own for ours; otherwise the ending of .venv-peers
    options: Mapping[str, Any] = field(default_factory=dict)
    packages: tuple[str, ...] = ("tunewell",)  # whose versions the results state

    @property
    def python(self) -> Path:
        """The interpreter that has the method."""
        return Path(sys.executable) if self.module == "ours" else ROOT / f".venv-peers{self.environment}/bin/python"

    def search(self) -> Callable[..., None]:
        """Return the method's search, under this method's interpreter."""
        found: Callable[..., None] = import_module(f"benchmarks.fidelity.methods.{self.module}").search
        return found


def _ours(sampler: str, scheduler: str, saves: bool = True, held_out: bool = False, **settings: Any) -> Method:
    how = {"saves": saves, "held_out": held_out, "settings": settings}
    return Method("ours", options={"sampler": sampler, "scheduler": scheduler, **how})


def _optuna(sampler: str, pruner: str) -> Method:
    return Method("with_optuna", options={"sampler": sampler, "pruner": pruner}, packages=("optuna",))


def _syne_tune(scheduler: str) -> Method:
    return Method("with_syne_tune", "-synetune", {"scheduler": scheduler}, ("syne-tune",))


def _neps(algorithm: str) -> Method:
    return Method("with_neps", "-neps", {"algorithm": algorithm}, ("neural-pipeline-search",))


RANDOM = "tunewell-random"
METHODS: Mapping[str, Method] = {
    "tunewell-auto": _ours("auto", "Auto"),
    "tunewell-auto-held-out": _ours("auto", "Auto", held_out=True),
    "tunewell-freeze-thaw-unnamed": _ours("auto", "FreezeThaw", usual=False),
    "tunewell-freeze-thaw-stopping": _ours("auto", "FreezeThaw", saves=False, usual=False),
    "tunewell-asha-auto": _ours("auto", "Asha"),
    "tunewell-asha": _ours("random", "Asha"),
    "tunewell-asha-stopping": _ours("random", "Asha", promote=False),
    "tunewell-hyperband": _ours("random", "Hyperband"),
    "tunewell-bohb": _ours("auto", "BOHB"),
    "tunewell-bohb-gp": _ours("auto", "BOHB", model="gp"),
    "tunewell-prior-band": _ours("auto", "PriorBand"),
    "tunewell-top-k": _ours("random", "TopK"),
    "tunewell-median": _ours("random", "Median"),
    "tunewell-auto-full": _ours("auto", "Fifo"),
    RANDOM: _ours("random", "Fifo"),
    "optuna-tpe-hyperband": _optuna("TPESampler", "HyperbandPruner"),
    "optuna-tpe-halving": _optuna("TPESampler", "SuccessiveHalvingPruner"),
    "optuna-tpe-median": _optuna("TPESampler", "MedianPruner"),
    "optuna-random": _optuna("RandomSampler", "NopPruner"),
    "ray-asha": Method("with_ray", packages=("ray",)),
    "syne-tune-asha": _syne_tune("ASHA"),
    "syne-tune-bohb": _syne_tune("BOHB"),
    "syne-tune-asha-cqr": _syne_tune("ASHACQR"),
    "neps-priorband": _neps("priorband"),
    "neps-hyperband": _neps("hyperband"),
    "neps-asha": _neps("asha"),
    "dehb": Method("with_dehb", "-dehb", packages=("dehb",)),
    "smac-multi-fidelity": Method("with_smac", "-smac", {"facade": "MultiFidelityFacade"}, ("smac",)),
    "smac-hyperband": Method("with_smac", "-smac", {"facade": "HyperbandFacade"}, ("smac",)),
}

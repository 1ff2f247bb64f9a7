"""Who is compared."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks._common import PEERS_PYTHON


@dataclass(frozen=True)
class Method:
    """One tool: the module with its ``search``, what that is told beside the search, and how often it is started."""

    module: str
    package: str
    options: Mapping[str, Any] = field(default_factory=dict)
    processes: int = 1

    @property
    def python(self) -> Path:
        """The interpreter that has the tool."""
        return Path(sys.executable) if self.module == "ours" else PEERS_PYTHON


def _optuna(sampler: str, pruner: str) -> Method:
    return Method("with_optuna", "optuna", {"sampler": sampler, "pruner": pruner}, processes=2)


OURS, HELD_OUT = "tunewell", "tunewell-held-out"
METHODS: Mapping[str, Method] = {
    OURS: Method("ours", "tunewell"),
    HELD_OUT: Method("ours", "tunewell", {"held_out": True}),
    "optuna-tpe-hyperband": _optuna("TPESampler", "HyperbandPruner"),
    "ray-asha": Method("with_ray", "ray"),
    "optuna-random": _optuna("RandomSampler", "NopPruner"),
}

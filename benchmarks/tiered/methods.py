"""Who searches: the tiered strategy, what it is compared with, and how each is shown."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks._common import PEERS_PYTHON


@dataclass(frozen=True)
class Method:
    """One contestant. One that ``plans`` knows its budget, so that each budget is a search of its own."""

    sampler: str
    peer: bool = False
    plans: bool = False

    @property
    def python(self) -> Path:
        """The interpreter that has it."""
        return PEERS_PYTHON if self.peer else Path(sys.executable)


METHODS: Mapping[str, Method] = {
    "tunewell-tiered": Method("tiered", plans=True),
    "tunewell-auto": Method("auto"),
    "tunewell-random": Method("random"),
    "optuna-tpe": Method("TPESampler", peer=True),
    "optuna-gp": Method("GPSampler", peer=True),
}
TIERED, RANDOM, PEERS = "tunewell-tiered", "tunewell-random", ("optuna-tpe", "optuna-gp")

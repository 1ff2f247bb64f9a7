"""Who searches: Tunewell's samplers and the peers, each behind the same three questions.

A peer's module is imported only under the Python of the environment that has the peer; ``benchmarks/peers.sh`` makes
these environments. Each method gets the space the way its own users write it (:mod:`benchmarks.search.methods.axes`).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from benchmarks._common import ROOT
from tunewell.space import Space


@dataclass(frozen=True)
class Task:
    """What a method is told about a search: everything but the objective itself."""

    space: Space
    seed: int
    objectives: int = 1
    reference: tuple[float, ...] = ()  # several objectives: the point that the hypervolume is measured from
    batch: int = 1
    budget: int = 100


class Search(Protocol):
    """A running search."""

    def ask(self) -> tuple[Any, dict[str, Any]]:
        """Return a ticket and a configuration of the space to evaluate."""
        ...

    def tell(self, ticket: Any, losses: tuple[float, ...]) -> None:
        """Take in the losses of one configuration, one for each objective."""
        ...

    def recommend(self) -> dict[str, Any] | None:
        """Return the configuration the method would hand over now; None: the best observed."""
        ...


@dataclass(frozen=True)
class Method:
    """One contestant: where it lives, and what its module is told about it."""

    module: str
    environment: str = ""  # "": Tunewell's own; otherwise the ending of .venv-peers
    options: Mapping[str, Any] = field(default_factory=dict)
    packages: tuple[str, ...] = ("tunewell",)  # whose versions the results state
    checkpoints: tuple[int, ...] = ()  # evaluations after which it is asked to recommend; (): every fifth
    several: bool = False  # also for several objectives

    @property
    def python(self) -> Path:
        """The interpreter that has the method."""
        return Path(sys.executable) if self.module == "ours" else ROOT / f".venv-peers{self.environment}/bin/python"

    def begin(self, task: Task) -> Search:
        """Start a search, under this method's interpreter."""
        made: Search = import_module(f"benchmarks.search.methods.{self.module}").begin(task, **self.options)
        return made


def _ours(sampler: str, *, several: bool = False, told: bool = False) -> Method:
    return Method("ours", options={"sampler": sampler, "told": told}, several=several)


def _optuna(sampler: str, *, several: bool = False) -> Method:
    packages = ("optuna", "cmaes") if sampler == "CmaEsSampler" else ("optuna",)
    return Method("with_optuna", options={"sampler": sampler}, packages=packages, several=several)


LATE = (25, 50, 75, 96, 100)  # for methods whose recommendation is slow

METHODS: Mapping[str, Method] = {
    "tunewell-auto": _ours("auto", several=True),
    "tunewell-told": _ours("auto", several=True, told=True),  # the reference of the hypervolume, as qLogNEHVI is
    "tunewell-gp": _ours("gp", several=True),
    "tunewell-tpe": _ours("tpe"),
    "tunewell-cmaes": _ours("cmaes"),
    "tunewell-sobol": _ours("sobol", several=True),
    "tunewell-random": _ours("random", several=True),
    "tunewell-nsga2": _ours("nsga2", several=True),
    "optuna-tpe": _optuna("TPESampler", several=True),
    "optuna-gp": _optuna("GPSampler", several=True),
    "optuna-cmaes": _optuna("CmaEsSampler"),
    "optuna-nsga2": _optuna("NSGAIISampler", several=True),
    "ngopt": Method("with_nevergrad", "-nevergrad", packages=("nevergrad",)),
    "hyperopt": Method("with_hyperopt", packages=("hyperopt",)),
    "ax": Method("with_ax", "-ax", packages=("ax-platform", "botorch"), checkpoints=LATE),
    "qlognehvi": Method("with_botorch", "-ax", packages=("botorch",), several=True),
    "hebo": Method("with_hebo", "-hebo", packages=("hebo",)),
    "smac-gp": Method("with_smac", "-smac", {"facade": "BlackBoxFacade"}, ("smac",)),
    "smac-hpo": Method("with_smac", "-smac", {"facade": "HyperparameterOptimizationFacade"}, ("smac",)),
}
RANDOM = "tunewell-random"

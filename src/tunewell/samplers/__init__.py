"""What to try: one algorithm a file. Each name has a class of the same name for its options."""

from __future__ import annotations

from tunewell.registry import Registry

SAMPLERS = Registry(
    "sampler",
    {
        "random": "tunewell.samplers.random:Random",
        "grid": "tunewell.samplers.grid:Grid",
        "sobol": "tunewell.samplers.sobol:Sobol",
        "auto": "tunewell.strategies.auto:Auto",
        "gp": "tunewell.samplers.gp:GP",
        "tpe": "tunewell.samplers.tpe:TPE",
        "cmaes": "tunewell.samplers.cmaes:CMAES",
        "ehvi": "tunewell.samplers.ehvi:EHVI",
        "coarse_to_fine": "tunewell.strategies.coarse_to_fine:CoarseToFine",
        "tiered": "tunewell.strategies.tiered:Tiered",
        "evolution": "tunewell.samplers.evolution:Evolution",
        "de": "tunewell.samplers.evolution:DE",
        "perturb": "tunewell.samplers.evolution:Perturb",
        "nsga2": "tunewell.samplers.nsga2:NSGA2",
    },
    aliases={},
    method="suggest",
)

__getattr__ = SAMPLERS.attribute


def __dir__() -> list[str]:
    return sorted([*globals(), *SAMPLERS.classes()])

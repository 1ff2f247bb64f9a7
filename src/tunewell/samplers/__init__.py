"""What to try: one algorithm a file. Each name has a class of the same name for its options."""

from __future__ import annotations

from tunewell.registry import Registry

SAMPLERS = Registry(
    "sampler",
    {
        "random": "tunewell.samplers.random:Random",
        "grid": "tunewell.samplers.grid:Grid",
        "sobol": "tunewell.samplers.sobol:Sobol",
        "tpe": "tunewell.samplers.tpe:TPE",
        "cmaes": "tunewell.samplers.cmaes:CMAES",
    },
    aliases={"auto": "sobol"},
    method="suggest",
)

__getattr__ = SAMPLERS.attribute

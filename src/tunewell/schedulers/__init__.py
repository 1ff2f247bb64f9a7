"""How far to train: one algorithm a file. Each name has a class of the same name for its options."""

from __future__ import annotations

from tunewell.registry import Registry

SCHEDULERS = Registry(
    "scheduler",
    {
        "fifo": "tunewell.schedulers.fifo:Fifo",
        "asha": "tunewell.schedulers.asha:Asha",
    },
    aliases={"auto": "fifo"},
    method="decide",
)

__getattr__ = SCHEDULERS.attribute

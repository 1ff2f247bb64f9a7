"""How far to train: one algorithm a file. Each name has a class of the same name for its options."""

from __future__ import annotations

from tunewell.registry import Registry

SCHEDULERS = Registry(
    "scheduler",
    {
        "fifo": "tunewell.schedulers.fifo:Fifo",
        "asha": "tunewell.schedulers.asha:Asha",
        "freeze_thaw": "tunewell.schedulers.freeze_thaw:FreezeThaw",
    },
    aliases={"auto": "fifo"},
    method="decide",
)

__getattr__ = SCHEDULERS.attribute

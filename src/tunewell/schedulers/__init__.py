"""How far to train: one algorithm a file. Each name has a class of the same name for its options."""

from __future__ import annotations

from tunewell.registry import Registry

SCHEDULERS = Registry(
    "scheduler",
    {
        "auto": "tunewell.schedulers.auto:Auto",
        "fifo": "tunewell.schedulers.fifo:Fifo",
        "asha": "tunewell.schedulers.asha:Asha",
        "async_hyperband": "tunewell.schedulers.async_hyperband:AsyncHyperband",
        "bohb": "tunewell.schedulers.bohb:BOHB",
        "freeze_thaw": "tunewell.schedulers.freeze_thaw:FreezeThaw",
        "hyperband": "tunewell.schedulers.hyperband:Hyperband",
        "median": "tunewell.schedulers.median:Median",
        "prior_band": "tunewell.schedulers.prior_band:PriorBand",
        "worthwhile": "tunewell.schedulers.worthwhile:Worthwhile",
        "patience": "tunewell.schedulers.patience:Patience",
        "successive_halving": "tunewell.schedulers.successive_halving:SuccessiveHalving",
        "top_k": "tunewell.schedulers.top_k:TopK",
        "pbt": "tunewell.schedulers.pbt:PBT",
        "pb2": "tunewell.schedulers.pb2:PB2",
        "mf_pbt": "tunewell.schedulers.mf_pbt:MFPBT",
        "ipbt": "tunewell.schedulers.ipbt:IPBT",
        "replay": "tunewell.schedulers.replay:Replay",
    },
    aliases={},
    method="decide",
)

POPULATIONS = frozenset({"pbt", "pb2", "mf_pbt", "ipbt"})
"""Those that train a number of members to the end, which is a total by itself."""

__getattr__ = SCHEDULERS.attribute


def __dir__() -> list[str]:
    return sorted([*globals(), *SCHEDULERS.classes()])

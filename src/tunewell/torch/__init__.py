"""For PyTorch, with or without a study: range test, schedules, audit, a watcher of layers, and following a trial.

The names are loaded when first used; PyTorch comes with ``pip install "tunewell[torch]"``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunewell.torch.auditing import audit as audit
    from tunewell.torch.auditing import fix as fix
    from tunewell.torch.auditing import recalibrate as recalibrate
    from tunewell.torch.auditing import watching as watching
    from tunewell.torch.following import follow as follow
    from tunewell.torch.found import FoundRate as FoundRate
    from tunewell.torch.range_test import find_learning_rate as find_learning_rate
    from tunewell.torch.reading import RangeTestError as RangeTestError
    from tunewell.torch.scheduling import scheduler as scheduler
    from tunewell.torch.watcher import Watcher as Watcher

_HOMES = {
    "FoundRate": "found",
    "RangeTestError": "reading",
    "Watcher": "watcher",
    "audit": "auditing",
    "find_learning_rate": "range_test",
    "fix": "auditing",
    "follow": "following",
    "recalibrate": "auditing",
    "scheduler": "scheduling",
    "watching": "auditing",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tunewell.torch' has no attribute {name!r}")
    try:
        value = getattr(import_module(f"tunewell.torch.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ModuleNotFoundError(
            f'tunewell.torch.{name} expected PyTorch to be installed: pip install "tunewell[torch]"', name="torch"
        ) from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

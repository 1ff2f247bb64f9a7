"""Tools for a PyTorch training, usable without a study.

The public names, loaded when first used; PyTorch is imported only then.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunewell.torch.auditing import audit as audit
    from tunewell.torch.auditing import fix as fix
    from tunewell.torch.auditing import recalibrate as recalibrate
    from tunewell.torch.auditing import watching as watching
    from tunewell.torch.watcher import Watcher as Watcher

_HOMES = {
    "Watcher": "watcher",
    "audit": "auditing",
    "fix": "auditing",
    "recalibrate": "auditing",
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

"""Where trials run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunewell.executors.inline import Inline as Inline
    from tunewell.executors.processes import Processes as Processes

__all__ = ["Inline", "Processes"]

_HOMES = {"Inline": "tunewell.executors.inline", "Processes": "tunewell.executors.processes"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

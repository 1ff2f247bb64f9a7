"""Where trials run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunewell.executors.inline import Inline as Inline
    from tunewell.executors.processes import Processes as Processes
    from tunewell.executors.simulated import Simulated as Simulated

__all__ = ["Inline", "Processes", "Simulated"]

_HOMES = {
    "Inline": "tunewell.executors.inline",
    "Processes": "tunewell.executors.processes",
    "Simulated": "tunewell.executors.simulated",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

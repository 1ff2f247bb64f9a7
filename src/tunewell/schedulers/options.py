"""What the options of several schedulers have in common: how they are refused."""

from __future__ import annotations

from typing import Any


def whole(who: str, name: str, value: Any, least: int) -> None:
    """Refuse an option that is no whole number of at least ``least``.

    Raises:
        ValueError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{who} expected {name} to be a whole number of at least {least}, got {value!r}")


def rungs(who: str, reduction: Any, min_steps: Any, max_steps: Any) -> None:
    """Refuse options that make no rungs.

    Raises:
        ValueError: a number is not whole or too small.
    """
    whole(who, "reduction", reduction, 2)
    whole(who, "min_steps", min_steps, 1)
    if max_steps is not None:
        whole(who, "max_steps", max_steps, min_steps)

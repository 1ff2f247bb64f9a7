"""What the options of samplers and schedulers have in common: how they are refused."""

from __future__ import annotations

import math
from collections.abc import Collection
from numbers import Real
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunewell.space import Space


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


def among(who: str, name: str, value: Any, known: Collection[str]) -> None:
    """Refuse an option that is none of the ``known`` words.

    Raises:
        ValueError: it is not.
    """
    if value not in known:
        raise ValueError(f"{who} expected {name} to be {' or '.join(map(repr, known))}, got {value!r}")


def share(who: str, name: str, value: Any) -> None:
    """Refuse an option that is no number from 0 to 1.

    Raises:
        ValueError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
        raise ValueError(f"{who} expected {name} to be a number from 0 to 1, got {value!r}")


def between(value: Any, low: float, high: float = math.inf, *, ends: bool = False) -> bool:
    """Whether a value is a finite number between two others; with ``ends`` also where it is one of them."""
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        return False
    number = float(value)
    return low <= number <= high if ends else low < number < high


def yes_or_no(who: str, name: str, value: Any) -> None:
    """Refuse an option that is neither True nor False.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(value, bool):
        raise ValueError(f"{who} expected {name} to be True or False, got {value!r}")


def scheduler(who: str, then: Any) -> None:
    """Refuse what is no scheduler to leave all else to.

    Raises:
        ValueError: it is none.
    """
    if isinstance(then, type) or not callable(getattr(then, "decide", None)):
        raise ValueError(f"{who} expected then= to be a scheduler such as Asha(), got {then!r}")


def check_fit(algorithm: Any, space: Space) -> None:
    """Have an algorithm refuse options that do not fit a space, such as unknown names, if it has any that might not.

    Raises:
        ValueError: they do not.
    """
    check = getattr(algorithm, "check_space", None)
    if check is not None:
        check(space)

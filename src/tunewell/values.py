"""The plain values that configurations are made of, and how what a user wrote becomes one of them."""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, TypeAlias

import numpy as np

from tunewell.scales import LARGEST

Value: TypeAlias = str | int | float | bool | tuple[Any, ...] | None
Config: TypeAlias = Mapping[str, Value]


class Unset(Enum):
    """The one value that stands for an argument not given, because None may be a choice."""

    UNSET = "not given"


UNSET = Unset.UNSET


def nearest(word: object, known: Iterable[object]) -> str:
    """Return ``": did you mean 'x'?"`` for the known word that looks most like ``word``, or nothing."""
    close = difflib.get_close_matches(str(word), [k for k in known if isinstance(k, str)], n=1)
    return f": did you mean {close[0]!r}?" if close else ""


def listed(values: Iterable[object]) -> str:
    shown = [repr(value) for value in values]
    return ", ".join(shown if len(shown) <= 12 else [*shown[:10], "...", shown[-1]])


def joined(words: Sequence[str]) -> str:
    """Return one word or more as text: "a, b and c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def plain(value: Any) -> Any:
    """Turn NumPy scalars into Python's and lists into tuples, at any depth; leave the rest alone."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        value = value.item()
    return tuple(map(plain, value)) if isinstance(value, list | tuple) else value


def jsonable(value: Any) -> Any:
    """Turn tuples into lists and mappings into dictionaries, at any depth."""
    if isinstance(value, Mapping):
        return {key: jsonable(part) for key, part in value.items()}
    return [jsonable(part) for part in value] if isinstance(value, list | tuple) else value


def number(value: Any, what: str) -> int | float:
    value = plain(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{what} must be a number, got {value!r}: write it without quotes, e.g. 0.1")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{what} must be finite, got {value!r}: choose the widest range that makes sense")
    return value


def to_float(value: Any, what: str) -> float:
    try:
        return float(number(value, what))
    except OverflowError:
        raise ValueError(f"{what} must fit in a float, got {value!r}: choose a smaller number") from None


def whole(value: Any, what: str) -> int:
    found = number(value, what)
    if found != int(found):
        raise ValueError(f"{what} must be a whole number, got {value!r}: round it or use Float")
    if abs(found) > LARGEST:
        raise ValueError(f"{what} must lie within ±2**40, got {value!r}: use Float for numbers as large as that")
    return int(found)


def is_whole(text: str) -> bool:
    """Tell whether a text has whole characters only; halves stand in badly decoded ones, and no file takes them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def to_choice(value: Any) -> Value:
    """Return ``value`` as one of the plain types that JSON carries (tuples as lists)."""
    value = plain(value) if not isinstance(value, list) else value
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        if not is_whole(value):
            raise ValueError(f"a choice must be of whole characters, got {value!r}: decode it with its own encoding")
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"a choice must be finite, got {value!r}: use None or a name in its place")
        return float(value)
    if isinstance(value, tuple):
        return tuple(map(to_choice, value))
    if isinstance(value, list):
        raise TypeError(f"a choice must not be a list, got {value!r}: use a tuple")
    raise TypeError(
        f"a choice must be a string, number, bool, None or a tuple of them, got {value!r}: "
        "use names and look them up in the objective"
    )


def grid_points(n: Any) -> int:
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ValueError(f"a grid needs a whole number of points per parameter, at least 1, got {n!r}")
    return int(n)


def canonical_text(data: Mapping[str, Any]) -> str:
    return json.dumps(data, sort_keys=True, separators=(",", ":"))


def fingerprint_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def set_frozen(frozen: object, **values: Any) -> None:
    for name, value in values.items():
        object.__setattr__(frozen, name, value)

"""A summary of data from a sample of its examples: simple statistics of each column, and the shares of the labels.

Images and other wide examples are summarised by the mean and the spread of each example and by the means of thirty
blocks of it, texts by their lengths and words, so the record stays small whatever the data.
"""

from __future__ import annotations

import math
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunewell.fingerprints import LEVELS, DataSummary, Feature

ROWS = 1000
ITEMS = 200  # examples that come one by one may have to be read and decoded
CELLS = 4_000_000  # numbers to look at
COLUMNS = 64  # more than these are summarised
BLOCKS = 30
VALUES = 50  # labels, or values of a category, with a share of their own

Column = NDArray[Any]


def summarise_data(data: Any, rows: int = ROWS) -> DataSummary:
    """Return the summary of examples; see :func:`tunewell.fingerprint` for what they may be.

    Raises:
        TypeError: no examples.
        ValueError: inputs and targets of different lengths, or a count below 1.
    """
    if isinstance(data, int) and not isinstance(data, bool):
        if data < 1:
            raise ValueError(f"data expected a number of examples of at least 1, got {data!r}")
        return DataSummary(data, (), 0)
    data = getattr(data, "dataset", data)  # a loader's
    inputs, targets = data if isinstance(data, tuple) and len(data) == 2 else (data, None)
    count = _length(inputs)
    if targets is not None and _length(targets) != count:
        raise ValueError(f"data expected as many targets as inputs, got {count} and {_length(targets)}")
    taken, labels = _sample(inputs, targets, count, rows)
    columns = _columns(taken)
    classes: dict[str, float] = {}
    if labels is not None:
        if _are_classes(labels):
            classes = _shares(labels)
        else:
            columns.update({f"target {name}": column for name, column in _columns(labels).items()})
    numbers = {name: column for name, column in columns.items() if column.dtype.kind in "biuf"}
    return DataSummary(
        examples=count,
        shape=_shape(taken),
        sampled=_length(taken),
        features=tuple(_feature(name, column.astype(np.float64)) for name, column in numbers.items()),
        categories={name: _shares(column) for name, column in columns.items() if name not in numbers},
        classes=classes,
    )


# --- taking a sample --------------------------------------------------------------------------------------------------


def _length(data: Any) -> int:
    shape = getattr(data, "shape", None)
    if isinstance(data, str | bytes | Mapping) or (shape is not None and not len(shape)):
        raise TypeError(f"data expected examples, got {data!r:.60}: give an array, a table, a list or a Dataset")
    try:
        count = int(shape[0]) if shape is not None else len(data)
    except TypeError:
        raise TypeError(
            f"data expected examples with a length, got {type(data).__name__}: give an array, a list or a Dataset"
        ) from None
    if not count:
        raise ValueError("data expected at least one example, got none")
    return count


def _sample(inputs: Any, targets: Any, count: int, rows: int) -> tuple[Any, Any]:
    """Return the inputs and targets of some examples, the same for the same count."""
    one_by_one = not isinstance(inputs, list | tuple) and not _is_array(inputs) and not _is_table(inputs)
    wide = math.prod(getattr(inputs, "shape", (1,))[1:])
    wanted = min(count, rows, ITEMS if one_by_one else rows, max(30, CELLS // max(1, wide)))
    places = np.sort(np.random.default_rng(0).choice(count, wanted, replace=False)).tolist()
    if not one_by_one:
        return _at(inputs, places), None if targets is None else _plain(_at(targets, places))
    with _randomness_kept():  # examples may be drawn, or changed at random, as they are read
        items = [inputs[place] for place in places]
    several = [item for item in items if isinstance(item, tuple) and len(item) > 2 and any(map(np.ndim, item))]
    if several:
        raise TypeError(
            f"data expected examples of inputs and target, got {len(several[0])} parts: give data=(inputs, targets)"
        )
    if all(isinstance(item, tuple | list) and len(item) == 2 for item in items):
        return [item[0] for item in items], _plain([item[1] for item in items])
    return items, None if targets is None else _plain(_at(targets, places))


@contextmanager
def _randomness_kept() -> Iterator[None]:
    """Put the global generators back: looking at data changes no training."""
    torch = sys.modules.get("torch")
    before = random.getstate(), np.random.get_state(), None if torch is None else torch.get_rng_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
        if torch is not None:
            torch.set_rng_state(before[2])


def _is_array(data: Any) -> bool:
    return getattr(data, "shape", None) is not None and getattr(data, "dtype", None) is not None


def _is_table(data: Any) -> bool:
    return hasattr(data, "iloc") and hasattr(data, "columns")


def _at(data: Any, places: Sequence[int]) -> Any:
    if hasattr(data, "iloc"):
        return data.iloc[places]
    if isinstance(data, list | tuple):
        return [data[place] for place in places]
    return _plain(data[places])


def _plain(data: Any) -> Any:
    """Return a framework's tensor, or a list of them, as an array."""
    if isinstance(data, list):
        return [_plain(part) for part in data]
    if callable(getattr(data, "toarray", None)):  # sparse
        return data.toarray()
    if not callable(getattr(data, "detach", None)):
        return data
    data = data.detach().cpu()
    return np.asarray(data.float() if str(data.dtype) == "torch.bfloat16" else data)  # which NumPy has not


# --- columns ----------------------------------------------------------------------------------------------------------


def _columns(sample: Any) -> dict[str, Column]:
    """Return named columns of a sample, each of shape ``(n,)``."""
    if _is_table(sample):
        found = {str(name): np.asarray(sample[name]) for name in list(sample.columns)[:COLUMNS]}
        return {name: column if column.dtype.kind in "biuf" else _numbers(column) for name, column in found.items()}
    rows = [_plain(row) for row in sample] if isinstance(sample, list | tuple) else np.asarray(sample)
    if len(rows) and isinstance(rows[0], Mapping):
        raise TypeError("data expected examples as numbers, arrays or texts, got dictionaries: give (inputs, targets)")
    if len(rows) and isinstance(rows[0], str):
        return _of_texts([str(row) for row in rows])
    shapes = {np.shape(row) for row in rows} if isinstance(rows, list) else {rows.shape[1:]}
    if len(shapes) > 1:
        return _of_ragged([np.ravel(np.asarray(row)) for row in rows])
    array = np.asarray(rows).reshape(len(rows), -1)
    if array.dtype.kind not in "biuf":
        return {str(j): _numbers(array[:, j]) for j in range(min(COLUMNS, array.shape[1]))}
    if array.shape[1] <= COLUMNS:
        return {str(j): array[:, j] for j in range(array.shape[1])}
    return _of_wide(array.astype(np.float64))


def _numbers(column: Column) -> Column:
    """Return a column as numbers where it has nothing else, as texts otherwise."""
    try:
        return column.astype(np.float64)
    except (TypeError, ValueError):
        return np.array([str(value) for value in column], dtype=object)


def _of_wide(array: NDArray[np.float64]) -> dict[str, Column]:
    blocks = np.array_split(array, BLOCKS, axis=1)
    means = {f"block {k}": block.mean(axis=1) for k, block in enumerate(blocks)}
    return {"mean": array.mean(axis=1), "spread": array.std(axis=1), **means}


def _of_ragged(rows: Sequence[Column]) -> dict[str, Column]:
    columns = {"length": np.array([row.size for row in rows], dtype=np.float64)}
    if all(row.dtype.kind in "biuf" for row in rows):
        columns["mean"] = np.array([row.mean() if row.size else np.nan for row in rows])
        columns["spread"] = np.array([row.std() if row.size else np.nan for row in rows])
    return columns


def _of_texts(texts: Sequence[str]) -> dict[str, Column]:
    """Return the lengths in characters and words, and the shares of digits and of what is not ASCII."""
    measures: dict[str, Callable[[str], float]] = {
        "characters": len,
        "words": lambda text: len(text.split()),
        "digits": lambda text: sum(map(str.isdigit, text)) / max(1, len(text)),
        "not ASCII": lambda text: sum(ord(sign) > 127 for sign in text) / max(1, len(text)),
    }
    return {name: np.array([measure(text) for text in texts], dtype=np.float64) for name, measure in measures.items()}


# --- statistics -------------------------------------------------------------------------------------------------------


def _feature(name: str, column: NDArray[np.float64]) -> Feature:
    finite = column[np.isfinite(column)]
    missing = _short(1.0 - finite.size / column.size)
    if not finite.size:
        return Feature(name, 0.0, 0.0, (0.0,) * len(LEVELS), missing)
    quantiles = tuple(map(_short, np.quantile(finite, LEVELS)))
    return Feature(name, _short(finite.mean()), _short(finite.std()), quantiles, missing)


def _short(value: Any) -> float:
    return float(f"{float(value):.5g}")


def _are_classes(labels: Any) -> bool:
    array = np.asarray(labels)
    if array.ndim != 1 or array.dtype.kind == "f":
        return False
    return array.dtype.kind not in "iu" or len(set(array.tolist())) <= max(20, len(array) // 10)


def _shares(values: Iterable[Any]) -> dict[str, float]:
    counts = Counter(_text(value) for value in np.asarray(values).tolist())
    total = counts.total()
    return {name: _short(count / total) for name, count in counts.most_common(VALUES)}


def _text(value: Any) -> str:
    return str(value).encode("utf-8", "backslashreplace").decode()[:80]


def _shape(sample: Any) -> tuple[int, ...]:
    if _is_table(sample):
        return (len(sample.columns),)
    if isinstance(sample, list):
        shapes = {np.shape(_plain(row)) for row in sample}
        return tuple(shapes.pop()) if len(shapes) == 1 else ()
    return tuple(int(size) for size in np.asarray(sample).shape[1:])

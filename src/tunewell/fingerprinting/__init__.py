"""Taking a fingerprint: what data, model, machine and libraries are like, without importing any framework.

Data are sampled, so a large set costs no more than a small one; models are asked for their weights' shapes only.
"""

from __future__ import annotations

import time
from typing import Any

from tunewell import knowledge
from tunewell.fingerprinting.data import ROWS, summarise_data
from tunewell.fingerprinting.machine import hardware, versions
from tunewell.fingerprinting.model import summarise_model
from tunewell.fingerprints import Fingerprint
from tunewell.values import whole


def fingerprint(
    data: Any = None,
    model: Any = None,
    *,
    batch_size: int | None = None,
    steps: int | None = None,
    optimizer: str | None = None,
    rows: int = ROWS,
) -> Fingerprint:
    """Return what a training is like now: what is given, and this machine, its libraries and the day.

    Args:
        data: the training examples: an array, table or list, a pair ``(inputs, targets)``, or anything with a length
            whose items are examples, such as a PyTorch ``Dataset`` or ``DataLoader``; or how many there are.
        model: a PyTorch, Keras or scikit-learn model, a mapping of arrays, or its number of parameters.
        batch_size: the examples of an update, all devices together.
        steps: the steps of a full training.
        optimizer: such as ``"adamw"``.
        rows: the most examples to look at; fewer of wide ones, at most 200 where they come one by one.

    Raises:
        TypeError, ValueError: something else; the sentence says what was expected.

    >>> taken = fingerprint([[0.0, 1.0], [2.0, 3.0]], 1000, batch_size=64)
    >>> taken.data.examples, taken.data.shape, taken.model.parameters, taken.batch_size
    (2, (2,), 1000, 64)
    """
    knowledge.check_where(None, optimizer)
    return Fingerprint(
        data=None if data is None else summarise_data(data, _count(rows, "rows")),
        model=None if model is None else summarise_model(model),
        batch_size=None if batch_size is None else _count(batch_size, "batch_size"),
        steps=None if steps is None else _count(steps, "steps"),
        optimizer=optimizer,
        hardware=hardware(),
        versions=versions(),
        date=time.strftime("%Y-%m-%d"),
    )


def _count(value: Any, what: str) -> int:
    found = whole(value, what)
    if found < 1:
        raise ValueError(f"{what} must be at least 1, got {value!r}: leave it out where it is not known")
    return found

"""The known defaults of a table's columns, in the table's own words."""

from __future__ import annotations

import math
from typing import Any

from benchmarks.knowledge.tables import WORDS, Table
from tunewell.knowledge import explain
from tunewell.space import Choice


def default_of(table: Table) -> dict[str, Any]:
    """Return the known defaults of a table's columns, in the table's own words; the rest is left open."""
    optimizer = table.optimizer
    config: dict[str, Any] = {}
    if "optimizer" in table.space:
        usual = str(explain("optimizer", domain=table.domain).default.value)
        optimizer = {"adamw": "adam"}.get(usual, usual)
        if "momentum" in list(table.space["optimizer"].grid(1)) and optimizer == "sgd":
            optimizer = "momentum"
        config["optimizer"] = optimizer
    for column in table.space:
        name = table.known_as(column, optimizer)
        if name is not None and column != "optimizer":
            config[column] = explain(name, domain=table.domain, optimizer=optimizer).default.value
    return config


def placed(table: Table, column: str, value: Any) -> float:
    """Return the coordinate of a value in a column, of the nearest one where the column does not have it."""
    parameter = table.space[column]
    if isinstance(parameter, Choice):
        if parameter.is_categorical:
            value = next((c for c in parameter.choices if WORDS.get(c, c) == value), parameter.choices[0])
        else:
            value = min(parameter.choices, key=lambda c: abs(math.log((c + 1e-9) / (value + 1e-9))))
        return parameter.to_unit(value)
    low, high = parameter.low, parameter.high  # type: ignore[attr-defined]
    return parameter.to_unit(min(max(value, low), high))

"""What a peer says about a configuration, as a configuration of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.search.methods.axes import Axis


def config_of(described: Sequence[Axis], said: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration for what the peer says; NumPy's scalars become plain values."""
    plain = {name: value.item() if hasattr(value, "item") else value for name, value in dict(said).items()}
    return {axis.name: axis.value(plain[axis.name]) for axis in described}

"""What the names of metrics say."""

from __future__ import annotations

import re

_COSTS = {
    "time", "runtime", "walltime", "latency", "duration", "ms", "milliseconds", "sec", "secs", "seconds", "minutes",
    "hours", "days", "steps", "epochs", "cost", "price", "memory", "ram", "vram", "bytes", "kb", "mb", "gb", "kib",
    "mib", "gib", "size", "params", "parameters", "energy", "joules", "watts", "kwh", "flops", "gflops", "macs",
    "gmacs", "speed", "fps", "throughput",
}  # fmt: skip


def words(text: str) -> set[str]:
    """Return the words of a metric's name: ``val/topAccuracy`` has val, top and accuracy."""
    return set(re.split(r"[^a-z0-9]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", text).lower())) - {""}


def is_cost(metric: str) -> bool:
    """Return whether a metric is what a network or its training takes, by its name, and not what it has learnt."""
    return bool(words(metric) & _COSTS)

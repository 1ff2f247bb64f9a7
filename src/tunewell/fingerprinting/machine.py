"""This machine and its libraries, looked up once for a process: nothing is imported, no GPU is woken."""

from __future__ import annotations

import platform
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tunewell.executors.machine import cores, gpu_names
from tunewell.fingerprints import Hardware

LIBRARIES = {  # what trains, by the name it is imported by, with the name it is installed by
    "torch": "torch",
    "tensorflow": "tensorflow",
    "keras": "keras",
    "jax": "jax",
    "flax": "flax",
    "optax": "optax",
    "transformers": "transformers",
    "lightning": "lightning",
    "sklearn": "scikit-learn",
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
}


@cache
def hardware() -> Hardware:
    """Return what this process may use of this machine."""
    return Hardware(_cpu(), cores(), gpu_names())


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that are loaded, or where none is, that are installed."""
    loaded = [installed for imported, installed in LIBRARIES.items() if imported in sys.modules]
    found = {name: _version(name) for name in loaded or LIBRARIES.values()}
    return {"python": platform.python_version(), **{name: text for name, text in found.items() if text}}


@cache
def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()

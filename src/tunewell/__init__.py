"""Tunewell tunes neural networks the way an expert would.

The public names, loaded when first used, so that ``import tunewell`` costs little.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunewell import executors as executors
    from tunewell import knowledge as knowledge
    from tunewell import lr_schedules as lr_schedules
    from tunewell import samplers as samplers
    from tunewell import schedulers as schedulers
    from tunewell import strategies as strategies
    from tunewell import testing as testing
    from tunewell import torch as torch
    from tunewell.analysis.diagnosis import Diagnosis as Diagnosis
    from tunewell.analysis.diagnosis import diagnose as diagnose
    from tunewell.driver import ObjectiveError as ObjectiveError
    from tunewell.events import Status as Status
    from tunewell.fingerprinting import fingerprint as fingerprint
    from tunewell.fingerprints import Fingerprint as Fingerprint
    from tunewell.history import History as History
    from tunewell.history import TrialRecord as TrialRecord
    from tunewell.lint import Finding as Finding
    from tunewell.protocols import JournalError as JournalError
    from tunewell.protocols import StudyDeleted as StudyDeleted
    from tunewell.space import Choice as Choice
    from tunewell.space import Float as Float
    from tunewell.space import Int as Int
    from tunewell.space import Prior as Prior
    from tunewell.space import Space as Space
    from tunewell.storages import delete as delete
    from tunewell.study import Study as Study
    from tunewell.study import open as open
    from tunewell.trial import Halted as Halted
    from tunewell.trial import Trial as Trial

__version__ = "0.1.0"

_HOMES = {
    "Choice": "space",
    "Diagnosis": "analysis.diagnosis",
    "Finding": "lint",
    "Fingerprint": "fingerprints",
    "Float": "space",
    "Halted": "trial",
    "History": "history",
    "Int": "space",
    "JournalError": "protocols",
    "ObjectiveError": "driver",
    "Prior": "space",
    "Space": "space",
    "Status": "events",
    "Study": "study",
    "StudyDeleted": "protocols",
    "Trial": "trial",
    "TrialRecord": "history",
    "delete": "storages",
    "diagnose": "analysis.diagnosis",
    "fingerprint": "fingerprinting",
    "open": "study",
}
_MODULES = ("executors", "knowledge", "lr_schedules", "samplers", "schedulers", "strategies", "testing", "torch")

__all__ = [*_HOMES, *_MODULES, "__version__"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(f"tunewell.{_HOMES[name]}"), name)
    elif name in _MODULES:
        value = import_module(f"tunewell.{name}")
    else:
        raise AttributeError(f"module 'tunewell' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

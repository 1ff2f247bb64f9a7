"""Whether what a study found still holds: what changed since, what follows from it, and the study to run next.

Rules are data (:mod:`tunewell.knowledge`, ``changes.toml``) and small pure functions of two fingerprints.
"""

from __future__ import annotations

from tunewell.retuning.advice import Advice as Advice
from tunewell.retuning.advice import advise as advise
from tunewell.retuning.changes import Change as Change

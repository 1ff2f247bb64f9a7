"""What a check has to say: a code, what it is about, what is wrong, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Severity: TypeAlias = Literal["warning", "advice"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something a careful reader of a study would point out; nothing is forbidden by it.

    ``parameter`` is the one it is about, None for the study as a whole. A ``"warning"`` costs trials or misleads; an
    ``"advice"`` could be better.
    """

    code: str
    parameter: str | None
    message: str
    fix: str
    severity: Severity = "warning"

    def __str__(self) -> str:
        return f"{self.code}: {self.message}; {self.fix}"

"""Schedules: what a trial of a population lived through, to be kept, read and trained again.

A fork inherits weights that were trained with other values. So the values of its own record say little about how it
became what it is; its *schedule* does: from which step on which values were in force, its ancestors' included.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunewell.history import History, TrialRecord
from tunewell.space import Config
from tunewell.values import jsonable, plain

VERSION = 1


@dataclass(frozen=True, slots=True)
class Change:
    """From the step after ``after`` on these values are in force: all parameters, not only those that changed."""

    after: int
    params: Config


@dataclass(frozen=True)
class Schedule:
    """Values by step.

    Attributes:
        changes: in the order of steps, the first one after step 0.
        steps: how far the trial trained.
        source: which trial it was, in words.

    Raises:
        ValueError: the changes are not in order, or do not begin at 0.
    """

    changes: Sequence[Change]
    steps: int = 0
    source: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        after = [change.after for change in self.changes]
        if not after or after[0] != 0 or any(a >= b for a, b in itertools.pairwise(after)):
            raise ValueError(f"a schedule expected changes after step 0 and then after rising steps, got {after!r}")

    def at(self, step: int) -> Config:
        """Return the values that step ``step``, counted from 1, is trained with."""
        return next(change.params for change in reversed(self.changes) if change.after < max(step, 1))

    def to_json(self) -> str:
        """Return the schedule as JSON text."""
        changes = [{"after": change.after, "params": jsonable(change.params)} for change in self.changes]
        data = {"version": VERSION, "source": self.source, "steps": self.steps, "changes": changes}
        return json.dumps(data, indent=2, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Schedule:
        """Rebuild a schedule from :meth:`to_json`.

        Raises:
            ValueError: it is something else, or of a newer version.
        """
        try:
            data = json.loads(text)
            if data["version"] != VERSION:
                raise ValueError(f"expected a schedule of version {VERSION}, got {data['version']!r}: upgrade tunewell")
            return cls(changes_of(data["changes"]), int(data["steps"]), str(data["source"]))
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"expected the JSON data of a schedule, got something else ({error!r})") from error

    def save(self, path: str | Path) -> Path:
        """Write the schedule to a file, and return where it is."""
        path = Path(path)
        path.write_text(self.to_json() + "\n", encoding="utf-8")
        return path

    @classmethod
    def load(cls, path: str | Path) -> Schedule:
        """Read a schedule that :meth:`save` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it holds something else.
        """
        return cls.from_json(Path(path).read_text(encoding="utf-8"))


def changes_of(data: Sequence[Mapping[str, Any]]) -> tuple[Change, ...]:
    """Return changes from plain data."""
    return tuple(Change(int(c["after"]), {name: plain(v) for name, v in c["params"].items()}) for c in data)


def lineage(history: History, trial: int) -> list[TrialRecord]:
    """Return the trial and all that it descends from, the founder first."""
    line = [history.trials[trial]]
    while (fork := line[-1].fork) is not None:
        line.append(history.trials[fork.trial])
    return line[::-1]


def schedule_of(history: History, trial: int) -> Schedule:
    """Return the values that a trial lived through, those that a person or a scheduler adjusted included."""
    line = lineage(history, trial)
    found: dict[int, Config] = {}
    for record, heir in zip(line, [*line[1:], None], strict=True):
        begin = record.fork.step if record.fork else 0
        end = heir.fork.step if heir is not None and heir.fork else None
        found[begin] = record.params
        for adjusted in history.adjustments:
            if adjusted.trial == record.number and (end is None or adjusted.step < end):
                found[adjusted.step] = {**found[max(s for s in found if s <= adjusted.step)], **adjusted.values}
    changes: list[Change] = []
    for after in sorted(found):
        if not changes or dict(changes[-1].params) != dict(found[after]):
            changes.append(Change(after, dict(found[after])))
    source = f"trial {trial} of study {history.name!r}"
    return Schedule(tuple(changes), history.trials[trial].step, source)

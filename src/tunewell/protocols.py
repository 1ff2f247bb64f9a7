"""The seams of a study: four protocols, and the plain data that crosses them.

Sampler and scheduler are pure: they read a :class:`~tunewell.history.History`, draw from the generator they are given
and answer. Executor and journal are the only ones that do I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np

from tunewell.events import Event, Reported
from tunewell.history import History, TrialRecord
from tunewell.space import Config, Space

# --- what a scheduler answers -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Start:
    """Start a new trial; without a configuration the sampler is asked for one.

    ``group`` names the trials that it will be compared with, such as a bracket: see :meth:`History.rung`. With ``keep``
    its checkpoints of the multiples of so many steps are kept for a while, to be forked from.
    """

    config: Config | None = None
    reason: str = ""
    group: str = ""
    keep: int = 0


@dataclass(frozen=True, slots=True)
class Resume:
    """Let a paused trial go on from its checkpoint."""

    trial: int
    reason: str


@dataclass(frozen=True, slots=True)
class Fork:
    """Start a new trial from the checkpoint that another trial saved at ``step``.

    ``group`` and ``keep`` are as in :class:`Start`. ``replaces`` is a paused trial whose place it takes: that one is
    stopped, with the same reason.
    """

    trial: int
    step: int
    config: Config
    reason: str
    group: str = ""
    keep: int = 0
    replaces: int | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do for a free worker until something happens."""

    reason: str


@dataclass(frozen=True, slots=True)
class Done:
    """The study has nothing left to do."""

    reason: str


Action: TypeAlias = Start | Resume | Fork | Wait | Done


@dataclass(frozen=True, slots=True)
class Continue:
    """Train on; ``values`` are those that are others from the next step on, None where all stay."""

    reason: str = ""
    values: Config | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """Rest at this step; the trial keeps its checkpoint and may go on later."""

    reason: str


@dataclass(frozen=True, slots=True)
class Stop:
    """End here for good."""

    reason: str


Verdict: TypeAlias = Continue | Pause | Stop


class Exhausted(Exception):
    """Raised by a sampler that has no configuration left to suggest, with the reason in words."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A configuration with what the sampler has to say about it, where it says anything.

    ``reason`` is why this one, in words; the record of the trial keeps it. ``note`` is a remark about the whole study,
    written down beside the start of the trial: that the search has come to another stage, say.
    """

    config: Config
    reason: str = ""
    note: str = ""

    @classmethod
    def of(cls, answer: Config | Suggestion) -> Suggestion:
        """Return what a sampler answered, with or without a reason, as a suggestion."""
        return answer if isinstance(answer, Suggestion) else cls(answer)


class Sampler(Protocol):
    """What to try. Pure: draws only from ``rng``, mutates nothing."""

    def suggest(self, space: Space, history: History, rng: np.random.Generator) -> Config | Suggestion:
        """Return a configuration of ``space`` for the next trial, alone or with a reason.

        Raises:
            Exhausted: there is none.
        """
        ...


class Scheduler(Protocol):
    """How to spend compute. Pure."""

    def next_action(self, space: Space, history: History, rng: np.random.Generator) -> Action:
        """Return what a free worker should do."""
        ...

    def decide(self, history: History, report: Reported) -> Verdict:
        """Return how a trial goes on after ``report``, which ``history`` already holds."""
        ...


# --- where trials run -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Job:
    """One stretch of training for an executor.

    ``step`` is the step the trial goes on from (0: the beginning) and ``checkpoint`` the folder saved there, or None.
    New checkpoints go to ``directory / f"step-{step}"``; what the objective prints goes to ``log``. ``metrics`` are
    the names of the study's goals; ``max_steps`` is the longest the trial may train, None when the objective knows
    best. ``config`` has the values of the next step, ``previous`` those that the checkpoint was trained with, None
    where there is no checkpoint.
    """

    trial: int
    config: Config
    seed: int
    worker: int
    step: int
    checkpoint: Path | None
    directory: Path
    log: Path
    metrics: tuple[str, ...]
    max_steps: int | None = None
    previous: Config | None = None


Observe: TypeAlias = Callable[[int, Sequence[Event]], Verdict]
"""``observe(trial, events)``: tell the study what a trial has done since its last step boundary; the answer says how
it goes on. The events of one call are recorded together or not at all."""

Objective: TypeAlias = Callable[[Any], Any]
"""``objective(trial)``: trains one configuration; see :class:`tunewell.Trial`."""


class Executor(Protocol):
    """Where trials run: owns the workers and the clock.

    Facts reach the study through the ``observe`` given to :meth:`poll`, always from the thread that polls.
    """

    def start(self, objective: Objective | None, workers: int | None, since: float = 0.0) -> None:
        """Get ready to run ``objective`` on ``workers`` workers (None: as many as the executor thinks fit).

        ``since`` is the time of the newest event of the study, from which a virtual clock goes on.
        """
        ...

    def clock(self) -> float:
        """Return the time in seconds."""
        ...

    def free_workers(self) -> Sequence[int]:
        """Return the numbers of the idle workers, counted from 0."""
        ...

    def busy_trials(self) -> Collection[int]:
        """Return the trials whose worker is not free yet, among them those that wind down after a pause or stop."""
        ...

    def launch(self, job: Job) -> None:
        """Begin a job on the idle worker ``job.worker``; must not block on the training itself (inline: may defer
        the training to the next poll)."""
        ...

    def halt(self, trial: int) -> None:
        """Kill the trial's process now; nothing more is observed of it. Unknown trials are ignored."""
        ...

    def saved_step(self, trial: TrialRecord) -> int:
        """Return the step of the checkpoint that a trial can go on from, 0 where there is none to be found."""
        ...

    def remove_unneeded(self, history: History, trial: int, *, untold: bool = False) -> None:
        """Remove the checkpoints of a trial that nothing needs; called when ``history`` is in the journal.

        ``untold``: the trial was just taken over, so those later than its newest belong to a process that died.
        """
        ...

    def poll(self, observe: Observe, seconds: float) -> None:
        """Wait up to ``seconds`` for news and pass all there is to ``observe``."""
        ...

    def close(self) -> None:
        """Kill what still runs and release everything; called once, also after errors."""
        ...


# --- what survives ----------------------------------------------------------------------------------------------------


class Conflict(Exception):
    """Raised by a journal when another driver has appended since ``after``."""


class JournalError(Exception):
    """The journal cannot be written or read at the moment (disk full, locked, unreachable); trying again may help."""


class StudyDeleted(RuntimeError):
    """Somebody deleted the study while this process wrote to it; trying again does not help."""


class Journal(Protocol):
    """What survives: an append-only list of events. Events are counted from 1."""

    def append(self, events: Sequence[Event], after: int | None) -> int:
        """Append all events or none, durably, and return the new length.

        With ``after=n`` raise :class:`Conflict` unless the journal has exactly ``n`` events. With ``after=None``
        append in any case: for facts that no decision hangs on.
        """
        ...

    def turn(self) -> AbstractContextManager[None]:
        """Keep everybody else from appending in a block that reads and then appends once, or not at all."""
        ...

    def read(self, start: int = 0) -> Iterator[Event]:
        """Yield the events after the first ``start``."""
        ...

    def beat(self, driver: str) -> None:
        """Note that a driver is alive: no event, for nothing is decided by it, just one more beat to its count."""
        ...

    def beats(self) -> Mapping[str, int]:
        """Return how often each driver has beaten."""
        ...

"""What can happen to a study: the events, in the past tense.

A study *is* the list of its events. Everything else (what to try next, how far to train, what to conclude) is computed
from that list, so an event records facts only: what was decided and in which words, what was measured, what went wrong.

Times are seconds on the executor's clock: since the epoch in real executors, virtual in simulated ones. A trial is
named by its number, counted from 0 in the order of starting. A step is the number of steps a trial has finished when
the event happens, so the first report of a trial that trains by epochs has ``step=1``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, TypeAlias

from tunewell.fingerprints import Fingerprint
from tunewell.parameters import Confidence, Prior
from tunewell.space import Config, Space

Metrics: TypeAlias = Mapping[str, float]


class Status(StrEnum):
    """Where a trial stands. An end names its cause, because the cause decides what happens next."""

    RUNNING = "running"
    PAUSED = "paused"  # can go on from its checkpoint
    COMPLETED = "completed"  # trained as far as it meant to
    STOPPED = "stopped"  # by the scheduler, with a reason
    DIVERGED = "diverged"  # NaN, infinity or explosion: an observation, not an accident
    OUT_OF_MEMORY = "out_of_memory"  # a constraint to learn
    FAILED = "failed"  # an exception in the user's code
    LOST = "lost"  # its process or machine is gone: taken up again from the last checkpoint
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"  # by a person


@dataclass(frozen=True, slots=True)
class Goal:
    """One metric to be minimised or maximised."""

    metric: str
    mode: Literal["min", "max"] = "min"

    def loss(self, value: float) -> float:
        """The value as something to minimise: the only place where the sign flips."""
        return value if self.mode == "min" else -value


_CONSTRAINT = re.compile(r"\s*([^<>]*[^<>\s])\s*(<=|>=)\s*(\S+)\s*")


@dataclass(frozen=True, slots=True)
class Constraint:
    """A bound that a metric has to keep: ``latency_ms <= 20``. How good the value is beyond that counts for nothing."""

    metric: str
    bound: float
    sense: Literal["<=", ">="] = "<="

    def violation(self, value: float | None) -> float:
        """Return how far a value lies beyond the bound, in the metric's units: above 0 is broken, NaN is unknown."""
        if value is None:
            return math.nan
        return value - self.bound if self.sense == "<=" else self.bound - value

    def __str__(self) -> str:
        return f"{self.metric} {self.sense} {self.bound:.12g}"

    @classmethod
    def parse(cls, text: Any) -> Constraint:
        """Return the constraint that a text such as ``"memory_gb <= 40"`` says.

        Raises:
            TypeError: it is no text.
            ValueError: it is not a metric, ``<=`` or ``>=``, and a finite number.
        """
        if isinstance(text, Constraint):
            return text
        if not isinstance(text, str):
            raise TypeError(f'a constraint expected a text such as "latency_ms <= 20", got {text!r}')
        found = _CONSTRAINT.fullmatch(text)
        if found is None:
            raise ValueError(
                f'a constraint expected a metric, <= or >=, and a number ("latency_ms <= 20"), got {text!r}'
            )
        try:
            bound = float(found[3])
        except ValueError:
            bound = math.nan
        if not math.isfinite(bound):
            raise ValueError(f"a constraint expected a finite number after {found[2]}, got {found[3]!r} in {text!r}")
        return cls(found[1], bound, "<=" if found[2] == "<=" else ">=")


@dataclass(frozen=True, slots=True)
class Fork:
    """Where a forked trial took its weights from: the parent *and* the step of the parent's checkpoint."""

    trial: int
    step: int


@dataclass(frozen=True, slots=True)
class StudyCreated:
    """The first event. ``settings`` names sampler and scheduler with their options, as plain data.

    ``constraints`` are the bounds that the metrics of an acceptable trial keep; a study of an older release has none.
    """

    time: float
    name: str
    space: Space
    goals: tuple[Goal, ...]
    settings: Mapping[str, Any]
    seed: int
    constraints: tuple[Constraint, ...] = ()


@dataclass(frozen=True, slots=True)
class SpaceChanged:
    """From here on configurations come from another space; the trials so far stay as they are."""

    time: float
    space: Space
    reason: str


@dataclass(frozen=True, slots=True)
class SettingsChanged:
    """From here on another sampler or scheduler decides."""

    time: float
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run began to look after the study, with these limits; what hangs on the budget is decided by the newest.

    ``workers`` is how many trials it trains at a time; the limits are as in :meth:`tunewell.Study.run`, and so is
    ``keep_checkpoints``: how many of each trial stay besides those that the study needs.
    """

    time: float
    driver: str
    workers: int
    max_steps: int | None = None
    trials: int | None = None
    seconds: float | None = None
    steps: int | None = None
    trial_seconds: float | None = None
    keep_checkpoints: int = 0


@dataclass(frozen=True, slots=True)
class Fingerprinted:
    """A run found data, model, machine or libraries to be these; no decision hangs on it."""

    time: float
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True)
class Enqueued:
    """A person put a configuration first in line."""

    time: float
    config: Config


@dataclass(frozen=True, slots=True)
class Believed:
    """Somebody said where good values lie: some parameters or all of them, and how sure that is.

    ``by="person"``, or ``"study"``: it follows from the diagnoses of the trials so far, as ``reason`` says.
    """

    time: float
    config: Config
    confidence: Confidence = "medium"
    by: Literal["person", "study"] = "person"
    reason: str = ""

    @property
    def std(self) -> float:
        """The standard deviation in the unit cube, as of :class:`~tunewell.Prior`."""
        return Prior(None, self.confidence).std


Origin = Literal["sampler", "default", "enqueued", "scheduler", "person", "added"]


@dataclass(frozen=True, slots=True)
class TrialStarted:
    """A configuration began to train.

    ``origin`` says where the configuration came from (``person``: a fork that a person wished; ``added``: trained
    elsewhere, so that the end comes with the start and nothing counts towards a total), ``driver`` which process
    looks after the trial (empty when the trial was asked for and will be told), ``worker`` which of that driver's
    workers runs it. ``group`` is the scheduler's name for the trials it compares with each other, such as a bracket.
    With ``keep`` the checkpoints of its multiples outlive the next one, for the scheduler may fork from them: see
    :meth:`History.needed_checkpoints`.
    """

    time: float
    trial: int
    config: Config
    seed: int
    origin: Origin = "sampler"
    reason: str = ""
    fork: Fork | None = None
    driver: str = ""
    worker: int = 0
    group: str = ""
    keep: int = 0


@dataclass(frozen=True, slots=True)
class TrialResumed:
    """A paused or lost trial went on from its checkpoint after ``step`` steps; later reports of it are void."""

    time: float
    trial: int
    step: int
    reason: str = ""
    driver: str = ""
    worker: int = 0


@dataclass(frozen=True, slots=True)
class Planned:
    """A trial said how many steps it means to train in all."""

    time: float
    trial: int
    steps: int


@dataclass(frozen=True, slots=True)
class Reported:
    """The metrics of a trial after ``step`` steps."""

    time: float
    trial: int
    step: int
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class CheckpointSaved:
    """The state of a trial after ``step`` steps is complete on disk."""

    time: float
    trial: int
    step: int


@dataclass(frozen=True, slots=True)
class Adjusted:
    """Values of a trial changed from the step after ``step`` on, by the scheduler or a person.

    With ``guard`` the change is taken back should the losses get clearly worse: see :mod:`tunewell.guards`.
    """

    time: float
    trial: int
    step: int
    values: Config
    by: Literal["scheduler", "person"]
    reason: str = ""
    guard: bool = False


@dataclass(frozen=True, slots=True)
class Paused:
    """A trial rests at ``step``, where it has a checkpoint.

    ``by="scheduler"``: it goes on when the scheduler says so. ``by="person"``: the run was interrupted or its budget
    was spent; the next run takes the trial up before anything else. ``by="hold"``: a person, or a guard, laid it aside;
    it goes on when a person says so. A trial that rests already may be held as well.
    """

    time: float
    trial: int
    step: int
    reason: str
    by: Literal["scheduler", "person", "hold"] = "scheduler"


@dataclass(frozen=True, slots=True)
class Ended:
    """A trial is over, or (``lost``) waits to be taken up again.

    ``metrics`` is what the objective returned, ``error`` the traceback of its exception. ``fault="run"``: the run
    ended or went away under the trial, which nobody decided and which is not held against it.
    """

    time: float
    trial: int
    status: Status
    reason: str = ""
    metrics: Metrics = field(default_factory=dict)
    error: str = ""
    fault: Literal["trial", "run"] = "trial"


@dataclass(frozen=True, slots=True)
class Noted:
    """A remark of a person or of the study itself; no decision hangs on it."""

    time: float
    text: str
    trial: int | None = None


Wish = Literal["adjust", "back", "fork", "pause", "resume", "stop", "undo"]


@dataclass(frozen=True, slots=True)
class Requested:
    """A person wished something of a trial; whoever looks after the trial carries it out and answers.

    Requests are counted from 0 in the order of the list. ``step`` is where to go back to or to fork from (None: the
    newest checkpoint), ``values`` are those that are to change. ``by="guard"``: a guard takes a person's change back.
    """

    time: float
    trial: int
    wish: Wish
    values: Config = field(default_factory=dict)
    step: int | None = None
    reason: str = ""
    guard: bool = True
    by: Literal["person", "guard"] = "person"


@dataclass(frozen=True, slots=True)
class Answered:
    """A request was carried out by the events that follow, or it cannot be: ``reason`` says why in words."""

    time: float
    request: int
    done: bool
    reason: str = ""


TrialEvent: TypeAlias = TrialStarted | TrialResumed | Planned | Reported | CheckpointSaved | Adjusted | Paused | Ended
Event: TypeAlias = (
    StudyCreated
    | SpaceChanged
    | SettingsChanged
    | RunStarted
    | Fingerprinted
    | Enqueued
    | Believed
    | Requested
    | Answered
    | TrialEvent
    | Noted
)

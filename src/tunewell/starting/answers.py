"""Five answers about what is to be tuned: task, framework, time, machine and metric."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from tunewell.executors.machine import cores, find_gpus
from tunewell.lint.studies import usual_mode
from tunewell.values import listed, nearest

TASKS = {  # each with the domain that its facts come from
    "image": "vision",
    "tabular": "tabular",
    "text": "generic",
}
FRAMEWORKS = ("torch", "sklearn")
ALSO = {"pytorch": "torch", "scikit-learn": "sklearn"}  # what else they are called
METRICS = ("val_loss", "val_accuracy")
SECONDS = {"torch": 6.0, "sklearn": 3.0}  # that a training on the built-in data takes on one core, roughly
TRIALS = (6, 150)  # the fewest and the most that a plan begins with


@dataclass(frozen=True, slots=True)
class Answers:
    """What somebody answered.

    Attributes:
        task: a key of :data:`TASKS`.
        framework: one of :data:`FRAMEWORKS`, or what else it is called, a key of :data:`ALSO`.
        minutes: the time there is for the search.
        workers: trainings at a time.
        metric: what the search goes by.
        trials: how many configurations to try; None: as many as the time is likely to allow.
    """

    task: str = "image"
    framework: str = "sklearn"
    minutes: float = 10.0
    workers: int = 1
    metric: str = "val_loss"
    trials: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "framework", ALSO.get(self.framework, self.framework))
        for what, given, known in (("task", self.task, TASKS), ("framework", self.framework, FRAMEWORKS)):
            if given not in known:
                raise ValueError(
                    f"unknown {what} {given!r}{nearest(given, known) or f': choose one of {listed(known)}'}"
                )
        if not self.minutes > 0:
            raise ValueError(f"expected the time as minutes above 0, got {self.minutes!r}")
        if self.workers < 1:
            raise ValueError(f"expected at least one training at a time, got {self.workers!r}")
        if self.trials is not None and self.trials < 1:
            raise ValueError(f"expected at least one trial, got {self.trials!r}")
        if not self.metric.strip():
            raise ValueError("expected the name of a metric, got none: say val_loss or val_accuracy, for example")

    @property
    def domain(self) -> str:
        """Where it is tuned, a key of :data:`tunewell.knowledge.DOMAINS`."""
        return TASKS[self.task]

    @property
    def mode(self) -> str:
        """``"min"`` or ``"max"``, by what the metric's name says; ``"min"`` where it says nothing."""
        return usual_mode(self.metric) or "min"

    @property
    def mode_is_assumed(self) -> bool:
        """Whether the metric's name says nothing of the mode."""
        return usual_mode(self.metric) is None

    @property
    def planned(self) -> int:
        """How many configurations the search tries."""
        if self.trials is not None:
            return self.trials
        likely = int(60.0 * self.minutes * self.workers / SECONDS[self.framework])
        return min(TRIALS[1], max(TRIALS[0], likely))


def likely_framework() -> str:
    """Return PyTorch where it is installed, scikit-learn otherwise; nothing is imported."""
    return "torch" if find_spec("torch") is not None else "sklearn"


def likely_workers() -> int:
    """Return one training for each GPU, or for each core."""
    return len(find_gpus()) or cores()

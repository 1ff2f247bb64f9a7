"""Runs trials one after another in the calling process: breakpoints, profilers and prints work as always."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tunewell import checkpoints
from tunewell.events import Event
from tunewell.history import History, TrialRecord
from tunewell.protocols import Job, Objective, Observe, Stop, Verdict
from tunewell.trial import Trial, run_objective


class Inline:
    """One worker: the thread that calls ``study.run``."""

    def __init__(self) -> None:
        self._objective: Objective | None = None
        self._job: Job | None = None

    def start(self, objective: Objective | None, workers: int | None, since: float = 0.0) -> None:
        """Take ``objective``.

        Raises:
            TypeError: there is none.
            ValueError: more than one worker is wanted.
        """
        if not callable(objective):
            raise TypeError("the inline executor expected an objective, got none: call study.run(train, ...)")
        if workers not in (None, 1):
            raise ValueError(
                f'the inline executor expected workers=1, got {workers}: use executor="processes" for several'
            )
        self._objective = objective

    def clock(self) -> float:
        """Return the seconds since the epoch."""
        return time.time()

    def free_workers(self) -> Sequence[int]:
        """Return the one worker, unless it has a job."""
        return (0,) if self._job is None else ()

    def busy_trials(self) -> Sequence[int]:
        """Return the trial that waits for the next poll, if any."""
        return () if self._job is None else (self._job.trial,)

    def launch(self, job: Job) -> None:
        """Keep the job for the next poll."""
        self._job = job

    def halt(self, trial: int) -> None:
        """Forget the job; a training that runs inside this very call cannot be killed."""
        if self._job is not None and self._job.trial == trial:
            self._job = None

    def saved_step(self, trial: TrialRecord) -> int:
        """Return the step of the checkpoint on disk, 0 where there is none."""
        return checkpoints.step_on_disk(trial)

    def remove_unneeded(self, history: History, trial: int, *, untold: bool = False) -> None:
        """Remove the checkpoints of a trial that nothing needs."""
        checkpoints.remove_unneeded(history, trial, untold=untold)

    def poll(self, observe: Observe, seconds: float) -> None:
        """Run the waiting job to its end; without one, wait."""
        job, objective = self._job, self._objective
        if job is None or objective is None:
            time.sleep(seconds)
            return
        number = job.trial
        broken: list[BaseException] = []

        def send(events: Sequence[Event]) -> Verdict:
            """Pass on; what breaks in the study itself must not pass for an error of the objective."""
            try:
                return observe(number, events)
            except BaseException as error:  # noqa: BLE001 (raised again below)
                broken.append(error)
                return Stop("the study broke off")

        try:
            run_objective(objective, Trial(job, send, time.time))
        finally:
            self._job = None
        if broken:
            raise broken[0]

    def close(self) -> None:
        """Forget everything."""
        self._job = None
        self._objective = None

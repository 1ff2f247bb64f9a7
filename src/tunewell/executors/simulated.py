"""Runs trials on a virtual clock: days of a cluster in seconds, through the unchanged study code.

Nothing trains. A function (a recorded table, a formula) says what a step of a configuration measures and how many
seconds it takes; the clock jumps from one such end of a step to the next. So schedulers are compared, and a plan for a
thousand workers tried out, on one core. Slow steps, slow starts and dying workers can be had as well; they are drawn
from a seed for each trial and step, so a simulated study is the same every time.
"""

from __future__ import annotations

import itertools
import math
import traceback
from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from heapq import heapify, heappop, heappush
from typing import Any

import numpy as np

from tunewell.events import CheckpointSaved, Ended, Event, Reported, Status
from tunewell.history import History, TrialRecord
from tunewell.protocols import Continue, Job, Objective, Observe
from tunewell.space import Config
from tunewell.trial import cause, returned_metrics

Evaluate = Callable[[Config, int], tuple[Any, float]]
"""``evaluate(params, step) -> (metrics, seconds)``: what the step, counted from 1, measures, and how long it takes."""


@dataclass(eq=False, slots=True)
class _Running:
    job: Job
    step: int  # steps done
    launched: float


class Simulated:
    """Any number of workers on a virtual clock.

    ``metrics`` may be a dict, a number (the study's metric) or one number per goal, as an objective would return. A
    metric that is NaN ends a trial as diverged; an exception ends it as the same exception of an objective would.
    A trial trains for the ``max_steps`` of the run.

    Args:
        evaluate: see :data:`Evaluate`.
        workers: trials at a time, unless the run says otherwise.
        startup: seconds from a launch to the first step, each time a trial starts or goes on.
        stragglers: the share of steps that take ``slowdown`` times as long.
        slowdown: see ``stragglers``.
        faults: the probability that a worker dies during a step, after which the trial is lost and taken up again.
        saves: whether trials save a checkpoint after every step; without, a trial cannot be paused or forked, and a
            lost one begins again.
        seed: of stragglers and faults.

    Raises:
        TypeError: ``evaluate`` cannot be called.
        ValueError: a number out of range.

    >>> import tunewell as tw
    >>> study = tw.Study(tw.Space(lr=tw.Float(1e-4, 1.0, scale="log")), metric="loss", scheduler="asha", seed=1)
    >>> cluster = tw.executors.Simulated(lambda params, step: ({"loss": params["lr"] / step}, 60.0), workers=100)
    >>> study.run(trials=1000, max_steps=27, executor=cluster, progress=False)
    '1000 trials are done'
    """

    def __init__(
        self,
        evaluate: Evaluate,
        workers: int = 1,
        *,
        startup: float = 0.0,
        stragglers: float = 0.0,
        slowdown: float = 10.0,
        faults: float = 0.0,
        saves: bool = True,
        seed: int = 0,
    ) -> None:
        if not callable(evaluate):
            raise TypeError(
                f"Simulated expected a function evaluate(params, step) -> (metrics, seconds), got {evaluate!r}"
            )
        if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
            raise ValueError(f"Simulated expected a whole number of workers of at least 1, got {workers!r}")
        for name, value, most in (
            ("startup", startup, math.inf),
            ("stragglers", stragglers, 1.0),
            ("faults", faults, 1.0),
        ):
            if not 0.0 <= value <= most or value == math.inf:
                raise ValueError(f"Simulated expected {name} from 0 to {most:g}, got {value!r}")
        if not 1.0 <= slowdown < math.inf:
            raise ValueError(f"Simulated expected a slowdown of at least 1, got {slowdown!r}")
        self._evaluate = evaluate
        self._wanted = workers
        self._startup = startup
        self._stragglers, self._slowdown, self._faults = stragglers, slowdown, faults
        self._saves = saves
        self._seed = seed
        self._now = 0.0
        self._free: dict[int, None] = {}
        self._launches: Counter[int] = Counter()
        self._running: dict[int, _Running] = {}
        self._due: list[tuple[float, int, _Running, list[Event]]] = []  # heap: the ends of the steps in training
        self._order = itertools.count()  # ties go to the step that began first
        self._busy_seconds = 0.0

    def start(self, objective: Objective | None, workers: int | None, since: float = 0.0) -> None:
        """Set the clock to ``since`` and free all workers.

        Raises:
            TypeError: there is an objective, which nothing here would call.
        """
        if objective is not None:
            raise TypeError(
                "the simulated executor expected no objective, for it trains nothing: "
                "call study.run(trials=..., max_steps=..., executor=...)"
            )
        self.close()
        self._now = float(math.ceil(since))  # whole seconds: what follows is the same whenever the study was made
        self._busy_seconds = 0.0
        self._free = dict.fromkeys(range(workers or self._wanted))

    @property
    def busy_seconds(self) -> float:
        """The seconds that workers spent on trials since the start, summed over all workers."""
        return self._busy_seconds + sum(self._now - running.launched for running in self._running.values())

    def clock(self) -> float:
        """Return the virtual time in seconds."""
        return self._now

    def free_workers(self) -> Sequence[int]:
        """Return the numbers of the idle workers."""
        return tuple(self._free)

    def busy_trials(self) -> Collection[int]:
        """Return the trials in training."""
        return self._running.keys()

    def launch(self, job: Job) -> None:
        """Begin a job: its first step ends after the time to start and that of the step.

        Raises:
            ValueError: the run does not say how long a trial trains.
        """
        if job.max_steps is None:
            raise ValueError(
                "a simulated run expected max_steps, the steps of a full training: study.run(..., max_steps=27)"
            )
        del self._free[job.worker]
        self._launches[job.trial] += 1
        running = _Running(job, job.step, self._now)
        self._running[job.trial] = running
        self._begin_step(running, self._now + self._startup)

    def halt(self, trial: int) -> None:
        """Free the trial's worker at once."""
        running = self._running.pop(trial, None)
        if running is not None:
            self._release(running)
            self._due = [entry for entry in self._due if entry[2] is not running]
            heapify(self._due)

    def saved_step(self, trial: TrialRecord) -> int:
        """Return the step of the newest checkpoint: here none is ever lost."""
        return trial.saved

    def remove_unneeded(self, history: History, trial: int, *, untold: bool = False) -> None:
        """Do nothing: there are no files."""

    def poll(self, observe: Observe, seconds: float) -> None:
        """Jump to the end of the next step, or of several that end at the same time, and pass on what came of it."""
        if not self._due:
            self._now += seconds
            return
        self._now = max(self._now, self._due[0][0])
        ready: deque[tuple[_Running, list[Event]]] = deque()
        while self._due and self._due[0][0] <= self._now:
            _, _, running, events = heappop(self._due)
            ready.append((running, events))
        for running, events in ready:
            trial = running.job.trial
            if self._running.get(trial) is not running:
                continue  # halted meanwhile
            verdict = observe(trial, events)
            if self._running.get(trial) is not running:
                continue
            if isinstance(verdict, Continue) and not isinstance(events[-1], Ended):
                if verdict.values:
                    running.job = replace(running.job, config={**running.job.config, **verdict.values})
                self._begin_step(running, self._now)
            else:
                del self._running[trial]
                self._release(running)

    def close(self) -> None:
        """Forget all that runs."""
        self._running.clear()
        self._due.clear()

    def _release(self, running: _Running) -> None:
        self._busy_seconds += self._now - running.launched
        self._free[running.job.worker] = None

    def _begin_step(self, running: _Running, begin: float) -> None:
        """Work out the next step of a trial now; it will be told at its end."""
        running.step += 1
        end, events = self._step(running.job, running.step, begin)
        heappush(self._due, (end, next(self._order), running, events))

    def _step(self, job: Job, step: int, begin: float) -> tuple[float, list[Event]]:
        """Return when a step ends, and what is then told."""
        assert job.max_steps is not None
        if step > job.max_steps:  # it had been paused after its last step
            return begin, [Ended(begin, job.trial, Status.COMPLETED)]
        try:
            metrics, seconds = self._evaluate(job.config, step)
            seconds = float(seconds)
            if not 0.0 <= seconds < math.inf:
                raise ValueError(f"evaluate was expected to return seconds from 0 on, got {seconds!r}")
            measured = returned_metrics(metrics, job.metrics)
        except Exception as error:  # noqa: BLE001 (whatever goes wrong in the user's code is told, not swallowed)
            reason = f"{type(error).__name__}: {error}".strip(": \n")[:1000]
            return begin, [Ended(begin, job.trial, cause(error), reason, error=traceback.format_exc())]
        if self._stragglers or self._faults:
            rng = np.random.default_rng([self._seed, job.trial, step, self._launches[job.trial]])
            slow, dies, share = rng.random(3)
            seconds *= self._slowdown if slow < self._stragglers else 1.0
            if dies < self._faults:
                end = begin + float(share) * seconds
                return end, [Ended(end, job.trial, Status.LOST, "the simulated worker died")]
        end = begin + seconds
        told: list[Event] = [Reported(end, job.trial, step, measured)]
        if self._saves:
            told.append(CheckpointSaved(end, job.trial, step))
        if step == job.max_steps:
            told.append(Ended(end, job.trial, Status.COMPLETED))
        return end, told

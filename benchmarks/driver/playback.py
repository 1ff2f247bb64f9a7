"""One study under a stand-in executor: prints its time per event around certain sizes as a JSON object.

The driver, the ledger, the history, sampler and scheduler are the ones every study runs. Only the executor is not: it
trains nothing and answers at once, on a clock of its own, with reports and checkpoints that exist by name only.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import random
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tunewell as tw
from benchmarks.driver import DEPTH, WORKERS, windows
from tunewell.events import CheckpointSaved, Ended, Event, Reported, Status
from tunewell.protocols import Continue, Job, Observe


@dataclass(frozen=True)
class Mark:
    """Where a run stood when a trial was first launched. Times in seconds, memory in bytes."""

    trial: int
    wall: float
    cpu: float
    events: int
    memory: int


class Playback:
    """An executor without workers: trials last as long as a random number says, and nothing is trained."""

    def __init__(self, steps: int, saves: bool, marks: Sequence[int], events: Callable[[], int]) -> None:
        self.marks: list[Mark] = []
        self._steps = steps
        self._saves = saves
        self._wanted = frozenset(marks)
        self._events = events
        self._now = 0.0
        self._draw = random.Random(0).random
        self._quality: dict[int, float] = {}
        self._free = list(range(WORKERS))
        self._due: list[tuple[float, int, int, int]] = []  # time, worker, trial, step

    def start(self, objective: object, workers: int | None, since: float = 0.0) -> None:
        """Nothing to get ready."""

    def clock(self) -> float:
        """Return the virtual time in seconds."""
        return self._now

    def free_workers(self) -> Sequence[int]:
        """Return the idle workers."""
        return tuple(self._free)

    def busy_trials(self) -> Sequence[int]:
        """Return the trials on workers."""
        return [trial for _, _, trial, _ in self._due]

    def launch(self, job: Job) -> None:
        """Put the job's first step on the agenda."""
        if job.trial not in self._quality:
            self._quality[job.trial] = self._draw()
            if job.trial in self._wanted:
                self.mark(job.trial)
        self._free.remove(job.worker)
        heapq.heappush(self._due, (self._now + self._draw(), job.worker, job.trial, job.step + 1))

    def halt(self, trial: int) -> None:
        """Forget the trial."""
        gone = [entry for entry in self._due if entry[2] == trial]
        self._due = [entry for entry in self._due if entry[2] != trial]
        heapq.heapify(self._due)
        self._free.extend(worker for _, worker, _, _ in gone)

    def poll(self, observe: Observe, seconds: float) -> None:
        """Finish the step that is due first, and tell."""
        if not self._due:
            self._now += seconds
            return
        self._now, worker, trial, step = heapq.heappop(self._due)
        told: list[Event] = [Reported(self._now, trial, step, {"loss": self._quality[trial] + 1.0 / step})]
        if self._saves:
            told.append(CheckpointSaved(self._now, trial, step))
        if step == self._steps:
            told.append(Ended(self._now, trial, Status.COMPLETED))
        self._free.append(worker)
        heapq.heappush(self._due, (self._now, worker, trial, step))  # busy until the study has answered
        verdict = observe(trial, told)
        self._due.remove((self._now, worker, trial, step))
        heapq.heapify(self._due)
        if step < self._steps and isinstance(verdict, Continue):
            self._free.remove(worker)
            heapq.heappush(self._due, (self._now + self._draw(), worker, trial, step + 1))

    def saved_step(self, trial: tw.TrialRecord) -> int:
        """Return the step of the newest checkpoint: by name all of them are there."""
        return trial.saved

    def remove_unneeded(self, history: tw.History, trial: int, *, untold: bool = False) -> None:
        """Nothing to remove."""

    def close(self) -> None:
        """Nothing to release."""

    def mark(self, trial: int) -> None:
        """Note how far the run has come."""
        self.marks.append(Mark(trial, time.perf_counter(), time.process_time(), self._events(), _memory()))


def run(given: argparse.Namespace) -> dict[str, Any]:
    """Run one study up to its largest size; return time per event and memory per trial in each window."""
    storage = f"sqlite:///{given.directory / 'driver.db'}" if given.storage == "sqlite" else None
    space = tw.Space(learning_rate=tw.Float(1e-5, 1e-1, scale="log"), momentum=tw.Float(0.0, 1.0), layers=tw.Int(1, 8))
    study = tw.Study(space, storage=storage, sampler="random", scheduler=given.scheduler, seed=given.seed)
    spans = windows(given.largest)
    ends = {trial for span in spans.values() for trial in span}
    executor = Playback(DEPTH[given.scheduler], given.scheduler == "asha", sorted(ends), lambda: len(study.history))
    before = _memory()
    begin = time.perf_counter()
    study.run(executor=executor, trials=given.largest, progress=False)
    seconds = time.perf_counter() - begin
    memory = _memory() - before
    at = {mark.trial: mark for mark in executor.marks}
    found = {}
    for size, (first, last) in spans.items():
        a, b = at[first], at[last]
        events = b.events - a.events
        found[size] = {"wall": (b.wall - a.wall) / events, "cpu": (b.cpu - a.cpu) / events, "events": events}
    counts = {status.value: count for status, count in study.history.counts.items() if count}
    events, trials = len(study.history), len(study.history.trials)
    study.close()
    return {
        "windows": found,
        "seconds": seconds,
        "events": events,
        "trials": trials,
        "counts": counts,
        "bytes_per_trial": memory / trials,
    }


def _memory() -> int:
    """Return the resident memory of this process in bytes; where that is not told, the most it ever had."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scheduler", choices=DEPTH, required=True)
    parser.add_argument("--storage", choices=("memory", "sqlite"), default="memory")
    parser.add_argument("--largest", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--directory", type=Path, default=Path())
    print(json.dumps(run(parser.parse_args())))

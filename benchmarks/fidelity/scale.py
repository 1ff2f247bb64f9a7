"""Thousands of workers on a virtual clock: ``python -m benchmarks.fidelity.scale [--steps 1000000] [--workers 100 …]``.

How much of the workers' time is spent on training, and what an event costs the driver, under ASHA and first in first
out, when 100 to 10,000 workers train so many steps in all. A full training has 81 steps of 60 to 80 seconds; nothing
trains, but all decisions are made and journalled in memory as ever. Every run is a fresh process.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import platform
import subprocess
import sys
import time

import tunewell as tw
from benchmarks._common import RESULTS, ROOT, environment, number
from tunewell.space import Config

SCHEDULERS = ("asha", "fifo")
WORKERS = (100, 1_000, 10_000)
FULL = 81


def main() -> None:
    """Measure each scheduler with each number of workers; write the page, or print one run as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1_000_000, help="in all")
    parser.add_argument("--workers", type=int, nargs="+", default=list(WORKERS))
    parser.add_argument("--one", choices=SCHEDULERS, help="only this scheduler, in this process, as JSON")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(run(given.one, given.workers[0], given.steps)))
        return
    lines = ["| scheduler | workers | trials | events | busy | days on the clock | µs an event | of these, to start |"]
    lines.append("| --- |" + " ---: |" * 7)
    for scheduler in SCHEDULERS:
        for workers in given.workers:
            about = ("--one", scheduler, "--workers", str(workers), "--steps", str(given.steps))
            line = [sys.executable, "-m", "benchmarks.fidelity.scale", *about]
            said = subprocess.run(line, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True).stdout
            found = json.loads(said)
            lines.append(
                f"| {scheduler} | {workers:,} | {found['trials']:,} | {found['events']:,} | "
                f"{100 * found['busy']:.1f} % | {number(found['days'])} | {number(found['microseconds'])} | "
                f"{100 * found['starts']:.0f} % |"
            )
            print(lines[-1], flush=True)
    (RESULTS / "scale.md").write_text("\n\n".join([*_opening(given.steps), "\n".join(lines)]) + "\n", encoding="utf-8")


def run(scheduler: str, workers: int, steps: int) -> dict[str, float]:
    """Run one study; return its counts, the busy share of worker time, and the processor's microseconds an event."""
    space = tw.Space(learning_rate=tw.Float(1e-4, 1.0, scale="log"))

    def evaluate(params: Config, step: int) -> tuple[float, float]:
        return abs(math.log10(params["learning_rate"]) + 2.0) + 1.0 / step, 60.0 + 20.0 * params["learning_rate"]

    cluster = tw.executors.Simulated(evaluate, workers)
    study = tw.Study(space, "loss", sampler="random", scheduler=scheduler, seed=1)
    begun = time.process_time()
    study.run(steps=steps, max_steps=FULL, executor=cluster, progress=False)
    spent = time.process_time() - begun
    history = study.history
    stretches = sum(len(trial.stretches) for trial in history.trials)
    return {
        "trials": len(history.trials),
        "events": len(history),
        "busy": cluster.busy_seconds / (workers * history.active_seconds),
        "days": history.active_seconds / 86400,
        "microseconds": 1e6 * spent / len(history),
        "starts": stretches / len(history),
    }


def _opening(steps: int) -> list[str]:
    machine = f"{len(os.sched_getaffinity(0))} cores shared with other work, {platform.system()}"
    return [
        "# Thousands of workers",
        f"`python -m benchmarks.fidelity.scale` on {datetime.date.today()}: {machine}, Python "
        f"{platform.python_version()}, tunewell {tw.__version__}.",
        f"{steps:,} steps in all on the simulated executor, {FULL} of 60 to 80 virtual seconds to a full training. "
        "*Busy* is the share of the workers' time, from the first start to the last report, spent on training; what is "
        "missing is the end, when the last trainings run out. An event costs the processor's time of the whole run, "
        "the executor's own included. *To start* is the share of the events that start or resume a trial: these ask "
        "sampler and scheduler, so they cost more than a report.",
    ]


if __name__ == "__main__":
    main()

"""From a wish, written by another process than the one that trains, to its answer and to the first step that obeys."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import tunewell as tw
from benchmarks._common import ROOT, command, environment
from tunewell.events import Answered, Reported
from tunewell.journals.sql import SqlStorage

DEADLINE = 60.0
Found = TypeVar("Found")


@dataclass(frozen=True)
class Latency:
    """Seconds from wishes to their answers and to the beginning of the first step with the new value.

    ``unheard`` counts the step boundaries that went by between wish and answer.
    """

    answered: tuple[float, ...]
    obeyed: tuple[float, ...]
    unheard: int


def latency(folder: Path, seconds: float, wishes: int, seed: int) -> Latency:
    """Train in another process with steps of so many seconds, and wish for other values at random moments."""
    storage = f"sqlite:///{folder / 'panda.db'}"
    SqlStorage(storage).close()
    line = command("benchmarks.panda.training", storage, seconds)
    with subprocess.Popen(line, cwd=ROOT, env=environment()) as process:
        try:
            study = _opened(storage)
            dice, answered, obeyed, unheard = random.Random(seed), [], [], 0
            for k in range(wishes):
                time.sleep(dice.uniform(0.2, 0.2 + 2.0 * seconds))
                asked = study.adjust(0, rate=(k + 1) / (wishes + 1), guard=False)
                answer = _awaited(partial(_answer, study, len(study.history.requests) - 1))
                first = _awaited(partial(_obeyed, study, asked.values["rate"]))
                answered.append(answer.time - asked.time)
                obeyed.append(first.metrics["began"] - asked.time)
                gone_by = sum(asked.time < report.time < answer.time for report in study.trials[0].reports)
                unheard += max(0, gone_by - 1)  # it is answered at one of them
            study.stop(0)
            process.wait(DEADLINE)
            study.close()
        finally:
            process.kill()
    return Latency(tuple(answered), tuple(obeyed), unheard)


def typed(folder: Path) -> float:
    """Return the seconds that ``tunewell adjust`` takes at a shell, on a study that waits for its next run."""
    storage = f"sqlite:///{folder / 'typed.db'}"
    study = tw.Study(tw.Space(rate=tw.Float(0.0, 1.0)), metric="loss", name="panda", storage=storage, seed=0)

    def train(trial: tw.Trial) -> None:
        for step in trial.steps(2):
            trial.report(loss=1.0)
            trial.save(lambda folder: (folder / "x").write_text("1"))
            if step == 1:
                study.pause(0)

    study.run(train, trials=1, executor="inline", progress=False)
    study.close()
    line = [sys.executable, "-m", "tunewell.cli", "adjust", "0", "rate=0.5", "-s", storage]
    begin = time.monotonic()
    subprocess.run(line, cwd=ROOT, env=environment(), check=True, capture_output=True)
    return time.monotonic() - begin


def _opened(storage: str) -> tw.Study:
    """Return the study once its trial has trained two steps."""
    with_names = SqlStorage(storage, create=False)
    _awaited(lambda: "panda" in with_names.names() or None)
    with_names.close()
    study = tw.open(storage, "panda")
    _awaited(lambda: any(trial.step >= 2 for trial in study.refresh().trials) or None)
    return study


def _answer(study: tw.Study, request: int) -> Answered | None:
    """Return the answer to a request, None while there is none."""
    return study.refresh().answers.get(request)


def _obeyed(study: tw.Study, rate: Any) -> Reported | None:
    """Return the report of the first step that was trained with a rate, None while there is none."""
    return next((report for report in study.refresh().trials[0].reports if report.metrics["rate"] == rate), None)


def _awaited(look: Callable[[], Found | None]) -> Found:
    """Return what comes to be there, looking every 20 ms."""
    deadline = time.monotonic() + DEADLINE
    while (found := look()) is None:
        if time.monotonic() > deadline:
            raise RuntimeError(f"expected an answer within {DEADLINE:g} s, got none")
        time.sleep(0.02)
    return found

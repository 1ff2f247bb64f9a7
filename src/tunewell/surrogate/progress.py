"""How fast losses fall, by the values in force: what a scheduler that changes them in mid-training learns from.

A trial of a population trains from rung to rung with the same values. Each such stretch is one observation: when it
began, with which values, and by how much the loss changed a step. Forks count from their donor's loss at the fork on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tunewell.history import History, TrialRecord
from tunewell.numerics import gp, warps
from tunewell.numerics.kernels import Columns, Indices
from tunewell.scales import Floats
from tunewell.space import Space
from tunewell.surrogate import processes
from tunewell.surrogate.cube import cube_of

_MOST_ROWS = 200  # stretches, the newest


@dataclass(frozen=True, eq=False, slots=True)
class Progress:
    """Stretches of training, for d parameters.

    Attributes:
        steps: where they began, shape ``(n,)``.
        units: the values, shape ``(n, d)``; NaN where a parameter was not active.
        slopes: the change of the loss a step, shape ``(n,)``; infinite where the trial diverged.
    """

    steps: Floats
    units: Floats
    slopes: Floats

    def __len__(self) -> int:
        return len(self.steps)


def progress(space: Space, history: History, group: str, interval: int) -> Progress:
    """Return the newest stretches of a group, the newest first."""
    rows: list[tuple[int, Floats, float]] = []
    for number in reversed(history.groups.get(group, ())):
        trial = history.trials[number]
        try:
            unit = space.encode([trial.params])[0]
        except ValueError:  # the space has changed since
            continue
        rows += [(begin, unit, slope) for begin, slope in _stretches(history, trial, interval)]
        if len(rows) >= _MOST_ROWS:
            break
    rows = rows[:_MOST_ROWS]
    units = np.array([unit for _, unit, _ in rows]).reshape(len(rows), len(space))
    return Progress(np.array([float(step) for step, _, _ in rows]), units, np.array([slope for _, _, slope in rows]))


def _stretches(history: History, trial: TrialRecord, interval: int) -> list[tuple[int, float]]:
    goal = history.goals[0]
    found: list[tuple[int, float]] = []
    begin, before = (trial.fork.step, _loss_at(history, trial)) if trial.fork else (0, None)
    for report in trial.own_reports:
        value = report.metrics.get(goal.metric)
        if value is None:
            continue
        loss = goal.loss(value)
        if before is None:  # of a founder: from its first report on
            begin, before = report.step, loss
        elif report.step % interval == 0 or not math.isfinite(loss):
            slope = (loss - before) / (report.step - begin)
            found.append((begin, slope if math.isfinite(slope) else math.inf))
            begin, before = report.step, loss
    return found


def _loss_at(history: History, fork: TrialRecord) -> float | None:
    """Return the donor's loss where it was forked."""
    assert fork.fork is not None
    rung = history.rung(fork.fork.step)
    return rung.loss(fork.fork.trial) if fork.fork.trial in rung else None


@dataclass(frozen=True, eq=False)
class TimeVarying:
    """A Gaussian process on (time, values) → slope, smaller for better; time is one more column of the cube."""

    model: gp.GaussianProcess
    until: float
    free: Indices

    @classmethod
    def of(cls, space: Space, seen: Progress, until: int, pending: Floats) -> TimeVarying:
        """Fit a process to stretches; those in training, shape ``(p, d)``, are believed to go as it expects."""
        cube = cube_of(space)
        columns = Columns((0, *cube.columns.categories), (False, *cube.columns.gaps))
        finite = np.isfinite(seen.slopes)
        slopes = np.where(finite, seen.slopes, seen.slopes[finite].max(initial=0.0))
        targets = warps.soften(slopes)
        inputs = np.column_stack([seen.steps / until, seen.units[:, cube.free]])
        theta = processes.hyperparameters(columns, inputs, targets)
        model = gp.GaussianProcess.of(columns, theta, inputs, targets)
        if len(pending):
            model = model.append(np.column_stack([np.ones(len(pending)), pending[:, cube.free]]))
        return cls(model, float(until), cube.free)

    def predict(self, step: float, units: Floats) -> tuple[Floats, Floats]:
        """Return mean and deviation of the slope from ``step`` on, at coordinates ``(m, d)``: both ``(m,)``."""
        return self.model.predict(np.column_stack([np.full(len(units), step / self.until), units[:, self.free]]))

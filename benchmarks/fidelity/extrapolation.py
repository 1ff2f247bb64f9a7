"""How well the end of a training is foretold from its beginning: the process of curves against two simple rules.

A case is forty configurations of a recorded task that were trained to the end. Four count as such, the others are cut
at a random rung (1, 2, 4, … steps). From their losses at the rungs each method foretells the final losses of those that
were cut, each as a normal law.

The unit is the score: losses become the normal scores of their ranks among all that were seen in the case, and between
and beyond these by straight lines. So tasks can be compared, and it is what the scheduler looks at. Final losses that
are not finite are left out.

* *curves*: the process as the scheduler fits it.
* *last value*: the newest score, with the drift and the random walk that all seen steps between rungs have had on the
  average, so that both grow with the log of the steps.
* *power law*: a + b s^-c by least squares through each curve (the last value of those with fewer than three points),
  with the spread of what it makes of the complete curves, cut likewise.

``python -m benchmarks.fidelity.extrapolation`` writes ``results/extrapolation.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import nnls
from scipy.special import ndtri

from benchmarks.fidelity import tables
from tunewell.numerics import curves, warps
from tunewell.schedulers.freeze_thaw import FreezeThaw
from tunewell.surrogate import processes
from tunewell.surrogate.cube import cube_of

RESULTS = Path(__file__).resolve().parent.parent / "results" / "extrapolation.md"
CURVES, CASES, SEED = 40, 3, 20
LEAST_STD = 0.02
LAW, DRIFT = curves.Law(), curves.Drift()
POWERS = np.geomspace(0.1, 3.0, 16)
Foretold = tuple[np.ndarray, np.ndarray]  # means and deviations of the final scores, both (m,)


@dataclass(frozen=True)
class Case:
    """What is known of some trainings, and how those that were cut have ended."""

    task: str
    columns: curves.Columns
    units: np.ndarray  # (n, d)
    rungs: np.ndarray  # (k,), the last is the end
    scores: np.ndarray  # (n, k), NaN where it was not seen
    losses: np.ndarray  # the same, (n, k)
    cut: np.ndarray  # the rows that were cut, (m,)
    ends: np.ndarray  # their final scores, (m,)
    known: tuple[np.ndarray, np.ndarray]  # losses and their scores, rising

    @property
    def times(self) -> np.ndarray:
        """Return t of the rungs, shape ``(k,)``."""
        return np.log(self.rungs) / np.log(max(self.rungs[-1], 2))

    def scored(self, losses: np.ndarray) -> np.ndarray:
        """Return the scores of other losses, on straight lines through what is known."""
        x, y = self.known
        found = np.interp(losses, x, y)
        tenth = max(1, len(x) // 10)
        low, high = (y[tenth] - y[0]) / (x[tenth] - x[0]), (y[-1] - y[-1 - tenth]) / (x[-1] - x[-1 - tenth])
        found = np.where(losses < x[0], np.maximum(y[0] + low * (losses - x[0]), y[0] - 2.0), found)
        return np.where(losses > x[-1], np.minimum(y[-1] + high * (losses - x[-1]), y[-1] + 2.0), found)


def cases(task: str, count: int = CASES, size: int = CURVES) -> Iterator[Case]:
    """Yield cases of a task with ``size`` configurations; none where fewer than those were recorded to the end."""
    table = tables.load(task)
    full = np.flatnonzero((table.lengths == table.curves.shape[1]) & np.isfinite(table.curves[:, 0]))
    rungs = np.array(FreezeThaw().rungs(table.curves.shape[1]))
    if len(full) < size or len(rungs) < 4:
        return
    sign = -1.0 if table.mode == "max" else 1.0
    for number in range(count):
        rng = np.random.default_rng([SEED, number, size])
        rows = rng.permutation(full)[:size]
        losses = sign * table.curves[rows][:, rungs - 1]
        reached = np.concatenate([np.full(size // 10, len(rungs)), rng.integers(1, len(rungs), size - size // 10)])
        seen = np.where((np.arange(len(rungs)) < reached[:, None]) & np.isfinite(losses), losses, np.nan)
        places = np.isfinite(seen)
        values = warps.scores(seen[places])
        scores = np.full(seen.shape, np.nan)
        scores[places] = values
        x, first = np.unique(seen[places], return_index=True)
        cut = np.flatnonzero((reached < len(rungs)) & np.isfinite(losses[:, -1]) & np.isfinite(seen[:, 0]))
        if len(x) < size // 2 or not len(cut):
            continue
        cube = cube_of(table.space)
        units = table.units[rows][:, cube.free]
        case = Case(task, cube.columns, units, rungs, scores, seen, cut, np.empty(0), (x, values[first]))
        yield Case(
            task, cube.columns, units, rungs, scores, seen, cut, case.scored(losses[cut, -1]), (x, values[first])
        )


# --- the methods ------------------------------------------------------------------------------------------------------


def process(case: Case, law: curves.Law = LAW, drift: curves.Drift = DRIFT) -> tuple[curves.Curves, np.ndarray]:
    """Return the process of a case and its hyperparameters."""
    owners, columns = np.nonzero(np.isfinite(case.scores))
    x, t, y = case.units[owners], case.times[columns], case.scores[owners, columns]
    rows = processes.subset(np.concatenate([x, t[:, None]], axis=1), y, processes.most_fitted(len(case.columns)))
    evidence = curves.Evidence(case.columns, x[rows], t[rows], owners[rows], y[rows], drift, law)
    theta, _ = curves.fit(evidence, 20)
    return curves.Curves.of(case.columns, theta, x, t, owners, y, drift), theta


def by_process(case: Case, law: curves.Law = LAW, drift: curves.Drift = DRIFT) -> Foretold:
    """Return what the process foretells, with its noise."""
    model, _ = process(case, law, drift)
    mean, std = model.ahead(case.units[case.cut], case.cut, np.ones(len(case.cut)))
    return mean, np.sqrt(std**2 + model.variance * model.noise)


def newest(values: np.ndarray) -> np.ndarray:
    """Return the column of the last number that is not NaN in each row."""
    return values.shape[1] - 1 - np.argmax(np.isfinite(values)[:, ::-1], axis=1)


def by_last_value(case: Case) -> Foretold:
    """Return the last value, moved by the drift and spread by the walk of the steps that were seen."""
    moves = np.diff(case.scores, axis=1)
    lengths = np.broadcast_to(np.diff(case.times), moves.shape)
    seen = np.isfinite(moves)
    drift = moves[seen].sum() / lengths[seen].sum()
    walk = np.mean((moves[seen] - drift * lengths[seen]) ** 2 / lengths[seen])
    at = newest(case.scores)[case.cut]
    left = 1.0 - case.times[at]
    return case.scores[case.cut, at] + drift * left, np.maximum(np.sqrt(walk * left), LEAST_STD)


def extended(steps: np.ndarray, losses: np.ndarray, end: float) -> float:
    """Return a power law's value at the end; b is not negative, so it falls."""
    if len(losses) < 3:
        return float(losses[-1])
    low, high = losses.min(), losses.max()
    y = (losses - low) / max(high - low, 1e-300)
    found = []
    for power in POWERS:
        design = np.stack([np.ones(len(y)), -np.ones(len(y)), steps**-power], axis=1)
        weights, missed = nnls(design, y)
        found.append((missed, weights[0] - weights[1] + weights[2] * end**-power))
    return float(low + min(found)[1] * (high - low))


def by_power_law(case: Case) -> Foretold:
    """Return the power law's end, with the spread of its ends of the complete curves, cut at every rung."""
    at, end = newest(case.losses), float(case.rungs[-1])
    steps = case.rungs.astype(float)
    mean = np.array(
        [
            extended(steps[: k + 1], case.losses[row, : k + 1], end)
            for row, k in zip(case.cut, at[case.cut], strict=True)
        ]
    )
    complete = np.flatnonzero(np.isfinite(case.losses).all(axis=1))
    missed = []
    for row in complete:
        ends = [extended(steps[: k + 1], case.losses[row, : k + 1], end) for k in range(len(steps) - 1)]
        missed.append(case.scored(np.array(ends)) - case.scores[row, -1])
    errors = np.array(missed) / np.sqrt(1.0 - case.times[:-1]) if missed else np.ones((1, 1))
    spread = np.sqrt(np.mean(errors**2) * (1.0 - case.times[at[case.cut]]))
    return case.scored(mean), np.maximum(spread, LEAST_STD)


METHODS: dict[str, Callable[[Case], Foretold]] = {
    "curves": by_process,
    "last value": by_last_value,
    "power law": by_power_law,
}


# --- the table --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measured:
    """How a method did, mean over the trainings of a case."""

    loss: float  # negative log likelihood
    error: float  # root of the mean squared error
    half: float  # share within the 50 % interval
    most: float  # within the 90 % interval

    @classmethod
    def of(cls, case: Case, foretold: Foretold) -> Measured:
        """Compare with the ends."""
        mean, std = foretold
        z = (case.ends - mean) / std
        likely = 0.5 * z * z + np.log(std) + 0.5 * np.log(2.0 * np.pi)
        inside = [float(np.mean(np.abs(z) < ndtri(0.5 + 0.5 * share))) for share in (0.5, 0.9)]
        return cls(float(likely.mean()), float(np.sqrt(np.mean((case.ends - mean) ** 2))), *inside)

    @classmethod
    def mean(cls, found: Sequence[Measured]) -> Measured:
        """Return the mean of several."""
        return cls(*np.mean([[m.loss, m.error, m.half, m.most] for m in found], axis=0).tolist())


def family(task: str) -> str:
    """Return what a task belongs to: its file, or the tasks that were recorded here."""
    return task.partition("/")[0] if "/" in task else "recorded"


def averaged(found: dict[str, list[Measured]]) -> Measured:
    """Return the mean over tasks of the mean over their cases."""
    return Measured.mean([Measured.mean(each) for each in found.values()])


def line(words: Sequence[object]) -> str:
    """Return a row of a table."""
    return "| " + " | ".join(str(word) for word in words) + " |"


def main() -> None:
    """Measure all methods on all tasks and write the table."""
    every = {task: list(cases(task)) for task in tables.names()}
    every = {task: found for task, found in every.items() if found}
    families = sorted({family(task) for task in every})
    rows = [line(["tasks", "method", "NLL", "RMSE", "in 50 %", "in 90 %"]), line(["---"] * 2 + ["--:"] * 4)]
    for which in [*families, "all"]:
        tasks = [task for task in every if which in (family(task), "all")]
        for name, method in METHODS.items():
            found = {task: [Measured.of(case, method(case)) for case in every[task]] for task in tasks}
            m = averaged(found)
            numbers = [f"{m.loss:.2f}", f"{m.error:.2f}", f"{100 * m.half:.0f} %", f"{100 * m.most:.0f} %"]
            rows.append(line([f"{which} ({len(tasks)})", name, *numbers]))
    text = f"""# The ends of trainings, foretold

Forty trainings of a task, four complete and the others cut at a random rung; the final losses of these are foretold.
Numbers are means over {CASES} cases a task, then over tasks, in units of the normal score of the losses' ranks; NLL is
the negative log likelihood, the last two columns are the shares of final losses within the central intervals. By
`python -m benchmarks.fidelity.extrapolation`, which also says what the methods are.

"""
    _, heading, learnt = (RESULTS.read_text() if RESULTS.exists() else "").partition("\n## ")  # by learn_priors
    RESULTS.write_text(text + "\n".join(rows) + "\n" + heading + learnt)
    print("\n".join(rows))


if __name__ == "__main__":
    main()

"""True labels: how a training was made, and a look at other trainings or at test data that a diagnosis never sees.

A training gets a label only where that look confirms it; what lies between two labels is left out and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.diagnosis.plan import ending
from benchmarks.diagnosis.record import run_of

MUCH = 0.75  # another training is much better when it ends with at most this share of the loss
NEAR = 1.06  # as good as the best
HELP = ("twin", "advice")  # trainings that others are compared with
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Setup:
    """The trainings of one family under one optimizer, by what they are there for."""

    grid: Sequence[Row]
    usual: Sequence[Row]  # at the best rate, with other seeds
    faint: Sequence[Row]  # tiny, at three times the best rate
    wide: Sequence[Row]  # two or four times as wide, at the best rate
    regular: Sequence[Row]  # few examples and much dropout

    @property
    def best(self) -> float:
        """The least test loss that a training without a fault ended with."""
        return min(map(ending, [*self.grid, *self.usual]))


def labelled(rows: Sequence[Row]) -> list[tuple[Row, str | None]]:
    """Return the rows of one set-up (family and optimizer) with their labels, None where none is confirmed."""
    by: dict[str, list[Row]] = {}
    for row in rows:
        by.setdefault(run_of(row).purpose, []).append(row)
    twins = by.get("twin", [])
    setup = Setup(
        by["grid"],
        [row for row in by["healthy"] if not run_of(row).cosine],
        [row for row in twins if run_of(row).width < 1.0],
        [row for row in twins if run_of(row).width > 1.0 and run_of(row).rows == 1.0],
        [row for row in twins if run_of(row).rows < 1.0],
    )
    found = [(row, _label(row, setup)) for row in rows if run_of(row).purpose not in HELP]
    return [(row, label.replace("_", "-") if label is not None else None) for row, label in found]


def _label(row: Row, setup: Setup) -> str | None:
    run, end, best = run_of(row), ending(row), setup.best
    if exploded(row) and best < row["chance"]:
        return "diverging"
    if run.purpose in ("grid", "healthy"):
        return _of_a_rate(row, setup)
    if run.purpose == "data_problem":
        return _of_data(row, best)
    if nothing_learnt(row):
        return "nothing_learnt" if best <= MUCH * end and run.purpose != "plateau" else None
    return run.purpose if _CONFIRMED[run.purpose](row, setup) else None


def _of_a_rate(row: Row, setup: Setup) -> str | None:
    """Return the label of a training whose learning rate is all that may be wrong."""
    end, rate, grid = ending(row), run_of(row).learning_rate, setup.grid
    if earlier_was_better(row):
        return "overfitting"
    if end <= NEAR * setup.best:
        wider = min(map(ending, setup.wide), default=np.inf)
        return "healthy" if end <= NEAR * least(row) and wider > 0.9 * end else None
    if run_of(row).purpose != "grid":
        return None
    margin = 0.03 * row["chance"]  # less than that is a matter of luck
    much = min(MUCH * end, end - margin)
    lower = min([ending(other) for other in grid if run_of(other).learning_rate < 0.9 * rate], default=np.inf)
    higher = [other for other in grid if 1.1 < run_of(other).learning_rate / rate < 11.0]
    above = min([ending(other) for other in higher], default=np.inf)
    if nothing_learnt(row) and above < 0.97 * end:  # so low that ten times as much is still too low
        above = min(ending(other) for other in grid if run_of(other).learning_rate > rate)
    if above <= much and lower > much:
        return "rate_too_low"
    if lower <= much and above > much:
        return "rate_too_high"
    return "nothing_learnt" if nothing_learnt(row) and setup.best <= MUCH * end else None


def _of_data(row: Row, best: float) -> str | None:
    """Return the label of a training with wrong labels; where nothing was even learnt by heart, nothing was learnt."""
    run, end = run_of(row), ending(row)
    if run.mislabelled:
        return run.purpose if late(row, "val_loss") >= max(row["chance"], 1.2 * end) else None
    if run.noise >= 1.0 and fitted(row) >= 0.95 * row["chance"]:
        return "nothing_learnt" if fitted(row) >= 0.97 * row["chance"] and least(row) >= 0.93 * row["chance"] else None
    return run.purpose if best <= MUCH * end else None


def _overfits(row: Row, setup: Setup) -> bool:
    """Whether an earlier state, or the same with more dropout, does much better, while training errs far less."""
    twin = [ending(other) for other in setup.regular if run_of(other).seed == run_of(row).seed]
    regular = min(twin, default=np.inf) <= 0.87 * ending(row) and fitted(row) <= 0.3 * ending(row)
    return earlier_was_better(row) or regular


def _underfits(row: Row, setup: Setup) -> bool:
    """Whether the usual network fits much better in training and test, and a higher rate would not do it."""
    end = ending(row)
    more = min(map(ending, setup.faint), default=np.inf) if run_of(row).width < 1.0 else np.inf
    return setup.best <= MUCH * end and fitted(setup.usual[0]) <= MUCH * fitted(row) and more > 0.85 * end


def _unstable(row: Row, setup: Setup) -> bool:
    """Whether the test loss is three times as restless as usual, in a training that learns and ends no better."""
    calm = float(np.median([restlessness(other) for other in setup.usual]))
    learns = least(row) <= 0.9 * row["chance"] and ending(row) <= 0.95 * row["chance"]
    return restlessness(row) >= 3.0 * calm and ending(row) >= 0.98 * setup.best and learns


def _noisy(row: Row, setup: Setup) -> bool:
    """Whether the validation loss is three times as restless as the test loss, in a training that is well."""
    val, test = np.diff(np.array(row["val_loss"])), np.diff(np.array(row["test_loss"]))
    return bool(val[4:].std() >= 3.0 * test[4:].std()) and ending(row) <= 1.15 * setup.best


_CONFIRMED: Mapping[str, Callable[[Row, Setup], bool]] = {
    "overfitting": _overfits,
    "underfitting": _underfits,
    "plateau": lambda row, setup: setup.best <= MUCH * ending(row),
    "unstable": _unstable,
    "noisy_evaluation": _noisy,
    "nothing_learnt": lambda row, setup: False,  # it has learnt something
}


def exploded(row: Row) -> bool:
    """Whether losses are no longer finite, or the training itself ends far above what knows nothing has."""
    if not np.isfinite(np.array([*row["train_loss"], *row["test_loss"]])).all():
        return True
    return bool(ending(row) > 1.5 * row["chance"] and fitted(row) > 1.2 * row["chance"] and not run_of(row).noise)


def nothing_learnt(row: Row) -> bool:
    """Whether neither test nor training losses came below what knows only the shares of the classes."""
    return bool(least(row) >= 0.97 * row["chance"] and fitted(row) >= 0.97 * row["chance"])


def earlier_was_better(row: Row) -> bool:
    """Whether an earlier state does much better on the test rows, while the training loss went on falling."""
    means = np.convolve(np.array(row["test_loss"]), np.ones(5) / 5, mode="valid")
    place = int(np.argmin(means))
    return bool(means[place] <= 0.8 * means[-1] and fitted(row) < 0.9 * np.mean(row["train_loss"][place : place + 5]))


def restlessness(row: Row) -> float:
    """Return how much the test loss moves up and down from report to report: the standard deviation of differences."""
    return float(np.diff(np.log(np.array(row["test_loss"][4:]))).std())


def least(row: Row) -> float:
    """Return the least mean of three neighbouring test losses."""
    return float(np.convolve(np.array(row["test_loss"]), np.ones(3) / 3, mode="valid").min())


def late(row: Row, curve: str) -> float:
    """Return the mean of the last three values."""
    return float(np.mean(row[curve][-3:]))


def fitted(row: Row) -> float:
    """Return the training loss at the end."""
    return late(row, "train_loss")

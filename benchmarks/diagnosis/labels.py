"""True labels: how a training was made, and a look at other trainings or at test data that a diagnosis never sees.

A training gets a label only where that look confirms it; what lies between two labels is left out and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.diagnosis.families import FAMILIES
from benchmarks.diagnosis.plan import ending
from benchmarks.diagnosis.record import run_of

MUCH = 0.75  # another training is much better when it ends with at most this share of the loss
NEAR = 1.06  # as good as the best
LUCK = 0.02  # so much of the loss of what knows nothing is no difference, however small the best loss is
COST = 0.08  # a fault costs at least so much of it: less is seen in no curve and worth nobody's while
GAIN = 0.15  # a training that is well lacks at most so much of what the best one gained over knowing nothing
FAR = 2.0  # so many times the loss where a training begins is far above it
TINY = 1e-9  # a loss of 0 has no logarithm
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
    """Return the rows of one set-up (family, optimizer and variant) with their labels, None where none is confirmed."""
    by: dict[str, list[Row]] = {}
    for row in rows:
        by.setdefault(run_of(row).purpose, []).append(row)
    twins = by.get("twin", [])
    plain = run_of(by["grid"][0])
    setup = Setup(
        by["grid"],
        [row for row in by["healthy"] if run_of(row).cosine == plain.cosine],
        [row for row in twins if run_of(row).width < 1.0],
        [row for row in twins if run_of(row).width > 1.0 and run_of(row).rows == plain.rows],
        [row for row in twins if run_of(row).rows < plain.rows],
    )
    found = [(row, _label(row, setup)) for row in rows if run_of(row).purpose not in HELP]
    return [(row, label.replace("_", "-") if label is not None else None) for row, label in found]


def _label(row: Row, setup: Setup) -> str | None:
    run, best = run_of(row), setup.best
    if exploded(row):
        return "diverging" if best < row["chance"] else None
    if run.purpose in ("grid", "healthy"):
        return _of_a_rate(row, setup)
    if run.purpose == "data_problem":
        return _of_data(row, best)
    if nothing_learnt(row):
        return "nothing_learnt" if best <= much(row) and run.purpose != "plateau" else None
    return run.purpose if _CONFIRMED[run.purpose](row, setup) else None


def _of_a_rate(row: Row, setup: Setup) -> str | None:
    """Return the label of a training whose learning rate is all that may be wrong."""
    end, rate, grid = ending(row), run_of(row).learning_rate, setup.grid
    bound = much(row)
    lower = min([ending(other) for other in grid if run_of(other).learning_rate < 0.9 * rate], default=np.inf)
    if earlier_was_better(row):
        return "overfitting" if lower > bound else None  # a lower rate would have helped as well
    luck = LUCK * row["chance"]
    if end <= max(NEAR * setup.best, setup.best + luck):
        wider = min(map(ending, setup.wide), default=np.inf)
        stays = end <= max(NEAR * least(row), least(row) + luck)
        well = stays and (not FAMILIES[run_of(row).family].usual or _plainly_well(row, setup))
        return "healthy" if well and wider > min(0.9 * end, end - luck) else None
    if run_of(row).purpose != "grid":
        return None
    higher = [other for other in grid if 1.1 < run_of(other).learning_rate / rate < 11.0]
    above = min([ending(other) for other in higher], default=np.inf)
    if nothing_learnt(row) and lower > bound:  # so low that ten times as much may still be too low
        above = min([ending(other) for other in grid if run_of(other).learning_rate > rate], default=np.inf)
    if above <= bound and lower > bound:
        return "rate_too_low"
    if lower <= bound and above > bound:
        return "rate_too_high"
    return None


def _plainly_well(row: Row, setup: Setup) -> bool:
    """Whether it has most of what the best training gained, and its validation rows say so as well.

    Asked where data are hard or rows are few, so that a share of the loss or the luck of a few test rows says little.
    """
    ends = [late(other, "val_loss") for other in (*setup.grid, *setup.usual) if finite(other)]
    near = late(row, "val_loss") <= max(NEAR * min(ends), min(ends) + LUCK * row["chance"])
    return bool(near) and ending(row) - setup.best <= GAIN * (row["chance"] - setup.best)


def _of_data(row: Row, best: float) -> str | None:
    """Return the label of a training with wrong labels; where nothing was even learnt by heart, nothing was learnt."""
    run, end = run_of(row), ending(row)
    if run.mislabelled:
        return run.purpose if late(row, "val_loss") >= max(row["chance"], 1.2 * end) else None
    if run.noise > 0.0 and fitted(row) >= 0.9 * row["chance"]:
        return "nothing_learnt" if fitted(row) >= 0.97 * row["chance"] and least(row) >= 0.93 * row["chance"] else None
    return run.purpose if best <= much(row) else None


def _overfits(row: Row, setup: Setup) -> bool:
    """Whether an earlier state, or the same with more dropout, does much better, while training errs far less.

    What never did better than knowing nothing has learnt nothing that could be lost.
    """
    if least(row) > 0.9 * row["chance"]:
        return False
    twin = [ending(other) for other in setup.regular if run_of(other).seed == run_of(row).seed]
    regular = min(twin, default=np.inf) <= 0.87 * ending(row) and fitted(row) <= 0.3 * ending(row)
    return earlier_was_better(row) or regular


def _underfits(row: Row, setup: Setup) -> bool:
    """Whether the usual network fits much better in training and test, and a higher rate would not do it."""
    end = ending(row)
    more = min(map(ending, setup.faint), default=np.inf) if run_of(row).width < 1.0 else np.inf
    return setup.best <= much(row) and fitted(setup.usual[0]) <= MUCH * fitted(row) and more > 0.85 * end


def _unstable(row: Row, setup: Setup) -> bool:
    """Whether the test loss is three times as restless as usual, in a training that learns and ends no better."""
    calm = float(np.median([restlessness(other) for other in setup.usual]))
    learns = least(row) <= 0.9 * row["chance"] and ending(row) <= 0.95 * row["chance"]
    return restlessness(row) >= 3.0 * calm and ending(row) >= 0.98 * setup.best and learns


def _noisy(row: Row, setup: Setup) -> bool:
    """Whether the validation loss is three times as restless as the test loss, in a training that is well."""
    val, test = np.diff(np.array(row["val_loss"])), np.diff(np.array(row["test_loss"]))
    start = run_of(row).reports // 6
    return bool(val[start:].std() >= 3.0 * test[start:].std()) and ending(row) <= 1.15 * setup.best


_CONFIRMED: Mapping[str, Callable[[Row, Setup], bool]] = {
    "overfitting": _overfits,
    "underfitting": _underfits,
    "plateau": lambda row, setup: setup.best <= much(row),
    "unstable": _unstable,
    "noisy_evaluation": _noisy,
    "nothing_learnt": lambda row, setup: False,  # it has learnt something
}


def much(row: Row) -> float:
    """Return the loss that another training has to end with, at most, to be much better."""
    return float(min(MUCH * ending(row), ending(row) - COST * row["chance"]))


def finite(row: Row) -> bool:
    """Whether the losses of training and test are finite."""
    return bool(np.isfinite(np.array([*row["train_loss"], *row["test_loss"]])).all())


def exploded(row: Row) -> bool:
    """Whether losses are no longer finite, or those of training and test end far above where the training began.

    It begins at the loss of what knows nothing, or higher, where the first report is already of a rise. A loss that has
    been thrown up at once and falls from there on is not diverging any more.
    """
    if not finite(row):
        return True
    bound = FAR * max(row["chance"], row["train_loss"][0])
    return bool(min(ending(row), fitted(row)) > bound and not run_of(row).noise)


def nothing_learnt(row: Row) -> bool:
    """Whether neither test nor training losses came below what knows only the shares of the classes."""
    return bool(least(row) >= 0.97 * row["chance"] and fitted(row) >= 0.97 * row["chance"])


def learnt_in_the_end(row: Row) -> bool:
    """Whether the test loss ended below that of what knows only the shares of the classes."""
    return bool(ending(row) < 0.97 * row["chance"])


def earlier_was_better(row: Row) -> bool:
    """Whether an earlier state does much better on the test rows, while the training loss went on falling."""
    width = max(2, round(run_of(row).reports / 5))
    means = np.convolve(np.array(row["test_loss"]), np.ones(width) / width, mode="valid")
    place = int(np.argmin(means))
    better = means[place] <= min(0.8 * means[-1], means[-1] - COST * row["chance"])
    return bool(better and fitted(row) < 0.9 * np.mean(row["train_loss"][place : place + width]))


def restlessness(row: Row) -> float:
    """Return how much the test loss moves up and down from report to report: the standard deviation of differences."""
    losses = np.maximum(row["test_loss"][run_of(row).reports // 6 :], TINY)
    return float(np.diff(np.log(losses)).std())


def least(row: Row) -> float:
    """Return the least mean of three neighbouring test losses."""
    return float(np.convolve(np.array(row["test_loss"]), np.ones(3) / 3, mode="valid").min())


def late(row: Row, curve: str) -> float:
    """Return the mean of the last three values."""
    return float(np.mean(row[curve][-3:]))


def fitted(row: Row) -> float:
    """Return the training loss at the end."""
    return late(row, "train_loss")

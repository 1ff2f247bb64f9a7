"""Winner against default, seed by seed: the difference, its interval, and what may be said of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from tunewell.history import History


@dataclass(frozen=True)
class Comparison:
    """Paired measurements of two configurations, one pair a seed, and the interval of their mean difference."""

    default: tuple[float, ...]
    winner: tuple[float, ...]
    difference: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """Whether the difference is beyond noise, in a plain sentence."""
        if self.low > 0:
            return "The winner is better than the default, and by more than the luck of the seeds explains."
        if self.high < 0:
            return (
                "The default is better than the winner, and by more than the luck of the seeds explains: "
                "what the search gained on the validation images did not carry over."
            )
        return "No clear difference: the interval includes 0, so luck alone could explain what is seen here."


def compare(default: Sequence[float], winner: Sequence[float], confidence: float = 0.95) -> Comparison:
    """Compare paired measurements by Student's t interval of their mean difference, winner minus default.

    Raises:
        ValueError: fewer than two pairs, or not as many of one as of the other.
    """
    if len(default) != len(winner) or len(default) < 2:
        raise ValueError(f"expected at least two pairs, got {len(default)} and {len(winner)} measurements: add seeds")
    differences = np.subtract(winner, default)
    mean, error = float(differences.mean()), float(stats.sem(differences))
    reach = float(stats.t.ppf((1 + confidence) / 2, len(differences) - 1)) * error
    return Comparison(tuple(default), tuple(winner), mean, mean - reach, mean + reach)


def pairs(history: History, seeds: Sequence[int]) -> list[tuple[int, float, float]]:
    """Return seed, the default's and the winner's test accuracy, for the seeds with which both were trained."""
    found = {
        (trial.params["configuration"] == "default", trial.params["seed"]): trial.value
        for trial in history.trials
        if trial.status == "completed" and trial.value is not None
    }
    return [(s, found[True, s], found[False, s]) for s in seeds if (True, s) in found and (False, s) in found]


def table(measured: Sequence[tuple[int, float, float]], images: int) -> str:
    if len(measured) < 2:
        return f"Only {len(measured)} pair of final trainings was completed, so there is nothing to compare."
    comparison = compare([pair[1] for pair in measured], [pair[2] for pair in measured])
    spreads = [float(np.std(values, ddof=1)) for values in (comparison.default, comparison.winner)]
    means = [float(np.mean(values)) for values in (comparison.default, comparison.winner)]
    lines = [
        f"Accuracy on the {images} test images:",
        "",
        f"  {'':<15}{'default':>10}{'winner':>10}{'difference':>13}",
        *(f"  {f'seed {s}':<15}{percent(d):>10}{percent(w):>10}{_points(w - d):>13}" for s, d, w in measured),
        f"  {'mean':<15}{percent(means[0]):>10}{percent(means[1]):>10}{_points(comparison.difference):>13}",
        f"  {'spread (sd)':<15}{percent(spreads[0]):>10}{percent(spreads[1]):>10}",
        f"  {'mistakes':<15}{(1 - means[0]) * images:>10.1f}{(1 - means[1]) * images:>10.1f}",
        "",
        f"Difference: {_points(comparison.difference)} percentage points, 95 % interval {_points(comparison.low)} to "
        f"{_points(comparison.high)} (paired t, {len(measured)} seeds).",
        comparison.verdict,
        "The interval covers the luck of the seeds; other test images would move it a little, too.",
    ]
    return "\n".join(lines)


def percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _points(share: float) -> str:
    return f"{100 * share:+.2f}"

"""What the losses of a range test say: pure functions of numbers.

The ramps give an interval. They cannot give the best rate: where the loss falls fastest while the rate grows says
little of where a training should begin, and hangs on single batches (``benchmarks/results/range_test.md``). That is
found by short trainings, *probes*, whose rate falls to 0 as a real training's does: many short ones say where to look,
five or more of full length, around the best of these, where to start.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from tunewell.scales import Floats

Judge: TypeAlias = Callable[[float], float]
"""From a learning rate to the loss that a probe ended with, infinite where it diverged."""

WINDOW = 5
RISE = 0.5
"""Where the loss grows by this share within the first losses, the rates begin too high."""

NOISES = 3.0
"""A fall or a rise counts when it is larger than so many standard deviations of the loss before it."""

_POINTS = 400  # at which the loss between the probes is looked at


class RangeTestError(ValueError):
    """The losses say nothing about a learning rate; the message says why and what to do."""


@dataclass(frozen=True)
class Reading:
    """What the ramps say.

    Attributes:
        low: the least useful rate, from which on the loss is a tenth of its whole fall or more below its start.
        half: the first rate at which the loss has fallen by half of its whole fall.
        high: the largest stable rate, where the loss has regained half of its fall, or the last one tried.
        steepest: where the loss falls fastest per factor of the rate.
        smooth: the loss, shape ``(n,)``.
    """

    low: float
    half: float
    high: float
    steepest: float
    smooth: Floats


def smoothed(losses: Floats) -> Floats:
    """Return one curve from the losses of several ramps, shape ``(repeats, n)`` to ``(n,)``.

    The median over the repeats, which saw other batches at the same rate, then a running median over
    :data:`WINDOW` rates and a running mean over three. A single wild batch moves a mean, and an exponential average
    also carries it on to all later rates; it does not move either median. Where half of the ramps have ended, which
    they do when they blow up, the curve is infinite.
    """
    ended = ~np.isfinite(losses)
    kept = np.where(ended, np.inf, losses)
    middle = np.median(kept, axis=0) if len(kept) % 2 else np.sort(kept, axis=0)[len(kept) // 2]
    padded = np.pad(middle, WINDOW // 2, mode="edge")
    medians = np.median(np.lib.stride_tricks.sliding_window_view(padded, WINDOW), axis=1)
    with np.errstate(invalid="ignore"):
        means: Floats = np.lib.stride_tricks.sliding_window_view(np.pad(medians, 1, mode="edge"), 3).mean(axis=1)
    return means


def blown_up(losses: list[float]) -> bool:
    """Tell whether a ramp has risen, over three losses, twice as far above its start as it ever fell below."""
    if not math.isfinite(losses[-1]):
        return True
    if len(losses) < 2 * WINDOW:
        return False
    start, noise = _start(np.array(losses))
    recent = float(np.median(losses[-3:]))
    return recent > start + max(2.0 * (start - float(np.min(losses))), 4.0 * NOISES * noise)


def read(rates: Floats, losses: Floats) -> Reading:
    """Return what ramps say.

    Args:
        rates: rising, shape ``(n,)``.
        losses: shape ``(repeats, n)``, not finite after the end of a ramp.

    Raises:
        RangeTestError: the loss is not finite from the start, or rises at once, or never falls.
    """
    first = losses[:, 0]
    if not np.isfinite(first).all():
        raise RangeTestError(
            f"expected a finite loss before the first step, got {first[~np.isfinite(first)][0]}: look for NaN or "
            "infinity in the inputs, for a log of 0 or for half precision without a scaler"
        )
    curve = smoothed(losses)
    start, noise = _start(losses)
    alive = np.flatnonzero(np.isfinite(curve))
    before = float(np.median(first))
    if len(alive) < 2 * WINDOW or start > before + RISE * abs(before):
        raise _rises(rates)
    best = int(alive[np.argmin(curve[alive])])
    fall = start - float(curve[best])
    if not fall > NOISES * noise / math.sqrt(WINDOW * len(losses)):
        if len(alive) < len(curve) or curve[-1] > start + NOISES * noise:
            raise _rises(rates)
        raise RangeTestError(
            f"expected the loss to move, got {start:.4g} give or take {noise:.2g} at every rate from {rates[0]:.2g} "
            f"to {rates[-1]:.2g}: check that the optimizer holds the model's weights, that they require gradients and "
            "that the loss depends on them, or set highest= higher"
        )
    above = np.flatnonzero(curve[:best] > start - 0.1 * fall)
    half = int(alive[np.argmax(curve[alive] <= start - 0.5 * fall)])
    regained = np.flatnonzero((np.arange(len(curve)) > best) & ~(curve <= start - 0.5 * fall))
    end = int(regained[0]) - 1 if len(regained) else len(curve) - 1
    slopes = np.gradient(curve[: best + 1], np.log(rates[: best + 1])) if best else np.zeros(1)
    places = (above[-1] + 1 if len(above) else 0, half, end, np.argmin(slopes))
    low, fallen, high, steepest = (float(rates[place]) for place in places)
    return Reading(low, fallen, high, steepest, curve)


def _start(losses: Floats) -> tuple[float, float]:
    """Return level and noise (a standard deviation, by the median) of the first losses, where the rate does nothing."""
    first = losses[..., : 2 * WINDOW]
    first = first[np.isfinite(first)]
    level = float(np.median(first))
    return level, 1.4826 * float(np.median(np.abs(first - level)))


def _rises(rates: Floats) -> RangeTestError:
    return RangeTestError(
        f"expected the loss to fall before it rises, it rises at once from a rate of {rates[0]:.2g} on: set lowest= "
        "lower, scale the inputs, or begin with weights that are not yet trained; or there is nothing to learn in this "
        "data"
    )


# --- probes -----------------------------------------------------------------------------------------------------------


def bracket(judge: Judge, ladder: Sequence[float], most: int) -> dict[float, float]:
    """Return the losses on a ladder of rates, made longer until the least loss has a neighbour on both sides.

    Args:
        judge: called once for each rate.
        ladder: two rates or more, each larger than the one before by the same factor.
        most: the most rates that are judged.
    """
    factor = ladder[1] / ladder[0]
    losses = {rate: judge(rate) for rate in ladder}
    while len(losses) < most:
        lowest, highest, best = min(losses), max(losses), min(sorted(losses), key=losses.__getitem__)
        if best == lowest:
            new = lowest / factor
        elif best == highest:
            new = highest * factor
        else:
            break
        losses[new] = judge(new)
    return losses


def middle(losses: Mapping[float, float], ceiling: float, close: float) -> float:
    """Return the middle of the rates that do about as well as the best, on the log scale.

    It is the mean of the log of the rate under the weights ``exp(-(loss - least) / (close * (ceiling - least)))``, the
    loss being taken in straight lines between the probes. Where rates clearly beyond the best end below the ceiling,
    with units that are dead, the worst of these is the ceiling: beside the loss before training, which unscaled inputs
    make huge, all would do about as well. The rate of the least loss would hang on the noise of single
    probes wherever the loss is flat, and there two tests of one network would name rates far apart; a mean does not.

    Args:
        losses: by rate, on a ladder of equal factors.
        ceiling: what a larger or infinite loss counts as, such as the loss before training.
        close: the share of ``ceiling - least`` at which the weight has fallen to 1/e.

    Raises:
        RangeTestError: all are infinite.
    """
    ladder = sorted(losses)
    best = min(ladder, key=losses.__getitem__)
    least = losses[best]
    ceiling = min(ceiling, max((losses[rate] for rate in ladder[ladder.index(best) + 2 :]), default=ceiling))
    values = np.minimum([losses[rate] for rate in ladder], ceiling)
    if math.isinf(least):
        raise RangeTestError(
            f"expected one of the rates from {ladder[0]:.2g} to {ladder[-1]:.2g} to train, all diverged: set highest= "
            "lower, or clip the gradients with max_norm="
        )
    if least >= ceiling:
        return best
    logs = np.linspace(math.log(ladder[0]), math.log(ladder[-1]), _POINTS)
    between = np.interp(logs, np.log(ladder), values)
    weights = np.exp(-(between - least) / (close * (ceiling - least)))
    return math.exp(float(logs @ weights / weights.sum()))

"""How compute is best spent on a study, as its newest run and its history so far tell: what the default scheduler does.

Early losses count only as far as they have told later ones. Trainings are first compared at the first rung whose losses
may well rank like those at each later rung: a rank correlation of 0.6 with the next one and 0.3 with all others has to
lie within one and a half standard errors (of Fisher's z) of what five or more trials at both have shown. Where there is
no such rung, whole trainings are compared. Losses that are mostly noise are found out soon, for they rank another way
at the next rung; an early order that is reversed later, as soon as a few trainings have come so far.

A rung at which most losses are equal, but for a fiftieth of what trainings gain afterwards, is passed over at once:
accuracies at chance level are, and losses before a network begins to learn.

Who was trained on was mostly chosen by early losses, and among the like there is less to tell: a correlation of 0.8
among all may be 0.2 among the best tenth. So it is taken for normal scores and corrected for the range that they have
lost at the rung (Thorndike 1949, "Personnel selection", case 2): with u the ratio of the deviations among all and among
these, r becomes r u / √(1 + r² (u² - 1)).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tunewell.events import Status
from tunewell.history import History, Rung
from tunewell.numerics.brackets import geometric_steps
from tunewell.numerics.warps import normal_scores
from tunewell.surrogate.scarcity import WHY, is_scarce
from tunewell.values import joined

FEWEST_STEPS = 4
MANY_WORKERS = 32
DOUBLING, TRIPLING = 2.0, 3  # from rung to rung, of freeze-thaw and of ASHA
_COMPARED = 5  # trials at both rungs, before the losses at the first one are judged
_DEVIATIONS = 1.5  # by which a correlation may be higher than it was seen
_HARDLY = 0.02  # of what is gained afterwards: differences that tell nothing
_SEVERAL = 4  # losses, before it means anything that they hardly differ
_SURE = 0.99  # no correlation is taken to be nearer to one
_LOOKED_AT = 50  # trials at a rung, or up to twice as many
_SOON, _LATE = 0.6, 0.3  # correlations with the next rung and with all later ones, from which on losses tell
_NAMES = {"fifo": "whole trainings, first in first out", "freeze_thaw": "freeze-thaw", "asha": "ASHA"}


@dataclass(frozen=True)
class Agreement:
    """How losses at two rungs agree.

    Attributes:
        correlation: the rank correlation, as estimated.
        trials: how many that was from; none while there are too few.
        at_most: as high as the correlation may well be.
        gain: by how much the loss of a training changes from the one to the other.
    """

    correlation: float = 1.0
    trials: int = 0
    at_most: float = 1.0
    gain: float = 0.0


@dataclass(frozen=True)
class Telling:
    """Where trainings are first compared, and how losses there rank like those at the end."""

    step: int
    end: Agreement = Agreement()
    looked_at: int = 0  # trials, where no rung tells


@dataclass(frozen=True)
class Spending:
    """A scheduler by its name, the steps at which it compares trainings, and why, in words.

    ``rungs`` are all but the end, rising; none where trainings are whole. ``scarce`` says that the total holds too
    little for any choice: see :mod:`.scarcity`.
    """

    rule: Literal["fifo", "freeze_thaw", "asha"]
    why: str
    rungs: tuple[int, ...] = ()
    scarce: bool = False


def spending(history: History) -> Spending:
    """Return how compute is to be spent now: a pure function of the history."""
    run, horizon = history.run, history.horizon
    if run is None or run.trials is not None or (run.steps is None and run.seconds is None):
        return Spending("fifo", "a total of trials asks for so many whole trainings")
    if horizon is None:
        return Spending("fifo", "how long a training is, is not known yet")
    if horizon < FEWEST_STEPS:
        return Spending("fifo", f"a training has fewer than {FEWEST_STEPS} steps")
    doubling = history.cadence.rungs(geometric_steps(min(history.cadence.at(1), horizon), horizon, DOUBLING))
    if len(doubling) == 1:
        return Spending("fifo", "no loss is reported before the end of a training")
    first = first_telling(history, doubling)
    if first.step >= horizon:
        untold = f"early losses have not told late ones in {first.looked_at} trials"
        return Spending("fifo", untold if first.looked_at else "until the end most trials have the same losses")
    told = "early losses are taken to tell late ones until enough trials were trained to the end"
    if first.step > doubling[0]:
        told = f"losses before step {first.step} have told nothing of later ones"
    if first.end.trials and first.end.correlation >= _LATE:
        told = (
            f"losses at step {first.step} have ranked like those at the end "
            f"(rank correlation {first.end.correlation:.2f} in {first.end.trials} trials)"
        )
    if run.workers > MANY_WORKERS:
        rungs = history.cadence.rungs(geometric_steps(first.step, horizon, TRIPLING))[:-1]
        return Spending("asha", f"{run.workers} workers leave a model little to choose, and {told}", tuple(rungs))
    if is_scarce(history, horizon):
        return Spending("freeze_thaw", WHY, (doubling[0],), scarce=True)
    total = "steps" if run.steps is not None else "seconds"
    rungs = history.cadence.rungs(geometric_steps(first.step, horizon, DOUBLING))[:-1]
    return Spending("freeze_thaw", f"a total of {total} is best spent where it pays, and {told}", tuple(rungs))


def first_telling(history: History, rungs: Sequence[int]) -> Telling:
    """Return the first rung whose losses may well tell later ones; the last one where there is none."""
    ladder = [rung for _, rung in history.ladder(rungs)]
    looked_at = 0
    for place, rung in enumerate(ladder[:-1]):
        found = [_agreement(rung, later) for later in ladder[place + 1 :]]
        if _hardly_differ(rung, max(agreement.gain for agreement in found)):
            continue
        if found[0].at_most >= _SOON and all(agreement.at_most >= _LATE for agreement in found):
            return Telling(rung.step, found[-1])
        looked_at = max(looked_at, *(agreement.trials for agreement in found))
    return Telling(rungs[-1], looked_at=looked_at)


def _agreement(rung: Rung, later: Rung) -> Agreement:
    """Return how losses at a rung rank like those at a later one."""
    both = [number for number in later.some(_LOOKED_AT) if number in rung]
    changes = [rung.loss(number) - later.loss(number) for number in both]
    both = [number for number, change in zip(both, changes, strict=True) if math.isfinite(change)]
    if not both:
        return Agreement()
    gain = statistics.median(abs(change) for change in changes if math.isfinite(change))
    if len(both) < _COMPARED:
        return Agreement(gain=gain)
    places = np.array([rung.rank(number) - 1 for number in both])
    spread = normal_scores(min(len(rung), _LOOKED_AT)).std()
    lost = max(1.0, float(spread / max(normal_scores(len(rung), places).std(), 1e-12)))
    among_both = normal_scores(len(both))
    early = among_both[np.argsort(np.argsort(places, kind="stable"), kind="stable")]
    seen = float(np.corrcoef(early, among_both)[0, 1])
    at_most = math.tanh(math.atanh(max(-_SURE, min(seen, _SURE))) + _DEVIATIONS / math.sqrt(len(both) - 3.0))
    return Agreement(_among_all(seen, lost), len(both), _among_all(at_most, lost), gain)


def _hardly_differ(rung: Rung, gain: float) -> bool:
    """Tell whether most pairs of losses at a rung are equal, but for a fiftieth of what trainings gain afterwards."""
    losses = np.array([rung.loss(number) for number in rung.some(_LOOKED_AT)])
    losses = np.sort(losses[np.isfinite(losses)])
    n = len(losses)
    close = np.searchsorted(losses, losses + _HARDLY * gain, side="right") - np.arange(1, n + 1)
    return n >= _SEVERAL and bool(close.sum() > n * (n - 1) / 4.0)


def _among_all(correlation: float, lost: float) -> float:
    """Return what a correlation would be had the range not shrunk by a factor ``lost``."""
    return correlation * lost / math.sqrt(1.0 + correlation**2 * (lost * lost - 1.0))


def in_words(history: History) -> str:
    """Return which scheduler the default one has in charge, at which steps it compares, and why: a sentence or two.

    Empty where another scheduler was named, or before the first run.
    """
    described = history.settings.get("scheduler", "auto")
    name = described if isinstance(described, str) else described.get("name")
    if name != "auto" or history.run is None:
        return ""
    chosen = spending(history)
    if chosen.scarce:
        return f"The default scheduler finishes what began first: {chosen.why}."
    steps = [f"{step:,}" for step in chosen.rungs]
    at = f", comparing at {'step' if len(steps) == 1 else 'steps'} {joined(steps)}" if steps else ""
    sentence = f"The default scheduler chose {_NAMES[chosen.rule]}{at}: {chosen.why}."
    rests = any(trial.saved for trial in history.trials) or not history.counts[Status.STOPPED]
    unsaved = " Trials save no checkpoints, so those that fall behind are stopped for good."
    return sentence if rests or not chosen.rungs else sentence + unsaved

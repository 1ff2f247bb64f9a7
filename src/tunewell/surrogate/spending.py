"""How compute is best spent on a study, as its newest run and its history so far tell: what the default scheduler does.

Early losses count only as far as they have told late ones. Among trials that were trained to the end the rank
correlation of their losses at each rung with those at the end is looked at, and trainings are first compared at the
first rung where it is at least 0.3; where it is so nowhere but at the end, whole trainings are compared. A rung at
which most losses are equal, as accuracies are at chance level, is passed over from the beginning.

Who was trained to the end was mostly chosen by early losses, and among the like there is less to tell: a correlation of
0.8 among all may be 0.2 among the best tenth. So it is taken for normal scores and corrected for the range that they
have lost at the rung (Thorndike 1949, "Personnel selection", case 2): with u the ratio of the deviations among all and
among these, r becomes r u / √(1 + r² (u² - 1)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from tunewell.events import Status
from tunewell.history import History, Rung
from tunewell.numerics.brackets import geometric_steps
from tunewell.numerics.warps import normal_scores
from tunewell.surrogate.noise import mostly_tied
from tunewell.values import joined

FEWEST_STEPS = 4
MANY_WORKERS = 32
DOUBLING, TRIPLING = 2.0, 3  # from rung to rung, of freeze-thaw and of ASHA
_COMPARED = 8  # trials trained to the end, before their early losses are judged
_LOOKED_AT = 100  # losses at a rung, to see whether most are equal
_TELLING = 0.3
_NAMES = {"fifo": "whole trainings, first in first out", "freeze_thaw": "freeze-thaw", "asha": "ASHA"}


@dataclass(frozen=True)
class Telling:
    """Where trainings are first compared, and the rank correlation there; None while too few were trained whole."""

    step: int
    correlation: float | None = None
    trials: int = 0  # that it was measured on


@dataclass(frozen=True)
class Spending:
    """A scheduler by its name, the steps at which it compares trainings, and why, in words.

    ``rungs`` are all but the end, rising; none where trainings are whole.
    """

    rule: Literal["fifo", "freeze_thaw", "asha"]
    why: str
    rungs: tuple[int, ...] = ()


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
        untold = f"early losses have not told late ones in {first.trials} trials"
        return Spending("fifo", untold if first.trials else "until the end most trials have the same losses")
    told = "early losses are taken to tell late ones until enough trials were trained to the end"
    if first.correlation is not None:
        told = (
            f"losses at step {first.step} have ranked like those at the end (rank correlation {first.correlation:.2f} "
            f"in {first.trials} trials)"
        )
    if run.workers > MANY_WORKERS:
        rungs = history.cadence.rungs(geometric_steps(first.step, horizon, TRIPLING))[:-1]
        return Spending("asha", f"{run.workers} workers leave a model little to choose, and {told}", tuple(rungs))
    total = "steps" if run.steps is not None else "seconds"
    rungs = history.cadence.rungs(geometric_steps(first.step, horizon, DOUBLING))[:-1]
    return Spending("freeze_thaw", f"a total of {total} is best spent where it pays, and {told}", tuple(rungs))


def first_telling(history: History, rungs: Sequence[int]) -> Telling:
    """Return the first rung at which losses rank like those at the last; while little is known, where they differ."""
    ranking = [pair for pair in pairwise(rungs) if not _is_tied(history.rung(pair[0], until=pair[1]))]
    end = history.rung(history.cadence.before(rungs[-1]), until=rungs[-1] + 1)
    finished = [number for number in end.ranked() if np.isfinite(end.loss(number))]
    if len(finished) < _COMPARED:
        return Telling(ranking[0][0] if ranking else rungs[-1])
    late = normal_scores(len(finished))
    for step, until in ranking:
        rung = history.rung(step, until=until)
        known = np.array([number in rung for number in finished])
        if known.sum() < _COMPARED:
            continue
        places = np.array([rung.rank(number) - 1 for number, there in zip(finished, known, strict=True) if there])
        among_all = normal_scores(len(rung))
        early = normal_scores(len(places))[np.argsort(np.argsort(places, kind="stable"), kind="stable")]
        shrunk = float(among_all.std() / max(among_all[places].std(), 1e-12))
        correlation = _unrestricted(float(np.corrcoef(early, late[known])[0, 1]), shrunk)
        if correlation >= _TELLING:
            return Telling(step, correlation, int(known.sum()))
    return Telling(rungs[-1], None, len(finished))


def _is_tied(rung: Rung) -> bool:
    return mostly_tied(np.array(rung.some_losses(_LOOKED_AT)).reshape(-1, 1))


def _unrestricted(correlation: float, lost: float) -> float:
    """Return what a correlation would be had the range not shrunk by a factor ``lost``."""
    u = max(1.0, lost)
    return correlation * u / float(np.sqrt(1.0 + correlation**2 * (u * u - 1.0)))


def in_words(history: History) -> str:
    """Return which scheduler the default one has in charge, at which steps it compares, and why: a sentence or two.

    Empty where another scheduler was named, or before the first run.
    """
    described = history.settings.get("scheduler", "auto")
    name = described if isinstance(described, str) else described.get("name")
    if name != "auto" or history.run is None:
        return ""
    chosen = spending(history)
    steps = [f"{step:,}" for step in chosen.rungs]
    at = f", comparing at {'step' if len(steps) == 1 else 'steps'} {joined(steps)}" if steps else ""
    sentence = f"The default scheduler chose {_NAMES[chosen.rule]}{at}: {chosen.why}."
    rests = any(trial.saved for trial in history.trials) or not history.counts[Status.STOPPED]
    unsaved = " Trials save no checkpoints, so those that fall behind are stopped for good."
    return sentence if rests or not chosen.rungs else sentence + unsaved

"""Panda or caviar: watch one training and change it by hand, or train many and keep the best.

The two names are Andrew Ng's ("Hyperparameters tuning in practice: pandas vs. caviar", Deep Learning Specialization,
course 2, 2017). What decides is how many trainings can end before the compute does. The best of n configurations drawn
at random lies among the best 1/(n + 1) on average, so with fewer than eight there is little to choose from, and a
person who corrects one training as it goes makes more of the same compute.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Literal

from tunewell.surrogate.tiering_words import time_in_words

FEWEST = 8
"""Trainings from which on comparing many pays."""


@dataclass(frozen=True, slots=True)
class Approach:
    """Which of the two fits; it prints well.

    Attributes:
        choice: ``"panda"`` or ``"caviar"``.
        trainings: how many full trainings there is compute for; one that is cut short does not count.
        at_a_time: how many of them fit side by side; 0 where not even one does.
        reason: why, in words and numbers.
    """

    choice: Literal["panda", "caviar"]
    trainings: int
    at_a_time: int
    reason: str

    def __str__(self) -> str:
        return f"{self.choice}: {self.reason}"


def panda_or_caviar(
    seconds: float,
    training: float,
    workers: int = 1,
    *,
    memory: float | None = None,
    capacity: float | None = None,
) -> Approach:
    """Return which of the two fits the machine and the budget.

    Args:
        seconds: the time there is.
        training: what one full training takes, in seconds, measured or guessed.
        workers: how many GPUs, or workers, there are.
        memory: what one training needs, in GB; None where nobody knows.
        capacity: what each worker has, in GB.

    Raises:
        ValueError: a number that is not above 0, or a need without what there is.

    >>> print(panda_or_caviar(8 * 3600, 3 * 3600))
    panda: 8 h are 2 trainings of 3 h, too few to compare: watch one and change it by hand
    >>> print(panda_or_caviar(8 * 3600, 300, workers=4))
    caviar: 8 h are 384 trainings of 5 min, 4 at a time: the best of 384 is on average among the best 0.26 %
    """
    given = {"seconds": seconds, "training": training, "workers": workers}
    wanted = {name: value for name, value in (("memory", memory), ("capacity", capacity)) if value is not None}
    for name, value in {**given, **wanted}.items():
        if isinstance(value, bool) or not isinstance(value, Real) or not 0.0 < value < math.inf:
            hint = ": times are in seconds" if name in ("seconds", "training") else ""
            raise ValueError(f"panda_or_caviar expected {name} to be a number above 0, got {value!r}{hint}")
    if (memory is None) != (capacity is None):
        raise ValueError(
            "panda_or_caviar expected memory= and capacity= together: what a training needs and what there is"
        )
    beside = 1 if memory is None or capacity is None else math.floor(capacity / memory)
    if beside == 0:
        reason = f"a training needs {memory:g} GB and there are {capacity:g}: make it smaller first, and watch it"
        return Approach("panda", 0, 0, reason)
    at_a_time = workers * beside
    trainings = finished(seconds, training, at_a_time)
    side = f", {at_a_time} at a time" if at_a_time > 1 else ""
    return judged(trainings, f"{time_in_words(seconds)} are {{}} of {time_in_words(training)}{side}", at_a_time)


def finished(total: float, training: float, at_a_time: int = 1) -> int:
    """Return how many trainings a total pays for when each costs so much of it and so many are trained side by side."""
    return at_a_time * math.floor(total / training + 1e-9)


def judged(trainings: int, said: str = "{}", at_a_time: int = 1) -> Approach:
    """Return which fits for so many full trainings; ``said`` has a place for their number in words."""
    number = f"{trainings:,}" if trainings else "no"
    words = said.format(f"{number} training{'' if trainings == 1 else 's'}")
    if not trainings:
        return Approach("panda", 0, at_a_time, f"{words}: none can finish, so take more time or train for less")
    if trainings < FEWEST:
        return Approach("panda", trainings, at_a_time, f"{words}, too few to compare: watch one and change it by hand")
    share = f"{100 / (trainings + 1):.2g} %"
    return Approach(
        "caviar", trainings, at_a_time, f"{words}: the best of {number} is on average among the best {share}"
    )

"""The arithmetic of successive halving and of Hyperband: how many trials train for how many steps.

Successive halving (Jamieson and Talwalkar, AISTATS 2016) starts n trials, lets the best 1/η go on to η times as many
steps, and so on until the last train for R steps. With s reductions its rungs are (Li et al., JMLR 2018,
arXiv:1603.06560v4, Algorithm 1)

    n_i = floor(n η^-i),    r_i = R η^(i - s),    i = 0 ... s                                              (1)

Hyperband plays all s from s_max = floor(log_η(R / r_min)) down to 0, that is, from starting many trials on few steps to
training a few to the end at once, each with about the same budget. Two tables of its n are in print:

    "jmlr"    n = ceil((s_max + 1) η^s / (s + 1))           81, 34, 15, 8, 5 for R = 81, η = 3             (2)
    "floor"   n = floor((s_max + 1) / (s + 1)) η^s          81, 27, 9, 6, 5                                (3)

(2) is that of the journal; (3) that of the authors' earlier text (ICLR 2017) and of BOHB.

Everything is computed in whole numbers: a logarithm in floating point finds 4.999... levels where there are 5.
Deviations: r_i is rounded to the nearest step, halves up, where R is not a power of η; and n_i is at least 1, so that a
bracket of too few trials trains its best one to the end as well.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

Table: TypeAlias = Literal["jmlr", "floor"]
Rungs: TypeAlias = list[tuple[int, int]]
"""``(trials, steps)`` of each rung."""


def geometric_steps(least: int, most: int, factor: float) -> list[int]:
    """Return the whole steps ``least``, ``least * factor``, … below ``most``, all different, and ``most`` itself."""
    found, step = [], float(least)
    while round(step) < most:
        found.append(round(step))
        step = max(step * factor, found[-1] + 1.0)
    return [*found, most]


def levels(most: int, reduction: int, least: int = 1) -> int:
    """Return s_max, how often ``most`` steps can be divided by ``reduction`` without falling below ``least``.

    >>> levels(243, 3), levels(242, 3), levels(100, 4), levels(5, 3, least=9)
    (5, 4, 3, 0)
    """
    found = 0
    while least * reduction ** (found + 1) <= most:
        found += 1
    return found


def rung_steps(most: int, reduction: int, s: int) -> list[int]:
    """Return r_0 ... r_s of (1), the last of which is ``most``; strictly increasing if ``reduction**s <= most``.

    >>> rung_steps(81, 3, 4), rung_steps(100, 3, 4)
    ([1, 3, 9, 27, 81], [1, 4, 11, 33, 100])
    """
    return [(2 * most + reduction**k) // (2 * reduction**k) for k in range(s, -1, -1)]


def rung_trials(trials: int, reduction: int, s: int) -> list[int]:
    """Return n_0 ... n_s of (1), each at least 1.

    >>> rung_trials(34, 3, 3), rung_trials(5, 3, 3)
    ([34, 11, 3, 1], [5, 1, 1, 1])
    """
    return [max(1, trials // reduction**i) for i in range(s + 1)]


def halving(trials: int, most: int, reduction: int, s: int) -> Rungs:
    """Return the rungs of successive halving from ``trials`` trials to ``most`` steps in ``s`` reductions."""
    return list(zip(rung_trials(trials, reduction, s), rung_steps(most, reduction, s), strict=True))


def hyperband_trials(s_max: int, s: int, reduction: int, table: Table = "jmlr") -> int:
    """Return n of bracket s: (2) or (3)."""
    if table == "jmlr":
        return int(-(-(s_max + 1) * reduction**s // (s + 1)))
    return int((s_max + 1) // (s + 1) * reduction**s)


def hyperband(most: int, reduction: int = 3, least: int = 1, table: Table = "jmlr") -> list[Rungs]:
    """Return the brackets of Hyperband, s = s_max first.

    >>> for rungs in hyperband(9):
    ...     print(rungs)
    [(9, 1), (3, 3), (1, 9)]
    [(5, 3), (1, 9)]
    [(3, 9)]
    """
    s_max = levels(most, reduction, least)
    return [halving(hyperband_trials(s_max, s, reduction, table), most, reduction, s) for s in range(s_max, -1, -1)]

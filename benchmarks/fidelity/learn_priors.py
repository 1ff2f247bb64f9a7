"""What learning curves are like in general: the laws that the process of curves begins with, from recorded tasks.

Cases are those of :mod:`.extrapolation`, with 40 and with 12 configurations; a law is as good as the mean negative log
likelihood, over families of tasks, of the ends that the process foretells with it. From the laws that were guessed each
of the eight numbers is moved up and down alone; then moves are taken together, those that gained most first, as long as
that gains.

A family of tasks is always foretold with laws that were learnt from the other families. ``python -m
benchmarks.fidelity.learn_priors`` adds that comparison to ``results/extrapolation.md``, with the laws that all families
together would give. :mod:`tunewell.numerics.curves` has laws of its own as long as the learnt ones are no better.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from benchmarks.fidelity import tables
from benchmarks.fidelity.extrapolation import RESULTS, Case, Measured, averaged, by_process, cases, family, line
from tunewell.numerics.curves import Drift, Law

Numbers = tuple[float, ...]  # centre and deviation of log γ, log ω, log η and the drift
GUESSED: Numbers = (0.0, 1.5, -3.5, 1.5, -6.0, 2.0, -0.5, 1.0)
MOVES: Sequence[tuple[int, float]] = [  # which number, and by how much
    *((j, step) for j in (0, 2, 4) for step in (-1.5, 1.5)),
    *((j, step) for j in (1, 3, 5) for step in (-0.7, 1.5)),
    *((6, step) for step in (-0.5, 0.5)),
    *((7, step) for step in (-0.5, 1.0)),
]
SIZES = (40, 12)
HEADING = "\n## Laws learnt from other tasks\n"


def laws(numbers: Numbers) -> tuple[Law, Drift]:
    """Return numbers as laws."""
    a, b, c, d, e, f, g, h = numbers
    return Law(growth=(a, b), own=(c, d), noise=(e, f)), Drift(g, h)


@cache
def every(which: str, size: int) -> dict[str, list[Case]]:
    """Return the cases of a family."""
    found = {task: list(cases(task, 2, size)) for task in tables.names() if family(task) == which}
    return {task: each for task, each in found.items() if each}


@cache
def measured(which: str, size: int, numbers: Numbers) -> Measured:
    """Return how the process does on a family with given laws."""
    found = every(which, size).items()
    return averaged(
        {task: [Measured.of(case, by_process(case, *laws(numbers))) for case in each] for task, each in found}
    )


def loss(families: Sequence[str], numbers: Numbers) -> float:
    """Return the mean negative log likelihood over families and sizes."""
    return float(np.mean([measured(which, size, numbers).loss for which in families for size in SIZES]))


def moved(numbers: Numbers, move: tuple[int, float]) -> Numbers:
    """Return numbers with one of them moved."""
    return tuple(round(value + move[1], 3) if j == move[0] else value for j, value in enumerate(numbers))


def learnt(families: Sequence[str]) -> Numbers:
    """Return the numbers that families of tasks teach."""
    gains = {move: loss(families, GUESSED) - loss(families, moved(GUESSED, move)) for move in MOVES}
    best, least = GUESSED, loss(families, GUESSED)
    for move in sorted(gains, key=lambda move: -gains[move]):
        other = moved(best, move)
        if gains[move] > 0.002 and best[move[0]] == GUESSED[move[0]] and loss(families, other) < least:
            best, least = other, loss(families, other)
    return best


def main() -> None:
    """Compare, write the table and print the laws of all families."""
    families = sorted({family(task) for task in tables.names()})
    families = [which for which in families if all(every(which, size) for size in SIZES)]
    rows = [
        line(["held out", "configurations", "NLL, guessed", "NLL, learnt", "in 90 %, guessed", "in 90 %, learnt"]),
        line(["---"] + ["--:"] * 5),
    ]
    for held in families:
        numbers = learnt([which for which in families if which != held])
        print(held, numbers, flush=True)
        for size in SIZES:
            a, b = measured(held, size, GUESSED), measured(held, size, numbers)
            words = [f"{a.loss:.2f}", f"{b.loss:.2f}", f"{100 * a.most:.0f} %", f"{100 * b.most:.0f} %"]
            rows.append(line([held, size, *words]))
    law, drift = laws(learnt(families))
    before = RESULTS.read_text().partition(HEADING)[0]
    after = f"All families together teach `{law}` and `{drift}`."
    RESULTS.write_text(before + HEADING + "\n" + "\n".join(rows) + f"\n\n{after}\n")
    print("\n".join(rows), after, sep="\n")


if __name__ == "__main__":
    main()

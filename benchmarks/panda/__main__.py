"""What watching one training is worth and costs: ``python -m benchmarks.panda``, some minutes on one core.

Networks are trained for real, with scikit-learn's digits and tumours; see :mod:`benchmarks.panda.changes` and
:mod:`benchmarks.panda.latency`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import get_args

import torch

from benchmarks._common import Page, Spread, number, options, scratch
from benchmarks.panda.changes import (
    AFTER,
    END,
    FACTORS,
    FIRST_SEED,
    ORDERS,
    SETUPS,
    SHARE,
    SOON,
    STEPS_BEFORE,
    Change,
    Outcome,
    recorded,
)
from benchmarks.panda.latency import latency, typed

FOUND, WRONG, SECONDS = 0.85, 0.01, 0.5
STEPS = (0.02, 0.3, 1.0)
"""Lengths of the steps in the trainings that wishes are made of, in seconds."""


def main() -> None:
    """Measure everything and write the page."""
    given = options("What watching one training is worth and costs.", repeats=2, peers=False)
    torch.set_num_threads(1)
    page = Page("panda", "One training under a person's eye", given, how="one training a seed")
    first = FIRST_SEED + given.seed
    changes = list(recorded(SETUPS[:1] if given.quick else SETUPS, range(first, first + given.repeats)))
    guard(page, changes)
    slowest = wishes(page, 4 if given.quick else 20, given.seed)
    harmful, other = _of(changes, "harmful at once"), [*_of(changes, "neutral"), *_of(changes, "helpful")]
    found, wrong = _share(harmful), _share(other)
    page.table(
        "Targets",
        ("", "target", "found", ""),
        [
            ("changes harmful at once taken back", f"at least {FOUND:.0%}", f"{found:.1%}", _met(found >= FOUND)),
            ("neutral and helpful ones taken back", f"at most {WRONG:.0%}", f"{wrong:.1%}", _met(wrong <= WRONG)),
            (
                "seconds from wish to answer beyond the step that it waits for, worst",
                f"{SECONDS:g}",
                number(slowest),
                _met(slowest <= SECONDS),
            ),
        ],
    )
    page.write()


def guard(page: Page, changes: Sequence[Change]) -> None:
    """Write what became of the changes, and what the guard made of them."""
    situations = sum(change.parameter == "nothing" for change in changes) // ORDERS
    page.text(
        f"{situations} situations: small networks after {', '.join(map(str, STEPS_BEFORE))} epochs, with two learning "
        f"rates each. Each is trained on for {AFTER} epochs: as it was, {ORDERS} times with batches in other orders, "
        f"and with each of these changes: the learning rate by {', '.join(f'{factor:.2g}' for factor in FACTORS)}; "
        "momentum, weight decay and dropout to values from gentle to absurd. Loss is the cross-entropy of rows that "
        f"are not trained on, an end the median of the last {END} epochs. **Harmful**: ended above where the loss "
        "was before the change, and above every training that went on as it was; **at once**, where that was so "
        f"after {SOON} epochs, in which the guard looks. **Slower**: only above every training that went on as it was. "
        "**Helpful**: below every one of these. The differences that count are those beyond "
        f"{SHARE:.0%} of what training had gained and beyond the spread of the unchanged trainings. The guard sees one "
        "report after another and knows none of this. That it expects a rising curve to rise on was chosen on other "
        "seeds of the same trainings."
    )
    outcomes = get_args(Outcome)
    page.table(
        "What the guard takes back, by what the change did",
        ("", "changes", "taken back", "after reports, median", "left alone: end above before, in gains"),
        [
            (
                outcome,
                len(these),
                f"{len(these) - len(left)} ({_share(these):.1%})" if these else "–",
                _median(count for change in these if (count := change.taken_back_after) is not None),
                _median(change.worse_by for change in left),
            )
            for outcome in outcomes
            for these in [_of(changes, outcome)]
            for left in [[change for change in these if change.taken_back_after is None]]
        ],
    )
    for heading, key in (("By what was changed", "parameter"), ("By training", "setup")):
        groups = dict.fromkeys(getattr(change, key) for change in changes)
        rows = []
        for group in groups:
            these = [change for change in changes if getattr(change, key) == group]
            rows.append((group, *(_counted(_of(these, outcome)) for outcome in outcomes)))
        page.table(f"{heading}: taken back of how many", ("", *outcomes), rows)
    page.keep(
        guard={
            outcome: {"changes": len(these), "taken_back": sum(c.taken_back_after is not None for c in these)}
            for outcome in outcomes
            for these in [_of(changes, outcome)]
        }
    )


def wishes(page: Page, count: int, seed: int) -> float:
    """Write how soon wishes are answered; return the most seconds beyond a step's own that one took."""
    rows, worst = [], 0.0
    for seconds in STEPS:
        with scratch() as folder:
            found = latency(folder, seconds, count, seed)
        answered, obeyed = Spread(found.answered), Spread(found.obeyed)
        rows.append((f"{seconds:g} s", count, answered.show(digits=2), obeyed.show(digits=2), found.unheard))
        worst = max(worst, max(found.answered) - seconds)
        page.keep(**{f"steps of {seconds:g} s": {"answered": answered, "obeyed": obeyed, "unheard": found.unheard}})
    with scratch() as folder:
        shell = typed(folder)
    page.table(
        "Seconds from a wish to its answer",
        ("steps of", "wishes", "answer", "first step that obeys", "step boundaries gone by unheard"),
        rows,
    )
    page.text(
        "The wish, another rate, is written by one process at a random moment and heard by another, which trains in a "
        "worker process of its own; the study is on SQLite. An answer has to wait for the next step boundary, and "
        "where steps are shorter than 0.2 s for the next moment at which the driver listens. `tunewell adjust` at a "
        f"shell took {number(shell, 2)} s before that, most of it the start of Python."
    )
    page.keep(shell=shell)
    return worst


def _of(changes: Iterable[Change], outcome: str) -> list[Change]:
    return [change for change in changes if change.outcome == outcome]


def _share(changes: Sequence[Change]) -> float:
    """Return the share that the guard takes back."""
    return sum(change.taken_back_after is not None for change in changes) / max(1, len(changes))


def _counted(changes: Sequence[Change]) -> str:
    taken = sum(change.taken_back_after is not None for change in changes)
    return f"{taken} of {len(changes)}" if changes else "–"


def _median(values: Iterable[float]) -> str:
    found = list(values)
    return f"{median(found):.2g}" if found else "–"


def _met(met: bool) -> str:
    return "met" if met else "missed"


if __name__ == "__main__":
    main()

"""The driver's own time per event, from 100 to 100,000 trials: ``python -m benchmarks.driver``.

Every run is a fresh process; see :mod:`benchmarks.driver.playback`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks._common import Page, Spread, fresh, interleaved, number, options, scratch
from benchmarks.driver import SIZES, WORKERS


def main() -> None:
    """Measure everything and write the page."""
    given = options("The driver's own time per event.", repeats=3, peers=False)
    page = Page("driver", "The driver's own time per event", given)
    cases = [("fifo", "memory"), ("asha", "memory"), ("asha", "sqlite")]
    largest = 10_000 if given.quick else SIZES[-1]
    answers: dict[str, list[dict[str, Any]]] = {}

    def measure(scheduler: str, storage: str, upto: int) -> Callable[[], float]:
        def once() -> float:
            with scratch() as folder:
                about = ("--largest", upto, "--seed", given.seed, "--directory", folder)
                found = fresh("benchmarks.driver.playback", "--scheduler", scheduler, "--storage", storage, *about)
            answers.setdefault(_name(scheduler, storage), []).append(found)
            return 1e6 * float(found["seconds"]) / int(found["events"])

        return once

    # The small sizes take no time and are repeated; the largest once.
    small = min(10_000, largest)
    interleaved({_name(*case): measure(*case, small) for case in cases}, given.repeats)
    if largest > small:
        interleaved({_name(*case): measure(*case, largest) for case in cases}, 1)
    sizes = [size for size in SIZES if size <= largest]
    rows: list[tuple[str, ...]] = []
    kept: dict[str, dict[str, Any]] = {}
    for case in cases:
        name = _name(*case)
        wall = {size: _per_event(answers[name], size, "wall") for size in sizes}
        cpu = {size: _per_event(answers[name], size, "cpu") for size in sizes}
        for clock, spent in (("processor", cpu), ("wall clock", wall)):
            growth = f"{number(spent[sizes[-1]].median / spent[1000].median, 2)}×"
            rows.append((name, clock, *(spent[size].show() for size in sizes), growth))
        kept[name] = {"wall_us": wall, "cpu_us": cpu, "runs": answers[name]}
    page.text(
        "Random search with fifo (2 reports a trial, no checkpoints) and with ASHA (η = 3, rungs at 1 and 3 steps, end "
        f"at 9, a checkpoint with every report, so that trials are paused and promoted for real), {WORKERS} workers, "
        "3 parameters. Time per event is the whole time of the run, the stand-in executor's included, divided by the "
        "events in the last tenth of the trials before each size (at 100: the last 50). The processor's clock counts "
        "what the process itself computes and is moved less by the neighbours' load; the wall clock counts waiting as "
        "well, for the disk and for the neighbours.",
    )
    page.table(
        "Microseconds per event when the study has … trials",
        ("", "clock", *(f"{size:,}" for size in sizes), f"{sizes[-1]:,} over 1,000"),
        rows,
    )
    page.table(
        f"A study of {largest:,} trials in all",
        ("", "events", "seconds", "memory per trial", "how the trials ended"),
        [
            (
                _name(*case),
                f"{answers[_name(*case)][-1]['events']:,}",
                number(float(answers[_name(*case)][-1]["seconds"])),
                f"{float(answers[_name(*case)][-1]['bytes_per_trial']) / 1000:.1f} kB",
                ", ".join(f"{n:,} {status}" for status, n in dict(answers[_name(*case)][-1]["counts"]).items()),
            )
            for case in cases
        ],
    )
    page.text(
        "Memory is the growth of the process's resident set; a study in memory keeps every event once, a study on "
        "SQLite keeps the records of the trials only."
    )
    slowest = max(spread.median for one in kept.values() for spread in one["wall_us"].values())
    steepest = max(one["cpu_us"][sizes[-1]].median / one["cpu_us"][1000].median for one in kept.values())
    page.table(
        "Targets",
        ("", "target", "found", ""),
        [
            (
                "microseconds of the wall clock per event, worst of all above",
                "500",
                number(slowest),
                _met(slowest <= 500),
            ),
            (
                f"processor time per event, {sizes[-1]:,} trials over 1,000, worst",
                "2×",
                f"{number(steepest, 2)}×",
                _met(steepest <= 2),
            ),
        ],
    )
    page.keep(**kept)
    page.write()


def _met(met: bool) -> str:
    return "met" if met else "missed"


def _name(scheduler: str, storage: str) -> str:
    return f"random + {scheduler}, {'SQLite' if storage == 'sqlite' else 'in memory'}"


def _per_event(answers: Sequence[dict[str, Any]], size: int, kind: str) -> Spread:
    found = [answer["windows"].get(str(size)) for answer in answers]
    return Spread(tuple(1e6 * window[kind] for window in found if window))


if __name__ == "__main__":
    main()

"""What storage costs, Tunewell against Optuna: ``python -m benchmarks.storage``.

Every measurement runs in a fresh interpreter on new files; a library's imports are not counted.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks._common import Page, Spread, command, fresh, interleaved, number, options, scratch, together

OURS, PEER, FLOOR = "benchmarks.storage.ours", "benchmarks.storage.peer_optuna", "benchmarks.storage.floor"

DURABILITY = """**What durable means here.** In every row on disk a decision is committed before anything acts on it.
On SQLite Tunewell's commit survives the death of the process at once. Against a power cut, a commit that comes 0.1
seconds or more after the last flush to the disk flushes itself and all before it (`SYNC_SECONDS`); commits that follow
within 0.1 seconds of a flush wait for the next one that is due. So a burst of trials of a millisecond each can lose
its end. A report that no decision hangs on waits up to 0.05 seconds (`FLUSH_SECONDS`) for company in its transaction;
the death of the process can take the reports of that time, and their trial goes on from its checkpoint. Optuna flushes
every commit and every journal line to the disk, several a trial. The rows "every commit flushed" and "each report a
flushed commit" set these constants to zero, which gives Optuna's durability: the ratio of those rows is what one
transaction per trial gains by itself."""


@dataclass(frozen=True)
class Backend:
    """One row of a table: where it runs, on what, and how much work is enough to measure it."""

    name: str
    module: str
    backend: str
    count: int
    quick: int

    @property
    def peer(self) -> bool:
        """Whether it needs the peers' Python."""
        return self.module == PEER


TRIALS = (
    Backend("Tunewell, SQLite", OURS, "sqlite", 5000, 1000),
    Backend("Tunewell, SQLite, every commit flushed", OURS, "sqlite-fsync", 2000, 500),
    Backend("Tunewell, in memory", OURS, "memory", 10000, 2000),
    Backend("Optuna, SQLite", PEER, "sqlite", 150, 40),
    Backend("Optuna, journal file", PEER, "journal", 1000, 200),
    Backend("Optuna, in memory", PEER, "memory", 5000, 1000),
)
REPORTS = (
    Backend("Tunewell, SQLite", OURS, "sqlite", 50, 10),
    Backend("Tunewell, SQLite, each report a commit", OURS, "sqlite-each", 10, 2),
    Backend("Tunewell, SQLite, each report a flushed commit", OURS, "sqlite-each-fsync", 4, 1),
    Backend("Tunewell, in memory", OURS, "memory", 50, 10),
    Backend("Optuna, SQLite", PEER, "sqlite", 1, 1),
    Backend("Optuna, journal file", PEER, "journal", 5, 1),
    Backend("Optuna, in memory", PEER, "memory", 50, 10),
)
STORED = (
    Backend("Tunewell, SQLite", OURS, "sqlite", 10_000, 1000),
    Backend("Optuna, SQLite", PEER, "sqlite", 10_000, 1000),
    Backend("Optuna, journal file", PEER, "journal", 10_000, 1000),
)
SHARED = (
    Backend("Tunewell, SQLite", OURS, "sqlite", 4000, 1000),
    Backend("Optuna, SQLite", PEER, "sqlite", 120, 24),
    Backend("Optuna, journal file", PEER, "journal", 800, 160),
)
LONG = 1000
"""Reports of each trial in the table of reports."""

PROCESSES = (1, 2, 4)
QUICK_PROCESSES = (1, 2)
STEPS = 20
FLOORS = {"NORMAL": "plain sqlite3, flushed by no commit", "FULL": "plain sqlite3, every commit flushed"}


def main() -> None:
    """Measure everything and write the page."""
    given = options("What storage costs.", repeats=3)
    page = Page("storage", "Storage", given)
    page.text(DURABILITY)
    trials, floors, fsync = trials_and_floor(given)
    reports = interleaved(rates(given, "reports", REPORTS, LONG), given.repeats)
    opened = opening(given)
    shared = sharing(given)
    _table(page, "Trials started and finished per second (no-op objective, 3 parameters, random, one process)", trials)
    page.text(
        "Tunewell writes a trial in one transaction of two rows. The same rows, inserted by plain sqlite3 one "
        "transaction a trial, are the floor (no sampling, no encoding, no study; table below); one flush of 4 KiB "
        f"takes {fsync.show('ms')} on this disk."
    )
    page.table(
        "The floor: trials per second if there were only the commits",
        ("", "a second", "Tunewell's share of it"),
        [
            (FLOORS["NORMAL"], floors["NORMAL"].show(), _share(trials["Tunewell, SQLite"], floors["NORMAL"])),
            (
                FLOORS["FULL"],
                floors["FULL"].show(),
                _share(trials["Tunewell, SQLite, every commit flushed"], floors["FULL"]),
            ),
        ],
    )
    _table(page, f"Intermediate reports per second (trials of {LONG:,} steps that only report)", reports)
    count = STORED[0].quick if given.quick else STORED[0].count
    page.table(
        f"Opening a study of {count:,} trials with {STEPS} reports each and reading every value (new process)",
        ("", "seconds", "Tunewell is faster by"),
        [
            (name, taken.show(), taken.factor(opened["Tunewell, SQLite"]) if "Optuna" in name else "")
            for name, taken in opened.items()
        ],
    )
    processes = _processes(given)
    page.table(
        "Processes that share one study: trials per second in all, from the start to the end of the last trial",
        ("", *(f"{n} process{'es' if n > 1 else ''}" for n in processes)),
        [
            (backend.name, *(shared[f"{backend.name}, {n}"].show() for n in processes))
            for backend in _chosen(given, SHARED)
        ],
    )
    page.keep(trials=trials, floor=floors, fsync_ms=fsync, reports=reports, opening_seconds=opened, shared=shared)
    if given.with_peers:
        _targets(page, trials, reports, opened)
    page.write()


def rates(
    given: argparse.Namespace, work: str, backends: tuple[Backend, ...], each: int = 1
) -> dict[str, Callable[[], float]]:
    """Return what measures how many trials, or reports (``each`` per trial), each backend does a second."""

    def measure(backend: Backend) -> Callable[[], float]:
        def once() -> float:
            count = backend.quick if given.quick else backend.count
            with scratch() as folder:
                about = (backend.backend, folder, "--count", count, "--steps", each, "--seed", given.seed)
                found = fresh(backend.module, work, *about, peer=backend.peer)
            _check(backend, found["done"], count * each)
            return float(found["done"] / found["seconds"])

        return once

    return {backend.name: measure(backend) for backend in _chosen(given, backends)}


def trials_and_floor(given: argparse.Namespace) -> tuple[dict[str, Spread], dict[str, Spread], Spread]:
    """Return the trials a second of all backends and of plain inserts, and the milliseconds of one flush."""
    with scratch() as folder:
        fresh(OURS, "trials", "sqlite", folder, "--count", 500 if given.quick else 2000, "--seed", given.seed)

        def inserted(synchronous: str) -> float:
            for file in folder.glob("floor-*"):
                file.unlink()
            found = fresh(FLOOR, "insert", folder, "--synchronous", synchronous)
            return float(found["done"] / found["seconds"])

        measures = rates(given, "trials", TRIALS)
        names = list(measures)
        measures["NORMAL"] = lambda: inserted("NORMAL")
        measures["FULL"] = lambda: inserted("FULL")
        measures["fsync"] = lambda: 1000 * float(fresh(FLOOR, "fsync", folder)["seconds"])
        taken = interleaved(measures, given.repeats)
    return {name: taken[name] for name in names}, {name: taken[name] for name in FLOORS}, taken["fsync"]


def opening(given: argparse.Namespace) -> dict[str, Spread]:
    """Return the seconds to open and read a large study."""
    with scratch() as folder:
        measures: dict[str, Callable[[], float]] = {}
        for backend in _chosen(given, STORED):
            home = folder / f"{backend.peer}-{backend.backend}"
            home.mkdir()
            count = backend.quick if given.quick else backend.count
            about = (backend.backend, home, "--count", count, "--steps", STEPS, "--seed", given.seed)
            fresh(backend.module, "build", *about, peer=backend.peer)

            def once(backend: Backend = backend, about: tuple[object, ...] = about, count: int = count) -> float:
                found = fresh(backend.module, "read", *about, peer=backend.peer)
                _check(backend, found["done"], count)
                _check(backend, found["reports"], count * STEPS)
                return float(found["seconds"])

            measures[backend.name] = once
        return interleaved(measures, given.repeats)


def sharing(given: argparse.Namespace) -> dict[str, Spread]:
    """Return the trials a second in all that 1, 2 and 4 processes do on one study."""

    def measure(backend: Backend, processes: int) -> Callable[[], float]:
        def once() -> float:
            total = backend.quick if given.quick else backend.count
            each = total // processes if backend.peer else total
            with scratch() as folder:
                about = (backend.backend, folder, "--count", each)
                fresh(backend.module, "create", *about, "--seed", given.seed, peer=backend.peer)
                seeds = [given.seed + k if backend.peer else given.seed for k in range(processes)]
                lines = [command(backend.module, "share", *about, "--seed", s, peer=backend.peer) for s in seeds]
                found = together(lines)
            _check(backend, max(one["done"] for one in found), total)
            return float(total / (max(one["end"] for one in found) - min(one["begin"] for one in found)))

        return once

    rounds = max(1, min(3, given.repeats))
    return interleaved(
        {f"{b.name}, {n}": measure(b, n) for n in _processes(given) for b in _chosen(given, SHARED)}, rounds
    )


def _processes(given: argparse.Namespace) -> tuple[int, ...]:
    return QUICK_PROCESSES if given.quick else PROCESSES


def _chosen(given: argparse.Namespace, backends: tuple[Backend, ...]) -> list[Backend]:
    return [backend for backend in backends if not (backend.peer and not given.with_peers)]


def _check(backend: Backend, found: float, expected: int) -> None:
    if found != expected:
        raise RuntimeError(f"expected {expected} from {backend.name}, found {found}")


def _share(ours: Spread, floor: Spread) -> str:
    return f"{100 * ours.over(floor).median:.0f} %"


def _table(page: Page, heading: str, taken: dict[str, Spread]) -> None:
    ours = taken["Tunewell, SQLite"]
    flushed = next(spread for name, spread in taken.items() if "flushed" in name)
    page.table(
        heading,
        ("", "a second", "Tunewell, SQLite, is faster by", "the same with every commit flushed"),
        [
            (name, spread.show(), *((ours.factor(spread), flushed.factor(spread)) if "Optuna" in name else ("", "")))
            for name, spread in taken.items()
        ],
    )


def _targets(page: Page, trials: dict[str, Spread], reports: dict[str, Spread], opened: dict[str, Spread]) -> None:
    mine, database, journal = "Tunewell, SQLite", "Optuna, SQLite", "Optuna, journal file"
    flushed, each = "Tunewell, SQLite, every commit flushed", "Tunewell, SQLite, each report a flushed commit"
    rows: list[tuple[str, int, Spread, Spread | None]] = []
    for name, target, backend in (("trials", 100, database), ("trials", 8, journal)):
        equal = trials[flushed].over(trials[backend])
        rows.append((f"{name} a second, {backend}", target, trials[mine].over(trials[backend]), equal))
    for name, target, backend in (("reports", 50, database), ("reports", 3, journal)):
        equal = reports[each].over(reports[backend])
        rows.append((f"{name} a second, {backend}", target, reports[mine].over(reports[backend]), equal))
    rows += [(f"opening, {backend}", 5, opened[backend].over(opened[mine]), None) for backend in (database, journal)]
    page.table(
        "Targets",
        ("against", "target", "found", "", "at equal durability"),
        [
            (
                name,
                f"{target}×",
                found.show(digits=2) + "×",
                "met" if found.median >= target else "missed",
                number(equal.median, 2) + "×" if equal else "",
            )
            for name, target, found, equal in rows
        ],
    )


if __name__ == "__main__":
    main()

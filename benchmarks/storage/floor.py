"""The floor of the storage benchmark: the very rows of a Tunewell study, inserted by plain sqlite3."""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import time
from pathlib import Path

TABLE = (
    "CREATE TABLE events (study INTEGER NOT NULL, position INTEGER NOT NULL, kind VARCHAR(40) NOT NULL, "
    "body TEXT NOT NULL, PRIMARY KEY (study, position)) WITHOUT ROWID"
)


def insert(given: argparse.Namespace) -> dict[str, float]:
    """Insert the rows that ``ours.db`` holds, one transaction a trial (two events), into a new database."""
    source = sqlite3.connect(given.directory / "ours.db")
    rows = source.execute("SELECT study, position, kind, body FROM events ORDER BY position").fetchall()[1:]
    source.close()
    target = sqlite3.connect(given.directory / f"floor-{given.synchronous}.db", isolation_level=None)
    target.execute("PRAGMA journal_mode=WAL")
    target.execute(f"PRAGMA synchronous={given.synchronous}")
    target.execute(TABLE)
    pairs = [rows[i : i + 2] for i in range(0, len(rows), 2)]
    begin = time.perf_counter()
    for pair in pairs:
        target.execute("BEGIN")
        target.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", pair)
        target.execute("COMMIT")
    seconds = time.perf_counter() - begin
    target.close()
    return {"seconds": seconds, "done": len(pairs)}


def fsync(given: argparse.Namespace) -> dict[str, float]:
    """Time one flush of 4 KiB to the disk."""
    taken = []
    with (given.directory / "flushed").open("wb") as file:
        for _ in range(100):
            file.write(bytes(4096))
            file.flush()
            begin = time.perf_counter()
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - begin)
    return {"seconds": statistics.median(taken)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", choices=("insert", "fsync"))
    parser.add_argument("directory", type=Path)
    parser.add_argument("--synchronous", choices=("NORMAL", "FULL"), default="NORMAL")
    arguments = parser.parse_args()
    print(json.dumps({"insert": insert, "fsync": fsync}[arguments.work](arguments)))

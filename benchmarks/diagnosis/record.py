"""Train the labelled set: ``python -m benchmarks.diagnosis.record``, about ninety minutes on one core.

The data come from the folder ``TUNEWELL_TABLES`` and from scikit-learn; PyTorch is needed. Every training is put aside
in ``build/`` as soon as it is done and not made again; at the end all of them are one file, :data:`RECORDED`.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from benchmarks._common import SCRATCH
from benchmarks.diagnosis.families import chance, loaded
from benchmarks.diagnosis.plan import VARIANTS, planned, setups
from benchmarks.diagnosis.training import CURVES, HIDDEN, Run, train

RECORDED = Path(__file__).resolve().parent / "recorded" / "runs.jsonl.gz"
ASIDE = SCRATCH / "diagnosis" / "runs.jsonl"
Row = Mapping[str, Any]


def shortened(value: float) -> float | None:
    """Return four significant digits; None for what is no number."""
    return float(f"{value:.4g}") if math.isfinite(value) else None


def run_of(row: Row) -> Run:
    """Return the training that a row tells of."""
    return Run(**row["run"])


def recorded() -> dict[str, dict[str, Any]]:
    """Return the rows there are, by the keys of their trainings; curves have NaN where they were not finite."""
    found: dict[str, dict[str, Any]] = {}
    lines: list[str] = []
    if RECORDED.exists():
        lines += gzip.decompress(RECORDED.read_bytes()).decode().splitlines()
    if ASIDE.exists():
        lines += ASIDE.read_text(encoding="utf-8").splitlines()
    for line in lines:
        row = json.loads(line)
        for name in (*CURVES, *HIDDEN):
            row[name] = [math.nan if value is None else value for value in row[name]]
        found[run_of(row).key] = row
    return found


def made(run: Run, known: dict[str, dict[str, Any]], aside: Path = ASIDE) -> dict[str, Any]:
    """Return the row of a training, trained now unless it is known."""
    if run.key not in known:
        start = time.process_time()
        curves = train(run)
        written = {f.name: getattr(run, f.name) for f in fields(run) if getattr(run, f.name) != f.default}
        row = {
            "run": written,
            **{name: [shortened(value) for value in values] for name, values in curves.items()},
            "chance": shortened(chance(loaded(run.family)[1], loaded(run.family)[0][2][1])),
            "seconds": round(time.process_time() - start, 2),
        }
        aside.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, separators=(",", ":")) + "\n")
        known[run.key] = {**row, **curves}
    return known[run.key]


def assemble(rows: Iterable[Row]) -> int:
    """Write all rows into one file and return its size in bytes."""
    lines = [
        json.dumps(
            {
                name: [shortened(value) for value in part] if name in (*CURVES, *HIDDEN) else part
                for name, part in row.items()
            },
            separators=(",", ":"),
        )
        for row in rows
    ]
    RECORDED.parent.mkdir(exist_ok=True)
    RECORDED.write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))
    return RECORDED.stat().st_size


def main() -> None:
    """Train what is missing."""
    import torch

    parser = argparse.ArgumentParser(prog="python -m benchmarks.diagnosis.record")
    parser.add_argument("--setups", nargs="+", default=None, metavar="FAMILY", help="only these families")
    given = parser.parse_args()
    torch.set_num_threads(1)
    known, start = recorded(), time.perf_counter()
    for variant, (family, optimizer) in itertools.product(VARIANTS, setups()):
        if given.setups and family not in given.setups:
            continue
        for run in planned(family, optimizer, variant, lambda run: made(run, known)):
            made(run, known)
        print(f"{variant or 'plain'} {family} {optimizer}: {time.perf_counter() - start:.0f} s", flush=True)
    print(f"{len(known)} trainings, {assemble(known.values()) / 1e3:.0f} kB")


if __name__ == "__main__":
    main()

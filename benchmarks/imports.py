"""What ``import tunewell`` costs beside ``import numpy``: ``python -m benchmarks.imports``.

Every import is timed from outside, in a fresh interpreter, start and end of Python included: the wall clock, and the
processor time, which the load of neighbours moves less.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from benchmarks._common import PEERS_PYTHON, Page, Spread, environment, interleaved, options

NOTHING, NUMPY, OURS, STUDY = "nothing", "import numpy", "import tunewell", "import tunewell; tunewell.Study"
STORED = "from tunewell.journals.sql import SqlStorage"
PEERS = ("import numpy, optuna", "import numpy, ray.tune")
MUST_NOT = ("torch", "pandas", "plotly", "sqlalchemy", "scipy")
LOOKED_FOR = (*MUST_NOT, "sklearn", "matplotlib", "rich", "typer", "msgspec", "numpy")
ALLOWED_MS = 100.0
LOADED = f"""
import json, sys
print(json.dumps([name for name in {LOOKED_FOR!r} if name in sys.modules]))
"""


def main() -> None:
    """Measure everything and write the page."""
    given = options("What importing costs.", repeats=15)
    rounds = 3 if given.quick else given.repeats
    given.repeats = rounds
    page = Page("imports", "Importing", given)
    cpu: dict[str, list[float]] = {}
    measures = {line: _timed(sys.executable, line, cpu) for line in (NOTHING, NUMPY, OURS, STUDY, STORED)}
    if given.with_peers:
        measures.update({line: _timed(str(PEERS_PYTHON), line, cpu) for line in PEERS})
    for measure in measures.values():  # once unseen: compiled files, the page cache
        measure()
    cpu.clear()
    taken = interleaved(measures, rounds)
    processor = {line: Spread(tuple(values)) for line, values in cpu.items()}
    loaded = {line: _loaded(line) for line in (OURS, STUDY, STORED)}
    page.text("Milliseconds of a whole Python process that does one thing and ends.")
    page.table(
        "Importing",
        ("", "wall clock", "of the processor", "more than import numpy (wall, processor)", "large packages it loads"),
        [
            (
                f"`{line}`",
                spread.show(),
                processor[line].show(),
                "" if line in (NOTHING, NUMPY) else f"{_more(taken, line):+.0f}, {_more(processor, line):+.0f}",
                ", ".join(loaded[line]) or "none" if line in loaded else "",
            )
            for line, spread in taken.items()
        ],
    )
    more = _more(taken, OURS)
    bad = [name for name in loaded[OURS] if name in MUST_NOT]
    page.table(
        "Targets",
        ("", "target", "found", ""),
        [
            (
                f"`{OURS}` beyond `{NUMPY}`",
                f"at most {ALLOWED_MS:g} ms",
                f"{more:+.0f} ms",
                "met" if more <= ALLOWED_MS else "missed",
            ),
            (
                f"of {', '.join(MUST_NOT)}, `{OURS}` loads",
                "none",
                ", ".join(bad) or "none",
                "missed" if bad else "met",
            ),
        ],
    )
    page.keep(wall_ms=taken, processor_ms=processor, loaded=loaded)
    page.write()


def _more(taken: Mapping[str, Spread], line: str) -> float:
    return taken[line].median - taken[NUMPY].median


def _timed(python: str, line: str, cpu: dict[str, list[float]]) -> Callable[[], float]:
    """Return a measure of one fresh interpreter, in milliseconds; its processor time goes to ``cpu``."""

    def once() -> float:
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        begin = time.perf_counter()
        subprocess.run([python, "-c", "" if line == NOTHING else line], env=environment(), check=True)
        wall = time.perf_counter() - begin
        now = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu.setdefault(line, []).append(1000 * (now.ru_utime + now.ru_stime - spent.ru_utime - spent.ru_stime))
        return 1000 * wall

    return once


def _loaded(line: str) -> Sequence[str]:
    done = subprocess.run([sys.executable, "-c", f"{line}\n{LOADED}"], capture_output=True, text=True, check=True)
    found: list[str] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    main()

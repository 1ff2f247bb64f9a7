"""What ``import tunewell`` costs beside ``import numpy``: ``python -m benchmarks.imports``.

Every import is timed from outside, in a fresh interpreter, start and end of Python included.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from benchmarks._common import PEERS_PYTHON, Page, environment, interleaved, number, options

NOTHING, NUMPY, OURS, STUDY = "nothing", "import numpy", "import tunewell", "import tunewell; tunewell.Study"
STORED = "from tunewell.journals.sql import SqlStorage"
PEERS = ("import numpy, optuna", "import numpy, ray.tune")
HEAVY = ("torch", "pandas", "plotly", "sqlalchemy", "scipy", "sklearn", "matplotlib", "rich", "typer", "msgspec", "numpy")
MUST_NOT = ("torch", "pandas", "plotly", "sqlalchemy", "scipy")
ALLOWED_MS = 100.0
LOADED = f"""
import json, sys
print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))
"""


def main() -> None:
    """Measure everything and write the page."""
    given = options("What importing costs.", repeats=15)
    rounds = 3 if given.quick else given.repeats
    given.repeats = rounds
    page = Page("imports", "Importing", given)
    measures = {line: _timed(sys.executable, line) for line in (NOTHING, NUMPY, OURS, STUDY, STORED)}
    if not given.without_peers:
        measures.update({line: _timed(str(PEERS_PYTHON), line) for line in PEERS})
    for measure in measures.values():  # once unseen: compiled files, the page cache
        measure()
    taken = interleaved(measures, rounds)
    loaded = {line: _loaded(line) for line in (OURS, STUDY, STORED)}
    page.text("Milliseconds of a whole Python process that does one thing and ends.")
    page.table(
        "Importing",
        ("", "milliseconds", "more than import numpy", "of the large packages it loads"),
        [
            (
                f"`{line}`",
                spread.show(),
                "" if line == NOTHING else number(spread.median - taken[NUMPY].median, 2),
                ", ".join(loaded[line]) or "none" if line in loaded else "",
            )
            for line, spread in taken.items()
        ],
    )
    more = taken[OURS].median - taken[NUMPY].median
    bad = [name for name in loaded[OURS] if name in MUST_NOT]
    page.table(
        "Targets",
        ("", "target", "found", ""),
        [
            (
                f"`{OURS}` beyond `{NUMPY}`",
                f"at most {ALLOWED_MS:g} ms",
                f"{number(more, 2)} ms",
                "met" if more <= ALLOWED_MS else "missed",
            ),
            (f"`{OURS}` loads none of {', '.join(MUST_NOT)}", "none", ", ".join(bad) or "none", "missed" if bad else "met"),
        ],
    )
    page.keep(milliseconds=taken, loaded=loaded)
    page.write()


def _timed(python: str, line: str) -> Callable[[], float]:
    """Return a measure of one fresh interpreter, in milliseconds."""

    def once() -> float:
        begin = time.perf_counter()
        subprocess.run([python, "-c", "" if line == NOTHING else line], env=environment(), check=True)
        return 1000 * (time.perf_counter() - begin)

    return once


def _loaded(line: str) -> Sequence[str]:
    done = subprocess.run([sys.executable, "-c", f"{line}\n{LOADED}"], capture_output=True, text=True, check=True)
    found: list[str] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    main()

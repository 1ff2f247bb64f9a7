"""What the benchmarks share: measuring in fresh interpreters, spreads and ratios, and the pages of results.

Standard library only, because the peers' scripts import it in an environment without Tunewell.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
SCRATCH = ROOT / "build" / "benchmarks"
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
VERSIONS = """
import importlib.metadata as metadata, json, sys
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""


def options(description: str, repeats: int, *, peers: bool = True) -> argparse.Namespace:
    """Read the command line that all benchmarks share; ``peers=False`` is for one that compares with nobody."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a few seconds; results go to build/, not to results/")
    if peers:
        parser.add_argument("--without-peers", action="store_true", help="measure Tunewell alone")
    parser.add_argument("--repeats", type=int, default=None, help=f"rounds (default {repeats}; 1 with --quick)")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    given.with_peers = peers and not given.without_peers
    given.said_repeats = given.repeats is not None
    if given.repeats is None:
        given.repeats = 1 if given.quick else repeats
    if given.with_peers and not PEERS_PYTHON.exists():
        parser.error("expected the peers in .venv-peers, found none: run benchmarks/peers.sh, or say --without-peers")
    return given


@contextmanager
def scratch() -> Iterator[Path]:
    """Give an empty folder on the disk that holds the repository (the system's one may lie in memory)."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        yield Path(folder)


# --- one measurement, one interpreter ---------------------------------------------------------------------------------


def command(module: str, *arguments: object, peer: bool = False) -> list[str]:
    """Return the command that runs a module of the benchmarks, with Tunewell's Python or the peers'."""
    return [str(PEERS_PYTHON) if peer else sys.executable, "-m", module, *map(str, arguments)]


def fresh(module: str, *arguments: object, peer: bool = False, timeout: float = 600) -> dict[str, Any]:
    """Run a module of the benchmarks in an interpreter of its own; return the JSON object it printed last.

    Raises:
        RuntimeError: it failed.
    """
    line = command(module, *arguments, peer=peer)
    done = subprocess.run(line, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=timeout)
    if done.returncode:
        raise RuntimeError(f"{' '.join(line)} ended with {done.returncode}:\n{done.stderr[-4000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def together(lines: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """Run several commands at the same time: each says ``ready``, waits for a line, works, and prints a JSON object.

    Raises:
        RuntimeError: one of them failed.
    """
    running = [
        subprocess.Popen(line, cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for line in lines
    ]
    try:
        for process in running:
            if process.stdout is None or process.stdout.readline().strip() != "ready":
                raise RuntimeError(f"expected {process.args!r} to say that it is ready, got something else")
        for process in running:
            if process.stdin is not None:
                process.stdin.write("go\n")
                process.stdin.flush()
        answers = [process.communicate(timeout=600)[0] for process in running]
        if failed := [process.args for process in running if process.returncode]:
            raise RuntimeError(f"expected all processes to end well, {failed!r} did not")
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
    return [json.loads(answer.strip().splitlines()[-1]) for answer in answers]


def await_start() -> None:
    """The other side of :func:`together`."""
    print("ready", flush=True)
    sys.stdin.readline()


def environment() -> dict[str, str]:
    """Return the environment of every measurement: ours, with one thread for linear algebra."""
    return {**os.environ, **ONE_THREAD}


def with_sources() -> dict[str, str]:
    """Return the measurements' environment, in which peers find Tunewell's spaces without having it installed."""
    return {**environment(), "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}


# --- many measurements ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spread:
    """What repeated measurements gave, in the order of the rounds."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    def show(self, unit: str = "", digits: int = 3) -> str:
        """Return ``median (min–max) unit``."""
        middle, low, high = (number(v, digits) for v in (self.median, min(self.values), max(self.values)))
        spread = f" ({low}–{high})" if len(self.values) > 1 else ""
        return f"{middle}{spread}{' ' if unit else ''}{unit}"

    def over(self, other: Spread) -> Spread:
        """Return the ratios to ``other``, round by round."""
        return Spread(tuple(a / b for a, b in zip(self.values, other.values, strict=True)))

    def factor(self, other: Spread) -> str:
        """Return how many times as large as ``other``: the median of the rounds' ratios, smallest and largest."""
        return self.over(other).show(digits=2) + "×"


def number(value: float, digits: int = 3) -> str:
    """Return a number with ``digits`` significant digits, commas in the thousands and no exponent."""
    if value == 0:
        return "0"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    return f"{round(value, decimals):,.{max(0, decimals)}f}"


def interleaved(measures: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, Spread]:
    """Take all measures once a round, so that a neighbour's load falls on all of them alike."""
    taken: dict[str, list[float]] = {name: [] for name in measures}
    for turn in range(rounds):
        for name, measure in measures.items():
            taken[name].append(measure())
            print(f"  round {turn + 1}/{rounds}  {name}: {number(taken[name][-1])}", file=sys.stderr, flush=True)
    return {name: Spread(tuple(values)) for name, values in taken.items()}


# --- pages of results -------------------------------------------------------------------------------------------------


@dataclass
class Page:
    """The results of one benchmark: a page to read and the same numbers as data."""

    name: str
    title: str
    given: argparse.Namespace
    parts: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    how: str = "interleaved; median (smallest–largest)"

    def text(self, *paragraphs: str) -> None:
        """Add paragraphs."""
        self.parts.extend(paragraphs)

    def table(self, heading: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Add a heading and a table; numbers stand to the right."""
        lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
        self.parts.append(f"## {heading}")
        self.parts.append("\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines))

    def keep(self, **measured: Any) -> None:
        """Add numbers to the data."""
        self.data.update({name: _plain(value) for name, value in measured.items()})

    def write(self) -> None:
        """Print the page and write it with its data: to ``results/``, or to ``build/`` when it was a quick one."""
        about = {
            "command": f"python -m benchmarks.{self.name}{_said(self.given)}",
            "date": datetime.date.today().isoformat(),
            "machine": f"{len(os.sched_getaffinity(0))} cores, {platform.system()}, shared with other work",
            "python": platform.python_version(),
            "versions": versions(peers=self.given.with_peers),
            "seed": self.given.seed,
            "rounds": self.given.repeats,
        }
        said = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
        head = [
            f"# {self.title}",
            f"`{about['command']}` on {about['date']}: {about['machine']}, Python {about['python']}, {said}; "
            f"seed {about['seed']}; {about['rounds']} round(s), {self.how}.",
        ]
        page = "\n\n".join([*head, *self.parts]) + "\n"
        folder = SCRATCH if self.given.quick else RESULTS
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.name}.md").write_text(page, encoding="utf-8")
        data = {"about": about, **self.data}
        (folder / f"{self.name}.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        print(page)


def versions(*, peers: bool) -> dict[str, str]:
    """Return the versions of what is compared."""
    asked: dict[str, tuple[str, ...]] = {sys.executable: ("tunewell", "numpy", "sqlalchemy")}
    if peers:
        asked[str(PEERS_PYTHON)] = ("optuna", "ray")
    found: dict[str, str] = {}
    for python, names in asked.items():
        done = subprocess.run([python, "-c", VERSIONS, *names], capture_output=True, text=True, check=True)
        found.update(json.loads(done.stdout))
    return found


def versions_in(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the versions that results were measured with, as text."""
    found: dict[str, str] = {}
    for row in rows:
        found |= row["versions"]
    return ", ".join(f"{name} {version}" for name, version in sorted(found.items()))


def markdown(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table in Markdown, the numbers on the right."""
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _said(given: argparse.Namespace) -> str:
    flags = [f"--{name.replace('_', '-')}" for name in ("quick", "without_peers") if getattr(given, name, False)]
    flags += [f"--repeats {given.repeats}"] if given.said_repeats else []
    flags += [f"--seed {given.seed}"] if given.seed else []
    return "".join(f" {flag}" for flag in flags)


def _plain(value: Any) -> Any:
    if isinstance(value, Spread):
        return {"median": value.median, **asdict(value)}
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    return value


def keep_lines(command: Sequence[str], said: Mapping[str, str], path: Path, limit: float) -> int:
    """Run a worker and append what it prints as JSON to a file, line by line; return how many lines.

    A worker that takes longer than ``limit`` seconds is killed; what it has said by then is kept.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    n = 0
    with subprocess.Popen(command, cwd=ROOT, env=dict(said), stdout=subprocess.PIPE, text=True) as process:
        late = threading.Timer(limit, process.kill)
        late.start()
        try:
            for line in process.stdout or ():
                if line.startswith("{"):
                    with path.open("a", encoding="utf-8") as file:
                        file.write(line)
                    n += 1
        finally:
            late.cancel()
            process.kill()
    return n

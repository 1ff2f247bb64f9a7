"""The rooms and their order: imports point down, no circles, and the public names are these."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tunewell

ROOT = Path(tunewell.__file__).parent

# From the ground up. A module may import from its own row or from rows above it in this list.
LAYERS = [
    ["options"],
    ["scales", "values", "knowledge", "parameters", "lint", "space", "tiers", "numerics", "identity", "registry"],
    ["fingerprints", "events", "rehearsal"],
    ["activity", "records", "failing", "retention", "rungs", "sofar", "leaders", "cadence", "history", "memo"],
    ["protocols", "surrogate"],
    ["trial", "checkpoints", "analysis", "schedules", "lr_schedules"],
    ["torch"],
    ["samplers", "schedulers", "executors", "journals"],
    ["strategies"],
    ["fingerprinting", "retuning"],
    ["aims", "plans", "storages", "limits", "decisions", "deciders", "heartbeat", "ledger"],
    ["guards", "wishes", "granting", "moves"],
    ["console", "driver", "reading", "replay", "steering", "study"],
    ["integrations", "demo", "starting", "testing", "torch", "watching"],
    ["cli", "server", "web", "__main__"],
]
PUBLIC = {
    "Choice", "Diagnosis", "Finding", "Fingerprint", "Float", "Halted", "History", "Int", "JournalError",
    "ObjectiveError", "Prior", "Space", "Status", "Study", "StudyDeleted", "Trial", "TrialRecord", "__version__",
    "delete", "diagnose", "executors", "fingerprint", "knowledge", "lr_schedules", "open", "samplers", "schedulers",
    "strategies", "testing", "torch",
}  # fmt: skip


def rank(module: str) -> int:
    room = module.split(".")[1] if "." in module else "__init__"
    for number, rooms in enumerate(LAYERS):
        if room in rooms:
            return number
    raise AssertionError(f"{module} stands in no layer: add its room to LAYERS")


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(module: str, path: Path, known: dict[str, Path]) -> set[str]:
    """Return the modules of ours that a file imports, wherever in it, except for type checkers only."""
    tree = ast.parse(path.read_text())
    names: set[str] = set()

    def walk(node: ast.AST) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            return
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                names.add(inner if inner in known else str(node.module))
        for child in ast.iter_child_nodes(node):
            walk(child)

    walk(tree)
    return {name for name in names if name.split(".")[0] == "tunewell"} - {module}


def test_imports_point_down() -> None:
    known = modules()
    upward = [
        f"{module} imports {other}"
        for module, path in known.items()
        if module != "tunewell"
        for other in imported(module, path, known)
        if other != "tunewell" and rank(other) > rank(module)
    ]
    assert not upward, "\n".join(upward)


def test_no_circular_imports() -> None:
    known = modules()
    graph = {module: imported(module, path, known) & set(known) for module, path in known.items()}
    graph.pop("tunewell")
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join([*trail[trail.index(module) :], module])
        if module not in done:
            for other in sorted(graph.get(module, ())):
                visit(other, (*trail, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_every_public_name_is_in_the_reference() -> None:
    import tunewell.torch

    page = (Path(__file__).parents[1] / "docs" / "reference.md").read_text(encoding="utf-8")
    of_studies = [f"study.{name}" for name in dir(tunewell.Study) if not name.startswith("_")]
    names = [*(f"tw.{name}" for name in PUBLIC), *tunewell.torch.__all__, *of_studies]
    assert not [name for name in names if not re.search(rf"\b{re.escape(name)}\b", page)]


def test_every_module_has_a_docstring() -> None:
    silent = [module for module, path in modules().items() if not ast.get_docstring(ast.parse(path.read_text()))]
    assert not silent


def test_no_global_randomness_or_clock_where_decisions_are_made() -> None:
    banned = ("np.random.seed", "np.random.rand", "np.random.uniform", "import random", "time.time(", "datetime.now")
    rooms = ("samplers", "schedulers", "strategies", "numerics", "analysis")
    found = [
        f"{path.relative_to(ROOT)}: {words}"
        for room in rooms
        for path in (ROOT / room).rglob("*.py")
        for words in banned
        if words in path.read_text()
    ]
    assert not found


def test_the_public_names_are_pinned() -> None:
    assert set(tunewell.__all__) == PUBLIC
    for name in PUBLIC:
        assert getattr(tunewell, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = tunewell.Nonsense


def test_import_stays_light() -> None:
    heavy = ("torch", "pandas", "plotly", "scipy", "sqlalchemy", "rich", "typer", "sklearn")
    code = f"import sys, tunewell; print([m for m in {heavy!r} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"

"""The spaces and studies that a Python file makes, read without training anything."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import typer

from tunewell.cli.storage import Mistake

if TYPE_CHECKING:
    from tunewell.space import Space
    from tunewell.study import Study

_NAME = "tunewell_file"  # any but "__main__", so that what trains under a guard is left out


def spaces_and_studies(path: Path) -> dict[str, Space | Study]:
    """Return the studies that a file makes by their names there, and the spaces that are not those of a study.

    The file runs as if it were imported, up to where a study would train or open what is stored (see
    :mod:`tunewell.rehearsal`). It finds the modules beside it, as it does where it is started by itself; what it
    prints goes to standard error. A study that would train and has no name at the top level has its own.

    Raises:
        FileNotFoundError: there is no such file.
        Mistake: it has neither, or it fails.
    """
    from tunewell.space import Space
    from tunewell.study import Study

    if not path.is_file():
        raise FileNotFoundError(2, "No such file", str(path))
    values, trains = _rehearsed(path)
    found: dict[str, Space | Study] = {name: value for name, value in values.items() if isinstance(value, Study)}
    if trains is not None and not any(trains is study for study in found.values()):
        found[f"{trains.name} (that trains)" if trains.name in values else trains.name] = trains
    seen = [study.space for study in found.values() if isinstance(study, Study)]
    found |= {
        name: value
        for name, value in values.items()
        if isinstance(value, Space) and not any(value == space for space in seen)
    }
    if not found:
        raise Mistake(
            f"expected a tw.Space or tw.Study at the top level of {path}, found none: move one out of its function"
        )
    return found


def _rehearsed(path: Path) -> tuple[dict[str, Any], Study | None]:
    """Run a file up to where it would train; return what it has at its top level then, and the study that would."""
    from tunewell.rehearsal import rehearse

    module = ModuleType(_NAME)
    module.__file__ = str(path)
    trains = None
    with _as_a_script(path, module), redirect_stdout(sys.stderr):
        try:
            code = compile(path.read_bytes(), str(path), "exec")
            trains, went_on = rehearse(lambda: exec(code, module.__dict__))
            if went_on:
                typer.echo(
                    f"{path} catches everything around its training (except: or except BaseException), so it went on "
                    "without one: catch Exception",
                    err=True,
                )
        except Exception as error:
            raise Mistake(f"expected {path} to run, got {type(error).__name__}: {error}") from error
        except SystemExit as left:
            if left.code not in (None, 0):
                raise Mistake(f"expected {path} to run, but it calls sys.exit({left.code!r})") from left
    return vars(module), trains


@contextmanager
def _as_a_script(path: Path, module: ModuleType) -> Iterator[None]:
    """Let a file find the modules beside it and itself, and no arguments."""
    arguments, beside = sys.argv, str(path.resolve().parent)
    sys.modules[_NAME], sys.argv = module, [str(path)]
    sys.path.insert(0, beside)
    try:
        yield
    finally:
        sys.path.remove(beside)
        sys.argv = arguments
        sys.modules.pop(_NAME, None)

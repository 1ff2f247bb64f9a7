"""The spaces and studies that a Python file has at its top level."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tunewell.cli.storage import Mistake

if TYPE_CHECKING:
    from tunewell.space import Space
    from tunewell.study import Study


def spaces_and_studies(path: Path) -> dict[str, Space | Study]:
    """Return the studies of a file by their names there, and the spaces that are not those of a study.

    The file is run as if it were imported, and finds the modules beside it, as it does where it is started by itself.

    Raises:
        FileNotFoundError: there is no such file.
        Mistake: it has neither, or it fails.
    """
    from tunewell.space import Space
    from tunewell.study import Study

    if not path.is_file():
        raise FileNotFoundError(2, "No such file", str(path))
    beside = str(path.resolve().parent)
    sys.path.insert(0, beside)
    try:
        names = runpy.run_path(str(path), run_name="tunewell_lint")
    except Exception as error:
        raise Mistake(f"expected {path} to run, got {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(beside)
    found: dict[str, Space | Study] = {name: value for name, value in names.items() if isinstance(value, Study)}
    seen = [study.space for study in found.values() if isinstance(study, Study)]
    found |= {
        name: value
        for name, value in names.items()
        if isinstance(value, Space) and not any(value == space for space in seen)
    }
    if not found:
        raise Mistake(
            f"expected a tw.Space or tw.Study at the top level of {path}, found none: move one out of its function"
        )
    return found

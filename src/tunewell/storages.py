"""Where stored studies are: their names in a storage, their folders beside it, and removing them with both."""

from __future__ import annotations

import difflib
import hashlib
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tunewell.history import History

_MARK = ".tunewell-study"  # holds the name of the study that a folder belongs to


def delete(storage: str | Path, name: str) -> None:
    """Remove a stored study with its checkpoints and logs; other files in their folder stay.

    Raises:
        FileNotFoundError: there is no such database.
        KeyError: there is no such study.
    """
    from tunewell.journals.sql import SqlStorage

    database = SqlStorage(storage, create=False)
    try:
        if name not in database.names():
            raise KeyError(no_such_study(name, storage, database.names()))
        folder = directory_of(_history_or_none(database, name), database.path, name)
        database.delete(name)
        shutil.rmtree(folder / "trials", ignore_errors=True)
        if _owner(folder) == name:
            (folder / _MARK).unlink()
        with suppress(OSError):  # not empty, or not there
            folder.rmdir()
    finally:
        database.close()


def directory_of(history: History | None, database: Path | None, name: str) -> Path:
    """Return the folder of a stored study's checkpoints and logs: as stored, or else where it is by default."""
    stored = history.settings.get("directory") if history is not None else None
    return Path(stored) if stored else files_of(database, name)


def claim(folder: Path, name: str) -> None:
    """Take a folder for the checkpoints and logs of the study ``name``: trials of two studies have the same numbers.

    Raises:
        ValueError: it is another study's.
    """
    with suppress(OSError):  # whoever cannot write here will hear of it when there is something to write
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / _MARK).open("x", encoding="utf-8") as file:
            file.write(name)
    owner = _owner(folder)
    if owner not in ("", name):
        raise ValueError(
            f"a study expected a directory of its own, found checkpoints and logs of the study {owner!r} in {folder}: "
            f"write directory={str(folder / name)!r}"
        )


def _owner(folder: Path) -> str:
    """Return the name of the study that a folder belongs to; empty where none has said so."""
    try:
        return (folder / _MARK).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _history_or_none(database: Any, name: str) -> History | None:
    """Return the history of a study, None if it cannot be read: it can be deleted all the same."""
    try:
        return History(database.journal(name, create=False).read())
    except Exception:  # noqa: BLE001 (whatever is wrong with its events)
        return None


def files_of(database: Path | None, name: str) -> Path:
    """Return the default folder of a study's checkpoints and logs: beside the SQLite file, or in the current folder."""
    base = Path.cwd() / "tunewell-files" if database is None else database.with_name(f"{database.stem}-files")
    plain = re.sub(r"[^\w.-]+", "-", name).strip("-.") or "study"
    if plain != name:
        plain = f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return base / plain


def only_name(names: Sequence[str], storage: object) -> str:
    """Return the name of the only study; raise KeyError when there is none or several."""
    if len(names) == 1:
        return names[0]
    if not names:
        raise KeyError(f"{storage} holds no study yet")
    raise KeyError(f"{storage} holds {len(names)} studies: say which of {', '.join(names)}")


def no_such_study(name: str, storage: object, names: Sequence[str]) -> str:
    """Return the sentence that says so, with the nearest name."""
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"it holds {', '.join(names) or 'none'}"
    return f"there is no study {name!r} in {storage}: {hint}"

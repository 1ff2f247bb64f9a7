"""Where stored studies are: their names in a storage, their folders beside it, and removing them with both."""

from __future__ import annotations

import difflib
import glob
import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tunewell.history import History
from tunewell.rehearsal import is_rehearsal

_MARK = ".tunewell-study"  # says which study a folder belongs to
_LONGEST = 255  # bytes in a folder's name
_SQLITE = b"SQLite format 3\0"  # how the files of its databases begin


def delete(storage: str | Path, name: str) -> None:
    """Remove a stored study with its checkpoints and logs; other files in their folder stay.

    Raises:
        FileNotFoundError: there is no such database.
        KeyError: there is no such study.
    """
    if is_rehearsal():
        return
    from tunewell.journals.sql import SqlStorage

    database = SqlStorage(storage, create=False)
    try:
        if name not in database.names():
            raise KeyError(no_such_study(name, storage, database.names()))
        history = _history_or_none(database, name)
        folder = directory_of(history, database.path, name)
        database.delete(name)
        if _is_of_another(folder, history, database.path, name):
            return
        shutil.rmtree(folder / "trials", ignore_errors=True)
        (folder / _MARK).unlink(missing_ok=True)
        with suppress(OSError):  # not empty, or not there
            folder.rmdir()
    finally:
        database.close()


def directory_of(history: History | None, database: Path | None, name: str) -> Path:
    """Return the folder of a stored study's checkpoints and logs: as stored, or else where it is by default.

    That is the first default folder which is this study's, or else one which is nobody's.
    """
    stored = history.settings.get("directory") if history is not None else None
    if stored:
        return Path(stored)
    folders = default_folders(database, name)
    if database is None:
        return folders[0]
    mine = _as_owner(history, database, name)
    for folder in folders:
        owner = _owner(folder)
        if owner is not None and owner.is_same(mine):
            return folder
    is_new = history is not None and not history.trials
    return next((folder for folder in folders if _is_nobodys(folder, database, is_new)), folders[-1])


def _is_nobodys(folder: Path, database: Path, is_new: bool) -> bool:
    """Tell whether a default folder may be taken by a study, ``is_new`` before its first trial.

    Older releases did not say whose a default folder is. What is in it is taken to be the study's that has trials, and
    to be left behind where no other database could have put it there.
    """
    owner = _owner(folder)
    if owner is None and not (is_new and (folder / "trials").exists()):
        return True
    return (owner is None or owner.is_gone) and not _twins(database)


def _is_of_another(folder: Path, history: History | None, database: Path | None, name: str) -> bool:
    """Tell whether what lies in the folder of a study is, or may be, another's."""
    owner = _owner(folder)
    if owner is not None:
        return not owner.is_same(_as_owner(history, database, name))
    return database is not None and folder in default_folders(database, name) and _twins(database)


def _as_owner(history: History | None, database: Path | None, name: str) -> Owner:
    created = history.created if history is not None else 0.0
    return Owner(name, created, "" if database is None else str(database))


def _twins(database: Path) -> bool:
    """Tell whether there is another database beside, whose name differs in the suffix only."""
    alike = database.parent.glob(f"{glob.escape(database.stem)}*")
    return any(path.stem == database.stem and path != database and _is_sqlite(path) for path in alike)


def _is_sqlite(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except OSError:
        return False


def check_free(folder: Path, owner: Owner) -> None:
    """Check that a folder belongs to nobody, or to this study: trials of two studies have the same numbers.

    Raises:
        ValueError: it is another study's, whose storage is still there.
    """
    found = _owner(folder)
    if found is None or found.is_same(owner) or found.is_gone:
        return
    raise ValueError(
        f"a study expected a directory of its own, found checkpoints and logs of the study {found.study!r} of "
        f"{found.storage} in {folder}: write directory={str(folder / owner.study)!r}"
    )


def claim(folder: Path, owner: Owner) -> None:
    """Take a folder for the checkpoints and logs of a study.

    Raises:
        ValueError: it is another study's.
    """
    check_free(folder, owner)
    with suppress(OSError):  # whoever cannot write here will hear of it when there is something to write
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _MARK).write_text(json.dumps(asdict(owner)), encoding="utf-8")


@dataclass(frozen=True)
class Owner:
    """A study as the owner of a folder: its name, when it was created, and its storage, which is empty in memory."""

    study: str
    created: float
    storage: str

    def is_same(self, other: Owner) -> bool:
        """Whether both are one study: no storage holds two of one name."""
        return self.study == other.study and (self.created == other.created or self.storage == other.storage)

    @property
    def is_gone(self) -> bool:
        """Whether the study is surely no more: its file was removed."""
        return "://" not in self.storage and not Path(self.storage).exists()


def _owner(folder: Path) -> Owner | None:
    """Return the study that a folder belongs to, None where nobody has said so."""
    try:
        return Owner(**json.loads((folder / _MARK).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _history_or_none(database: Any, name: str) -> History | None:
    """Return the history of a study, None if it cannot be read: it can be deleted all the same."""
    try:
        return History(database.journal(name, create=False).read())
    except Exception:  # noqa: BLE001 (whatever is wrong with its events)
        return None


def default_folders(database: Path | None, name: str) -> tuple[Path, ...]:
    """Return where a study's checkpoints and logs may be by default: beside the SQLite file, or in the current folder.

    The second is for a database beside another one whose name differs in the suffix only.
    """
    bases: tuple[Path, ...] = (Path.cwd() / "tunewell-files",)
    if database is not None:
        whole = database.name if database.suffix else f"{database.name}.none"
        bases = (database.with_name(f"{database.stem}-files"), database.with_name(f"{whole}-files"))
    plain = re.sub(r"[^\w.-]+", "-", name).strip("-.") or "study"
    if plain != name or len(name.encode()) > _LONGEST:
        begin = plain.encode()[: _LONGEST - 9].decode(errors="ignore")
        plain = f"{begin}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return tuple(base / plain for base in bases)


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

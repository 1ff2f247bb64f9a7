"""Connections to databases, and statements for the hot path."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError

from tunewell.protocols import JournalError

BUSY_SECONDS = 60.0


class Direct:
    """A statement compiled once and handed to the driver's own cursor.

    Every decision of every study is one such insert, and opening a large study reads its rows through one such select:
    it takes half the time of a round through SQLAlchemy's connection. Each call is a transaction, or ends one.
    """

    def __init__(self, statement: sa.Executable, dialect: sa.Dialect) -> None:
        compiled = statement.compile(dialect=dialect)  # type: ignore[attr-defined]
        self._text = str(compiled)
        self._names: Sequence[str] | None = compiled.positiontup if compiled.positional else None
        self._dbapi: Any = dialect.loaded_dbapi

    def run(self, connection: sa.Connection, rows: Sequence[Mapping[str, Any]], others: Direct) -> bool:
        """Run the statement for the first of ``rows``, and ``others`` for the others if it wrote a row; commit.

        Returns:
            Whether it did.

        Raises:
            IntegrityError: a key is taken.
            DBAPIError: anything else.
        """
        raw: Any = connection.connection.dbapi_connection
        with self._transaction(raw) as cursor:
            cursor.execute(self._text, self._arranged(rows[0]))
            written = bool(cursor.rowcount == 1)
            if written and len(rows) > 1:
                cursor.executemany(others._text, [others._arranged(row) for row in rows[1:]])
            raw.commit()
        return written

    def fetch(
        self, connection: sa.Connection, values: Mapping[str, Any], *, ending: bool = True
    ) -> list[tuple[Any, ...]]:
        """Run the statement and return all its rows; without ``ending``, the transaction it runs in goes on.

        Raises:
            DBAPIError: the database does not answer.
        """
        raw: Any = connection.connection.dbapi_connection
        with self._transaction(raw) as cursor:
            cursor.execute(self._text, self._arranged(values))
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            if ending:
                raw.rollback()
        return rows

    def _arranged(self, row: Mapping[str, Any]) -> Any:
        return row if self._names is None else [row[name] for name in self._names]

    @contextmanager
    def _transaction(self, raw: Any) -> Iterator[Any]:
        try:
            with closing(raw.cursor()) as cursor:
                yield cursor
        except BaseException as error:
            with suppress(self._dbapi.Error):  # nothing to roll back on a connection that is gone
                raw.rollback()
            if not isinstance(error, self._dbapi.Error):
                raise
            kind = IntegrityError if isinstance(error, self._dbapi.IntegrityError) else DBAPIError
            raise kind(self._text, None, error) from error


def understood(place: str | os.PathLike[str]) -> sa.URL:
    """Return a storage as a URL.

    Raises:
        TypeError: it is no text and no path.
        ValueError: it can be no storage.
    """
    url = os.fspath(place) if isinstance(place, os.PathLike) else place
    if not isinstance(url, str):
        raise TypeError(
            f"expected a storage as a URL or a path, got {place!r}: write e.g. sqlite:///tunewell.db, or None for a "
            "study in memory"
        )
    try:
        parsed = sa.make_url(url) if "://" in url else sa.URL.create("sqlite", database=url)
    except sa.exc.ArgumentError as error:
        raise ValueError(
            f"expected a storage URL such as sqlite:///tunewell.db or postgresql://host/name, got {url!r}"
        ) from error
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise ValueError(f"expected a sqlite or postgresql storage, got {parsed.get_backend_name()!r} in {url!r}")
    if parsed.get_backend_name() == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise ValueError(f"expected a file in {url!r}: use storage=None for a study in memory")
        parsed = parsed.set(database=str(Path(parsed.database).expanduser()))
        _check_file_name(str(parsed.database))
    return parsed


def _check_file_name(path: str) -> None:
    fault = "which has a NUL character" if "\0" in path else ""
    try:
        if not fault:
            os.stat(path)
    except OSError as error:
        fault = "which is too long" if error.errno == errno.ENAMETOOLONG else ""
    except UnicodeEncodeError:
        fault = "which has half characters"
    if fault:
        raise ValueError(f"expected a path that a file can have, got {path!r}, {fault}: choose another")


def sqlite_path(url: sa.URL) -> Path | None:
    return Path(url.database or "").absolute() if url.get_backend_name() == "sqlite" else None


def file_of(path: Path) -> tuple[int, int] | None:
    """Return what tells the file at ``path`` from any other, None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def connect(url: sa.URL, *, read_only: bool = False) -> sa.Connection:
    """Return a connection of one's own to the database.

    Raises:
        ModuleNotFoundError: the driver is not installed.
        JournalError: the database does not answer, or cannot be opened.
        ValueError: the file is no SQLite database.
    """
    path = sqlite_path(url)
    try:
        if path is None:
            return sa.create_engine(url, poolclass=sa.pool.NullPool).connect()
        return _connect_to_file(path, read_only)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"expected the database driver {error.name!r} to be installed: pip install 'tunewell[postgresql]'"
        ) from error
    except (DBAPIError, sqlite3.DatabaseError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        if isinstance(cause, sqlite3.DatabaseError) and not isinstance(cause, sqlite3.OperationalError):
            raise ValueError(f"expected a SQLite database, found something else in {path}") from error
        # a server that does not answer; or a file that is locked, or in a folder that cannot be written
        place = f" {path}" if path else ""
        raise JournalError(f"the study's database{place} cannot be opened: {_forbidden(path) or cause}") from error


def _forbidden(path: Path | None) -> str:
    """Return what this user may not do with a database's file, which SQLite does not say; or an empty string."""
    if path is None:
        return ""
    if path.exists() and not os.access(path, os.R_OK):
        return "the file may not be read by this user"
    if path.exists() and not os.access(path, os.W_OK):
        return "the file may not be written by this user, or its file system is read-only"
    if not os.access(path.parent, os.W_OK):
        return f"the folder {path.parent} may not be written by this user, or its file system is read-only"
    return ""


def has_table(path: Path, table: str) -> bool:
    """Return whether a SQLite file has a table, leaving the file exactly as it is.

    Raises:
        JournalError: it cannot be opened.
        ValueError: it is no SQLite database.
    """
    connection = connect(sa.URL.create("sqlite", database=str(path)), read_only=True)
    try:
        return sa.inspect(connection).has_table(table)
    finally:
        connection.close()


def _connect_to_file(path: Path, read_only: bool) -> sa.Connection:
    def opened() -> sqlite3.Connection:
        if not read_only:
            return sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False)
        try:
            return _opened_for_reading(path, "mode=ro")
        except sqlite3.OperationalError:  # no room for the shared index of its log, so nobody can be writing either
            return _opened_for_reading(path, "mode=ro&immutable=1")

    connection = sa.create_engine("sqlite://", creator=opened, poolclass=sa.pool.NullPool).connect()
    if not read_only:
        try:
            _keep_a_log(connection)
            pragma(connection, "synchronous=NORMAL")
        except BaseException:
            connection.close()
            raise
    return connection


def _keep_a_log(connection: sa.Connection) -> None:
    """Turn to write-ahead mode; of several processes that turn a new file to it SQLite lets only one, at once."""
    pauses = [0.01, 0.1, 1.0]
    while True:
        try:
            pragma(connection, "journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or not pauses:
                raise
            time.sleep(pauses.pop(0))


def _opened_for_reading(path: Path, options: str) -> sqlite3.Connection:
    uri = f"file:{quote(str(path))}?{options}"
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, check_same_thread=False)
    try:
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def any_text(connection: sa.Connection) -> Iterator[None]:
    """Read text that is no UTF-8 as well, with such bytes spelt out (SQLite; PostgreSQL holds none)."""
    raw: Any = connection.connection.driver_connection
    if not isinstance(raw, sqlite3.Connection):
        yield
        return
    raw.text_factory = lambda data: data.decode("utf-8", "backslashreplace")
    try:
        yield
    finally:
        raw.text_factory = str


@contextmanager
def begun(connection: sa.Connection, statement: str) -> Iterator[None]:
    """Begin a transaction with a statement; what the block has not committed at its end is rolled back.

    Raises:
        DBAPIError: the database refuses.
    """
    raw: Any = connection.connection.dbapi_connection
    failures = connection.dialect.loaded_dbapi.Error
    try:
        try:
            with closing(raw.cursor()) as cursor:
                cursor.execute(statement)
        except failures as error:
            raise DBAPIError(statement, None, error) from error
        yield
    finally:
        with suppress(failures):  # what was committed is there, whatever becomes of the connection
            raw.rollback()


def let_go(connection: sa.Connection, process: int) -> None:
    """Close what a storage that nobody closed leaves behind."""
    if process == os.getpid():
        connection.close()


def pragma(connection: sa.Connection, setting: str) -> None:
    """Run a PRAGMA outside of any transaction, where it takes effect."""
    connection.connection.driver_connection.execute(f"PRAGMA {setting}")  # type: ignore[union-attr]

"""Journals in a SQL database: SQLite by default, PostgreSQL for many machines, with the same statements.

One row is one event, keyed by study and position. That key is the whole concurrency story: two drivers that append
after the same ``n`` want the same key, and the database lets one of them in. Readers never block writers (SQLite runs
in write-ahead mode), and a transaction is there whole or not at all. Only who has lost that race takes a turn, in which
all other writers wait until it has read, decided and written: a decision that takes longer than the others' next event
is a while away would never be in time.

How durable a commit is on SQLite: every commit survives the death of the process at once. A commit that comes more
than ``SYNC_SECONDS`` after the last flush to the disk is also flushed before it returns, so it survives a power cut,
and all before it do. Commits that follow a flush more closely wait for the next one, which the driver's heartbeat
brings within ten seconds if nothing else does: so much, and no more, a power cut can take.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError

from tunewell.events import Event
from tunewell.journals.codec import RESCUE, Unreadable, decode_all, encode, gap
from tunewell.journals.database import (
    Direct,
    any_text,
    begun,
    connect,
    file_of,
    has_table,
    let_go,
    pragma,
    sqlite_path,
    understood,
)
from tunewell.protocols import Conflict, JournalError, StudyDeleted

SYNC_SECONDS = 0.1
READ_ROWS = 20_000

_METADATA = sa.MetaData()
_STUDIES = sa.Table(
    "studies",
    _METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(255), nullable=False, unique=True),
    sqlite_autoincrement=True,  # the number of a deleted study is not given to another
)
_EVENTS = sa.Table(
    "events",
    _METADATA,
    sa.Column("study", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)
_DRIVERS = sa.Table(
    "drivers",
    _METADATA,
    sa.Column("study", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("driver", sa.String(255), primary_key=True),
    sa.Column("beats", sa.Integer, nullable=False),
)
_LENGTH = sa.select(sa.func.coalesce(sa.func.max(_EVENTS.c.position), sa.literal_column("0"))).where(
    _EVENTS.c.study == sa.bindparam("study", type_=sa.Integer)
)
_INSERT = _EVENTS.insert()
_INSERT_FIRST = _EVENTS.insert().from_select(  # if there is the study, and the event before this one
    _EVENTS.c.keys(),
    sa.select(*(sa.bindparam(column.name, type_=column.type) for column in _EVENTS.c)).where(
        sa.exists().where(_STUDIES.c.id == sa.bindparam("study", type_=sa.Integer)),
        _LENGTH.scalar_subquery() == sa.bindparam("before", type_=sa.Integer),
    ),
)
_READ = (
    sa.select(_EVENTS.c.position, _EVENTS.c.kind, _EVENTS.c.body)
    .where(
        _EVENTS.c.study == sa.bindparam("study"),
        _EVENTS.c.position > sa.bindparam("start"),
        _EVENTS.c.position <= sa.bindparam("end"),
    )
    .order_by(_EVENTS.c.position)
)
_ROWS = (
    sa.select(_EVENTS.c.position, _EVENTS.c.kind, _EVENTS.c.body)
    .where(_EVENTS.c.study == sa.bindparam("study"))
    .order_by(_EVENTS.c.position)
)
_DAMAGED = ("malformed", "not a database", "Could not decode to UTF-8")  # what SQLite says of files that stay so


class SqlStorage:
    """The studies of one database."""

    def __init__(self, url: str | Path, *, create: bool = True) -> None:
        """Connect to ``url``: ``sqlite:///file.db``, ``postgresql://…``, or simply a path to a SQLite file.

        Raises:
            TypeError: ``url`` is no text and no path.
            ValueError: the URL cannot be understood, or is a folder's.
            FileNotFoundError: ``create=False`` and there is no such file, or its folder does not exist.
            ModuleNotFoundError: the database's driver is not installed.
            JournalError: the database does not answer.
        """
        self.url = understood(url)
        self.path = sqlite_path(self.url)
        if self.path is not None:
            if self.path.is_dir():
                raise ValueError(
                    f"expected a file for the study's database, found the folder {self.path}: write "
                    f"{self.path / 'tunewell.db'}"
                )
            if not create and not self.path.exists():
                raise FileNotFoundError(f"expected a study database, found no file {self.path}: check the storage URL")
            if not self.path.parent.is_dir():
                raise FileNotFoundError(
                    f"expected the folder of {self.path.name} to exist, found no {self.path.parent}: create it first"
                )
        self._connection: sa.Connection | None = None
        self._read_only = False
        self._process = 0
        self._synced = 0.0
        self._file: tuple[int, int] | None = None  # what the connection has open
        self._direct: dict[sa.Executable, Direct] = {}
        self.lock = threading.RLock()
        self.in_turn = False
        if not create and self.path is not None and not has_table(self.path, _EVENTS.name):
            raise FileNotFoundError(f"expected a study database, found none of its tables in {self.path}")
        try:
            self.connected()
        except JournalError:
            if create or self.path is None:
                raise
            self._read_only = True  # reading needs no right to write, nor room on the disk
        with self.lock, self.connected() as connection:
            if not create and self.path is None and not sa.inspect(connection).has_table(_EVENTS.name):
                raise FileNotFoundError(f"expected a study database, found none of its tables in {self.shown_url}")
            connection.rollback()
            if not self._read_only:
                self._create_tables(connection)

    @property
    def shown_url(self) -> str:
        """The URL without a password, fit to be printed."""
        return self.url.render_as_string(hide_password=True)

    def connected(self) -> _Guard:
        """Return a guard that gives the connection and turns the database's errors into :class:`JournalError`."""
        if self._connection is not None and self._connection.invalidated:
            self._connection = None
        if self._connection is None or self._process != os.getpid():  # never share a connection across a fork
            self._process = os.getpid()
            self._connection = connect(self.url, read_only=self._read_only)
            weakref.finalize(self, let_go, self._connection, self._process)
            self._file = file_of(self.path) if self.path is not None else None
        return _Guard(self, self._connection)

    def mistrust(self, connection: sa.Connection) -> None:
        """Take a server's connection that failed for broken: the next use makes a new one. A file's stays good."""
        if self.path is None and connection is self._connection:
            self._connection = None
            with suppress(Exception):
                connection.close()

    def journal(self, name: str, *, create: bool = True) -> SqlJournal:
        """Return the journal of the study ``name``.

        Raises:
            KeyError: ``create=False`` and there is no such study.
        """
        find = sa.select(_STUDIES.c.id).where(_STUDIES.c.name == name)
        with self.lock, self.connected() as connection:
            number = connection.execute(find).scalar()
            connection.rollback()
            if number is None and create:
                try:
                    connection.execute(_STUDIES.insert().values(name=name))
                    connection.commit()
                except IntegrityError:  # another process created it this moment
                    connection.rollback()
                number = connection.execute(find).scalar()
                connection.rollback()
        if number is None:
            raise KeyError(name)
        return SqlJournal(self, int(number), name)

    def names(self) -> list[str]:
        """Return the names of the studies, oldest first."""
        with self.lock, self.connected() as connection:
            rows = connection.execute(sa.select(_STUDIES.c.name).order_by(_STUDIES.c.id)).scalars().all()
            connection.rollback()
        return list(rows)

    def delete(self, name: str) -> None:
        """Remove a study and its events; an unknown name is ignored."""
        number = sa.select(_STUDIES.c.id).where(_STUDIES.c.name == name).scalar_subquery()
        with self.lock, self.connected() as connection:
            connection.execute(_EVENTS.delete().where(_EVENTS.c.study == number))
            connection.execute(_DRIVERS.delete().where(_DRIVERS.c.study == number))
            connection.execute(_STUDIES.delete().where(_STUDIES.c.name == name))
            connection.commit()

    def close(self) -> None:
        """Close the connection, flushing what a burst has left in the page cache."""
        if self._connection is not None and self._process == os.getpid():
            with suppress(JournalError):  # a full disk must not keep it open
                self.settle()
            engine = self._connection.engine
            self._connection.close()
            engine.dispose()
        self._connection = None

    def settle(self) -> None:
        """Move what the write-ahead log holds into the file itself, so that a copy of it alone has it (SQLite only)."""
        if self.path is not None and not self._read_only:
            with self.lock, self.connected() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")
                connection.rollback()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Keep all other writers waiting while the block reads and commits once; readers go on."""
        begin = "BEGIN IMMEDIATE" if self.path is not None else f"LOCK TABLE {_EVENTS.name} IN SHARE ROW EXCLUSIVE MODE"
        with self.lock, self.connected() as connection, self.durably(connection, always=True), begun(connection, begin):
            self.in_turn = True
            try:
                yield
            finally:
                self.in_turn = False

    @contextmanager
    def durably(self, connection: sa.Connection, *, always: bool = False) -> Iterator[None]:
        """Make a commit in the block reach the disk if the last one that did is long enough ago (SQLite only).

        ``always`` does without that condition; within a turn it is the turn's business.

        Raises:
            StudyDeleted: the file is not where it was, so that nobody would find there what is committed.
        """
        recent = not always and time.monotonic() - self._synced < SYNC_SECONDS
        if self.path is None or self.in_turn or recent:
            yield
            return
        if file_of(self.path) != self._file:
            raise StudyDeleted(
                f"expected the study's database to stay at {self.path}, but its file was removed, moved or replaced "
                "while this process worked on it: what it does is not kept"
            )
        pragma(connection, "synchronous=FULL")
        try:
            yield
        finally:
            pragma(connection, "synchronous=NORMAL")
            self._synced = time.monotonic()

    def direct(self, statement: sa.Executable) -> Direct:
        """Return a statement of the hot path in the words of this database's driver."""
        found = self._direct.get(statement)
        if found is None:
            with self.connected() as connection:
                found = self._direct[statement] = Direct(statement, connection.dialect)
        return found

    def _create_tables(self, connection: sa.Connection) -> None:
        """Create what is missing; where another process is faster with a table, look again what is."""
        for chances in reversed(range(len(_METADATA.tables) + 1)):
            try:
                _METADATA.create_all(connection)
                connection.commit()
                return
            except DBAPIError:
                connection.rollback()
                if not chances:
                    raise


class SqlJournal:
    """The events of one study; see :class:`tunewell.protocols.Journal`."""

    def __init__(self, storage: SqlStorage, study: int, name: str) -> None:
        self.storage = storage
        self._study = study
        self._name = name

    def append(self, events: Sequence[Event], after: int | None) -> int:
        """Append all of ``events`` in one transaction and return the new length.

        Raises:
            Conflict: another driver has appended since ``after``.
            StudyDeleted: the study is not there any more.
            JournalError: the database refuses for now (disk full, locked, gone).
        """
        encoded = [encode(event) for event in events]
        with self.storage.lock:
            while True:
                start = self._length() if after is None else after
                try:
                    self._insert(encoded, start)
                except IntegrityError as error:
                    if after is not None:
                        raise Conflict(f"expected {after} events, found more") from error
                else:
                    return start + len(encoded)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Keep others from appending; see :class:`tunewell.protocols.Journal`.

        Raises:
            JournalError: the database refuses for now.
        """
        with self.storage.turn():
            yield

    def read(self, start: int = 0) -> Iterator[Event]:
        """Yield the events after the first ``start``. The list only grows, so reading it in pieces shows no tear.

        Whoever reads from the beginning hears if the database has later events than it finds.

        Raises:
            Unreadable: an event is damaged, missing or of a newer release.
            JournalError: the database refuses for now.
        """
        try:
            yield from self._read(start)
        except Unreadable as error:
            raise Unreadable(f"study {self._name!r} cannot be read: {error}") from error

    def _read(self, start: int) -> Iterator[Event]:
        whole, length = start == 0, 0  # length: as it was before the rows were read
        while True:
            values = {"study": self._study, "start": start, "end": start + READ_ROWS}
            with self.storage.lock, self.storage.connected() as connection:
                rows = self.storage.direct(_READ).fetch(connection, values, ending=not self.storage.in_turn)
            yield from decode_all(rows, start + 1)
            start += len(rows)
            if len(rows) == READ_ROWS:
                continue
            if start < length:
                raise gap(start + 1)
            length = self._length() if whole else start
            if length <= start:
                return

    def rows(self) -> list[tuple[int, str, str]]:
        """Return position, kind and text of all events as they are stored, also of those that cannot be read."""
        with self.storage.lock, self.storage.connected() as connection, any_text(connection):
            return self.storage.direct(_ROWS).fetch(connection, {"study": self._study})

    def beat(self, driver: str) -> None:
        """Count one more beat of a driver."""
        mine = (_DRIVERS.c.study == self._study, _DRIVERS.c.driver == driver)
        with self.storage.lock, self.storage.connected() as connection, self.storage.durably(connection):
            try:
                found = connection.execute(_DRIVERS.update().where(*mine).values(beats=_DRIVERS.c.beats + 1)).rowcount
                if not found:
                    connection.execute(_DRIVERS.insert().values(study=self._study, driver=driver, beats=1))
                connection.commit()
            except BaseException:
                connection.rollback()
                raise
        self.storage.settle()

    def beats(self) -> Mapping[str, int]:
        """Return the beats of each driver."""
        query = sa.select(_DRIVERS.c.driver, _DRIVERS.c.beats).where(_DRIVERS.c.study == self._study)
        with self.storage.lock, self.storage.connected() as connection:
            found = {row.driver: int(row.beats) for row in connection.execute(query)}
            connection.rollback()
        return found

    def _insert(self, encoded: Sequence[tuple[str, str]], start: int) -> None:
        if not encoded:
            return
        rows: list[dict[str, int | str]] = [
            {"study": self._study, "position": position, "kind": kind, "body": body}
            for position, (kind, body) in enumerate(encoded, start + 1)
        ]
        rows[0]["before"] = start
        with self.storage.connected() as connection, self.storage.durably(connection):
            written = self.storage.direct(_INSERT_FIRST).run(connection, rows, self.storage.direct(_INSERT))
        if not written:
            self._check_there(start)
            raise IntegrityError(str(_INSERT_FIRST), None, Exception("others have appended"))

    def _check_there(self, least: int) -> None:
        """Check that the study is there, with all the events that were there before.

        Raises:
            StudyDeleted: it is not.
        """
        find = sa.select(_STUDIES.c.id).where(_STUDIES.c.id == self._study)
        with self.storage.connected() as connection:
            found = connection.execute(find).scalar()
            connection.rollback()
        if found is None:
            raise StudyDeleted("the study was deleted while this process worked on it: what it does is not kept")
        length = self._length()
        if length < least:
            raise StudyDeleted(
                f"expected the {least} events that the study had, found {length}: an older state of its database was "
                "put back while this process worked on it, and what it does is not kept"
            )

    def _length(self) -> int:
        with self.storage.lock, self.storage.connected() as connection:
            length = connection.execute(_LENGTH, {"study": self._study}).scalar()
            if not self.storage.in_turn:
                connection.rollback()
        return int(length or 0)


class _Guard:
    """Gives a connection; turns the database's own errors into one sentence, but lets key conflicts through."""

    __slots__ = ("_connection", "_storage")

    def __init__(self, storage: SqlStorage, connection: sa.Connection) -> None:
        self._storage = storage
        self._connection = connection

    def __enter__(self) -> sa.Connection:
        return self._connection

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, frames: object) -> None:
        if isinstance(error, DBAPIError) and not isinstance(error, IntegrityError):
            self._storage.mistrust(self._connection)
            if any(words in str(error.orig) for words in _DAMAGED):
                raise Unreadable(
                    f"the database {self._storage.shown_url} is damaged ({error.orig}): go on with a copy from before, "
                    f"or {RESCUE}"
                ) from error
            raise JournalError(f"the study's database refused: {error.orig}") from error

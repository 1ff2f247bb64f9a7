from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import threading
import time

import msgspec
import pytest
import sqlalchemy as sa

from tunewell.events import Ended, Noted, Reported, SpaceChanged, Status, TrialStarted
from tunewell.journals import codec, sql
from tunewell.journals.memory import MemoryJournal
from tunewell.journals.sql import SqlJournal, SqlStorage
from tunewell.protocols import JournalError, StudyDeleted
from tunewell.testing.histories import mixed_space
from tunewell.testing.journals import ONE_OF_EACH, JournalContract


class TestMemory(JournalContract):
    @pytest.fixture
    def journal(self):
        return MemoryJournal()

    @pytest.fixture
    def reopen(self, journal):
        return lambda: journal


class SqlContract(JournalContract):
    @pytest.fixture
    def storages(self):
        with contextlib.ExitStack() as stack:
            yield stack

    @pytest.fixture
    def reopen(self, url, storages):
        def open_anew():
            storage = SqlStorage(url)
            storages.callback(storage.close)
            return storage.journal("study")

        return open_anew

    @pytest.fixture
    def journal(self, reopen):
        return reopen()

    def test_studies_do_not_mix(self, url, journal):
        storage = SqlStorage(url)
        other = storage.journal("other")
        journal.append(ONE_OF_EACH, after=0)
        other.append(ONE_OF_EACH[:1], after=0)
        assert list(other.read()) == ONE_OF_EACH[:1]
        assert storage.names() == ["study", "other"]
        storage.delete("study")
        assert storage.names() == ["other"]
        assert list(other.read()) == ONE_OF_EACH[:1]
        assert list(journal.read()) == []
        storage.close()

    def test_an_unknown_study(self, url):
        storage = SqlStorage(url)
        with pytest.raises(KeyError):
            storage.journal("nothing", create=False)
        storage.close()

    def test_reading_in_pieces_gives_the_whole(self, journal, reopen, monkeypatch):
        monkeypatch.setattr("tunewell.journals.sql.READ_ROWS", 7)
        events = [Noted(float(k), str(k)) for k in range(50)]
        journal.append(events, after=0)
        assert list(reopen().read()) == events
        assert list(reopen().read(21)) == events[21:]


class TestSqlite(SqlContract):
    @pytest.fixture
    def url(self, tmp_path):
        return f"sqlite:///{tmp_path}/a study.db"

    def test_a_path_is_a_url_too(self, tmp_path):
        storage = SqlStorage(str(tmp_path / "x.db"))
        assert storage.path == tmp_path / "x.db"
        storage.close()

    def test_write_ahead_mode(self, url, journal, tmp_path):
        with contextlib.closing(sqlite3.connect(tmp_path / "a study.db")) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)

    def test_a_reader_does_not_disturb_an_open_write(self, url, journal, reopen, tmp_path):
        journal.append(ONE_OF_EACH[:3], after=0)
        writer = sqlite3.connect(tmp_path / "a study.db", isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        assert list(reopen().read()) == ONE_OF_EACH[:3]
        writer.execute("ROLLBACK")
        writer.close()

    def test_a_full_disk_loses_nothing_and_can_be_tried_again(self, url, journal, reopen):
        journal.append(ONE_OF_EACH[:2], after=0)
        raw = journal.storage._connection.connection.driver_connection
        pages = raw.execute("PRAGMA page_count").fetchone()[0]
        raw.execute(f"PRAGMA max_page_count={pages}")
        big = [Noted(0.0, "x" * 5000) for _ in range(50)]
        with pytest.raises(JournalError, match="full"):
            journal.append(big, after=2)
        assert list(reopen().read()) == ONE_OF_EACH[:2]
        raw.execute("PRAGMA max_page_count=1000000")
        assert journal.append(big, after=2) == 52
        assert len(list(reopen().read())) == 52

    def test_a_locked_database_says_so(self, url, journal, tmp_path):
        journal.storage._connection.connection.driver_connection.execute("PRAGMA busy_timeout=10")
        writer = sqlite3.connect(tmp_path / "a study.db", isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalError, match="locked"):
            journal.append(ONE_OF_EACH[:1], after=0)
        writer.execute("ROLLBACK")
        writer.close()
        assert journal.append(ONE_OF_EACH[:1], after=0) == 1

    def test_a_torn_transaction_reads_as_not_written(self, url, journal, reopen, tmp_path):
        """Cut the write-ahead log in the middle of the last transaction, as a power cut would."""
        journal.append(ONE_OF_EACH[:3], after=0)
        log = tmp_path / "a study.db-wal"
        whole = log.stat().st_size
        journal.append(ONE_OF_EACH[3:6], after=3)
        copy = tmp_path / "copy.db"
        copy.write_bytes((tmp_path / "a study.db").read_bytes())
        grown = log.read_bytes()
        (tmp_path / "copy.db-wal").write_bytes(grown[: whole + (len(grown) - whole) // 2])
        storage = SqlStorage(f"sqlite:///{copy}")
        assert list(storage.journal("study").read()) == ONE_OF_EACH[:3]
        storage.close()

    def test_a_forked_child_gets_its_own_connection(self, url, journal, reopen):
        journal.append(ONE_OF_EACH[:1], after=0)
        child = multiprocessing.get_context("fork").Process(target=lambda: journal.append(ONE_OF_EACH[1:2], after=1))
        child.start()
        child.join(20)
        assert child.exitcode == 0
        journal.append(ONE_OF_EACH[2:3], after=2)
        assert list(reopen().read()) == ONE_OF_EACH[:3]

    @pytest.mark.parametrize("replaced", [False, True])
    def test_a_file_that_was_removed_or_replaced_is_noticed(self, journal, tmp_path, monkeypatch, replaced):
        monkeypatch.setattr("tunewell.journals.sql.SYNC_SECONDS", 0.0)
        journal.append(ONE_OF_EACH[:2], after=0)
        file = tmp_path / "a study.db"
        copy = file.read_bytes()
        file.unlink()
        if replaced:
            (tmp_path / "other.db").write_bytes(copy)
            (tmp_path / "other.db").rename(file)
        for act in (lambda: journal.append(ONE_OF_EACH[2:3], after=2), lambda: journal.beat("a")):
            with pytest.raises(StudyDeleted, match="to stay at .*a study.db, but its file was removed, moved"):
                act()

    def test_after_a_beat_a_copy_of_the_file_alone_has_all(self, journal, tmp_path):
        journal.append(ONE_OF_EACH, after=0)
        journal.beat("a")
        (tmp_path / "copy.db").write_bytes((tmp_path / "a study.db").read_bytes())
        storage = SqlStorage(tmp_path / "copy.db", create=False)
        assert list(storage.journal("study").read()) == ONE_OF_EACH
        storage.close()

    def test_what_is_written_while_it_is_read_is_no_gap(self, journal, reopen, monkeypatch):
        other, length = reopen(), SqlJournal._length

        def slow(self):
            n = length(self)
            return other.append(ONE_OF_EACH[n : n + 1], after=n) if n < 3 else n

        monkeypatch.setattr(SqlJournal, "_length", slow)
        assert list(journal.read()) == ONE_OF_EACH[:3]

    def test_others_that_create_the_same_database_at_this_moment_are_no_obstacle(self, url, tmp_path, monkeypatch):
        """They hold the new file, and then create each table right before this process does."""
        other = sqlite3.connect(tmp_path / "a study.db", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        naps = []

        def sleep(seconds):
            naps.append(seconds)
            other.execute("ROLLBACK")

        def overtake(table, connection, **_):
            if not sa.inspect(elsewhere).has_table(table.name):
                elsewhere.execute(sa.schema.CreateTable(table))
                elsewhere.commit()

        monkeypatch.setattr("tunewell.journals.database.BUSY_SECONDS", 0.0)
        monkeypatch.setattr("tunewell.journals.database.time.sleep", sleep)
        engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
        tables = list(sql._METADATA.tables.values())
        with engine.connect() as elsewhere:
            for table in tables:
                sa.event.listen(table, "before_create", overtake)
            try:
                storage = SqlStorage(url)
            finally:
                for table in tables:
                    sa.event.remove(table, "before_create", overtake)
        assert naps == [0.01]
        storage.journal("study").append(ONE_OF_EACH, after=0)
        storage.close()
        other.close()


class TestPostgresql(SqlContract):
    @pytest.fixture
    def url(self, postgresql_url):
        return postgresql_url


@pytest.mark.parametrize(
    ("url", "error", "words"),
    [
        ("mysql://host/db", ValueError, "expected a sqlite or postgresql storage"),
        ("sqlite://", ValueError, "storage=None for a study in memory"),
        ("sqlite:////no/such/folder/x.db", FileNotFoundError, "found no /no/such/folder"),
        ("://", ValueError, "expected a storage URL such as"),
    ],
)
def test_bad_urls(url, error, words):
    with pytest.raises(error, match=words):
        SqlStorage(url)


@pytest.mark.parametrize(
    ("place", "error", "words"),
    [
        (..., TypeError, "expected a storage as a URL or a path, got Ellipsis: write e.g. sqlite:///"),
        (5, TypeError, "expected a storage as a URL or a path, got 5"),
        ("a.db\0", ValueError, "got 'a.db.x00', which has a NUL character: choose another"),
        (f"{'l' * 300}.db", ValueError, "got 'lll.*', which is too long: choose another"),
    ],
)
def test_what_can_be_no_storage_is_refused_in_a_sentence(place, error, words):
    with pytest.raises(error, match=words):
        SqlStorage(place)


@pytest.mark.parametrize("name", ["what?.db", "a#b.db", "100%.db", "q%3F.db", "ü b+c.db"])
def test_a_plain_path_is_taken_as_it_is(tmp_path, name):
    storage = SqlStorage(str(tmp_path / name))
    storage.journal("study").append(ONE_OF_EACH, after=0)
    storage.close()
    assert (tmp_path / name).is_file()
    again = SqlStorage(tmp_path / name, create=False)
    assert list(again.journal("study").read()) == ONE_OF_EACH
    again.close()


def test_a_missing_file_is_not_created(tmp_path):
    with pytest.raises(FileNotFoundError, match="found no file"):
        SqlStorage(f"sqlite:///{tmp_path}/none.db", create=False)
    assert os.listdir(tmp_path) == []


def test_an_unreachable_server_is_one_sentence():
    with pytest.raises(JournalError, match="cannot be opened.*refused"):
        SqlStorage("postgresql://postgres@127.0.0.1:1/none")


# --- codec ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", ONE_OF_EACH, ids=lambda event: type(event).__name__)
def test_codec_round_trip(event):
    kind, body = codec.encode(event)
    json.loads(body, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert codec.decode(kind, body) == event


def test_every_event_has_a_kind():
    from typing import get_args

    from tunewell.events import Event

    assert {cls for cls, _ in codec.KINDS.values()} == set(get_args(Event))


def test_older_versions_are_lifted(monkeypatch):
    """A release in which 'ended' had a field 'state' and 'noted' was younger."""
    monkeypatch.setitem(codec.KINDS, "ended", (Ended, 3))
    monkeypatch.setitem(codec._NAMES, Ended, "ended@3")
    monkeypatch.setitem(codec._DECODERS, "ended@3", codec._DECODERS["ended"])
    monkeypatch.delitem(codec._DECODERS, "ended")

    def first(fields):
        return {**{k: v for k, v in fields.items() if k != "state"}, "status": fields["state"]}

    def second(fields):
        return {**fields, "reason": f"lifted: {fields.get('reason', '')}"}

    monkeypatch.setitem(codec.UPGRADES, ("ended", 1), first)
    monkeypatch.setitem(codec.UPGRADES, ("ended", 2), second)
    assert codec.decode("ended", '{"time":1,"trial":2,"state":"stopped"}') == Ended(1.0, 2, Status.STOPPED, "lifted: ")
    newer = Ended(1.0, 2, Status.STOPPED, "x")
    assert codec.encode(newer)[0] == "ended@3"
    assert codec.decode(*codec.encode(newer)) == newer


def test_events_of_a_newer_release_are_refused_in_words():
    for kind in ("reported@2", "evaporated"):
        with pytest.raises(codec.Unreadable, match="newer release wrote: upgrade tunewell"):
            codec.decode(kind, "{}")


def test_torn_bodies_are_refused_in_words():
    with pytest.raises(codec.Unreadable, match="expected the fields of a 'reported' event"):
        codec.decode("reported", '{"time":1,"trial"')


def damaged(tmp_path, *statements):
    """Return the journal of a study whose rows were changed behind its back, and the storage of it."""
    path = tmp_path / "s.db"
    storage = SqlStorage(path)
    storage.journal("study").append(ONE_OF_EACH, after=0)
    storage.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    storage = SqlStorage(path, create=False)
    return storage.journal("study", create=False), storage


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (
            "UPDATE events SET body = '{\"time' WHERE position = 5",
            "at event 5 expected the fields of a 'reported'",
        ),
        ("UPDATE events SET kind = 'evaporated' WHERE position = 7", "at event 7 there is a 'evaporated' .*: upgrade"),
        ("DELETE FROM events WHERE position = 4", "expected event 4 before later ones, found none"),
        ("UPDATE events SET position = 70000 WHERE position = 8", "expected event 8 before later ones, found none"),
        ("UPDATE events SET study = 9 WHERE position < 3", "expected event 1 before later ones, found none"),
        ("UPDATE events SET body = CAST(x'7bff7d' AS TEXT) WHERE position = 6", "is damaged .*UTF-8.*export --events"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_study_and_its_place_and_can_be_taken_out(tmp_path, statement, words):
    journal, storage = damaged(tmp_path, statement)
    with pytest.raises(codec.Unreadable, match=f"study 'study' cannot be read: .*{words}"):
        list(journal.read())
    rows = journal.rows()
    assert len(rows) >= len(ONE_OF_EACH) - 2
    whole = [codec.encode(event) for event in ONE_OF_EACH]
    assert sum(row[1:] in whole for row in rows) >= len(ONE_OF_EACH) - 2
    storage.close()


def test_a_damaged_file_is_told_at_once(tmp_path):
    """And not taken for a database that may answer in a while."""
    journal, storage = damaged(tmp_path)
    size = storage.path.stat().st_size
    with storage.path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    with pytest.raises(codec.Unreadable, match="s.db is damaged .*malformed.*: go on with a copy from before"):
        list(journal.read())
    storage.close()


def test_unknown_fields_are_ignored():
    body = msgspec.json.encode({"time": 1.0, "trial": 0, "step": 1, "metrics": {}, "later": 1}).decode()
    assert codec.decode("reported", body) == Reported(1.0, 0, 1, {})


def test_foreign_files_are_refused_and_left_as_they_are(tmp_path):
    (tmp_path / "text.db").write_text("this is no database, and long enough to be sure of it " * 20)
    with pytest.raises(ValueError, match="expected a SQLite database, found something else in .*text.db"):
        SqlStorage(str(tmp_path / "text.db"), create=False)
    with contextlib.closing(sqlite3.connect(tmp_path / "foreign.db")) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    with pytest.raises(FileNotFoundError, match="found none of its tables in .*foreign.db"):
        SqlStorage(str(tmp_path / "foreign.db"), create=False)
    with contextlib.closing(sqlite3.connect(tmp_path / "foreign.db")) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("recipes",)]


def test_reading_needs_no_right_to_write(tmp_path):
    folder = tmp_path / "kept"
    folder.mkdir()
    storage = SqlStorage(folder / "s.db")
    storage.journal("study").append(ONE_OF_EACH, after=0)
    storage.close()
    mount = subprocess.run(["mount", "--bind", "-o", "ro", str(folder), str(folder)], capture_output=True, check=False)
    if mount.returncode == 0:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
    elif os.getuid() == 0:
        pytest.skip("root may write anywhere, and nothing can be mounted here")
    else:
        folder.chmod(0o500)
    try:
        storage = SqlStorage(folder / "s.db", create=False)
        assert list(storage.journal("study", create=False).read()) == ONE_OF_EACH
        with pytest.raises(JournalError, match="readonly"):
            storage.journal("study", create=False).append(ONE_OF_EACH[:1], after=None)
        storage.close()
        with pytest.raises(JournalError, match="t.db cannot be opened: the folder .*kept may not be written"):
            SqlStorage(folder / "t.db")
    finally:
        if mount.returncode == 0:
            subprocess.run(["umount", str(folder)], check=True)
        folder.chmod(0o700)


@pytest.mark.parametrize("place", ["sqlite", "postgresql"])
def test_who_writes_to_a_deleted_study_is_told_and_harms_no_other(place, tmp_path, request):
    """A run that was forgotten goes on while its study is deleted and another one is created."""
    url = str(tmp_path / "s.db") if place == "sqlite" else request.getfixturevalue("postgresql_url")
    old, new = SqlStorage(url), SqlStorage(url)
    forgotten = old.journal("old")
    forgotten.append(ONE_OF_EACH[:3], after=0)
    new.delete("old")
    with pytest.raises(StudyDeleted, match="was deleted while"):
        forgotten.append(ONE_OF_EACH[3:5], after=3)
    other = new.journal("new")
    other.append(ONE_OF_EACH[:1], after=0)
    for after in (3, None):
        with pytest.raises(StudyDeleted):
            forgotten.append(ONE_OF_EACH[3:5], after=after)
    assert list(other.read()) == ONE_OF_EACH[:1]
    with pytest.raises(StudyDeleted, match="expected the 2 events that the study had, found 1: an older state"):
        other.append(ONE_OF_EACH[:2], after=2)
    for storage in (old, new):
        storage.close()


def test_a_server_that_hangs_up_is_called_again(postgresql_url):
    import psycopg

    storage = SqlStorage(postgresql_url)
    journal = storage.journal("study")
    journal.append(ONE_OF_EACH[:2], after=0)
    for act in (
        lambda: journal.append(ONE_OF_EACH[2:3], after=2),
        lambda: list(journal.read()),
        lambda: journal.beat("a"),
    ):
        with psycopg.connect(postgresql_url, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        with pytest.raises(JournalError, match="refused"):
            act()
        act()
    assert list(journal.read()) == ONE_OF_EACH[:3]
    assert dict(journal.beats()) == {"a": 1}
    storage.close()


@pytest.mark.parametrize(
    "event",
    [
        Noted(0.0, 5),
        Noted(0.0, "x", "first"),
        Ended(0.0, 0, Status.COMPLETED, None),
        SpaceChanged(0.0, mixed_space(), 3),
        TrialStarted(0.0, 0, {"x": object()}, 0),
    ],
)
def test_what_could_not_be_read_is_not_written(event):
    with pytest.raises(TypeError, match="expected plain data"):
        codec.encode(event)


def test_half_characters_are_spelt_out():
    event = Ended(0.0, 0, Status.FAILED, "no file \udc80.txt", {"loss": float("nan")}, "Traceback \ud800")
    read = codec.decode(*codec.encode(event))
    assert read.reason == "no file \\udc80.txt"
    assert read.error == "Traceback \\ud800"
    assert codec.decode(*codec.encode(Noted(0.0, "\udc80"))).text == "\\udc80"


def test_passwords_are_not_shown():
    from sqlalchemy import make_url

    storage = SqlStorage.__new__(SqlStorage)
    storage.url = make_url("postgresql+psycopg://me:secret@host/db")
    assert "secret" not in storage.shown_url


def test_an_interrupt_while_others_have_their_turn_breaks_nothing(tmp_path):
    ours, others = (SqlStorage(tmp_path / "study.db").journal("s") for _ in range(2))
    ours.append([Noted(0.0, "one")], after=0)
    taken = threading.Event()

    def take_a_turn():
        with others.turn():
            taken.set()
            time.sleep(0.5)

    def interrupt(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    other = threading.Thread(target=take_a_turn)
    other.start()
    taken.wait()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt), ours.turn():
            pass
    finally:
        signal.signal(signal.SIGALRM, before)
        other.join()
    assert others.append([Noted(1.0, "two")], after=1) == 2
    with ours.turn():
        assert ours.append([Noted(2.0, "three")], after=2) == 3
    assert [event.text for event in ours.read()] == ["one", "two", "three"]

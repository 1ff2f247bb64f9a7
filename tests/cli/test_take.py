"""``tunewell report``, ``export``, ``replay``, ``delete`` and ``demo``."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import Result

import tunewell as tw
from tunewell.journals.codec import decode
from tunewell.reading import rows

Tunewell = Callable[..., Result]


def test_report_prints_where_it_is(tunewell: Tunewell, tmp_path: Path) -> None:
    assert tunewell("report", "digits").stdout.strip().endswith("digits-report.html")
    assert (tmp_path / "digits-report.html").read_text().lstrip().startswith("<!")
    assert tunewell("report", "digits", "-o", "r.html").stdout.strip().endswith("r.html")
    assert (tmp_path / "r.html").exists()
    assert tunewell("report", "fresh/one").stdout.strip().endswith("fresh-one-report.html")


def test_export_trials_as_a_table(tunewell: Tunewell, storage: Path) -> None:
    table = list(csv.DictReader(io.StringIO(tunewell("export", "digits").stdout)))
    stored = rows(tw.open(str(storage), "digits").history)
    assert [list(row) for row in table] == [list(row) for row in stored]
    assert [float(row["params.lr"]) for row in table] == [row["params.lr"] for row in stored]
    assert tunewell("export", "fresh/one").stdout == "number,status\n"


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_export_trials_for_programs(tunewell: Tunewell, storage: Path, tmp_path: Path, form: str) -> None:
    assert tunewell("export", "digits", "--format", form, "-o", "out").stdout == ""
    text = (tmp_path / "out").read_text()
    data = json.loads(text) if form == "json" else [json.loads(line) for line in text.splitlines()]
    assert [row["number"] for row in data] == list(range(7))
    assert data[3]["val_loss"] is None  # NaN is no JSON
    assert data[0]["params.lr"] == 0.001


@pytest.mark.parametrize("form", ["csv", "json", "jsonl"])
def test_export_events_as_stored(tunewell: Tunewell, storage: Path, form: str) -> None:
    text = tunewell("export", "digits", "--events", "-f", form).stdout
    data: list[Any]
    if form == "csv":
        data = [{**row, "event": json.loads(row["event"])} for row in csv.DictReader(io.StringIO(text))]
    else:
        data = json.loads(text) if form == "json" else [json.loads(line) for line in text.splitlines()]
    events = [decode(row["kind"], json.dumps(row["event"])) for row in data]
    assert repr(events) == repr(tw.open(str(storage), "digits").events)  # equal but for NaN, which equals nothing
    assert [int(row["position"]) for row in data] == list(range(1, len(events) + 1))


@pytest.mark.parametrize("form", ["csv", "json", "jsonl"])
def test_export_events_that_cannot_be_read(tunewell: Tunewell, storage: Path, form: str) -> None:
    engine = sa.create_engine(f"sqlite:///{storage}")
    with engine.begin() as connection:
        connection.execute(sa.text("update events set body = '{torn' where study = 1 and position = 3"))
    engine.dispose()
    assert "at event 3 expected the fields of a" in tunewell("export", "digits").stderr
    text = tunewell("export", "digits", "--events", "-f", form).stdout
    assert "{torn" in text
    assert "trial_started" in text


def test_replay_checks_every_decision(tunewell: Tunewell) -> None:
    result = tunewell("replay", "digits")
    assert result.exit_code == 0
    assert "decisions checked in" in result.stdout
    assert re.search(r"\(7 starts, \d+ verdicts of the scheduler\): all as recorded\n$", result.stdout)
    data = json.loads(tunewell("replay", "digits", "--json").stdout)
    assert data["suggestions"] == 7
    assert data["verdicts"] > 0
    assert data["checked"] == data["suggestions"] + data["verdicts"]
    assert data["mismatch"] is None
    assert tunewell("replay", "digits", "-q").stdout == ""


def test_replay_finds_a_changed_configuration(tunewell: Tunewell, storage: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{storage}")
    with engine.begin() as connection:
        find = "select position, body from events where kind = 'trial_started' and study = 1 order by position"
        position, body = connection.execute(sa.text(find)).all()[4]
        tampered = json.dumps({**json.loads(body), "config": {"lr": 0.09, "act": "tanh"}})
        change = sa.text("update events set body = :body where study = 1 and position = :position")
        connection.execute(change, {"body": tampered, "position": position})
    engine.dispose()
    result = tunewell("replay", "digits")
    assert result.exit_code == 1
    assert f"a mismatch at event {position}\n  recorded: trial 4 configured by the sampler" in result.stdout
    assert "'lr': 0.09" in result.stdout
    assert "\n  expected: trial 4 configured by the sampler" in result.stdout
    assert tunewell("replay", "digits", "-q").exit_code == 1
    found = json.loads(tunewell("replay", "digits", "--json").stdout)["mismatch"]
    assert found["event"] == position


class Own:
    """A scheduler of the user's own."""

    def next_action(self, space: Any, history: Any, rng: Any) -> Any:
        return tw.schedulers.Fifo().next_action(space, history, rng)

    def decide(self, history: Any, report: Any) -> Any:
        return tw.schedulers.Fifo().decide(history, report)


def test_replay_needs_the_algorithms(tunewell: Tunewell, storage: Path) -> None:
    with tw.Study(tw.Space(), storage=str(storage), name="own", scheduler=Own()) as study:
        study.run(lambda trial: 1.0, trials=1, executor="inline", progress=False)
    result = tunewell("replay", "own")
    assert result.exit_code == 2
    assert "pass an instance of it" in result.stderr


def test_delete_asks_first(tunewell: Tunewell, storage: Path) -> None:
    files = storage.with_name("lab-files") / "digits"
    assert files.is_dir()
    for answer in ("n\n", "\n", ""):
        result = tunewell("delete", "digits", input=answer)
        assert result.exit_code == 1
        assert "study 'digits': 7 trials (" in result.stdout
        assert f"files: {files}" in result.stdout
        assert "nothing was removed" in result.stdout
    assert files.is_dir()
    assert tunewell("delete", "digits", input="yes\n").exit_code == 0
    assert not files.exists()
    assert tunewell("ls", "-q").stdout.splitlines() == ["two goals", "fresh/one"]


def test_delete_without_asking(tunewell: Tunewell) -> None:
    assert tunewell("delete", "digits", "--yes").stdout == "removed study 'digits' with its files\n"
    assert tunewell("delete", "two goals", "-y", "-q").stdout == ""
    assert tunewell("delete", "digits", "--yes").exit_code == 2


def test_demo_runs_the_demo(tunewell: Tunewell, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Path, int, bool]] = []
    fake = ModuleType("tunewell.demo")

    def run(directory: Path, workers: int, quiet: bool) -> int:
        calls.append((directory, workers, quiet))
        return 3

    fake.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tunewell.demo", fake)
    monkeypatch.setattr("tunewell.demo", fake, raising=False)
    assert tunewell("demo").exit_code == 3
    assert tunewell("demo", "here", "--workers", "4", "-q").exit_code == 3
    assert calls == [(Path("tunewell-demo"), 2, False), (Path("here"), 4, True)]

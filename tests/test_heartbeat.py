from __future__ import annotations

import threading
import time

import pytest

import tunewell as tw
from tunewell import heartbeat
from tunewell.events import Ended, Reported, Status, TrialResumed, TrialStarted
from tunewell.heartbeat import NEAR_SECONDS, SILENT_SECONDS, Listener, beating
from tunewell.identity import is_gone, is_near, new_identity
from tunewell.journals.memory import MemoryJournal
from tunewell.protocols import JournalError


def test_a_driver_is_silent_once_its_count_stands_still():
    listener = Listener()
    assert listener.silent({"a", "b"}, {"a": 1}, 0.0) == set()
    assert listener.silent({"a", "b"}, {"a": 2}, SILENT_SECONDS) == set()
    assert listener.silent({"a", "b"}, {"a": 2}, SILENT_SECONDS + 1) == {"b"}
    assert listener.silent({"a", "b"}, {"a": 2, "b": 1}, 2 * SILENT_SECONDS + 1) == {"a"}


def test_a_driver_whose_trial_was_taken_over_ends_and_says_nothing_in_the_others_name(tmp_path, monkeypatch):
    """It was suspended, say: another trains its trial to the end, and the time limit is over here."""
    monkeypatch.setattr("tunewell.driver.LOOK_AROUND_SECONDS", 0.05)
    space = tw.Space(x=tw.Float(0.0, 1.0))
    study = tw.Study(space, storage=str(tmp_path / "s.db"), sampler="random", scheduler="fifo", seed=0)
    journal = tw.open(str(tmp_path / "s.db"))._ledger.journal
    taken = []

    def end():
        ends = [Reported(time.time(), 0, 9, {"loss": 0.1}), Ended(time.time(), 0, Status.COMPLETED)]
        journal.append(ends, after=None)

    def watch(history, events):
        if history.running and not taken:
            now = time.time()
            lost, resumed = Ended(now, 0, Status.LOST, fault="run"), TrialResumed(now, 0, 0, "up", "faraway/b/1/1/1")
            journal.append([lost, resumed], after=None)
            taken.append(threading.Timer(2.0, end))
            taken[0].start()

    def train(trial):
        for step in trial.steps(9):
            time.sleep(0.4)
            trial.report(loss=1.0 / step)

    began = time.monotonic()
    study.run(train, trials=1, workers=1, trial_seconds=0.7, progress=watch)
    assert time.monotonic() - began < 20.0
    assert (study.trials[0].status, study.trials[0].value) == ("completed", 0.1)


def test_a_process_of_another_container_is_not_looked_for_among_ours(monkeypatch):
    """Both have one host name and one boot; there is no process of that number here."""
    host, boot, _, birth, count = new_identity().rsplit("/", 4)
    dead = "/".join([host, boot, str(2**22 + 1), birth, count])
    assert is_gone(dead)
    name, colon, namespace = host.rpartition(":")
    if colon:
        contained = dead.replace(host, f"{name}:{int(namespace) + 1}", 1)
        assert not is_gone(contained)
        assert is_near(contained)
    namesake = dead.replace(boot, "another-boot")
    assert not is_gone(namesake)
    assert is_near(namesake)
    assert not is_near("faraway" + dead)


def test_a_driver_of_a_host_of_our_name_is_waited_for_a_minute():
    host, boot, *process = here = new_identity().split("/")
    near, far, ours = "/".join([host, f"not-{boot}", *process]), "faraway/boot/1/1/1", "/".join(here)
    assert not is_near(ours)  # its process lives: it may take its time
    listener, beats = Listener(), {near: 1, far: 1, ours: 1}
    assert listener.silent(set(beats), beats, 0.0) == set()
    assert listener.silent(set(beats), beats, NEAR_SECONDS + 1) == {near}


def test_a_heart_beats_until_the_end_and_survives_a_journal_that_refuses(monkeypatch):
    class Refusing(MemoryJournal):
        refusals = 2

        def beat(self, driver):
            if self.refusals:
                self.refusals -= 1
                raise JournalError("full")
            super().beat(driver)

    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.005)
    journal = Refusing()
    with beating(journal, "me"):
        deadline = time.monotonic() + 10
        while journal.beats().get("me", 0) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.005)
    count = journal.beats()["me"]
    time.sleep(0.03)
    assert journal.beats()["me"] == count


@pytest.mark.parametrize("lives", [True, False])
def test_trials_of_a_driver_on_another_machine_are_taken_over_only_when_it_is_silent(tmp_path, monkeypatch, lives):
    monkeypatch.setattr(heartbeat, "SILENT_SECONDS", 0.3)
    monkeypatch.setattr("tunewell.driver.LOOK_AROUND_SECONDS", 0.05)
    space = tw.Space(x=tw.Float(0.0, 1.0))
    study = tw.Study(space, storage=str(tmp_path / "s.db"), sampler="random", scheduler="fifo", seed=0)
    elsewhere = "faraway/boot/1/1/1"
    journal = tw.Study(space, storage=str(tmp_path / "s.db"), seed=0)._ledger.journal
    journal.append([TrialStarted(time.time(), 0, {"x": 0.5}, 0, driver=elsewhere)], after=None)
    began = time.monotonic()

    def watch(history, events):
        """The other machine beats for a while and then ends its trial, or never says anything."""

    if lives:
        monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.05)

        def finish():
            with beating(journal, elsewhere):
                time.sleep(1.0)
            journal.append([Ended(time.time(), 0, tw.Status.COMPLETED, metrics={"loss": 7.0})], after=None)

        import threading

        other = threading.Thread(target=finish)
        other.start()
    study.run(lambda trial: 1.0, trials=2, executor="inline", progress=watch)
    assert [t.status.value for t in study.trials] == ["completed"] * 2
    if lives:
        other.join()
        assert study.trials[0].value == 7.0
        assert time.monotonic() - began >= 1.0
    else:
        assert study.trials[0].value == 1.0
        assert len(study.trials[0].stretches) == 2
    study.close()

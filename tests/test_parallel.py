"""Studies on real worker processes, killed for real."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path

import pytest

import tunewell as tw
from tunewell.events import CheckpointSaved, Ended, Paused, Reported, Status, TrialResumed, TrialStarted
from tunewell.history import History

SPACE = tw.Space(x=tw.Float(0.0, 1.0), y=tw.Int(1, 8))

SCRIPT = """
import os, sys, time
import tunewell as tw

def train(trial):
    done = 0
    if trial.checkpoint:
        done = int((trial.checkpoint / "done").read_text())
    for step in trial.steps(9):
        assert step == done + 1, (step, done)
        time.sleep(0.01)
        done = step
        trial.report(loss=trial.params["x"] + 1 / step)
        trial.save(lambda directory: (directory / "done").write_text(str(done)))

space = tw.Space(x=tw.Float(0.0, 1.0), y=tw.Int(1, 8))
study = tw.Study(space, name="storm", storage="sqlite:///storm.db", sampler="random", scheduler="asha", seed=7)
print(study.run(train, trials=30, workers=2, progress=False))
"""


def objective(trial):
    for step in trial.steps(4):
        trial.report(loss=trial.params["x"] + 1 / step, pid=os.getpid())
    return {"loss": trial.params["x"], "pid": os.getpid(), "seed": trial.seed}


@pytest.mark.parametrize("sampler", ["random", "sobol"])
def test_any_number_of_workers_gives_the_same_trials(sampler):
    found = []
    for workers in (1, 2, 3):
        study = tw.Study(SPACE, sampler=sampler, scheduler="fifo", seed=11)
        study.run(objective, trials=8, workers=workers, progress=False)
        found.append([(t.number, dict(t.params), t.seed, t.value) for t in study.trials])
        assert len({t.metrics["pid"] for t in study.trials}) == 8, "a fresh process per trial"
    assert found[0] == found[1] == found[2]


def test_a_killed_worker_is_taken_up_again_with_the_same_seed(tmp_path):
    def dies_once(trial):
        mark = tmp_path / str(trial.number)
        for step in trial.steps(5):
            trial.report(loss=1 / step, seed=trial.seed)
            trial.save(lambda directory: None)
            if step == 3 and trial.number == 1 and not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)

    study = tw.Study(SPACE, scheduler="fifo", sampler="random", seed=0)
    study.run(dies_once, trials=3, workers=2, progress=False)
    assert [(t.status.value, t.step) for t in study.trials] == [("completed", 5)] * 3
    lost = [event for event in study.events if isinstance(event, Ended) and event.status is Status.LOST]
    assert len(lost) == 1
    assert "SIGKILL" in lost[0].reason
    (resumed,) = [event for event in study.events if isinstance(event, TrialResumed)]
    assert (resumed.trial, resumed.step) == (1, 2)
    assert {report.metrics["seed"] for report in study.trials[1].reports} == {study.trials[1].seed}


def test_a_trial_that_does_not_end_when_told_to_holds_nobody_up_for_ever():
    def hangs(trial):
        for step in trial.steps(9):
            trial.report(loss=1 / step)
        time.sleep(60)

    study = tw.Study(SPACE, scheduler="fifo", sampler="random", seed=0)
    began = time.monotonic()
    study.run(hangs, steps=3, trial_seconds=5, workers=1, progress=False)
    assert time.monotonic() - began < 40
    assert [(t.status.value, t.step) for t in study.trials] == [("stopped", 3)]


DIES_BETWEEN_SAVE_AND_TELLING = """
import os, sys
import tunewell as tw
from tunewell.protocols import Continue, Pause
from tunewell.schedulers.fifo import Fifo

class Swayed(Fifo):
    def decide(self, history, report):
        return Pause("enough") if os.path.exists("died") else Continue()

def train(trial):
    for step in trial.steps(3):
        trial.report(loss=1 / step)
        trial.save(lambda directory: (directory / "weights").write_text(str(step)))
        if step == int(sys.argv[1]) and not os.path.exists("died"):
            open("died", "w").close()
            os._exit(9)

study = tw.Study(tw.Space(x=tw.Float(0, 1)), name="swayed", storage="sqlite:///s.db", scheduler=Swayed(), seed=0)
study.run(train, trials=1, executor="inline", progress=False)
print([path.name for path in sorted(study.trials[0].directory.iterdir()) if "step" in path.name], study.trials[0].saved)
"""


@pytest.mark.parametrize("step", [1, 2])
def test_a_checkpoint_that_nobody_told_of_is_removed_when_its_trial_is_taken_up(tmp_path, step):
    (tmp_path / "swayed.py").write_text(DIES_BETWEEN_SAVE_AND_TELLING)
    command = [sys.executable, "swayed.py", str(step)]
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 9
    assert subprocess.check_output(command, cwd=tmp_path, text=True) == "['step-1'] 1\n"


def test_a_trial_that_always_kills_its_worker_is_given_up():
    def dies(trial):
        if trial.number == 0:
            os.kill(os.getpid(), signal.SIGSEGV)
        return 1.0

    study = tw.Study(SPACE, scheduler="fifo", sampler="random", seed=0)
    study.run(dies, trials=2, workers=2, progress=False)
    assert [t.status.value for t in study.trials] == ["lost", "completed", "completed"]
    assert study.trials[0].lost_for_good
    assert "SIGSEGV" in study.trials[0].reason


def test_output_goes_to_the_log_named_in_the_record(tmp_path):
    def speaks(trial):
        print("hello from", trial.number)
        os.system("echo and from a child")
        return 1.0

    study = tw.Study(SPACE, scheduler="fifo", seed=0, directory=tmp_path)
    study.run(speaks, trials=2, workers=2, progress=False)
    for trial in study.trials:
        assert trial.log.read_text() == f"hello from {trial.number}\nand from a child\n"


def test_one_interrupt_finishes_the_steps_of_all_workers(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    run = subprocess.Popen([sys.executable, str(script)], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    with run:
        wait_until(lambda: reported(tmp_path) > 12)
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=30)
    assert run.returncode != 0
    assert "the same call goes on where this one stopped" in errors
    study = tw.open(f"sqlite:///{tmp_path}/storm.db")
    assert not [t for t in study.trials if t.status in ("running", "lost")]
    assert all(t.saved == t.step for t in study.trials)
    study.close()
    finish(script)
    check(tmp_path)


@pytest.mark.parametrize("victim", ["driver", "worker"])
def test_a_few_kills(tmp_path, victim):
    storm(tmp_path, victim, kills=3, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("victim", ["driver", "worker", "both"])
def test_a_storm_of_kills(tmp_path, victim, seed):
    storm(tmp_path, victim, kills=12, seed=seed)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 4])
def test_many_drivers_of_many_workers(tmp_path, processes):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    drivers = [subprocess.Popen([sys.executable, str(script)], cwd=tmp_path) for _ in range(processes)]
    time.sleep(1.0)
    drivers[0].kill()
    for driver in drivers:
        driver.wait(120)
    finish(script)
    check(tmp_path)


def storm(folder: Path, victim: str, kills: int, seed: int) -> None:
    """Run the script again and again, killing it or its workers at random moments, until it is through."""
    hands = random.Random(seed)
    script = folder / "script.py"
    script.write_text(SCRIPT)
    for _ in range(kills):
        run = subprocess.Popen([sys.executable, str(script)], cwd=folder, stdout=subprocess.DEVNULL)
        time.sleep(hands.uniform(0.2, 1.2))
        who = hands.choice(["driver", "worker"]) if victim == "both" else victim
        if who == "worker":
            for pid in workers_of(run.pid)[:1]:
                kill(pid)
            time.sleep(hands.uniform(0.0, 0.3))
        run.kill()
        run.wait(10)
    assert finish(script) == "30 trials are done"
    check(folder)
    deadline = time.time() + 5
    while time.time() < deadline and leftovers(folder):
        time.sleep(0.05)
    assert not leftovers(folder)


def check(folder: Path) -> None:
    """No finished trial lost, none run twice, the total exact, every step told once, every decision explainable."""
    study = tw.open(f"sqlite:///{folder}/storm.db")
    events = study.events
    assert len(study.trials) == 30
    assert Counter(event.trial for event in events if isinstance(event, TrialStarted)) == dict.fromkeys(range(30), 1)
    assert not [t for t in study.trials if t.status not in ("paused", "completed")]
    ended = Counter(event.trial for event in events if isinstance(event, Ended) and event.status is Status.COMPLETED)
    assert all(count == 1 for count in ended.values())
    for trial in study.trials:
        assert [report.step for report in trial.reports] == list(range(1, trial.step + 1))
        assert trial.value == pytest.approx(trial.params["x"] + 1 / trial.step)
        assert trial.saved == trial.step
        assert (trial.checkpoint / "done").read_text() == str(trial.step)
        assert [path.name for path in trial.directory.iterdir() if "step" in path.name] == [f"step-{trial.step}"]
    fresh = History(events, study.directory)
    for rung, following in ((1, 3), (3, 9)):
        assert len(fresh.rung(following)) <= len(fresh.rung(rung)) // 3
    seen: dict[int, int] = {}
    for event in events:  # a step may be trained again only if its checkpoint had not been written down
        if isinstance(event, CheckpointSaved):
            assert event.step > seen.get(event.trial, 0)
            seen[event.trial] = event.step
        if isinstance(event, TrialResumed):
            assert event.step == seen.get(event.trial, 0)
    assert any(isinstance(event, Paused | Reported) for event in events)
    study.close()


def finish(script: Path) -> str:
    done = subprocess.run(
        [sys.executable, str(script)], cwd=script.parent, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def reported(folder: Path) -> int:
    path = folder / "storm.db"
    if not path.exists():
        return 0
    try:
        study = tw.open(f"sqlite:///{path}")
    except (KeyError, FileNotFoundError):  # not created yet
        return 0
    with study:
        return study.history.steps_done


def wait_until(holds, seconds: float = 30.0) -> None:
    deadline = time.time() + seconds
    while not holds():
        assert time.time() < deadline, "waited in vain"
        time.sleep(0.02)


def workers_of(pid: int) -> list[int]:
    """Return the grandchildren of a driver: the processes that train."""
    return [grandchild for child in children(pid) for grandchild in children(child)]


def children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def leftovers(folder: Path) -> list[str]:
    """Return the processes whose working folder is ours: workers that outlived their driver."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cwd").resolve() == folder.resolve() and int(entry.name) != os.getpid():
                    found.append((entry / "cmdline").read_text())
            except OSError:
                continue
    return found


def test_the_script_is_what_users_write():
    assert "__main__" not in SCRIPT
    compile(textwrap.dedent(SCRIPT), "script", "exec")

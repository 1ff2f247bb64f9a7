from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from tunewell.events import Reported, Status
from tunewell.executors import processes, worker
from tunewell.executors.processes import Processes
from tunewell.protocols import Continue, Stop
from tunewell.testing.executors import (
    ExecutorContract,
    Notebook,
    make_job,
    poll_until,
    poll_until_idle,
    run_one,
    square,
)

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="forking is for Linux")


class TestForked(ExecutorContract):
    @pytest.fixture
    def executor(self):
        return Processes()


class TestSpawned(ExecutorContract):
    @pytest.fixture
    def executor(self):
        return Processes(method="spawn")


@pytest.fixture
def executor():
    executor = Processes()
    yield executor
    executor.close()


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead but not yet buried does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] in "ZX")


def wait_until(condition, seconds=2.0):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def reported(notebook: Notebook, trial: int = 0) -> dict[str, float]:
    return {
        name: value
        for event in notebook.of(trial)
        if isinstance(event, Reported)
        for name, value in event.metrics.items()
    }


def start_sleeper(executor, tmp_path, body=dict, trial=0, worker=0):
    """Launch a trial that reports where it lives, then sleeps; return the notebook once it has reported."""

    def train(trial):
        for step in trial.steps(2):
            if step == 1:
                trial.report(pid=os.getpid(), server=os.getppid(), **body())
            elif trial.number < 100:
                time.sleep(60)

    notebook = Notebook()
    executor.start(train, 1)
    executor.launch(make_job(tmp_path, trial=trial, worker=worker))
    poll_until(executor, notebook, lambda: reported(notebook, trial))
    return notebook


# --- death ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("death", "reason"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "worker process died of signal 9 (SIGKILL)"),
        (lambda: os.kill(os.getpid(), signal.SIGSEGV), "worker process died of signal 11 (SIGSEGV)"),
        (lambda: os._exit(3), "worker process exited with code 3"),
        (lambda: os._exit(0), "worker process exited with code 0"),
    ],
)
def test_a_dead_worker_is_lost_and_what_it_told_is_not(executor, tmp_path, death, reason):
    def train(trial):
        for step in trial.steps(3):
            if step == 3:
                death()
            trial.report(loss=step)

    notebook = Notebook()
    end = run_one(executor, train, make_job(tmp_path), notebook)
    assert (end.status, end.reason) == (Status.LOST, reason)
    assert [event.step for event in notebook.of(0)[:-1]] == [1, 2]
    assert executor.free_workers() == (0,)


def test_the_last_words_of_a_worker_that_died_are_kept(executor, tmp_path):
    def train(trial):
        print(*range(100), sep="\n", flush=True)
        print("libfoo: assertion failed", flush=True)
        os.abort()

    executor.start(train, None)
    end = run_one(executor, train, make_job(tmp_path))
    assert end.status is Status.LOST
    first, *rest = end.error.splitlines()
    assert first == f"the last lines of {make_job(tmp_path).log}:"
    assert (len(rest), rest[0], rest[-1]) == (20, "81", "libfoo: assertion failed")


def test_a_worker_killed_by_the_kernel_for_memory_is_out_of_memory(executor, tmp_path, monkeypatch):
    counts = iter([4, 5])
    monkeypatch.setattr(processes, "kernel_oom_kills", lambda: next(counts))
    end = run_one(executor, lambda trial: os.kill(os.getpid(), signal.SIGKILL), make_job(tmp_path))
    assert end.status == Status.OUT_OF_MEMORY
    assert "the kernel killed" in end.reason


def test_a_dead_worker_is_noticed_while_a_process_of_its_own_holds_its_socket(executor, tmp_path):
    def train(trial):
        for step in trial.steps(2):
            if step == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            pid = os.fork()
            if pid == 0:
                os.setsid()
                time.sleep(30)
                os._exit(0)
            trial.report(child=pid)

    notebook = Notebook()
    began = time.monotonic()
    try:
        end = run_one(executor, train, make_job(tmp_path), notebook)
        assert end.status == Status.LOST
        assert time.monotonic() - began < 10
    finally:
        os.kill(int(reported(notebook)["child"]), signal.SIGKILL)


def test_what_a_worker_leaves_running_is_killed(executor, tmp_path):
    def train(trial):
        child = subprocess.Popen(["sleep", "60"])
        child.returncode = 0  # nobody is going to wait for it
        return {"child": child.pid}

    end = run_one(executor, train, make_job(tmp_path))
    assert end.status == Status.COMPLETED
    assert wait_until(lambda: not alive(int(end.metrics["child"])))


@pytest.mark.parametrize("method", ["auto", "spawn"])
def test_a_thread_left_behind_does_not_hold_the_worker_for_ever(method, tmp_path):
    """Nor does an exit handler that hangs; handlers that come before it are still called."""

    def train(trial):
        if trial.number == 0:
            worker._THREAD_SECONDS = 0.2
            threading.Thread(target=time.sleep, args=(1000,), name="upload").start()
        else:
            worker._EXIT_SECONDS = 1.0
            atexit.register(time.sleep, 1000)
        atexit.register(print, "flushed")
        return 1.0

    executor, notebook = Processes(1, method=method), Notebook()
    executor.start(train, 1)
    try:
        executor.launch(make_job(tmp_path, trial=0))
        with pytest.warns(
            RuntimeWarning, match=r"trial 0: .* a thread still ran 0\.2 seconds after its trial \(upload\)"
        ):
            poll_until_idle(executor, notebook)
        executor.launch(make_job(tmp_path, trial=1))
        poll_until_idle(executor, notebook)  # says nothing more: one line is enough
    finally:
        executor.close()
    for trial, words in enumerate(["(upload)", "exit handlers had not finished"]):
        assert notebook.end_of(trial).status is Status.COMPLETED
        log = make_job(tmp_path, trial=trial).log.read_text()
        assert "flushed" in log
        assert words in log


def test_a_halt_kills_the_worker_and_its_own_processes_and_frees_the_slot(executor, tmp_path):
    notebook = start_sleeper(executor, tmp_path, lambda: {"child": subprocess.Popen(["sleep", "60"]).pid})
    heard = len(notebook.heard)
    where = reported(notebook)
    executor.halt(0)
    assert executor.busy_trials() == (0,), "the slot is busy until the process is gone"
    poll_until_idle(executor, notebook)
    assert len(notebook.heard) == heard
    assert not alive(int(where["pid"]))
    assert wait_until(lambda: not alive(int(where["child"])))


def test_the_death_of_the_fork_server_is_survived(executor, tmp_path):
    notebook = start_sleeper(executor, tmp_path)
    where = reported(notebook)
    os.kill(int(where["server"]), signal.SIGKILL)
    poll_until_idle(executor, notebook)
    end = notebook.end_of(0)
    assert (end.status, end.reason) == (Status.LOST, "the fork server died of signal 9 (SIGKILL)")
    assert wait_until(lambda: not alive(int(where["pid"])))
    executor.launch(make_job(tmp_path, trial=100))
    poll_until_idle(executor, notebook)
    assert notebook.end_of(100).status == Status.COMPLETED
    assert executor.notes == []


def test_a_launch_on_a_fork_server_just_killed_starts_another(executor, tmp_path):
    notebook = Notebook()
    executor.start(square, 2)
    executor.launch(make_job(tmp_path, trial=0))
    poll_until_idle(executor, notebook)
    server = executor._server.process
    server.kill()
    assert wait_until(lambda: not alive(server.pid))
    executor.launch(make_job(tmp_path, trial=1))
    poll_until_idle(executor, notebook)
    assert notebook.end_of(1).status in (Status.COMPLETED, Status.LOST)
    assert executor.free_workers() == (0, 1)


def test_closing_leaves_no_process(executor, tmp_path):
    where = reported(start_sleeper(executor, tmp_path, lambda: {"child": subprocess.Popen(["sleep", "60"]).pid}))
    executor.close()
    assert not alive(int(where["pid"]))
    assert not alive(int(where["server"]))
    assert wait_until(lambda: not alive(int(where["child"])))


def test_ctrl_c_is_the_drivers_business(executor, tmp_path):
    def train(trial):
        os.kill(os.getppid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        return os.getpgid(0) == os.getpid()

    assert dict(run_one(executor, train, make_job(tmp_path)).metrics) == {"loss": 1}


DRIVER = """
    import os, sys, time
    from pathlib import Path
    from tunewell.events import Reported
    from tunewell.executors.processes import Processes
    from tunewell.protocols import Continue
    from tunewell.testing.executors import make_job

    def train(trial):
        for step in trial.steps(2):
            if step == 1:
                trial.report(server=os.getppid(), worker=os.getpid())
            else:
                time.sleep(60)

    def observe(trial, events):
        for event in events:
            if isinstance(event, Reported):
                print(*(int(pid) for pid in event.metrics.values()), flush=True)
        return Continue()

    executor = Processes(2, method=sys.argv[2])
    executor.start(train, None)
    for worker in (0, 1):
        executor.launch(make_job(Path(sys.argv[1]), trial=worker, worker=worker))
    while True:
        executor.poll(observe, 1.0)
"""


@pytest.mark.parametrize("method", ["auto", "spawn"])
def test_a_driver_killed_outright_leaves_no_process(tmp_path, method):
    script = tmp_path / "driver.py"
    script.write_text(textwrap.dedent(DRIVER))
    driver = subprocess.Popen([sys.executable, str(script), str(tmp_path), method], stdout=subprocess.PIPE, text=True)
    with driver:
        pids = {int(pid) for _ in range(2) for pid in driver.stdout.readline().split()}
        assert len(pids) == 3
        assert all(alive(pid) for pid in pids)
        driver.kill()
        assert wait_until(lambda: not any(alive(pid) for pid in pids), 2.0)


# --- odds and ends ----------------------------------------------------------------------------------------------------


def test_what_the_observer_refused_is_offered_again(executor, tmp_path):
    refusals = iter([True, False])

    def answer(trial, events):
        if next(refusals, False):
            raise LookupError("the journal is busy")
        return Continue()

    notebook = Notebook(answer)
    executor.start(square, 1)
    executor.launch(make_job(tmp_path))
    with pytest.raises(LookupError):
        poll_until_idle(executor, notebook)
    notebook.heard.clear()
    poll_until_idle(executor, notebook)
    assert notebook.end_of(0).status == Status.COMPLETED


def test_a_trial_halted_by_the_observer_itself_ends_there(executor, tmp_path):
    def train(trial):
        for step in trial.steps(50):
            trial.report(loss=step)

    def answer(trial, events):
        executor.halt(trial)
        return Stop("enough")

    notebook = Notebook(answer)
    executor.start(train, 1)
    executor.launch(make_job(tmp_path))
    poll_until_idle(executor, notebook)
    assert len(notebook.heard) == 1


def test_a_launch_takes_no_time_and_workers_run_side_by_side(tmp_path):
    meeting = tmp_path / "meeting"
    meeting.mkdir()

    def train(trial):
        (meeting / str(trial.number)).touch()
        while len(list(meeting.iterdir())) < 2:
            time.sleep(0.005)

    executor, notebook = Processes(2), Notebook()
    try:
        executor.start(train, None)
        for worker in (0, 1):
            executor.launch(make_job(tmp_path, trial=worker, worker=worker))
        assert executor.busy_trials() == (0, 1)
        with pytest.raises(ValueError, match="expected one of the free workers"):
            executor.launch(make_job(tmp_path, trial=2))
        poll_until_idle(executor, notebook)
    finally:
        executor.close()
    assert all(notebook.end_of(trial).status == Status.COMPLETED for trial in (0, 1))


def test_no_file_stays_open_and_no_child_stays_unburied(tmp_path):
    def open_files():
        return len(os.listdir("/proc/self/fd"))

    def children():
        found = set()
        for thread in Path("/proc/self/task").iterdir():
            with contextlib.suppress(OSError):  # a thread that ends meanwhile
                found.update((thread / "children").read_text().split())
        return found

    others = children()  # of tests before this one
    executor = Processes(2)
    run_one(executor, square, make_job(tmp_path))
    executor.close()
    before = open_files()
    for number in range(5):
        run_one(executor, square, make_job(tmp_path, number))
    executor.close()
    assert open_files() == before
    assert children() <= others


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ({"workers": 0}, ValueError, "expected at least 1 worker, got 0"),
        ({"workers": True}, TypeError, "expected a whole number of workers, got True"),
        ({"workers": 1.5}, TypeError, "expected a whole number of workers, got 1.5"),
        ({"method": "thread"}, ValueError, 'expected method="auto" or "spawn", got \'thread\''),
        ({"gpus": "all"}, ValueError, 'expected gpus="auto", a number or a list'),
        ({"gpus": -1}, ValueError, "got -1"),
        ({"gpus": [""]}, ValueError, "use \\[\\] for none"),
    ],
)
def test_arguments_that_make_no_sense(arguments, error, sentence):
    with pytest.raises(error, match=sentence):
        Processes(**arguments)


def test_starting_without_an_objective_or_gpus_that_are_not_there(monkeypatch):
    for nothing in (None, 3):
        with pytest.raises(TypeError, match="expected a function to train with"):
            Processes().start(nothing, 1)
    with pytest.raises(ValueError, match="at least 1 worker"):
        Processes().start(square, 0)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    with pytest.raises(ValueError, match="expected 2 GPUs, found 1"):
        Processes(gpus=2).start(square, None)

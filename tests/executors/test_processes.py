from __future__ import annotations

import gc
import importlib
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from tunewell.events import Reported, Status
from tunewell.executors import processes
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


# --- objectives -------------------------------------------------------------------------------------------------------


SCRIPT = """
    import pickle
    import sys
    from pathlib import Path
    from tunewell.executors.processes import Processes
    from tunewell.testing.executors import Notebook, make_job, run_one

    class Net:
        width = 3

    def train(trial):
        return pickle.loads(pickle.dumps(Net())).width

    executor = Processes()
    try:
        end = run_one(executor, train, make_job(Path(sys.argv[1])))
        print(end.status, dict(end.metrics), end.error, executor.notes)
    finally:
        executor.close()
"""


def test_a_script_needs_no_main_guard_and_its_classes_pickle(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("completed {'loss': 3.0}  []\n", "")


def test_a_bound_method_and_a_callable_object_will_do(executor, tmp_path):
    class Trainer:
        factor = 4

        def fit(self, trial):
            return self.factor * trial.params["x"]

        __call__ = fit

    for objective in (Trainer().fit, Trainer()):
        assert dict(run_one(executor, objective, make_job(tmp_path)).metrics) == {"loss": 2.0}


def test_an_objective_that_cannot_be_pickled_is_refused_in_one_sentence(executor):
    lock = threading.Lock()
    with pytest.raises(TypeError, match="cannot be sent to another process.*inside the objective") as caught:
        executor.start(lambda trial: lock.acquire(), 1)
    assert "\n" not in str(caught.value)


@linux_only
def test_imports_inside_the_function_are_loaded_ahead(executor, tmp_path):
    def train(trial):
        loaded = {"module": "wave" in sys.modules, "from": "xml.sax.handler" in sys.modules}
        import wave
        from xml.sax import handler

        return {**loaded, "used": bool(wave and handler)}

    executor.start(train, 1)
    notebook = Notebook()
    for number in range(2):
        executor.launch(make_job(tmp_path, trial=number))
        poll_until_idle(executor, notebook)
        assert dict(notebook.end_of(number).metrics) == {"module": 1, "from": 1, "used": 1}


@linux_only
def test_a_module_that_starts_threads_makes_each_trial_start_its_own_python(executor, tmp_path, monkeypatch):
    write_module(
        tmp_path,
        monkeypatch,
        "threads_at_import",
        "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()",
    )

    def train(trial):
        import threads_at_import

        return {"forked": gc.get_freeze_count() > 0, "loaded": bool(threads_at_import)}

    with pytest.warns(RuntimeWarning, match="started 1 thread"):
        end = run_one(executor, train, make_job(tmp_path))
    assert dict(end.metrics) == {"forked": 0, "loaded": 1}
    assert len(executor.notes) == 1


@linux_only
def test_a_module_that_asks_for_a_gpu_makes_each_trial_start_its_own_python(executor, tmp_path, monkeypatch):
    write_module(
        tmp_path,
        monkeypatch,
        "torch",
        """
        class cuda:
            is_initialized = staticmethod(lambda: False)
            _is_in_bad_fork = staticmethod(lambda: True)

        def set_num_threads(count): pass
        """,
    )

    def train(trial):
        forked = gc.get_freeze_count() > 0
        import torch

        return {"forked": forked, "loaded": bool(torch)}

    with pytest.warns(RuntimeWarning, match="asked for the GPU"):
        end = run_one(executor, train, make_job(tmp_path))
    assert dict(end.metrics) == {"forked": 0, "loaded": 1}


def run_many(executor, tmp_path, train, enough):
    """Run trials one after another until ``enough(metrics)``; return the metrics of all."""
    executor.start(train, 1)
    seen = []
    deadline = time.monotonic() + 30
    while not seen or not enough(seen[-1]):
        assert time.monotonic() < deadline, f"never enough: {seen[-3:]}"
        notebook = Notebook()
        executor.launch(make_job(tmp_path, trial=len(seen)))
        poll_until_idle(executor, notebook)
        seen.append(dict(notebook.end_of(len(seen)).metrics))
    return seen


@linux_only
def test_what_a_trial_imports_behind_our_back_is_loaded_for_those_to_come(executor, tmp_path):
    def train(trial):
        loaded = "xml.dom.pulldom" in sys.modules
        importlib.import_module("xml.dom." + "pulldom")
        return {"loaded": loaded}

    seen = run_many(executor, tmp_path, train, lambda metrics: metrics["loaded"])
    assert not seen[0]["loaded"]


@linux_only
def test_what_is_not_safe_to_load_ahead_is_not_learned(executor, tmp_path, monkeypatch):
    # In a folder of that name it counts as a package.
    packages = tmp_path / "site-packages"
    packages.mkdir()
    write_module(
        packages,
        monkeypatch,
        "threads_at_import",
        f"""
        import os, threading
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        open({str(tmp_path / "importers")!r}, "a").write(f"{{os.getpid()}}\\n")
        """,
    )

    def train(trial):
        forked = gc.get_freeze_count() > 0
        importlib.import_module("threads_" + "at_import")
        importers = {int(line) for line in Path(file).read_text().split()}
        return {"forked": forked, "pid": os.getpid(), "importers": len(importers)}

    file = str(tmp_path / "importers")
    seen = run_many(executor, tmp_path, train, lambda metrics: metrics["importers"] >= 8)
    assert all(metrics["forked"] for metrics in seen)
    assert executor.notes == []


def test_an_objective_that_does_not_load_fails_its_trials_with_the_reason(executor, tmp_path, monkeypatch):
    module = write_module(tmp_path, monkeypatch, "soon_gone", "def train(trial): return 1.0")
    (tmp_path / "soon_gone.py").write_text("raise OSError('the data set is not there')")
    with pytest.warns(RuntimeWarning, match="could not be loaded ahead.*data set"):
        end = run_one(executor, module.train, make_job(tmp_path))
    assert (end.status, end.reason) == (Status.FAILED, "OSError: the data set is not there")


def test_a_module_that_kills_the_process_loading_it_fails_only_its_trials(executor, tmp_path, monkeypatch):
    module = write_module(tmp_path, monkeypatch, "deadly", "def train(trial): return 1.0")
    (tmp_path / "deadly.py").write_text("import os; os._exit(7)")
    notebook = Notebook()
    executor.start(module.train, 1)
    executor.launch(make_job(tmp_path, trial=0))
    with pytest.warns(RuntimeWarning, match="process that loaded the objective exited with code 7"):
        poll_until_idle(executor, notebook)
    executor.launch(make_job(tmp_path, trial=1))
    poll_until_idle(executor, notebook)
    assert notebook.end_of(0).reason == "the fork server exited with code 7"
    assert notebook.end_of(1).reason == "worker process exited with code 7"


def write_module(folder, monkeypatch, name, source):
    """Put a module where the workers find it; return what it is now, which the server will not see."""
    (folder / f"{name}.py").write_text(textwrap.dedent(source))
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    if "at_import" in name or name == "torch":
        return None
    module = importlib.import_module(name)
    monkeypatch.setitem(sys.modules, name, module)
    return module


# --- what a worker finds ----------------------------------------------------------------------------------------------


def test_prints_go_to_the_log_whoever_prints(executor, tmp_path):
    def train(trial):
        print("from Python")
        os.system("echo from the shell")
        os.write(2, "from C: ü\n".encode())
        print("to stderr", file=sys.stderr)
        trial.report(seen=Path(log).read_text().count("\n"))

    log = str(make_job(tmp_path).log)
    notebook = Notebook()
    run_one(executor, train, make_job(tmp_path), notebook)
    assert Path(log).read_text() == "from Python\nfrom the shell\nfrom C: ü\nto stderr\n"
    assert reported(notebook) == {"seen": 4}, "line by line, not at the end"
    run_one(executor, lambda trial: print("again"), make_job(tmp_path))
    assert Path(log).read_text().endswith("to stderr\nagain\n")


@pytest.mark.parametrize("silence", [lambda: sys.stdout.close(), lambda: os.close(1), lambda: None])
def test_no_amount_of_output_and_no_closed_stdout_ends_a_trial(executor, tmp_path, silence):
    def train(trial):
        print("x" * 5_000_000)
        silence()
        return 1.0

    end = run_one(executor, train, make_job(tmp_path))
    assert end.status == Status.COMPLETED
    assert make_job(tmp_path).log.stat().st_size == 5_000_001


def test_global_generators_differ_between_trials_and_repeat_with_the_seed(executor, tmp_path):
    def train(trial):
        return {"python": random.random(), "numpy": np.random.random()}  # noqa: NPY002 (that one is the point)

    draws = [dict(run_one(executor, train, make_job(tmp_path, number)).metrics) for number in (1, 2, 1)]
    assert draws[0] == draws[2]
    assert draws[0]["python"] != draws[1]["python"]
    assert draws[0]["numpy"] != draws[1]["numpy"]


def test_workers_share_out_the_cores(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "cores", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", "5")

    def train(trial):
        import threadpoolctl
        import torch

        pools = {
            f"{pool['internal_api']} {number}": pool["num_threads"]
            for number, pool in enumerate(threadpoolctl.threadpool_info())
        }
        return {**pools, "torch": torch.get_num_threads(), "environment": int(os.environ["OMP_NUM_THREADS"])}

    executor, notebook = Processes(), Notebook()
    try:
        executor.start(train, 2)
        for worker in (0, 1):
            executor.launch(make_job(tmp_path, trial=worker, worker=worker))
        poll_until_idle(executor, notebook)
    finally:
        executor.close()
    assert executor.notes == []
    for trial in (0, 1):
        assert set(notebook.end_of(trial).metrics.values()) == {4.0}, notebook.end_of(trial)


def test_a_data_loader_with_workers_of_its_own(executor, tmp_path):
    def train(trial):
        import torch
        from torch.utils.data import DataLoader, TensorDataset

        net = torch.nn.Linear(3, 1)
        loader = DataLoader(TensorDataset(torch.ones(64, 3)), batch_size=8, num_workers=2, persistent_workers=True)
        total = 0.0
        for _ in range(2):
            for (batch,) in loader:
                net(batch).sum().backward()
                total += float(batch.sum())
        return {"total": total, "forked": gc.get_freeze_count() > 0}

    end = run_one(executor, train, make_job(tmp_path))
    assert (end.status, dict(end.metrics)) == (Status.COMPLETED, {"total": 384.0, "forked": sys.platform == "linux"}), (
        end
    )


def test_each_worker_sees_its_own_gpu(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    module = write_module(
        tmp_path,
        monkeypatch,
        "device_at_the_top",
        """
        import os
        DEVICE = os.environ["CUDA_VISIBLE_DEVICES"]
        def train(trial):
            return {"at the top": float(DEVICE), "inside": float(os.environ["CUDA_VISIBLE_DEVICES"])}
        """,
    )
    executor, notebook = Processes(), Notebook()
    try:
        executor.start(module.train, None)
        assert executor.free_workers() == (0, 1), "one worker a GPU"
        for worker in (0, 1):
            executor.launch(make_job(tmp_path, trial=worker, worker=worker))
        poll_until_idle(executor, notebook)
    finally:
        executor.close()
    assert [dict(notebook.end_of(trial).metrics) for trial in (0, 1)] == [
        {"at the top": 3, "inside": 3},
        {"at the top": 5, "inside": 5},
    ]


@pytest.mark.parametrize(
    ("gpus", "visible"), [([], ""), (None, ""), (0, ""), (["GPU-ab"], "GPU-ab"), ((4,), "4"), (1, "3"), ("auto", "3")]
)
def test_gpus_can_be_named_counted_or_hidden(executor, tmp_path, monkeypatch, gpus, visible):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, 5")
    executor = Processes(gpus=gpus)
    try:
        executor.start(square, 1)
        assert executor._environment(0)["CUDA_VISIBLE_DEVICES"] == visible
    finally:
        executor.close()


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

    executor = Processes(2)
    run_one(executor, square, make_job(tmp_path))
    executor.close()
    before = open_files()
    for number in range(5):
        run_one(executor, square, make_job(tmp_path, number))
    executor.close()
    assert open_files() == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


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

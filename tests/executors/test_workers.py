from __future__ import annotations

import errno
import gc
import importlib
import os
import random
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
from tunewell.testing.executors import (
    Notebook,
    make_job,
    poll_until_idle,
    run_one,
    square,
)

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="forking is for Linux")


@pytest.fixture
def executor():
    executor = Processes()
    yield executor
    executor.close()


def reported(notebook: Notebook, trial: int = 0) -> dict[str, float]:
    return {
        name: value
        for event in notebook.of(trial)
        if isinstance(event, Reported)
        for name, value in event.metrics.items()
    }


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


POOLED = """
    import multiprocessing
    import tunewell as tw

    class Batch:
        def __init__(self, size):
            self.size = size

    def measured(batch):
        return batch.size ** 2

    def train(trial):
        with multiprocessing.get_context(START).Pool(1) as pool:
            return float(sum(pool.map(measured, [Batch(2), Batch(3)])))

    study = tw.Study(tw.Space(x=tw.Float(0.0, 1.0)), metric="loss", seed=0)
    study.run(train, trials=1, workers=1, trial_seconds=30, progress=False)
    print([(trial.status.value, trial.value, trial.reason) for trial in study.trials])
"""


@pytest.mark.parametrize("start", ["spawn", "forkserver"])
@pytest.mark.parametrize("from_stdin", [False, True])
def test_a_trial_may_start_processes_afresh_that_know_the_scripts_classes(tmp_path, start, from_stdin):
    source = textwrap.dedent(POOLED).replace("START", repr(start))
    script = tmp_path / "script.py"
    script.write_text(source)
    done = subprocess.run(
        [sys.executable, "-" if from_stdin else str(script)],
        input=source if from_stdin else "",
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("[('completed', 13.0, '')]\n", "")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["script.py"]  # the setup is not left behind


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
def test_no_trial_waits_for_what_the_first_optimizer_of_pytorch_imports(executor, tmp_path):
    def train(trial):
        import torch

        before = len(sys.modules)
        torch.optim.SGD(torch.nn.Linear(1, 1).parameters())
        return {"imported": len(sys.modules) - before}

    assert run_one(executor, train, make_job(tmp_path)).metrics["imported"] < 20  # eight hundred else


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


@linux_only
@pytest.mark.parametrize("method", ["auto", "spawn"])
def test_a_full_disk_costs_the_output_and_not_the_trial(tmp_path, method):
    def train(trial):
        refused = [OSError(errno.ENOSPC, "No space left on device")]

        def write(folder):
            if refused:
                raise refused.pop()

        print("x" * 100_000, flush=True)
        print("to stderr", file=sys.stderr)
        for _ in trial.steps(1):
            trial.save(write)
        return 1.0

    executor = Processes(method=method)
    try:
        end = run_one(executor, train, make_job(tmp_path, log=Path("/dev/full")))
    finally:
        executor.close()
    assert (end.status, end.error) == (Status.COMPLETED, "")


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

"""What runs in the process of one trial, forked or fresh.

The global generators of ``random`` and ``numpy.random`` are seeded with the trial's seed, because all forked processes
would otherwise inherit one and the same state. PyTorch is left alone: its generator starts in the same state in every
process anyway, and an objective that wants another calls ``torch.manual_seed(trial.seed)``.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import io
import multiprocessing.util
import os
import random
import signal
import socket
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import FrameType
from typing import Any

import cloudpickle
import numpy.random  # loaded here because NumPy would load it in every worker, at its first use
from threadpoolctl import ThreadpoolController

from tunewell.events import Event
from tunewell.executors.channel import Channel, Remark, read_setup
from tunewell.protocols import Job, Objective, Verdict
from tunewell.trial import NO_SPACE, Trial, run_objective
from tunewell.values import joined

_PR_SET_PDEATHSIG = 1
_OWN_THREAD_COUNTS = ("torch", "numexpr")  # libraries that threadpoolctl does not reach wholly
_THREAD_SECONDS = 5.0  # for threads that are left behind to end by themselves
_EXIT_SECONDS = 30.0  # for those and for exit handlers, which send off what loggers and trackers have


def main(setup_descriptor: int, job_descriptor: int, threads: int, parent: int) -> None:
    """Run one job in a fresh interpreter, whose environment is already the worker's."""
    try:
        leave_home(parent)
        setup = read_setup(setup_descriptor)
        os.close(setup_descriptor)
        sys.argv[:] = setup.argv
        channel = Channel(socket.socket(fileno=job_descriptor))
        run(channel, lambda: load(setup.objective), ThreadpoolController, threads)
    except BaseException:  # noqa: BLE001 (nothing above us but the end of the process)
        traceback.print_exc()
        os._exit(1)


def leave_home(parent: int) -> None:
    """Become the head of an own process group, deaf to Ctrl-C, that does not outlive ``parent``."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def disown_exit_handlers() -> None:
    """Leave to the fork server what it registered to be done at exit: temporary folders of its modules, for one.

    The same as in forked processes of ``multiprocessing``, whose own handler stays.
    """
    atexit._clear()
    atexit.register(multiprocessing.util._exit_function)  # type: ignore[attr-defined]
    for finalizer in list(weakref.finalize._registry):  # type: ignore[attr-defined]
        finalizer.atexit = False
    atexit.register(weakref.finalize._exitfunc)  # type: ignore[attr-defined]


def load(objective: bytes) -> Objective:
    """Return the objective, or one in its place that raises what loading raised: the trial then tells."""
    try:
        loaded: Objective = cloudpickle.loads(objective)
    except BaseException as error:  # noqa: BLE001 (importing the user's modules may raise anything)
        return _raising(error)
    adopt_main(loaded)
    return loaded


def adopt_main(objective: Any) -> None:
    """Show what came from the driver's ``__main__`` in ours, where pickle looks for the classes defined there.

    And in that of processes which a trial starts afresh: see :mod:`tunewell.executors.again`.
    """
    if names := main_names(objective):
        main = sys.modules["__main__"]
        vars(main).update(names)
        main.__spec__ = ModuleSpec("tunewell.executors.again", None)


def main_names(objective: Any) -> dict[str, Any]:
    """Return what an objective refers to in the driver's ``__main__``, nothing where it comes from another module."""
    function = objective
    while inner := getattr(function, "__func__", None) or getattr(function, "func", None):
        function = inner
    if not isinstance(getattr(function, "__globals__", None), dict):
        function = getattr(type(function), "__call__", None)  # noqa: B004 (its globals are wanted, not a yes or no)
    names = getattr(function, "__globals__", {})
    if names.get("__name__") != "__main__":
        return {}
    return {name: value for name, value in names.items() if not name.startswith("__")}


def run(
    channel: Channel,
    load: Callable[[], Objective],
    pools: Callable[[], ThreadpoolController],
    threads: int,
    last: Callable[[], None] = lambda: None,
) -> None:
    """Run the job that waits in ``channel``, do the ``last`` thing and leave the process; does not return."""
    code = 1
    try:
        job: Job = channel.receive()
        redirect_output(job.log)
        seed_globals(job.seed)
        objective = load()
        seed_globals(job.seed)  # again, so that it makes no difference whether the objective was loaded ahead
        limit_threads(threads, pools())
        run_objective(objective, Trial(job, _telephone(channel), time.time))
        code = 0
    except BaseException:  # noqa: BLE001 (nothing above us but the end of the process)
        traceback.print_exc()
    _leave(code, last, lambda text: _remark(channel, text))


def redirect_output(log: Path) -> None:
    """Append all that this process and its children print to ``log``, line by line; what a full disk refuses is lost.

    Streams that modules took hold of while they were loaded write there too, but hear of a full disk.
    """
    file = _opened(log)
    os.dup2(file, 1)
    os.dup2(file, 2)
    if file > 2:
        os.close(file)
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        before: Any = getattr(sys, f"__{name}__")
        before.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
        stream = io.TextIOWrapper(
            io.BufferedWriter(_Forgiving(descriptor, "w", closefd=False)),
            encoding="utf-8",
            errors="backslashreplace",
            line_buffering=True,
        )
        if getattr(sys, name) is before:
            setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _opened(log: Path) -> int:
    """Return a descriptor to append to ``log``, or to nowhere where there is not even space for an empty file."""
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        return os.open(os.devnull, os.O_WRONLY)


class _Forgiving(io.FileIO):
    """Drops what there is no space for: a line of output is not worth a training."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise
            return len(memoryview(data).cast("B"))


def seed_globals(seed: int) -> None:
    """Seed the generators that a program uses without asking for one."""
    random.seed(seed)
    numpy.random.seed(seed % 2**32)  # noqa: NPY002 (the global generator is what is meant)


def limit_threads(threads: int, pools: ThreadpoolController) -> None:
    """Set the thread counts of libraries that are loaded already; those still to come read the environment."""
    pools.limit(limits=threads)
    for name in _OWN_THREAD_COUNTS:
        if name in sys.modules:
            sys.modules[name].set_num_threads(threads)


def _telephone(channel: Channel) -> Callable[[Sequence[Event]], Verdict]:
    def send(events: Sequence[Event]) -> Verdict:
        try:
            channel.send(tuple(events))
            verdict: Verdict = channel.receive()
        except (OSError, EOFError):  # the driver is gone, and nobody else wants to know
            os._exit(1)
        return verdict

    return send


def _raising(error: BaseException) -> Objective:
    def objective(trial: Trial) -> None:
        raise error

    return objective


def _remark(channel: Channel, text: str) -> None:
    """Say something in the trial's log and to the driver, which says whose process it is about."""
    with contextlib.suppress(OSError, ValueError):  # the trial has closed its log
        print(f"its process {text}", file=sys.stderr)
    with contextlib.suppress(OSError):  # the driver is gone
        channel.send(Remark(text))


def _leave(code: int, last: Callable[[], None], tell: Callable[[str], None]) -> None:
    """End the process: let threads and exit handlers finish, but skip taking the interpreter apart, which is slow.

    Neither may take for ever, for the trial is over and its worker is wanted: the first are left alone after
    ``_THREAD_SECONDS``, and what hangs after ``_EXIT_SECONDS`` ends with the process.
    """

    def give_up() -> None:
        try:
            tell(f"was ended, as its exit handlers had not finished {_EXIT_SECONDS:g} seconds after its trial")
        finally:
            os._exit(code)

    patience = threading.Timer(_EXIT_SECONDS, give_up)
    patience.daemon = True
    for duty in (last, patience.start, lambda: _end_threads(tell), atexit._run_exitfuncs, _flush):
        try:
            duty()
        except BaseException:  # noqa: BLE001 (the trial is over; the log is the place for this)
            traceback.print_exc()
    os._exit(code)


def _end_threads(tell: Callable[[str], None]) -> None:
    """Wait for the threads that are no daemons, as an interpreter does at its end, but not for ever."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, _THREAD_SECONDS)
    try:
        threading._shutdown()  # type: ignore[attr-defined]
    except TimeoutError:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
    main = threading.main_thread()
    left = [thread.name for thread in threading.enumerate() if thread is not main and not thread.daemon]
    if left:
        tell(f"was ended, as a thread still ran {_THREAD_SECONDS:g} seconds after its trial ({joined(left)})")


def _flush() -> None:
    for stream in {sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__}:
        if stream is not None and not stream.closed:
            stream.flush()

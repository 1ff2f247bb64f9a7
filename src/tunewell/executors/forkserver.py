"""The fork server: a helper process that loads the objective once and forks a worker for each trial.

A fork is only safe from a process with one thread and no GPU, so the server loads with one thread and with every GPU
hidden, and looks before it forks. Where forking is not safe it starts a fresh interpreter instead. In any case it is
the parent of all workers: it alone may wait for them, and it kills them when the driver hangs up.

Some packages import half of themselves when first used, which no reading of the objective's code can foresee. Of those
that are known to, it is imported at once, unless a GPU is at stake. For the others a worker tells at its end what it
had to import, and the server imports that too, once a process forked for the purpose has found it safe.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import itertools
import os
import select
import signal
import socket
import sys
from collections.abc import Callable

import cloudpickle
from threadpoolctl import ThreadpoolController

from tunewell.executors import worker
from tunewell.executors.channel import (
    SETUP,
    Begun,
    Channel,
    Gone,
    Kill,
    Launch,
    Ready,
    Remark,
    Setup,
    command,
    read_setup,
)
from tunewell.executors.preload import installed
from tunewell.protocols import Objective

_AT_FIRST_USE = {"torch": "torch._dynamo"}  # the first optimizer of PyTorch takes a second to import it
_LONGEST_TIP = 100_000  # bytes
_HEARTBEAT = 1.0  # seconds between two looks whether the driver lives, should its end of the channel stay open


def main(control_descriptor: int, setup_descriptor: int) -> None:
    """Serve until the driver hangs up."""
    for descriptor in (control_descriptor, setup_descriptor):
        os.set_inheritable(descriptor, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is the driver's business
    server = _Server(Channel(socket.socket(fileno=control_descriptor)), setup_descriptor)
    try:
        server.load()
        server.serve()
    except BrokenPipeError:
        pass
    finally:
        server.kill_all()
        with contextlib.suppress(OSError):
            os.unlink(os.environ[SETUP])
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # taking the interpreter apart would only take time


class _Server:
    def __init__(self, control: Channel, setup_descriptor: int) -> None:
        self._driver = os.getppid()
        self._control = control
        self._setup_descriptor = setup_descriptor
        self._setup: Setup = read_setup(setup_descriptor)
        self._setup_file = os.environ[SETUP]
        self._load: Callable[[], Objective] = lambda: worker.load(self._setup.objective)
        self._pools: ThreadpoolController | None = None
        self._forks = self._setup.fork
        self._workers: dict[int, int] = {}  # pid -> ticket
        self._bell, self._button = socket.socketpair()
        self._tips, self._tip = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._learns = self._forks
        self._trial_run: tuple[int, list[str]] | None = None  # the process that tries imports out, and which

    # --- before the first fork ----------------------------------------------------------------------------------------

    def load(self) -> None:
        """Import what the objective needs, and the objective itself where that is wanted."""
        sys.argv[:] = self._setup.argv
        if self._forks:
            for name, names in self._setup.imports:
                _import(name, names)
            if self._setup.load_ahead:
                for name in [late for early, late in _AT_FIRST_USE.items() if early in sys.modules]:
                    _import(name)
                self._load_objective()
            self._settle()
            unsafe = _why_unsafe()
            if self._forks and unsafe:
                self._give_up_forking(f"importing what the objective needs {unsafe}")
        for end in (self._bell, self._button, self._tips, self._tip):
            end.setblocking(False)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._button.fileno(), warn_on_full_buffer=False)
        self._control.send(Ready())

    def _load_objective(self) -> None:
        try:
            objective: Objective = cloudpickle.loads(self._setup.objective)
        except BaseException as error:  # noqa: BLE001 (importing the user's modules may raise anything)
            self._give_up_forking(f"the objective could not be loaded ahead ({type(error).__name__}: {error})")
        else:
            worker.adopt_main(objective)
            self._load = lambda: objective

    def _settle(self) -> None:
        """Get ready to be forked after imports."""
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(1)
        self._pools = ThreadpoolController()
        gc.collect()
        gc.freeze()  # so that no collection in a worker copies the pages it shares with us

    def _give_up_forking(self, reason: str) -> None:
        self._forks = False
        self._control.send(Remark(f"{reason}, so each trial starts a Python of its own, which takes longer"))

    # --- serving ------------------------------------------------------------------------------------------------------

    def serve(self) -> None:
        """Start, kill and bury workers until the driver hangs up."""
        while not self._control.ended and os.getppid() == self._driver:
            select.select([self._control.fileno(), self._bell.fileno(), self._tips.fileno()], [], [], _HEARTBEAT)
            with contextlib.suppress(BlockingIOError):
                self._bell.recv(4096)
            for message in self._control.receive_all():
                if isinstance(message, Launch):
                    self._launch(message)
                elif isinstance(message, Kill):
                    for pid in [pid for pid, ticket in self._workers.items() if ticket == message.ticket]:
                        kill_group(pid)
            self._bury()
            self._learn()

    def _launch(self, launch: Launch) -> None:
        end = self._control.take_descriptor()
        if self._forks and _threads() > 1:
            self._give_up_forking("the process that loaded the objective now has several threads")
        try:
            pid = self._fork(launch, end) if self._forks else self._spawn(launch, end)
        except OSError as error:
            self._control.send(Gone(launch.ticket, error=f"the worker process could not be started: {error}"))
        else:
            self._workers[pid] = launch.ticket
            self._control.send(Begun(launch.ticket, pid))
        finally:
            os.close(end)

    def _fork(self, launch: Launch, end: int) -> int:
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                self._become_worker(launch, end, parent)
            finally:
                os._exit(1)
        return pid

    def _become_worker(self, launch: Launch, end: int, parent: int) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        worker.leave_home(parent)
        for ours in (self._control, self._bell, self._button, self._tips):
            ours.close()
        os.close(self._setup_descriptor)
        os.environ.clear()
        os.environ.update(self._environment_of(launch))
        worker.disown_exit_handlers()
        loaded, pools = len(sys.modules), self._pools
        worker.run(
            Channel(socket.socket(fileno=end)),
            self._load,
            lambda: pools or ThreadpoolController(),
            launch.threads,
            lambda: self._give_tip(loaded),
        )

    def _spawn(self, launch: Launch, end: int) -> int:
        inherited = (end, self._setup_descriptor)
        for descriptor in inherited:
            os.set_inheritable(descriptor, True)
        try:
            return os.posix_spawn(
                sys.executable,
                command(self._setup.path, worker.__name__, self._setup_descriptor, end, launch.threads, os.getpid()),
                self._environment_of(launch),
            )
        finally:
            for descriptor in inherited:
                os.set_inheritable(descriptor, False)

    def _environment_of(self, launch: Launch) -> dict[str, str]:
        return {**self._setup.environment, **launch.environment, SETUP: self._setup_file}

    # --- learning from the workers ------------------------------------------------------------------------------------

    def _give_tip(self, loaded: int) -> None:
        """In the worker: tell which packages it had to import itself, beyond the first ``loaded`` modules."""
        if self._learns:
            # The names inherited are not even looked at: that would copy the pages they are on.
            latest = itertools.islice(reversed(sys.modules), max(0, len(sys.modules) - loaded))
            news = [name for name in reversed(list(latest)) if installed(name)]
            with contextlib.suppress(OSError):  # too many tips already
                self._tip.send("\n".join(news).encode()[:_LONGEST_TIP])

    def _learn(self) -> None:
        """Take a tip: have its imports tried out, and repeat them here when that went well."""
        if self._trial_run is not None and _is_dead(self._trial_run[0]):
            (pid, names), self._trial_run = self._trial_run, None
            if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0:
                for name in names:
                    _import(name)
                self._settle()
            else:
                self._learns = False  # no more of this: the next tip would name the same
        with contextlib.suppress(BlockingIOError):
            names = [
                name
                for name in self._tips.recv(_LONGEST_TIP).decode(errors="replace").split("\n")
                if name not in sys.modules
            ]
            if names and names != [""] and self._forks and self._learns and self._trial_run is None:
                self._trial_run = (self._try_out(names), names)

    def _try_out(self, names: list[str]) -> int:
        """Fork a process that imports ``names`` and exits with 0 if it could be forked in its turn."""
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                signal.set_wakeup_fd(-1)
                worker.leave_home(parent)
                for name in names:
                    _import(name)
                os._exit(1 if _why_unsafe() else 0)
            finally:
                os._exit(1)
        return pid

    # --- burying ------------------------------------------------------------------------------------------------------

    def _bury(self) -> None:
        """Tell the driver of workers that are gone, and kill what they left running."""
        for pid, ticket in list(self._workers.items()):
            if _is_dead(pid):
                self._control.send(Gone(ticket, self._reap(pid)))

    def kill_all(self) -> None:
        """Kill every worker and wait until it is gone."""
        if self._trial_run is not None:
            self._workers[self._trial_run[0]] = 0
        for pid in self._workers:
            kill_group(pid)
        for pid in list(self._workers):
            self._reap(pid)

    def _reap(self, pid: int) -> int:
        del self._workers[pid]
        kill_group(pid)  # while the dead process still holds its number, so that nobody else can have it
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status)


def kill_group(pid: int) -> None:
    """Kill a worker and the processes it started."""
    for kill in (os.killpg, os.kill):  # the second for a worker that has no group of its own yet
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)


def _is_dead(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _import(name: str, names: tuple[str, ...] = ()) -> None:
    with contextlib.suppress(BaseException):  # the trial itself will show the error
        __import__(name, None, None, names)


def _threads() -> int:
    return len(os.listdir("/proc/self/task"))


def _why_unsafe() -> str:
    """Return what speaks against forking this process, or an empty string."""
    others = _threads() - 1
    if others:
        return f"started {others} thread(s)"
    torch = sys.modules.get("torch")
    if torch is None:
        return ""
    if torch.cuda.is_initialized():
        return "woke the GPU"
    pid = os.fork()
    if pid == 0:  # PyTorch knows in the child only
        os._exit(bool(torch.cuda._is_in_bad_fork()))
    return "asked for the GPU" if os.waitpid(pid, 0)[1] else ""

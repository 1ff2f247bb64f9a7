"""The driver's side of the fork server: what it is told to load, its process, its end."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import cloudpickle

from tunewell.executors import forkserver
from tunewell.executors.channel import SETUP, Begun, Channel, Gone, Ready, Setup, command
from tunewell.executors.machine import NO_DEVICES, THREAD_VARIABLES, gpu_possible
from tunewell.executors.preload import imports_of, installed
from tunewell.protocols import Objective

_PATIENCE = 5.0  # seconds a server gets to kill its workers before it is killed itself


def packed(objective: Objective, gpus: tuple[str, ...] | None, *, fork: bool) -> Setup:
    """Return all that another interpreter needs to run ``objective`` as this one would.

    Where a trial may see a GPU, the user's own modules are left to the trial: a line such as
    ``device = "cuda" if torch.cuda.is_available() else "cpu"`` at the top of one must meet the trial's own device.

    Raises:
        TypeError: it cannot be pickled.
    """
    gpu_at_stake = gpu_possible() if gpus is None else bool(gpus)
    try:
        pickled = cloudpickle.dumps(objective)
    except Exception as error:
        raise TypeError(
            f"the objective cannot be sent to another process ({type(error).__name__}: {error}): "
            'create what it needs inside the objective, or use executor="inline"'
        ) from error
    return Setup(
        path=tuple(os.path.abspath(entry) for entry in sys.path),
        argv=tuple(sys.argv),
        environment=dict(os.environ),
        objective=pickled,
        imports=tuple(each for each in imports_of(objective) if not gpu_at_stake or installed(each[0])),
        fork=fork and sys.platform == "linux",
        load_ahead=not gpu_at_stake,
    )


class Server:
    """One fork server."""

    def __init__(self, setup: Setup) -> None:
        self.ready = False
        self._pids: dict[int, int] = {}  # ticket -> pid, of the workers not known to be gone
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(tempfile.NamedTemporaryFile(prefix="tunewell-", delete=False))
            self._file = Path(file.name)
            failed = stack.enter_context(contextlib.ExitStack())
            failed.callback(self._file.unlink, missing_ok=True)
            file.write(pickle.dumps(setup, protocol=pickle.HIGHEST_PROTOCOL))
            file.flush()
            ours, theirs = socket.socketpair()
            stack.callback(theirs.close)
            self.channel = Channel(ours)
            descriptors = (theirs.fileno(), file.fileno())
            try:
                self.process = subprocess.Popen(
                    command(setup.path, forkserver.__name__, *descriptors),
                    pass_fds=descriptors,
                    stdin=subprocess.DEVNULL,
                    env={**setup.environment, **dict.fromkeys(THREAD_VARIABLES, "1"), **NO_DEVICES, SETUP: file.name},
                    start_new_session=True,  # Ctrl-C in the terminal must not reach it
                )
            except BaseException:
                self.channel.close()
                raise
            failed.pop_all()

    def news(self) -> list[Any]:
        """Return the server's messages so far."""
        messages = self.channel.receive_all()
        for message in messages:
            if isinstance(message, Ready):
                self.ready = True
            elif isinstance(message, Begun):
                self._pids[message.ticket] = message.pid
            elif isinstance(message, Gone):
                self._pids.pop(message.ticket, None)
        return messages

    def end(self) -> None:
        """Hang up, which makes the server kill its workers and end; kill them all if it does not."""
        if not self.channel.ended:
            self.news()
        self.channel.close()
        try:
            # One that is still loading has no workers and does not listen.
            self.process.wait(_PATIENCE if self.ready else 0.05)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self.process.kill()
            self._file.unlink(missing_ok=True)
            if self.process.wait() != 0:
                for pid in self._pids.values():
                    forkserver.kill_group(pid)


def how_it_died(code: int) -> str:
    """Say how a process ended: ``code`` is its exit code, or minus the signal that killed it."""
    if code >= 0:
        return f"exited with code {code}"
    try:
        name = f" ({signal.Signals(-code).name})"
    except ValueError:
        name = ""
    return f"died of signal {-code}{name}"

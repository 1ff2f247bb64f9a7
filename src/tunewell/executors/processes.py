"""Runs every trial in a process of its own, so that memory, GPU state and crashes stay with the trial that made them.

The driver talks to a fork server (:mod:`tunewell.executors.forkserver`), which starts the workers and says when they
are gone, and over one channel a trial to the workers themselves (:mod:`tunewell.executors.worker`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
import warnings
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Literal

from tunewell import checkpoints
from tunewell.events import Ended, Event, Status
from tunewell.executors.channel import Channel, Gone, Kill, Launch, Remark, Setup
from tunewell.executors.machine import DEVICE_VARIABLES, THREAD_VARIABLES, Gpus, checked_gpus, chosen_gpus, cores
from tunewell.executors.machine import oom_kills as kernel_oom_kills
from tunewell.executors.server import Server, how_it_died, packed
from tunewell.history import History, TrialRecord
from tunewell.protocols import Continue, Job, Objective, Observe

_MOST_LINES, _MOST_WORDS = 20, 4000  # of a log, as the last words of a worker that died


@dataclass(eq=False, slots=True)
class _Running:
    """A job that has been launched and whose process is not known to be gone."""

    ticket: int
    job: Job
    channel: Channel
    oom_kills: int
    told: deque[Sequence[Event]] = field(default_factory=deque)  # arrived, but not observed yet
    over: bool = False  # nothing more is to be observed: ended, paused, stopped or halted
    gone: Gone | None = None


class Processes:
    """Workers on this machine, one fresh process for each trial.

    ``workers=None`` means one a GPU, or one a core where there is no GPU. ``gpus`` names the devices that workers
    share out: ``"auto"`` for all there are, a number for the first so many, a list such as ``["0", "3"]``, or None to
    hide them all. Worker ``i`` sees ``gpus[i % len(gpus)]`` only, and ``cores // workers`` threads.

    ``method="auto"`` forks workers from a process that has loaded the objective, which takes milliseconds, and starts a
    fresh interpreter for each where that is not safe; ``"spawn"`` always does the latter. ``notes`` says in words when
    and why forking was given up, and which trial was the first to leave threads or exit handlers that did not finish:
    its process is ended after some seconds. What an objective's module does while it is imported is done once, ahead of
    the trials, where no GPU is at stake, and in each trial where there is one.

    What a trial prints goes to its log. The global generators of ``random`` and ``numpy.random`` start from the trial's
    seed; those of PyTorch are the objective's to seed.

    Raises:
        ValueError: an argument is none of these.
        TypeError: ``workers`` is not a number.
    """

    def __init__(
        self, workers: int | None = None, *, gpus: Gpus = "auto", method: Literal["auto", "spawn"] = "auto"
    ) -> None:
        if method not in ("auto", "spawn"):
            raise ValueError(f'expected method="auto" or "spawn", got {method!r}: leave it out if in doubt')
        self._wanted_workers = _checked_workers(workers)
        self._wanted_gpus = checked_gpus(gpus)
        self._method = method
        self.notes: list[str] = []
        self._setup: Setup | None = None
        self._workers = 0
        self._gpus: tuple[str, ...] | None = None  # None: leave the environment as it is
        self._threads = 1
        self._server: Server | None = None
        self._running: dict[int, _Running] = {}  # by ticket
        self._tickets = 0
        self._lingered = ""  # the first process that did not end by itself, in words

    def start(self, objective: Objective | None, workers: int | None, since: float = 0.0) -> None:
        """Pack ``objective`` for the workers and count what the machine has.

        Raises:
            TypeError: it is not a function, or cannot be sent to another process.
            ValueError: fewer GPUs are there than were asked for.
        """
        if not callable(objective):
            raise TypeError(f"expected a function to train with, got {objective!r}: call study.run(train, ...)")
        self.close()
        self._lingered = ""
        self._gpus = chosen_gpus(self._wanted_gpus)
        self._workers = _checked_workers(workers) or self._wanted_workers or len(self._gpus or ()) or cores()
        self._threads = max(1, cores() // self._workers)
        self._setup = packed(objective, self._gpus, fork=self._method == "auto")

    def clock(self) -> float:
        """Return the seconds since the epoch."""
        return time.time()

    def free_workers(self) -> Sequence[int]:
        """Return the workers without a process."""
        busy = {running.job.worker for running in self._running.values()}
        return tuple(worker for worker in range(self._workers) if worker not in busy)

    def busy_trials(self) -> Sequence[int]:
        """Return the trials whose process is not known to be gone."""
        return tuple(running.job.trial for running in self._running.values())

    def launch(self, job: Job) -> None:
        """Have a process started for the job.

        Raises:
            ValueError: the executor is not started, or the worker is busy.
        """
        if job.worker not in self.free_workers():
            raise ValueError(f"expected one of the free workers {self.free_workers()}, got {job.worker}")
        self._tickets += 1
        ours, theirs = socket.socketpair()
        with theirs:
            running = _Running(self._tickets, job, Channel(ours), kernel_oom_kills())
            try:
                running.channel.send(job)  # waits in the socket for the worker
                self._ask_server(Launch(running.ticket, self._environment(job.worker), self._threads), theirs.fileno())
            except BaseException:
                running.channel.close()
                raise
        self._running[running.ticket] = running

    def halt(self, trial: int) -> None:
        """Kill the trial's process and those it started; its worker is free once they are gone."""
        for running in self._running.values():
            if running.job.trial == trial:
                running.over = True
                running.told.clear()
                self._kill(running)

    def saved_step(self, trial: TrialRecord) -> int:
        """Return the step of the checkpoint on disk, 0 where there is none."""
        return checkpoints.step_on_disk(trial)

    def remove_unneeded(self, history: History, trial: int, *, untold: bool = False) -> None:
        """Remove the checkpoints of a trial that nothing needs."""
        checkpoints.remove_unneeded(history, trial, untold=untold)

    def poll(self, observe: Observe, seconds: float) -> None:
        """Wait up to ``seconds`` for news and pass all there is to ``observe``.

        What ``observe`` did not take because it raised is offered again at the next call.
        """
        if not any(running.told or running.gone for running in self._running.values()):
            self._wait(seconds)
        self._hear_server()
        for running in list(self._running.values()):
            self._hear_worker(running, observe)
        if self._lingered and self._lingered not in self.notes:  # once: later trials mostly do the same
            self._note(self._lingered)

    def close(self) -> None:
        """Kill all workers and the fork server; safe to call at any time and more than once."""
        server, self._server = self._server, None
        running, self._running = self._running, {}
        try:
            if server is not None:
                server.end()
        finally:
            for each in running.values():
                each.over = True
                each.channel.close()

    # --- the fork server ----------------------------------------------------------------------------------------------

    def _environment(self, worker: int) -> dict[str, str]:
        """Return what sets the worker's environment apart from the driver's."""
        environment = dict.fromkeys(THREAD_VARIABLES, str(self._threads))
        if self._gpus is not None:
            device = self._gpus[worker % len(self._gpus)] if self._gpus else ""
            environment.update(dict.fromkeys(DEVICE_VARIABLES, device))
        return environment

    def _ask_server(self, launch: Launch, end: int) -> None:
        """Send the launch to the server, starting one where none lives."""
        if self._server is not None:
            try:
                self._server.channel.send(launch, end)
                return
            except OSError:
                self._hear_server()  # notices that it is gone
                self._lose_server()
        if self._setup is None:
            raise ValueError("expected start() before launch()")
        self._server = Server(self._setup)
        self._server.channel.send(launch, end)

    def _hear_server(self) -> None:
        """Take in which workers are gone."""
        if self._server is None:
            return
        remarks = []
        for message in self._server.news():
            if isinstance(message, Gone) and message.ticket in self._running:
                self._running[message.ticket].gone = message
            elif isinstance(message, Remark):
                remarks.append(message.text)
        if self._server.channel.ended:
            self._lose_server()
        for remark in remarks:  # last, because a warning may be made an error
            self._note(remark)

    def _lose_server(self) -> None:
        """Bury all workers of a server that died; the next launch starts another."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.end()
        how = how_it_died(server.process.returncode)
        for running in self._running.values():
            running.gone = running.gone or Gone(running.ticket, error=f"the fork server {how}")
        if not server.ready and self._setup is not None and self._setup.fork:
            self._setup = replace(self._setup, fork=False)
            self._note(f"the process that loaded the objective {how}, so each trial starts a Python of its own")

    def _note(self, text: str) -> None:
        self.notes.append(text)
        warnings.warn(text, RuntimeWarning, stacklevel=4)

    # --- the workers --------------------------------------------------------------------------------------------------

    def _wait(self, seconds: float) -> None:
        channels = [each.channel.fileno() for each in self._running.values() if not each.channel.ended]
        if self._server is not None:
            channels.append(self._server.channel.fileno())
        if channels:
            wait(channels, max(0.0, seconds))
        else:
            time.sleep(max(0.0, seconds))

    def _hear_worker(self, running: _Running, observe: Observe) -> None:
        """Pass on what a worker has told, and its death where that was no ending of the trial."""
        self._take_in(running)
        while running.told and not running.over:
            events = running.told[0]
            verdict = observe(running.job.trial, events)
            if running.told:  # a halt in between forgets the rest
                running.told.popleft()
            ended = any(isinstance(event, Ended) for event in events)
            running.over = running.over or ended or not isinstance(verdict, Continue)
            with contextlib.suppress(OSError):  # it died meanwhile, which the server will tell
                running.channel.send(verdict)
        if running.gone is not None:
            if not running.over:
                observe(running.job.trial, [self._loss(running, running.gone)])
                running.over = True
            self._running.pop(running.ticket, None)
            running.channel.close()

    def _take_in(self, running: _Running) -> None:
        if running.channel.ended:
            return
        try:
            news = running.channel.receive_all()
        except Exception:  # noqa: BLE001 (bytes that are no message may raise anything)
            running.channel.close()
            self._kill(running)
        else:
            running.told.extend(message for message in news if not isinstance(message, Remark))
            remarks = [message.text for message in news if isinstance(message, Remark)]
            if remarks and not self._lingered:
                self._lingered = f"trial {running.job.trial}: its process {remarks[0]}"

    def _kill(self, running: _Running) -> None:
        if self._server is not None and running.gone is None:
            with contextlib.suppress(OSError):  # a dead server's workers die with it; the next poll tells
                self._server.channel.send(Kill(running.ticket))

    def _loss(self, running: _Running, gone: Gone) -> Ended:
        """Return the end of a trial that could not tell it itself."""
        status, reason = Status.LOST, gone.error or f"worker process {how_it_died(gone.code)}"
        if gone.code == -signal.SIGKILL and kernel_oom_kills() > running.oom_kills:
            status = Status.OUT_OF_MEMORY
            reason = "the kernel killed the worker process because memory ran out (signal 9)"
        # A fork server that died takes all its workers along: none of the trials is to blame.
        fault: Literal["run", "trial"] = "run" if gone.error else "trial"
        last = "" if gone.error else last_lines(running.job.log)
        return Ended(self.clock(), running.job.trial, status, reason, error=last, fault=fault)


def last_lines(log: Path) -> str:
    """Return the end of what a trial printed, for its last words often tell what killed it."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _MOST_WORDS))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    lines = text.splitlines()[-_MOST_LINES:]
    return "\n".join([f"the last lines of {log}:", *lines]) if lines else ""


def _checked_workers(workers: Any) -> int | None:
    if workers is None:
        return None
    if isinstance(workers, bool) or not isinstance(workers, int):
        raise TypeError(f"expected a whole number of workers, got {workers!r}: try workers=2")
    if workers < 1:
        raise ValueError(f"expected at least 1 worker, got {workers}: try workers=2, or leave it out")
    return workers

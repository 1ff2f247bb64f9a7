"""How driver, fork server and workers talk: plain messages over a socket, whole or not at all.

``multiprocessing.connection`` blocks in the middle of a message whose writer was killed there while a process of its
own (a data loader's, say) still holds the socket. Here the reader takes what has arrived and waits for nobody.
"""

from __future__ import annotations

import os
import pickle
import socket
import struct
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SETUP = "_TUNEWELL_SETUP"
"""The variable in the environment of server and workers that names the file with the setup."""

_LENGTH = struct.Struct("!Q")
_CHUNK = 1 << 16
_INT = struct.calcsize("i")
_MOST_DESCRIPTORS = 16  # in one read; the kernel ends a read after the first message that carries any


@dataclass(frozen=True, slots=True)
class Setup:
    """What a fresh interpreter needs to run the objective as the driver would.

    ``imports`` are the modules to load ahead, each with its from-list. ``fork`` asks for forked workers, ``load_ahead``
    for the objective itself to be loaded before the fork.
    """

    path: tuple[str, ...]
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    objective: bytes
    imports: tuple[tuple[str, tuple[str, ...]], ...]
    fork: bool
    load_ahead: bool


@dataclass(frozen=True, slots=True)
class Launch:
    """Driver to server: start a worker. The worker's end of its own channel travels along; the job waits in it."""

    ticket: int
    environment: Mapping[str, str]
    threads: int


@dataclass(frozen=True, slots=True)
class Kill:
    """Driver to server: kill a worker and the processes it started."""

    ticket: int


@dataclass(frozen=True, slots=True)
class Ready:
    """Server to driver: everything is loaded."""


@dataclass(frozen=True, slots=True)
class Remark:
    """Server or worker to driver: one line that a person should read; a worker's is about its process."""

    text: str


@dataclass(frozen=True, slots=True)
class Begun:
    """Server to driver: a worker has started."""

    ticket: int
    pid: int


@dataclass(frozen=True, slots=True)
class Gone:
    """Server to driver: a worker has left the process table, or could not be started (``error`` says why).

    ``code`` is its exit code, or minus the signal that killed it.
    """

    ticket: int
    code: int = 0
    error: str = ""


class Channel:
    """One end of a stream of pickled messages."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._arrived = bytearray()
        self._descriptors: deque[int] = deque()
        self.ended = False

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._socket.fileno()

    def send(self, message: Any, descriptor: int | None = None) -> None:
        """Send a message, and with it an open file descriptor.

        Raises:
            OSError: the other end is gone.
        """
        body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
        frame = _LENGTH.pack(len(body)) + body
        sent = 0 if descriptor is None else socket.send_fds(self._socket, [frame], [descriptor])
        self._socket.sendall(frame[sent:])

    def receive(self) -> Any:
        """Wait for one message.

        Raises:
            EOFError: the other end is gone.
        """
        while (body := self._next_body()) is None:
            if not self._read(0):
                raise EOFError
        return pickle.loads(body)

    def receive_all(self) -> list[Any]:
        """Return the messages that have arrived whole, without waiting; ``ended`` says whether more can come."""
        while not self.ended and self._read(socket.MSG_DONTWAIT):
            pass
        messages = []
        while (body := self._next_body()) is not None:
            messages.append(pickle.loads(body))
        return messages

    def take_descriptor(self) -> int:
        """Return the oldest descriptor received; it is the caller's to close."""
        return self._descriptors.popleft()

    def close(self) -> None:
        """Hang up."""
        self.ended = True
        self._socket.close()

    def _read(self, flags: int) -> bool:
        """Read what there is; return whether there was anything."""
        try:
            # Not socket.recv_fds: before Python 3.13 it loses the flags.
            data, extras, _, _ = self._socket.recvmsg(_CHUNK, socket.CMSG_SPACE(_MOST_DESCRIPTORS * _INT), flags)
        except BlockingIOError:
            return False
        except OSError:  # reset by a peer that died with unread messages
            data, extras = b"", []
        for _, _, packed in extras:
            for (descriptor,) in struct.iter_unpack("i", packed[: len(packed) - len(packed) % _INT]):
                os.set_inheritable(descriptor, False)
                self._descriptors.append(descriptor)
        self._arrived += data
        self.ended = self.ended or not data
        return bool(data)

    def _next_body(self) -> bytes | None:
        if len(self._arrived) < _LENGTH.size:
            return None
        end = _LENGTH.size + _LENGTH.unpack_from(self._arrived)[0]
        if len(self._arrived) < end:
            return None
        body = bytes(self._arrived[_LENGTH.size : end])
        del self._arrived[:end]
        return body


def command(path: Sequence[str], module: str, *numbers: int) -> list[str]:
    """Return the command line of a fresh interpreter that imports from ``path`` and calls ``module.main(*numbers)``."""
    arguments = ", ".join(map(str, numbers))
    code = f"import sys; sys.path[:] = {list(path)!r}; from {module} import main; main({arguments})"
    return [sys.executable, "-c", code]


def read_setup(descriptor: int) -> Setup:
    """Read the setup from an open file that several processes share, so without moving its position."""
    size, data = os.fstat(descriptor).st_size, bytearray()
    while len(data) < size and (chunk := os.pread(descriptor, size - len(data), len(data))):
        data += chunk
    setup: Setup = pickle.loads(data)
    return setup

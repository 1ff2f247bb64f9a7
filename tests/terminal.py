"""A program on a pseudo-terminal, and what is to be seen there: as much of a terminal as the live view needs."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

_CODE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")


class Screen:
    """Rows of text, a cursor, and the codes that move it; lines that are too long wrap."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.lines: list[str] = [""]  # those that scrolled off, too
        self.row = self.column = 0
        self.cursor_shown = True

    def feed(self, text: str) -> None:
        position = 0
        while position < len(text):
            code = _CODE.match(text, position)
            if code:
                self._code(code[1], code[2])
                position = code.end()
            else:
                self._character(text[position])
                position += 1

    @property
    def visible(self) -> str:
        return "\n".join(line.rstrip() for line in self.lines[-self.rows :])

    def _code(self, argument: str, letter: str) -> None:
        count = int(argument) if argument.isdigit() else 1
        top = max(0, len(self.lines) - self.rows)
        if letter == "A":
            self.row = max(top, self.row - count)
        elif letter == "B":
            self.row = min(len(self.lines) - 1, self.row + count)
        elif letter == "K":
            self.lines[self.row] = ""
        elif argument == "?25":
            self.cursor_shown = letter == "h"

    def _character(self, character: str) -> None:
        if character == "\r":
            self.column = 0
        elif character == "\n":
            self._down()
        else:
            if self.column >= self.columns:
                self.column = 0
                self._down()
            line = self.lines[self.row].ljust(self.column)
            self.lines[self.row] = line[: self.column] + character + line[self.column + 1 :]
            self.column += 1

    def _down(self) -> None:
        self.row += 1
        if self.row == len(self.lines):
            self.lines.append("")


class Terminal:
    """A Python script that runs on a terminal of its own."""

    def __init__(self, script: Path, *arguments: str, columns: int = 80, rows: int = 24, **environment: str) -> None:
        self.screen = Screen(columns, rows)
        self.raw = ""
        self._ours, theirs = pty.openpty()
        self.resize(columns, rows)
        names = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")
        inherited = {name: value for name, value in os.environ.items() if name not in names}
        self.process = subprocess.Popen(
            [sys.executable, str(script), *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=script.parent,
            env={**inherited, "TERM": "xterm-256color", "PYTHONUTF8": "1", **environment},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def interrupt(self) -> None:
        """Press Ctrl-C: the signal goes to all processes on the terminal."""
        os.killpg(self.process.pid, signal.SIGINT)

    def hang_up(self) -> None:
        """Close the terminal under the program."""
        os.close(self._ours)

    def read(self, seconds: float) -> bool:
        """Take in what comes within ``seconds``; return False at the end."""
        if not select.select([self._ours], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self._ours, 65536)
        except OSError:  # the program has ended
            return False
        text = data.decode(errors="replace")
        self.raw += text
        self.screen.feed(text)
        return bool(data)

    def until(self, *fragments: str, seconds: float = 40.0) -> str:
        """Read until all fragments are on the screen at once, and return it."""
        deadline = time.monotonic() + seconds
        while not all(fragment in self.screen.visible for fragment in fragments):
            if time.monotonic() > deadline or not self.read(0.1):
                raise AssertionError(f"expected {fragments} on the screen, found:\n{self.screen.visible}")
        return self.screen.visible

    def end(self, seconds: float = 40.0) -> int:
        """Read to the end and return the exit status."""
        deadline = time.monotonic() + seconds
        while self.read(0.1):
            if time.monotonic() > deadline:
                self.process.kill()
                raise AssertionError(f"expected the program to end, it shows:\n{self.screen.visible}")
        os.close(self._ours)
        return self.process.wait(timeout=5)

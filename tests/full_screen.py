"""A program that draws on the whole of a pseudo-terminal, seen through a terminal emulator."""

from __future__ import annotations

from pathlib import Path

import pyte

from terminal import Terminal

ENTER, TAB, UP, CTRL_C, PAGE_UP = "\r", "\t", "\x1b[A", "\x03", "\x1b[5~"


class Emulated:
    """What :class:`terminal.Screen` is, for programs that move the cursor about."""

    def __init__(self, columns: int, rows: int) -> None:
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.Stream(self._screen)

    def feed(self, text: str) -> None:
        self._stream.feed(text)

    def resize(self, columns: int, rows: int) -> None:
        self._screen.resize(rows, columns)

    @property
    def visible(self) -> str:
        return "\n".join(line.rstrip() for line in self._screen.display)

    @property
    def colours(self) -> set[str]:
        """The colours that anything is written in."""
        return {cell.fg for line in self._screen.buffer.values() for cell in line.values()} - {"default"}


class FullScreen(Terminal):
    """A Python script that draws on the whole of a terminal of its own."""

    def __init__(self, script: Path, *arguments: str, columns: int = 80, rows: int = 24, **environment: str) -> None:
        super().__init__(script, *arguments, columns=columns, rows=rows, **environment)
        self.screen = Emulated(columns, rows)  # type: ignore[assignment]

    def enter(self, text: str) -> None:
        """Type a line."""
        self.type(text + ENTER)

    def left_as_it_was(self) -> bool:
        """Whether the page has given back the screen, the cursor and the keys."""
        return self.raw.rindex("\x1b[?1049l") > self.raw.rindex("\x1b[?1049h") and self.raw.rindex(
            "\x1b[?25h"
        ) > self.raw.rindex("\x1b[?25l")

"""The full-screen page: the frame above, a line for answers, and the line where a person types.

One thread reads the study, draws and writes, so that a slow storage holds up neither keys nor the screen. The terminal
is left as it was however the page ends.
"""

from __future__ import annotations

import asyncio
import queue
import signal
import textwrap
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress

from prompt_toolkit.application import Application
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import ANSI, StyleAndTextTuples
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout import Float, FloatContainer, HSplit, Layout, Window
from prompt_toolkit.layout.controls import FormattedTextControl
from prompt_toolkit.layout.menus import CompletionsMenu
from prompt_toolkit.styles import Style
from prompt_toolkit.widgets import TextArea

from tunewell.watching.curves import in_force
from tunewell.watching.onlooker import Onlooker
from tunewell.watching.typed import completions

LOOK_SECONDS = 0.5
_ANSWER = 3  # lines
_HINT = "Tab completes, help lists the commands, quit leaves the training as it is"
_STYLE = Style.from_dict({"hint": "italic", "answer": "bold"})


class Page:
    """The application around an onlooker."""

    def __init__(self, onlooker: Onlooker, colours: bool) -> None:
        self._onlooker = onlooker
        self._colours = colours
        self._text, self._size = ANSI(""), (0, 0)
        self._jobs: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._line = TextArea(
            height=1,
            prompt="> ",
            multiline=False,
            completer=_Completer(onlooker),
            complete_while_typing=False,
            history=InMemoryHistory(),
            accept_handler=lambda buffer: self._do(lambda text=buffer.text: self._hear(text)),  # type: ignore[misc]
        )
        self._line.buffer.on_text_changed += lambda buffer: self._stay(bool(buffer.text))
        answer = Window(FormattedTextControl(self._answer), height=self._answer_rows, always_hide_cursor=True)
        rows = HSplit([Window(FormattedTextControl(self._shown)), answer, self._line])
        menu = Float(CompletionsMenu(max_height=8), xcursor=True, ycursor=True)
        self._app: Application[None] = Application(
            Layout(FloatContainer(rows, [menu]), focused_element=self._line),
            key_bindings=self._keys(),
            style=_STYLE,
            full_screen=True,
            mouse_support=False,
        )

    def run(self) -> None:
        """Show the page until a person leaves it.

        Raises:
            Exception: whatever went wrong with reading or drawing; the terminal is left as it was.
        """
        asyncio.run(self._run())

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            with suppress(NotImplementedError):
                loop.add_signal_handler(number, self._leave)
        threading.Thread(target=self._work, args=(loop,), name="tunewell-watch", daemon=True).start()
        try:
            await self._app.run_async()
        finally:
            self._jobs.put(None)

    # --- the thread that reads, draws and writes ----------------------------------------------------------------------

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        job: Callable[[], object] | None = self._onlooker.look
        while job is not None:
            try:
                leaving = job() is True
                size = self._frame_size()
                self._text, self._size = ANSI(self._onlooker.drawn(*size, self._colours)), size
            except Exception as error:  # noqa: BLE001  it ends the page, in the other thread
                _call(loop, lambda error=error: self._leave(error))  # type: ignore[misc]
                return
            _call(loop, self._leave if leaving else self._app.invalidate)
            try:
                job = self._jobs.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                job = self._onlooker.look

    def _stay(self, typing: bool) -> None:
        """Keep the view at its trial from the first letter of a line on."""
        self._onlooker.typing = typing

    def _hear(self, text: str) -> bool:
        self._stay(bool(self._line.text))  # only now: what was typed is for the trial that was on the screen
        return self._onlooker.hear(text) if text.strip() else False

    def _do(self, job: Callable[[], object]) -> bool:
        self._jobs.put(job)
        return False  # the line is emptied

    def _frame_size(self) -> tuple[int, int]:
        size = self._app.output.get_size()
        return size.columns, max(1, size.rows - 1 - self._answer_rows())

    # --- what is on the screen ----------------------------------------------------------------------------------------

    def _shown(self) -> ANSI:
        if self._size not in ((0, 0), self._frame_size()):
            self._size = (0, 0)  # once
            self._jobs.put(self._onlooker.look)
        return self._text

    def _answer(self) -> StyleAndTextTuples:
        style = "class:answer" if self._onlooker.answer else "class:hint"
        return [(style, "\n".join(self._answer_lines()))]

    def _answer_rows(self) -> int:
        return len(self._answer_lines())

    def _answer_lines(self) -> list[str]:
        width = max(8, self._app.output.get_size().columns)
        return textwrap.wrap(self._onlooker.answer or _HINT, width, max_lines=_ANSWER, placeholder=" ...")

    # --- keys ---------------------------------------------------------------------------------------------------------

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("c-c")
        @keys.add("c-d")
        @keys.add("<sigint>")
        def _(event: KeyPressEvent) -> None:
            self._leave()

        @keys.add("pageup")
        def _(event: KeyPressEvent) -> None:
            self._do(lambda: self._onlooker.turn(-1))

        @keys.add("pagedown")
        def _(event: KeyPressEvent) -> None:
            self._do(lambda: self._onlooker.turn(1))

        return keys

    def _leave(self, error: Exception | None = None) -> None:
        if not self._app.is_running or self._app.is_done:
            return
        if error is None:
            self._app.exit()
        else:
            self._app.exit(exception=error)


class _Completer(Completer):
    """Completes the last word of the line."""

    def __init__(self, onlooker: Onlooker) -> None:
        self._onlooker = onlooker

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        history, number = self._onlooker.history, self._onlooker.view.trial
        params = in_force(history.trials[number]) if number is not None else {}
        text = document.text_before_cursor
        last = text.split(" ")[-1]
        for word in completions(text, params, history.space):
            yield Completion(word, start_position=-len(last))


def _call(loop: asyncio.AbstractEventLoop, function: Callable[[], object]) -> None:
    with suppress(RuntimeError):  # the page has ended meanwhile
        loop.call_soon_threadsafe(function)

"""Make the pictures of docs/watch.md: a real training that is stuck, and its rescue.

``python docs/pictures/watch.py`` trains a small network on scikit-learn's digits in a process of its own, with a
learning rate that is far too high; looks on as ``tunewell watch`` does; takes the advice; and writes what the page
shows before, at the advice and after it as watch-*.svg beside this file. It takes half a minute and needs the extra
``demo``.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import watched
from rich.console import Console
from rich.text import Text

import tunewell as tw
from tunewell.journals.sql import SqlStorage
from tunewell.watching.frame import frame
from tunewell.watching.onlooker import Onlooker

HERE = Path(__file__).parent
SIZE = 100, 26
SPACE = tw.Space(
    learning_rate=tw.Float(1e-3, 10.0, scale="log", default=0.1),
    momentum=tw.Float(0.0, 0.99, scale="reverse_log", default=0.9),
)


def train(trial: tw.Trial) -> None:
    """Train on digits; the first trial waits at two steps to be looked at."""
    from sklearn.datasets import load_digits

    def after(step: int) -> None:
        time.sleep(0.05)
        while trial.number == 0 and step in (5, 12) and not Path(f"after {step}").exists():
            time.sleep(0.02)

    def accuracy(optimizer: Any, scores: Any, labels: Any) -> dict[str, float]:
        return {"val_accuracy": (scores.argmax(1) == labels).double().mean().item()}

    digits = load_digits()
    watched.train(trial, digits.data, digits.target, accuracy, after)


def run() -> None:
    """Train in the folder where this process stands."""
    study = tw.Study(SPACE, metric="val_loss", name="digits", storage="tunewell.db", seed=0)
    study.enqueue({"learning_rate": 5.0, "momentum": 0.9})
    study.run(train, trials=1, max_steps=60, keep_checkpoints=3, progress=False)


def until(onlooker: Onlooker, there: Callable[[], bool]) -> None:
    """Look on until something has happened."""
    deadline = time.monotonic() + 120.0
    while not there():
        if time.monotonic() > deadline:
            raise SystemExit(f"the training went another way:\n{onlooker.drawn(*SIZE, colours=False)}")
        time.sleep(0.05)
        onlooker.look()


def picture(onlooker: Onlooker, name: str, typed: str = "") -> None:
    """Write the page as it stands, with what is being typed, as an SVG without foreign fonts."""
    console = Console(record=True, width=SIZE[0], file=io.StringIO(), highlight=False)
    lines = frame(onlooker.scene(), SIZE[0], SIZE[1] - 2)
    answer = Text(onlooker.answer, style="bold") if onlooker.answer else Text()
    for line in [*lines, *[Text()] * (SIZE[1] - 2 - len(lines)), answer, Text(f"> {typed}█")]:
        console.print(line, soft_wrap=True)
    svg = console.export_svg(title="tunewell watch digits", unique_id=name)
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    (HERE / f"watch-{name}.svg").write_text(svg.replace("Fira Code", "DejaVu Sans Mono, Menlo, Consolas"))


def main() -> None:
    """Train, look on, rescue, and write the pictures."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        storage = f"sqlite:///{place / 'tunewell.db'}"
        SqlStorage(storage).close()
        training = subprocess.Popen([sys.executable, Path(__file__).absolute(), "train"], cwd=place)
        database = SqlStorage(storage, create=False)
        while "digits" not in database.names():
            time.sleep(0.1)
        onlooker = Onlooker(database.journal("digits", create=False), lambda: tw.open(storage, "digits"))
        trials = onlooker.history.trials

        until(onlooker, lambda: len(trials) > 0 and trials[0].step >= 4)
        picture(onlooker, "before")
        (place / "after 5").touch()
        until(onlooker, lambda: trials[0].step >= 11)
        picture(onlooker, "advice", "accept")
        onlooker.hear("accept")
        (place / "after 12").touch()
        until(onlooker, lambda: len(trials) > 1 and trials[1].step >= 20)
        picture(onlooker, "rescued")
        until(onlooker, lambda: trials[1].status == "completed")
        training.wait()
        onlooker.close()
        database.close()


if __name__ == "__main__":
    run() if sys.argv[1:] == ["train"] else main()

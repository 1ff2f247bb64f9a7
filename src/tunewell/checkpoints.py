"""Checkpoints on disk: what nothing needs any more is removed, and only once what replaces it is written down."""

from __future__ import annotations

import shutil

from tunewell.history import History, TrialRecord


def remove_unneeded(history: History, number: int, *, untold: bool = False) -> None:
    """Remove the checkpoints of a trial that nothing needs, and what a killed process left half written.

    Later ones than the trial's newest stay, for another driver may be about to tell of them, unless ``untold``: the
    caller has just taken the trial over, and who saved them died before telling.

    Call it only when ``history`` is in the journal: until then, the older checkpoint is the one a restart finds.
    """
    trial = history.trials[number]
    if not (trial.saved or untold) or not trial.directory.is_dir():
        return
    needed = {f"step-{step}" for step in history.needed_checkpoints(number)}
    running = number in history.running and not untold
    for path in trial.directory.iterdir():
        about_to_be_told = _step(path.name) > trial.saved and not untold  # perhaps by another driver
        superseded = path.name.startswith("step-") and path.name not in needed and not about_to_be_told
        torn = path.name.startswith(".step-") and not running
        if superseded or torn:
            shutil.rmtree(path, ignore_errors=True)


def step_on_disk(trial: TrialRecord) -> int:
    """Return the step a trial can go on from: that of its checkpoint, or 0 where its folder is not to be found here."""
    return trial.saved if trial.checkpoint is not None and trial.checkpoint.is_dir() else 0


def _step(name: str) -> int:
    number = name.partition("-")[2]
    return int(number) if number.isdigit() else 0

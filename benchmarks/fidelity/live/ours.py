"""Tunewell as it comes: two workers, a total of seconds, sampler and scheduler left to it, epochs saved."""

from __future__ import annotations

from functools import partial

import tunewell as tw
from benchmarks.fidelity.live.training import EPOCHS, Search


def train(search: Search, trial: tw.Trial) -> None:
    """Train a configuration, from where it rests."""
    training = search.begin(trial.params)
    if trial.checkpoint:
        training.load(trial.checkpoint)
    for epoch in trial.steps(EPOCHS):
        trial.report(val_accuracy=training.epoch(epoch))
        trial.save(training.save)


def search(given: Search) -> None:
    """Run a study, stored in SQLite."""
    study = tw.Study(
        given.task.space,
        metric="val_accuracy",
        mode="max",
        seed=given.seed,
        storage=given.folder / "tunewell.db",
    )
    study.run(partial(train, given), seconds=given.seconds, workers=2, progress=False)

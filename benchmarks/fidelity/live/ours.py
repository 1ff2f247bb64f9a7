"""Tunewell as it comes: two workers, a total of seconds, sampler and scheduler left to it, epochs saved."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from unittest.mock import patch

import tunewell as tw
from benchmarks.fidelity.live.training import EPOCHS, Search
from tunewell.knowledge.effects import UsualEffect
from tunewell.surrogate import usual


def train(search: Search, trial: tw.Trial) -> None:
    """Train a configuration, from where it rests."""
    training = search.begin(trial.params)
    if trial.checkpoint:
        training.load(trial.checkpoint)
    for epoch in trial.steps(EPOCHS):
        trial.report(val_accuracy=training.epoch(epoch))
        trial.save(training.save)


def search(given: Search, *, held_out: bool = False) -> None:
    """Run a study, stored in SQLite.

    With ``held_out`` what is usual of hyperparameters is what recorded tables of other data teach.
    """
    effects = _learnt_elsewhere(given) if held_out else None
    study = tw.Study(
        given.task.space,
        metric="val_accuracy",
        mode="max",
        seed=given.seed,
        storage=given.folder / "tunewell.db",
    )
    with patch.object(usual, "usual_effects", lambda: effects) if effects is not None else nullcontext():
        study.run(partial(train, given), seconds=given.seconds, workers=2, progress=False)


def _learnt_elsewhere(given: Search) -> Mapping[str, UsualEffect]:
    """Return what tables of other data than the task's teach."""
    from benchmarks.fidelity.learn_effects import learnt, source  # here, as it takes time that would count as start-up

    return learnt(source(given.task.name))

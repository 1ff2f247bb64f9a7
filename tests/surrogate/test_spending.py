"""Where early losses are asked: the correlation that selection has not spoilt."""

from __future__ import annotations

import numpy as np
import pytest

import tunewell as tw
from tunewell.events import CheckpointSaved, Paused, Reported, RunStarted, TrialStarted
from tunewell.history import History
from tunewell.surrogate.spending import first_telling
from tunewell.testing.histories import created

SPACE = tw.Space(x=tw.Float(0.0, 1.0))


def halved(seed, correlation, trials=100, finalists=10):
    """Return a history of trials looked at after a step, of which the best were trained to the end, step 4."""
    rng = np.random.default_rng(seed)
    early = rng.normal(size=trials)
    late = correlation * early + np.sqrt(1.0 - correlation**2) * rng.normal(size=trials)
    history = History([created(SPACE), RunStarted(0.0, "d", 1, 4)])
    chosen = set(np.argsort(early)[:finalists])
    for number in range(trials):
        history.apply(TrialStarted(0.0, number, SPACE.sample(rng), number, driver="d"))
        steps = {1: early[number], 4: late[number]} if number in chosen else {1: early[number]}
        for step, loss in steps.items():
            history.apply(Reported(float(step), number, step, {"loss": loss}))
        history.apply(CheckpointSaved(9.0, number, max(steps)))
        history.apply(Paused(9.0, number, max(steps), "rests"))
    return history


@pytest.mark.parametrize("correlation", [0.9, 0.75])
def test_early_losses_that_tell_are_believed_although_only_the_best_were_finished(correlation):
    found = [first_telling(halved(seed, correlation), [1, 4]) for seed in range(40)]
    assert np.mean([telling.step == 1 for telling in found]) > 0.7
    told = [telling.correlation for telling in found if telling.correlation is not None]
    assert np.median(told) == pytest.approx(correlation, abs=0.12)


def test_early_losses_that_tell_nothing_are_mostly_not_believed():
    found = [first_telling(halved(seed, 0.0, finalists=40), [1, 4]) for seed in range(40)]
    assert np.mean([telling.step == 4 for telling in found]) > 0.6


def test_without_selection_it_is_the_rank_correlation():
    found = first_telling(halved(0, 0.6, trials=400, finalists=400), [1, 4])
    assert found.correlation == pytest.approx(0.6, abs=0.08)


def test_too_few_that_were_finished_say_nothing():
    assert first_telling(halved(0, -0.9, finalists=7), [1, 4]).correlation is None
    assert first_telling(halved(0, -0.9, finalists=7), [1, 4]).step == 1

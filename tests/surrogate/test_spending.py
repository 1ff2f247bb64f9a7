"""Where early losses are asked: the correlation that selection has not spoilt."""

from __future__ import annotations

import numpy as np
import pytest

import tunewell as tw
from tunewell.events import CheckpointSaved, Paused, Reported, RunStarted, TrialStarted
from tunewell.history import History
from tunewell.surrogate.spending import first_telling, spending
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
    assert np.mean([telling.step == 1 for telling in found]) > 0.9
    told = [telling.end.correlation for telling in found if telling.end.trials]
    assert np.median(told) == pytest.approx(correlation, abs=0.12)


def test_early_losses_that_tell_nothing_are_mostly_not_believed():
    found = [first_telling(halved(seed, 0.0, finalists=40), [1, 4]) for seed in range(40)]
    assert np.mean([telling.step == 4 for telling in found]) > 0.6


def test_an_order_that_turns_round_is_found_out_by_few():
    found = [first_telling(halved(seed, -0.95, finalists=6), [1, 4]) for seed in range(40)]
    assert np.mean([telling.step == 4 for telling in found]) > 0.6


def test_without_selection_it_is_the_rank_correlation():
    found = first_telling(halved(0, 0.6, trials=400, finalists=400), [1, 4])
    assert found.end.correlation == pytest.approx(0.6, abs=0.15)
    assert found.end.trials >= 50


def at_chance(steps, of, metric="accuracy"):
    """Return an objective whose accuracy stays at a tenth for some steps, and then depends on the configuration."""

    def evaluate(params, step):
        risen = (1.0 - 4.0 * (params["x"] - 0.3) ** 2) * (1.0 - np.exp(-6.0 * (step - steps) / (of - steps)))
        return {metric: 0.1 if step <= steps else max(0.1, risen)}, 1.0

    return evaluate


def test_a_metric_at_chance_level_is_not_compared_there():
    """Else all trainings look the same after the first step, and none but new ones would be trained."""
    study = tw.Study(SPACE, "accuracy", mode="max", seed=0)
    study.run(seconds=6 * 27, max_steps=27, executor=tw.executors.Simulated(at_chance(6, 27)), progress=False)
    assert spending(study.history).rungs[0] == 8
    assert sum(trial.status == "completed" for trial in study.trials) >= 3
    assert len(study.trials) < 20
    assert abs(study.best.params["x"] - 0.3) < 0.2


def test_where_nothing_differs_before_the_end_whole_trainings_are_compared():
    study = tw.Study(SPACE, "accuracy", mode="max", seed=0)
    study.run(seconds=8 * 8, max_steps=8, executor=tw.executors.Simulated(at_chance(7, 8)), progress=False)
    found = spending(study.history)
    assert (found.rule, found.why) == ("fifo", "until the end most trials have the same losses")
    assert study.history.counts[tw.Status.COMPLETED] >= 5


def test_too_few_that_were_finished_say_nothing():
    found = first_telling(halved(0, -0.9, finalists=4), [1, 4])
    assert (found.step, found.end.trials) == (1, 0)


@pytest.mark.parametrize("seed", [0, 1])
def test_losses_that_only_jitter_before_learning_begins_are_not_compared(seed):
    """They differ, but by next to nothing of what is gained when learning begins."""

    def evaluate(params, step):
        learnt = 0.5 + 4.0 * (params["x"] - 0.3) ** 2 + 1.5 * 0.7 ** (step - 9) if step > 9 else 2.3
        return {"loss": learnt + 0.002 * np.random.default_rng([step, int(1e9 * params["x"])]).normal()}, 1.0

    study = tw.Study(SPACE, "loss", seed=seed)
    study.run(seconds=12 * 27, max_steps=27, executor=tw.executors.Simulated(evaluate), progress=False)
    chosen = spending(study.history)
    assert chosen.rungs == (16,)
    assert abs(study.best.params["x"] - 0.3) < 0.1


def test_losses_that_rank_another_way_at_each_rung_are_not_compared():
    """Pure noise before the end, as large as what is gained: only the next rung can tell, and it does."""

    def evaluate(params, step):
        loss = (params["x"] - 0.3) ** 2 if step > 12 else np.random.default_rng([step, int(1e9 * params["x"])]).normal()
        return {"loss": float(loss)}, 1.0

    study = tw.Study(SPACE, "loss", seed=0)
    study.run(seconds=12 * 16, max_steps=16, executor=tw.executors.Simulated(evaluate), progress=False)
    chosen = spending(study.history)
    assert chosen.rule == "fifo" or chosen.rungs[0] >= 4
    assert "have told nothing of later ones" in chosen.why or "early losses have not told late ones" in chosen.why

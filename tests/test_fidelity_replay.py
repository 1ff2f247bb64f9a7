"""The benchmark of schedulers on recorded curves: what a meter notes, and what results are measured by."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parent.parent))  # the benchmarks stand beside the package, not in it

from benchmarks.fidelity import tables
from benchmarks.fidelity.reference import SAMPLE, facts
from benchmarks.fidelity.replay import Meter, Spent, task
from benchmarks.search.tables import folder


def test_the_meter_notes_rows_where_rows_answer_and_losses_where_means_do():
    notes = {}
    for answer in ("nearest", "smooth"):
        of = task("digits_mlp", answer)
        meter = Meter(of, 1.0, "steps")
        training = of.training(of.space.sample(np.random.default_rng(0)))
        loss, cost = meter.train(training, 1)
        assert (cost, meter.left) == (1.0, of.horizon - 1.0)
        notes[answer] = meter.found, loss, training.row
    found, loss, row = notes["nearest"]
    assert found == [(0.05, row, 1)]
    assert task("digits_mlp").table.values[row, 0] == loss
    found, loss, row = notes["smooth"]
    assert (found, row) == ([(0.05, loss)], None)


@pytest.mark.skipif(folder() is None, reason="TUNEWELL_TABLES names no folder with the data")
def test_live_trainings_are_real_take_turns_and_repeat_themselves():
    of = task("phoneme_mlp", "live")
    configs = [of.space.sample(np.random.default_rng(seed)) for seed in (0, 1)]
    one, other = (of.training(config) for config in configs)
    assert of.training(dict(configs[0])) is one  # what was trained is not trained again
    turns = [(one.values[k], other.values[k]) for k in range(3)]
    again = task("phoneme_mlp", "live").training(configs[0])
    assert [again.values[k] for k in range(3)] == [first for first, _ in turns]
    meter = Meter(of, 1.0, "steps")
    assert meter.train(one, 1) == (turns[0][0], 1.0)
    assert meter.found == [(0.05, turns[0][0])]
    with pytest.raises(ValueError, match="recorded here"):
        task("taskset/patch32_GRU128_bs128", "live")


def test_the_meter_ends_a_search_when_the_budget_is_spent():
    of = task("digits_mlp", "smooth")
    meter = Meter(of, 2.0, "steps")
    training = of.training(of.space.sample(np.random.default_rng(0)))
    meter.to(training, 0, of.horizon)
    meter.to(training, 0, of.horizon)
    with pytest.raises(Spent):
        meter.train(training, 1)
    assert meter.measured()["rows"] == 1
    assert meter.measured()["begun"] == 2


def test_nothing_that_was_drawn_is_better_than_the_best_there_is():
    near, smooth = facts("digits_mlp", "nearest"), facts("digits_mlp", "smooth")
    assert near.least == near.best[0]
    assert len(smooth.best) == SAMPLE
    assert near.least <= smooth.least <= smooth.best[0]  # means lie within the rows
    for known in (near, smooth):
        assert np.all(np.diff(known.regrets) <= 0.0)
        assert known.target == pytest.approx(known.least + known.regrets[-1])


def test_a_training_that_goes_on_pays_for_its_new_steps_alone():
    of = task("digits_mlp")
    training = of.training(of.space.sample(np.random.default_rng(0)))
    meter = Meter(of, 2.0, "steps")
    at_ten = meter.to(training, 0, 10)
    at_thirty = meter.to(training, 10, 30)
    assert (at_ten, at_thirty) == (training.values[9], training.values[29])
    assert meter.left == of.horizon * 2.0 - 30.0
    assert meter.measured()["begun"] == 1


def test_no_space_states_a_default_so_no_method_is_told_a_prior():
    stated = [name for name in tables.names() if tables.load(name).space.has_default]
    assert stated == [], "with_neps passes no priors, and the page says that there are none"

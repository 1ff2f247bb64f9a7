"""What is usual of hyperparameters with known names, and how it depends on their ranges."""

from __future__ import annotations

import numpy as np
import pytest

import tunewell as tw
from tunewell import knowledge
from tunewell.history import History
from tunewell.knowledge.effects import usual_effects
from tunewell.surrogate.usual import promising, trend_of
from tunewell.testing.histories import created

RATE = tw.Float(1e-5, 1.0, scale="log")


def empty(space):
    """Return the history of a study that has not begun."""
    return History([created(space)])


def effect_of(**space):
    """Return the effect on the first column of a space."""
    trend = trend_of(tw.Space(space))
    return None if trend is None else next((effect for effect in trend.effects if effect.column == 0), None)


def test_all_effects_are_of_known_hyperparameters():
    assert set(usual_effects()) <= set(knowledge.names())
    for effect in usual_effects().values():
        assert effect.span >= 0.0
        assert all(abs(number) < 15.0 for number in (*effect.slope, *effect.bend))


def test_a_learning_rate_is_best_about_the_middle_of_its_range():
    effect = effect_of(lr=RATE)
    assert min(effect.bend) > 1.0
    assert effect.slope == (0.0, 0.0)
    assert 0.4 < effect.center < 0.6


def test_a_dropout_is_best_at_its_lower_end():
    assert effect_of(dropout=tw.Float(0.0, 0.6)).slope[1] > 0.2


def test_nothing_is_known_of_other_names_of_priors_and_of_categories():
    assert trend_of(tw.Space(x=RATE, y=tw.Float(0.0, 1.0))) is None
    assert effect_of(lr=tw.Float(1e-5, 1.0, scale="log", prior=tw.Prior(1e-2))) is None
    assert effect_of(lr=tw.Choice([1e-3, 1e-1, 1e-2])) is None


def test_a_name_that_may_mean_something_else_counts_beside_one_that_does_not():
    width = tw.Int(8, 256, scale="log")
    assert effect_of(width=width) is None
    assert effect_of(width=width, lr=RATE).slope[1] < 0.0


def test_a_narrow_range_has_proportionally_less_effect():
    wide = effect_of(lr=tw.Float(1e-5, 1.0, scale="log"))
    narrow = effect_of(lr=tw.Float(1e-3, 1e-2, scale="log"))
    wider = effect_of(lr=tw.Float(1e-8, 10.0, scale="log"))
    assert narrow.bend[1] == pytest.approx(0.2 * wide.bend[1])
    assert wider.bend == wide.bend


def test_on_another_scale_nothing_is_known_of_the_middle():
    assert effect_of(lr=tw.Float(1e-5, 1.0)).bend == (0.0, 0.0)


def test_the_middle_moves_a_little_to_a_default_that_lies_within():
    low, high = (effect_of(lr=tw.Float(1e-5, 1.0, scale="log", default=rate)).center for rate in (1e-4, 1e-1))
    assert low < 0.5 < high
    assert effect_of(lr=tw.Float(1e-5, 1.0, scale="log", default=1e-5)).center == 0.5
    assert effect_of(lr=tw.Float(1e-2, 10.0, scale="log")).center == 0.5  # 0.001, the known one, lies outside


def test_columns_are_counted_without_those_that_cannot_vary():
    space = tw.Space(seed=tw.Choice([0]), kind=tw.Choice(["a", "b"]), lr=RATE)
    assert [effect.column for effect in trend_of(space).effects] == [1]


def test_promising_ones_lie_where_the_usual_is_best():
    space = tw.Space(lr=RATE, dropout=tw.Float(0.0, 0.6), other=tw.Float(0.0, 1.0))
    history, rng = empty(space), np.random.default_rng(0)
    units = space.encode([promising(space, history, 16, rng) for _ in range(100)])
    assert abs(np.median(units[:, 0]) - 0.5) < 0.08
    assert np.std(units[:, 0]) < 0.17  # 0.29 at random
    assert np.mean(units[:, 1]) < 0.45
    assert 0.4 < np.mean(units[:, 2]) < 0.6


def test_promising_ones_keep_conditions_and_priors():
    space = tw.Space(
        lr=RATE,
        optimizer=tw.Choice(["sgd", "adam"]),
        momentum=tw.Float(0.0, 0.99, when={"optimizer": "sgd"}),
        weight_decay=tw.Float(1e-6, 1e-1, scale="log", prior=tw.Prior(1e-5, "high")),
    )
    history, rng = empty(space), np.random.default_rng(0)
    found = [promising(space, history, 8, rng) for _ in range(60)]
    assert all(("momentum" in config) == (config["optimizer"] == "sgd") for config in found)
    assert np.median([config["weight_decay"] for config in found]) == pytest.approx(1e-5, rel=1.0)


def test_nothing_is_promising_where_nothing_is_usual_or_all_has_been_tried():
    space = tw.Space(x=tw.Float(0.0, 1.0))
    assert promising(space, empty(space), 8, np.random.default_rng(0)) is None

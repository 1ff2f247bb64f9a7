"""What is usual of hyperparameters with known names, and how it depends on their ranges."""

from __future__ import annotations

import numpy as np
import pytest

import tunewell as tw
from tunewell import knowledge
from tunewell.events import TrialStarted
from tunewell.history import History
from tunewell.knowledge.effects import usual_effects
from tunewell.surrogate.usual import promising, trend_of
from tunewell.testing.histories import created

RATE = tw.Float(1e-5, 1.0, scale="log")


def empty(space):
    """Return the history of a study that has not begun."""
    return History([created(space)])


def trend(**space):
    """Return what is usual in a space."""
    return trend_of(tw.Space(space), empty(tw.Space(space)))


def effect_of(**space):
    """Return the effect on the first column of a space."""
    found = trend(**space)
    return None if found is None else next((effect for effect in found.effects if effect.column == 0), None)


def well_of(**space):
    """Return the well in the first column of a space, None for none."""
    found = trend(**space)
    return None if found is None else next((well for well in found.wells if well.column == 0), None)


def test_all_effects_are_of_known_hyperparameters():
    assert set(usual_effects()) <= set(knowledge.names())
    for effect in usual_effects().values():
        assert effect.span >= 0.0
        assert all(abs(number) < 15.0 for number in (*effect.slope, *effect.bend))
        assert all(0.0 <= depth < 5.0 for depth in effect.depth)
        assert all(abs(shift) < 0.5 for ends in effect.beside.values() for shift in ends)


def test_a_learning_rate_is_best_about_the_middle_of_its_range():
    well = well_of(lr=RATE)
    assert min(well.depth) > 1.0
    assert 0.4 < well.center < 0.6
    assert effect_of(lr=RATE) is None


def test_a_dropout_is_best_at_its_lower_end():
    assert effect_of(dropout=tw.Float(0.0, 0.6)).slope[1] > 0.2


def test_nothing_is_known_of_other_names_of_priors_and_of_categories():
    assert trend(x=RATE, y=tw.Float(0.0, 1.0)) is None
    assert trend(lr=tw.Float(1e-5, 1.0, scale="log", prior=tw.Prior(1e-2))).is_flat
    assert trend(lr=tw.Choice([1e-3, 1e-1, 1e-2])) is None


def test_the_best_rate_rises_with_the_batch_and_momentum_lowers_it():
    space = {
        "lr": RATE,
        "batch_size": tw.Choice([16, 32, 64, 128, 256], ordered=True),
        "momentum": tw.Float(0.5, 0.99, scale="reverse_log"),
    }
    shifts = {mover.column: mover.shift for mover in well_of(**space).movers}
    assert shifts[1][1] < -0.1
    assert shifts[2][1] > 0.05
    half = well_of(**{**space, "batch_size": tw.Choice([32, 64, 128], ordered=True)}).movers[0].shift
    assert half[1] == pytest.approx(shifts[1][1] * np.log10(4) / 1.2)
    falling = well_of(**{**space, "batch_size": tw.Choice([256, 128, 64, 32, 16], ordered=True)}).movers[0].shift
    assert falling == pytest.approx([-end for end in shifts[1]])
    backwards = well_of(**{**space, "lr": tw.Choice([1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5], ordered=True)})
    assert backwards.movers[0].shift == pytest.approx([-end for end in shifts[1]])
    assert well_of(**{**space, "lr": tw.Float(1e-5, 1.0)}) is None  # on a linear scale nothing is known


def test_adam_divides_by_what_its_momentum_makes():
    assert not well_of(lr=RATE, beta1=tw.Float(0.5, 0.99, scale="reverse_log")).movers


def test_a_choice_of_schedules_is_known_by_its_values():
    for name, values in (
        ("decay", ["constant", "cosine"]),
        ("lr_schedule", ["none", "x", "linear"]),
        ("s", [None, "step"]),
    ):
        (mover,) = well_of(lr=RATE, **{name: tw.Choice(values)}).movers
        assert mover.column == 1
        assert mover.shift[1] < 0.0  # what falls may begin higher
        assert mover.codes[0] < 0.0 < mover.codes[-1]
        assert sum(mover.codes) == pytest.approx(0.0)
    assert not well_of(lr=RATE, kind=tw.Choice(["cosine", "euclidean"])).movers
    assert trend(kind=tw.Choice(["constant", "cosine"])) is None  # where no hyperparameter is known


def test_what_is_known_of_words_says_nothing_of_numbers_and_other_words():
    for other in (
        {"optimizer": tw.Int(0, 3)},
        {"schedule": tw.Float(0.0, 1.0)},
        {"schedule": tw.Choice([0, 1, 2], ordered=True)},
        {"optimizer": tw.Choice(["mine", "yours"])},
        {"padding": tw.Choice(["constant", "linear", "reflect"])},
        {"imputation": tw.Choice(["constant", "linear"])},
        {"hidden_units": tw.Choice(["small", "large"])},
    ):
        found = trend(lr=RATE, **other)
        assert not found.effects
        assert [(well.column, well.movers) for well in found.wells] == [(0, ())]
        assert [column for column, _ in found.lengths] == [0]


def test_several_of_one_name_do_together_what_one_does():
    one = trend(lr=RATE, n_units_1=tw.Int(16, 256, scale="log"))
    four = trend(lr=RATE, **{f"n_units_{k}": tw.Int(16, 256, scale="log") for k in range(4)})
    at_once = np.array([[0.5, 1.0, 1.0, 1.0, 1.0], [0.8, 1.0, 1.0, 1.0, 1.0]])
    np.testing.assert_allclose(four.value(at_once, np.ones(2)), one.value(at_once[:, :2], np.ones(2)))


def test_rates_that_are_never_active_together_do_not_share_an_effect():
    kind = tw.Choice(["sgd", "adam"])
    rates = {f"lr_{o}": tw.Float(1e-5, 1.0, scale="log", when={"optimizer": o}) for o in ("sgd", "adam")}
    alone, wells = well_of(lr=RATE), trend(**rates, optimizer=kind).wells
    assert [well.depth for well in wells] == [alone.depth] * 2
    halves = trend(head_lr=RATE, backbone_lr=RATE).wells
    assert [well.depth[1] for well in halves] == pytest.approx([alone.depth[1] / 2] * 2)


def test_a_range_that_was_given_for_one_optimizer_does_not_move_with_it():
    kind = tw.Choice(["sgd", "adam"])
    assert well_of(lr=RATE, optimizer=kind).movers
    (well,) = trend(lr_sgd=tw.Float(1e-3, 1.0, scale="log", when={"optimizer": "sgd"}), optimizer=kind).wells
    assert not well.movers


def test_what_is_drawn_goes_together():
    space = tw.Space(lr=RATE, batch_size=tw.Choice([16, 256], ordered=True))
    history, rng = empty(space), np.random.default_rng(0)
    found = [promising(space, history, rng) for _ in range(300)]
    small, large = (np.median([np.log10(c["lr"]) for c in found if c["batch_size"] == size]) for size in (16, 256))
    assert large > small + 0.3


def test_little_changes_much_of_a_learning_rate_also_where_somebody_believes_in_one():
    for prior in (None, tw.Prior(1e-2)):
        lengths = dict(trend(lr=tw.Float(1e-5, 1.0, scale="log", prior=prior), beta1=tw.Float(0.5, 0.99)).lengths)
        assert lengths[0] < -1.0
        assert 1 not in lengths  # on another scale
    narrow = dict(trend(lr=tw.Float(1e-3, 1e-2, scale="log")).lengths)
    assert narrow[0] == pytest.approx(lengths[0] + np.log(5.0))


def test_a_name_that_may_mean_something_else_counts_beside_one_that_does_not():
    width = tw.Int(8, 256, scale="log")
    assert effect_of(width=width) is None
    assert effect_of(width=width, lr=RATE).slope[1] < 0.0


def test_a_narrow_range_shows_a_part_of_the_well_and_a_very_wide_one_no_more_than_all():
    wide, narrow, wider = (
        well_of(lr=tw.Float(low, high, scale="log")) for low, high in ((1e-5, 1.0), (1e-3, 1e-2), (1e-8, 10.0))
    )
    assert narrow.depth == wide.depth == wider.depth
    assert narrow.width == pytest.approx(5.0 * wide.width)
    assert wider.width == wide.width


def test_a_narrow_range_has_proportionally_less_of_a_bend():
    wide, narrow = (
        effect_of(momentum=tw.Float(1.0 - a, 1.0 - b, scale="reverse_log")) for a, b in ((0.5, 0.01), (0.1, 0.01))
    )
    assert narrow.bend[1] == pytest.approx(wide.bend[1] / np.log10(50.0))


def test_on_another_scale_nothing_is_known_of_the_middle_and_no_effect_is_none():
    assert well_of(lr=tw.Float(1e-5, 1.0)) is None
    assert effect_of(momentum=tw.Float(0.5, 0.99)).bend == (0.0, 0.0)
    assert effect_of(dropout=tw.Float(0.0, 0.01)) is None


@pytest.mark.parametrize(
    "width", [tw.Int(64, 128), tw.Int(64, 128, scale="log"), tw.Choice([64, 96, 128], ordered=True)]
)
def test_a_range_is_as_wide_on_every_scale(width):
    wide = effect_of(hidden_units=tw.Int(16, 256, scale="log"))
    assert effect_of(hidden_units=width).slope[1] == pytest.approx(0.25 * wide.slope[1], rel=0.01)


def test_choices_count_as_numbers_in_order():
    rising, falling = (effect_of(hidden_units=tw.Choice(v, ordered=True)) for v in ([16, 64, 256], [256, 64, 16]))
    assert rising.slope[1] < 0.0
    assert falling.slope[1] == -rising.slope[1]
    for values in (["high", "low"], [True, False], [64, 16, 256], [(8, 8), (16, 16)], [None, 64]):
        assert effect_of(hidden_units=tw.Choice(values, ordered=True)) is None
    for huge in ([1, 10**400], [-(10**400), 1]):
        assert effect_of(hidden_units=tw.Choice(huge, ordered=True)).slope == rising.slope


def test_what_a_person_believes_is_left_out():
    space = tw.Space(lr=RATE, dropout=tw.Float(0.0, 0.6))
    study = tw.Study(space, "loss")
    study.believe({"lr": 0.1})
    found = trend_of(space, study.history)
    assert [effect.column for effect in found.effects] == [1]
    assert not found.wells


def test_the_middle_moves_a_little_to_a_default_that_lies_within():
    low, high = (well_of(lr=tw.Float(1e-5, 1.0, scale="log", default=rate)).center for rate in (1e-5, 1e-1))
    assert low < 0.4
    assert high > 0.5
    assert well_of(lr=tw.Float(1e-2, 10.0, scale="log")).center == 0.5  # 0.001, the known one, lies outside
    assert well_of(lr=tw.Float(9e-4, 10.0, scale="log")).center == 0.5  # or at the end


def test_columns_are_counted_without_those_that_cannot_vary():
    found = trend(seed=tw.Choice([0]), kind=tw.Choice(["a", "b"]), lr=RATE)
    assert [well.column for well in found.wells] == [1]


def test_promising_ones_lie_where_the_usual_is_best_and_apart_from_each_other():
    space = tw.Space(lr=RATE, dropout=tw.Float(0.0, 0.6), hidden_units=tw.Int(128, 144), other=tw.Float(0.0, 1.0))
    history, rng = empty(space), np.random.default_rng(0)
    units = space.encode([promising(space, history, rng) for _ in range(200)])
    assert abs(np.median(units[:, 0]) - 0.5) < 0.08
    assert 0.05 < np.std(units[:, 0]) < 0.17  # 0.29 at random
    assert np.mean(units[:, 1]) < 0.45
    assert 0.4 < np.mean(units[:, 2]) < 0.6  # hardly any effect
    assert 0.4 < np.mean(units[:, 3]) < 0.6


def test_promising_ones_keep_conditions_and_priors():
    space = tw.Space(
        lr=RATE,
        optimizer=tw.Choice(["sgd", "adam"]),
        momentum=tw.Float(0.0, 0.99, when={"optimizer": "sgd"}),
        weight_decay=tw.Float(1e-6, 1e-1, scale="log", prior=tw.Prior(1e-5, "high")),
    )
    history, rng = empty(space), np.random.default_rng(0)
    found = [promising(space, history, rng) for _ in range(60)]
    assert all(("momentum" in config) == (config["optimizer"] == "sgd") for config in found)
    assert all(config["weight_decay"] == pytest.approx(1e-5) for config in found)  # the centre comes first


def test_a_condition_on_a_large_number_is_no_trouble():
    narrow = tw.Float(0.0, 0.5, when={"hidden_units": list(range(1, 60))})
    space = tw.Space(lr=RATE, hidden_units=tw.Int(1, 10000, scale="log"), dropout=narrow)
    rng = np.random.default_rng(0)
    assert all(space.check(promising(space, empty(space), rng)) for _ in range(100))


def test_nothing_is_promising_where_nothing_is_usual():
    space = tw.Space(x=tw.Float(0.0, 1.0))
    assert promising(space, empty(space), np.random.default_rng(0)) is None


def test_nothing_is_promising_where_all_has_been_tried():
    space = tw.Space(lr=tw.Choice([1e-3, 1e-1], ordered=True))
    history, rng = empty(space), np.random.default_rng(0)
    for number in range(2):
        history.apply(TrialStarted(0.0, number, promising(space, history, rng), number, driver="d"))
    assert sorted(trial.params["lr"] for trial in history.trials) == [1e-3, 1e-1]
    assert promising(space, history, rng) is None

"""Recorded curves as an objective: what is answered for rows, between rows and beyond, and what is refused."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from scipy.stats import spearmanr

import tunewell as tw
from tunewell.numerics import gp, smoothing
from tunewell.testing import tables
from tunewell.testing.tables import Table

SPACE = tw.Space(x=tw.Float(0.0, 1.0), kind=tw.Choice(["a", "b"]), y=tw.Float(0.0, 1.0, when={"kind": "b"}))
LINE = tw.Space(x=tw.Float(0.0, 1.0))
NAN = float("nan")


def on_a_line(curves, places=(0.0, 0.5, 1.0), **options) -> Table:
    return Table(LINE, [{"x": x} for x in places], curves, **options)


def smooth_field(n=200, seed=0, **options) -> tuple[Table, np.ndarray]:
    space = tw.Space(x=tw.Float(0.0, 1.0), idle=tw.Float(0.0, 1.0))
    units = np.random.default_rng(seed).random((n, 2))
    final = (units[:, 0] - 0.3) ** 2
    return Table(space, units, np.stack([final + 1.0, final], axis=1), **options), units


def test_the_nearest_row_answers_and_says_which_it_is():
    table = on_a_line([[3.0], [2.0], [5.0]])
    assert [table.training({"x": x}).row for x in (0.1, 0.3, 0.9)] == [0, 1, 2]


def test_another_category_is_far_and_an_inactive_parameter_is_no_neighbour_of_an_active_one():
    rows = [{"x": 0.0, "kind": "a"}, {"x": 0.9, "kind": "b", "y": 0.0}, {"x": 0.0, "kind": "b", "y": 1.0}]
    table = Table(SPACE, rows, [[1.0], [2.0], [3.0]])
    assert table.training({"x": 0.9, "kind": "a"}).row == 0
    assert table.training({"x": 0.4, "kind": "b", "y": 0.2}).row == 1


def test_the_answer_is_that_of_the_row_with_its_seconds():
    table = on_a_line([[3.0, 2.0], [2.0, 1.0], [5.0, 4.0]], seconds=[1.0, 2.0, 3.0])
    assert table.evaluate({"x": 0.5}, 2) == ({"loss": 1.0}, 2.0)


def test_a_short_row_keeps_its_last_value_and_the_median_length_is_a_full_training():
    table = on_a_line([[3.0, NAN, NAN], [2.0, 1.0, NAN], [4.0, 3.0, 2.0]], lengths=[1, 2, 3])
    assert table.steps == 2
    assert table.values.tolist() == [[3.0, 3.0], [2.0, 1.0], [4.0, 3.0]]


def test_a_divergence_lasts():
    assert np.isnan(on_a_line([[1.0, NAN, 1.0]], [0.5]).values[0]).tolist() == [False, True, True]


def test_a_smooth_answer_lies_between_its_neighbours_and_differs_from_place_to_place():
    table, _ = smooth_field(answer="smooth")
    at = [table.training({"x": x, "idle": 0.5}).values[-1] for x in (0.28, 0.3, 0.6, 0.61)]
    assert at[:2] == pytest.approx([0.0, 0.0], abs=0.01)
    assert at[2] == pytest.approx(0.09, abs=0.02)
    assert len(set(at)) == 4
    assert table.training({"x": 0.3, "idle": 0.5}).row is None


def test_smooth_answers_are_the_means_of_a_gaussian_process():
    """At each step, against the process that is given the scores of the rows there."""
    table, _ = smooth_field(60, answer="smooth")
    smooth, places = table._smooth, np.random.default_rng(3).random((7, 2))
    losses, _ = smooth.answers(places)
    for step in (0, 1):
        process = gp.GaussianProcess.given(smooth.gram, smooth.ranks.score(table.values[:, step]))
        np.testing.assert_allclose(smooth.means(places)[:, step], process.predict(places)[0], atol=1e-6)
        np.testing.assert_allclose(smooth.ranks.score(losses[:, step]), process.predict(places)[0], atol=1e-6)


def test_what_ranks_the_ends_is_foretold_where_a_few_failures_would_drown_it():
    """Six parameters, noise, a cliff: fresh configurations behind the cliff and beyond, by what they really are."""
    rng = np.random.default_rng(0)

    def truth(units):
        good = (units[:, 0] - 0.4) ** 2 + 0.3 * units[:, 1] * units[:, 2]
        return np.where(units[:, 0] > 0.7, 50.0, good)

    space = tw.Space({f"x{j}": tw.Float(0.0, 1.0) for j in range(6)})
    units = rng.random((200, 6))
    table = Table(space, units, (truth(units) + 0.01 * rng.standard_normal(200))[:, None], answer="smooth")
    fresh = rng.random((100, 6))
    fresh = fresh[fresh[:, 0] < 0.6]
    found = np.array([training.values[-1] for training in table.trainings(fresh)])
    assert spearmanr(found, truth(fresh))[0] > 0.95


def test_a_smooth_answer_diverges_where_diverged_rows_have_most_of_the_weight():
    places = np.linspace(0.0, 1.0, 21)
    table = on_a_line([[1.0, NAN if x > 0.7 else 1.0 + x] for x in places], places, answer="smooth")
    assert [bool(np.isnan(table.training({"x": x}).values[1])) for x in (0.3, 0.6, 0.8, 1.0)] == [False] * 2 + [
        True
    ] * 2
    assert np.isfinite(table.training({"x": 1.0}).values[0])


def test_smooth_seconds_follow_the_configuration_and_stay_within_those_recorded():
    places = np.linspace(0.0, 1.0, 21)
    table = on_a_line([[(x - 0.4) ** 2] for x in places], places, seconds=np.exp(places), answer="smooth")
    assert [table.training({"x": x}).seconds[0] for x in (0.225, 0.775)] == pytest.approx(np.exp([0.225, 0.775]), 0.05)
    assert 1.0 <= table.training({"x": 0.0}).seconds[0] < table.training({"x": 1.0}).seconds[0] <= np.e


def test_steps_that_nobody_timed_do_not_make_their_neighbours_fast():
    places = np.linspace(0.0, 1.0, 21)
    seconds = [[3.0, 0.0] if k % 2 else [3.0, 3.0] for k in range(21)]
    table = on_a_line([[x, x] for x in places], places, seconds=seconds, answer="smooth")
    assert table.training({"x": 0.52}).seconds == pytest.approx([3.0, 3.0])


@pytest.mark.parametrize(
    ("curves", "expected"),
    [([[1.0, 2.0]], [1.0, 2.0]), ([[1.0, 2.0], [3.0, 2.0]], [2.0, 2.0]), ([[NAN, NAN]], [NAN, NAN])],
)
def test_little_is_answered_with_what_there_is(curves, expected):
    table = on_a_line(curves, [0.2, 0.8][: len(curves)], answer="smooth", seconds=0.0)
    training = table.training({"x": 0.5})
    np.testing.assert_allclose(training.values[1], expected[1])
    assert (training.seconds < 1e-6).all()


def test_one_exploding_loss_does_not_decide_for_its_neighbourhood():
    x = np.linspace(0.0, 1.0, 101)
    final = (x - 0.5) ** 2
    final[60] = 1e16
    table = Table(LINE, x[:, None], final[:, None], answer="smooth")
    assert table.training({"x": 0.55}).values[0] < 0.3


@pytest.mark.parametrize("mode", ["min", "max"])
def test_the_mode_does_not_change_smooth_answers(mode):
    rng = np.random.default_rng(1)
    x, values = rng.random((40, 1)), rng.standard_normal((40, 3))
    sign = 1.0 if mode == "min" else -1.0
    table = Table(LINE, x, sign * values, mode=mode, answer="smooth")
    same = Table(LINE, x, values, answer="smooth")
    assert sign * table.training({"x": 0.3}).values == pytest.approx(same.training({"x": 0.3}).values)


def test_many_places_are_answered_as_one_by_one(monkeypatch):
    table, _ = smooth_field(answer="smooth")
    units = np.random.default_rng(5).random((30, 2))
    monkeypatch.setattr(tables, "_AT_ONCE", 7 * table.units.size)
    for unit, training in zip(units, table.trainings(units), strict=True):
        assert training.values == pytest.approx(table.training(table.space.decode(unit[None])[0]).values, abs=1e-9)


def test_answers_are_remembered_and_the_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(tables, "_REMEMBERED", 3)
    table, _ = smooth_field()
    first = table.training({"x": 0.5, "idle": 0.5})
    assert table.training({"idle": 0.5, "x": 0.5}) is first
    for x in (0.1, 0.2, 0.3):
        table.training({"x": x, "idle": 0.5})
    assert table.training({"x": 0.5, "idle": 0.5}) is not first


def test_what_is_saved_is_loaded(tmp_path):
    rows = [{"x": 0.1, "kind": "a"}, {"x": 0.9, "kind": "b", "y": 0.3}]
    table = Table(
        SPACE, rows, [[1.0, NAN], [2.0, 3.0]], seconds=[[1.0, 0.0], [2.0, 2.5]], mode="max", metric="accuracy"
    )
    table.save(tmp_path / "curves.npz")
    again = Table.load(tmp_path / "curves.npz", answer="smooth")
    assert (again.space, again.mode, again.metric, again.answer) == (SPACE, "max", "accuracy", "smooth")
    for name in ("units", "values", "seconds"):
        np.testing.assert_array_equal(getattr(again, name), getattr(table, name))


def test_a_whole_study_runs_on_a_table():
    table, _ = smooth_field(answer="smooth", seconds=10.0)
    study = tw.Study(table.space, table.metric, table.mode, sampler="random", scheduler="asha", seed=0)
    study.run(
        trials=60, max_steps=table.steps, executor=tw.executors.Simulated(table.evaluate, workers=4), progress=False
    )
    assert study.best.value < 0.02
    assert study.history.active_seconds == pytest.approx(10.0 * study.history.steps_done / 4, rel=0.2)


@pytest.mark.parametrize(
    ("rows", "curves", "options", "said"),
    [
        ([[0.5, 0.5]], [[1.0]], {}, "shape (n, 1), got shape (1, 2)"),
        ([], [[1.0]], {}, "got shape (0,)"),
        ([[1.5]], [[1.0]], {}, "from 0 to 1"),
        ([{"x": 2.0}], [[1.0]], {}, "x"),
        ([[0.5]], [1.0], {}, "curves of shape (1, steps)"),
        ([[0.5]], [[1.0], [2.0]], {}, "curves of shape (1, steps)"),
        ([[0.5]], [[1.0]], {"lengths": [2]}, "lengths from 1 to 1"),
        ([[0.5]], [[1.0]], {"seconds": [1.0, 2.0]}, "seconds as a number"),
        ([[0.5]], [[1.0]], {"seconds": -1.0}, "seconds from 0 on"),
        ([[0.5]], [[1.0]], {"mode": "least"}, 'mode="min" or "max"'),
        ([[0.5]], [[1.0]], {"answer": "linear"}, 'answer="nearest" or "smooth"'),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(rows, curves, options, said):
    with pytest.raises(ValueError, match=".") as refused:
        Table(LINE, rows, curves, **options)
    assert said in str(refused.value)


def test_a_step_beyond_the_table_is_refused():
    with pytest.raises(ValueError, match="from 1 to 2, got 3: run with max_steps=2"):
        on_a_line([[1.0, 1.0]], [0.5]).evaluate({"x": 0.5}, 3)


def test_another_archive_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", units=np.zeros(3))
    with pytest.raises(ValueError, match="without about, curves, seconds"):
        Table.load(tmp_path / "other.npz")


def test_the_docstring_examples_hold():
    assert doctest.testmod(tables).failed == 0
    assert tw.testing.Table is Table


def test_weights_add_up_to_one_however_far_the_rows_are():
    found = smoothing.weights(np.array([[[1e6], [4e6]]]), np.array([0.02]))
    assert found.tolist() == [[1.0, 0.0]]


def test_a_single_row_has_the_widest_bandwidths():
    assert smoothing.bandwidths(np.zeros((1, 1, 2)), np.array([1.0])).tolist() == [smoothing.WIDEST] * 2

from __future__ import annotations

import numpy as np
import pytest
from playing import LOSS, begin, tell

import tunewell as tw
from tunewell.events import Constraint, Ended, Status, StudyCreated
from tunewell.history import History
from tunewell.protocols import Suggestion
from tunewell.samplers.elsewhere import Elsewhere
from tunewell.samplers.gp import GP
from tunewell.samplers.view import look
from tunewell.surrogate.cube import cube_of
from tunewell.testing.histories import created, mixed_space

NUMBERS = tw.Space(x=tw.Float(0.0, 1.0), y=tw.Float(0.0, 1.0))
KINDS = tw.Space(kind=tw.Choice(["a", "b", "c"]), x=tw.Float(0.0, 1.0))


def said(space, units, targets):
    return Elsewhere.of(cube_of(space), np.asarray(units, float), np.asarray(targets, float), np.zeros((0, len(space))))


def test_values_of_the_better_half_count_and_corners_do_not():
    rng = np.random.default_rng(0)
    units = rng.random((60, 2))
    term = said(NUMBERS, units, np.abs(units - [0.3, 0.7]).sum(axis=1))
    at = term.value(np.array([[0.3, 0.7], [0.3, 0.0], [1.0, 0.0]]))
    assert at[0] > at[1] > at[2]


def test_no_value_is_ruled_out():
    term = said(NUMBERS, np.full((40, 2), 0.5), np.arange(40.0))
    assert term.value(np.array([[0.0, 1.0]]))[0] > 2.0 * np.log(0.2) - 1e-9


def test_trials_that_only_refine_the_best_do_not_count():
    rng = np.random.default_rng(1)
    others, refined = rng.uniform(0.6, 0.8, (30, 2)), np.full((30, 2), 0.1)
    targets = np.concatenate([rng.uniform(1.0, 2.0, 30), rng.uniform(0.0, 0.01, 30)])
    term = said(NUMBERS, np.concatenate([others, refined]), targets)
    there, at_the_best = term.value(np.array([[0.7, 0.7], [0.1, 0.1]]))
    assert there > at_the_best


def test_categories_that_were_hardly_tried_are_preferred():
    units = [[0.0, 0.5]] * 8 + [[0.5, 0.5]]
    units = np.array(units)
    units[:, 0] = cube_of(KINDS).snap(units)[:, 0]
    term = said(KINDS, units, np.arange(9.0))
    often, once, never = term.value(cube_of(KINDS).snap(np.array([[0.0, 0.5], [0.5, 0.5], [1.0, 0.5]])))
    assert often < once < never
    np.testing.assert_allclose([never - often, never - once], [2.0 * np.log(9.0), 2.0 * np.log(2.0)])


def test_slopes_are_those_of_the_values():
    space, rng = mixed_space(), np.random.default_rng(2)
    cube = cube_of(space)
    units = cube.snap(rng.random((40, len(space))))
    term = said(space, units, rng.random(40))
    points, step = cube.snap(rng.random((20, len(space)))), 1e-7
    value, slopes = term.value_and_slopes(points)
    np.testing.assert_array_equal(term.value(points), value)
    for j in np.flatnonzero(cube.smooth):
        moved = points.copy()
        moved[:, j] += step
        np.testing.assert_allclose((term.value(moved) - value) / step, np.nan_to_num(slopes[:, j]), atol=1e-4)
        assert (slopes[np.isnan(points[:, j]), j] == 0.0).all()


@pytest.mark.parametrize("seed", [0, 1])
def test_a_search_that_refines_goes_on_to_categories_never_tried_every_third_time(seed):
    space = tw.Space(kind=tw.Choice(["a", "b", "c"]), **{f"x{k}": tw.Float(0.0, 1.0) for k in range(3)})
    history, rng = History([created(space, seed, LOSS)]), np.random.default_rng(seed)
    for number in range(30):
        x = np.clip(0.3 + (0.3 if number < 12 else 0.01) * rng.standard_normal(3), 0.0, 1.0).tolist()
        config = {"kind": "a" if number else "b", "x0": x[0], "x1": x[1], "x2": x[2]}
        tell(history, begin(history, config), 0.2 * (number == 0) + sum((value - 0.3) ** 2 for value in x))
    found = Suggestion.of(GP().suggest(space, history, np.random.default_rng(seed)))
    assert found.config["kind"] == "c"
    assert all(abs(found.config[f"x{k}"] - 0.3) < 0.2 for k in range(3))
    assert "categories hardly tried" in found.reason


def test_what_breaks_a_constraint_is_no_better_trial():
    space = tw.Space(x=tw.Float(0.0, 1.0), y=tw.Float(0.0, 1.0))
    rule = (Constraint("size", 0.5),)
    history, rng = History([StudyCreated(0.0, "test", space, LOSS, {}, 0, rule)]), np.random.default_rng(0)
    for _ in range(30):
        x, y = rng.random(2).tolist()
        number = begin(history, {"x": x, "y": y})
        history.apply(Ended(float(len(history)), number, Status.COMPLETED, metrics={"loss": x, "size": 1.0 - x}))
    view = look(space, history, 3, 5, np.random.default_rng(0))
    term = Elsewhere.of(view.cube, view.seen.units[view.rows], view.behind[view.rows], view.others)
    allowed, forbidden = term.value(np.array([[0.6, 0.5], [0.1, 0.5]]))
    assert allowed > forbidden + 1.0

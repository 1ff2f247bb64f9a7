from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

import tunewell as tw
from tunewell.events import Believed
from tunewell.history import History
from tunewell.surrogate.beliefs import Belief, belief, components
from tunewell.surrogate.cube import cube_of
from tunewell.testing.histories import created, mixed_space

PRIORS = tw.Space(
    x=tw.Float(0.0, 1.0, prior=tw.Prior(0.8, "high")),
    y=tw.Float(0.0, 1.0),
    c=tw.Choice(list("abcd"), prior=tw.Prior("b")),
)


PLAIN = tw.Space(x=tw.Float(0.0, 1.0), y=tw.Float(0.0, 1.0))


def of(space, *hints):
    """Return the belief before any trial."""
    history = History([created(space), *hints])
    return belief(cube_of(space), space, history, np.zeros((0, len(space))), np.zeros(0))


def test_the_gradient_against_differences():
    space = mixed_space()
    hints = [Believed(0.0, {"learning_rate": 1e-3, "optimizer": "sgd"}), Believed(0.0, {"layers": 2}, "high")]
    term = of(space, *hints)
    cube = cube_of(space)
    units = cube.snap(np.random.default_rng(0).random((40, len(space))))
    value, slopes = term.value_and_slopes(units)
    np.testing.assert_allclose(value, term.value(units))
    for j in range(len(space)):
        step = np.zeros_like(units)
        step[:, j] = 0.0 if cube.categorical[j] else 1e-6
        expected = (term.value(units + step) - term.value(units - step)) / 2e-6
        np.testing.assert_allclose(slopes[:, j], np.nan_to_num(expected), atol=1e-5)


def test_a_prior_is_its_log_density_up_to_a_constant():
    term = of(tw.Space(x=tw.Float(0.0, 1.0, prior=tw.Prior(0.8, "high"))))
    units = np.linspace(0.0, 1.0, 30)[:, None]
    center, std = term.centers[0, 0], term.stds[0, 0]
    assert center == pytest.approx(0.8)
    left = term.value(units) - term.weight * norm.logpdf(units[:, 0], center, std)
    np.testing.assert_allclose(left, left[0])


def test_the_middle_is_favoured_where_nothing_is_believed():
    term = of(tw.Space(x=tw.Float(0.0, 1.0), c=tw.Choice(["a", "b"])))
    units = np.array([[0.5, 0.25], [0.5, 0.75], [0.0, 0.25]])
    value = term.value(units)
    assert value[0] == value[1] > value[2]


def test_what_a_belief_does_not_name_follows_the_priors():
    space = PRIORS
    history = History([created(space), Believed(0.0, {"y": 0.2})])
    centers, stds = components(cube_of(space), space, history)
    assert centers.shape == stds.shape == (2, 3)
    np.testing.assert_allclose(centers[:, 0], 0.8)
    assert np.isnan(centers[0, 1])
    assert centers[1, 1] == pytest.approx(0.2)
    np.testing.assert_allclose(centers[0, [0, 2]], centers[1, [0, 2]])


def test_another_category_is_less_likely():
    term = of(PRIORS)
    units = np.array([[0.8, 0.5, (k + 0.5) / 4.0] for k in range(4)])
    value = term.value(units)
    assert value.argmax() == 1
    np.testing.assert_allclose(value[[0, 2, 3]], value[0])


def test_it_fades_with_every_result():
    history, units = History([created(PRIORS)]), np.random.default_rng(1).random((40, 3))
    favour = of(PRIORS).value(units)
    weights = []
    for n in (1, 2, 10, 40):
        term = belief(cube_of(PRIORS), PRIORS, history, units[:n], -favour[:n])
        weights.append(term.weight)
        np.testing.assert_allclose(term.value(units) * n, favour)  # β = 10 with no trial and with one
    np.testing.assert_allclose(weights, np.array([10.0, 5.0, 1.0, 0.25]))


def test_one_that_misleads_is_dropped_and_one_that_helps_is_kept():
    history, units = History([created(PRIORS)]), np.random.default_rng(2).random((30, 3))
    favour = of(PRIORS).value(units)
    for n in (3, 11, 12, 30):
        kept = belief(cube_of(PRIORS), PRIORS, history, units[:n], -favour[:n])
        dropped = belief(cube_of(PRIORS), PRIORS, history, units[:n], favour[:n])
        assert isinstance(kept, Belief)
        assert (dropped is None) == (n >= 12)  # a third of fewer is too few to judge by


def test_the_pull_to_the_middle_is_never_judged():
    space = tw.Space(x=tw.Float(0.0, 1.0))
    units = np.linspace(0.0, 1.0, 30)[:, None]
    assert belief(cube_of(space), space, History([created(space)]), units, -abs(units[:, 0] - 0.5)) is not None


def test_a_configuration_to_stay_near_is_one_more_component():
    history, around = History([created(PLAIN)]), np.array([0.9, 0.1])
    near = belief(cube_of(PLAIN), PLAIN, history, np.empty((0, 2)), np.empty(0), around)
    middle = belief(cube_of(PLAIN), PLAIN, history, np.empty((0, 2)), np.empty(0))
    units = np.array([[0.9, 0.1], [0.1, 0.9]])
    np.testing.assert_allclose(*middle.value(units))
    assert near.value(units)[0] > near.value(units)[1]
    assert near.value(np.array([[0.5, 0.5]]))[0] > near.value(units)[1]  # the middle stays one


def test_a_configuration_to_stay_near_is_not_judged_as_a_belief():
    history, units = History([created(PLAIN)]), np.random.default_rng(3).random((30, 2))
    around = np.array([0.9, 0.1])
    worse_near = -np.abs(units - around).sum(axis=1)
    assert belief(cube_of(PLAIN), PLAIN, history, units, worse_near, around) is not None

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import truncnorm

import tunewell as tw
from tunewell.events import Believed, Ended, Goal, Status, TrialStarted
from tunewell.history import History
from tunewell.numerics.parzen import Axis, neighbour_bandwidths
from tunewell.samplers.groups import groups, whole
from tunewell.samplers.tpe import TPE, _plan
from tunewell.surrogate.observations import observe
from tunewell.testing.histories import created, mixed_space, random_events
from tunewell.testing.samplers import SamplerContract


@pytest.mark.parametrize("grouped", [False, True])
class TestGroupedTPE(SamplerContract):
    @pytest.fixture
    def sampler(self, grouped):
        return TPE(design=5, grouped=grouped)


def nested():
    """Two levels: some kernels of one model have parameters of their own."""
    return tw.Space(
        model=tw.Choice(["tree", "svm", "net"]),
        scale=tw.Float(0.0, 1.0),
        depth=tw.Int(1, 16, when={"model": "tree"}),
        kernel=tw.Choice(["linear", "rbf", "poly"], when={"model": "svm"}),
        gamma=tw.Float(1e-4, 10.0, scale="log", when={"kernel": ["rbf", "poly"]}),
        rate=tw.Float(1e-5, 1.0, scale="log", when={"model": ["net"]}),
        leaf=tw.Float(0.0, 0.5, when={"model": "tree"}),
        width=tw.Float(0.0, 1.0, when={"model": "svm", "kernel": ["poly", "rbf"]}),
        degree=tw.Int(2, 5, when={"kernel": "poly"}),
    )


def named(space):
    names = list(space)
    return [tuple(names[j] for j in group.columns) for group in groups(space)]


LOSS = (Goal("loss"),)


def history_of(space, configs, losses, goals=LOSS):
    history = History([created(space, goals=goals)])
    for number, (config, loss) in enumerate(zip(configs, losses, strict=True)):
        history.apply(TrialStarted(float(number), number, space.check(config), number))
        status = Status.COMPLETED if math.isfinite(loss) else Status.DIVERGED
        history.apply(Ended(float(number), number, status, metrics={goal.metric: loss for goal in goals}))
    return history


def model_of(sampler, space, history):
    return sampler._model(_plan(space), observe(space, history), space, history)


# --- the groups -------------------------------------------------------------------------------------------------------


def test_parameters_with_the_same_chain_of_conditions_form_a_group():
    assert named(nested()) == [
        ("model", "scale"),
        ("depth", "leaf"),
        ("kernel",),
        ("gamma", "width"),  # the same chain, once by the parent's own condition and once in full
        ("rate",),
        ("degree",),
    ]
    assert [group.always for group in groups(nested())] == [True, False, False, False, False, False]


def test_every_configuration_has_all_or_none_of_a_group():
    space = nested()
    rng = np.random.default_rng(0)
    here = ~np.isnan(space.encode([space.sample(rng) for _ in range(300)]))
    for group in groups(space):
        counts = here[:, group.columns].sum(axis=1)
        assert set(counts.tolist()) <= {0, len(group.columns)}
        assert counts.max() > 0


def test_a_space_without_conditions_is_one_group():
    space = tw.Space(a=tw.Float(0.0, 1.0), b=tw.Choice(["x", "y"]))
    assert named(space) == [("a", "b")]
    assert [group.columns.tolist() for group in whole(space)] == [[0, 1]]


def test_a_condition_that_any_value_meets_is_none():
    space = tw.Space(
        a=tw.Choice(["x", "y"]), b=tw.Int(1, 3, when={"a": "x"}), c=tw.Int(1, 3, when={"a": ["x", "y"]}),
        d=tw.Int(1, 3, when={"b": [1, 2, 3]}),
    )  # fmt: skip
    assert named(space) == [("a", "c"), ("b", "d")]


def test_layers_are_a_group_each():
    space = tw.Space(
        layers=tw.Int(1, 3),
        w1=tw.Int(8, 64),
        w2=tw.Int(8, 64, when={"layers": [2, 3]}),
        d2=tw.Float(0.0, 1.0, when={"layers": [3, 2]}),
        w3=tw.Int(8, 64, when={"layers": 3}),
    )
    assert named(space) == [("layers", "w1"), ("w2", "d2"), ("w3",)]


def test_no_parameters_no_groups():
    assert groups(tw.Space()) == ()


# --- the densities ----------------------------------------------------------------------------------------------------


def two_branches(n=24, seed=0, loss_of_b=lambda config: config["y"]):
    """Return a space with two branches, and ``n`` random trials; those of ``b`` have a loss that may vary."""
    space = tw.Space(
        model=tw.Choice(["a", "b"]),
        x=tw.Float(0.0, 1.0, when={"model": "a"}),
        y=tw.Float(0.0, 1.0, when={"model": "b"}),
    )
    rng = np.random.default_rng(seed)
    configs = [space.sample(rng) for _ in range(n)]
    return space, configs, [config["x"] if "x" in config else loss_of_b(config) for config in configs]


@pytest.mark.parametrize("pending", [0, 3])
@pytest.mark.parametrize("goals", [(Goal("loss"),), (Goal("loss"), Goal("cost"))], ids=["one", "two"])
@pytest.mark.parametrize("trials", [0, 12, 40, 90])
def test_without_conditions_it_is_the_joint_density(trials, goals, pending):
    space = tw.Space({name: parameter for name, parameter in mixed_space().items() if name != "nesterov"})
    for seed in range(3):
        history = History(random_events(space, trials, seed=seed, pending=min(trials, pending), goals=goals))
        joint = TPE(grouped=False).suggest(space, history, np.random.default_rng(seed))
        assert TPE(grouped=True).suggest(space, history, np.random.default_rng(seed)) == joint


def test_another_branch_never_counts():
    """Whatever the losses and values of the trials in ``b``, the densities of the group of ``a`` stay the same."""
    points = np.linspace(0.01, 0.99, 21)[:, None]
    found = []
    for factor in (1.0, 0.5):
        space, configs, losses = two_branches(loss_of_b=lambda config, factor=factor: 10.0 + factor * config["y"])
        moved = [{**config, "y": factor * config["y"]} if "y" in config else config for config in configs]
        _, of_a, of_b = model_of(TPE(grouped=True), space, history_of(space, moved, losses)).parts
        found.append((of_a.below.log_density(points), of_a.above.log_density(points), of_b.below.log_density(points)))
    np.testing.assert_array_equal(found[0][:2], found[1][:2])
    assert not np.allclose(found[0][2], found[1][2])


def test_a_group_is_fitted_on_the_trials_in_which_it_is_active():
    space, configs, losses = two_branches()
    root, of_a, of_b = model_of(TPE(grouped=True), space, history_of(space, configs, losses)).parts
    n_a = sum("x" in config for config in configs)
    for part, n in ((root, 24), (of_a, n_a), (of_b, 24 - n_a)):
        assert len(part.below.weights) + len(part.above.weights) == n + 3  # prior and uniform law, which is alone in g


def test_what_is_seen_of_a_group_is_as_long_everywhere():
    space = tw.Space(a=tw.Choice([0, 1]), b=tw.Float(0.0, 1.0, when={"a": 1}))
    history = history_of(space, [{"a": k % 2, **({"b": 0.1 * k} if k % 2 else {})} for k in range(6)], [1.0] * 6)
    seen = groups(space)[1].seen(observe(space, history))
    columns = (seen.units, seen.losses, seen.violations, seen.weak, seen.native)
    assert [len(column) for column in columns] == [3] * 5


def test_the_good_of_a_group_are_the_good_of_all_and_the_best_of_its_own():
    space, configs, losses = two_branches(loss_of_b=lambda config: 5.0 + config["y"])
    _, of_a, of_b = model_of(TPE(share=0.25, grouped=True), space, history_of(space, configs, losses)).parts
    n_a = sum("x" in config for config in configs)
    assert len(of_a.below.weights) - 2 == max(6, math.ceil(0.25 * n_a))  # all six good trials are in a
    assert len(of_b.below.weights) - 2 == math.ceil(0.25 * (24 - n_a))
    best = space.encode([min((c for c in configs if "y" in c), key=lambda c: c["y"])])[0, 2]
    assert best in of_b.below.centers


def mixture(axis, at, trials, weights, prior):
    """Return a density by the formulas: kernels at some trials' coordinates, and the uniform prior."""
    trials, weights = np.array(trials), np.array(weights)
    b = neighbour_bandwidths((axis,), trials[:, None], 0.03)[:, 0]
    if axis.ordered:
        kernels, uniform = truncnorm.pdf(at, -trials / b, (1.0 - trials) / b, loc=trials, scale=b), 1.0
    else:
        kernels, uniform = np.where(np.abs(trials - at) < 0.1, 1.0 - b, b), 0.5  # two labels
    return (weights @ kernels + prior * uniform) / (weights.sum() + prior)


def test_the_score_is_that_of_the_formulas():
    """Eight trials, share 0.25: the two best of all are in a, the best of b is good only in its own group."""
    space, _, _ = two_branches(n=0)
    x = {0.2: 0.1, 0.3: 0.2, 0.6: 0.5, 0.9: 0.9}
    y = {0.1: 1.0, 0.5: 0.7, 0.7: 1.2, 0.8: 1.5}
    configs = [{"model": "a", "x": value} for value in x] + [{"model": "b", "y": value} for value in y]
    model = model_of(
        TPE(design=5, share=0.25, grouped=True), space, history_of(space, configs, [*x.values(), *y.values()])
    )
    label, real = Axis(edges=np.linspace(0.0, 1.0, 3), ordered=False), Axis()

    all_trials = 2 * np.array([0.4, 0.3]) / 0.7  # (2): third best loss is 0.5
    in_a = 2 * np.array([max(1.0, all_trials[0]), all_trials[1]]) / (max(1.0, all_trials[0]) + all_trials[1])  # (5)

    def root(at):
        good = mixture(label, at, [0.25, 0.25], all_trials, 2.0)
        return np.log(good / mixture(label, at, [0.25, 0.25, 0.75, 0.75, 0.75, 0.75], np.ones(6), 2.0))

    def leaf(at, good, weights, others):
        return np.log(mixture(real, at, good, weights, 2.0) / mixture(real, at, others, np.ones(len(others)), 2.0))

    expected = [
        root(0.25) + leaf(0.25, [0.2, 0.3], in_a, [0.6, 0.9]),
        root(0.75) + leaf(0.45, [0.5], [1.0], [0.1, 0.7, 0.8]),
    ]
    points = space.encode([{"model": "a", "x": 0.25}, {"model": "b", "y": 0.45}])
    np.testing.assert_allclose(model.scores(points), expected, rtol=1e-9)


def test_a_part_of_the_space_that_nobody_tried_has_the_priors():
    space = nested()
    configs = [{"model": "tree", "scale": k / 12, "depth": k, "leaf": k / 24} for k in range(1, 13)]
    model = model_of(TPE(grouped=True), space, history_of(space, configs, [float(k) for k in range(12)]))
    points = np.full((1, len(space)), 0.3)
    for part in model.parts[2:]:
        here = points[:, part.columns]
        assert part.below.log_density(here) == pytest.approx(part.above.log_density(here))


# --- the search -------------------------------------------------------------------------------------------------------


def test_a_nested_space_is_sampled_validly_and_its_branches_compared():
    space = nested()

    def loss(config):
        if config["model"] != "svm":
            return 1.0 + config["scale"]
        return {"linear": 0.5, "rbf": 0.0, "poly": 0.2}[config["kernel"]] + abs(config.get("width", 1.0) - 0.4)

    history = History([created(space)])
    for number in range(120):
        config = TPE(grouped=True).suggest(space, history, np.random.default_rng([0, number]))
        assert dict(config) == space.check(config)
        history.apply(TrialStarted(float(number), number, config, number))
        if number % 10 == 3:
            history.apply(Ended(float(number), number, Status.FAILED, "ValueError"))
        else:
            history.apply(Ended(float(number), number, Status.COMPLETED, metrics={"loss": loss(config)}))
    late = [record.params["model"] for record in history.trials[60:]]
    assert late.count("svm") > 40
    assert history.best.loss < 0.1


def test_beliefs_about_one_branch_leave_the_others_alone():
    space, configs, losses = two_branches(n=12)
    plain = history_of(space, configs, losses)
    told = history_of(space, configs, losses)
    told.apply(Believed(20.0, {"model": "a", "x": 0.9}, "high"))
    _, a_before, b_before = model_of(TPE(grouped=True), space, plain).parts
    _, a_after, b_after = model_of(TPE(grouped=True), space, told).parts
    at = np.array([[0.9]])
    assert a_after.below.log_density(at) > a_before.below.log_density(at)
    assert b_after.below.log_density(at) == b_before.below.log_density(at)


def test_trials_of_an_earlier_space_count_where_they_say_something():
    space, configs, losses = two_branches()
    later = tw.Space({**space, "z": tw.Float(0.0, 1.0, when={"model": "a"})})
    history = history_of(space, configs, losses)
    assert named(later) == [("model",), ("x", "z"), ("y",)]
    part = model_of(TPE(grouped=True), later, history).parts[1]
    assert len(part.below.weights) + len(part.above.weights) == sum("x" in config for config in configs) + 3
    config = TPE(grouped=True).suggest(later, history, np.random.default_rng(0))
    assert dict(config) == later.check(config)


def test_several_goals_and_a_branch_that_only_failed():
    space, configs, _ = two_branches()
    losses = [config.get("x", math.nan) for config in configs]
    history = history_of(space, configs, losses, goals=(Goal("loss"), Goal("cost")))
    drawn = [TPE(grouped=True).suggest(space, history, np.random.default_rng(seed))["model"] for seed in range(20)]
    assert drawn.count("a") > 15

from __future__ import annotations

import math
from collections import deque
from contextlib import suppress

import numpy as np
import pytest
from playing import ask, begin, bowl, configs, cube, play, tell
from scipy.optimize import differential_evolution
from scipy.stats import ks_2samp, kstest

import tunewell as tw
from tunewell.events import Constraint, Ended, Goal, Status, StudyCreated, TrialStarted
from tunewell.history import History
from tunewell.memo import forget
from tunewell.numerics.variation import mirrored
from tunewell.protocols import Exhausted
from tunewell.samplers import results
from tunewell.samplers.evolution import DE, Evolution, Perturb
from tunewell.samplers.nsga2 import NSGA2
from tunewell.testing.histories import created, mixed_space
from tunewell.testing.samplers import SamplerContract

ALL = [Evolution(population=6, tournament=3), DE(population=6), Perturb()]
EVOLVING = ALL[:2]
FOUNDING = [Evolution(), DE(), NSGA2()]


def named(samplers):
    return {"argnames": "sampler", "argvalues": samplers, "ids": [type(sampler).__name__ for sampler in samplers]}


class TestEvolution(SamplerContract):
    @pytest.fixture
    def sampler(self):
        return ALL[0]


class TestDE(SamplerContract):
    @pytest.fixture
    def sampler(self):
        return ALL[1]


class TestPerturb(SamplerContract):
    @pytest.fixture
    def sampler(self):
        return ALL[2]


def mixed_loss(config):
    found = abs(math.log10(config["learning_rate"]) + 3) + (config["optimizer"] == "sgd") + config["layers"] / 10
    return math.nan if config["width"] > 900 else found


# --- what all three keep to -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize(**named(ALL))
def test_the_answer_is_the_same_from_a_fresh_copy_of_the_history(sampler, workers):
    kept = play(sampler, mixed_space(), mixed_loss, 60, workers=workers)
    fresh = play(sampler, mixed_space(), mixed_loss, 60, workers=workers, before_each=forget)
    assert configs(kept) == configs(fresh)


@pytest.mark.parametrize(**named(ALL))
def test_a_finite_space_gives_each_configuration_once_and_is_then_exhausted(sampler):
    space = tw.Space(a=tw.Choice(["x", "y", "z"]), b=tw.Int(1, 3), c=tw.Choice([0, 1], when={"a": "x"}))
    history = play(sampler, space, lambda config: config["b"], 12)
    assert len({tuple(config.items()) for config in configs(history)}) == 12
    with pytest.raises(Exhausted, match="all 12 configurations"):
        sampler.suggest(space, history, np.random.default_rng(0))


@pytest.mark.parametrize(**named(ALL))
def test_a_noisy_finite_space_may_be_tried_again(sampler):
    space, rng = tw.Space(a=tw.Choice(["x", "y"])), np.random.default_rng(0)
    history = History([created(space)])
    for a in "xyx":
        tell(history, begin(history, {"a": a}, "enqueued"), rng.random())
    play(sampler, space, lambda config: rng.random(), 20, history=history)
    assert len(history.trials) == 23


@pytest.mark.parametrize(**named(ALL))
def test_a_point_is_suggested_once(sampler):
    space = tw.Space(x=tw.Float(0.5, 0.5))
    history = play(sampler, space, lambda config: 1.0, 1)
    with pytest.raises(Exhausted):
        sampler.suggest(space, history, np.random.default_rng(0))


@pytest.mark.parametrize(**named(EVOLVING))
def test_two_goals_come_near_the_front(sampler):
    goals = (Goal("loss"), Goal("cost", "max"))
    history = play(sampler, cube(2), lambda c: (c["x0"] + c["x1"], c["x0"] - c["x1"]), 120, goals=goals)
    assert np.mean([config["x1"] for config in configs(history)[90:]]) < 0.2


@pytest.mark.parametrize(**named(ALL))
def test_constraints_come_before_losses(sampler):
    history = History([StudyCreated(0.0, "test", cube(2), (Goal("loss"),), {}, 0, (Constraint("size", 0.3),))])
    for _ in range(80):
        number = ask(sampler, history)
        x0, x1 = history.trials[number].params.values()
        history.apply(Ended(float(number), number, Status.COMPLETED, metrics={"loss": x1 - x0, "size": x0}))
    late = np.array([list(config.values()) for config in configs(history)[50:]])
    assert (late[:, 0] <= 0.3).mean() > 0.5
    assert np.median(late[:, 1]) < 0.3


@pytest.mark.parametrize(**named(EVOLVING))
def test_the_first_generation_follows_the_priors(sampler):
    space = tw.Space(
        x=tw.Float(0.0, 1.0, prior=tw.Prior(0.8, "high")), c=tw.Choice(list("abcdef"), prior=tw.Prior("f", "high"))
    )
    drawn = [sampler.suggest(space, History([created(space)]), np.random.default_rng(k)) for k in range(100)]
    assert np.mean([config["x"] for config in drawn]) == pytest.approx(0.8, abs=0.05)
    assert np.mean([config["c"] == "f" for config in drawn]) > 0.6


@pytest.mark.parametrize(**named(EVOLVING))
def test_a_parameter_that_becomes_active_is_drawn_from_its_prior(sampler):
    space = tw.Space(
        model=tw.Choice(["a", "b"]), x=tw.Float(0.0, 1.0, prior=tw.Prior(0.9, "high"), when={"model": "b"})
    )
    found = []
    for seed in range(150):
        history = History([created(space, seed)])
        for k in range(5):
            tell(history, begin(history, {"model": "a"}, "enqueued"), float(k))
        tell(history, begin(history, {"model": "b", "x": 0.1}, "enqueued"), 5.0)
        config = sampler.suggest(space, history, np.random.default_rng(seed))
        if "x" in config and config["x"] != 0.1:
            found.append(config["x"])
    assert len(found) > 10
    assert np.median(found) == pytest.approx(0.9, abs=0.08)


@pytest.mark.parametrize(
    "options",
    [
        (Evolution, {"population": 1}),
        (Evolution, {"tournament": 0}),
        (Evolution, {"spread": 0.0}),
        (DE, {"population": 4}),
        (DE, {"weights": (0.0, 1.0)}),
        (DE, {"weights": (0.9, 0.5)}),
        (DE, {"crossover": 1.5}),
        (Perturb, {"spread": math.inf}),
    ],
)
def test_nonsense_is_refused(options):
    sampler, given = options
    with pytest.raises(ValueError, match=f"{sampler.__name__} expected"):
        sampler(**given)


# --- regularised evolution --------------------------------------------------------------------------------------------

DIMENSIONS, VALUES, P, S, C = 5, 4, 10, 4, 60
TABLE = np.random.default_rng(7).random((DIMENSIONS, VALUES))


def true_loss(places):
    return float(TABLE[np.arange(DIMENSIONS), places].sum() + 0.3 * (places[0] == places[1]))


def algorithm_1(first, losses, rng, ageing=True):
    """Real et al. (2019), Algorithm 1, on the noisy table; the true losses of all models in their order."""
    population = deque(zip(first, losses, strict=True))
    history = [true_loss(model) for model in first]
    while len(history) < C:
        sample = [population[rng.integers(P)] for _ in range(S)]
        parent, _ = min(sample, key=lambda pair: pair[1])
        child = parent.copy()
        place = rng.integers(DIMENSIONS)
        child[place] = rng.choice([v for v in range(VALUES) if v != parent[place]])
        population.append((child, true_loss(child) + rng.normal(0.0, 0.3)))
        history.append(true_loss(child))
        if ageing:
            population.popleft()
        else:
            del population[max(range(P + 1), key=lambda k: population[k][1])]
    return history


def founders(seed):
    """Return the models and losses of the first population; the first model is in it twice, with two losses."""
    rng = np.random.default_rng([3, seed])
    first = list(rng.integers(VALUES, size=(P, DIMENSIONS)))
    first[1] = first[0].copy()
    return first, [true_loss(model) + rng.normal(0.0, 0.3) for model in first]


def ours(seed):
    rng = np.random.default_rng([4, seed])
    names = [f"x{i}" for i in range(DIMENSIONS)]
    space = tw.Space({name: tw.Choice(list(range(VALUES))) for name in names})
    history = History([created(space, seed)])
    for model, loss in zip(*founders(seed), strict=True):
        tell(history, begin(history, dict(zip(names, model.tolist(), strict=True)), "enqueued"), loss)
    places = lambda config: np.array(list(config.values()))  # noqa: E731
    sampler = Evolution(population=P, tournament=S)
    play(sampler, space, lambda config: true_loss(places(config)) + rng.normal(0.0, 0.3), C - P, history=history)
    return [true_loss(places(config)) for config in configs(history)]


def test_the_population_moves_as_in_algorithm_1():
    """The same distribution of results as a transcription; one that kills the worst instead of the oldest differs."""
    reference = np.array([algorithm_1(*founders(k), np.random.default_rng([5, k])) for k in range(400)])
    elitist = np.array([algorithm_1(*founders(k), np.random.default_rng([6, k]), ageing=False) for k in range(400)])
    found = np.array([ours(k) for k in range(60)])
    for part in (slice(P, 25), slice(25, 40), slice(40, C)):
        assert ks_2samp(found[:, part].mean(axis=1), reference[:, part].mean(axis=1)).pvalue > 0.01
    assert ks_2samp(found.min(axis=1), reference.min(axis=1)).pvalue > 0.01
    assert ks_2samp(elitist[:, 40:].mean(axis=1), reference[:, 40:].mean(axis=1)).pvalue < 1e-4


def test_a_child_differs_in_one_active_parameter_and_in_what_that_switches_on():
    space = mixed_space()
    history = History([created(space)])
    parent = space.default()
    for _ in range(6):
        tell(history, begin(history, parent, "enqueued"), 1.0)
    sizes = []
    for k in range(400):
        child = ALL[0].suggest(space, history, np.random.default_rng(k))
        different = [name for name in parent if name in child and child[name] != parent[name]]
        assert len(different) == 1
        assert set(parent) ^ set(child) <= ({"nesterov"} if different == ["optimizer"] else set())
        if different == ["learning_rate"]:
            sizes.append(abs(math.log10(child["learning_rate"] / parent["learning_rate"])) / 4.0)
    assert min(sizes) < 0.01 < 0.1 < max(sizes)


def test_of_many_parameters_a_tenth_changes_and_at_least_one():
    space, sampler = cube(40), ALL[0]
    history = History([created(space)])
    parent = space.default()
    for _ in range(6):
        tell(history, begin(history, parent, "enqueued"), 1.0)
    children = [sampler.suggest(space, history, np.random.default_rng(k)) for k in range(300)]
    changes = [sum(child[name] != parent[name] for name in parent) for child in children]
    assert min(changes) == 1
    assert np.mean(changes) == pytest.approx(4.0, abs=0.4)


@pytest.mark.parametrize(**named(FOUNDING))
def test_a_wrong_prior_leaves_a_third_of_the_founders_alone(sampler):
    space = tw.Space(x=tw.Float(0.0, 1.0, prior=tw.Prior(0.95, "high")), y=tw.Float(0.0, 1.0))
    history = History([created(space)])
    found = []
    for k in range(18):
        config = sampler.suggest(space, history, np.random.default_rng(k))
        number = len(history.trials)
        history.apply(TrialStarted(float(k), number, config, number, origin="sampler"))
        found.append(config["x"])
    assert 3 <= sum(x < 0.6 for x in found) <= 6
    assert sum(x > 0.8 for x in found) >= 12


def test_the_size_of_steps_is_as_documented():
    space, sampler = cube(1), Evolution(population=2, tournament=1, spread=0.2)
    history = History([created(space)])
    for _ in range(2):
        tell(history, begin(history, {"x0": 0.4}, "enqueued"), 1.0)
    found = [sampler.suggest(space, history, np.random.default_rng(k))["x0"] for k in range(1500)]
    rng = np.random.default_rng(9)
    expected = mirrored(0.4 + 0.2 * (1 / 32) ** rng.random(20_000) * rng.standard_normal(20_000))
    assert ks_2samp(found, expected).pvalue > 0.01


def test_the_dead_are_no_parents():
    space, sampler = cube(1), Evolution(population=3, tournament=8, spread=0.01)
    history = History([created(space)])
    for x, loss in ((0.1, 0.0), (0.9, 5.0), (0.8, 4.0), (0.7, 6.0)):
        tell(history, begin(history, {"x0": x}, "enqueued"), loss)
    found = [sampler.suggest(space, history, np.random.default_rng(k))["x0"] for k in range(30)]
    assert min(found) > 0.6


@pytest.mark.parametrize("status", [Status.DIVERGED, Status.FAILED, Status.OUT_OF_MEMORY, Status.TIMED_OUT])
@pytest.mark.parametrize(**named(EVOLVING))
def test_what_goes_wrong_is_kept_away_from(sampler, status):
    history = History([created(cube(2))])
    for _ in range(80):
        number = ask(sampler, history)
        config = history.trials[number].params
        if config["x0"] > 0.5:
            history.apply(Ended(float(number), number, status))
        else:
            tell(history, number, bowl(config))
    assert np.mean([config["x0"] > 0.5 for config in configs(history)[40:]]) < 0.25


def test_evolution_closes_in_on_the_minimum():
    ours = [play(Evolution(), cube(3), bowl, 100, seed).best.loss for seed in range(5)]
    random = [play(tw.samplers.Random(), cube(3), bowl, 100, seed).best.loss for seed in range(5)]
    assert np.median(ours) < 0.15 * np.median(random)


# --- differential evolution -------------------------------------------------------------------------------------------


def sphere(x):
    return float(np.sum((np.asarray(x) - 1.0) ** 2))


def rosenbrock(x):
    return float(sum(100.0 * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2 for i in range(len(x) - 1)))


@pytest.mark.parametrize(("loss", "d"), [(sphere, 4), (rosenbrock, 2)])
def test_differential_evolution_is_as_good_as_scipys(loss, d):
    """With the same strategy, population, weights and evaluations: the median is at most three times SciPy's."""
    population, evaluations, seeds = 5 * d, 50 * d, 9

    def scipys(seed):
        counted, rng = [], np.random.default_rng(seed)

        def count(x):
            if len(counted) == evaluations:
                raise StopIteration
            counted.append(loss(x))
            return counted[-1]

        with suppress(StopIteration):
            differential_evolution(
                count, [(-3.0, 4.0)] * d, strategy="randtobest1bin", mutation=(0.4, 0.8), recombination=0.9,
                init=rng.uniform(-3.0, 4.0, (population, d)), polish=False, tol=0.0, maxiter=10_000, rng=rng,
            )  # fmt: skip
        assert len(counted) == evaluations
        return min(counted)

    space = tw.Space({f"x{i}": tw.Float(-3.0, 4.0) for i in range(d)})
    sampler = DE(population=population)
    mine = [
        play(sampler, space, lambda c: loss(list(c.values())), evaluations, seed).best.loss for seed in range(seeds)
    ]
    reference = [scipys(seed) for seed in range(40)]
    assert np.median(mine) < 3.0 * np.median(reference)


def test_the_members_are_the_best_of_each_remainder():
    rng, sampler = np.random.default_rng(0), DE(population=7)
    history = History([created(cube(2))])
    for number in range(60):
        begin(history, {"x0": rng.random(), "x1": rng.random()}, "enqueued" if number % 5 else "sampler")
    fates = {}
    for number in rng.permutation(60).tolist()[:50]:
        fates[number] = [math.inf, 0.1 * int(rng.integers(8))][int(rng.random() < 0.8)]
        tell(history, number, fates[number])
    seen = results.results(history.space, history)
    members = seen.numbers[sampler._members(seen)].tolist()
    for slot in range(7):
        rivals = [number for number in fates if number % 7 == slot and fates[number] < math.inf]
        best = min(fates[number] for number in rivals)
        newest = [number for number in fates if number in rivals and fates[number] == best][-1]
        assert [number for number in members if number % 7 == slot] == [newest]
    assert [fates[number] for number in members] == sorted(fates[number] for number in members)


def test_steps_are_differences_of_members():
    """With one weight and full crossover, a child is exactly one of the points of (D1)."""
    rng = np.random.default_rng(1)
    points, losses = rng.uniform(0.3, 0.6, (6, 2)), rng.random(6)
    history = History([created(cube(2))])
    for point, loss in zip(points, losses, strict=True):
        tell(history, begin(history, {"x0": point[0], "x1": point[1]}), loss)
    best = points[np.argmin(losses)]
    possible = [
        points[a] + 0.5 * (best - points[a]) + 0.5 * (points[b] - points[c])
        for a in range(1, 6)  # number 6 competes with number 0
        for b in range(1, 6)
        for c in range(1, 6)
        if len({a, b, c}) == 3
    ]
    hits = set()
    for k in range(500):
        child = DE(population=6, weights=(0.5, 0.5), crossover=1.0).suggest(
            history.space, history, np.random.default_rng(k)
        )
        away = np.abs(np.array(possible) - list(child.values())).max(axis=1)
        assert away.min() < 1e-12
        hits.add(int(away.argmin()))
    assert len(hits) > 0.9 * len({tuple(np.round(point, 12)) for point in possible})


def test_crossover_takes_the_rest_from_the_rival():
    history = play(DE(population=8), cube(10), bowl, 24)
    rival = results.results(history.space, history)
    sampler = DE(population=8, crossover=0.0)
    members = sampler._members(rival)
    old = rival.units[next(row for row in members if rival.numbers[row] % 8 == 0)]
    for k in range(20):
        child = history.space.encode([sampler.suggest(history.space, history, np.random.default_rng(k))])[0]
        assert (np.abs(child - old) > 1e-12).sum() == 1


def test_integers_categories_and_conditions_are_found():
    space = tw.Space(
        n=tw.Int(1, 32),
        size=tw.Choice([1, 2, 4, 8, 16], ordered=True),
        kind=tw.Choice(list("abcde")),
        x=tw.Float(0.0, 1.0, when={"kind": ["c", "d"]}),
    )

    def loss(config):
        miss = abs(config["n"] - 21) / 8 + abs(math.log2(config["size"]) - 3) + 2 * (config["kind"] != "d")
        return miss + abs(config.get("x", 0.0) - 0.7)

    for sampler in (DE(), Evolution()):
        found = [play(sampler, space, loss, 300, seed).best.loss for seed in range(3)]
        assert np.median(found) < 0.2


# --- steps around a point ---------------------------------------------------------------------------------------------


def test_steps_around_a_configuration_are_normal_on_each_scale():
    space = tw.Space(
        lr=tw.Float(1e-6, 1.0, scale="log"), m=tw.Float(0.9, 0.9999, scale="reverse_log"), n=tw.Int(0, 100)
    )
    center = {"lr": 1e-3, "m": 0.99}
    history, rng = History([created(space)]), np.random.default_rng(0)
    drawn = [Perturb(center, spread=0.05).suggest(space, history, rng) for _ in range(1500)]
    units, middle = space.encode(drawn), space.encode([space.default(center)])[0]
    for column in range(2):
        assert kstest((units[:, column] - middle[column]) / 0.05, "norm").pvalue > 0.01
    assert np.std(units[:, 2]) == pytest.approx(0.05, rel=0.1)


@pytest.mark.parametrize("spread", [1e-9, 0.1, 5.0])
def test_a_neighbour_is_never_the_configuration_itself(spread):
    space = tw.Space(
        n=tw.Int(1, 10**6, scale="log"), a=tw.Choice(list("xyz")), b=tw.Choice([1, 2, 3], ordered=True, when={"a": "x"})
    )
    center = {"n": 1, "a": "x", "b": 2}
    for k in range(200):
        config = Perturb(center, spread).suggest(space, History([created(space)]), np.random.default_rng(k))
        assert config == space.check(config) != center


@pytest.mark.parametrize("seed", range(5))
def test_when_only_the_configuration_itself_is_left_it_is_exhausted(seed):
    space, center = tw.Space(a=tw.Choice(["x", "y", "z"]), n=tw.Int(1, 4)), {"a": "y", "n": 2}
    history = play(Perturb(center, 0.05), space, lambda config: 1.0, 11, seed)
    assert center not in configs(history)
    with pytest.raises(Exhausted, match="all other configurations"):
        Perturb(center).suggest(space, history, np.random.default_rng(0))


def test_without_a_configuration_it_is_the_default_and_then_the_best():
    space = tw.Space(x=tw.Float(0.0, 1.0, default=0.8), y=tw.Float(0.0, 1.0, default=0.8))
    history = play(Perturb(), space, lambda config: sum(value**2 for value in config.values()), 40)
    assert configs(history)[0] == space.default()
    assert history.best.loss < 0.01


def test_nothing_but_failures_leave_the_default_as_the_centre():
    history = play(Perturb(spread=0.01), cube(2), lambda config: math.nan, 10)
    assert all(abs(value - 0.5) < 0.1 for config in configs(history) for value in config.values())


def test_an_impossible_centre_is_refused():
    with pytest.raises(ValueError, match="unknown parameter 'z'"):
        Perturb({"z": 1.0}).suggest(cube(1), History([created(cube(1))]), np.random.default_rng(0))


def test_a_study_can_be_asked_for_neighbours_by_name():
    study = tw.Study(cube(2), metric="loss", sampler=Perturb({"x0": 0.2, "x1": 0.7}, spread=0.01), seed=0)
    trial = study.ask()
    assert abs(trial.params["x0"] - 0.2) < 0.1

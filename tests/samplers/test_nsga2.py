from __future__ import annotations

import math

import numpy as np
import pytest
from playing import ask, begin, bowl, configs, cube, play, tell

import tunewell as tw
from tunewell.events import Constraint, Ended, Goal, Status, StudyCreated
from tunewell.history import History
from tunewell.memo import forget
from tunewell.protocols import Exhausted
from tunewell.samplers import nsga2, results
from tunewell.samplers.nsga2 import NSGA2
from tunewell.testing.histories import created, mixed_space
from tunewell.testing.samplers import SamplerContract


class TestNSGA2(SamplerContract):
    @pytest.fixture
    def sampler(self):
        return NSGA2(population=6)


GOALS = (Goal("f1"), Goal("f2"))


def zdt1(config):
    """Zitzler, Deb and Thiele (2000), the first problem: the front is f2 = 1 - sqrt(f1), where the others are 0."""
    first, *others = config.values()
    g = 1.0 + 9.0 * np.mean(others)
    return first, g * (1.0 - math.sqrt(first / g))


def hypervolume(history, reference=(1.1, 2.0)):
    """The area between the trials and the reference; 1.1 * 2.0 - 1 + 2/3 - what lies beyond is the most there is."""
    area, lowest = 0.0, reference[1]
    for f1, f2 in sorted(record.losses for record in history.trials if record.observed):
        if f1 < reference[0] and f2 < lowest:
            area += (reference[0] - f1) * (lowest - f2)
            lowest = f2
    return area


def test_it_reaches_the_front_of_zdt1():
    """At most 1.87 is to be had. Random search has less than half of it after as many trials."""
    ours = [hypervolume(play(NSGA2(), cube(5), zdt1, 500, seed, goals=GOALS)) for seed in range(3)]
    random = [hypervolume(play(tw.samplers.Random(), cube(5), zdt1, 500, seed, goals=GOALS)) for seed in range(3)]
    assert min(ours) > 1.5
    assert max(random) < 1.0


def test_the_population_is_spread_over_the_front():
    history = play(NSGA2(), cube(3), zdt1, 400, goals=GOALS)
    members = nsga2._generations(history, 20).after(results.results(history.space, history))
    f1 = np.sort(
        [history.trials[number].losses[0] for number in results.results(history.space, history).numbers[members]]
    )
    assert f1[0] < 0.05
    assert f1[-1] > 0.8
    assert np.diff(f1).max() < 0.3


# --- the generations, against a transcription of the main loop --------------------------------------------------------


def beats(a, b):
    return all(x <= y for x, y in zip(a, b, strict=True)) and a != b


def environmental_selection(pool, losses, count):
    """Deb et al. (2002), the main loop: fill with fronts, then with the loneliest of the front that does not fit."""
    chosen, left = [], list(pool)
    while True:
        front = [i for i in left if not any(beats(losses[j], losses[i]) for j in left)]
        if len(chosen) + len(front) > count:
            break
        chosen += front
        left = [i for i in left if i not in front]
        if len(chosen) == count:
            return chosen
    distance = dict.fromkeys(front, 0.0)
    for goal in range(len(losses[0])):
        inorder = sorted(front, key=lambda i: losses[i][goal])
        low, high = losses[inorder[0]][goal], losses[inorder[-1]][goal]
        distance[inorder[0]] = distance[inorder[-1]] = math.inf
        for last, i, following in zip(inorder, inorder[1:], inorder[2:], strict=False):
            distance[i] += (losses[following][goal] - losses[last][goal]) / (high - low)
    return chosen + sorted(front, key=lambda i: -distance[i])[: count - len(chosen)]


@pytest.mark.parametrize("goals", [1, 2, 3])
def test_generations_are_those_of_the_main_loop(goals):
    rng, n = np.random.default_rng(goals), 12
    history = History([created(cube(2), 0, tuple(Goal(f"f{k}") for k in range(goals)))])
    losses = {}
    for _ in range(100):
        number = begin(history, {"x0": rng.random(), "x1": rng.random()})
        losses[number] = tuple(rng.random(goals).tolist())
    expected, ended = [], []
    for number in rng.permutation(100).tolist():
        tell(history, number, losses[number])
        ended.append(number)
        if len(ended) % n == 0:
            expected = environmental_selection(expected + ended[-n:], losses, n) if expected else ended[-n:]
        found = results.results(history.space, history)
        members = found.numbers[nsga2._generations(history, n).after(found)].tolist()
        assert set(members) == set(expected or ended)


def test_parents_win_a_binary_tournament():
    """Without crossover and mutation a child is the winner: the member with k before it has odds of 2 (N - k) - 1."""
    n = 8
    space = tw.Space(place=tw.Choice(list(range(n))), free=tw.Float(0.0, 1.0))
    history = History([created(space)])
    for k in range(n):
        tell(history, begin(history, {"place": k, "free": 0.5}), float(k))
    sampler = NSGA2(population=n, crossover=0.0, mutation=0.0)
    found = [sampler.suggest(space, history, np.random.default_rng(seed))["place"] for seed in range(300)]
    odds = np.array([2 * (n - k) - 1 for k in range(n)]) / n**2
    assert np.abs(np.bincount(found, minlength=n) / 300 - odds).max() < 0.06


def test_categories_come_from_either_parent_alike_and_numbers_keep_to_the_digit():
    space = tw.Space({f"c{i}": tw.Choice(list(range(50))) for i in range(8)} | {"lr": tw.Float(1e-6, 1.0, scale="log")})
    history = History([created(space)])
    for value in (3, 7):
        tell(history, begin(history, {f"c{i}": value for i in range(8)} | {"lr": 1e-3}), 1.0)
    sampler = NSGA2(population=2, crossover=1.0, mutation=0.0)
    found = [sampler.suggest(space, history, np.random.default_rng(seed)) for seed in range(200)]
    assert all(config["lr"] == 1e-3 for config in found)
    values = np.array([[config[f"c{i}"] for i in range(8)] for config in found])
    mixed = [row for row in values if len(set(row)) > 1]
    assert set(values.ravel()) == {3, 7}
    assert 0.4 < np.mean(np.array(mixed) == 3) < 0.6


def test_a_mutation_moves_at_least_one_place():
    space = tw.Space(n=tw.Int(0, 5), size=tw.Choice([8, 16, 32], ordered=True), a=tw.Choice(list("xy")))
    space = tw.Space({**space, "free": tw.Float(0.0, 1.0)})
    history = History([created(space)])
    parent = {"n": 2, "size": 16, "a": "x", "free": 0.5}
    for _ in range(2):
        tell(history, begin(history, parent), 1.0)
    sampler = NSGA2(population=2, mutation=1.0, eta_mutation=100.0)
    for seed in range(50):
        config = sampler.suggest(space, history, np.random.default_rng(seed))
        assert all(config[name] != value for name, value in parent.items())


# --- in a study -------------------------------------------------------------------------------------------------------


def mixed_losses(config):
    miss = abs(math.log10(config["learning_rate"]) + 3) + (config["optimizer"] == "sgd")
    return (math.nan if config["width"] > 900 else miss), config["width"] * config["layers"]


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("goals", [1, 2])
def test_the_answer_is_the_same_from_a_fresh_copy_of_the_history(workers, goals):
    loss = lambda config: mixed_losses(config)[:goals]  # noqa: E731
    sampler = NSGA2(population=6)
    kept = play(sampler, mixed_space(), loss, 60, workers=workers, goals=GOALS[:goals])
    fresh = play(sampler, mixed_space(), loss, 60, workers=workers, goals=GOALS[:goals], before_each=forget)
    assert configs(kept) == configs(fresh)


def test_it_works_with_one_goal():
    ours = [play(NSGA2(), cube(5), bowl, 200, seed).best.loss for seed in range(5)]
    random = [play(tw.samplers.Random(), cube(5), bowl, 200, seed).best.loss for seed in range(5)]
    assert np.median(ours) < 0.4 * np.median(random)


def test_a_slow_trial_does_not_hold_up_the_generation():
    sampler, history = NSGA2(population=5), History([created(cube(2))])
    slow = ask(sampler, history)
    for _ in range(10):
        tell(history, ask(sampler, history), bowl(history.trials[-1].params))
    found = results.results(history.space, history)
    assert history.trials[slow].status is Status.RUNNING
    assert nsga2._generations(history, 5).after(found).max() > 5


@pytest.mark.parametrize("status", [Status.DIVERGED, Status.FAILED, Status.OUT_OF_MEMORY, Status.TIMED_OUT])
def test_what_goes_wrong_is_kept_away_from(status):
    sampler, history = NSGA2(population=10), History([created(cube(2))])
    for _ in range(80):
        number = ask(sampler, history)
        config = history.trials[number].params
        if config["x0"] > 0.5:
            history.apply(Ended(float(number), number, status))
        else:
            tell(history, number, bowl(config))
    assert np.mean([config["x0"] > 0.5 for config in configs(history)[40:]]) < 0.25


def test_constrained_domination():
    """Section VI: what keeps the constraint dominates, and what breaks it less dominates what breaks it more."""
    rule = (Constraint("size", 0.2),)
    history = History([StudyCreated(0.0, "test", cube(2), (Goal("loss"), Goal("cost")), {}, 0, rule)])
    for _ in range(120):
        number = ask(NSGA2(population=10), history)
        x0, x1 = history.trials[number].params.values()
        metrics = {"loss": x1 - x0, "cost": x1 + x0, "size": x0 + 0.1}
        history.apply(Ended(float(number), number, Status.COMPLETED, metrics=metrics))
    late = np.array([list(config.values()) for config in configs(history)[80:]])
    assert (late[:, 0] <= 0.1).mean() > 0.5
    losses = np.array([[0.0], [5.0], [1.0], [2.0], [np.inf], [1.0]])
    violations = np.array([[3.0], [-1.0], [1.0], [0.0], [-5.0], [1.0]])
    assert results.places(losses, violations).tolist() == [3, 1, 2, 0, 4, 2]


def test_a_finite_space_is_exhausted():
    space = tw.Space(a=tw.Choice(["x", "y", "z"]), b=tw.Int(1, 3), c=tw.Choice([0, 1], when={"a": "x"}))
    history = play(NSGA2(population=4), space, lambda c: (c["b"], -c["b"]), 12, goals=GOALS)
    assert len({tuple(config.items()) for config in configs(history)}) == 12
    with pytest.raises(Exhausted, match="all 12 configurations"):
        NSGA2(population=4).suggest(space, history, np.random.default_rng(0))


@pytest.mark.parametrize(
    "options",
    [{"population": 1}, {"crossover": 1.1}, {"mutation": -0.1}, {"eta_crossover": -1.0}, {"eta_mutation": math.inf}],
)
def test_nonsense_is_refused(options):
    with pytest.raises(ValueError, match="NSGA2 expected"):
        NSGA2(**options)

"""BOHB and PriorBand: which rung is modelled, what is drawn from what, and that it helps."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

import tunewell as tw
from tunewell.events import Constraint, Ended, Goal, Paused, Reported, Status, StudyCreated, TrialStarted
from tunewell.executors import Simulated
from tunewell.history import History
from tunewell.protocols import Done, Start
from tunewell.replay import replay
from tunewell.samplers.tpe import TPE
from tunewell.schedulers import SCHEDULERS
from tunewell.surrogate.at_step import observe_at

LOSS = (Goal("loss"),)
LINE = tw.Space(x=tw.Float(0.0, 1.0))
BEST = (0.2, 0.7, 0.35, 0.6)
BOHB, PriorBand = tw.schedulers.BOHB, tw.schedulers.PriorBand


def begun(space=LINE, **settings):
    return History([StudyCreated(0.0, "test", space, LOSS, settings, 0)])


def trial(history, config, losses, status=Status.PAUSED, group="round 1, bracket 1"):
    """Append a trial that reports ``losses``, a mapping from steps, and ends with ``status``."""
    number = len(history.trials)
    history.apply(TrialStarted(float(len(history)), number, config, number, driver="d", group=group))
    for step, loss in losses.items():
        history.apply(Reported(float(len(history)), number, step, {history.goals[0].metric: loss}))
    if status is Status.PAUSED:
        history.apply(Paused(float(len(history)), number, history.trials[number].step, "rests"))
    elif status is not Status.RUNNING:
        history.apply(Ended(float(len(history)), number, status, "ended"))
    return number


def draw(scheduler, history, seed=0):
    return scheduler.next_action(history.space, history, np.random.default_rng(seed))


def level(config):
    return sum((value - best) ** 2 for value, best in zip(config.values(), BEST, strict=True))


def course(config, step):
    """Return a loss that comes down to the level of the configuration; some fall faster than others."""
    return {"loss": level(config) + 0.5 / step ** (0.3 + 0.7 * config["x0"])}, 1.0


def square(**options):
    return tw.Space(**{f"x{i}": tw.Float(0.0, 1.0, **options) for i in range(4)})


def played(scheduler, seed, space=None, steps=1000, sampler="auto"):
    study = tw.Study(space or square(), "loss", scheduler=scheduler, sampler=sampler, seed=seed)
    study.run(steps=steps, max_steps=27, executor=Simulated(course, workers=4), progress=False)
    return study


def reached(study):
    """Return the best level among the trials that trained to their end."""
    return min(level(record.params) for record in study.history.trials if record.step == 27)


# --- results at a step ------------------------------------------------------------------------------------------------


def test_what_is_known_at_a_step():
    history = begun()
    trial(history, {"x": 0.1}, {1: 3.0, 3: 2.0})
    trial(history, {"x": 0.2}, {1: 1.0})
    trial(history, {"x": 0.3}, {1: 1.0, 2: math.nan}, Status.DIVERGED)
    trial(history, {"x": 0.4}, {1: 1.0, 3: math.nan}, Status.DIVERGED)
    trial(history, {"x": 0.5}, {1: 0.5}, Status.OUT_OF_MEMORY)
    trial(history, {"x": 0.6}, {1: 0.5, 3: 0.4}, Status.FAILED)
    trial(history, {"x": 0.7}, {1: 0.5}, Status.RUNNING)
    trial(history, {"x": 0.8}, {1: 0.5, 3: 0.2}, Status.RUNNING)
    seen = observe_at(LINE, history, 3, [1, 3, 9])
    assert seen.units[:, 0].tolist() == [0.1, 0.4, 0.6, 0.8, 0.3]
    assert seen.losses[:, 0].tolist() == [2.0, math.inf, 0.4, 0.2, math.inf]
    assert (seen.failed.tolist(), seen.pending.tolist()) == ([[0.5]], [[0.7]])


def test_constraints_are_those_of_the_step():
    rule = Constraint("size", 2.0)
    history = History([StudyCreated(0.0, "test", LINE, LOSS, {}, 0, (rule,))])
    history.apply(TrialStarted(0.0, 0, {"x": 0.5}, 0, driver="d"))
    for step, size in ((1, 1.0), (3, 5.0), (9, 1.5)):
        history.apply(Reported(float(step), 0, step, {"loss": 1.0, "size": size}))
    assert observe_at(LINE, history, 3, [1, 3, 9]).violations.tolist() == [[3.0]]


# --- BOHB -------------------------------------------------------------------------------------------------------------


def test_the_model_is_that_of_the_largest_rung_with_d_plus_two_results():
    bohb, history = BOHB(max_steps=9), begun()
    trial(history, {"x": 0.1}, {1: 1.0, 3: 1.0})
    trial(history, {"x": 0.2}, {1: 2.0, 3: math.nan}, Status.DIVERGED)
    assert bohb.results(LINE, history) is None
    trial(history, {"x": 0.3}, {1: 3.0, 3: 3.0})
    assert bohb.results(LINE, history)[0] == 1
    trial(history, {"x": 0.4}, {1: 4.0, 3: 0.5}, group="round 1, bracket 2")
    step, seen = bohb.results(LINE, history)
    assert step == 3
    assert seen.losses[:, 0].tolist() == [1.0, math.inf, 3.0, 0.5]
    for number in range(4, 7):
        trial(history, {"x": 0.1 * number}, {1: 1.0, 3: 1.0, 9: float(number)})
    assert bohb.results(LINE, history)[0] == 9


def test_models_see_at_a_rung_whom_hyperband_compares_there():
    """Every other trial reports at steps of its own, as at the ends of longer epochs."""
    bohb, prior_band, history = BOHB(max_steps=27), PriorBand(max_steps=27), begun()
    for k in range(4):
        trial(history, {"x": 0.1 * (k + 1)}, {3 + k % 2: 6.0 - k})
    assert tw.schedulers.Hyperband(max_steps=27).bracket(history, "round 1, bracket 1").steps == (3, 9, 27)
    step, seen = bohb.results(LINE, history)
    assert (step, len(seen.losses)) == (3, 4)
    rungs = [*prior_band._hyperband.ladder(history, "round 1, bracket 1").values()]
    assert prior_band._best(LINE, history, rungs, 4).trials == [3]
    assert [rung.step for rung in rungs] == [3, 9, 27]


def test_the_ratio_of_densities_by_hand():
    """One good result at 0.5 of four: l has its kernel and the prior's, g those of the others and the prior's."""
    history = begun()
    for x, loss in ((0.5, 0.1), (0.1, 1.0), (0.9, 2.0)):
        trial(history, {"x": x}, {1: 9.0 - loss, 3: loss}, Status.STOPPED)
    trial(history, {"x": 0.7}, {1: math.nan}, Status.DIVERGED)
    seen = observe_at(LINE, history, 3, [1, 3, 9])
    sampler = TPE(design=3)
    draws = [sampler.given(seen, LINE, history, np.random.default_rng(seed))["x"] for seed in range(20)]

    def normal(x, center, width):
        inside = 0.5 * (math.erf((1 - center) / width / 2**0.5) - math.erf(-center / width / 2**0.5))
        return math.exp(-0.5 * ((x - center) / width) ** 2) / (width * math.sqrt(2 * math.pi) * inside)

    def ratio(x):  # widths: the distance to the farther neighbour or wall
        below = (normal(x, 0.5, 0.5) + 2.0) / 3.0
        above = (normal(x, 0.1, 0.6) + normal(x, 0.7, 0.6) + normal(x, 0.9, 0.2) + 2.0) / 5.0
        return below / above

    peak = max(np.linspace(0.0, 1.0, 1001), key=ratio)
    assert 0.2 < peak < 0.5
    assert np.abs(np.array(draws) - peak).max() < 0.15
    scheduled = [draw(BOHB(max_steps=9, random=0.0), history, seed) for seed in range(20)]
    assert all(action.reason.endswith("ratio of densities by the 4 results at step 3") for action in scheduled)
    assert np.abs(np.array([action.config["x"] for action in scheduled]) - peak).max() < 0.15


@pytest.mark.parametrize("model", ["tpe", "gp"])
def test_trials_on_their_way_keep_others_away(model):
    def told(pending):
        history = begun()
        for number in range(11):
            x = number / 10.0
            trial(history, {"x": x}, {1: (x - 0.52) ** 2}, Status.STOPPED)
        for x in pending:
            trial(history, {"x": x}, {}, Status.RUNNING)
        bohb = BOHB(max_steps=9, model=model, random=0.0)
        return np.array([draw(bohb, history, seed).config["x"] for seed in range(10)])

    alone, beside = told([]), told([0.5, 0.51, 0.52, 0.53, 0.54])
    assert np.abs(alone - 0.52).mean() < np.abs(beside - 0.52).mean()


def test_a_third_is_drawn_at_random():
    history = begun()
    for number in range(30):
        trial(history, {"x": number / 29.0}, {1: abs(number / 29.0 - 0.3)}, Status.STOPPED)
    words = Counter(draw(BOHB(max_steps=27), history, seed).reason.split("; ")[-1] for seed in range(300))
    assert 75 <= words["at random"] <= 125
    assert words["ratio of densities by the 30 results at step 1"] == 300 - words["at random"]
    assert draw(BOHB(max_steps=27, random=1.0), history).reason.endswith("at random")


def test_a_sampler_that_the_study_names_decides():
    for scheduler in (BOHB(max_steps=9), PriorBand(max_steps=9)):
        assert draw(scheduler, begun(sampler="random")) == Start(group="round 1, bracket 1")
        assert draw(scheduler, begun(sampler={"name": "tpe"})).config is None
        assert draw(scheduler, begun(sampler="auto")).config is not None


def test_what_is_put_in_line_joins_the_bracket():
    study = tw.Study(square(default=0.4), "loss", scheduler=BOHB(), seed=0)
    study.enqueue(dict.fromkeys(study.space, 0.9))
    study.run(trials=5, max_steps=27, executor=Simulated(course), progress=False)
    first, second = study.history.trials[:2]
    assert (first.origin, second.origin) == ("enqueued", "default")
    assert len(study.history.groups["round 1, bracket 1"]) == 5


def test_a_finite_space_runs_out():
    space = tw.Space(x=tw.Choice(["a", "b", "c", "d"]))
    for scheduler in (BOHB(max_steps=1), BOHB(max_steps=1, model="gp"), PriorBand(max_steps=1)):
        study = tw.Study(space, "loss", scheduler=scheduler, seed=0)
        executor = Simulated(lambda config, step: ({"loss": ord(config["x"])}, 1.0))
        why = study.run(trials=20, max_steps=1, executor=executor, progress=False)
        assert why == "all 4 configurations of the space have been tried"
        assert sorted(record.params["x"] for record in study.history.trials) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("scheduler", [BOHB(), BOHB(model="gp"), PriorBand()], ids=repr)
def test_a_study_follows_from_its_events(scheduler):
    """With the sampler left alone: the scheduler chooses."""
    study = played(scheduler, 1, steps=300)
    assert replay(study.events).ok
    assert {record.origin for record in study.history.trials} == {"scheduler"}


def test_several_goals_and_failures():
    def two(config, step):
        if config["x1"] > 0.9:
            raise MemoryError("too large")
        return {"a": config["x0"] + 1.0 / step, "b": 1.0 - config["x0"] + config["x2"]}, 1.0

    for scheduler in (BOHB(), BOHB(model="gp"), PriorBand()):
        study = tw.Study(square(), ["a", "b"], scheduler=scheduler, seed=0)
        study.run(trials=45, max_steps=9, executor=Simulated(two, workers=3), progress=False)
        assert len(study.history.trials) == 45
        assert replay(study.events).ok


def test_bohb_finds_a_good_region_earlier_than_hyperband():
    plain = [reached(played(tw.schedulers.Hyperband(), seed, sampler="random")) for seed in range(5)]
    model = [reached(played(BOHB(), seed)) for seed in range(5)]
    assert np.median(model) < 0.75 * np.median(plain)
    assert sum(ours < theirs for ours, theirs in zip(model, plain, strict=True)) >= 4


def test_a_process_finds_it_too():
    plain = [reached(played(tw.schedulers.Hyperband(), seed, sampler="random", steps=250)) for seed in range(3)]
    model = [reached(played(BOHB(model="gp"), seed, steps=250)) for seed in range(3)]
    assert np.median(model) < 0.3 * np.median(plain)


# --- PriorBand --------------------------------------------------------------------------------------------------------


def test_the_random_share_by_rung():
    """1 / (1 + η^r) for trials that begin at rung r, and no incumbent before a trial has trained to its end."""
    space = tw.Space(x=tw.Float(0.0, 1.0, prior=tw.Prior(0.3, "medium")))
    history = begun(space)
    for bracket, share in ((1, 1 / 2), (2, 1 / 4), (3, 1 / 10)):
        mix = PriorBand(max_steps=9).mix(space, history, f"round 1, bracket {bracket}")
        assert (mix.random, mix.prior, mix.incumbent) == pytest.approx((share, 1.0 - share, 0.0))
    mix = PriorBand(max_steps=9).mix(LINE, begun(), "round 1, bracket 3")
    assert (mix.random, mix.prior, mix.incumbent) == (1.0, 0.0, 0.0)


def test_prior_and_incumbent_share_by_the_likelihood_of_the_best():
    space = tw.Space(x=tw.Float(0.0, 1.0, prior=tw.Prior(0.2, "high")))
    scheduler, history = PriorBand(max_steps=9), begun(space)
    for x, losses in ((0.8, {1: 1.0, 3: 1.0, 9: 0.1}), (0.7, {1: 2.0, 3: 2.0}), (0.2, {1: 3.0, 3: 3.0})):
        trial(history, {"x": x}, losses)
    mix = scheduler.mix(space, history, "round 1, bracket 1")
    assert mix.incumbent_trial == 0
    wrong = [float(np.exp(law.log_density(np.array([[0.8]]))[0])) for law in (mix.prior_law, mix.incumbent_law)]
    assert mix.prior == pytest.approx(0.5 * wrong[0] / sum(wrong))
    assert mix.prior < 1e-6 < 0.499 < mix.incumbent
    for x in (0.21, 0.2, 0.19):  # at step 9 there are η results now, and the best of them is where the prior is
        trial(history, {"x": x}, {1: 0.05, 3: 0.05, 9: x / 10.0})
    mix = scheduler.mix(space, history, "round 1, bracket 1")
    assert mix.incumbent_trial == 5
    assert mix.prior > 0.35


def test_without_a_prior_it_is_the_incumbent_or_chance():
    history = begun()
    trial(history, {"x": 0.8}, {1: 1.0, 3: 1.0, 9: 0.1})
    mix = PriorBand(max_steps=9).mix(LINE, history, "round 1, bracket 2")
    assert (mix.random, mix.prior, mix.incumbent) == (0.25, 0.0, 0.75)
    group, drawn = "round 1, bracket 1", []
    for seed in range(400):
        action = draw(PriorBand(max_steps=9, spread=0.05), history, seed)
        assert action.group == group
        drawn.append((action.reason.split("; ")[-1], action.config["x"]))
    words = Counter(reason for reason, _ in drawn)
    assert set(words) == {"around trial 0, the best full training, as 50 % are", "at random, as 50 % are"}
    assert 160 <= words["at random, as 50 % are"] <= 240
    assert np.std([x for reason, x in drawn if reason.startswith("around")]) == pytest.approx(0.05, rel=0.25)


def test_stated_defaults_and_beliefs_are_a_prior():
    space = tw.Space(x=tw.Float(0.0, 1.0, default=0.9), y=tw.Float(0.0, 1.0))
    scheduler, history = PriorBand(max_steps=9), begun(space)
    law = scheduler.mix(space, history, "round 1, bracket 1").prior_law
    at = law.log_density(np.array([[0.9, 0.1], [0.9, 0.8], [0.1, 0.1]]))
    assert at[0] == pytest.approx(at[1])
    assert at[0] > at[2] + 1.0
    study = tw.Study(tw.Space(x=tw.Float(0.0, 1.0)), "loss", scheduler=scheduler)
    study.believe({"x": 0.25})
    first = draw(scheduler, study.history)
    assert (first.config["x"], first.reason) == (0.25, "the centre of the prior")


def around(shift):
    """Return a space whose priors lie beside the best values, or at the other end of the ranges."""
    centers = [best + shift if shift < 0.5 else (0.95 if best < 0.5 else 0.05) for best in BEST]
    return tw.Space(
        **{f"x{i}": tw.Float(0.0, 1.0, prior=tw.Prior(center, "medium")) for i, center in enumerate(centers)}
    )


def test_a_good_prior_is_faster_and_a_bad_one_is_recovered_from():
    def median(space, steps):
        return float(np.median([reached(played(PriorBand(), seed, space, steps)) for seed in range(5)]))

    assert median(around(0.05), 250) < 0.75 * median(square(), 250)
    plain = [reached(played(tw.schedulers.Hyperband(), seed, sampler="random", steps=1500)) for seed in range(5)]
    assert median(around(1.0), 1500) < 0.6 * float(np.median(plain))


# --- options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: BOHB(model="forest"), "bohb expected model to be 'tpe' or 'gp', got 'forest'"),
        (lambda: BOHB(table="paper"), "bohb expected table to be 'jmlr' or 'floor', got 'paper'"),
        (lambda: BOHB(random=1.5), "bohb expected random to be a number from 0 to 1, got 1.5"),
        (lambda: BOHB(reduction=1), "bohb expected reduction to be a whole number of at least 2, got 1"),
        (lambda: PriorBand(spread=0.0), "prior_band expected a spread of at least 0.0001, such as 0.25, got 0.0"),
        (lambda: PriorBand(mutation=-1), "prior_band expected mutation to be a number from 0 to 1, got -1"),
        (lambda: PriorBand(table="x"), "prior_band expected table to be 'jmlr' or 'floor', got 'x'"),
    ],
)
def test_bad_options(make, words):
    with pytest.raises(ValueError) as caught:
        make()
    assert str(caught.value) == words


def test_they_can_be_written_down():
    for scheduler in (BOHB(model="gp", random=0.2), PriorBand(max_steps=81, spread=0.1)):
        assert SCHEDULERS.make(SCHEDULERS.describe(scheduler)) == scheduler
    assert SCHEDULERS.make("bohb") == BOHB()
    assert not isinstance(draw(SCHEDULERS.make("prior_band"), begun()), Done)

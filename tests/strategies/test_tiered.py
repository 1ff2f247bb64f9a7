"""The tiered strategy: what is tuned when, on how much, and that all of it follows from the events."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tunewell as tw
from tunewell.events import Ended, Noted, Paused, Reported, RunStarted, Status, TrialStarted
from tunewell.history import History
from tunewell.protocols import Suggestion
from tunewell.replay import replay
from tunewell.samplers import SAMPLERS
from tunewell.strategies.plan import DEFAULT
from tunewell.surrogate.tiering import leader, standing
from tunewell.surrogate.tiering_words import TOGETHER, came_of_it
from tunewell.testing.histories import created
from tunewell.testing.samplers import SamplerContract
from tunewell.tiers import allotted, default_of, few, interacting, planned, tiers_of


class TestTiered(SamplerContract):
    @pytest.fixture
    def sampler(self):
        return tw.strategies.Tiered()


NETWORK = tw.Space(
    learning_rate=tw.Float(1e-4, 1.0, scale="log", default=1e-2),
    momentum=tw.Float(0.5, 0.99, scale="reverse_log", default=0.9),
    batch_size=tw.Choice([32, 64, 128, 256], ordered=True, default=64),
    hidden_units=tw.Int(16, 512, scale="log", default=128),
    layers=tw.Int(1, 4, default=2),
    warmup_steps=tw.Int(0, 1000, default=100),
)


@pytest.mark.parametrize("trials", [8, 20])
def test_a_default_rate_that_diverges_is_lowered_until_something_works(trials):
    """All above 1e-3 diverges, and the default is 0.1: down by decades, before anything else is tuned."""
    space = tw.Space(
        lr=tw.Float(1e-5, 1.0, scale="log", default=0.1),
        units=tw.Int(8, 256, scale="log", default=64),
        dropout=tw.Float(0.0, 0.5, default=0.1),
    )

    def train(trial):
        rate = trial.params["lr"]
        return math.nan if rate > 1.1e-3 else abs(math.log10(rate) + 3.5) + trial.params["dropout"]

    study = tw.Study(space, sampler="tiered", seed=0)
    study.run(train, trials=trials, executor="inline", progress=False)
    assert [t.status.value for t in study.trials[:3]] == ["diverged", "diverged", "completed"]
    flaky = tw.Study(space, sampler="tiered", seed=0)
    flaky.tell(flaky.ask(), math.nan)
    flaky.tell(flaky.ask(), status="failed")  # says nothing of the rate
    assert flaky.ask().params["lr"] < 0.1
    assert {t.params["units"] for t in study.trials[:3]} == {64}
    assert study.best.loss < 1.0


def test_a_study_in_which_everything_diverges_does_not_stay_at_the_rate_for_ever():
    space = tw.Space(lr=tw.Float(1e-5, 1.0, scale="log", default=0.1), units=tw.Int(8, 256, scale="log"))
    study = tw.Study(space, sampler="tiered", seed=0)
    study.run(lambda trial: math.nan, trials=30, executor="inline", progress=False)
    assert len({t.params["units"] for t in study.trials}) > 3


def valley(config):
    """The best rate is 0.05 at a batch of 256, and proportional to the batch."""
    rate = math.log10(config["learning_rate"] / (0.05 * config["batch_size"] / 256))
    return (
        rate**2
        + 0.1 * math.log2(256 / config["batch_size"])
        + 0.05 * abs(math.log2(config["hidden_units"] / 300))
        + 0.05 * (config["layers"] - 3) ** 2
        + 1.0
    )


def run(space=NETWORK, objective=valley, trials=30, workers=1, seed=0, sampler=None, **limits):
    """Return a study after a run of a simulated executor in which a training is one step of a second."""

    def evaluate(params, step):
        return {"loss": float(objective(params))}, 1.0

    study = tw.Study(space, sampler=sampler or tw.strategies.Tiered(), scheduler="fifo", seed=seed)
    executor = tw.executors.Simulated(evaluate, workers=workers)
    study.run(max_steps=1, executor=executor, progress=False, **(limits or {"trials": trials}))
    return study


def search(space, objective, trials, total=None, head=(), seed=0, sampler=None):
    """Return the history of a search by hand; the objective is told the trial's number, too."""
    sampler = sampler or tw.strategies.Tiered()
    history = History([created(space, seed, sampler={"name": "tiered"}), *head])
    if total is not None:
        history.apply(RunStarted(0.0, "d", 1, trials=total))
    for k in range(trials):
        found = Suggestion.of(sampler.suggest(space, history, np.random.default_rng([seed, k])))
        if found.note:
            history.apply(Noted(float(k), found.note))
        history.apply(TrialStarted(float(k), k, space.check(found.config), k, reason=found.reason))
        result = objective(found.config, k)
        if isinstance(result, Status):
            history.apply(Ended(float(k), k, result))
        else:
            history.apply(Ended(float(k), k, Status.COMPLETED, metrics={"loss": result}))
    return history


def varied(history, first, last):
    """Return the parameters that had several values in some trials."""
    rows = [trial.params for trial in history.trials[first:last]]
    return {name for name in history.space if len({row.get(name) for row in rows}) > 1}


def bounds(history):
    """Return the tier of each trial as its reason says: 0 for the default, the number of tiers and one for all."""
    tiers = len(tiers_of(history.space))
    found = []
    for trial in history.trials:
        text = trial.why
        found.append(
            int(text.split("tier ")[1].split(" ")[0]) if "tier " in text else tiers + 1 if "all" in text else 0
        )
    return found


# --- what belongs where -----------------------------------------------------------------------------------------------


def test_tiers_follow_the_knowledge():
    assert [tier.parameters for tier in tiers_of(NETWORK)] == [
        ("learning_rate",),
        ("momentum", "batch_size"),
        ("hidden_units", "layers"),
        ("warmup_steps",),
    ]
    assert [tier.share for tier in tiers_of(NETWORK)] == pytest.approx([0.5, 0.2, 0.2, 0.1])
    assert "if there is time to tune only one" in tiers_of(NETWORK)[0].why


def test_on_tables_the_architecture_comes_second():
    assert [tier.parameters for tier in tiers_of(NETWORK, domain="tabular")][1] == ("hidden_units", "layers")


def test_what_is_usually_left_alone_is_in_no_tier():
    space = tw.Space(lr=tw.Float(1e-4, 1.0, scale="log"), beta2=tw.Float(0.9, 0.999, scale="reverse_log"))
    assert [tier.parameters for tier in tiers_of(space)] == [("lr",)]
    assert "Until all are tuned together, beta2 stays at its default." in str(tw.Study(space).plan(trials=30))
    both = tw.Space.of(["lr", "beta2", "epsilon"])
    assert "together, beta2 and epsilon stay at their defaults." in str(tw.Study(both).plan(trials=30))
    only = tw.Space(beta2=tw.Float(0.9, 0.999, scale="reverse_log"))
    assert [tier.parameters for tier in tiers_of(only)] == [("beta2",)]


def test_a_stated_tier_comes_before_what_is_known():
    space = tw.Space(lr=tw.Float(1e-4, 1.0, scale="log"), dropout=tw.Float(0.0, 0.5, tier=1), x=tw.Float(0, 1, tier=2))
    assert [tier.parameters for tier in tiers_of(space)] == [("lr", "dropout"), ("x",)]


def test_unknown_parameters_come_last_and_alone_they_are_one_tier():
    space = tw.Space(foo=tw.Float(0.0, 1.0), lr=tw.Float(1e-4, 1.0, scale="log"), bar=tw.Choice(["a", "b"]))
    assert [tier.parameters for tier in tiers_of(space)] == [("lr",), ("foo", "bar")]
    unknown = tw.Space(foo=tw.Float(0.0, 1.0), bar=tw.Choice(["a", "b"]), fixed=tw.Float(1.0, 1.0))
    (tier,) = tiers_of(unknown)
    assert (tier.parameters, tier.share, tier.why) == (("foo", "bar"), 1.0, "nothing is known of what they do")


def test_what_switches_others_on_comes_no_later():
    space = tw.Space(
        lr=tw.Float(1e-4, 1.0, scale="log"),
        kind=tw.Choice(["a", "b"]),
        momentum=tw.Float(0.5, 0.99, when={"kind": "a"}),
    )
    assert tiers_of(space)[1].parameters == ("kind", "momentum")


def test_given_tiers_and_shares():
    tiers = tiers_of(NETWORK, [["layers"], ["learning_rate", "momentum"]], [3, 1])
    assert [(tier.parameters, tier.share) for tier in tiers] == [
        (("layers",), 0.75),
        (("learning_rate", "momentum"), 0.25),
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tiers": [["learning_rat"]]}, "did you mean 'learning_rate'"),
        ({"tiers": [["layers"], ["layers"]]}, "'layers' twice"),
        ({"tiers": [["layers"], ["momentum"]], "shares": [1.0]}, "a share for each of 2 tiers, got 1.*add some"),
        ({"tiers": [["layers"], ["momentum"]], "shares": [3, 2, 1]}, "each of 2 tiers, got 3.*take away some"),
    ],
)
def test_tiers_that_do_not_fit_the_space_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        tw.strategies.Tiered(**options).suggest(NETWORK, History([created(NETWORK)]), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shares": [0.5, 0.0]}, "shares above 0"),
        ({"shares": 0.5}, "shares above 0"),
        ({"tiers": [[]]}, "expected tiers such as"),
        ({"tiers": "lr"}, "expected tiers such as"),
        ({"domain": "visions"}, "did you mean 'vision'"),
    ],
)
def test_impossible_options_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        tw.strategies.Tiered(**options)


def test_defaults_are_stated_or_known_or_in_the_middle():
    space = tw.Space(
        lr=tw.Float(1e-5, 1e-4, scale="log"),
        batch_size=tw.Choice([20, 60, 200], ordered=True),
        momentum=tw.Float(0.5, 0.99, default=0.6),
        foo=tw.Float(0.0, 1.0),
        optimizer=tw.Choice(["adam", "sgd"]),
        nesterov=tw.Choice([False, True], when={"optimizer": "sgd"}),
    )
    assert default_of(space, "vision") == {
        "lr": 1e-4, "batch_size": 200, "momentum": 0.6, "foo": 0.5, "optimizer": "sgd", "nesterov": True,
    }  # fmt: skip


def test_interactions_go_both_ways():
    partners = interacting(NETWORK, "generic")
    assert "learning_rate" in partners["batch_size"]
    assert "batch_size" in partners["learning_rate"]


# --- how much ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("trials", "reached"), [(5, 1), (10, 1), (25, 3), (50, 4), (400, 4)])
def test_a_few_trainings_tune_the_learning_rate_and_some_dozens_the_architecture_too(trials, reached):
    given = allotted(trials - 1, tiers_of(NETWORK))
    assert sum(number > 0 for number in given) == reached
    assert sum(given) <= trials - 1 + 1e-9
    assert all(a >= tier.fewest or a == 0 or trials < 6 for a, tier in zip(given, tiers_of(NETWORK), strict=True))


def test_shares_are_of_what_is_left():
    first, second, third, _ = allotted(16.0, tiers_of(NETWORK))
    assert first == 8.0
    assert second == 8.0  # 40 % of 8 is less than the least, and the rest would be too little for the next
    assert third == 0.0


def test_no_tier_is_skipped_and_everything_comes_last():
    for trials in (4, 30, 60):
        history = run(trials=trials).history
        found = bounds(history)
        assert found == sorted(found)
        assert set(range(1, max(found))) <= set(found)
    assert found[-1] == 5
    assert varied(history, found.index(5), None) == set(NETWORK)


def test_the_first_tier_varies_the_learning_rate_alone():
    history = run(trials=30).history
    found = bounds(history)
    assert varied(history, 0, found.index(2)) == {"learning_rate"}
    assert history.trials[0].params == NETWORK.default()
    begin = [trial.params["learning_rate"] for trial in history.trials[1:3]]
    assert begin == pytest.approx([0.1, 0.001])


def test_a_small_budget_goes_from_the_learning_rate_to_everything_together():
    history = run(trials=12).history
    found = bounds(history)
    begun = found.index(5)
    assert set(found) == {0, 1, 5}
    assert 1 + tiers_of(NETWORK)[0].fewest <= begun < 12
    assert varied(history, 0, begun) == {"learning_rate"}
    bold = [trial.params for trial in history.trials[begun : begun + 2]]
    before = min(history.trials[:begun], key=lambda trial: trial.value)
    assert bold[0]["learning_rate"] == before.params["learning_rate"]
    assert {name for name in NETWORK if bold[0][name] != before.params[name]} >= {"momentum", "hidden_units"}
    assert all("all but learning_rate" in trial.why for trial in history.trials[begun : begun + 2])
    assert all("around the best" in trial.why for trial in history.trials[begun + 2 :])
    assert "too little for each of the others" in history.notes[-1].text


def test_a_handful_of_trainings_leaves_the_learning_rate_only_once_it_is_settled():
    gaining = search(NETWORK, lambda config, k: -float(2**k), 9, total=10)
    assert varied(gaining, 0, None) == {"learning_rate"}
    flat = search(NETWORK, lambda config, k: 1.0 if k == 0 else 2.0, 7, total=10)
    assert varied(flat, 0, 5) == {"learning_rate"}
    assert len(varied(flat, 4, 6)) > 2


def test_the_plan_of_a_small_budget_says_what_follows_the_first_tier():
    text = str(tw.Study(NETWORK).plan(trials=10))
    assert "up to 9 trainings" in text
    assert [row.what for row in tw.Study(NETWORK).plan(trials=10).rows] == [DEFAULT, "learning_rate", TOGETHER]
    assert "two bold trials of momentum, batch_size" in text
    assert " % " not in text.rpartition("Caviar")[0]  # shares of the budget count for nothing here
    assert "bold" not in str(tw.Study(NETWORK).plan(trials=30))
    large = [["learning_rate"], ["momentum", "batch_size", "hidden_units", "layers"], ["warmup_steps"]]
    assert "what is left, 1 training or more" in str(tw.Study(NETWORK).plan(trials=12).changed(tiers=large))


def test_the_plan_of_a_single_training_promises_no_more_than_the_default():
    plan = tw.Study(NETWORK).plan(trials=1)
    assert [row.what for row in plan.rows] == [DEFAULT]
    assert "nothing is tuned" in str(plan)
    assert len(tw.Study(NETWORK).plan(trials=2).rows) == 3


def test_whether_trainings_are_too_few_for_every_tier():
    tiers = tiers_of(NETWORK)
    least = sum(tier.fewest for tier in tiers)
    assert few(least - 1, tiers)
    assert not few(least, tiers)
    assert planned(least - 1, tiers)[1:] == [0.0, 0.0, 0.0]
    assert planned(least, tiers) == allotted(least, tiers)
    assert not few(1.0, tiers[:1])  # a single one is what there is to tune


def test_what_a_tier_leaves_flows_on():
    flat = search(NETWORK, lambda config, k: 1.0 if k == 0 else 2.0, 12, total=30)
    tiers = tiers_of(NETWORK)
    first, second = standing(tiers, flat).passages[:2]
    assert (first.ended, first.trials) == ("found", tiers[0].fewest)
    assert second.allotted > allotted(29.0, tiers)[1]


def test_a_tier_that_goes_on_gaining_takes_what_it_may():
    gaining = search(NETWORK, lambda config, k: -float(2**k), 20, total=17)
    first = standing(tiers_of(NETWORK), gaining).passages[0]
    assert (first.ended, first.trials, first.allotted) == ("spent", 8, 8.0)


def test_trials_that_run_count_for_the_tier():
    study = run(trials=40, workers=6)
    found = bounds(study.history)
    assert found.count(1) <= 10
    assert replay(study.events).mismatch is None


@pytest.mark.parametrize("limits", [{"steps": 20}, {"seconds": 20.0}])
def test_budgets_in_steps_and_seconds(limits):
    study = run(**limits)
    assert len(study.trials) == 20
    assert bounds(study.history) == bounds(run(trials=20).history)


def test_a_total_of_seconds_is_shared_by_the_workers():
    study = run(seconds=10.0, workers=2)
    at = standing(tiers_of(NETWORK), study.history)
    assert at.total == 10.0
    assert sum(passage.taken for passage in at.passages) <= 10.0
    assert len(study.trials) == 20


def test_without_a_total_a_tier_ends_when_it_brings_nothing_more():
    history = search(NETWORK, lambda config, k: valley(config), 60)
    assert math.isinf(standing(tiers_of(NETWORK), history).total)
    assert bounds(history)[-1] == 5


def test_failures_neither_count_nor_stop_it():
    def fragile(config, k):
        return Status.FAILED if k in (1, 4) else Status.DIVERGED if config["learning_rate"] > 0.2 else valley(config)

    history = search(NETWORK, fragile, 25, total=25)
    at = standing(tiers_of(NETWORK), history)
    assert at.passages[0].trials <= 10
    assert at.now.tier > 0


def test_goes_with_a_scheduler_of_several_fidelities():
    def evaluate(params, step):
        return {"loss": valley(params) + 1.0 / step}, 1.0

    study = tw.Study(NETWORK, sampler="tiered", scheduler=tw.schedulers.Asha(reduction=2), seed=0)
    executor = tw.executors.Simulated(evaluate, workers=2)
    study.run(steps=100, max_steps=4, executor=executor, progress=False)
    assert study.history.steps_done == 100
    assert {trial.step for trial in study.trials} > {4}
    assert bounds(study.history)[-1] > 1
    assert replay(study.events).mismatch is None


@pytest.mark.parametrize(
    ("scheduler", "limits"), [("auto", {"steps": 240}), (tw.schedulers.Asha(reduction=2), {"seconds": 150.0})]
)
def test_trials_that_rest_early_end_no_tier_early(scheduler, limits):
    def evaluate(params, step):
        return {"loss": valley(params) + 2.0 * math.exp(-step / 3)}, 1.0

    study = tw.Study(NETWORK, sampler="tiered", scheduler=scheduler, seed=0)
    executor = tw.executors.Simulated(evaluate, workers=2)
    study.run(**limits, max_steps=10, executor=executor, progress=False)
    tiers = tiers_of(NETWORK)
    at = standing(tiers, study.history)
    training = 10.0 if "steps" in limits else 5.0  # seconds of both workers
    assert at.now.tier >= 2
    for tier, passage in zip(tiers, at.passages[:-1], strict=False):
        patience = min((1 + len(tier.parameters)) * training, 0.6 * passage.allotted)
        assert passage.taken >= patience - 1e-9
    assert replay(study.events).mismatch is None


# --- from the events --------------------------------------------------------------------------------------------------


def test_every_decision_follows_from_the_events():
    for workers in (1, 3):
        study = run(trials=35, workers=workers)
        assert replay(study.events).mismatch is None


def test_an_interruption_keeps_the_shares(tmp_path):
    def evaluate(params, step):
        return {"loss": valley(params)}, 1.0

    def told(interrupted):
        name = f"study{interrupted}"
        for stop in [7, 19] if interrupted else []:
            part = tw.Study(NETWORK, name=name, storage=tmp_path / "s.db", sampler="tiered", scheduler="fifo", seed=1)
            seen = []

            def watch(history, events, stop=stop, seen=seen):
                if history.counts[Status.COMPLETED] >= stop and not seen:
                    seen.append(1)
                    raise ZeroDivisionError

            with pytest.raises(ZeroDivisionError):
                part.run(
                    trials=30,
                    max_steps=1,
                    workers=1,
                    executor=tw.executors.Simulated(evaluate, workers=1),
                    progress=watch,
                )
            part.close()
        whole = tw.Study(NETWORK, name=name, storage=tmp_path / "s.db", sampler="tiered", scheduler="fifo", seed=1)
        whole.run(trials=30, max_steps=1, executor=tw.executors.Simulated(evaluate, workers=1), progress=False)
        return whole

    broken, whole = told(True), told(False)
    assert [trial.params for trial in broken.trials] == [trial.params for trial in whole.trials]
    tiers = tiers_of(NETWORK)
    assert standing(tiers, broken.history).passages == standing(tiers, whole.history).passages


def test_every_change_of_tier_is_a_note_and_in_the_reasons():
    history = run(trials=60).history
    texts = [note.text for note in history.notes]
    assert len(texts) == len({text.split(":")[0] for text in texts}) == 5
    assert texts[0].startswith("tiered, tier 1 of 4: learning_rate on up to 10 trials")
    assert "on learning_rate brought nothing more after" in texts[1]
    assert texts[-1].startswith("tiered: all parameters together")
    assert all(trial.why.startswith("tiered") for trial in history.trials[1:])


def test_it_is_stored_by_name_with_its_options():
    sampler = tw.strategies.Tiered(tiers=[["layers"], ["momentum"]], shares=[0.6, 0.4], domain="vision")
    described = SAMPLERS.describe(sampler)
    assert described == {
        "name": "tiered", "tiers": (("layers",), ("momentum",)), "shares": (0.6, 0.4), "domain": "vision",
    }  # fmt: skip
    assert SAMPLERS.make(described) == sampler
    assert SAMPLERS.make("tiered") == tw.strategies.Tiered()


# --- what interacts ---------------------------------------------------------------------------------------------------


def test_a_third_of_the_later_trials_varies_what_interacts():
    constant = search(NETWORK, lambda config, k: 1.0 if k == 0 else 2.0, 30, total=200)
    second = [trial for trial, tier in zip(constant.trials, bounds(constant), strict=True) if tier == 2]
    opened = [trial for trial in second if "learning_rate with it" in trial.why]
    assert 0 < len(opened) <= math.ceil(len(second) / 3)
    closed = [trial for trial in second if trial not in opened]
    assert {trial.params["learning_rate"] for trial in closed} == {0.01}
    assert {trial.params["layers"] for trial in second} == {2}


def test_a_changed_batch_size_reopens_the_learning_rate():
    history = run(trials=60).history
    second = [trial for trial, tier in zip(history.trials, bounds(history), strict=True) if tier == 2]
    again = [trial for trial in second if "learning_rate again, for" in trial.why]
    assert again
    assert all("batch_size changed" in trial.why or "momentum" in trial.why for trial in again)
    assert len({trial.params["learning_rate"] for trial in again}) > 1


def test_what_one_tier_found_is_where_the_next_begins():
    history = run(trials=30).history
    second = bounds(history).index(2)
    best = min(history.trials[:second], key=lambda trial: trial.loss)
    assert history.trials[second].params["learning_rate"] == best.params["learning_rate"]


# --- spaces -----------------------------------------------------------------------------------------------------------


def test_a_conditional_space():
    space = tw.Space(
        optimizer=tw.Choice(["sgd", "adam"], default="adam"),
        learning_rate=tw.Float(1e-4, 1.0, scale="log", default=1e-3),
        momentum=tw.Float(0.5, 0.99, scale="reverse_log", when={"optimizer": "sgd"}),
        layers=tw.Int(1, 4),
    )

    def objective(config):
        best = -1.0 if config["optimizer"] == "sgd" else -3.0
        return (math.log10(config["learning_rate"]) - best) ** 2 + (0.5 if config["optimizer"] == "adam" else 0.0)

    study = run(space, objective, trials=40)
    assert study.best.params["optimizer"] == "sgd"
    assert replay(study.events).mismatch is None


@pytest.mark.parametrize(
    "space",
    [
        tw.Space(learning_rate=tw.Float(1e-4, 1.0, scale="log")),
        tw.Space(x=tw.Float(0.0, 1.0)),
        tw.Space(a=tw.Choice(["x", "y", "z"])),
        tw.Space(x=tw.Float(0.5, 0.5)),
        tw.Space(),
    ],
    ids=["rate", "unknown", "choice", "point", "empty"],
)
def test_small_spaces(space):
    study = tw.Study(space, sampler="tiered", seed=0)
    for _ in range(3 if space.size > 1 else 1):
        trial = study.ask()
        study.tell(trial, float(len(str(trial.params))))
    assert len(study.trials) >= 1


def test_one_parameter_is_tuned_with_all_there_is():
    space = tw.Space(learning_rate=tw.Float(1e-4, 1.0, scale="log"))
    study = run(space, lambda config: (math.log10(config["learning_rate"]) + 1.3) ** 2, trials=15)
    assert study.best.value < 0.02


def test_several_goals():
    study = tw.Study(NETWORK, ["loss", "size"], sampler="tiered", seed=0)
    for _ in range(25):
        trial = study.ask()
        study.tell(trial, {"loss": valley(trial.params), "size": trial.params["hidden_units"]})
    assert bounds(study.history) == sorted(bounds(study.history))


# --- the plan ---------------------------------------------------------------------------------------------------------


def test_a_plan_can_be_changed_and_kept_to():
    plan = tw.Study(NETWORK).plan(trials=30).changed(tiers=[["learning_rate", "batch_size"], ["layers"]], shares=[3, 1])
    assert [(tier.parameters, tier.share) for tier in plan.tiers] == [
        (("learning_rate", "batch_size"), 0.75),
        (("layers",), 0.25),
    ]
    sampler = tw.strategies.Tiered(plan=plan)
    history = run(trials=12, sampler=sampler).history
    assert varied(history, 0, plan.tiers[0].fewest + 1) == {"learning_rate", "batch_size"}
    with pytest.raises(ValueError, match="a share for each of 4 tiers, got 5"):
        tw.Study(NETWORK).plan(trials=30).changed(shares=[0.5, 0.2, 0.2, 0.05, 0.05])
    with pytest.raises(ValueError, match="a plan or other options, got both"):
        tw.strategies.Tiered(plan=plan, domain="vision")


def test_a_plan_says_what_is_tuned_on_how_much_how_and_why():
    text = str(tw.Study(NETWORK).plan(trials=30))
    assert text.startswith("plan for 30 trials\n")
    assert "1  learning_rate" in text
    assert "33 %  up to 10 trainings" in text
    assert "a decade up and down from the default" in text
    assert "(if there is time to tune only one hyperparameter" in text
    assert "(momentum: second after the learning rate" in text
    assert "after 6 trainings and 4 a parameter\n  at the latest" in text


def test_a_plan_in_time():
    study = tw.Study(NETWORK)
    assert "about 40 trainings of 3 min" in str(study.plan(seconds=7200, training=180.0))
    assert "up to 60 min, 10 trainings at most" in str(study.plan(seconds=7200))
    beside = str(study.plan(seconds=1200, training=180.0, workers=4))
    assert beside.startswith("plan for 20 min, about 24 trainings of 3 min, 4 at a time\n")
    assert "Caviar: 24 trainings" in beside
    with pytest.raises(ValueError, match="one total, got trials and seconds"):
        study.plan(trials=3, seconds=4.0)
    with pytest.raises(ValueError, match="above 0"):
        study.plan(trials=0)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"trials": 30, "training": 180},
            "a total of steps or seconds with what a training costs, 180, got one of trials",
        ),
        ({"seconds": 100, "training": -5}, "to cost more than 0 steps or seconds, got -5"),
        ({"seconds": 100, "training": 0}, "to cost more than 0 steps or seconds, got 0"),
        ({"steps": 100, "training": math.nan}, "more than 0"),
    ],
)
def test_what_a_training_costs_must_make_sense(given, words):
    with pytest.raises(ValueError, match=words):
        tw.Study(NETWORK).plan(**given)


@pytest.mark.parametrize("trials", [*range(18, 60), 100, 400])
def test_a_plan_adds_up_and_says_which_part_of_the_budget_each_tier_may_take(trials):
    rows = tw.Study(NETWORK).plan(trials=trials).rows
    assert sum(row.trainings for row in rows) == trials
    assert all(row.share == pytest.approx(row.trainings / trials) for row in rows[1:-1])


def test_a_plan_knows_what_the_study_has_done():
    study = run(seconds=20.0)
    plan = study.plan()
    assert (plan.unit, plan.total, plan.training) == ("seconds", 20.0, 1.0)


def test_the_end_tells_plan_and_outcome():
    study = run(trials=20)
    lines = came_of_it(study.history)
    assert lines[0].startswith("tier 1, learning_rate: up to ")
    assert " planned, " in lines[0]
    assert [line.split(",")[0] for line in lines[:-1]] == ["tier 1", "tier 2", "tier 3", "tier 4"]
    assert lines[-1] == "all parameters together: not reached"
    assert came_of_it(run(trials=5, sampler=tw.samplers.Random()).history) == []
    from tunewell.analysis.report import report
    from tunewell.console.summary import summary

    assert set(lines) <= set(summary(study.history, None, "20 trials are done"))
    assert "tier 1, learning_rate: up to" in report(study.history).replace("\u00a0", " ")


def test_the_end_tells_the_numbers_of_the_plan_and_what_flowed_on():
    study = run(trials=30)
    planned = [row.trainings for row in study.plan().rows[1:-1]]
    said = [passage.planned for passage in standing(tiers_of(NETWORK), study.history).passages]
    assert said[:4] == planned
    lines = came_of_it(study.history)
    assert lines[0].startswith(f"tier 1, learning_rate: up to {planned[0]:.0f} trials planned, ")
    assert f": up to {planned[1]:.0f} trials planned and 2 trials left by others, " in lines[1]


def test_the_end_of_a_small_budget_tells_what_the_plan_had():
    assert came_of_it(run(trials=1).history) == ["one training: nothing was tuned"]
    first, last = came_of_it(run(trials=3).history)
    assert first.startswith("tier 1, learning_rate: up to 2 trials planned, 2 trials taken; ")
    assert last == "all parameters together: not reached"
    first, last = came_of_it(run(trials=12).history)
    assert last.startswith("all parameters together: ")
    assert " to " in last


def test_a_larger_total_changes_nothing_of_what_was_told():
    study = run(trials=10)
    told = came_of_it(study.history)
    executor = tw.executors.Simulated(lambda params, step: ({"loss": valley(params)}, 1.0), workers=1)
    study.run(trials=60, max_steps=1, executor=executor, progress=False)
    lines, found = came_of_it(study.history), bounds(study.history)
    assert lines[:2] == told
    assert [line.split(":")[0].split(",")[0] for line in lines[2:]] == [
        "tier 2", "tier 3", "tier 4", "all parameters together",
    ]  # fmt: skip
    texts = [note.text for note in study.history.notes]
    assert sum(text.startswith("tiered: all parameters together") for text in texts) == 2
    assert any(text.endswith(", for a longer run pays for it") for text in texts)
    at = standing(tiers_of(NETWORK), study.history)
    assert [passage.tier + 1 for passage in at.passages] == [1, 5, 2, 3, 4, 5]
    assert [passage.trials for passage in at.passages[2:5]] == [found.count(tier) for tier in (2, 3, 4)]
    assert replay(study.events).mismatch is None


def rested_after(space, *curves):
    """Return a tiered study of trials with these learning rates that rest after what they reported, of ten steps."""
    history = History([created(space, 0, sampler={"name": "tiered"}), RunStarted(0.0, "d", 1, 10, steps=300)])
    for number, (rate, losses) in enumerate(curves):
        why = "tiered, tier 1 of 4, learning_rate: to begin with" if number else ""
        config = space.default({"learning_rate": rate})
        history.apply(TrialStarted(float(number), number, config, number, reason=why))
        for step, loss in enumerate(losses, 1):
            history.apply(Reported(float(number), number, step, {"loss": loss}))
        if len(losses) == 10:
            history.apply(Ended(float(number), number, Status.COMPLETED))
        else:
            history.apply(Paused(float(number), number, len(losses), "rests"))
    return history


def test_trials_of_unequal_length_are_compared_after_equal_training():
    falling = [0.2 + 1.0 / step for step in range(1, 11)]
    history = rested_after(NETWORK, (1e-2, falling), (0.1, [0.05 + 1.0 / step for step in (1, 2)]), (0.5, [1.5]))
    record = leader(history, history.trials)
    assert record.number == 1  # though the first has the smallest loss of all
    found = Suggestion.of(tw.strategies.Tiered(tiers=[["layers"]]).suggest(NETWORK, history, np.random.default_rng(0)))
    assert found.config["learning_rate"] == 0.1
    assert came_of_it(history)[0].endswith("; 0.7 to 0.55 after 2 steps of each")
    whole = rested_after(NETWORK, (1e-2, falling), (0.1, [*falling[:9], 0.1]))
    assert leader(whole, whole.trials).number == 1
    assert came_of_it(whole)[0].endswith("; 0.3 to 0.1")


# --- what it is good for ----------------------------------------------------------------------------------------------


def test_finds_more_with_ten_trainings_than_random_search():
    def sensitive(config):
        return 5.0 * math.log10(config["learning_rate"] / 0.05) ** 2 + 0.1 * valley(config)

    ours = [run(objective=sensitive, trials=10, seed=seed).best.value for seed in range(5)]
    random = tw.samplers.Random()
    theirs = [run(objective=sensitive, trials=10, seed=seed, sampler=random).best.value for seed in range(5)]
    assert np.mean(ours) < np.mean(theirs)

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import tunewell as tw
from tunewell.events import Constraint, Ended, Noted, Reported, Status, TrialStarted
from tunewell.history import History
from tunewell.protocols import Exhausted, Suggestion
from tunewell.replay import replay
from tunewell.testing.histories import created
from tunewell.testing.samplers import SamplerContract


class TestCoarseToFine(SamplerContract):
    @pytest.fixture
    def sampler(self):
        return tw.samplers.CoarseToFine(stage=8)


def search(space, objective, trials=60, seed=0, sampler=None, head=(), rules=()):
    """Return the history of a search; ``objective(config, rng)`` gives a loss, a status or metrics."""
    sampler = sampler or tw.samplers.CoarseToFine()
    history = History([replace(created(space, seed), constraints=rules), *head])
    for k in range(len(history.trials), len(history.trials) + trials):
        tried = Suggestion.of(sampler.suggest(space, history, np.random.default_rng([seed, k])))
        if tried.note:
            history.apply(Noted(float(k), tried.note))
        history.apply(TrialStarted(float(k), k, tried.config, k, reason=tried.reason))
        result = objective(tried.config, np.random.default_rng([seed, k, 1]))
        if isinstance(result, Status):
            history.apply(Ended(float(k), k, result))
        else:
            metrics = result if isinstance(result, dict) else {"loss": result}
            history.apply(Ended(float(k), k, Status.COMPLETED, metrics=metrics))
    return history


def cube(d):
    return tw.Space({f"x{i}": tw.Float(0.0, 1.0) for i in range(d)})


def bowl(config, rng):
    """A valley with a floor at (0.3, 0.62, 0.8), where the first parameter matters most."""
    x = list(config.values())
    return (x[0] - 0.3) ** 2 + 0.3 * (x[1] - 0.62) ** 2 + 0.1 * (x[2] - 0.8) ** 2


def notes(history):
    return [note.text for note in history.notes]


# --- zooming ----------------------------------------------------------------------------------------------------------


def test_beats_sobol_by_a_factor_of_five_on_a_valley():
    """Geometric means of the smallest loss of 60 trials, over ten seeds."""
    ours = [search(cube(3), bowl, seed=seed).best.loss for seed in range(10)]
    sobol = [search(cube(3), bowl, seed=seed, sampler=tw.samplers.Sobol()).best.loss for seed in range(10)]
    assert np.exp(np.mean(np.log(sobol)) - np.mean(np.log(ours))) > 5.0


def test_zooms_around_the_best():
    for seed in range(5):
        history = search(cube(3), bowl, seed=seed)
        late = [trial for trial in history.trials[40:] if "outside" not in trial.why]
        first = np.array([trial.params["x0"] for trial in late])
        assert first.min() < 0.3 < first.max()
        assert np.ptp(first) < 0.5


def test_does_not_zoom_into_noise():
    """At a level of 5 % a stage, few studies of seven stages narrow anything."""
    fooled = [any("zoomed" in text for text in notes(search(cube(3), lambda c, rng: rng.random(), seed=seed)))
              for seed in range(40)]  # fmt: skip
    assert np.mean(fooled) <= 0.25


def test_an_irrelevant_parameter_keeps_its_range():
    def only_first(config, rng):
        return (config["x0"] - 0.3) ** 2 + 0.01 * rng.normal()

    found = [search(cube(3), only_first, seed=seed) for seed in range(10)]
    assert all(any("x0 zoomed" in text for text in notes(history)) for history in found)
    assert np.mean([any("x1 zoomed" in text for text in notes(history)) for history in found]) <= 0.3


def test_never_narrower_than_said():
    sampler = tw.samplers.CoarseToFine(narrowest=0.25)
    history = search(cube(1), lambda config, rng: (config["x0"] - 0.4) ** 2, 120, sampler=sampler)
    late = [trial.params["x0"] for trial in history.trials[80:] if "outside" not in trial.why]
    assert 0.2 < np.ptp(late) <= 0.25 / 0.85  # a zoom to more than 85 % of the width is none


def test_widens_when_the_best_lies_at_the_edge():
    """The first trials, of a person, lie between 0 and 0.45 only; the optimum, 0.65, is beyond the box they lead to."""

    def deceptive(config, rng):
        return (config["x0"] - 0.65) ** 2

    def head():
        for k in range(10):
            yield TrialStarted(0.0, k, {"x0": k / 20}, k, origin="enqueued")
            yield Ended(0.0, k, Status.COMPLETED, metrics={"loss": deceptive({"x0": k / 20}, None)})

    sampler = tw.samplers.CoarseToFine(stage=10, outside=0.01)  # no help from outside
    for seed in range(5):
        history = search(cube(1), deceptive, 60, seed=seed, sampler=sampler, head=list(head()))
        first = next(text for text in notes(history) if "zoomed" in text)
        low, high = map(float, first.split("zoomed to ")[1].split(" ")[0].split(".."))
        assert 0.3 < low < high < 0.55
        widened = next(text for text in notes(history) if "widened" in text)
        assert "x0 widened to " in widened
        assert " since the best value, " in widened
        assert history.best.params["x0"] == pytest.approx(0.65, abs=0.02)


def test_keeps_a_share_outside():
    history = search(cube(2), lambda config, rng: (config["x0"] - 0.5) ** 2 + (config["x1"] - 0.5) ** 2, 120)
    begin = next(trial.number for trial in history.trials if "zoomed" in trial.why)
    zoomed = history.trials[begin:]
    outside = [trial for trial in zoomed if "outside" in trial.why]
    assert len(outside) / len(zoomed) == pytest.approx(0.2, abs=0.03)
    assert np.ptp([trial.params["x0"] for trial in outside]) > 0.8


def test_scales_and_whole_numbers():
    space = tw.Space(
        lr=tw.Float(1e-5, 1e-1, scale="log"),
        layers=tw.Int(1, 8),
        batch=tw.Choice([16, 32, 64, 128, 256], ordered=True),
    )

    def objective(config, rng):
        return (np.log10(config["lr"]) + 3) ** 2 + abs(config["layers"] - 6) + abs(np.log2(config["batch"]) - 6)

    history = search(space, objective, 100)
    late = [trial.params for trial in history.trials[60:] if "outside" not in trial.why]
    assert max(config["lr"] for config in late) / min(config["lr"] for config in late) < 100.0
    assert {config["layers"] for config in late} <= {4, 5, 6, 7, 8}
    assert history.best.params["layers"] == 6
    assert any("lr zoomed to 0.00" in text for text in notes(history))


# --- categories and conditions ----------------------------------------------------------------------------------------

NETWORK = tw.Space(
    lr=tw.Float(1e-5, 1e-1, scale="log"),
    optimizer=tw.Choice(["sgd", "adam", "lamb"]),
    momentum=tw.Float(0.0, 1.0, when={"optimizer": "sgd"}),
)


def network(config, rng):
    momentum = (config["momentum"] - 0.7) ** 2 if "momentum" in config else 0.0
    return {"sgd": 0.0, "adam": 1.0, "lamb": 3.0}[config["optimizer"]] + momentum + 0.05 * rng.normal()


def test_categories_that_do_worse_are_dropped_but_the_last():
    history = search(NETWORK, network, 100)
    assert any("optimizer without lamb since it does worse (p = " in text for text in notes(history))
    late = [trial for trial in history.trials[60:] if "outside" not in trial.why]
    assert {trial.params["optimizer"] for trial in late} == {"sgd"}
    assert {trial.params["optimizer"] for trial in history.trials[60:]} > {"sgd"}


def test_a_parameter_that_is_not_always_active_zooms_too():
    history = search(NETWORK, network, 140)
    assert any("momentum zoomed to " in text for text in notes(history))
    late = [trial.params["momentum"] for trial in history.trials[100:] if "outside" not in trial.why]
    assert min(late) < 0.7 < max(late)


def test_a_dropped_category_comes_back():
    """At first b is worse; after 60 trials (the data changed, say) it is far better."""
    space = tw.Space(kind=tw.Choice(["a", "b"]), x=tw.Float(0.0, 1.0))
    clock = iter(range(1000))

    def objective(config, rng):
        late = next(clock) >= 60
        return (config["kind"] == "b") * (-5.0 if late else 5.0) + 0.1 * rng.random()

    history = search(space, objective, 140)
    texts = notes(history)
    assert any("kind without b" in text for text in texts)
    assert any("kind with b again" in text for text in texts)
    assert "b" in {trial.params["kind"] for trial in history.trials[120:] if "outside" not in trial.why}


def test_failures_and_constraints_are_evidence():
    def objective(config, rng):
        if config["x0"] > 0.5:
            return Status.OUT_OF_MEMORY
        return {"loss": rng.random(), "size": config["x1"]}

    history = search(cube(2), objective, 100, rules=(Constraint("size", 0.5),))
    late = [trial.params for trial in history.trials[60:] if "outside" not in trial.why]
    assert np.mean([config["x0"] <= 0.5 and config["x1"] <= 0.5 for config in late]) > 0.7


def test_a_finite_space_is_searched_once():
    space = tw.Space(a=tw.Int(1, 4), b=tw.Choice(["x", "y", "z"]))
    history = search(space, lambda config, rng: config["a"], 12)
    assert len({tuple(trial.params.values()) for trial in history.trials}) == 12
    with pytest.raises(Exhausted, match="all 12 configurations"):
        tw.samplers.CoarseToFine().suggest(space, history, np.random.default_rng(0))


# --- a pure function that says why ------------------------------------------------------------------------------------


def test_reasons_can_be_read():
    history = search(cube(3), bowl)
    assert history.trials[0].why == "stage 1: the whole space"
    said = next(trial.why for trial in history.trials if "zoomed" in trial.why)
    assert said.startswith("stage ")
    assert "x0 zoomed to 0." in said
    assert " since the best " in said
    assert " lie there (p " in said
    assert len(set(notes(history))) == len(notes(history))  # each change is remarked once
    assert all(text.startswith("coarse to fine, stage ") for text in notes(history))
    outside = next(trial.why for trial in history.trials if "outside" in trial.why)
    assert "anywhere in the space" in outside


def test_the_same_events_give_the_same_suggestion():
    events = []
    history = search(cube(3), bowl, 50)
    again = History([created(cube(3), 0)])
    for trial in history.trials:
        events += [TrialStarted(float(trial.number), trial.number, trial.params, trial.number)]
        events += [Ended(float(trial.number), trial.number, Status.COMPLETED, metrics=trial.metrics)]
    for event in events:
        again.apply(event)
    sampler = tw.samplers.CoarseToFine()
    one, two = (sampler.suggest(cube(3), h, np.random.default_rng(9)) for h in (history, again))
    assert one.config == two.config
    assert one.reason == two.reason


def test_a_late_result_belongs_further_up():
    """A trial that was lost and comes back gets its place among the first results, in the memo as well."""
    space = cube(2)
    history = History([created(space, 0)])
    sampler = tw.samplers.CoarseToFine(stage=4)
    for k in range(12):
        history.apply(TrialStarted(float(k), k, {"x0": k / 12, "x1": 0.5}, k, driver="d"))
        history.apply(Ended(float(k), k, Status.LOST if k == 2 else Status.COMPLETED, metrics={"loss": k / 10}))
        sampler.suggest(space, history, np.random.default_rng(0))
    events = [Reported(20.0, 2, 1, {"loss": -1.0}), Ended(21.0, 2, Status.COMPLETED)]
    fresh = History([created(space, 0)])
    for trial in history.trials:
        fresh.apply(TrialStarted(float(trial.number), trial.number, trial.params, trial.number, driver="d"))
        status = Status.LOST if trial.number == 2 else Status.COMPLETED
        fresh.apply(Ended(float(trial.number), trial.number, status, metrics=trial.metrics))
    for event in events:
        history.apply(event)
        fresh.apply(event)
    one, two = (sampler.suggest(space, h, np.random.default_rng(0)) for h in (history, fresh))
    assert (one.config, one.reason) == (two.config, two.reason)


def test_a_study_goes_on_and_replays(tmp_path):
    space = cube(3)
    place = str(tmp_path / "a.db")

    def told(study, trials):
        for _ in range(trials):
            trial = study.ask()
            study.tell(trial, bowl(trial.params, None))

    with tw.Study(space, storage=place, sampler="coarse_to_fine", seed=3) as study:
        told(study, 25)
    with tw.open(place) as study:
        told(study, 15)
        stored = study.trials
        assert replay(study.events).ok
        assert any("coarse to fine, stage" in note.text for note in study.history.notes)
    whole = tw.Study(space, sampler=tw.samplers.CoarseToFine(), seed=3)
    told(whole, 40)
    assert [trial.params for trial in stored] == [trial.params for trial in whole.trials]
    assert [trial.why for trial in stored] == [trial.why for trial in whole.trials]


def test_options_are_checked_and_stored():
    study = tw.Study(cube(1), sampler=tw.samplers.CoarseToFine(outside=0.3), seed=0)
    assert study.history.settings["sampler"] == {"name": "coarse_to_fine", "outside": 0.3}
    for wrong in ({"outside": 0.0}, {"level": 1.0}, {"stage": 1}, {"narrowest": 0.0}, {"best": 2.0}):
        with pytest.raises(ValueError, match="CoarseToFine expected"):
            tw.samplers.CoarseToFine(**wrong)

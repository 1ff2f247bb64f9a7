"""The default sampler: by tiers where a few trials are all there is, and by the evidence elsewhere."""

from __future__ import annotations

import math

import pytest

import tunewell as tw
from tunewell.replay import replay
from tunewell.samplers import SAMPLERS
from tunewell.strategies.auto import Auto
from tunewell.testing.samplers import SamplerContract

NETWORK = tw.Space(
    learning_rate=tw.Float(1e-4, 1.0, scale="log", default=1e-2),
    momentum=tw.Float(0.5, 0.99, scale="reverse_log", default=0.9),
    layers=tw.Int(1, 4, default=2),
)


class TestAuto(SamplerContract):
    @pytest.fixture
    def sampler(self):
        return Auto()


def run(space=NETWORK, trials=8, workers=1, scheduler="fifo", metric="loss"):
    """Return a study after a run of a simulated executor in which a training is one step of a second."""

    def evaluate(params, step):
        loss = (math.log10(params["learning_rate"]) + 1.0) ** 2 if "learning_rate" in params else params["x"]
        return {"loss": loss, "size": 1.0}, 1.0

    study = tw.Study(space, metric, scheduler=scheduler, seed=0)
    study.run(trials=trials, max_steps=1, executor=tw.executors.Simulated(evaluate, workers=workers), progress=False)
    return study


def by_tiers(study):
    return any("tiered" in trial.why for trial in study.trials)


def test_a_few_trials_go_by_tiers_and_say_so():
    study = run()
    assert study.trials[1].why.startswith("tiered, tier 1 of 3, learning_rate")
    assert study.history.notes[0].text.startswith("tiered, tier 1 of 3: learning_rate")
    assert replay(study.events).mismatch is None


def test_more_trials_go_by_the_evidence():
    assert not by_tiers(run(trials=30))
    study = run()
    study.run(
        trials=24,
        max_steps=1,
        executor=tw.executors.Simulated(lambda params, step: ({"loss": params["momentum"]}, 1.0), workers=1),
        progress=False,
    )
    assert all("tiered" not in trial.why for trial in study.trials[8:])


@pytest.mark.parametrize(
    "other",
    [
        {"space": tw.Space(x=tw.Float(0.0, 1.0), y=tw.Float(0.0, 1.0))},
        {"space": tw.Space(learning_rate=tw.Float(1e-4, 1.0, scale="log"))},
        {"space": tw.Space({**NETWORK, "layers": tw.Int(1, 4, prior=tw.Prior(2))})},
        {"workers": 4},
        {"scheduler": "asha"},
        {"metric": ["loss", "size"]},
        {"trials": 4},
    ],
)
def test_elsewhere_the_evidence_decides(other):
    assert not by_tiers(run(**other))


def test_it_is_the_default_by_its_name():
    assert SAMPLERS.make("auto") == Auto() == tw.samplers.Auto()
    assert SAMPLERS.describe(Auto()) == {"name": "auto"}

"""Retune advice: which change asks for what, where the search begins again, and no false alarm on the same data."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import Result

import tunewell as tw
from tunewell.events import Fingerprinted
from tunewell.fingerprints import Hardware, ModelSummary
from tunewell.retuning import Advice, Change
from tunewell.retuning.changes import changes_between, not_compared
from tunewell.retuning.drift import largest_loss, largest_shift, moved_share

RNG = np.random.default_rng(0)
X = RNG.normal(size=(600, 4))
Y = RNG.integers(0, 3, 600)
MORE = np.where(Y == 2, RNG.integers(2, 4, 600), Y)  # a fourth class
LOST = np.arange(2400).reshape(600, 4) % 8 == 0  # every other value of the first column
MOVE = np.array([0.5, 0.0, 0.0, 0.0])
THEN = dataclasses.replace(
    tw.fingerprint((X, Y), 10_000, batch_size=64, steps=20, optimizer="adamw"),
    model=ModelSummary("Net", 10_000, {"Linear": 2, "ReLU": 1}, "0"),
    hardware=Hardware("a processor", 2, ()),
    versions={"python": "3.11.2", "torch": "2.4.0"},
    date="2026-01-01",
)
DATA = THEN.data
assert DATA is not None
SPACE = tw.Space(
    learning_rate=tw.Float(1e-5, 1e-1, scale="log", default=1e-3),
    weight_decay=tw.Float(1e-6, 1e-1, scale="log", default=1e-2),
    units=tw.Int(16, 256, scale="log", default=64),
    activation=tw.Choice(["relu", "tanh"]),
    slope=tw.Float(0.0, 0.3, when={"activation": "relu"}),
    bend=tw.Float(0.0, 0.3, when={"activation": "tanh"}),
)


def now(**changed: Any) -> tw.Fingerprint:
    return dataclasses.replace(THEN, **changed)


def examples(count: int) -> Any:
    return dataclasses.replace(DATA, examples=count)  # type: ignore[type-var]


def data(x: Any) -> Any:
    return tw.fingerprint((x, Y)).data


def model(**changed: Any) -> ModelSummary:
    return dataclasses.replace(THEN.model, **changed)  # type: ignore[type-var]


def only(later: tw.Fingerprint) -> Change:
    (change,) = changes_between(THEN, later)
    return change


RULES: dict[str, tuple[tw.Fingerprint, str, str, float]] = {
    # what is so now, what is told, what it asks for, by what the best rate moves
    "a batch a little larger": (now(batch_size=96), "batch_size", "keep", 1.5**0.5),
    "a batch four times as large": (now(batch_size=256), "batch_size", "learning_rate", 2.0),
    "a batch a quarter as large": (now(batch_size=16), "batch_size", "learning_rate", 0.5),
    "a batch eight times as large": (now(batch_size=512), "batch_size", "all", 8**0.5),
    "three times the data": (now(data=examples(1800)), "examples", "learning_rate", 1.0),
    "twenty times the data": (now(data=examples(12_000)), "examples", "all", 1.0),
    "some more data": (now(data=examples(700)), "examples", "keep", 1.0),
    "twice the parameters": (now(model=model(parameters=20_000)), "parameters", "learning_rate", 2 ** (-1 / 3)),
    "a hundred times the parameters": (now(model=model(parameters=1_000_000)), "parameters", "all", 100 ** (-1 / 3)),
    "other layers": (now(model=model(layers={"Conv2d": 2, "ReLU": 1})), "layers", "all", 1.0),
    "three times the steps": (now(steps=60), "steps", "learning_rate", 1.0),
    "a few more steps": (now(steps=25), "steps", "keep", 1.0),
    "another optimizer": (now(optimizer="sgd"), "optimizer", "all", 1.0),
    "a major version": (now(versions={"torch": "3.0.1"}), "versions", "learning_rate", 1.0),
    "another machine": (now(hardware=Hardware("another", 64, ("NVIDIA H200",))), "hardware", "keep", 1.0),
    "a column that moved": (now(data=tw.fingerprint((X + MOVE, Y)).data), "drift", "learning_rate", 1.0),
    "a column that is half lost": (now(data=data(np.where(LOST, np.nan, X))), "missing", "all", 1.0),
    "a column that is wider": (now(data=data(X * [2.0, 1.0, 1.0, 1.0])), "drift", "learning_rate", 1.0),
    "inputs in other units": (now(data=tw.fingerprint((X * 1000.0, Y)).data), "drift", "all", 1.0),
    "more columns": (now(data=tw.fingerprint((np.hstack([X, X]), Y)).data), "shape", "all", 1.0),
    "a class more": (now(data=tw.fingerprint((X, MORE)).data), "shape", "all", 1.0),
    "other shares of the classes": (
        now(data=tw.fingerprint((X, RNG.choice(3, 600, p=[0.6, 0.2, 0.2]))).data), "classes", "learning_rate", 1.0,
    ),
    "a year later, without data": (now(data=None, date="2027-01-01"), "age", "learning_rate", 1.0),
}  # fmt: skip


@pytest.mark.parametrize("case", RULES)
def test_each_rule(case: str) -> None:
    later, what, verdict, rate = RULES[case]
    change = only(later)
    assert (change.what, change.verdict) == (what, verdict)
    assert change.learning_rate == pytest.approx(rate, rel=1e-2)
    assert "[" in change.why
    assert "20" in change.why or "19" in change.why  # a year: who says so


def test_nothing_changed_that_matters() -> None:
    assert changes_between(THEN, THEN) == ()
    assert changes_between(THEN, now(versions={"python": "4.0.0", "torch": "2.9.1", "jax": "1.0.0"})) == ()
    assert changes_between(THEN, now(date="2027-01-01")) == ()  # the data were compared
    assert changes_between(THEN, tw.Fingerprint()) == ()


def test_under_sgd_the_rate_follows_the_batch_in_proportion() -> None:
    (change,) = changes_between(now(optimizer="momentum"), now(optimizer="momentum", batch_size=256))
    assert change.learning_rate == pytest.approx(4.0)


@pytest.mark.parametrize("size", [60, 300, 5000])
def test_two_halves_of_the_same_data_have_not_drifted(size: int) -> None:
    rng = np.random.default_rng(size)
    alarms = 0
    for _ in range(40):
        x = np.hstack([rng.normal(size=(size, 20)), rng.exponential(size=(size, 20)), rng.random((size, 10)) < 0.1])
        x[rng.random(x.shape) < rng.random(50)] = np.nan
        y = rng.choice(10, size)
        first, second = (
            tw.fingerprint((x[part], y[part])).data for part in (slice(None, size // 2), slice(size // 2, None))
        )
        assert first is not None
        assert second is not None
        alarms += largest_shift(first, second)[1] >= 0.2 or moved_share(first, second) >= 0.1
        alarms += abs(largest_loss(first, second)[1]) >= 0.1
    assert alarms <= 1


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, size: rng.standard_cauchy(size),
        lambda rng, size: rng.lognormal(0.0, 3.0, size),
        lambda rng, size: (rng.random(size) < 0.005) * rng.lognormal(0.0, 1.0, size),
    ],
    ids=["heavy tails", "skewed", "nearly all zero"],
)
@pytest.mark.parametrize("size", [60, 1000])
def test_a_few_values_that_outweigh_all_others_are_no_drift(draw: Callable[..., Any], size: int) -> None:
    rng = np.random.default_rng(size)
    for _ in range(10):
        first, second = (tw.fingerprint(draw(rng, (size, 40))).data for _ in range(2))
        assert first is not None
        assert second is not None
        assert largest_shift(first, second)[1] < 0.2


def test_a_change_of_the_data_is_told_as_what_it_is() -> None:
    def told(x: Any) -> str:
        return only(now(data=data(x))).message

    lost = re.fullmatch(r"column '0' lacks a value in (\d+)% more .*, beyond chance", told(np.where(LOST, np.nan, X)))
    assert lost is not None
    assert 30 <= int(lost[1]) <= 50
    wider = re.fullmatch(
        r"the inputs are others: column '0' has the standard deviation (.+) and had (.+)", told(X * [3, 1, 1, 1])
    )
    assert wider is not None
    assert float(wider[1]) == pytest.approx(3.0 * float(wider[2]), rel=1e-2)
    assert re.search(r"column '0' moved by 0\.\d+ standard deviations more than chance", told(X + MOVE))


def test_a_fingerprint_from_before_missing_values_were_counted_is_read() -> None:
    old = tw.Fingerprint.from_json(re.sub(r',"missing":[^,}]+', "", THEN.to_json()))
    assert old.data is not None
    assert {feature.missing for feature in old.data.features} == {None}
    assert changes_between(old, now(data=data(np.where(LOST, np.nan, X)))) == ()


@pytest.mark.parametrize("labels", [Y.astype(float), np.eye(3)[Y], None])
def test_labels_of_another_kind_are_named_as_not_compared(labels: Any) -> None:
    later = now(data=tw.fingerprint(X if labels is None else (X, labels)).data)
    assert changes_between(THEN, later) == ()
    assert not_compared(THEN, later) == not_compared(later, THEN) == ("classes",)


@pytest.mark.parametrize("shift", [0.5, 1.0, 2.0])
def test_one_moved_column_of_many_is_found(shift: float) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 30))
    moved = rng.normal(size=(2000, 30))
    moved[:, 17] += shift
    first, second = tw.fingerprint(x).data, tw.fingerprint(moved).data
    assert first is not None
    assert second is not None
    name, found = largest_shift(first, second)
    assert name == "17"
    assert shift - 0.35 < found < shift + 0.15


# --- advice about a study ---------------------------------------------------------------------------------------------


def objective(trial: tw.Trial) -> float:
    return abs(math.log10(trial.params["learning_rate"]) + 2.0)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def study() -> tw.Study:
    made = tw.Study(SPACE, seed=0)
    made.run(objective, trials=8, executor="inline", progress=False, fingerprint=THEN)
    return made


def test_the_learning_rate_is_searched_around_where_it_is_expected(study: tw.Study) -> None:
    advice = study.retune(now(batch_size=256))
    found, best = advice.space(study.space), study.best.params
    assert (advice.verdict, advice.tuned) == ("learning_rate", ("learning_rate",))
    centre = 2.0 * best["learning_rate"]  # type: ignore[operator]
    rate = found["learning_rate"]
    assert isinstance(rate, tw.Float)
    assert (rate.low, rate.default, rate.high) == pytest.approx((centre / 3, centre, centre * 3), rel=1e-3)
    assert rate.prior is not None
    assert set(found) == set(best)
    for name in set(best) - {"learning_rate", "weight_decay"}:
        assert found[name].count == 1
        assert found[name].default_value == best[name]
    assert found["weight_decay"].default_value == pytest.approx(best["weight_decay"] * 4.0 / 2.0, rel=1e-3)  # type: ignore[operator]
    assert 3 <= advice.trials <= 5


def test_the_next_study_starts_from_the_centre_and_the_old_best(study: tw.Study) -> None:
    advice = study.retune(now(batch_size=256))
    again = tw.Study(advice.space(study.space), seed=1)
    for _ in range(2):  # a second time changes nothing
        advice.apply(again)
    again.run(objective, trials=advice.trials, executor="inline", progress=False)
    rates = [trial.params["learning_rate"] for trial in again.trials]
    assert rates[0] == study.best.params["learning_rate"]
    assert rates[1] == advice.around["learning_rate"]  # type: ignore[index]
    assert len(set(rates)) == advice.trials


def test_everything_is_tuned_again_from_the_old_best(study: tw.Study) -> None:
    advice = study.retune(now(optimizer="sgd", data=tw.fingerprint((X * 1000.0, Y)).data))
    found = advice.space(study.space)
    assert advice.verdict == "all"
    assert set(found) == set(SPACE)
    usual = {n: tw.knowledge.explain(n, optimizer="sgd").default.value for n in ("learning_rate", "weight_decay")}
    assert found.default() == {**study.best.params, **usual}
    for name, parameter in found.items():
        assert parameter.count == SPACE[name].count
    assert advice.trials == 5 * len(SPACE)


def test_the_rate_of_another_optimizer_is_neither_the_default_nor_tried(study: tw.Study) -> None:
    advice = study.retune(now(optimizer="sgd"))
    again = tw.Study(advice.space(study.space), seed=1)
    advice.apply(again)
    again.run(objective, trials=5, executor="inline", progress=False)
    assert study.best.params["learning_rate"] not in {trial.params["learning_rate"] for trial in again.trials}
    assert again.trials[0].params["learning_rate"] == tw.knowledge.explain("lr", optimizer="sgd").default.value


def test_a_rate_that_has_to_leave_its_range_takes_the_range_along(study: tw.Study) -> None:
    high = tw.Study(tw.Space(lr=tw.Float(1e-4, 2e-2, scale="log")), seed=0)
    high.run(lambda trial: -trial.params["lr"], trials=5, executor="inline", progress=False, fingerprint=THEN)
    advice = high.retune(now(batch_size=1024))
    (parameter,) = advice.space(high.space).values()
    assert isinstance(parameter, tw.Float)
    assert parameter.high == parameter.default == pytest.approx(4.0 * high.best.params["lr"], rel=1e-3)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("name", "parameter", "best", "later", "centre", "searched"),
    [
        ("batch_size", tw.Int(32, 256, step=32), 64, {"batch_size": 1000}, 1000, (32, 1000, None)),
        ("batch_size", tw.Int(32, 256, step=32), 64, {"batch_size": 1024}, 1024, (32, 1024, 32)),
        ("batch_size", tw.Int(32, 1024, step=32), 64, {"batch_size": 520}, 520, (32, 1024, None)),
        ("lr", tw.Float(0.01, 0.1, step=0.01), 0.01, {"optimizer": "adam"}, 0.001, (0.001, 0.1, None)),
        ("lr", tw.Float(0.001, 0.9, scale="logit"), 0.9, {"batch_size": 448}, 0.9, (0.001, 0.9, None)),
        ("lr", tw.Int(1, 8, scale="log"), 1, {"optimizer": "adam"}, 1, (1, 8, None)),
        ("lr", tw.Choice(["auto", 0.1]), "auto", {"batch_size": 448}, "auto", None),
    ],
)
def test_what_leaves_its_range_is_what_the_range_can_hold(
    name: str, parameter: Any, best: Any, later: dict[str, Any], centre: Any, searched: Any
) -> None:
    then = now(batch_size=64, optimizer="sgd")
    made = tw.Study(tw.Space({name: parameter}), seed=0)
    made.enqueue({name: best})
    made.run(lambda trial: 0.0, trials=1, executor="inline", progress=False, fingerprint=then)
    advice = made.retune(dataclasses.replace(then, **later))
    found: Any = advice.space(made.space)[name]
    assert advice.around == {name: centre}
    assert f"{name} = {centre}" in str(advice)
    assert found.default == centre
    if searched is not None:
        assert (found.low, found.high, found.step) == searched


def test_a_batch_size_of_the_space_is_compared_and_set() -> None:
    space = tw.Space(lr=tw.Float(1e-4, 1.0, scale="log"), batch_size=tw.Choice([32, 64], ordered=True))
    made = tw.Study(space, seed=0)
    made.run(lambda trial: trial.params["lr"], trials=5, executor="inline", progress=False)
    batch = made.best.params["batch_size"]
    advice = made.retune(tw.fingerprint(batch_size=4 * batch))  # type: ignore[operator]
    assert advice.verdict == "learning_rate"
    assert advice.space(space)["batch_size"].default_value == 4 * batch  # type: ignore[operator]


def test_without_a_learning_rate_the_first_tier_is_tuned() -> None:
    made = tw.Study(tw.Space(depth=tw.Int(1, 9, tier=2), C=tw.Float(1e-3, 1e3, scale="log", tier=1)), seed=0)
    made.run(lambda trial: trial.params["C"], trials=4, executor="inline", progress=False, fingerprint=THEN)
    assert made.retune(now(steps=60)).tuned == ("C",)


def test_advice_prints_what_to_do_and_why(study: tw.Study) -> None:
    told = str(study.retune(now(batch_size=256, data=None, hardware=Hardware("another", 64, ()))))
    assert told.startswith("tune learning_rate again and keep the rest: 4 trials\n  learning_rate = ")
    assert "learning rate: the batch size is 256 and was 64 (x4)\n" in told
    assert "Goyal et al. 2017, section 2.1" in told
    assert "keep: the machine has 64 cores of another and had 2 cores of a processor" in told
    assert told.endswith("not compared: data")
    assert str(study.retune(THEN)) == "keep what was found"


def test_a_study_without_results_or_fingerprint_is_no_error() -> None:
    empty = tw.Study(SPACE, seed=0)
    advice = empty.retune()
    assert (advice.verdict, advice.around, advice.found) == ("all", None, False)
    assert str(advice).startswith(
        "no trial has a value that could hold, so there is nothing to keep: tune everything, "
    )
    assert advice.space(SPACE) == SPACE
    several = tw.Study(SPACE, ["a", "b"], seed=0)
    several.run(lambda t: {"a": 1.0, "b": 2.0}, trials=1, executor="inline", progress=False, fingerprint=THEN)
    assert several.retune(now(batch_size=512)).verdict == "all"
    with pytest.raises(TypeError, match="retune expected a fingerprint, got 3"):
        empty.retune(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("known", "asked", "verdict", "missing"),
    [
        ({"optimizer": None}, {"optimizer": "sgd"}, "unknown", "optimizer"),
        ({"batch_size": None}, {"batch_size": 256}, "unknown", "batch_size"),
        ({"batch_size": None}, {"batch_size": 256, "optimizer": "adamw"}, "keep", "batch_size"),
        ({}, {}, "unknown", "data"),
        ({"versions": {}}, {}, "unknown", "data"),
    ],
)
def test_what_was_not_compared_is_not_kept(
    known: dict[str, Any], asked: dict[str, Any], verdict: str, missing: str
) -> None:
    made = tw.Study(SPACE, seed=0)
    made.run(objective, trials=2, executor="inline", progress=False, fingerprint=now(**known))
    advice = made.retune(tw.Fingerprint(versions=THEN.versions, **asked))
    assert advice.verdict == verdict
    assert missing in advice.unknown


def test_what_the_study_does_not_know_of_itself_is_named_and_can_be_told_later() -> None:
    made = tw.Study(SPACE, seed=0)
    made.run(objective, trials=2, executor="inline", progress=False)
    said = tw.fingerprint(batch_size=256)
    advice = made.retune(said)
    assert (advice.verdict, advice.unrecorded) == ("unknown", ("batch_size",))
    assert str(advice) == (
        "nothing that was said could be compared, so nobody knows whether what was found still holds\n"
        "  not compared: data, model, batch_size, steps, optimizer\n"
        "  the study does not know its batch size: run it once more to the same total with "
        "fingerprint=tw.fingerprint(batch_size=...), as it was"
    )
    made.run(objective, trials=2, executor="inline", progress=False, fingerprint=tw.fingerprint(batch_size=64))
    known = made.retune(said)
    assert (known.verdict, known.unrecorded) == ("learning_rate", ())
    assert "say what they are now" in str(made.retune())


@pytest.mark.parametrize(
    ("space", "said"),
    [
        (tw.Space(lr=tw.Float(1e-4, 0.1, scale="log")), "searched by a factor of 3 on either side"),
        (tw.Space(lr=tw.Float(1e-4, 0.1)), "searched in its whole range"),
        (tw.Space(lr=tw.Choice([1e-4, 1e-3, 1e-2, 0.1], ordered=True)), "searched in its whole range"),
        (tw.Space(layers=tw.Int(1, 9)), "searched in its whole range"),
    ],
)
def test_the_range_that_is_printed_is_the_one_that_is_searched(space: tw.Space, said: str) -> None:
    (name,) = space
    made = tw.Study(space, seed=0)
    made.run(lambda trial: trial.params[name], trials=3, executor="inline", progress=False, fingerprint=THEN)
    advice = made.retune(now(batch_size=256))
    found = advice.space(space)[name]
    assert said in str(advice)
    if isinstance(found, tw.Float) and "factor" in said:
        assert found.high / found.low == pytest.approx(9.0)
    else:
        assert found.count == space[name].count


def test_every_choice_of_what_changed_gives_a_space_that_can_be_searched(study: tw.Study) -> None:
    for later, *_ in RULES.values():
        advice = study.retune(later)
        space = advice.space(study.space)
        assert space.default() == advice.around
        rng = np.random.default_rng(0)
        assert all(space.check(space.sample(rng)) for _ in range(20))
        assert isinstance(advice, Advice)
        json.dumps(advice.to_json())


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from tunewell.cli import app

    monkeypatch.chdir(tmp_path)
    here = tw.fingerprint((X, Y), 10_000, batch_size=64, steps=20, optimizer="adamw")
    with tw.Study(SPACE, name="s", storage="tunewell.db", seed=0) as study:
        study.run(objective, trials=4, executor="inline", progress=False, fingerprint=here)
        assert [event.fingerprint for event in study.events if isinstance(event, Fingerprinted)] == [here]
    call: Callable[..., Result] = lambda *given: CliRunner().invoke(app, ["retune", *given])  # noqa: E731
    told = call()
    nobody_knows = "nothing of data, model, batch size, steps or optimizer could be compared, so nobody knows"
    assert told.stdout.startswith(nobody_knows)
    assert told.stdout.endswith("\n  not compared: data, model, batch_size, steps, optimizer\n")
    assert told.exit_code == 1
    assert json.loads(call("--json").stdout)["verdict"] == "unknown"
    told = call("--batch-size", "64")
    kept = "keep what was found\n  not compared: data, model, steps, optimizer\n"
    assert (told.exit_code, told.stdout) == (0, kept)
    told = call("s", "--batch-size", "256", "--examples", "1800")
    assert told.exit_code == 1
    assert "the batch size is 256 and was 64 (x4)" in told.stdout
    assert "the number of examples is 1,800 and was 600 (x3)" in told.stdout
    assert "the space to search next: Space(\n    learning_rate=Float(" in told.stdout
    told = call("--optimizer", "sgd", "--json")
    assert (told.exit_code, json.loads(told.stdout)["verdict"]) == (1, "all")
    (tmp_path / "now.json").write_text(tw.fingerprint((X * 1000.0, Y), 10_000).to_json())
    told = call("--now", "now.json")
    assert told.exit_code == 1
    assert "the inputs are others" in told.stdout
    (tmp_path / "bad.json").write_text('{"a":1}')
    told = call("--now", "bad.json")
    assert told.exit_code == 2
    assert "expected a fingerprint as Fingerprint.to_json writes it" in told.stderr
    assert "unknown keys: a" in told.stderr
    told = call("--now", "none.json")
    assert (told.exit_code, told.stderr) == (2, "tunewell: No such file or directory: none.json\n")
    shown = CliRunner().invoke(app, ["show", "s"]).stdout
    assert "fingerprint  data 600 x 4, 3 classes; model 10,000 parameters; batch_size 64" in shown


@pytest.mark.parametrize("value", [math.nan, RuntimeError("no"), 200.0], ids=["diverged", "failed", "infeasible"])
def test_nothing_is_kept_of_a_study_that_found_nothing(value: float | Exception) -> None:
    def objective(trial: tw.Trial) -> dict[str, float]:
        if isinstance(value, Exception):
            raise value
        return {"loss": value, "seconds_each": value}

    study = tw.Study(SPACE, constraints=["seconds_each <= 100"], seed=0)
    with contextlib.suppress(tw.ObjectiveError):
        study.run(objective, trials=3, executor="inline", progress=False, fingerprint=THEN)
    advice = study.retune(THEN)
    assert (advice.verdict, advice.best, advice.found) == ("all", None, False)
    assert advice.space(SPACE) == SPACE
    assert set(advice.tuned) == {name for name, parameter in SPACE.items() if parameter.count > 1}
    assert str(advice).startswith("no trial has a value that could hold")

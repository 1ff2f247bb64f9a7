"""Fingerprints: what is summarised of data, models and machines, and that a study keeps them."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest

import tunewell as tw
from tunewell.events import Fingerprinted, StudyCreated
from tunewell.executors.machine import names_in
from tunewell.fingerprinting.data import BLOCKS, ITEMS, ROWS
from tunewell.fingerprints import LEVELS, DataSummary, Hardware, ModelSummary
from tunewell.history import History
from tunewell.journals import codec

RNG = np.random.default_rng(0)
X = RNG.normal(size=(500, 3)) * [1.0, 2.0, 5.0] + [0.0, 10.0, 0.0]
Y = RNG.choice(["cat", "dog"], 500, p=[0.8, 0.2])


def summary(data: Any, **given: Any) -> DataSummary:
    taken = tw.fingerprint(data, **given).data
    assert taken is not None
    return taken


def test_looking_at_data_that_is_changed_at_random_changes_no_generator() -> None:
    torch = pytest.importorskip("torch")

    class Augmented(torch.utils.data.Dataset):  # type: ignore[misc, name-defined]
        def __len__(self) -> int:
            return 50

        def __getitem__(self, place: int) -> Any:
            return torch.randn(3) + np.random.random() + random.random(), place % 2  # noqa: NPY002

    def drawn() -> tuple[float, float, float]:
        return float(torch.rand(1)), np.random.random(), random.random()  # noqa: NPY002

    seen = []
    for look in (True, False):
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002
        random.seed(0)
        if look:
            summary(Augmented())
        seen.append(drawn())
    assert seen[0] == seen[1]


def test_half_precision_and_examples_of_three_parts() -> None:
    torch = pytest.importorskip("torch")
    inputs = torch.randn(40, 3)
    assert summary((inputs.bfloat16(), torch.zeros(40))).examples == 40
    data = torch.utils.data.TensorDataset(inputs, inputs, torch.zeros(40))
    with pytest.raises(TypeError, match="expected examples of inputs and target, got 3 parts"):
        summary(data)


def test_columns_are_summarised_in_their_own_units() -> None:
    found = summary((X, Y))
    assert (found.examples, found.shape, found.sampled) == (500, (3,), 500)
    for feature, column in zip(found.features, X.T, strict=True):
        assert feature.mean == pytest.approx(column.mean(), rel=1e-3, abs=1e-3)
        assert feature.std == pytest.approx(column.std(), rel=1e-3)
        assert feature.quantiles == pytest.approx(np.quantile(column, LEVELS), rel=1e-3, abs=1e-3)
    assert found.classes == pytest.approx({"cat": np.mean(Y == "cat"), "dog": np.mean(Y == "dog")})


def test_missing_values_are_counted() -> None:
    found = summary(np.array([[1.0, np.nan], [2.0, np.inf], [np.nan, np.nan], [3.0, np.nan]]))
    assert [feature.missing for feature in found.features] == [0.25, 1.0]
    assert {feature.missing for feature in summary(X).features} == {0.0}


def test_numbers_as_targets_are_one_more_column() -> None:
    found = summary((X, X[:, 0] * 3.0))
    assert found.classes == {}
    assert [feature.name for feature in found.features] == ["0", "1", "2", "target 0"]


def test_no_more_than_so_many_examples_are_looked_at() -> None:
    class Watched(list):  # type: ignore[type-arg]
        seen = 0

        def __getitem__(self, place: Any) -> Any:
            self.seen += 1
            return super().__getitem__(place)

    rows = Watched([[float(k), 1.0] for k in range(5000)])
    assert summary(rows).sampled == ROWS
    assert rows.seen <= ROWS
    assert summary(np.lib.stride_tricks.as_strided(np.zeros(1), (10**9, 50_000), (0, 0))).sampled == 80  # 400 TB


def test_images_and_other_wide_examples_stay_small() -> None:
    images = RNG.integers(0, 255, size=(100, 3, 32, 32)).astype(np.uint8)
    found = summary((images, np.arange(100) % 10))
    assert found.shape == (3, 32, 32)
    assert [feature.name for feature in found.features[:3]] == ["mean", "spread", "block 0"]
    assert len(found.features) == BLOCKS + 2
    assert len(tw.fingerprint((images, np.arange(100) % 10)).to_json()) < 5000


def test_texts_are_summarised_by_their_lengths() -> None:
    found = summary((["one two", "three", "four 5"], ["a", "b", "a"]))
    assert (found.shape, {feature.name for feature in found.features}) == (
        (),
        {"characters", "words", "digits", "not ASCII"},
    )
    assert found.features[0].mean == pytest.approx(6.0, abs=0.01)


def test_tables_have_numbers_and_categories() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {"age": [20, 30, 40, None], "town": ["a", "b", "a", "a"], "flag": [True, False, True, True]}
    )
    found = summary((frame, pandas.Series([0, 1, 0, 1], index=[7, 8, 9, 10])))
    assert found.shape == (3,)
    assert {feature.name: feature.mean for feature in found.features} == {"age": 30.0, "flag": 0.75}
    assert found.categories == {"town": {"a": 0.75, "b": 0.25}}
    assert found.classes == {"0": 0.5, "1": 0.5}


def test_examples_that_come_one_by_one() -> None:
    class Pairs:
        def __len__(self) -> int:
            return 3000

        def __getitem__(self, place: int) -> tuple[Any, int]:
            return np.full((2, 2), float(place)), place % 2

    class Loader:
        dataset = Pairs()

    for data in (Pairs(), Loader()):
        found = summary(data)
        assert (found.examples, found.shape, found.sampled) == (3000, (2, 2), ITEMS)
        assert set(found.classes) == {"0", "1"}


def test_sequences_of_different_lengths() -> None:
    found = summary([[1, 2, 3], [4], [5, 6]])
    assert {feature.name: feature.mean for feature in found.features}["length"] == 2.0


def test_a_network_is_counted_by_its_layers() -> None:
    nn = pytest.importorskip("torch").nn
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    found, other = tw.fingerprint(model=net).model, tw.fingerprint(model=nn.Sequential(nn.Linear(4, 9))).model
    assert found is not None
    assert other is not None
    assert (found.name, found.parameters, found.layers) == ("Sequential", 58, {"Linear": 2, "ReLU": 1})
    assert found.shapes != other.shapes
    torch = pytest.importorskip("torch")
    assert summary((torch.zeros(9, 2), torch.zeros(9, dtype=torch.int64))).classes == {"0": 1.0}


def test_lazy_layers_that_never_ran_are_refused_in_a_sentence() -> None:
    nn = pytest.importorskip("torch").nn
    with pytest.raises(ValueError, match="lazy layers that have none yet: call it once with a batch"):
        tw.fingerprint(model=nn.Sequential(nn.LazyLinear(8), nn.ReLU()))


def test_other_models() -> None:
    linear = pytest.importorskip("sklearn.linear_model").LogisticRegression()
    assert tw.fingerprint(model=linear).model == ModelSummary("LogisticRegression", None, {"LogisticRegression": 1})
    linear.fit(X, Y)
    assert tw.fingerprint(model=linear).model.parameters == 4  # type: ignore[union-attr]
    assert tw.fingerprint(model={"a": {"w": np.zeros((2, 3))}, "b": np.zeros(4)}).model.parameters == 10  # type: ignore[union-attr]
    assert tw.fingerprint(model=12).model == ModelSummary("", 12)


@pytest.mark.parametrize(
    ("given", "error", "sentence"),
    [
        ({"data": "digits"}, TypeError, "data expected examples, got 'digits'"),
        ({"data": 3.5}, TypeError, "data expected examples with a length, got float"),
        ({"data": []}, ValueError, "data expected at least one example, got none"),
        ({"data": (X, Y[:3])}, ValueError, "as many targets as inputs, got 500 and 3"),
        ({"data": [{"x": 1}]}, TypeError, "got dictionaries: give"),
        ({"data": 0}, ValueError, "a number of examples of at least 1, got 0"),
        ({"model": ModelSummary}, TypeError, "model expected a model, got the class ModelSummary"),
        ({"model": "net"}, TypeError, "model expected a PyTorch, Keras or scikit-learn model"),
        ({"model": {"w": 3}}, TypeError, "a mapping of arrays, got 3 at w"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1, got 0"),
        ({"optimizer": "adma"}, ValueError, "unknown optimizer 'adma': did you mean 'adam'?"),
    ],
)
def test_what_is_no_data_and_no_model_is_told_in_a_sentence(given: Any, error: Any, sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        tw.fingerprint(**given)


def test_nan_and_infinity_are_left_out() -> None:
    found = summary([[1.0, math.nan], [3.0, math.inf]])
    assert [feature.mean for feature in found.features] == [2.0, 0.0]
    event = Fingerprinted(0.0, tw.fingerprint([[math.nan]]))
    assert codec.decode(*codec.encode(event)) == event


def test_a_fingerprint_travels_as_text() -> None:
    taken = tw.fingerprint((X, Y), 1000, batch_size=32, steps=9, optimizer="sgd")
    again = tw.Fingerprint.from_json(taken.to_json())
    assert (again, again.date) == (taken, taken.date)
    with pytest.raises(ValueError, match=r"expected a fingerprint as Fingerprint.to_json writes it, got 'nonsense'"):
        tw.Fingerprint.from_json("nonsense")


def test_the_names_of_gpus_are_read_off_a_listing() -> None:
    listing = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-1)
  MIG 1g.5gb      Device  0: (UUID: MIG-7)
GPU 1: NVIDIA H200 (UUID: GPU-2)
"""
    assert names_in(listing, ["1", "GPU-1", "MIG-7", "5"]) == (
        "NVIDIA H200",
        "NVIDIA A100-SXM4-40GB",
        "NVIDIA A100-SXM4-40GB MIG 1g.5gb",
    )
    assert names_in("", ["0"]) == ()


# --- kept with a study ------------------------------------------------------------------------------------------------

SPACE = tw.Space(lr=tw.Float(1e-4, 1e-1, scale="log", default=1e-3))


def objective(trial: tw.Trial) -> float:
    return float(trial.params["lr"])  # type: ignore[arg-type]


def fingerprints(study: tw.Study) -> list[tw.Fingerprint]:
    return [event.fingerprint for event in study.events if isinstance(event, Fingerprinted)]


def test_a_run_keeps_one_when_it_differs(tmp_path: Any) -> None:
    run: Any = {"executor": "inline", "progress": False}
    with tw.Study(SPACE, storage=str(tmp_path / "s.db"), seed=0) as study:
        study.run(objective, trials=1, data=(X, Y), model=1000, **run)
        study.run(objective, trials=2, data=(X, Y), model=1000, **run)
        study.run(objective, trials=3, **run)  # what is not said is as it was
        assert len(fingerprints(study)) == 1
        study.run(objective, trials=4, model=2000, **run)
        assert len(fingerprints(study)) == 2
    with tw.open(str(tmp_path / "s.db")) as study:
        kept = study.history.fingerprint
        assert kept is not None
        assert kept.model == ModelSummary("", 2000)
        assert kept.data == summary((X, Y))
        assert isinstance(kept.hardware, Hardware)
        assert "python" in kept.versions


def test_a_study_of_an_older_release_has_none() -> None:
    assert History([StudyCreated(0.0, "old", SPACE, (), {}, 0)]).fingerprint is None


def test_one_taken_elsewhere_is_kept() -> None:
    study = tw.Study(SPACE, seed=0)
    taken = tw.fingerprint((X, Y), batch_size=64)
    study.run(objective, trials=1, executor="inline", progress=False, fingerprint=taken)
    assert fingerprints(study) == [taken]
    with pytest.raises(ValueError, match="got both: give them to tw.fingerprint"):
        study.run(objective, trials=1, fingerprint=taken, data=X)
    with pytest.raises(TypeError, match=r"run expected fingerprint=tw.fingerprint\(...\), got 3"):
        study.run(objective, trials=1, fingerprint=3)  # type: ignore[arg-type]

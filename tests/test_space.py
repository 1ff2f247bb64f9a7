"""Laws of the search space: scales and bins, conditions, canonical forms, and the sentences of its errors."""

from __future__ import annotations

import copy
import dataclasses
import enum
import itertools
import json
import math
import pickle
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewell.scales import SCALES, Axis, Bins, Line, LogBins
from tunewell.space import Choice, Float, Int, Parameter, Prior, Space

NESTED = Space(
    nesterov=Choice([False, True], when={"optimizer": "sgd", "layers": [2, 3]}),  # declared before its parents
    optimizer=Choice(["sgd", "rmsprop", "adam"], when={"train": True}),
    train=Choice([True, False]),
    layers=Int(1, 4),
    momentum=Float(0.8, 0.999, scale="reverse_log", when={"optimizer": ["sgd", "rmsprop"]}),
    damping=Float(0.0, 1.0, step=0.25, when={"nesterov": False}),
)
EVERYTHING = Space(
    {
        "opt.lr": Float(1e-5, 1e-1, "log", default=1e-3, prior=Prior(3e-4, "high"), tier=1, note="η"),
        "opt.betas": Choice([(0.9, 0.999), (0.9, 0.98), (0.5, (1, None))], default=(0.9, 0.98)),
        "opt.clip": Choice([None, 0.1, True, "auto"], default=None, when={"opt.betas": [(0.9, 0.999)]}),
    },
    width=Int(16, 1024, "log", prior=Prior(64, "low"), tier=2),
    depth=Int(2, 10, step=4, when={"width": [16, 32]}),
    batch=Choice([32, 64, 128], ordered=True, prior=Prior(64)),
    keep=Float(0.01, 0.99, "logit"),
)


# --- strategies -------------------------------------------------------------------------------------------------------


@st.composite
def floats(draw: st.DrawFn) -> Float:
    scale = draw(st.sampled_from(list(SCALES)))
    tiny, unit = st.floats(1e-12, 1e12), st.floats(1e-9, 1.0 - 1e-9)
    ends = {"linear": st.floats(-1e9, 1e9), "log": tiny, "reverse_log": st.floats(-5.0, 1.0 - 1e-9), "logit": unit}
    low, high = sorted((draw(ends[scale]), draw(ends[scale])))
    if low < high and high - low < 1e-6 * max(abs(low), abs(high)):
        high = low
    return Float(low, high, scale)


@st.composite
def stepped(draw: st.DrawFn) -> Float:
    decimals = draw(st.integers(0, 4))
    low, step = draw(st.integers(-500, 500)), draw(st.integers(1, 50))
    high = low + step * draw(st.integers(0, 40))
    return Float(low / 10**decimals, high / 10**decimals, step=step / 10**decimals)


@st.composite
def ints(draw: st.DrawFn) -> Int:
    if draw(st.booleans()):
        low, high = sorted((draw(st.integers(1, 2**40)), draw(st.integers(1, 2**40))))
        return Int(low, high, "log")
    low, step = draw(st.integers(-1000, 1000)), draw(st.one_of(st.none(), st.integers(1, 9)))
    return Int(low, low + (step or 1) * draw(st.integers(0, 10**6)), step=step)


CHOICES = st.builds(
    Choice,
    st.lists(st.one_of(st.text(max_size=3), st.integers(2, 9), st.none(), st.just((1, "a"))), min_size=1, unique=True),
    st.booleans(),
)
PARAMETERS = st.one_of(floats(), stepped(), ints(), CHOICES)
UNITS = st.floats(0.0, 1.0)


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    """Spaces whose parameters may depend on any earlier Choice or Int."""
    parameters: dict[str, Parameter] = {}
    for k in range(draw(st.integers(0, 6))):
        parameter = draw(PARAMETERS)
        parents = [name for name, p in parameters.items() if not isinstance(p, Float)]
        when = {}
        for parent in draw(st.lists(st.sampled_from(parents), max_size=2, unique=True)) if parents else []:
            units = draw(st.lists(UNITS, min_size=1, max_size=3))
            when[parent] = [parameters[parent].from_unit(u) for u in units]
        parameters[f"p{k}"] = dataclasses.replace(parameter, when=when or None)
    return Space(parameters)


def same(a: object, b: object) -> bool:
    """Equal in value and in type, at any depth."""
    return repr(a) == repr(b)


# --- scales and laws --------------------------------------------------------------------------------------------------


@given(PARAMETERS)
def test_the_ends_of_every_range_are_exact(parameter: Parameter) -> None:
    low, high = (
        (parameter.choices[0], parameter.choices[-1])
        if isinstance(parameter, Choice)
        else (parameter.low, parameter.high)  # type: ignore[attr-defined]
    )
    for unit, end in [(0.0, low), (1.0, high), (-0.5, low), (2.0, high), (-math.inf, low), (math.inf, high)]:
        assert same(parameter.from_unit(unit), end)
    if parameter.count == 1:
        assert parameter.to_unit(low) == 0.5
        assert same(parameter.from_unit(0.3), low)
    elif parameter.count == math.inf:
        assert (parameter.to_unit(low), parameter.to_unit(high)) == (0.0, 1.0)


@given(PARAMETERS, st.lists(UNITS, min_size=1, max_size=20))
def test_decoded_values_are_possible_and_come_back(parameter: Parameter, units: list[float]) -> None:
    for value in [parameter.from_unit(u) for u in units]:
        assert same(parameter.check(value), value)
        unit = parameter.to_unit(value)
        assert 0.0 <= unit <= 1.0
        back = parameter.from_unit(unit)
        if parameter.count == math.inf:
            assert isinstance(parameter, Float)
            assert abs(back - value) <= 1e-12 * max(abs(parameter.low), abs(parameter.high))
        else:
            assert same(back, value)


@given(floats().filter(lambda p: p.scale in {"log", "logit"} and p.low < p.high), UNITS)
def test_round_trips_on_log_scales_are_relative(parameter: Float, unit: float) -> None:
    value = parameter.from_unit(unit)
    assert parameter.from_unit(parameter.to_unit(value)) == pytest.approx(value, rel=1e-12, abs=0.0)


@given(PARAMETERS, UNITS, UNITS)
def test_decoding_never_falls(parameter: Parameter, a: float, b: float) -> None:
    low, high = (parameter.from_unit(u) for u in sorted((a, b)))
    if isinstance(parameter, Choice):
        low, high = parameter.choices.index(low), parameter.choices.index(high)
    assert low <= high


def law(parameter: Parameter, n: int = 40_000) -> np.ndarray[Any, Any]:
    """``n`` values at evenly spread coordinates: the law itself, free of chance."""
    return np.array([parameter.from_unit((i + 0.5) / n) for i in range(n)])


def test_log_gives_every_decade_a_quarter() -> None:
    counts, _ = np.histogram(law(Float(1e-4, 1.0, "log")), [1e-4, 1e-3, 1e-2, 1e-1, 1.0])
    np.testing.assert_allclose(counts / 40_000, 0.25, atol=1e-4)


def test_reverse_log_gives_every_decade_below_one_a_half() -> None:
    values = law(Float(0.9, 0.999, "reverse_log"))
    assert np.mean(values < 0.99) == pytest.approx(0.5, abs=1e-4)


def test_logit_is_symmetric() -> None:
    parameter = Float(0.01, 0.99, "logit")
    values = law(parameter)
    np.testing.assert_allclose(values, 1.0 - values[::-1], atol=1e-12)
    assert parameter.from_unit(0.5) == 0.5
    assert np.mean(values < 0.1) == pytest.approx(np.mean(values > 0.9), abs=1e-4)


@pytest.mark.parametrize(
    "parameter",
    [Int(-2, 5), Int(10, 50, step=8), Float(0.1, 0.9, step=0.1), Choice(list("abcde")), Int(0, 1)],
)
def test_bins_are_equal(parameter: Parameter) -> None:
    _, counts = np.unique(law(parameter), return_counts=True)
    assert len(counts) == parameter.count
    np.testing.assert_allclose(counts / 40_000, 1.0 / parameter.count, atol=1e-4)


def test_log_int_owns_log_bins() -> None:
    values, counts = np.unique(law(Int(1, 50, "log")), return_counts=True)
    expected = np.log((values + 0.5) / (values - 0.5)) / np.log(50.5 / 0.5)
    assert values.tolist() == list(range(1, 51))
    np.testing.assert_allclose(counts / 40_000, expected, atol=1e-4)


def test_samples_follow_the_law() -> None:
    space, rng = Space(lr=Float(1e-4, 1.0, "log"), n=Int(1, 4)), np.random.default_rng(0)
    samples = [space.sample(rng) for _ in range(20_000)]
    decades, _ = np.histogram([s["lr"] for s in samples], [1e-4, 1e-3, 1e-2, 1e-1, 1.0])
    np.testing.assert_allclose(decades / 20_000, 0.25, atol=0.015)
    _, counts = np.unique([s["n"] for s in samples], return_counts=True)
    np.testing.assert_allclose(counts / 20_000, 0.25, atol=0.015)


@pytest.mark.parametrize("axis", [Line(0.0, 1.0, "linear"), Bins(7), LogBins(1, 9)])
def test_axes_refuse_nan(axis: Axis) -> None:
    with pytest.raises(ValueError, match="from 0 to 1, got nan"):
        axis.at(math.nan)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7, 1000, 2**20 + 1, 2**40 - 1])
def test_the_largest_coordinate_stays_in_the_last_bin(count: int) -> None:
    assert Bins(count).at(math.nextafter(1.0, 0.0)) == count - 1


@pytest.mark.parametrize(
    ("low", "high", "scale"),
    [
        (5e-324, sys.float_info.max, "log"),
        (5e-324, math.nextafter(1.0, 0.0), "logit"),
        (-1e300, math.nextafter(1.0, 0.0), "reverse_log"),
    ],
)
def test_the_widest_ranges_neither_overflow_nor_warn(low: float, high: float, scale: Any) -> None:
    parameter = Float(low, high, scale)
    for unit in [0.0, 1e-300, 1e-16, 0.1, 0.5, 0.9, math.nextafter(1.0, 0.0), 1.0]:
        value = parameter.from_unit(unit)
        assert low <= value <= high
        assert 0.0 <= parameter.to_unit(value) <= 1.0


def test_stepped_values_are_the_decimals_one_would_write() -> None:
    assert Float(0.0, 0.7, step=0.1).grid(99) == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    assert Float(1.05, 1.2, step=0.05).grid(99) == [1.05, 1.1, 1.15, 1.2]
    assert Float(0.0, 1.0, step=1 / 3).grid(99) == pytest.approx([0.0, 1 / 3, 2 / 3, 1.0])
    assert Float(0.0, 0.3, step=0.1).check(0.1 + 0.2 - 1e-16) == 0.3


# --- parameters -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameter", "value", "expected"),
    [
        (Float(0, 10), 3, 3.0),
        (Float(0, 10), np.float32(2.5), 2.5),
        (Float(0, 10), np.array(4), 4.0),
        (Float(0, 1, step=0.1), 0.30000000000000004, 0.3),
        (Int(0, 10), 3.0, 3),
        (Int(0, 10), np.int64(3), 3),
        (Int(0, 10), np.float64(3.0), 3),
        (Choice(["a", "b"]), np.str_("a"), "a"),
        (Choice([32, 64]), 64.0, 64),
        (Choice([32, 64]), np.int32(64), 64),
        (Choice([True, False]), np.bool_(True), True),
        (Choice([None, 1.5]), None, None),
        (Choice([(0.9, (1, 2))]), [0.9, [1, 2]], (0.9, (1, 2))),
    ],
)
def test_check_gives_plain_python(parameter: Parameter, value: Any, expected: Any) -> None:
    assert same(parameter.check(value), expected)


@pytest.mark.parametrize(
    ("parameter", "value", "sentence"),
    [
        (Float(0, 1), 1.5, "expected a number from 0.0 to 1.0, got 1.5"),
        (Float(0, 1), math.nan, "got nan"),
        (Float(0, 1), 10**400, "expected a number from 0.0 to 1.0"),
        (Float(0, 1), True, "got True"),
        (Float(0, 1), "0.5", "got '0.5'"),
        (Float(0, 1), None, "got None"),
        (Float(0, 1, step=0.25), 0.3, "expected 0.0 plus a multiple of 0.25, got 0.3: the nearest is 0.25"),
        (Int(0, 9), 2.5, "expected a whole number from 0 to 9, got 2.5"),
        (Int(0, 9), math.inf, "got inf"),
        (Int(0, 9), math.nan, "got nan"),
        (Int(0, 9), True, "got True"),
        (Int(0, 9, step=3), 5, "expected 0 plus a multiple of 3, got 5: the nearest is 6"),
        (Choice(["1", "2"]), 1.0, "expected one of '1', '2', got 1.0"),
        (Choice([1, 2]), True, "expected one of 1, 2, got True"),
        (Choice([True, False]), 1, "got 1"),
        (Choice(["sgd", "adam"]), "adm", "got 'adm': did you mean 'adam'?"),
        (Choice(["a"]), {"x": 1}, "expected one of 'a'"),
        (Choice(range(50)), 77, "expected one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ..., 49, got 77"),
    ],
)
def test_impossible_values(parameter: Parameter, value: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        parameter.check(value)
    with pytest.raises(ValueError, match="parameter 'x': expected"):
        Space(x=parameter).check({"x": value})


class Colour(str, enum.Enum):  # noqa: UP042 (the older idiom is the one that str() gets wrong)
    RED = "red"


def test_choices_become_plain() -> None:
    choice = Choice([Colour.RED, np.int64(3), np.float64(0.5), (np.float32(0.25), Colour.RED)])
    assert same(choice.choices, ("red", 3, 0.5, (0.25, "red")))
    assert Choice(np.array([1.0, 2.0])).choices == (1.0, 2.0)


CONSTRUCTION = [
    (lambda: Float(1, 0), ValueError, "Float needs low <= high, got low=1.0, high=0.0: swap them"),
    (lambda: Int(5, 2), ValueError, "Int needs low <= high, got low=5, high=2: swap them"),
    (lambda: Float(0, 1, "log"), ValueError, "scale 'log' needs low above 0, got low=0.0: raise it or use 'linear'"),
    (lambda: Int(0, 8, "log"), ValueError, "scale 'log' needs low above 0, got low=0"),
    (lambda: Float(-1, 1, "log"), ValueError, "scale 'log' needs low above 0"),
    (lambda: Float(0.9, 1, "reverse_log"), ValueError, "scale 'reverse_log' needs high below 1, got high=1.0"),
    (lambda: Float(0, 0.5, "logit"), ValueError, "scale 'logit' needs low above 0"),
    (lambda: Float(0.5, 1, "logit"), ValueError, "scale 'logit' needs high below 1"),
    (lambda: Float(math.nan, 1), ValueError, "low must be finite, got nan"),
    (lambda: Float(0, math.inf), ValueError, "high must be finite, got inf"),
    (lambda: Int(0, math.inf), ValueError, "high must be finite, got inf"),
    (lambda: Float(0, 10**400), ValueError, "high must fit in a float"),
    (lambda: Float(-1.7e308, 1.7e308), ValueError, "too wide or too narrow for floating point on the linear scale"),
    (lambda: Float(1e300, math.nextafter(1e300, 2e300), "log"), ValueError, "too wide or too narrow"),
    (lambda: Float(True, 2), TypeError, "low must be a number, got True"),
    (lambda: Float("1e-5", 1), TypeError, "low must be a number, got '1e-5': write it without quotes"),
    (lambda: Int(1, "4"), TypeError, "high must be a number, got '4'"),
    (lambda: Int(1, 2.5), ValueError, "high must be a whole number, got 2.5: round it or use Float"),
    (lambda: Int(0, 2**60), ValueError, "high must lie within ±2**40"),
    (lambda: Int(0, 2**40), ValueError, "expected fewer than 2**40 whole numbers, got 0 to 1099511627776: use Float"),
    (lambda: Float(0, 1, "lgo"), ValueError, "'logit', got 'lgo': did you mean 'log'?"),
    (lambda: Float(0, 1, None), ValueError, "scale of Float must be one of 'linear'"),
    (lambda: Int(1, 9, "logit"), ValueError, "scale of Int must be one of 'linear', 'log', got 'logit'"),
    (lambda: Float(0, 1, default=2), ValueError, "default: expected a number from 0.0 to 1.0, got 2"),
    (lambda: Int(0, 1, default=0.5), ValueError, "default: expected a whole number from 0 to 1, got 0.5"),
    (lambda: Choice(["a"], default="b"), ValueError, "default: expected one of 'a', got 'b'"),
    (lambda: Float(0, 1, prior=Prior(2)), ValueError, "prior's center: expected a number from 0.0 to 1.0, got 2"),
    (lambda: Choice(["a"], prior=Prior(None)), ValueError, "prior's center: expected one of 'a', got None"),
    (lambda: Float(0, 1, prior=0.5), TypeError, "prior must be a Prior, got 0.5: write Prior(center, confidence)"),
    (lambda: Prior(0.5, "hihg"), ValueError, "'medium' or 'high', got 'hihg': did you mean 'high'?"),
    (lambda: Prior(0.5, 0.9), ValueError, "confidence must be 'low', 'medium' or 'high', got 0.9"),
    (lambda: Prior(0.5, []), ValueError, "confidence must be 'low', 'medium' or 'high', got []"),
    (lambda: Float(0, 1, step=0), ValueError, "step must be above 0, got 0.0"),
    (lambda: Float(0, 1, step=0.3), ValueError, "got low=0.0, high=1.0, step=0.3: set high to 0.9 or 1.2"),
    (lambda: Float(1, 2, "log", step=0.5), ValueError, "step needs the linear scale, got scale='log'"),
    (lambda: Float(0, 1, step=1e-15), ValueError, "step 1e-15 is too fine for"),
    (lambda: Float(0, 1, step=1e-13), ValueError, "step 1e-13 is too fine for the range"),
    (lambda: Int(0, 10, step=4), ValueError, "got low=0, high=10, step=4: set high to 8 or 12"),
    (lambda: Int(0, 10, step=-1), ValueError, "step must be above 0, got -1"),
    (lambda: Int(1, 9, "log", step=2), ValueError, "step needs the linear scale, got scale='log'"),
    (lambda: Int(0, 10, step=0.5), ValueError, "step must be a whole number, got 0.5"),
    (lambda: Float(0, 1, tier=0), ValueError, "tier must be a whole number from 1 (tuned first) on, got 0"),
    (lambda: Float(0, 1, tier=True), ValueError, "tier must be a whole number from 1"),
    (lambda: Float(0, 1, tier="1"), ValueError, "tier must be a whole number from 1"),
    (lambda: Float(0, 1, note=3), TypeError, "note must be a string, got 3"),
    (lambda: Choice([]), ValueError, "choices must not be empty, got []: list at least one value"),
    (lambda: Choice("sgd"), TypeError, "choices must be a list, got 'sgd': write Choice([...])"),
    (lambda: Choice({"a", "b"}), TypeError, "choices must be a list, got"),
    (lambda: Choice(3), TypeError, "choices must be a list, got 3"),
    (lambda: Choice("sgd", "adam"), TypeError, "choices must be a list, got 'sgd'"),
    (lambda: Choice(["sgd"], "adam"), TypeError, "ordered must be True or False, got 'adam': put all choices into one"),
    (lambda: Choice(["a", "b", "a"]), ValueError, "choices must differ, got 'a' and 'a'"),
    (lambda: Choice([True, 1]), ValueError, "got True and 1, which are equal in Python (True == 1 == 1.0)"),
    (lambda: Choice([1, 1.0]), ValueError, "got 1 and 1.0, which are equal in Python"),
    (lambda: Choice([[1, 2]]), TypeError, "a choice must not be a list, got [1, 2]: use a tuple"),
    (lambda: Choice([{"a": 1}]), TypeError, "got {'a': 1}: use names and look them up"),
    (lambda: Choice([len]), TypeError, "got <built-in function len>: use names"),
    (lambda: Choice([dict]), TypeError, "got <class 'dict'>: use names"),
    (lambda: Choice([math.nan]), ValueError, "a choice must be finite, got nan"),
    (lambda: Choice([(1, math.inf)]), ValueError, "a choice must be finite, got inf"),
    (lambda: Float(0, 1, when="a"), TypeError, "when must be a mapping from a parent's name to its values, got 'a'"),
    (lambda: Float(0, 1, when={1: 2}), TypeError, "when must name its parents by strings, got 1"),
    (lambda: Float(0, 1, when={"a": []}), ValueError, "when needs at least one value of 'a', got an empty list"),
    (lambda: Space(lr=(1e-4, 1e-1)), TypeError, "got (0.0001, 0.1): write for example lr=tw.Float(low, high)"),
    (lambda: Space(lr=Float), TypeError, "parameter 'lr' must be a Float, Int or Choice"),
    (lambda: Space({1: Float(0, 1)}), TypeError, "name must be a string that is not empty, got 1"),
    (lambda: Space({"": Float(0, 1)}), TypeError, "name must be a string that is not empty, got ''"),
    (lambda: Space([Float(0, 1)]), TypeError, "a space needs a mapping from names to parameters"),
    (lambda: Space({"a": Int(0, 1)}, a=Int(0, 1)), ValueError, "parameter 'a' was given twice"),
    (
        lambda: Space(optimizer=Choice(["sgd"]), m=Float(0, 1, when={"optimiser": "sgd"})),
        ValueError,
        "parameter 'm' depends on 'optimiser', which the space does not have: did you mean 'optimizer'?",
    ),
    (
        lambda: Space(lr=Float(0, 1), m=Float(0, 1, when={"lr": 0.5})),
        ValueError,
        "parameter 'm' depends on 'lr', a Float: only Choice and Int can be parents",
    ),
    (
        lambda: Space(o=Choice(["sgd", "adam"]), m=Float(0, 1, when={"o": ["adam", "sdg"]})),
        ValueError,
        "parameter 'm' depends on an impossible value of 'o': expected one of 'sgd', 'adam', got 'sdg'",
    ),
    (
        lambda: Space(n=Int(1, 3), m=Float(0, 1, when={"n": 4})),
        ValueError,
        "impossible value of 'n': expected a whole number from 1 to 3, got 4",
    ),
    (
        lambda: Space(a=Int(0, 1, when={"b": 1}), b=Int(0, 1, when={"c": 1}), c=Int(0, 1, when={"a": 1})),
        ValueError,
        "conditions must not run in a circle, got a -> b -> c -> a: drop one of them",
    ),
    (lambda: Space(a=Int(0, 1, when={"a": 1})), ValueError, "circle, got a -> a"),
]


@pytest.mark.parametrize(("build", "kind", "sentence"), CONSTRUCTION, ids=[c[2][:60] for c in CONSTRUCTION])
def test_bad_input_gets_one_sentence(build: Any, kind: type[Exception], sentence: str) -> None:
    with pytest.raises(kind, match=re.escape(sentence)) as caught:
        build()
    assert "\n" not in str(caught.value)


def test_defaults() -> None:
    assert Float(1e-4, 1.0, "log").default_value == 0.01  # not 0.010000000000000004
    assert same(Float(0, 10, default=3).default_value, 3.0)
    assert Int(1, 5).default_value == 3
    assert Choice(["a", "b", "c"], ordered=True).default_value == "a"
    assert Choice(["a", None], default=None).default_value is None
    stated = [Float(0, 1, default=0), Int(0, 1, default=0), Choice([False, None], default=False)]
    assert [p.has_default for p in stated] == [True] * 3
    assert Choice(["a", None], default=None).has_default
    assert [p.has_default for p in [Float(0, 1), Int(0, 1), Choice([None, 1])]] == [False] * 3


def test_kinds_and_counts() -> None:
    assert [p.count for p in (Float(0, 1), Float(2, 2), Float(0, 1, step=0.25), Int(0, 9), Int(3, 3))] == [
        math.inf, 1, 5, 10, 1,
    ]  # fmt: skip
    assert [p.count for p in (Int(0, 9, step=3), Int(2, 9, "log"), Choice([1, 2]))] == [4, 8, 2]
    assert Choice([1, 2]).is_categorical
    assert not any(p.is_categorical for p in (Choice([1, 2], ordered=True), Int(0, 1), Float(0, 1)))
    assert [Prior(0, c).std for c in ("low", "medium", "high")] == [0.3, 0.15, 0.075]


@pytest.mark.parametrize(
    ("parameter", "n", "expected"),
    [
        (Float(0, 1), 4, [0.0, 1 / 3, 2 / 3, 1.0]),
        (Float(1e-4, 1.0, "log"), 5, [1e-4, 1e-3, 1e-2, 1e-1, 1.0]),
        (Float(0.9, 0.999, "reverse_log"), 3, [0.9, 0.99, 0.999]),
        (Float(0, 1, default=0.3), 1, [0.3]),
        (Float(0, 1), 1, [0.5]),
        (Float(2, 2), 4, [2.0]),
        (Float(0.8278758474459955, 1.0), 2, [0.8278758474459955, 1.0]),  # the ends are never tidied
        (Float(0, 1, step=0.1), 3, [0.0, 0.5, 1.0]),
        (Float(0, 1, step=0.5), 9, [0.0, 0.5, 1.0]),
        (Int(1, 4), 9, [1, 2, 3, 4]),
        (Int(0, 100), 5, [0, 25, 50, 75, 100]),
        (Int(1, 1000, "log"), 4, [1, 10, 100, 1000]),
        (Int(1, 5, "log"), 5, [1, 2, 3, 4, 5]),
        (Int(1, 10, "log"), 8, [1, 2, 3, 4, 5, 7, 10]),  # 1.4 and 1.9 become 1 and 2
        (Int(2, 10, step=4), 2, [2, 10]),
        (Int(7, 7, "log"), 1, [7]),
        (Choice(["a", "b", "c"]), 1, ["a", "b", "c"]),
    ],
)
def test_grids_of_a_parameter(parameter: Parameter, n: int, expected: list[Any]) -> None:
    values = parameter.grid(n)
    assert same(values, expected)


@given(PARAMETERS, st.integers(2, 12))
def test_grids_hold_both_ends_and_no_value_twice(parameter: Parameter, n: int) -> None:
    values = parameter.grid(n)
    assert same(values[0], parameter.from_unit(0.0))
    assert same(values[-1], parameter.from_unit(1.0))
    assert len(set(values)) == len(values)
    assert len(values) <= n or isinstance(parameter, Choice)
    assert all(same(parameter.check(v), v) for v in values)


# --- spaces -----------------------------------------------------------------------------------------------------------


def test_a_space_is_a_mapping_with_parents_first() -> None:
    assert list(NESTED) == ["layers", "train", "optimizer", "nesterov", "momentum", "damping"]
    assert len(NESTED) == 6
    assert "layers" in NESTED
    assert "lr" not in NESTED
    assert NESTED["layers"] == Int(1, 4)
    assert list(NESTED.parameters) == list(NESTED)
    assert NESTED.conditions["nesterov"] == {"layers": (2, 3), "optimizer": ("sgd",)}
    assert NESTED.conditions["train"] == {}
    assert list(Space(c=Int(0, 1), a=Int(0, 1), b=Int(0, 1))) == ["c", "a", "b"]
    with pytest.raises(KeyError):
        NESTED["lr"]


def test_a_space_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        NESTED.extra = 1  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        NESTED.parameters["extra"] = Int(0, 1)  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        NESTED["layers"].tier = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ({"layers": 2, "train": True, "optimizer": "sgd", "nesterov": False}, list(NESTED)),
        ({"layers": 2, "train": True, "optimizer": "sgd", "nesterov": True}, list(NESTED)[:5]),
        ({"layers": 1, "train": True, "optimizer": "sgd"}, ["layers", "train", "optimizer", "momentum"]),
        ({"layers": np.int64(2), "train": True, "optimizer": "adam"}, ["layers", "train", "optimizer"]),
        ({"layers": 2, "train": False, "optimizer": "sgd", "nesterov": False}, ["layers", "train"]),
        ({}, ["layers", "train"]),
    ],
)
def test_active(config: dict[str, Any], names: list[str]) -> None:
    assert NESTED.active(config) == tuple(names)


@settings(deadline=None)
@given(spaces(), st.integers(0, 2**32))
def test_configurations_survive_the_unit_cube(space: Space, seed: int) -> None:
    rng = np.random.default_rng(seed)
    configs = [space.sample(rng) for _ in range(8)]
    units = space.encode(configs)
    assert units.shape == (8, len(space))
    assert units.dtype == np.float64
    assert np.nanmin(np.append(units, 0.0)) >= 0.0
    assert np.nanmax(np.append(units, 0.0)) <= 1.0
    for config, row, back in zip(configs, units, space.decode(units), strict=True):
        assert same(space.check(config), config)
        assert tuple(config) == space.active(config)
        assert [name for name, u in zip(space, row, strict=True) if not math.isnan(u)] == list(config)
        assert list(back) == list(config)
        assert same(space.decode_one(row), back)
        for name, value in config.items():
            if space[name].count < math.inf:
                assert same(back[name], value)
            else:
                assert space[name].to_unit(back[name]) == pytest.approx(space[name].to_unit(value), abs=1e-9)


@given(spaces(), st.integers(0, 2**32))
def test_sampling_takes_one_vector_of_numbers(space: Space, seed: int) -> None:
    rng, twin = np.random.default_rng(seed), np.random.default_rng(seed)
    assert same(space.sample(rng), space.decode(twin.random((1, len(space))))[0])
    assert rng.random() == twin.random()


@settings(deadline=None)
@given(spaces())
def test_spaces_survive_json_pickle_copy_and_repr(space: Space) -> None:
    for twin in [
        Space.from_json(json.loads(json.dumps(space.to_json()))),
        pickle.loads(pickle.dumps(space)),
        copy.deepcopy(space),
        eval(repr(space)),
        Space(space),
    ]:
        assert twin == space
        assert hash(twin) == hash(space)
        assert twin.fingerprint == space.fingerprint
        assert list(twin) == list(space)
        assert repr(twin) == repr(space)
        assert all(twin[name] == space[name] and hash(twin[name]) == hash(space[name]) for name in space)


@pytest.mark.parametrize("space", [EVERYTHING, NESTED, Space()])
def test_every_argument_survives_json(space: Space) -> None:
    back = Space.from_json(json.loads(json.dumps(space.to_json())))
    assert back == space
    assert eval(repr(space)) == space
    for name, parameter in space.items():
        for f in dataclasses.fields(parameter):
            if f.init:
                assert same(getattr(back[name], f.name), getattr(parameter, f.name)), (name, f.name)


def test_repr_can_be_read_and_copied() -> None:
    space = Space(lr=Float(1e-5, 0.1, "log", default=1e-3), n=Int(1, 4, when={"o": "sgd"}), o=Choice(["sgd", "adam"]))
    assert repr(space) == (
        "Space(\n    lr=Float(1e-05, 0.1, scale='log', default=0.001),\n    o=Choice(['sgd', 'adam']),\n"
        "    n=Int(1, 4, when={'o': 'sgd'}),\n)"
    )
    assert repr(Space({"a.b": Int(0, 1)})) == "Space({\n    'a.b': Int(0, 1),\n})"
    assert repr(Space({"lambda": Int(0, 1)})) == "Space({\n    'lambda': Int(0, 1),\n})"


def test_equality_tells_types_order_and_arguments_apart() -> None:
    spaces = [
        Space(a=Int(0, 1), b=Int(0, 1)),
        Space(b=Int(0, 1), a=Int(0, 1)),
        Space(a=Float(0, 1), b=Int(0, 1)),
        Space(a=Int(0, 1, default=0), b=Int(0, 1)),
        Space(a=Choice([0, 1]), b=Int(0, 1)),
        Space(a=Choice([False, True]), b=Int(0, 1)),
        Space(a=Choice([0.0, 1.0]), b=Int(0, 1)),
    ]
    for one, other in itertools.combinations(spaces, 2):
        assert one != other
        assert one.fingerprint != other.fingerprint
    assert Space(a=Int(0, 1), b=Int(0, 1)) == spaces[0]
    assert Space(a=Int(0.0, np.int64(1)), b=Int(0, 1)) == spaces[0]
    assert Int(0, 1) != 3
    assert spaces[0] != 3
    assert len({*spaces, *spaces}) == 7
    assert dataclasses.replace(Int(0, 1, when={"a": 1}), low=1) == Int(1, 1, when={"a": [1]})


def test_the_fingerprint_never_changes() -> None:
    assert EVERYTHING.fingerprint == "642a72480a3c7e62fa54ae949e7c1b9f"
    code = "from tunewell.space import *; print(Space(a=Choice(['x', 'y'])).fingerprint, hash(Space(a=Choice(['x']))))"
    runs = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": s}, capture_output=True, check=True, text=True
        ).stdout
        for s in "12"
    }
    assert runs == {f"{Space(a=Choice(['x', 'y'])).fingerprint} {hash(Space(a=Choice(['x'])))}\n"}


@pytest.mark.parametrize(
    "data",
    [
        {},
        [],
        {"version": 2, "parameters": []},
        {"version": 1},
        {"version": 1, "parameters": [{"type": "Int"}]},
        {"version": 1, "parameters": [{"name": "a", "type": "Int"}]},
        {"version": 1, "parameters": [{"name": "a", "type": "Complex", "low": 0, "high": 1}]},
        {"version": 1, "parameters": [{"name": "a", "type": "Int", "low": 0, "high": 1, "colour": "red"}]},
        {"version": 1, "parameters": [{"name": "a", "type": "Int", "low": 0, "high": 1, "prior": 3}]},
        {"version": 1, "parameters": [3]},
        {"version": 1, "parameters": 3},
    ],
)
def test_other_json_is_refused(data: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        Space.from_json(data)


def test_check_gives_the_canonical_configuration() -> None:
    config = {"momentum": 0.9, "optimizer": "sgd", "train": np.bool_(True), "layers": 1.0}
    assert same(NESTED.check(config), {"layers": 1, "train": True, "optimizer": "sgd", "momentum": 0.9})


@pytest.mark.parametrize(
    ("config", "kind", "sentence"),
    [
        ({"layrs": 1}, ValueError, "unknown parameter 'layrs': did you mean 'layers'?"),
        ({"xyz": 1}, ValueError, "unknown parameter 'xyz': the parameters are 'layers', 'train'"),
        ({3: 1}, ValueError, "unknown parameter 3"),
        ({"layers": 1}, ValueError, "parameter 'train', which is Choice([True, False]), is missing: give"),
        ({"layers": 9}, ValueError, "parameter 'layers': expected a whole number from 1 to 4, got 9"),
        (
            {"layers": 2, "train": True, "optimizer": "adam", "momentum": 0.9},
            ValueError,
            "parameter 'momentum' is active only when 'optimizer' is 'sgd' or 'rmsprop', but it is 'adam': leave it",
        ),
        (
            {"layers": 2, "train": False, "momentum": 0.9},
            ValueError,
            "parameter 'momentum' is active only when 'optimizer' is 'sgd' or 'rmsprop', but that one is not active",
        ),
        ([("layers", 1)], TypeError, "a configuration must be a mapping from names to values"),
    ],
)
def test_bad_configurations(config: Any, kind: type[Exception], sentence: str) -> None:
    with pytest.raises(kind, match=re.escape(sentence)):
        NESTED.check(config)


def test_the_default_configuration() -> None:
    space = EVERYTHING
    assert space.has_default
    assert not NESTED.has_default
    assert same(space.default()["opt.betas"], (0.9, 0.98))
    assert "opt.clip" not in space.default()
    overridden = space.default({"opt.betas": [0.9, 0.999]}, width=np.int64(32))
    assert overridden["opt.clip"] is None
    assert overridden["depth"] == 6
    assert list(overridden) == [name for name in space if name in overridden]
    assert NESTED.default(train=False) == {"layers": 3, "train": False}
    with pytest.raises(ValueError, match="'momentum' is active only when"):
        NESTED.default(optimizer="adam", momentum=0.9)
    with pytest.raises(ValueError, match="'optimizer' is active only when"):
        NESTED.default(train=False, optimizer="sgd")
    with pytest.raises(ValueError, match="did you mean 'momentum'"):
        NESTED.default(momentun=0.9)
    with pytest.raises(ValueError, match="parameter 'layers': expected"):
        NESTED.default(layers=[1])


def test_continuous_ranges_are_encoded_together_as_each_is_alone() -> None:
    scales = {"linear": (-1.0, 3.0), "log": (1e-5, 0.1), "reverse_log": (0.8, 0.999), "logit": (0.01, 0.9)}
    floats = {name: Float(low, high, name) for name, (low, high) in scales.items()}  # type: ignore[arg-type]
    space = Space({**floats, "n": Int(1, 9), "one": Float(2.0, 2.0), "kind": Choice(["a", "b"])})
    rng = np.random.default_rng(0)
    ends = [space.decode_one([end] * len(space)) for end in (0.0, 1.0)]
    configs = ends + [space.sample(rng) for _ in range(20)]
    together = space.encode(configs)
    for j, (name, parameter) in enumerate(space.items()):
        np.testing.assert_array_equal(together[:, j], parameter.to_units([config[name] for config in configs]))
    np.testing.assert_array_equal(together[:2, :4], [[0.0] * 4, [1.0] * 4])
    part = [{name: value for name, value in config.items() if name != "log"} for config in configs]
    lacking = space.encode(part)
    assert np.isnan(lacking[:, 1]).all()
    np.testing.assert_array_equal(np.delete(lacking, 1, axis=1), np.delete(together, 1, axis=1))


def test_encode_and_decode_are_exact_and_strict() -> None:
    space = Space(lr=Float(1e-5, 0.1, "log"), n=Int(1, 4), o=Choice(["a", "b"]), w=Int(1, 512, "log"))
    ends = space.decode([[0, 0, 0, 0], [1, 1, 1, 1], [-9, -9, -9, -9], [9, 9, 9, 9]])
    assert same(ends[0], {"lr": 1e-5, "n": 1, "o": "a", "w": 1})
    assert same(ends[1], {"lr": 0.1, "n": 4, "o": "b", "w": 512})
    assert same(ends[2:], ends[:2])
    units = space.encode(ends[:2])
    assert units[:, :3].tolist() == [[0.0, 0.125, 0.25], [1.0, 0.875, 0.75]]
    assert space.encode([]).shape == (0, 4)
    assert space.decode(np.empty((0, 4))) == []
    for bad, sentence in [
        ([[0.5, 0.5]], "expected 4 coordinates, one per parameter, got 2"),
        ([0.5], "expected coordinates of shape (n, 4), got shape (1,)"),
        ([[0.5, math.nan, 0.5, 0.5]], "parameter 'n': expected a coordinate from 0 to 1, got nan"),
    ]:
        with pytest.raises(ValueError, match=re.escape(sentence)):
            space.decode(bad)
    for config, sentence in [
        ({"lr": 1.0}, "parameter 'lr': expected a number from 1e-05 to 0.1, got 1.0"),
        ({"lr": math.nan}, "parameter 'lr': expected a number"),
        ({"n": 0}, "parameter 'n': expected a whole number from 1 to 4, got 0"),
        ({"o": "c"}, "parameter 'o': expected one of 'a', 'b', got 'c'"),
    ]:
        with pytest.raises(ValueError, match=re.escape(sentence)):
            space.encode([{"lr": 0.1, "n": 1, "o": "a", "w": 1}, config])


def test_inactive_coordinates_are_nan_both_ways() -> None:
    config = {"layers": 2, "train": False}
    units = NESTED.encode([config])
    assert np.isnan(units[0]).tolist() == [False, False, True, True, True, True]
    assert NESTED.decode(units) == [config]


def test_the_empty_space() -> None:
    space = Space()
    assert space.sample(np.random.default_rng(0)) == space.default() == {}
    assert space.encode([{}]).shape == (1, 0)
    assert space.decode(np.empty((2, 0))) == [{}, {}]
    assert list(space.grid(3)) == [{}]
    assert space.size == 1
    assert not space.has_default


# --- counting ---------------------------------------------------------------------------------------------------------


def test_grid_order_and_points() -> None:
    space = Space(lr=Float(0, 1), o=Choice(["a", "b"]), n=Int(1, 2, when={"o": "b"}))
    expected = [
        {"lr": lr, **rest} for lr in (0.0, 1.0) for rest in ({"o": "a"}, {"o": "b", "n": 1}, {"o": "b", "n": 2})
    ]
    assert list(space.grid(2)) == expected
    assert [c["lr"] for c in space.grid({"lr": 3, "n": 1})] == [0.0, 0.0, 0.5, 0.5, 1.0, 1.0]
    for n, sentence in [
        ({"lr": 3}, "parameter 'n' needs a number of points: add it to the mapping"),
        ({"lr": 3, "m": 2}, "unknown parameter 'm'"),
        (0, "at least 1, got 0"),
        (True, "at least 1, got True"),
        (2.5, "at least 1, got 2.5"),
        ({"lr": "3", "n": 1}, "at least 1, got '3'"),
    ]:
        with pytest.raises(ValueError, match=re.escape(sentence)):
            space.grid(n)  # type: ignore[arg-type]


def test_a_huge_grid_starts_at_once() -> None:
    grid = Space({f"p{k}": Float(0, 1) for k in range(40)}).grid(10)
    assert len(list(itertools.islice(grid, 11))) == 11


@st.composite
def small_spaces(draw: st.DrawFn) -> Space:
    parameters: dict[str, Parameter] = {}
    for k in range(draw(st.integers(1, 5))):
        when = {
            parent: draw(st.lists(st.integers(0, 2), min_size=1, max_size=2))
            for parent in draw(st.lists(st.sampled_from(sorted(parameters)), max_size=2, unique=True))
        } if parameters else {}  # fmt: skip
        parameters[f"p{k}"] = Choice(range(draw(st.integers(3, 4))), when=when or None)
    return Space(parameters)


@given(small_spaces())
def test_size_counts_what_the_grid_lists(space: Space) -> None:
    configs = list(space.grid(99))
    assert len({json.dumps(c) for c in configs}) == len(configs) == space.size
    assert all(same(space.check(c), c) for c in configs)


def test_sizes() -> None:
    assert NESTED.size == math.inf
    assert Space(a=Int(1, 10), b=Choice(["x", "y"]), c=Float(0, 1, step=0.5)).size == 60
    assert Space(a=Float(1, 1)).size == 1
    many = {f"p{k}": Int(0, 99) for k in range(40)}
    assert Space(many).size == 100**40
    children = {f"c{k}": Choice([0, 1], when={f"p{k}": 7}) for k in range(40)}
    assert Space({name: p for pair in zip(many.items(), children.items(), strict=True) for name, p in pair}).size == (
        101**40
    )

"""What a person types: what is meant, what is refused in a sentence, what Tab completes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tunewell as tw
from tunewell.steering import parameter_meant
from tunewell.watching.frame import KEYS
from tunewell.watching.typed import COMMANDS, Mistyped, Typed, completions, understood

SPACE = tw.Space(
    learning_rate=tw.Float(1e-5, 1.0, scale="log"),
    momentum=tw.Float(0.0, 0.99),
    layers=tw.Int(1, 8),
    optimizer=tw.Choice(["sgd", "adam"]),
    nesterov=tw.Choice([False, True], when={"optimizer": "sgd"}),
)
PARAMS = {"learning_rate": 0.5, "momentum": 0.9, "layers": 4, "optimizer": "adam"}


def typed(text: str) -> Typed:
    return understood(text, SPACE, PARAMS)


@pytest.mark.parametrize(
    "text",
    [
        "set learning_rate=0.001",
        "set learning_rate = 1e-3",
        "learning_rate=0.001",
        "lr 1e-3",
        "lr=1e-3",
        "LR .001",
        "set lr 0.001",
        "learn 0.001",
        "lr /500",
        "lr/500",
        "lr=/500",
        "lr *0.002",
        "  adjust   lr   0.001  ",
    ],
)
def test_a_value_may_be_written_in_many_ways(text: str) -> None:
    assert typed(text) == Typed("set", {"learning_rate": 0.001})


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("set lr=0.1 momentum=0.5", Typed("set", {"learning_rate": 0.1, "momentum": 0.5})),
        ("lr 0.1 momentum 0.5", Typed("set", {"learning_rate": 0.1, "momentum": 0.5})),
        ("layers *2", Typed("set", {"layers": 8})),
        ("optimizer=sgd", Typed("set", {"optimizer": "sgd"})),
        ("lr 0.1 because it diverges", Typed("set", {"learning_rate": 0.1}, reason="it diverges")),
        ("back 5", Typed("back", step=5)),
        ("back 0 lr=0.1", Typed("back", {"learning_rate": 0.1}, 0)),
        ("fork", Typed("fork")),
        ("fork 5 lr=0.1", Typed("fork", {"learning_rate": 0.1}, 5)),
        ("fork lr 0.1", Typed("fork", {"learning_rate": 0.1})),
        ("fork optimizer=sgd nesterov=True", Typed("fork", {"optimizer": "sgd", "nesterov": True})),
        ("force lr 5", Typed("set", {"learning_rate": 5.0})),
        ("force fork 3 lr=5", Typed("fork", {"learning_rate": 5.0}, 3)),
        ("pause because lunch", Typed("pause", reason="lunch")),
        ("undo", Typed("undo")),
        ("note lr=3 because I say so", Typed("note", text="lr=3 because I say so")),
        ("watch 3", Typed("watch", number=3)),
        ("compare", Typed("compare")),
        ("q", Typed("quit")),
        ("?", Typed("help")),
    ],
)
def test_commands(text: str, meant: Typed) -> None:
    assert typed(text) == meant


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "type help"),
        ("lr 5", "lies outside .* put force before it"),
        (
            "force lr -1",
            "parameter 'learning_rate': expected a number above 0, which is all that the scale 'log' holds",
        ),
        ("force momentum 1", "parameter 'momentum': expected a number from 0 to 1, without 1, got 1.0"),
        ("lr nan", "expected"),
        ("lr fast", "learning_rate"),
        ("lr", "set expected a parameter and its value, got 'lr'"),
        ("lr /0", "expected a number above 0 to change learning_rate=0.5 by"),
        ("optimizer *2", "expected a number above 0 to change optimizer='adam' by"),
        ("optimizer=rmsprop", "rmsprop"),
        ("layers=2.5", "layers"),
        ("nesterov=True", "got 'nesterov', which the trial's other values leave out"),
        ("set", "set expected a parameter and its value, got none"),
        ("stoop", "did you mean stop"),
        ("momentu=0.1x", "momentum"),
        ("back", "back expected the step to go back to, got ''"),
        ("back -3", "back expected the step"),
        ("back 5 7", "got '7'"),
        ("watch the loss", "watch expected the number of a trial, got 'the loss'"),
        ("pause 3", "pause expected nothing after it, got '3'"),
        ("force", "force expected a change of values, got none"),
        ("force stop", "force expected a change of values, got stop"),
        ("note", "note expected a text"),
    ],
)
def test_what_cannot_be_meant_gets_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(Mistyped, match=sentence) as caught:
        typed(text)
    assert "\n" not in str(caught.value)


def test_a_name_that_means_two_parameters_means_neither() -> None:
    space = tw.Space(dropout_1=tw.Float(0, 1), dropout_2=tw.Float(0, 1))
    with pytest.raises(Mistyped, match="dropout_1, dropout_2"):
        understood("dropout 0.5", space, {"dropout_1": 0.1, "dropout_2": 0.1})


WORDS = st.sampled_from([*COMMANDS, *PARAMS, "lr", "=", "/", "*", "5", "-1", "1e999", "because", "[" * 300, "9" * 5000])


@given(st.one_of(st.text(max_size=80), st.lists(st.one_of(WORDS, st.text(max_size=5)), max_size=8).map(" ".join)))
def test_whatever_is_typed_is_understood_or_refused(text: str) -> None:
    try:
        meant = typed(text)
    except Mistyped:
        pass
    else:
        assert set(meant.values) <= set(PARAMS)
        assert all(math.isfinite(v) for v in meant.values.values() if isinstance(v, float))
    assert all(isinstance(word, str) for word in completions(text, PARAMS, SPACE))


def test_the_documentation_has_every_command_and_key() -> None:
    text = (Path(__file__).parents[2] / "docs/watch.md").read_text()
    assert all(f"`{name} " in text or f"`{name}`" in text for name in COMMANDS)
    assert all(key in text for keys, _ in KEYS for key in keys.split(", "))


def test_tab_completes_commands_parameters_and_choices() -> None:
    assert completions("pa", PARAMS, SPACE) == ["pause"]
    assert completions("l", PARAMS, SPACE) == ["learning_rate=", "layers="]
    assert completions("set mo", PARAMS, SPACE) == ["momentum="]
    assert completions("back 5 ", PARAMS, SPACE) == [f"{name}=" for name in PARAMS]
    assert completions("force f", PARAMS, SPACE) == ["fork"]
    assert completions("set optimizer=s", PARAMS, SPACE) == ["optimizer=sgd"]
    assert completions("watch ", PARAMS, SPACE) == []


def test_a_name_in_full_means_itself_though_another_is_in_force():
    assert parameter_meant("sgd.lr", ["optimizer", "adam.lr"], ["optimizer", "adam.lr", "sgd.lr"]) == "sgd.lr"
    assert parameter_meant("lr", ["optimizer", "adam.lr"], ["optimizer", "adam.lr", "sgd.lr"]) == "adam.lr"
    assert parameter_meant("momentum", ["lr"], ["lr", "momentum"]) == "momentum"
    assert parameter_meant("momentum", ["lr"]) is None

"""What is known of hyperparameters: every one in every domain, with sources; and parameters made from it."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from importlib.resources import files

import pytest

import tunewell as tw
from tunewell import knowledge
from tunewell.knowledge import reading
from tunewell.knowledge.records import ASPECTS
from tunewell.parameters import Parameter
from tunewell.scales import SCALES

EVERYWHERE = list(itertools.product(knowledge.names(), knowledge.DOMAINS, [None, *knowledge.OPTIMIZERS]))
EXPECTED = {
    "learning_rate", "momentum", "nesterov", "beta1", "beta2", "epsilon", "optimizer", "batch_size", "hidden_units",
    "layers", "dropout", "attention_dropout", "weight_decay", "l2", "l1", "label_smoothing", "warmup_steps",
    "warmup_ratio", "warmup_epochs", "schedule", "decay_factor", "min_learning_rate_ratio", "gradient_clipping",
    "gradient_accumulation", "attention_heads", "head_dimension", "feed_forward_ratio", "position_encoding",
    "norm_placement", "activation", "mixup", "cutmix", "augmentation_strength", "channels", "kernel_size",
    "model_width", "embedding_size", "ema_decay", "batch_norm_momentum", "norm_epsilon", "initial_variance", "epochs",
    "stochastic_depth", "lora_rank",
}  # fmt: skip


def test_these_hyperparameters_are_known() -> None:
    assert set(knowledge.names()) == EXPECTED


@pytest.mark.parametrize("domain", knowledge.DOMAINS)
def test_every_fact_has_its_reason_and_its_source(domain: str) -> None:
    for name in knowledge.names():
        known = knowledge.explain(name, domain=domain)
        assert set(known.facts) == set(ASPECTS)
        for fact in known.facts.values():
            assert fact.why
            assert fact.sources
            for cited in fact.sources:
                assert cited.source.url.startswith("https://")
                assert 1990 < cited.source.year < 2030
                assert cited.place


def test_a_usual_default_gives_way_to_a_narrower_range() -> None:
    assert tw.Float.of("lr").default == 1e-3
    assert tw.Float.of("lr", low=1e-2, high=1).default == 1e-2
    assert tw.Float.of("lr", high=1e-4).default == 1e-4
    assert tw.Choice.of("batch_size", choices=[7, 9]).default_value == 7
    assert not tw.Float.of("dropout", low=0.0, high=0.75, step=0.25).has_default
    with pytest.raises(ValueError, match="default: expected a number from 0.01 to 1.0, got 0.001"):
        tw.Float.of("lr", low=1e-2, high=1, default=1e-3)


def test_every_combination_makes_a_parameter_whose_interactions_are_known() -> None:
    for name, domain, optimizer in EVERYWHERE:
        known = knowledge.explain(name, domain=domain, optimizer=optimizer)
        made = Parameter.of(name, domain=domain, optimizer=optimizer)
        assert type(made).__name__ == known.kind
        assert made.has_default
        assert made.tier == known.tier.value in (1, 2, 3, 4)
        assert known.tuned is (made.tier < 4)
        assert known.scale.value in (*SCALES, "ordered", "unordered")
        assert set(known.interactions.value) <= EXPECTED - {name}
        assert name in str(known)


def test_every_source_is_cited_and_every_name_means_one_thing() -> None:
    text = "".join(files("tunewell.knowledge").joinpath(file).read_text() for file in (*reading.FILES, reading.CHANGES))
    keys = set(re.findall(r"^\[(\w+)\]", files("tunewell.knowledge").joinpath(reading.SOURCES).read_text(), re.M))
    assert keys == {text.partition(",")[0] for text in re.findall(r'"(\w+, [^"]+)"', text)} & keys
    called = [
        alias
        for known in reading.hyperparameters().values()
        for alias in {known.name, *known.aliases, *known.ambiguous}
    ]
    assert len(called) == len(set(called))


def test_the_narrowest_fact_holds() -> None:
    def default(name: str, **where: str) -> object:
        return knowledge.explain(name, **where).default.value  # type: ignore[arg-type]

    assert default("learning_rate") == 1e-3
    assert default("learning_rate", optimizer="nesterov") == 1e-2  # a kind of SGD
    assert default("learning_rate", domain="vision", optimizer="sgd") == 0.05
    assert default("learning_rate", domain="language_finetuning", optimizer="adamw") == 5e-5
    assert default("weight_decay", optimizer="adamw") == 1e-2
    assert default("weight_decay", optimizer="adam") == default("weight_decay") == 1e-4
    assert default("beta2", domain="llm_pretraining") == 0.95


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("lr", "learning_rate"),
        ("WD", "weight_decay"),
        ("optimizer.lr", "learning_rate"),
        ("model__learning-rate", "learning_rate"),
        ("adam/beta_1", "beta1"),
        ("Adam β2", "beta2"),
        ("Adam ε", "epsilon"),
        ("warm-up", "warmup_steps"),
        ("bs", "batch_size"),
        ("n_units", "hidden_units"),
        ("dropout_2", "dropout"),
        ("l2", "l2"),
        ("wavelength", None),
        ("width", None),  # of what?
        ("gamma", None),
        ("bn.momentum", "batch_norm_momentum"),
        ("warmup.epochs", "warmup_epochs"),
        ("train.epochs", "epochs"),
        ("head_lr", "learning_rate"),
        ("lr_backbone", "learning_rate"),
        ("learningRate", "learning_rate"),
        ("numLayers", "layers"),
        ("encoder_l2", "l2"),
        ("head_dim", "head_dimension"),
        ("lr_decay", "decay_factor"),
        ("lrSchedule", "schedule"),
        ("min_lr", None),
        ("lr_patience", None),
    ],
)
def test_names_are_understood(name: str, known: str | None) -> None:
    assert knowledge.find(name) == known


def test_a_name_that_may_mean_something_else_is_understood_where_it_is_asked_for() -> None:
    assert knowledge.find("alpha") is None
    assert knowledge.explain("alpha").name == "l2"


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: knowledge.explain("momentun"), "unknown hyperparameter 'momentun': did you mean 'momentum'?"),
        (lambda: knowledge.explain("lr", domain="visoin"), "unknown domain 'visoin': did you mean 'vision'?"),
        (lambda: knowledge.explain("lr", optimizer="adma"), "unknown optimizer 'adma': did you mean 'adam'?"),
        (
            lambda: tw.Float.of("bs"),
            "expected a hyperparameter of class Float, got 'bs' of class Choice: write Choice.of('bs')",
        ),
        (
            lambda: tw.Int.of("lr"),
            "expected a hyperparameter of class Int, got 'lr' of class Float: write Float.of('lr')",
        ),
        (lambda: tw.Space.of(["lr", "moment"]), "unknown hyperparameter 'moment': did you mean 'momentum'?"),
    ],
)
def test_a_mistake_is_one_sentence(call, sentence: str) -> None:
    with pytest.raises(ValueError) as told:
        call()
    assert str(told.value) == sentence


def test_what_is_no_name_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="expected a list of names, got the string 'lr'"):
        tw.Space.of("lr")
    with pytest.raises(TypeError, match="expected the name of a hyperparameter, got 3"):
        knowledge.explain(3)  # type: ignore[arg-type]


def test_rates_of_adam_are_not_those_of_sgd() -> None:
    for domain in ("language_finetuning", "llm_pretraining"):
        unsaid, adam, sgd = (knowledge.explain("lr", domain=domain, optimizer=o) for o in (None, "adamw", "sgd"))
        assert unsaid.arguments == adam.arguments
        assert sgd.range == knowledge.explain("lr", optimizer="sgd").range
        assert sgd.default.value == 1e-2


@pytest.mark.parametrize("domain", ["language_finetuning", "llm_pretraining"])
def test_momentum_is_left_alone_where_adam_has_its_own(domain: str) -> None:
    tiers = {o: knowledge.explain("momentum", domain=domain, optimizer=o).tier.value for o in (None, "adamw", "sgd")}
    assert tiers == {None: 4, "adamw": 4, "sgd": 2}


def test_the_default_configuration_is_that_of_the_default_optimizer() -> None:
    assert tw.Space.of(["lr", "optimizer"], domain="vision").default() == {"lr": 0.05, "optimizer": "sgd"}
    assert tw.Space.of(["wd", "optimizer"]).default() == {"wd": 1e-2, "optimizer": "adamw"}
    assert tw.Space.of(["wd", "optimizer"], optimizer="adam").default()["wd"] == 1e-4
    for domain in knowledge.DOMAINS:
        assert set(tw.Space.of(knowledge.names(), domain=domain).default()) == EXPECTED


def test_a_space_keeps_the_names_that_were_given() -> None:
    space = tw.Space.of(["lr", "bs", "momentum"], domain="vision", optimizer="sgd")
    assert list(space) == ["lr", "bs", "momentum"]
    assert space["lr"] == tw.Float(1e-4, 1.0, scale="log", default=0.05, tier=1)
    assert space["bs"] == tw.Choice([16, 32, 64, 128, 256, 512, 1024], ordered=True, default=128, tier=2)
    assert space.default() == {"lr": 0.05, "bs": 128, "momentum": 0.9}


def test_arguments_replace_what_is_known() -> None:
    made = tw.Float.of("momentum", high=0.99, when={"optimizer": "sgd"})
    assert (made.low, made.high, made.scale, dict(made.when or {})) == (
        0.5,
        0.99,
        "reverse_log",
        {"optimizer": ["sgd"]},
    )


def test_the_record_as_plain_data_and_in_words() -> None:
    known = knowledge.explain("lr", domain="vision", optimizer="sgd")
    data = known.to_json()
    assert data["class"] == "Float"
    assert data["range"]["value"] == [1e-4, 1.0]
    assert data["range"]["sources"][0]["url"] == "https://arxiv.org/abs/1512.03385"
    assert known.arguments == {"low": 1e-4, "high": 1.0, "scale": "log", "default": 0.05, "tier": 1}
    lines = str(known).splitlines()
    assert lines[0] == "learning_rate (vision, sgd): how far an update moves the weights"
    assert "  range         0.0001 to 1" in lines
    assert "leave it at its default" in str(knowledge.explain("epsilon"))


def test_a_file_with_a_slip_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    fact = {"scale": "log", "why": "so", "source": ["nobody, section 1"]}
    about = {"kind": "Float", "means": "x", "facts": [fact]}
    with pytest.raises(ValueError, match=r"expected a source as 'key, place' .* got 'nobody, section 1'"):
        reading._hyperparameter("x", about, {})
    with pytest.raises(ValueError, match=r"expected in a fact of x only .* got \['rang'\]"):
        reading._hyperparameter("x", {**about, "facts": [{**fact, "rang": [1, 2]}]}, {})
    with pytest.raises(ValueError, match=r"expected of x only .* got \['kinds'\]"):
        reading._hyperparameter("x", {**about, "kinds": "Float"}, {})


def test_the_files_are_read_when_first_asked_for() -> None:
    code = "import sys, tunewell; tunewell.Float(0.0, 1.0); print('tomllib' in sys.modules and 'read'); "
    code += "from tunewell.knowledge.reading import hyperparameters; print(hyperparameters.cache_info().currsize)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.splitlines()[-1] == "0"

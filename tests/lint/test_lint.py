"""Lint: the documented examples, silence on sound studies, and no exception whatever the space."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import tunewell as tw
from tunewell import lint as rules
from tunewell.lint import Plan, lint
from tunewell.lint.studies import usual_mode

PAGE = Path(__file__).parents[2] / "docs" / "lint.md"
CODE = r"```python\n(?P<{}>(?:(?!```).)*)```\n"
EXAMPLE = re.compile(CODE.format("before") + r"\n(?P<said>(?:> [^\n]*\n)+)\n" + CODE.format("after"), re.DOTALL)


def examples() -> list[Any]:
    text = PAGE.read_text(encoding="utf-8")
    found = []
    for section in re.split(r"^## ", text, flags=re.M)[1:]:
        code = re.match(r"`([a-z-]+)`", section)
        assert code is not None
        pairs = list(EXAMPLE.finditer(section))
        assert pairs, code[1]
        for number, pair in enumerate(pairs):
            said = " ".join(line.removeprefix("> ") for line in pair["said"].splitlines())
            found.append(pytest.param(code[1], pair["before"], said, pair["after"], id=f"{code[1]}-{number}"))
    return found


def found_by(script: str) -> tuple[tw.Finding, ...]:
    names: dict[str, Any] = {"tw": tw}
    exec(script, names)
    return names["findings"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(("code", "before", "said", "after"), examples())
def test_a_documented_example_has_this_finding_and_none_after_the_fix(
    code: str, before: str, said: str, after: str
) -> None:
    (finding,) = found_by(before)
    assert finding.code == code
    assert said == f"**{finding.severity}** {finding.message}; *{finding.fix}*"
    assert found_by(after) == ()


def test_every_code_is_documented() -> None:
    source = "".join(path.read_text() for path in Path(rules.__file__).parent.glob("*.py"))
    assert set(re.findall(r'Finding\(\s*"([a-z-]+)"', source)) == {example.values[0] for example in examples()}


# --- silence ----------------------------------------------------------------------------------------------------------

log = lambda low, high, default: tw.Float(low, high, scale="log", default=default)  # noqa: E731
near_one = lambda low, high, default: tw.Float(low, high, scale="reverse_log", default=default)  # noqa: E731
powers = lambda low, high, default: tw.Choice(  # noqa: E731
    [2**k for k in range(low, high + 1)], ordered=True, default=default
)
METRICS = ["val_loss", "min"], ["val_accuracy", "max"], ["val_rmse", "min"], ["eval_f1", "max"], ["mean_reward", "max"]
LOSS, ACCURACY, RMSE, F1, REWARD = METRICS
SOUND: dict[str, Callable[[], tuple[Any, ...]]] = {
    # space, metric and mode, study's settings, what lint is told
    "a ResNet on CIFAR": lambda: (
        tw.Space(
            lr=log(1e-3, 1.0, 0.1),
            momentum=near_one(0.8, 0.99, 0.9),
            weight_decay=log(1e-5, 1e-2, 5e-4),
            batch_size=powers(5, 9, 128),
            label_smoothing=tw.Float(0.0, 0.2, default=0.0),
        ),
        ACCURACY,
        {"scheduler": "asha"},
        {"domain": "vision", "optimizer": "sgd", "trials": 50, "samples": 45000, "held_out": 10000},
    ),
    "a vision transformer": lambda: (
        tw.Space(
            learning_rate=log(1e-4, 5e-3, 5e-4),
            weight_decay=log(0.01, 0.3, 0.05),
            drop_path=tw.Float(0.0, 0.3, default=0.1),
            mixup=tw.Float(0.0, 1.0, default=0.8),
            augmentation_strength=tw.Float(0.0, 1.0, default=0.5),
        ),
        ACCURACY,
        {"scheduler": "hyperband"},
        {"domain": "vision", "optimizer": "adamw", "trials": 81},
    ),
    "only the learning rate, five trials": lambda: (tw.Space.of(["lr"]), LOSS, {}, {"trials": 5}),
    "a small convolutional network": lambda: (
        tw.Space(
            learning_rate=log(1e-4, 1e-1, 1e-2),
            batch_size=powers(4, 8, 64),
            channels=tw.Int(8, 64, scale="log", default=16),
            kernel_size=tw.Choice([3, 5], default=3),
            dropout=tw.Float(0.0, 0.5, default=0.2),
        ),
        ACCURACY,
        {},
        {"trials": 40, "samples": 5000},
    ),
    "everything known for vision": lambda: (
        tw.Space.of(["learning_rate", "momentum", "weight_decay", "batch_size"], domain="vision", optimizer="sgd"),
        ACCURACY,
        {"sampler": "sobol"},
        {"domain": "vision", "optimizer": "sgd", "trials": 60},
    ),
    "segmentation": lambda: (
        tw.Space(
            lr=log(1e-4, 1e-1, 1e-2),
            wd=log(1e-6, 1e-3, 1e-4),
            crop=tw.Choice([256, 384, 512], ordered=True, default=384),
            schedule=tw.Choice(["cosine", "step"], default="cosine"),
            decay_factor=log(0.05, 0.5, 0.1),
        ),
        ["val/mIoU", "max"],
        {"scheduler": "median"},
        {"domain": "vision", "trials": 30, "staircase": True},
    ),
    "a tabular network": lambda: (
        tw.Space(
            learning_rate_init=log(1e-5, 1e-2, 1e-3),
            n_layers=tw.Int(1, 8, default=3),
            hidden_dim=tw.Int(32, 1024, scale="log", default=256),
            dropout=tw.Float(0.0, 0.5, default=0.1),
            weight_decay=log(1e-6, 1e-3, 1e-5),
        ),
        RMSE,
        {},
        {"domain": "tabular", "trials": 100, "samples": 20000},
    ),
    "a feature-tokenising transformer": lambda: (
        tw.Space.of(["lr", "layers", "model_width", "attention_dropout", "dropout", "weight_decay"], domain="tabular"),
        RMSE,
        {"sampler": "tpe"},
        {"domain": "tabular", "trials": 100},
    ),
    "a multilayer perceptron of scikit-learn": lambda: (
        tw.Space(
            {
                "mlp__learning_rate_init": log(1e-4, 1e-1, 1e-3),
                "mlp__alpha": log(1e-7, 1e-1, 1e-4),
                "mlp__batch_size": powers(4, 8, 64),
            }
        ),
        ["accuracy", "max"],
        {},
        {"domain": "tabular", "trials": 30, "samples": 1000},
    ),
    "optimizers with their own settings": lambda: (
        tw.Space(
            optimizer=tw.Choice(["sgd", "adamw"], default="adamw"),
            learning_rate=log(1e-4, 1.0, 1e-3),
            momentum=tw.Float.of("momentum", when={"optimizer": "sgd"}),
            nesterov=tw.Choice([False, True], when={"optimizer": "sgd"}),
            beta1=tw.Float.of("beta1", when={"optimizer": "adamw"}),
        ),
        LOSS,
        {},
        {"trials": 50},
    ),
    "boosted trees": lambda: (
        tw.Space(
            eta=log(0.01, 0.3, 0.1),
            max_depth=tw.Int(3, 10, default=6),
            subsample=tw.Float(0.5, 1.0, default=0.8),
            reg_lambda=log(1e-3, 10.0, 1.0),
        ),
        ["val_auc", "max"],
        {},
        {"trials": 60},
    ),
    "fine-tuning BERT": lambda: (
        tw.Space(
            learning_rate=log(1e-5, 1e-4, 3e-5),
            per_device_train_batch_size=tw.Choice([16, 32], default=32),
            warmup_ratio=tw.Float(0.0, 0.2, default=0.1),
            num_train_epochs=tw.Int(2, 5, default=3),
        ),
        F1,
        {"scheduler": "fifo"},
        {"domain": "language_finetuning", "trials": 20, "samples": 8500},
    ),
    "low-rank adaptation": lambda: (
        tw.Space.of(["lr", "lora_rank", "dropout", "batch_size"], domain="language_finetuning"),
        ["eval/loss", "min"],
        {"scheduler": "asha"},
        {"domain": "language_finetuning", "optimizer": "adamw", "trials": 30},
    ),
    "fine-tuning, nobody said that it is": lambda: (
        tw.Space(lr=log(1e-6, 1e-4, 2e-5), weight_decay=log(1e-3, 0.3, 0.01)),
        LOSS,
        {},
        {"trials": 12},
    ),
    "pre-training a language model": lambda: (
        tw.Space(
            lr=log(1e-4, 3e-3, 6e-4),
            warmup_steps=tw.Int(500, 5000, scale="log", default=2000),
            weight_decay=log(0.01, 0.3, 0.1),
            batch_size=tw.Choice([256, 480, 1024], ordered=True, default=480),
        ),
        ["val_perplexity", "min"],
        {"scheduler": "freeze_thaw"},
        {"domain": "llm_pretraining", "optimizer": "adamw", "trials": 24},
    ),
    "the width of a language model": lambda: (
        tw.Space.of(["learning_rate", "model_width", "layers"], domain="llm_pretraining"),
        LOSS,
        {"scheduler": "successive_halving"},
        {"domain": "llm_pretraining", "trials": 27},
    ),
    "a population of small language models": lambda: (
        tw.Space(lr=log(1e-4, 1e-2, 1e-3), weight_decay=log(0.01, 0.3, 0.1)),
        LOSS,
        {"scheduler": "pbt"},
        {"domain": "llm_pretraining", "trials": 16},
    ),
    "proximal policy optimisation": lambda: (
        tw.Space(
            learning_rate=log(1e-5, 1e-2, 3e-4),
            gamma=near_one(0.9, 0.9999, 0.99),
            clip=tw.Float(0.1, 0.4, default=0.2),
            gae_lambda=tw.Float(0.8, 1.0, default=0.95),
            ent_coef=log(1e-8, 0.1, 1e-3),
            batch_size=powers(5, 9, 64),
        ),
        REWARD,
        {"scheduler": "asha"},
        {"trials": 60},
    ),
    "Q-learning": lambda: (
        tw.Space(
            lr=log(1e-5, 1e-3, 1e-4),
            epsilon=tw.Float(0.01, 0.2, default=0.05),  # of the exploration, not Adam's
            target_update=tw.Int(100, 10000, scale="log", default=1000),
            buffer=powers(14, 20, 2**17),
        ),
        ["eval_return", "max"],
        {},
        {"trials": 40},
    ),
    "a quadratic": lambda: (
        tw.Space(x=tw.Float(-5.0, 5.0, default=0.0), y=tw.Float(-5.0, 5.0)), ["loss", "min"], {}, {"trials": 30}
    ),
    "the winner against the default, with five seeds": lambda: (
        tw.Space(seed=tw.Choice([0, 1, 2, 3, 4]), configuration=tw.Choice(["default", "winner"])),
        ["test_accuracy", "max"],
        {"sampler": "grid", "scheduler": "fifo"},
        {"trials": 10},
    ),
    "two goals": lambda: (
        tw.Space.of(["lr", "channels", "dropout"]), [["val_error", "latency_ms"], ["min", "min"]], {}, {"trials": 40}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SOUND)
def test_nothing_is_found_in_a_sound_study(name: str) -> None:
    space, (metric, mode), settings, told = SOUND[name]()
    if told.pop("staircase", False):
        space = tw.Space({**space, "decay_factor": tw.Float.of("decay_factor", when={"schedule": "step"})})
    study = tw.Study(space, metric, mode, seed=0, **settings)
    assert [str(finding) for finding in study.lint(**told)] == []
    assert [finding for finding in study.lint() if finding.severity == "warning"] == []  # as a run would show


def test_there_are_twenty_sound_studies() -> None:
    assert len(SOUND) >= 20


# --- what it rests on -------------------------------------------------------------------------------------------------


def test_findings_come_warnings_first_and_read_as_a_sentence() -> None:
    space = tw.Space(lr=tw.Float(1e-5, 1e-1), units=tw.Choice([64, 128, 256]))
    found = space.lint()
    assert [(f.code, f.parameter, f.severity) for f in found] == [
        ("wrong-scale", "lr", "warning"),
        ("unordered-numbers", "units", "warning"),
        ("no-default", None, "advice"),
    ]
    assert str(found[0]) == (
        "wrong-scale: lr is drawn evenly, so half of its values lie above 0.050005, but what counts is a factor; "
        "write lr=tw.Float(1e-05, 0.1, scale='log')"
    )


@pytest.mark.parametrize(
    "parameter",
    [
        tw.Float(0.0, 0.1, default=0.0, when={"act": "relu"}),
        tw.Float(1e-5, 1e-1, prior=tw.Prior(1e-3), tier=1, note="of Adam"),
    ],
)
def test_the_fix_of_a_scale_is_a_parameter_that_can_be_pasted(parameter: tw.Float) -> None:
    space = tw.Space(weight_decay=parameter, act=tw.Choice(["relu", "tanh"], default="relu"))
    (finding,) = [finding for finding in space.lint() if finding.code == "wrong-scale"]
    fixed = eval(finding.fix.removeprefix("write weight_decay="), {"tw": tw})
    assert (fixed.scale, fixed.when, fixed.tier) == ("log", parameter.when, parameter.tier)
    assert not [f for f in tw.Space({**space, "weight_decay": fixed}).lint() if f.code == "wrong-scale"]


@pytest.mark.parametrize(
    ("parameters", "scale"),
    [
        ({"beta2": tw.Float(0.9, 0.999, scale="log")}, "reverse_log"),
        ({"momentum": tw.Float(0.5, 0.99, step=0.01)}, "reverse_log"),
        ({"lr": tw.Float(1e-3, 0.1, scale="reverse_log")}, "log"),
        ({"lr": tw.Float(1e-3, 0.1, step=1e-3)}, "log"),
        ({"lr": tw.Float(1e-3, 0.1, scale="logit")}, None),
        ({"warmup_steps": tw.Int(0, 100, default=10)}, None),
        ({"epochs": tw.Int(0, 5)}, None),
        ({"units": tw.Int(16, 512, step=16)}, None),
    ],
)
def test_the_scale_that_counts(parameters: dict[str, tw.Float | tw.Int], scale: str | None) -> None:
    found = [finding.fix for finding in tw.Space(parameters).lint() if finding.code == "wrong-scale"]
    assert [re.findall(r"scale='(\w+)'", fix) for fix in found] == ([[scale]] if scale else [])


def codes(space: tw.Space, **told: Any) -> set[str]:
    return {finding.code for finding in lint(Plan(space, **told))}


def test_a_rate_of_silenced_units_is_no_learning_rate() -> None:
    assert "no-learning-rate" in codes(tw.Space.of(["dropout_rate", "batch_size", "hidden"]))
    for rate in ("lr_backbone", "rate", "optimizer.lr"):
        assert "no-learning-rate" not in codes(tw.Space({**tw.Space.of(["dropout", "bs"]), rate: tw.Float(1e-4, 1e-3)}))


@pytest.mark.parametrize("name", ["seed", "train.seed", "model_seed", "random-state"])
def test_a_seed_is_known_by_its_last_word(name: str) -> None:
    assert "seed-as-parameter" in codes(tw.Space({name: tw.Int(0, 9)}))
    assert "seed-as-parameter" not in codes(tw.Space({f"{name}ling": tw.Int(0, 9)}))


@pytest.mark.parametrize("name", ["bn.gamma", "batch_norm/gamma", "model.bn_gamma", "net__ln_bias"])
def test_a_weight_of_a_normalisation_is_known_in_any_group(name: str) -> None:
    assert "learnt-parameter" in codes(tw.Space({name: tw.Float(0.5, 2.0)}))


@pytest.mark.parametrize("metric", ["training_time", "train_time", "time_to_train", "train/seconds"])
def test_what_training_costs_is_no_training_metric(metric: str) -> None:
    assert "training-metric" not in codes(tw.Space.of(["lr"]), goals=((metric, "min"),))
    assert "training-metric" in codes(tw.Space.of(["lr"]), goals=(("train_loss", "min"),))


def test_a_grid_that_holds_all_values_is_not_spoken_of() -> None:
    switches = tw.Space({name: tw.Choice([False, True]) for name in "abcd"})
    assert "grid-over-many" not in codes(switches, sampler={"name": "grid"})
    assert "grid-over-many" in codes(tw.Space({**switches, "x": tw.Float(0.0, 1.0)}), sampler={"name": "grid"})


@pytest.mark.parametrize("domain", ["tabular", "language_finetuning"])
def test_a_short_warm_up_is_usual_where_trainings_are_short(domain: str) -> None:
    assert (
        codes(tw.Space(lr=tw.Float.of("lr", domain=domain), warmup_steps=tw.Int(0, 80, default=10)), domain=domain)
        == set()
    )


def test_one_trial_is_a_baseline_and_no_search() -> None:
    space = tw.Space.of(["learning_rate", "momentum", "batch_size", "dropout"])
    study = tw.Study(space, "val_loss", seed=0)
    study.run(lambda trial: trial.params["dropout"], trials=1, executor="inline", progress=False)
    assert study.lint() == ()


def test_the_newest_run_says_the_budget() -> None:
    space = tw.Space.of(["learning_rate", "momentum", "batch_size", "dropout"])
    study = tw.Study(space, "val_loss", seed=0)
    assert study.lint() == ()
    study.run(lambda trial: trial.params["dropout"], trials=4, executor="inline", progress=False)
    assert [finding.code for finding in study.lint()] == ["budget-too-small"]
    assert study.lint(trials=40) == ()


def test_a_total_of_steps_means_that_a_scheduler_decides_how_far_to_train() -> None:
    study = tw.Study(tw.Space.of(["lr", "epochs"]), "val_loss", seed=0)

    def train(trial: tw.Trial) -> None:
        for step in trial.steps(2):
            trial.report(val_loss=1.0 / step)

    study.run(train, steps=4, executor="inline", progress=False)
    assert [finding.code for finding in study.lint()] == ["epochs-with-scheduler"]


def test_twenty_results_without_a_repeat_are_of_one_seed() -> None:
    study = tw.Study(tw.Space.of(["lr"]), "val_loss", sampler="random", seed=0)
    for _ in range(20):
        trial = study.ask()
        study.tell(trial, trial.params["lr"])
    assert [finding.code for finding in study.lint()] == ["one-seed"]
    study.enqueue(study.best.params)
    study.tell(study.ask(), 0.1)
    assert study.lint() == ()


def test_a_wrong_argument_is_told() -> None:
    space = tw.Space.of(["lr"])
    with pytest.raises(TypeError, match="lint expected trials= to be a whole number, got '50'"):
        space.lint(trials="50")  # type: ignore[arg-type]
    for told in ({"trials": 0}, {"samples": -5}, {"seeds": 0}, {"held_out": -1}):
        with pytest.raises(ValueError, match=r"lint expected (\w+)= of at least [01], got .+: leave it out if unknown"):
            Plan(space, **told)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unknown domain 'visio': did you mean 'vision'?"):
        space.lint("visio")


NAMES = [
    "lr",
    "wd",
    "l2",
    "momentum",
    "beta2",
    "eps",
    "bs",
    "units",
    "dropout",
    "seed",
    "x",
    "bn_gamma",
    "epochs",
    "layers",
    "activation",
]
FLOATS = st.floats(-10.0, 10.0).map(lambda x: round(x, 6))
PARAMETERS = st.one_of(
    st.tuples(FLOATS, FLOATS).map(lambda ends: tw.Float(min(ends), max(ends))),
    st.tuples(st.floats(1e-9, 10.0), st.floats(1.001, 1e4)).map(lambda p: tw.Float(p[0], p[0] * p[1], scale="log")),
    st.tuples(st.integers(-5, 2000), st.integers(0, 2000)).map(lambda p: tw.Int(p[0], p[0] + p[1])),
    st.lists(st.integers(-3, 300), min_size=1, max_size=5, unique=True).map(tw.Choice),
    st.sampled_from([tw.Choice(["a", "b"]), tw.Choice([None, 1, 2.5]), tw.Choice([True, False])]),
)


@example({"bs": tw.Choice([-1])}, None, None, "grid", "pbt")
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(st.sampled_from(NAMES), PARAMETERS, max_size=8),
    st.one_of(st.none(), st.integers(1, 100)),
    st.one_of(st.none(), st.sampled_from(["vision", "tabular", "llm_pretraining"])),
    st.sampled_from(["grid", "auto"]),
    st.sampled_from(["pbt", "asha", "patience"]),
)
def test_no_space_makes_it_fail(
    parameters: dict[str, Any], count: int | None, domain: str | None, sampler: str, scheduler: str
) -> None:
    plan = Plan(
        tw.Space(parameters),
        domain,
        trials=count,
        samples=count,
        sampler={"name": sampler, "points": {"lr": 3}},
        scheduler={"name": scheduler, "then": {"name": "asha"}},
        goals=(("valAcc", "min"), ("test/loss", "max")),
    )
    for finding in lint(plan):
        assert finding.message
        assert finding.fix
        assert finding.parameter is None or finding.parameter in parameters


@pytest.mark.parametrize(
    ("mode", "metrics"),
    [
        (
            "max",
            "top1 val_acc1 acc@5 dice mcc val/mIoU ap AP50 map50 bleu4 rougeL psnr ssim f1_score score val_score "
            "topAccuracy r2_score",
        ),
        ("max", "neg_mean_squared_error val_neg_log_loss negative_loss top-1-accuracy 1-shot_accuracy one-shot_acc r2"),
        (
            "min",
            "valLoss val_loss top_1_error brier_score 1-accuracy val_1-acc one_minus_f1 negative_log_likelihood",
        ),
        (None, "goodness latency neg_goodness 1 davies_bouldin_score latency_score anomaly_score brier_skill_score"),
        (None, "accuracy_drop loss_gap val_f1_degradation accuracyDrop neg_accuracy_drop accuracy_std"),
    ],
)
def test_what_is_usual_is_read_off_the_words_of_a_metric(mode: str | None, metrics: str) -> None:
    assert {metric: usual_mode(metric) for metric in metrics.split()} == dict.fromkeys(metrics.split(), mode)

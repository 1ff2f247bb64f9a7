"""Rules about what is searched together, with which budget, and by which metric."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from tunewell import knowledge
from tunewell.knowledge.metrics import is_cost, words
from tunewell.lint.finding import Finding
from tunewell.lint.plan import Plan, is_seed
from tunewell.parameters import Choice
from tunewell.values import Value, joined

PER_PARAMETER = 3  # trials, for each parameter that is searched
GRID = 3  # more parameters than this are too many for a grid
ADAM = {"beta1": 10, "epsilon": 25, "beta2": 50}  # trials from which each is worth tuning (the Playbook, 50 by us)
LAST_TIER_TRIALS = 100
TWICE = (
    ("weight_decay", "l2", "both shrink the weights"),
    ("warmup_steps", "warmup_ratio", "both say how long the warm-up is"),
    ("warmup_steps", "warmup_epochs", "both say how long the warm-up is"),
    ("warmup_epochs", "warmup_ratio", "both say how long the warm-up is"),
    ("momentum", "beta1", "both say how long gradients are averaged"),
    ("batch_size", "gradient_accumulation", "an update sees their product"),
)
SHORT = {"lr": "learning_rate", "wd": "weight_decay", "bs": "batch_size"}
_ADAMS = {"adam", "adamw", "nadam"}
OWNERS = {  # the optimizers that have a setting
    "momentum": {"sgd", "momentum", "nesterov", "rmsprop"},
    "nesterov": {"sgd", "momentum", "nesterov"},
    "beta1": _ADAMS,
    "beta2": _ADAMS,
    "epsilon": {*_ADAMS, "rmsprop"},
}
_HIGHER = {
    "accuracy", "acc", "top1", "top5", "auc", "auroc", "roc", "auprc", "ap", "map", "f1", "precision", "recall",
    "sensitivity", "specificity", "bleu", "rouge", "rougel", "rougelsum", "meteor", "cider", "iou", "miou", "dice",
    "jaccard", "mcc", "kappa", "ndcg", "mrr", "psnr", "ssim", "r2", "correlation", "pearson", "spearman", "likelihood",
    "elbo", "reward", "return",
}  # fmt: skip
_LOWER = {
    "loss", "logloss", "error", "perplexity", "ppl", "mse", "rmse", "mae", "mape", "nll", "bce", "crossentropy",
    "divergence", "brier", "eer", "fid", "lpips", "wer", "cer", "regret",
}  # fmt: skip
_COMPARED = {  # a metric of how another one moves or spreads: no word says which way round it is counted
    "drop", "gap", "degradation", "difference", "diff", "delta", "change", "decrease", "increase", "improvement", "std",
    "variance", "skill",
}  # fmt: skip
_PLAIN_SCORE = {"score", "val", "valid", "validation", "dev", "eval", "test", "train", "training", "cv", "mean", "avg"}
_TURNED = re.compile(  # neg_mean_squared_error, val_negative_loss, 1-accuracy, one_minus_f1
    r"((val|valid|validation|dev|eval|train|test)[ _/-])?"
    r"((neg|negative|(1|one)[ _-]minus)[ _-]|1 ?- ?(?!shot|way|step|best|nn|nearest|gram))"
)
_SMOOTH = {"cosine", "linear", "constant", "const"}  # schedules without a factor
_STAIRCASE = re.compile("step|stair|exp")
_LEARNT = re.compile(r"(bn|batch_?norm|layer_?norm|ln|norm)_?\d*_(gamma|beta|weight|bias|scale|shift)")


def test_metric(plan: Plan) -> Iterator[Finding]:
    """Point out searches that see the test data."""
    for metric, _ in plan.goals:
        if "test" in words(metric) and not plan.is_comparison:
            yield Finding(
                "test-metric",
                None,
                f"the search goes by {metric}: whatever it finds will look better on these data than on new ones",
                "search by a validation metric and measure the winner on the test data once, at the end",
            )


def training_metric(plan: Plan) -> Iterator[Finding]:
    """Point out searches by what the network is trained on."""
    for metric, _ in plan.goals:
        if words(metric) & {"train", "training"} and not is_cost(metric):
            yield Finding(
                "training-metric",
                None,
                f"the search goes by {metric}, so it rewards learning the training data by heart",
                "hold a part of the data out and search by the metric on it, for example val_loss",
            )


def usual_mode(metric: str) -> str | None:
    """Return ``"min"`` or ``"max"``, what a metric of this name is usually meant to be; None where it is unknown."""
    own = words(metric)
    said = own | words(metric.lower())  # mIoU is one word, topAccuracy two
    said |= {word.rstrip("0123456789") for word in said}
    if said & _COMPARED:
        return None
    higher = said & _HIGHER or ("score" in own and own <= _PLAIN_SCORE)  # of an anomaly_score nobody knows
    found = "min" if said & _LOWER else "max" if higher else None
    if found is not None and _TURNED.match(metric.lower()):
        return "max" if found == "min" else "min"
    return found


def wrong_mode(plan: Plan) -> Iterator[Finding]:
    """Point out metrics that are optimised the wrong way round."""
    for metric, mode in plan.goals:
        better = usual_mode(metric)
        if better is not None and mode != better:
            verb, usual = ("minimised", "more") if better == "max" else ("maximised", "less")
            yield Finding(
                "wrong-mode", None, f"{metric} is {verb}, and {usual} of it is usually better", f'say mode="{better}"'
            )


def no_held_out(plan: Plan) -> Iterator[Finding]:
    """Point out that nothing is left to measure the winner on."""
    if plan.held_out is not None and plan.held_out <= 0:
        yield Finding(
            "no-held-out",
            None,
            "no examples are held out from the search, so nothing can tell how good the winner is on new data",
            "set a test part aside before the first trial, a tenth of the examples for example",
        )


def one_seed(plan: Plan) -> Iterator[Finding]:
    """Point out that the winner was trained once."""
    if plan.seeds is not None and plan.seeds <= 1:
        yield Finding(
            "one-seed",
            None,
            "the winner rests on one seed, and the spread between seeds is often as large as the gain",
            "train the winner and the default again with three seeds or more, the same for both",
            "advice",
        )


def seed_as_parameter(plan: Plan) -> Iterator[Finding]:
    """Point out seeds among the hyperparameters."""
    for name in plan.tuned:
        if is_seed(name) and not plan.is_comparison:
            yield Finding(
                "seed-as-parameter",
                name,
                f"{name} is searched, so the winner is the luckiest draw, and luck does not carry over to new data",
                "take it out of the space and give trial.seed to your framework",
            )


def learnt_parameter(plan: Plan) -> Iterator[Finding]:
    """Point out weights that the network learns by itself."""
    for name in plan.parameters:
        parts = re.split(r"[./]|__", name.lower())
        if any(_LEARNT.fullmatch("_".join(parts[-last:])) for last in (1, 2)):
            yield Finding(
                "learnt-parameter",
                name,
                f"{name} is a weight of a normalisation, which the network learns by gradient descent",
                "take it out of the space",
            )


def budget_too_small(plan: Plan) -> Iterator[Finding]:
    """Point out spaces that are too large for the trials; one trial is a baseline, no search."""
    wanted = PER_PARAMETER * len(plan.tuned)
    if plan.trials in (None, 1) or len(plan.tuned) < 3 or plan.trials >= wanted or plan.is_comparison:
        return
    kept = max(1, plan.trials // PER_PARAMETER)
    tiers = {name: min(k.tier.value for k in known) for name, known in plan.known.items()}
    first = sorted(plan.tuned, key=lambda name: tiers.get(name, knowledge.LAST_TIER))[:kept]
    yield Finding(
        "budget-too-small",
        None,
        f"{plan.trials} trials for {len(plan.tuned)} parameters are fewer than {PER_PARAMETER} for each",
        f"search {joined(first)} first and leave the others at their defaults, or give it trials={wanted}",
    )


def adam_constants(plan: Plan) -> Iterator[Finding]:
    """Point out constants of Adam's that are tuned with too few trials."""
    for name, known in plan.known.items():
        least = ADAM.get(known[0].name)
        if least is not None and plan.trials is not None and plan.trials < least and name in plan.tuned:
            yield Finding(
                "adam-constant",
                name,
                f"{name} is tuned with {plan.trials} trials; it is worth it from about {least} on",
                f"leave it at {known[0].default.value:g} and spend the trials on the learning rate",
            )


def keep_default(plan: Plan) -> Iterator[Finding]:
    """Point out hyperparameters that are best left alone."""
    for name, known in plan.known.items():
        alone = all(not k.tuned for k in known) and known[0].name not in (*ADAM, "epochs", "gradient_accumulation")
        if alone and name in plan.tuned and (plan.trials is None or plan.trials < LAST_TIER_TRIALS):
            yield Finding(
                "keep-default",
                name,
                f"{name} is rarely worth a trial: {known[0].tier.why}",
                f"fix it at {known[0].default.value!r}",
                "advice",
            )


def no_learning_rate(plan: Plan) -> Iterator[Finding]:
    """Point out that the most important hyperparameter is missing."""
    training = [name for name in plan.known if name in plan.tuned]
    if len(training) >= 2 and not any(plan.called("learning_rate")) and not _has_rate(plan):
        yield Finding(
            "no-learning-rate",
            None,
            f"{joined(training)} are searched and the learning rate is not, which decides most and moves with them",
            f'add learning_rate=tw.Float.of("learning_rate"{plan.where})',
            "advice",
        )


def _has_rate(plan: Plan) -> bool:
    return any({"lr", "rate"} & words(name) for name in plan.parameters if name not in plan.known)


def grid_over_many(plan: Plan) -> Iterator[Finding]:
    """Point out grids in many dimensions."""
    if plan.sampler.get("name") != "grid" or len(plan.tuned) <= GRID or plan.is_comparison:
        return
    points = plan.sampler.get("points", 5)
    counts = [
        p.count if isinstance(p, Choice) else min(p.count, points.get(name, 1) if isinstance(points, dict) else points)
        for name, p in plan.parameters.items()
    ]
    if counts == [p.count for p in plan.parameters.values()]:  # it holds them all
        return
    yield Finding(
        "grid-over-many",
        None,
        f"a grid over {len(plan.tuned)} parameters has {math.prod(counts):,} points and few values of each",
        'use sampler="sobol" or the default, which try another value of every parameter in each trial',
    )


def said_twice(plan: Plan) -> Iterator[Finding]:
    """Point out two parameters for one thing."""
    pairs = [(a, b, why) for one, other, why in TWICE for a in plan.called(one) for b in plan.called(other)]
    pairs += [
        (name, again, f"{again} is short for {name}")
        for again in plan.parameters
        for name in plan.parameters
        if SHORT.get(again.lower()) == name.lower()
    ]
    for name, again, why in pairs:
        if _together(plan, name, again):
            yield Finding(
                "said-twice",
                again,
                f"{name} and {again} are both searched, and {why}: many pairs mean the same",
                f"keep {name} and take {again} out, or make each active only when=... the other is not",
            )


def decay_without_step(plan: Plan) -> Iterator[Finding]:
    """Point out factors of a staircase that other schedules do not have."""
    for schedule in plan.called("schedule"):
        parameter = plan.parameters[schedule]
        if not isinstance(parameter, Choice) or not set(parameter.choices) & _SMOOTH:
            continue
        stairs = [value for value in parameter.choices if _STAIRCASE.search(str(value).lower())]
        for name in plan.called("decay_factor"):
            if name in plan.tuned and schedule not in (plan.parameters[name].when or {}):
                yield Finding(
                    "decay-without-step",
                    name,
                    f"{name} is searched for every {schedule}, but only a staircase has such a factor",
                    f"make it active only then: {_active(plan, name, schedule, stairs)}"
                    if stairs
                    else f"take it out of the space, since no {schedule} here is one",
                )


def _active(plan: Plan, name: str, parent: str, values: list[Value]) -> str:
    """Return the condition of a parameter with these values of one more parent, ready to be pasted."""
    found = {**(plan.parameters[name].when or {}), parent: values}
    when = {other: held[0] if len(held) == 1 else held for other, held in found.items()}
    return f"when={when!r}"


def of_another_optimizer(plan: Plan) -> Iterator[Finding]:
    """Point out settings of one optimizer that are searched under another."""
    for optimizer in plan.called("optimizer"):
        parameter = plan.parameters[optimizer]
        if not isinstance(parameter, Choice):
            continue
        offered = {str(value).lower(): value for value in parameter.choices}
        for name, known in plan.known.items():
            own = OWNERS.get(known[0].name, set())
            mine = [value for key, value in offered.items() if key in own]
            foreign = set(offered) & set(knowledge.OPTIMIZERS) - own
            if own and mine and foreign and optimizer not in (plan.parameters[name].when or {}):
                yield Finding(
                    "of-another-optimizer",
                    name,
                    f"{name} is searched under {joined(sorted(foreign))}, too, where it means nothing",
                    f"make it active only where it counts: {_active(plan, name, optimizer, mine)}",
                    "advice",
                )


def epochs_with_scheduler(plan: Plan) -> Iterator[Finding]:
    """Point out lengths of training that are searched while a scheduler decides on them."""
    for name in plan.called("epochs"):
        if plan.gradual is not None and name in plan.tuned:
            yield Finding(
                "epochs-with-scheduler",
                name,
                f"{name} is searched while {plan.gradual} decides how far to train, so the two disagree on a length",
                f"take it out of the space and let {plan.gradual} decide, with max_steps= for the longest training",
            )


def architecture_in_population(plan: Plan) -> Iterator[Finding]:
    """Point out sizes of a network that cannot change while weights are handed on."""
    if plan.population is None:
        return
    fixed = list(plan.population.get("fixed", ()))
    built = [name for name, known in plan.known.items() if known[0].architecture and name in plan.tuned]
    loose = [name for name in built if name not in fixed]
    for name in loose:
        yield Finding(
            "architecture-in-population",
            name,
            f"{name} would change while {plan.population['name']} hands on weights, which then no longer fit",
            f"say fixed={fixed + loose!r} to the scheduler, or search it in another study",
        )


def _together(plan: Plan, one: str, other: str) -> bool:
    """Tell whether two parameters are searched at the same time: no condition tells them apart."""
    if one not in plan.tuned or other not in plan.tuned:
        return False
    here, there = plan.parameters[one].when or {}, plan.parameters[other].when or {}
    return not any(set(map(str, here[p])).isdisjoint(map(str, there[p])) for p in here.keys() & there.keys())


RULES = (
    test_metric, training_metric, wrong_mode, seed_as_parameter, learnt_parameter, epochs_with_scheduler,
    architecture_in_population, budget_too_small, grid_over_many, no_held_out, adam_constants, said_twice,
    decay_without_step, of_another_optimizer, one_seed, keep_default, no_learning_rate,
)  # fmt: skip

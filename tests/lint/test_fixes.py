"""Lint: whoever does what a fix says is rid of the finding, and gets no new one of the same weight."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

import tunewell as tw
from tunewell import lint as rules
from tunewell.lint import Plan, lint

PAGE = Path(__file__).parents[2] / "docs" / "lint.md"


def with_parameters(plan: Plan, changed: Mapping[str, Any]) -> Plan:
    """Return a plan with some parameters replaced or added; None takes one out."""
    kept = {name: parameter for name, parameter in {**plan.parameters, **changed}.items() if parameter is not None}
    return dataclasses.replace(plan, parameters=tw.Space(kept))


def changed(plan: Plan, name: str, **values: Any) -> Plan:
    return with_parameters(plan, {name: dataclasses.replace(plan.parameters[name], **values)})  # type: ignore[type-var]


def only(plan: Plan, names: str) -> Plan:
    kept = re.split(r", | and ", names)
    return with_parameters(plan, {name: None for name in plan.parameters if name not in kept})


def ended(plan: Plan, name: str, most: int) -> Plan:
    parameter = plan.parameters[name]
    if isinstance(parameter, tw.Choice):
        kept = [value for value in parameter.choices if value < most] + [most]
        default = parameter.default if parameter.default in kept else most
        return changed(plan, name, choices=kept, default=default)
    low = min(parameter.low, most)  # type: ignore[attr-defined]
    default = min(parameter.default_value, most)
    return changed(plan, name, low=low, high=most, default=default)


def starting(plan: Plan, name: str, value: str) -> Plan:
    """Return a plan with a default; where the fix names no value, a reader takes the middle."""
    middle = plan.parameters[name].default_value
    return changed(plan, name, default=middle if value == "..." else eval(value))


def other_metric(plan: Plan) -> Plan:
    goals = tuple((re.sub("test|train(ing)?", "val", metric), mode) for metric, mode in plan.goals)
    return dataclasses.replace(plan, goals=goals)


def other_mode(plan: Plan, message: str, mode: str) -> Plan:
    wrong = message.partition(" is ")[0]
    goals = tuple((metric, mode if metric == wrong else was) for metric, was in plan.goals)
    return dataclasses.replace(plan, goals=goals)


def fixing(plan: Plan, names: str) -> Plan:
    return dataclasses.replace(plan, scheduler={**plan.scheduler, "fixed": tuple(eval(names))})


def as_said(plan: Plan, name: str, parameter: str) -> Plan:
    return with_parameters(plan, {name: eval(parameter, {"tw": tw})})


def pasted(plan: Plan, name: str, code: str) -> Plan:
    return with_parameters(plan, dict(eval(f"tw.Space({code})", {"tw": tw, name: None})))


def only_when(plan: Plan, name: str, when: str) -> Plan:
    return changed(plan, name, when={**(plan.parameters[name].when or {}), **eval(when)})


# what a fix says, and what a reader then does; the first that fits counts
READINGS: tuple[tuple[str, Callable[..., Plan]], ...] = (
    (r"(?:write|start from|add) ([\w.]+)=(tw\..+\))", lambda p, f, name, said: as_said(p, name, said)),
    (r'(?:write|start from) (\*\*\{"(.+?)": .+\})', lambda p, f, code, name: pasted(p, name, code)),
    (r"take it out of the space", lambda p, f: with_parameters(p, {f.parameter: None})),
    (r"take (\w+) out", lambda p, f, name: with_parameters(p, {name: None})),
    (r"(?:fix|leave) it at ", lambda p, f: with_parameters(p, {f.parameter: None})),
    (r"start where others do, at default=(.+)", lambda p, f, value: changed(p, f.parameter, default=eval(value))),
    (r"end (\w+) well below \d+, at (\d+)", lambda p, f, name, most: ended(p, name, int(most))),
    (r"search (.+) first and leave the others", lambda p, f, names: only(p, names)),
    (r"when=(\{.+\})", lambda p, f, when: only_when(p, f.parameter, when)),
    (r"say fixed=(\[.+\]) to the scheduler", lambda p, f, names: fixing(p, names)),
    (r"state where an expert would start, (\S+) with default=(\S+)", lambda p, f, name, said: starting(p, name, said)),
    (r'use sampler="(\w+)"', lambda p, f, name: dataclasses.replace(p, sampler={"name": name})),
    (r"search by (?:a validation metric|the metric on it)", lambda p, f: other_metric(p)),
    (r'say mode="(\w+)"', lambda p, f, mode: other_mode(p, f.message, mode)),
    (r"set a test part aside", lambda p, f: dataclasses.replace(p, held_out=100)),
    (r"with three seeds or more", lambda p, f: dataclasses.replace(p, seeds=3)),
)


def followed(plan: Plan, finding: tw.Finding) -> Plan:
    """Return the plan of a reader who has done what the fix of a finding says."""
    for pattern, do in READINGS:
        if said := re.search(pattern, finding.fix):
            return do(plan, finding, *said.groups())
    raise AssertionError(f"a reader does not know what to do: {finding.fix!r}")


def new(before: Sequence[tw.Finding], after: Sequence[tw.Finding], severity: str) -> list[str]:
    """Return the findings of at least this weight that were not there before."""
    known = {(finding.code, finding.parameter) for finding in before}
    heavy = {"warning"} if severity == "warning" else {"warning", "advice"}
    return [str(f) for f in after if (f.code, f.parameter) not in known and f.severity in heavy]


def planned(script: str) -> Plan:
    """Return what a script gives to lint."""
    plans: list[Plan] = []

    def keep(plan: Plan) -> tuple[tw.Finding, ...]:
        plans.append(plan)
        return ()

    with mock.patch("tunewell.space.lint", keep), mock.patch("tunewell.reading.lint", keep):
        exec(script, {"tw": tw})
    return plans[-1]


def sections() -> list[Any]:
    """Return the documented examples: a code, and a script that has the finding."""
    found = []
    for section in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.M)[1:]:
        code = section.split("`")[1]
        scripts = re.findall(r"```python\n((?:(?!```).)*)```\n\n> ", section, re.DOTALL)
        found += [pytest.param(code, script, id=f"{code}-{number}") for number, script in enumerate(scripts)]
    return found


def walked(code: str, plan: Plan) -> tuple[tw.Finding, Plan]:
    """Follow the first finding with a code; it must be gone then, and nothing as heavy in its place."""
    before = lint(plan)
    finding = next(finding for finding in before if finding.code == code)
    better = followed(plan, finding)
    after = lint(better)
    assert (code, finding.parameter) not in {(each.code, each.parameter) for each in after}
    assert new(before, after, finding.severity) == []
    return finding, better


@pytest.mark.parametrize(("code", "script"), sections())
def test_doing_what_the_fix_says_takes_the_finding_away_and_brings_no_other(code: str, script: str) -> None:
    _, better = walked(code, planned(script))
    assert lint(better) == ()


def test_every_code_is_walked_through() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in Path(rules.__file__).parent.glob("*.py"))
    codes = set(re.findall(r'Finding\(\s*"([a-z-]+)"', source))
    assert len(codes) == 26
    assert codes == {section.values[0] for section in sections()}


FACTOR = tw.Float.of("decay_factor")
COSINE = tw.Choice(["cosine", "StepLR", "exponential"], default="cosine")
SMOOTH = tw.Choice(["cosine", "linear"], default="cosine")
NETS = tw.Choice(["small", "large"], default="small")
AWKWARD: dict[str, tuple[str, Plan, str]] = {
    # code, plan, what the fix must say
    "a choice of batch sizes with a condition and a tier": (
        "odd-batch-size",
        Plan(tw.Space(net=NETS, batch_size=tw.Choice([20, 50], default=50, tier=1, when={"net": "small"}))),
        "write batch_size=tw.Choice([16, 64], ordered=True, default=64, tier=1, when={'net': 'small'})",
    ),
    "a usual default beyond the range": (
        "unusual-default",
        Plan(tw.Space(beta2=tw.Float(0.5, 0.95, scale="reverse_log", default=0.5)), "vision"),
        "start where others do, at default=0.95",
    ),
    "a usual default that is no choice": (
        "unusual-default",
        Plan(tw.Space(lr=tw.Choice([1e-5, 4e-4, 3e-3], ordered=True, default=3e-3)), "language_finetuning"),
        "start where others do, at default=1e-05",
    ),
    "a usual default between the steps": (
        "unusual-default",
        Plan(tw.Space(lr=tw.Float.of("lr"), epochs=tw.Int(1, 76, step=15, default=1)), "generic"),
        "start where others do, at default=46",
    ),
    "a decay that ends where others begin": (
        "wrong-scale",
        Plan(tw.Space(weight_decay=tw.Float(0.0, 1e-6, default=0.0))),
        "write weight_decay=tw.Float(1e-09, 1e-06, scale='log', default=1e-06)",
    ),
    "a momentum that begins where others end": (
        "wrong-scale",
        Plan(tw.Space(momentum=tw.Float(0.998, 1.0, default=0.999))),
        "write momentum=tw.Float(0.998, 0.999998, scale='reverse_log', default=0.999)",
    ),
    "a rate with a dot in its name, elsewhere": (
        "range-elsewhere",
        Plan(tw.Space({"optimizer.lr": tw.Float(2, 9, scale="log", default=3)}), "vision", "sgd"),
        'start from **{"optimizer.lr": tw.Float.of("learning_rate", domain="vision", optimizer="sgd")}, '
        "or make sure that the units are the usual ones",
    ),
    "a momentum as PyTorch counts it, far too wide": (
        "range-too-wide",
        Plan(tw.Space(bn_momentum=tw.Float(1e-6, 0.3, scale="log", default=0.1))),
        "start from bn_momentum=tw.Float(0.001, 0.1, scale='log', default=0.1, tier=4) "
        "and widen it if the best trials crowd at an end",
    ),
    "a momentum that Adam has not": (
        "of-another-optimizer",
        Plan(tw.Space.of(["lr", "momentum", "optimizer"])),
        "make it active only where it counts: when={'optimizer': 'sgd'}",
    ),
    "a constant of Adam's that SGD has not": (
        "of-another-optimizer",
        Plan(tw.Space.of(["lr", "beta1", "optimizer"])),
        "make it active only where it counts: when={'optimizer': ['adam', 'adamw']}",
    ),
    "a rate and its abbreviation": (
        "said-twice",
        Plan(tw.Space.of(["learning_rate", "lr"])),
        "keep learning_rate and take lr out, or make each active only when=... the other is not",
    ),
    "a batch of all examples": (
        "batch-beyond-data",
        Plan(tw.Space(batch_size=tw.Choice([64, 512], default=64)), samples=512),
        "end batch_size well below 512, at 64 or so",
    ),
    "a default of zero where a factor counts": (
        "wrong-scale",
        Plan(tw.Space(weight_decay=tw.Float(0.0, 0.1, default=0.0))),
        "write weight_decay=tw.Float(1e-06, 0.1, scale='log', default=0.0001)",
    ),
    "a belief about a rate that is drawn evenly": (
        "wrong-scale",
        Plan(tw.Space(lr=tw.Float(1e-5, 1e-1, default=1e-3, prior=tw.Prior(1e-3)))),
        "write lr=tw.Float(1e-05, 0.1, scale='log', default=0.001, "
        "prior=tw.Prior(center=0.001, confidence='medium'))",
    ),
    "a belief about a choice": (
        "unordered-numbers",
        Plan(tw.Space(units=tw.Choice([256, 64, 128], default=128, prior=tw.Prior(64)))),
        "write units=tw.Choice([64, 128, 256], ordered=True, default=128, "
        "prior=tw.Prior(center=64, confidence='medium'))",
    ),
    "a factor for two of three schedules": (
        "decay-without-step",
        Plan(tw.Space(lr=tw.Float.of("lr"), schedule=COSINE, decay_factor=FACTOR)),
        "make it active only then: when={'schedule': ['StepLR', 'exponential']}",
    ),
    "a factor that no schedule has": (
        "decay-without-step",
        Plan(tw.Space(lr=tw.Float.of("lr"), schedule=SMOOTH, decay_factor=FACTOR)),
        "take it out of the space, since no schedule here is one",
    ),
    "a setting with a condition already": (
        "of-another-optimizer",
        Plan(
            tw.Space(
                lr=tw.Float.of("lr"),
                net=NETS,
                optimizer=tw.Choice(["sgd", "adam"], default="adam"),
                nesterov=tw.Choice([False, True], when={"net": "large"}),
            )
        ),
        "make it active only where it counts: when={'net': 'large', 'optimizer': 'sgd'}",
    ),
    "no rate in a fine-tuning": (
        "no-learning-rate",
        Plan(tw.Space.of(["dropout", "batch_size"], domain="language_finetuning"), "language_finetuning"),
        'add learning_rate=tw.Float.of("learning_rate", domain="language_finetuning")',
    ),
    "a range elsewhere, with a condition": (
        "range-elsewhere",
        Plan(tw.Space(net=NETS, lr=tw.Float(2, 9, scale="log", default=3, when={"net": "small"})), "vision", "sgd"),
        'start from lr=tw.Float.of("learning_rate", domain="vision", optimizer="sgd", when={\'net\': [\'small\']}), '
        "or make sure that the units are the usual ones",
    ),
    "two sizes of a network in a population": (
        "architecture-in-population",
        Plan(tw.Space.of(["lr", "hidden_units", "layers"]), scheduler={"name": "pbt", "fixed": ["lr"]}),
        "say fixed=['lr', 'hidden_units', 'layers'] to the scheduler, or search it in another study",
    ),
    "an activation that is best left alone": (
        "keep-default",
        Plan(tw.Space.of(["lr", "norm_placement"])),
        "fix it at 'pre'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", AWKWARD)
def test_a_fix_holds_where_the_usual_one_would_not(name: str) -> None:
    code, plan, said = AWKWARD[name]
    finding, better = walked(code, plan)
    assert finding.fix == said
    assert code not in {each.code for each in lint(better)}


def test_a_default_that_no_value_can_replace_is_not_spoken_of() -> None:
    space = tw.Space(lr=tw.Choice([1e-9, 1e3], ordered=True, default=1e3))
    assert "unusual-default" not in {finding.code for finding in space.lint()}

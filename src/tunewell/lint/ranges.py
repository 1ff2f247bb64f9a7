"""Rules about single parameters: their scales, ranges and defaults, against what is known of them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tunewell.knowledge import Explanation
from tunewell.lint.finding import Finding
from tunewell.lint.plan import Plan, assigned, ends, numbers
from tunewell.parameters import Choice, Float, Int, Parameter
from tunewell.scales import SCALES, ScaleName

NARROW = 0.1  # of the usual range, on its scale
WIDE = 1.75  # times the usual range, on its scale
STEPS = 1000  # values of a stepped range that are looked at
_RATIO = {"Float": 3.0, "Int": 16.0, "Choice": 8.0}  # a range of less than this factor needs no other scale


def wrong_scale(plan: Plan) -> Iterator[Finding]:
    """Point out ranges that are drawn evenly where a factor counts, or by another factor than the one that counts."""
    for name, known in plan.known.items():
        parameter, scale = plan.parameters[name], known[0].scale.value
        if not isinstance(parameter, Float | Int) or (isinstance(parameter, Int) and known[0].kind == "Float"):
            continue
        wanted = "log" if scale == "ordered" else scale
        if wanted not in ("log", "reverse_log") or parameter.scale in (wanted, "logit"):  # at the ends, logit is both
            continue
        if isinstance(parameter, Int) and (parameter.step or (known[0].kind == "Int" and parameter.low <= 0)):
            continue  # no scale of factors holds multiples of 16, or the 0 that switches a thing off
        if _factor(parameter, wanted) > _RATIO[known[0].kind]:
            better = _on_scale(parameter, known[0])
            yield Finding("wrong-scale", name, _uneven(name, parameter, wanted), _written(name, better))


def _factor(parameter: Float | Int, scale: str) -> float:
    """Return how many times as large one end is as the other, in what counts: x, or 1 - x."""
    low, high = parameter.low, parameter.high
    if scale == "reverse_log":
        low, high = 1.0 - high, 1.0 - low
    return math.inf if low <= 0.0 < high else high / low if low > 0.0 else 1.0


def _uneven(name: str, parameter: Float | Int, scale: str) -> str:
    drawn = {"log": "evenly in its logarithm", "reverse_log": f"evenly in the logarithm of 1 - {name}"}
    how = drawn.get(parameter.scale, "evenly")
    if scale == "reverse_log":
        return f"{name} is drawn {how}, but what counts is 1 - {name}, the inverse of an averaging time"
    middle = parameter.from_unit(0.5)
    return f"{name} is drawn {how}, so half of its values lie above {middle:g}, but what counts is a factor"


def _written(name: str, parameter: Parameter) -> str:
    """Return the fix that puts a parameter in the place of another, ready to be pasted."""
    return f"write {assigned(name, f'tw.{parameter!r}')}".replace("prior=Prior(", "prior=tw.Prior(")


def _on_scale(parameter: Float | Int, known: Explanation) -> Parameter:
    """Return the parameter on its right scale; what this scale cannot hold becomes what is usual."""
    low, high = parameter.low, parameter.high
    changed: dict[str, Any] = {"step": None}
    if known.kind == "Choice":
        powers = [2**k for k in range(41) if low <= 2**k <= high] or list(known.range.value)
        default = parameter.default if parameter.default in powers else powers[len(powers) // 2]
        about: dict[str, Any] = {"tier": parameter.tier, "note": parameter.note, "when": parameter.when}
        return Choice(powers, ordered=True, default=default, **about)
    usual_low, usual_high = known.range.value
    if known.scale.value == "log" and low <= 0:
        changed["low"] = low = usual_low if usual_low < high / 10.0 else float(f"{high / 1000.0:.6g}")
    if known.scale.value == "reverse_log" and high >= 1.0:
        changed["high"] = high = usual_high if usual_high > low else 1.0 - (1.0 - low) / 1000.0
    if parameter.default is not None and not low <= parameter.default <= high:
        changed["default"] = min(max(known.default.value, low), high)
    if parameter.prior is not None and not low <= parameter.prior.center <= high:
        changed["prior"] = None
    return dataclasses.replace(parameter, scale=known.scale.value, **changed)


def unordered_numbers(plan: Plan) -> Iterator[Finding]:
    """Point out three or more numbers whose order is not said."""
    for name, parameter in plan.parameters.items():
        if isinstance(parameter, Choice) and not parameter.ordered and parameter.count > 2 and numbers(parameter):
            if plan.is_comparison:
                continue
            better = dataclasses.replace(parameter, choices=sorted(parameter.choices), ordered=True)
            yield Finding(
                "unordered-numbers",
                name,
                f"{name} is a choice of numbers without an order, so what is learnt at one says nothing about the next",
                _written(name, better),
            )


def odd_batch_sizes(plan: Plan) -> Iterator[Finding]:
    """Point out batch sizes that are neither powers of two nor multiples of eight."""
    for name in plan.called("batch_size"):
        parameter = plan.parameters[name]
        if isinstance(parameter, Choice) and numbers(parameter):
            odd = [value for value in parameter.choices if value % 8 and value not in (1, 2, 4)]
            if odd:
                yield Finding(
                    "odd-batch-size",
                    name,
                    f"{name} of {_listed(odd)} is neither a power of two nor a multiple of eight, so devices may idle",
                    _written(name, _powers(parameter)),
                    "advice",
                )


def _powers(parameter: Choice) -> Choice:
    """Return the choice between the powers of two nearest to its values."""
    changed: dict[str, Any] = {"choices": sorted({_power(value) for value in parameter.choices}), "prior": None}
    if parameter.has_default:
        changed["default"] = _power(parameter.default)
    return dataclasses.replace(parameter, ordered=True, **changed)


def _power(value: float) -> int:
    """Return the power of two nearest to a number; of one below 1, 1."""
    return int(2 ** max(0, round(math.log2(max(value, 1)))))


def batch_beyond_data(plan: Plan) -> Iterator[Finding]:
    """Point out batches that are all of the data."""
    for name in plan.called("batch_size"):
        found = ends(plan.parameters[name])
        if plan.samples is not None and found is not None and found[1] >= plan.samples:
            yield Finding(
                "batch-beyond-data",
                name,
                f"{name} goes up to {found[1]:g}, and there are {plan.samples} examples: such a batch is all of them",
                f"end {name} well below {plan.samples}, at {_power_below(plan.samples / 8)} or so",
            )


def _power_below(value: float) -> int:
    return int(2 ** int(math.log2(max(1.0, value))))


def unusual_ranges(plan: Plan) -> Iterator[Finding]:
    """Point out ranges that lie elsewhere than usual, or are much wider or narrower."""
    for name, known in plan.known.items():
        parameter, found = plan.parameters[name], ends(plan.parameters[name])
        if found is None or parameter.count <= 1 or known[0].scale.value == "unordered":
            continue
        low, high = _usual_ends(known)
        if found[1] < low or found[0] > high:
            yield Finding(
                "range-elsewhere",
                name,
                f"{name} is searched from {found[0]:g} to {found[1]:g}, and usual is {low:g} to {high:g}",
                f"start from {_usual(name, plan, known)}, or make sure that the units are the usual ones",
            )
            continue
        widths = [_width(min(k.range.value), max(k.range.value), k) for k in known]
        width = _width(*found, known[0], (low, high))
        if width > WIDE * _width(low, high, known[0]):
            yield Finding(
                "range-too-wide",
                name,
                f"{name} is searched from {found[0]:g} to {found[1]:g}, far beyond the usual {low:g} to {high:g}",
                f"start from {_usual(name, plan, known)} and widen it if the best trials crowd at an end",
            )
        elif isinstance(parameter, Float) and width < NARROW * min(widths) and known[0].tier.value <= 2:
            yield Finding(
                "range-too-narrow",
                name,
                f"{name} is searched from {found[0]:g} to {found[1]:g} only, a small part of {low:g} to {high:g}",
                f"start from {_usual(name, plan, known)}, or fix {name} and spend the trials elsewhere",
            )


def _usual_ends(known: tuple[Explanation, ...]) -> tuple[float, float]:
    """Return the lowest and the highest usual value, wherever it may be tuned."""
    return min(min(k.range.value) for k in known), max(max(k.range.value) for k in known)


def _width(low: float, high: float, known: Explanation, usual: tuple[float, float] | None = None) -> float:
    """Return the width of a range on the scale of the hyperparameter; ends beyond the scale count ten times too far."""
    scale: ScaleName = "log" if known.scale.value == "ordered" else known.scale.value
    law = SCALES[scale]
    least, most = usual or (low, high)
    if low <= law.above:
        low = least / 10.0
    if high >= law.below:
        high = 1.0 - (1.0 - most) / 10.0
    start, end = law.warp(np.array([low, high], dtype=float)).tolist()
    return float(end - start)


def _usual(name: str, plan: Plan, known: tuple[Explanation, ...]) -> str:
    when = plan.parameters[name].when
    active = f", when={dict(when)!r}" if when else ""
    if known[0].complement and known[0].scale.value == "log":  # counted the other way round
        return assigned(name, f"tw.{Float(**known[0].arguments, when=when)!r}")
    return assigned(name, f'tw.{known[0].kind}.of("{known[0].name}"{plan.where}{active})')


def unusual_default(plan: Plan) -> Iterator[Finding]:
    """Point out defaults beyond the usual range."""
    for name, known in plan.known.items():
        parameter = plan.parameters[name]
        start = _start(parameter, known)
        if start is None or not parameter.has_default:
            continue
        low, high = _usual_ends(known)
        if not low <= parameter.default_value <= high:
            yield Finding(
                "unusual-default",
                name,
                f"{name} starts at {parameter.default_value:g}, and usual is {low:g} to {high:g}",
                f"start where others do, at default={start!r}",
                "advice",
            )


def _start(parameter: Parameter, known: tuple[Explanation, ...]) -> float | None:
    """Return the value that is nearest to the usual default, None where no value of the parameter is usual."""
    if ends(parameter) is None or known[0].scale.value == "unordered":
        return None
    usual = known[0].default.value
    low, high = _usual_ends(known)
    if isinstance(parameter, Float | Int) and parameter.step is None:
        near = min(max(usual, parameter.low), parameter.high)
        values = [near if isinstance(parameter, Float) else round(near)]
    else:
        values = parameter.grid(STEPS)
    return min((value for value in values if low <= value <= high), key=lambda value: abs(value - usual), default=None)


def no_default(plan: Plan) -> Iterator[Finding]:
    """Point out spaces whose first trial is no configuration that a person would start from."""
    if plan.tuned and not plan.is_comparison and not any(p.has_default for p in plan.parameters.values()):
        name = next((n for n in plan.known if n in plan.tuned), plan.tuned[0])
        parameter, known = plan.parameters[name], plan.known.get(name)
        start = _start(parameter, known) if known is not None else None
        yield Finding(
            "no-default",
            None,
            "no parameter has a default, so there is no trial of the usual configuration to compare with",
            f"state where an expert would start, {name} with default={'...' if start is None else repr(start)} for one",
            "advice",
        )


def _listed(values: list[float]) -> str:
    return " and ".join(f"{value:g}" for value in values[:3])


RULES = (
    wrong_scale, unusual_ranges, batch_beyond_data, unordered_numbers, odd_batch_sizes, unusual_default, no_default,
)  # fmt: skip

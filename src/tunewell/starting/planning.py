"""Which hyperparameters a study begins with: those that matter first, as many as the trials allow."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tunewell import knowledge
from tunewell.knowledge import Explanation
from tunewell.space import Choice, Float, Int, Parameter

PER_PARAMETER = 5  # trials that there are for each parameter
WIDTH = 100

CANDIDATES = {  # by framework and task, the hyperparameters of the networks in pieces/
    ("torch", "image"): ("learning_rate", "batch_size", "channels", "weight_decay", "dropout"),
    ("torch", "tabular"): ("learning_rate", "hidden_units", "layers", "batch_size", "weight_decay", "dropout"),
    ("torch", "text"): ("learning_rate", "batch_size", "hidden_units", "weight_decay", "dropout"),
    ("sklearn", "image"): ("learning_rate", "batch_size", "hidden_units", "l2"),
    ("sklearn", "tabular"): ("learning_rate", "hidden_units", "layers", "batch_size", "l2"),
    ("sklearn", "text"): ("learning_rate", "batch_size", "hidden_units", "l2"),
}
OPTIMIZER = {"torch": "adamw", "sklearn": "adam"}
EXAMPLES = {"image": 1078, "tabular": 341, "text": 1013}  # that the pieces train on
MOST = {"channels": 64}  # on so few examples: 256 take thirty times as long


@dataclass(frozen=True, slots=True)
class Item:
    """A hyperparameter of the study file: the name there, what is known of it, and its parameter."""

    name: str
    known: Explanation
    parameter: Parameter


@dataclass(frozen=True, slots=True)
class Choices:
    """What is tuned, and what stays at its default."""

    tuned: tuple[Item, ...]
    fixed: tuple[Item, ...]


def choose(
    names: Mapping[str, Any],
    domain: str,
    optimizer: str | None,
    trials: int,
    examples: int | None = None,
) -> Choices:
    """Return what to tune of some hyperparameters with so many trials: the lowest tiers first, in the given order.

    ``names`` says where each one stands now; None: where others start. A range is widened to hold that value, and
    narrowed where it is known that there are only so few examples.
    """
    items = [_item(name, domain, optimizer, value, examples) for name, value in names.items()]
    ordered = sorted(items, key=lambda item: int(item.known.tier.value))
    most = max(1, trials // PER_PARAMETER)
    chosen = [item for item in ordered if item.known.tuned][:most]
    return Choices(tuple(chosen), tuple(item for item in items if item not in chosen))


def _item(name: str, domain: str, optimizer: str | None, value: Any, examples: int | None) -> Item:
    known = knowledge.explain(name, domain=domain, optimizer=optimizer)
    parameter = Parameter.of(name, domain=domain, optimizer=optimizer)
    if known.name == "batch_size" and examples is not None and isinstance(parameter, Choice):
        choices = [size for size in parameter.choices if size <= examples // 4]
        parameter = dataclasses.replace(parameter, choices=choices, default=min(parameter.default, choices[-1]))
    if known.name in MOST and examples is not None and isinstance(parameter, Int):
        parameter = dataclasses.replace(parameter, high=MOST[known.name])
    return Item(name, known, parameter if value is None else _starting_at(parameter, value))


def _starting_at(parameter: Parameter, value: Any) -> Parameter:
    """Return the parameter with this default, its range widened where it has to be."""
    if isinstance(parameter, Float | Int):
        try:
            return dataclasses.replace(
                parameter, low=min(parameter.low, value), high=max(parameter.high, value), default=value
            )
        except (TypeError, ValueError):  # a value that the scale cannot hold, such as a rate of 0
            return parameter
    if not isinstance(parameter, Choice):
        return parameter
    choices = list(parameter.choices)
    if value not in choices and isinstance(value, int | float) and not isinstance(value, bool):
        choices = sorted([*choices, value])
    return dataclasses.replace(parameter, choices=choices, default=value) if value in choices else parameter


# --- as lines of a file -----------------------------------------------------------------------------------------------


def space_lines(items: Iterable[Item]) -> str:
    """Return the arguments of a space, a line each, explained above it."""
    return "\n".join(line for item in items for line in (*_explained(item), f"    {item.name}=tw.{item.parameter!r},"))


def fixed_lines(items: Iterable[Item]) -> str:
    """Return a dictionary of values that stay, a line each, explained behind it."""
    lines = [f"    {item.name!r}: {item.parameter.default_value!r},  # {item.known.means}" for item in items]
    return "\n".join(["fixed = {", *lines, "}"]) if lines else "fixed = {}"


def _explained(item: Item) -> Iterator[str]:
    known = item.known
    said = {fact.why: fact for fact in (known.scale, known.range, known.default, known.tier)}
    facts = [f"{_head(known, why)}: {why} ({fact.sources[0].source.short})" for why, fact in said.items()]
    if item.parameter.default_value != known.default.value:
        facts.append(f"here it starts at {item.parameter.default_value!r}")
    if isinstance(item.parameter, Int) and item.parameter.high < known.range.value[1]:
        facts.append(f"here up to {item.parameter.high}, so that a training takes seconds")
    for text in (f"{item.name}: {known.means}.", *facts):
        for number, line in enumerate(textwrap.wrap(text, WIDTH)):
            yield f"    # {'' if text.startswith(f'{item.name}: ') else '  '}{'  ' if number else ''}{line}"


def _head(known: Explanation, why: str) -> str:
    """Return what is so for one reason: ``usual 0.5 to 0.995, start at 0.9``."""
    words = {"scale": "scale ", "range": "usual ", "default": "start at ", "tier": "tier "}
    shown = {aspect: str(known.tier.value) if aspect == "tier" else known.shown(aspect) for aspect in words}  # type: ignore[arg-type]
    return ", ".join(f"{word}{shown[aspect]}" for aspect, word in words.items() if getattr(known, aspect).why == why)

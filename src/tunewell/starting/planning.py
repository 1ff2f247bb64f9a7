"""Which hyperparameters a study begins with: those that matter first, as many as the trials allow."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
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
    """A hyperparameter of the study file: the name there, what is known of it, its parameter, and where it begins."""

    name: str
    known: Explanation
    parameter: Parameter
    value: Any

    @property
    def fits(self) -> bool:
        """Whether the parameter begins there: a logarithmic scale has no 0, for example."""
        return bool(self.parameter.default_value == self.value)


@dataclass(frozen=True, slots=True)
class Choices:
    """What is tuned, and what stays as it is."""

    tuned: tuple[Item, ...]
    fixed: tuple[Item, ...]


def choose(
    names: Mapping[str, Any],
    domain: str,
    optimizer: str | None,
    trials: int,
    examples: int | None = None,
    choices: Mapping[str, Sequence[Any]] = MappingProxyType({}),
) -> Choices:
    """Return what to tune of some hyperparameters with so many trials: the lowest tiers first, in the given order.

    ``names`` says where each one stands now; None: where others start. A range is widened to hold that value, and
    narrowed where it is known that there are only so few examples; ``choices`` are those that some may have. What
    stands where its scale does not reach, such as a weight decay of 0, stays there.
    """
    items = [_item(name, domain, optimizer, value, examples, choices.get(name)) for name, value in names.items()]
    ordered = sorted(items, key=lambda item: int(item.known.tier.value))
    most = max(1, trials // PER_PARAMETER)
    chosen = [item for item in ordered if item.known.tuned and item.fits and item.parameter.count > 1][:most]
    return Choices(tuple(chosen), tuple(item for item in items if item not in chosen))


def _item(
    name: str, domain: str, optimizer: str | None, value: Any, examples: int | None, choices: Sequence[Any] | None
) -> Item:
    known = knowledge.explain(name, domain=domain, optimizer=optimizer)
    parameter = Parameter.of(name, domain=domain, optimizer=optimizer)
    if choices is not None:
        nearest = min(choices, key=lambda choice: abs(choice - parameter.default_value))
        parameter = Choice(sorted(set(choices)), ordered=True, default=nearest, tier=parameter.tier)
    if known.name == "batch_size" and examples is not None and isinstance(parameter, Choice):
        sizes = [size for size in parameter.choices if size <= examples // 4]
        parameter = dataclasses.replace(parameter, choices=sizes, default=min(parameter.default, sizes[-1]))
    if known.name in MOST and examples is not None and isinstance(parameter, Int):
        parameter = dataclasses.replace(parameter, high=MOST[known.name])
    if value is None:
        return Item(name, known, parameter, parameter.default_value)
    return Item(name, known, _starting_at(parameter, value), value)


def _starting_at(parameter: Parameter, value: Any) -> Parameter:
    """Return the parameter with this default, its range widened where it has to be; as it is where it cannot be."""
    if isinstance(parameter, Float | Int):
        try:
            return dataclasses.replace(
                parameter, low=min(parameter.low, value), high=max(parameter.high, value), default=value
            )
        except (TypeError, ValueError):  # a value that the scale cannot hold, such as a decay of 0
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
    lines = []
    for item in items:
        if not item.fits:
            scale = item.known.scale.value
            lines.append(
                f"    # {item.name} cannot be tuned from {item.value!r}, which its {scale} scale does not have:"
            )
        lines.append(f"    {item.name!r}: {item.value!r},  # {item.known.means}")
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

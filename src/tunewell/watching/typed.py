"""What a person types, and what is meant by it: a pure function of the text and of the trial it is about."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Literal, get_args

from tunewell.parameters import Choice
from tunewell.space import Config, Space
from tunewell.steering import fitting, parameter_meant

Verb = Literal[
    "set", "back", "fork", "pause", "resume", "stop", "undo", "note", "accept", "watch", "compare", "help", "quit"
]
COMMANDS: Mapping[str, tuple[str, str]] = {
    "set": ("set learning_rate=0.001", "change it from the next step on"),
    "lr": ("lr 1e-3   lr /10   lr *3", "the same, by a name for it; divided; multiplied"),
    "back": ("back 5 learning_rate=0.001", "go back to step 5, with another value if given"),
    "fork": ("fork 5 learning_rate=0.001", "a second trial from step 5; this one goes on"),
    "pause": ("pause", "hold it at its next checkpoint"),
    "resume": ("resume", "let it go on"),
    "stop": ("stop", "end it at its next step"),
    "undo": ("undo", "take its newest change back"),
    "accept": ("accept", "do what is advised"),
    "force": ("force lr 50", "set, back or fork with a value out of range"),
    "note": ("note looks fine", "write a remark into the study"),
    "watch": ("watch 3", "look at trial 3; alone: at whichever trains"),
    "compare": ("compare 3", "draw its curve beside this one; alone: end that"),
    "help": ("help", "show this list"),
    "quit": ("quit", "leave; the training goes on"),
}
_VERBS: tuple[str, ...] = get_args(Verb)
_SHORT = {"exit": "quit", "q": "quit", "?": "help", "h": "help", "adjust": "set"}
_STEPS = ("back", "fork")
_VALUES = ("set", "back", "fork")
_RELATIVE = re.compile(r"([*/])(.+)")


class Mistyped(ValueError):
    """What was typed cannot be meant; the sentence says why, and what to type."""


@dataclass(frozen=True, slots=True)
class Typed:
    """What is meant: ``step`` for going back and forks, ``number`` of another trial, ``text`` of a note."""

    verb: Verb
    values: Config = field(default_factory=dict)
    step: int | None = None
    number: int | None = None
    text: str = ""
    reason: str = ""


def understood(text: str, space: Space, params: Config) -> Typed:
    """Return what is meant by a line about a trial with these parameters in force.

    A parameter goes by its name, by what it is (``lr`` for ``learning_rate``), or by how its name begins; what comes
    after ``because`` is the reason.

    Raises:
        Mistyped: it is no command, or has a value that the parameter cannot have.
    """
    text = " ".join(text.split())
    if not text:
        raise Mistyped("expected a command, got nothing: type help")
    first, _, rest = text.partition(" ")
    verb = _SHORT.get(first.lower(), first.lower())
    if verb == "note":
        if not rest:
            raise Mistyped("note expected a text, got none: note looks fine")
        return Typed("note", text=rest)
    rest, _, reason = f" {rest}".partition(" because ")
    rest = rest.strip()
    forced = verb == "force"
    if forced:
        first, _, rest = rest.partition(" ")
        verb = _SHORT.get(first.lower(), first.lower())
        if not verb:
            raise Mistyped(f"force expected a change of values, got none: {COMMANDS['force'][0]}")
    if verb not in _VERBS:
        name = re.split(r"[=*/]", first, maxsplit=1)[0]
        if parameter_meant(name, params) is None:
            raise Mistyped(_unknown(name, space, params))
        verb, rest = "set", f"{first} {rest}"
    if verb in _VALUES:
        step, values = _step_and_values(verb, rest, space, params, forced)
        return Typed(_verb(verb), values, step, reason=reason)
    if forced:
        raise Mistyped(f"force expected a change of values, got {verb}: {COMMANDS['force'][0]}")
    if verb in ("watch", "compare"):
        return Typed(_verb(verb), number=_number(verb, rest))
    if rest:
        raise Mistyped(f"{verb} expected nothing after it, got {rest!r}: type just {verb}")
    return Typed(_verb(verb), reason=reason)


def completions(text: str, params: Config, space: Space) -> list[str]:
    """Return what the last word of a line may become: commands, the parameters in force, choices of one of them."""
    words = text.split(" ")
    last = words[-1]
    name, equals, begun = last.partition("=")
    if equals:
        parameter = space.get(name)
        choices = [str(choice) for choice in parameter.choices] if isinstance(parameter, Choice) else []
        return [f"{name}={choice}" for choice in choices if choice.startswith(begun)]
    first = words[0].lower()
    verbs = [verb for verb in (*_VERBS, "force") if verb.startswith(last.lower())] if len(words) == 1 else []
    if len(words) > 1 and first == "force":
        verbs = [verb for verb in _VALUES if verb.startswith(last.lower())]
    names = len(words) == 1 or first in (*_VALUES, "adjust", "force")
    return (
        verbs
        + [f"{name}=" for name in params if names and last and name.startswith(last)]
        + ([f"{name}=" for name in params] if names and not last and len(words) > 1 else [])
    )


def value_of(space: Space, name: str, text: str) -> Any:
    """Return what a text stands for: the choice that reads so, a Python literal, or the text itself."""
    parameter = space.get(name)
    if isinstance(parameter, Choice):
        for choice in parameter.choices:
            if str(choice) == text:
                return choice
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _verb(word: str) -> Verb:
    return next(verb for verb in get_args(Verb) if verb == word)


def _number(verb: str, text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise Mistyped(f"{verb} expected the number of a trial, got {text!r}: {COMMANDS[verb][0]}")
    return int(text[:12])


def _step_and_values(
    verb: str, text: str, space: Space, params: Config, forced: bool
) -> tuple[int | None, dict[str, Any]]:
    words = re.sub(r"\s*([=])\s*", r"\1", text).split()
    step = None
    if verb in _STEPS and words and words[0].isascii() and words[0].isdigit():
        step = int(words.pop(0)[:12])
    if verb == "back" and step is None:
        raise Mistyped(f"back expected the step to go back to, got {text!r}: {COMMANDS['back'][0]}")
    values = _values(verb, words, space, params, forced)
    if verb == "set" and not values:
        raise Mistyped(f"set expected a parameter and its value, got none: {COMMANDS['set'][0]}")
    return step, values


def _values(verb: str, words: Sequence[str], space: Space, params: Config, forced: bool) -> dict[str, Any]:
    """Return the values that words name: ``lr=0.1``, or ``lr 0.1``, or ``lr /10``, one after another."""
    found: dict[str, Any] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, sign, value = word.partition("=")
        if not sign:
            relative = re.fullmatch(r"([^*/]+)([*/].+)", word)
            name, value = (relative[1], relative[2]) if relative else (word, rest.pop(0) if rest else "")
        if not name or not value:
            raise Mistyped(f"{verb} expected a parameter and its value, got {word!r}: {COMMANDS[verb][0]}")
        parameter = parameter_meant(name, params, space)
        if parameter is None or (parameter not in params and verb not in _STEPS):
            raise Mistyped(_unknown(name, space, params))
        found[parameter] = _fitting(parameter, value, space, params, forced)
    return found


def _fitting(name: str, text: str, space: Space, params: Config, forced: bool) -> Any:
    value = value_of(space, name, text)
    relative = _RELATIVE.fullmatch(text)
    if relative is not None and value == text:
        value = _relative(name, relative[1], relative[2], params)
    try:
        value, outside = fitting(name, space[name], value)
    except ValueError as error:
        raise Mistyped(str(error)) from None
    if outside and not forced:
        raise Mistyped(f"{outside}: put force before it if it is meant")
    return value


def _relative(name: str, sign: str, text: str, params: Config) -> Any:
    now = params.get(name)
    try:
        factor = float(text)
        if not math.isfinite(factor) or factor <= 0.0 or isinstance(now, bool) or not isinstance(now, int | float):
            raise ValueError
    except ValueError:
        raise Mistyped(f"expected a number above 0 to change {name}={now!r} by, got {sign}{text}") from None
    value = now * factor if sign == "*" else now / factor
    return round(value) if isinstance(now, int) else float(f"{value:.6g}")


def _unknown(word: str, space: Space, params: Config) -> str:
    known = ", ".join(params) or "no parameters"
    if word in space:
        return f"expected a parameter in force ({known}), got {word!r}, which the trial's other values leave out"
    near = get_close_matches(word.lower(), [*_VERBS, "force", *params], n=1)
    hint = f"did you mean {near[0]}?" if near else "type help for all commands"
    return f"expected a command or one of {known}, got {word!r:.40}: {hint}"

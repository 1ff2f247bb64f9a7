"""The files of facts, read when first asked for.

Every file of this folder but three has a table for each hyperparameter, and in it a list of facts. One fact may say
several things (a range and a default) for one reason. ``sources.toml`` has the sources, ``changes.toml`` says which
changes of data, model or training make it worth while to tune again, ``effects.toml`` what is usually good in a range.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from itertools import product
from types import MappingProxyType
from typing import Any

from tunewell.knowledge.records import ASPECTS, Aspect, ChangeRule, Citation, Fact, Hyperparameter, Source

FILES = ("optimisation.toml", "regularisation.toml", "architecture.toml")
CHANGES = "changes.toml"
SOURCES = "sources.toml"
_FACT = {"domain", "optimizer", "why", "source", *ASPECTS}
_ABOUT = {"kind", "means", "aliases", "ambiguous", "architecture", "complement", "facts"}


@cache
def hyperparameters() -> Mapping[str, Hyperparameter]:
    """Return all hyperparameters by name, in the order of the files.

    Raises:
        ValueError: a file says something that is not understood; the sentence names the place.
    """
    return MappingProxyType(
        {name: _hyperparameter(name, about, _sources()) for file in FILES for name, about in parsed(file).items()}
    )


@cache
def changes() -> Mapping[str, ChangeRule]:
    """Return, by what changes, when it is worth while to tune again; raise ValueError as :func:`hyperparameters`."""
    found = {}
    for name, about in parsed(CHANGES).items():
        cited = tuple(_citation(text, _sources()) for text in about.pop("source"))
        found[name] = ChangeRule(name, sources=cited, **about)
    return MappingProxyType(found)


@cache
def _sources() -> Mapping[str, Source]:
    return {key: Source(key, **about) for key, about in parsed(SOURCES).items()}


def parsed(file: str) -> dict[str, Any]:
    """Return what a file of this folder says."""
    return tomllib.loads(files("tunewell.knowledge").joinpath(file).read_text(encoding="utf-8"))


def _hyperparameter(name: str, about: Mapping[str, Any], sources: Mapping[str, Source]) -> Hyperparameter:
    if unknown := set(about) - _ABOUT:
        raise ValueError(f"expected of {name} only {sorted(_ABOUT)}, got {sorted(unknown)}: correct the file")
    facts: dict[Aspect, list[Fact]] = {aspect: [] for aspect in ASPECTS}
    for told in about["facts"]:
        if unknown := set(told) - _FACT:
            raise ValueError(f"expected in a fact of {name} only {sorted(_FACT)}, got {sorted(unknown)}: correct it")
        cited = tuple(_citation(text, sources) for text in told["source"])
        for domain, optimizer in product(_each(told.get("domain")), _each(told.get("optimizer"))):
            for aspect in ASPECTS:
                if aspect in told:
                    value = tuple(told[aspect]) if isinstance(told[aspect], list) else told[aspect]
                    facts[aspect].append(Fact(value, told["why"], cited, domain, optimizer))
    return Hyperparameter(
        name,
        about["kind"],
        about["means"],
        tuple(about.get("aliases", ())),
        tuple(about.get("ambiguous", ())),
        about.get("architecture", False),
        about.get("complement", False),
        MappingProxyType({aspect: tuple(found) for aspect, found in facts.items()}),
    )


def _each(said: Any) -> list[Any]:
    return said if isinstance(said, list) else [said]


def _citation(text: str, sources: Mapping[str, Source]) -> Citation:
    key, _, place = text.partition(", ")
    if key not in sources or not place:
        raise ValueError(f"expected a source as 'key, place' with a key of {SOURCES}, got {text!r}: correct it")
    return Citation(sources[key], place)

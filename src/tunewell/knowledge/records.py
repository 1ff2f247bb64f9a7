"""What is known of a hyperparameter: facts, each with its reason and its sources, and which of them hold where."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

Aspect: TypeAlias = Literal["scale", "range", "default", "tier", "interactions"]
Kind: TypeAlias = Literal["Float", "Int", "Choice"]

ASPECTS: tuple[Aspect, ...] = ("scale", "range", "default", "tier", "interactions")
UNSAID = "unsaid"  # the optimizer of facts that hold, too, where nobody says which one it is
LAST_TIER = 4  # what is in it stays at its default


@dataclass(frozen=True, slots=True)
class Source:
    """A text that facts come from."""

    key: str
    title: str
    year: int
    url: str

    @property
    def short(self) -> str:
        """Who and when: ``Kingma and Ba 2015``."""
        return f"{self.title.partition(':')[0]} {self.year}"

    def __str__(self) -> str:
        return f"{self.title} ({self.year}), {self.url}"


@dataclass(frozen=True, slots=True)
class Citation:
    """A place in a source."""

    source: Source
    place: str

    def __str__(self) -> str:
        return f"{self.source.short}, {self.place}"


@dataclass(frozen=True, slots=True)
class Fact:
    """A value, why it is that, who says so; and for which domain and optimizer, None for all."""

    value: Any
    why: str
    sources: tuple[Citation, ...]
    domain: str | None = None
    optimizer: str | None = None

    def precedence(self, domain: str, optimizers: Sequence[str]) -> tuple[int, int] | None:
        """Return what the narrowest of several facts has most of, None where the fact does not hold.

        ``optimizers`` are the one that is used and those that it is a kind of, the nearest first.
        """
        if self.domain not in (None, domain) or self.optimizer not in (None, *optimizers):
            return None
        near = len(optimizers) - optimizers.index(self.optimizer) if self.optimizer is not None else 0
        return int(self.domain is not None), near


@dataclass(frozen=True, slots=True)
class ChangeRule:
    """When a change makes it worth while to tune again: the learning rate from ``some`` on, all from ``much`` on.

    ``learning_rate`` is the power of a factor by which the best rate moves, by kind of optimizer, ``width`` how far it
    may lie from there, as a factor.
    """

    name: str
    means: str
    why: str
    sources: tuple[Citation, ...]
    some: float = 0.0
    much: float = math.inf
    width: float = 1.0
    learning_rate: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hyperparameter:
    """All facts about one hyperparameter.

    ``kind`` names the class of its parameter. ``ambiguous`` are names that often mean something else: they are
    understood where somebody asks for them, and left alone where somebody else's space is looked at. With
    ``complement`` some count it the other way round, as 1 minus what is said here.
    """

    name: str
    kind: Kind
    means: str
    aliases: tuple[str, ...]
    ambiguous: tuple[str, ...]
    architecture: bool
    complement: bool
    facts: Mapping[Aspect, tuple[Fact, ...]]

    def fact(self, aspect: Aspect, domain: str, optimizers: Sequence[str] = ()) -> Fact:
        """Return the fact that holds, the narrowest first; raise LookupError when there is none."""
        holding = [(p, fact) for fact in self.facts[aspect] if (p := fact.precedence(domain, optimizers)) is not None]
        if not holding:
            raise LookupError(f"expected a {aspect} of {self.name} for {domain}, found none: add one for all domains")
        return max(holding, key=lambda pair: pair[0])[1]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is known of a hyperparameter in one domain, under one optimizer or any.

    ``architecture`` says that it is part of the network, so that weights do not fit another value. ``scale`` is that
    of :class:`~tunewell.Float` or ``Int``, or ``"ordered"`` and ``"unordered"`` for a choice; ``range`` is the usual
    lowest and highest value, or the usual choices; ``tier`` says what is tuned first, from 1 on; ``interactions`` are
    the hyperparameters whose best values move when this one is changed. With ``complement`` some count it the other
    way round, see :meth:`complemented`.
    """

    name: str
    domain: str
    optimizer: str | None
    kind: Kind
    means: str
    aliases: tuple[str, ...]
    architecture: bool
    complement: bool
    scale: Fact
    range: Fact
    default: Fact
    tier: Fact
    interactions: Fact

    @property
    def tuned(self) -> bool:
        """Whether it is worth tuning at all; otherwise it stays at its default."""
        return bool(self.tier.value < LAST_TIER)

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of the parameter of class ``kind``."""
        shared = {"default": self.default.value, "tier": self.tier.value}
        if self.kind == "Choice":
            return {"choices": list(self.range.value), "ordered": self.scale.value == "ordered", **shared}
        low, high = self.range.value
        return {"low": low, "high": high, "scale": self.scale.value, **shared}

    def complemented(self) -> Explanation:
        """Return the same of 1 minus the hyperparameter, for those who count it so."""
        low, high = self.range.value
        return replace(
            self,
            scale=replace(self.scale, value="log"),
            range=replace(self.range, value=(round(1.0 - high, 12), round(1.0 - low, 12))),
            default=replace(self.default, value=round(1.0 - self.default.value, 12)),
        )

    @property
    def facts(self) -> dict[Aspect, Fact]:
        """All facts by what they are about."""
        return {aspect: getattr(self, aspect) for aspect in ASPECTS}

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain data."""
        told: dict[str, Any] = {
            aspect: {
                "value": list(fact.value) if isinstance(fact.value, tuple) else fact.value,
                "why": fact.why,
                "sources": [
                    {"title": c.source.title, "year": c.source.year, "url": c.source.url, "place": c.place}
                    for c in fact.sources
                ],
            }
            for aspect, fact in self.facts.items()
        }
        about = {"name": self.name, "domain": self.domain, "optimizer": self.optimizer, "class": self.kind}
        return {**about, "means": self.means, "aliases": list(self.aliases), "tuned": self.tuned, **told}

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        given = f"{self.domain}, {self.optimizer}" if self.optimizer else self.domain
        yield f"{self.name} ({given}): {self.means}"
        if self.aliases:
            yield f"  also {', '.join(self.aliases)}"
        for aspect, fact in self.facts.items():
            yield f"  {aspect:<13} {self.shown(aspect)}"
            yield f"  {'':<13}   {fact.why}"
            yield f"  {'':<13}   [{'; '.join(map(str, fact.sources))}]"
        yield "  sources"
        for source in dict.fromkeys(c.source for fact in self.facts.values() for c in fact.sources):
            yield f"    {source}"

    def shown(self, aspect: Aspect) -> str:
        """Return the value of a fact as text."""
        value = self.facts[aspect].value
        if aspect == "tier":
            return f"{value} of {LAST_TIER}" if self.tuned else f"{value} of {LAST_TIER}: leave it at its default"
        if aspect == "range" and self.kind != "Choice":
            return f"{value[0]:g} to {value[1]:g}"
        if isinstance(value, tuple):
            return ", ".join(map(str, value))
        return str(value)

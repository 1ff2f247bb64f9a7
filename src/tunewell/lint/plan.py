"""What is looked at: a space, and as much of the study around it as is known."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from keyword import iskeyword
from typing import Any

from tunewell import knowledge
from tunewell.knowledge import Explanation
from tunewell.parameters import Choice, Float, Int, Parameter

_GRADUAL = {
    "asha", "async_hyperband", "bohb", "freeze_thaw", "hyperband", "ipbt", "median", "mf_pbt", "pb2", "pbt",
    "prior_band", "successive_halving", "top_k",
}  # fmt: skip
_POPULATIONS = {"pbt", "pb2", "mf_pbt", "ipbt"}


@dataclass(frozen=True)
class Plan:
    """What somebody is about to do. None, or nothing, is what nobody said.

    Attributes:
        parameters: the space.
        domain: where it is tuned, a key of :data:`tunewell.knowledge.DOMAINS`; None: any of them.
        optimizer: under which, a key of :data:`tunewell.knowledge.OPTIMIZERS`; None: any.
        trials: how many configurations are to be tried in all.
        samples: how many examples there are to train on.
        held_out: how many examples the search never sees.
        seeds: with how many seeds the winner was, or will be, trained.
        goals: metrics, each with ``"min"`` or ``"max"``.
        sampler, scheduler: names and options, as a study stores them.
    """

    parameters: Mapping[str, Parameter]
    domain: str | None = None
    optimizer: str | None = None
    trials: int | None = None
    samples: int | None = None
    held_out: int | None = None
    seeds: int | None = None
    goals: tuple[tuple[str, str], ...] = ()
    sampler: Mapping[str, Any] = field(default_factory=dict)
    scheduler: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        knowledge.check_where(self.domain, self.optimizer)
        for name in ("trials", "samples", "held_out", "seeds"):
            value = getattr(self, name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"lint expected {name}= to be a whole number, got {value!r}: leave it out if unknown")
            if value < (least := 0 if name == "held_out" else 1):
                raise ValueError(f"lint expected {name}= of at least {least}, got {value}: leave it out if unknown")

    @cached_property
    def known(self) -> dict[str, tuple[Explanation, ...]]:
        """The parameters that are known hyperparameters, each with what holds where it may be tuned."""
        found = {name: knowledge.find(name, ambiguous=self._is_of_adam(name)) for name in self.parameters}
        return {name: self._explanations(name, known) for name, known in found.items() if known is not None}

    def _is_of_adam(self, name: str) -> bool:
        """Tell whether an ambiguous name, such as epsilon, stands beside another constant of Adam's."""
        plain = {knowledge.find(other) for other in self.parameters}
        return name.lower() in ("eps", "epsilon") and bool(plain & {"beta1", "beta2"})

    def _explanations(self, name: str, known: str) -> tuple[Explanation, ...]:
        domains = [self.domain] if self.domain is not None else list(knowledge.DOMAINS)
        pairs = [(domain, optimizer) for domain in domains for optimizer in self._optimizers(domain)]
        found = tuple(knowledge.explain(known, domain=domain, optimizer=optimizer) for domain, optimizer in pairs)
        within = ends(self.parameters[name])
        if found[0].complement and within is not None and sum(within) < 1.0:
            return tuple(each.complemented() for each in found)
        return found

    def _optimizers(self, domain: str) -> list[str | None]:
        """Return what may be used: any, unless a domain has its one and the space has no other."""
        if self.optimizer is not None:
            return [self.optimizer]
        among = any(knowledge.find(name) == "optimizer" for name in self.parameters)
        one = not among and not knowledge.explain("optimizer", domain=domain).tuned
        return [None] if one else [None, "sgd", "adam", "adamw"]

    def called(self, *names: str) -> Iterator[str]:
        """Return the parameters that are one of these hyperparameters."""
        return (name for name, known in self.known.items() if known[0].name in names)

    @property
    def where(self) -> str:
        """Domain and optimizer as further arguments of ``of``, empty where nobody said them."""
        said = {"domain": self.domain, "optimizer": self.optimizer}
        return "".join(f', {what}="{value}"' for what, value in said.items() if value is not None)

    @property
    def tuned(self) -> list[str]:
        """The parameters that have more than one value."""
        return [name for name, parameter in self.parameters.items() if parameter.count > 1]

    @property
    def gradual(self) -> str | None:
        """The scheduler that decides before trainings are over, None for whole trainings."""
        return _inner(self.scheduler, _GRADUAL)

    @property
    def population(self) -> Mapping[str, Any] | None:
        """The scheduler that hands weights from one configuration to another."""
        return self.scheduler if self.scheduler.get("name") in _POPULATIONS else None

    @property
    def is_comparison(self) -> bool:
        """Whether it trains all of a few configurations with several seeds, as after a search."""
        return self.sampler.get("name") == "grid" and any(is_seed(name) for name in self.parameters)


def _inner(scheduler: Mapping[str, Any], names: set[str]) -> str | None:
    if scheduler.get("name") in names:
        return str(scheduler["name"])
    inside = scheduler.get("then")
    return _inner(inside, names) if isinstance(inside, Mapping) else None


def is_seed(name: str) -> bool:
    """Tell whether a parameter is called as a seed is."""
    return re.fullmatch(r"(.*_)?(seed|rng|random_state)", re.sub(r"[^a-z0-9]+", "_", name.lower())) is not None


def assigned(name: str, code: str) -> str:
    """Return the argument of a space that gives a parameter, ready to be pasted: by keyword where that is possible."""
    return f"{name}={code}" if name.isidentifier() and not iskeyword(name) else f'**{{"{name}": {code}}}'


def ends(parameter: Parameter) -> tuple[float, float] | None:
    """Return the lowest and the highest number of a parameter, None where it has none to compare."""
    if isinstance(parameter, Float | Int):
        return parameter.low, parameter.high
    if isinstance(parameter, Choice) and numbers(parameter):
        return min(parameter.choices), max(parameter.choices)
    return None


def numbers(parameter: Parameter) -> bool:
    """Tell whether a parameter is a choice of numbers only."""
    return isinstance(parameter, Choice) and all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in parameter.choices
    )

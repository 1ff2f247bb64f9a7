"""The order in which a space is tuned, and what of a budget each part of it gets: the plan of the tiered strategy.

What matters most is tuned first and alone; then momentum and batch size, the architecture, and the refinements. Their
shares are 50, 20, 20 and 10 %, the rule of practitioners' guides; who belongs where is said by the ``tier`` of a
parameter, or by the knowledge about it (:mod:`tunewell.knowledge`), which differs by domain:

======  =======================================================================================================
tier 1  of the first importance, and no part of the architecture: the learning rate
tier 2  of the second importance, and no part of the architecture: momentum, batch size, optimizer, weight decay
tier 3  the architecture up to the third importance: width, depth
tier 4  of the third importance: decay of the rate, warm-up, label smoothing; and what nobody knows
======  =======================================================================================================

Where the architecture is of the first importance (tabular data) it comes second. What the knowledge says to leave at
its default stays there until everything is tuned together. What switches others on comes no later than they do.

A share is a weight: of what is left when a tier begins, it may take its share against those of the tiers after it, but
no less than the ``3 + p`` trainings of ``p`` parameters without which nothing can be said about it, and no more than
``6 + 4 p``. It is over before that as soon as it brings nothing more, and what it leaves flows on. Where too little for
the next tier would remain, the one before gets that, too, so the last ones may get only what others leave. Where a
budget does not pay for ``3 + p`` in every tier, only the first is tuned alone, and what it leaves goes to all
parameters together. So a handful of trainings tunes the learning rate, some dozens the architecture, too, and with
plenty most go into a search over everything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from tunewell import knowledge
from tunewell.knowledge import LAST_TIER, Explanation
from tunewell.parameters import Choice, Float, Int, Parameter
from tunewell.space import Config, Space
from tunewell.values import nearest

SHARES = (0.5, 0.2, 0.2, 0.1)
MOST = 6, 4  # the trainings after which a tier is over, and how many more for each of its parameters
_UNKNOWN = 3  # the importance of what nobody knows
_RATE, _OPTIMISATION, _ARCHITECTURE, _REFINEMENTS = range(4)


@dataclass(frozen=True)
class Tier:
    """Parameters that are tuned together, their share against those of other tiers, and why they stand here."""

    parameters: tuple[str, ...]
    share: float
    why: str = ""

    @property
    def fewest(self) -> int:
        """The trainings without which nothing can be said about it."""
        return 3 + len(self.parameters)

    @property
    def most(self) -> int:
        """The trainings after which it is over."""
        return MOST[0] + MOST[1] * len(self.parameters)


def tiers_of(
    space: Space,
    tiers: Sequence[Sequence[str]] | None = None,
    shares: Sequence[float] | None = None,
    domain: str = "generic",
    optimizer: str | None = None,
) -> tuple[Tier, ...]:
    """Return the tiers of a space, those that somebody gave or those of the knowledge.

    Args:
        space: what is tuned.
        tiers: names of parameters, tier by tier; who is left out stays at its default until everything is tuned.
        shares: of the budget, one for each tier, as weights: they need not add up to 1. None: 50, 20, 20 and 10 %.
        domain, optimizer: where it is tuned and under which optimizer, as for :func:`tunewell.knowledge.explain`.

    Raises:
        ValueError: a name that the space does not have or that comes twice, another number of shares than of tiers.
    """
    given = None if tiers is None else tuple(tuple(each) for each in tiers)
    return _tiers_of(space, given, None if shares is None else tuple(shares), domain, optimizer)


@lru_cache(maxsize=64)
def _tiers_of(
    space: Space,
    tiers: tuple[tuple[str, ...], ...] | None,
    shares: tuple[float, ...] | None,
    domain: str,
    optimizer: str | None,
) -> tuple[Tier, ...]:
    known = known_of(space, domain, optimizer)
    if tiers is None:
        found = _by_importance(space, known)
    else:
        _check_names(tiers, space)
        found = [(tuple(name for name in tier if space[name].count > 1), "given") for tier in tiers]
    usual = SHARES if shares is None else shares
    if shares is not None and len(shares) != len(found):
        raise ValueError(
            f"Tiered expected a share for each of {len(found)} tiers, got {len(shares)}: {list(shares)}: "
            f"{'add' if len(shares) < len(found) else 'take away'} some"
        )
    usual = (*usual, *[usual[-1]] * (len(found) - len(usual)))
    kept = [(names, share, why) for (names, why), share in zip(found, usual, strict=False) if names]
    total = sum(share for _, share, _ in kept)
    return tuple(Tier(names, share / total, why) for names, share, why in kept)


@lru_cache(maxsize=64)
def known_of(space: Space, domain: str, optimizer: str | None = None) -> Mapping[str, Explanation]:
    """Return what is known of the parameters of a space, by their names there; the unknown ones are left out."""
    found = {name: knowledge.find(name) for name in space}
    where: dict[str, Any] = {"domain": domain, "optimizer": optimizer}
    known = {name: knowledge.explain(called, **where) for name, called in found.items() if called is not None}
    return MappingProxyType(known)


def interacting(space: Space, domain: str) -> Mapping[str, frozenset[str]]:
    """Return for each parameter those whose best values move with it, as the knowledge says of either."""
    known = known_of(space, domain)
    pairs = {
        (one, other)
        for one, about in known.items()
        for other, of in known.items()
        if one != other and (of.name in about.interactions.value or about.name in of.interactions.value)
    }
    return {name: frozenset(other for one, other in pairs if one == name) for name in space}


def default_of(space: Space, domain: str, optimizer: str | None = None) -> dict[str, Any]:
    """Return the configuration to begin with: stated defaults, then known ones, then the middle of the scale."""
    known = known_of(space, domain, optimizer)
    values = {
        name: _nearest(parameter, known[name].default.value)
        if name in known and not parameter.has_default
        else parameter.default_value
        for name, parameter in space.items()
    }
    active = space.active(values)
    return space.check({name: value for name, value in values.items() if name in active})


# --- what a budget is spent on ----------------------------------------------------------------------------------------


def allotted(left: float, tiers: Sequence[Tier]) -> list[float]:
    """Return how many of the trainings that are left each tier gets at most; what they leave is for everything.

    Each gets its share of what is left for it and those after it, at least ``fewest`` and at most ``most``; where too
    little would remain for the next one to begin, all that is left.
    """
    given: list[float] = []
    for place, tier in enumerate(tiers):
        wanted = max(float(tier.fewest), left * tier.share / sum(later.share for later in tiers[place:]))
        amount = min(left, tier.most, wanted)
        following = tiers[place + 1].fewest if place + 1 < len(tiers) else 0
        if left - amount < following:
            amount = min(left, tier.most)
        given.append(amount)
        left -= amount
    return given


def few(left: float, tiers: Sequence[Tier]) -> bool:
    """Tell whether so many trainings are too few to say something about each of several tiers by itself."""
    return len(tiers) > 1 and left < sum(tier.fewest for tier in tiers)


def planned(left: float, tiers: Sequence[Tier]) -> list[float]:
    """Return how many of the trainings that are left before the first tier each tier gets at most, whole ones.

    As :func:`allotted` says when each takes all that it may; where they are :func:`few`, those after the first get
    none of their own.
    """
    given: list[float] = []
    for place in range(len(tiers)):
        most = 0.0 if place and few(left, tiers) else allotted(left - sum(given), tiers[place:])[0]
        given.append(max(0.0, float(math.ceil(most - 0.5))))
    return given


# --- who belongs where ------------------------------------------------------------------------------------------------


def _by_importance(space: Space, known: Mapping[str, Explanation]) -> list[tuple[tuple[str, ...], str]]:
    """Return names and the reason for their place, tier by tier; the four tiers of the module's text."""
    importance = _importance(space, known)
    tuned = [name for name, parameter in space.items() if parameter.count > 1]
    kinds: dict[int, list[str]] = {}
    for name in tuned:
        kind = _kind(importance[name], name in known and known[name].architecture)
        if kind is not None:
            kinds.setdefault(kind, []).append(name)
    if not kinds and tuned:  # nothing but what usually stays at its default
        kinds = {_REFINEMENTS: tuned}
    order = sorted(kinds, key=lambda kind: (min(importance[name] for name in kinds[kind]), kind))
    return [(tuple(kinds[kind]), _why(kinds[kind], known)) for kind in order]


def _importance(space: Space, known: Mapping[str, Explanation]) -> dict[str, int]:
    """Return the importance of every parameter, 1 is the first; that of a parent is no less than its children's."""
    importance = {
        name: parameter.tier or (int(known[name].tier.value) if name in known else _UNKNOWN)
        for name, parameter in space.items()
    }
    for name in reversed(list(space)):  # parents come before their children
        for parent in space.conditions[name]:
            importance[parent] = min(importance[parent], importance[name])
    return importance


def _kind(importance: int, architecture: bool) -> int | None:
    if importance >= LAST_TIER:
        return None
    if architecture:
        return _ARCHITECTURE
    return {1: _RATE, 2: _OPTIMISATION}.get(importance, _REFINEMENTS)


def _why(names: Sequence[str], known: Mapping[str, Explanation]) -> str:
    """Return why some parameters stand where they do: the reason of the first that is known."""
    first = next((name for name in names if name in known), None)
    if first is None:
        return "nothing is known of what they do"
    return f"{known[first].tier.why}" if len(names) == 1 else f"{first}: {known[first].tier.why}"


def _check_names(tiers: Sequence[Sequence[str]], space: Space) -> None:
    named = [name for tier in tiers for name in tier]
    for place, name in enumerate(named):
        if name not in space:
            hint = nearest(name, space) or f": the parameters are {', '.join(space)}"
            raise ValueError(f"Tiered expected parameters of the space in its tiers, got {name!r}{hint}")
        if name in named[:place]:
            raise ValueError(f"Tiered expected each parameter in one tier, got {name!r} twice: leave it in one")


def _nearest(parameter: Parameter, value: Any) -> Any:
    """Return the possible value nearest to a known default, or the parameter's own default where none is near."""
    if isinstance(parameter, Choice):
        same = [choice for choice in parameter.choices if str(choice).lower() == str(value).lower()]
        numbers = [c for c in parameter.choices if isinstance(c, int | float) and not isinstance(c, bool) and c > 0]
        if same or not parameter.ordered or not numbers or not isinstance(value, int | float) or value <= 0:
            return same[0] if same else parameter.default_value
        return min(numbers, key=lambda choice: abs(math.log(choice / value)))
    if isinstance(parameter, Float | Int) and isinstance(value, int | float):
        inside = min(max(value, parameter.low), parameter.high)
        try:
            return parameter.check(round(inside) if isinstance(parameter, Int) else inside)
        except ValueError:  # between two steps
            return parameter.default_value
    return parameter.default_value


def values_differ(space: Space, one: Config, other: Config, name: str, least: float) -> bool:
    """Tell whether two configurations differ in a parameter, by at least so much of its scale."""
    if name not in one or name not in other:
        return (name in one) != (name in other)
    if space[name].is_categorical:
        return bool(one[name] != other[name])
    return abs(space[name].to_unit(one[name]) - space[name].to_unit(other[name])) >= least


def decade_of(parameter: Parameter) -> float | None:
    """Return how much of its scale a factor of ten is, None where the scale is not logarithmic."""
    if not isinstance(parameter, Float | Int) or parameter.scale != "log" or parameter.low >= parameter.high:
        return None
    return math.log(10.0) / math.log(parameter.high / parameter.low)


def optimizer_of(space: Space, domain: str, given: str | None = None) -> str | None:
    """Return the optimizer to look defaults up for: the given one, or the default of the space's own parameter."""
    name = next((name for name in space if knowledge.find(name) == "optimizer"), None)
    if given is not None or name is None:
        return given
    usual = knowledge.explain("optimizer", domain=domain).default.value
    chosen = space[name].default_value if space[name].has_default else _nearest(space[name], usual)
    return str(chosen).lower() if str(chosen).lower() in knowledge.OPTIMIZERS else None


def checked_shares(shares: Any) -> tuple[float, ...]:
    """Return shares as a tuple; raise ValueError unless all are numbers above 0."""
    numbers = isinstance(shares, Sequence) and not isinstance(shares, str)
    if not numbers or not shares or not all(_is_share(share) for share in shares):
        raise ValueError(f"Tiered expected shares above 0, such as (0.5, 0.2, 0.2, 0.1), got {shares!r}")
    return tuple(float(share) for share in shares)


def checked_tiers(tiers: Any) -> tuple[tuple[str, ...], ...]:
    """Return tiers as tuples; raise ValueError unless they are lists of names, none of them empty."""
    lists = isinstance(tiers, Sequence) and not isinstance(tiers, str) and tiers
    if not lists or not all(isinstance(tier, Sequence) and not isinstance(tier, str) and tier for tier in tiers):
        raise ValueError(
            f'Tiered expected tiers such as [["learning_rate"], ["batch_size", "momentum"]], got {tiers!r}'
        )
    return tuple(tuple(tier) for tier in tiers)


def _is_share(share: Any) -> bool:
    return isinstance(share, int | float) and not isinstance(share, bool) and 0.0 < share < math.inf

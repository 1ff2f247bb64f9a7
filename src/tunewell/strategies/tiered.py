"""Tiered and time-boxed: what matters most first, on a share of the budget, then the next.

What an expert does by hand: train the default configuration, tune the learning rate alone, then momentum and batch
size, then width and depth, then the refinements, and go on with everything together if there is compute left. Which
parameter is tuned when, and what of the budget a tier gets, is said by :mod:`tunewell.tiers`; how far the search has
come, by :mod:`tunewell.surrogate.tiering`. Both are pure functions, so an interrupted search goes on in the tier, and
with the shares, that it had.

Within a tier the other parameters stay at the values of the best trial so far, whatever those are by then. A Gaussian
process of *all* trials (:mod:`tunewell.samplers.gp`), over the whole space, decides where along the open parameters to
go, so nothing learnt in one tier is lost to the next. The first tier begins with steps of a decade up and down from the
default where its parameter is on a logarithmic scale.

Nothing is frozen for good. Every third trial of a later tier also varies the parameters of earlier tiers that interact
with it, as the knowledge says (a batch size has its own learning rate); and once the best trial has another value of
such a parameter than the tier began with, every trial does.

After the tiers everything is open: the default sampler (:mod:`tunewell.samplers.evidence`) goes on with all that was
seen. Where the budget is too small for every tier, all other parameters follow the first tier together: two bold trials
vary everything but the learning rate, which is known by then; the others vary everything, and half of what is believed
is that good configurations lie near the best one (:mod:`tunewell.surrogate.beliefs`). Which of the later tiers matters
most is not known with so few trainings, and the first of them would get all that is left. Where trials rest early, the
best trial is the one that leads after equal training.
How far each configuration trains is the scheduler's business, as ever.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import InitVar, dataclass

import numpy as np

from tunewell.events import Status
from tunewell.history import History
from tunewell.knowledge import check_where
from tunewell.protocols import Exhausted, Suggestion
from tunewell.samplers.acquiring import Slice, ranked
from tunewell.samplers.evidence import Evidence
from tunewell.samplers.gp import GP
from tunewell.samplers.results import places, results
from tunewell.samplers.view import look
from tunewell.scales import Floats
from tunewell.space import Config, Space
from tunewell.strategies.plan import TieredPlan
from tunewell.surrogate import processes
from tunewell.surrogate.incumbent import incumbent
from tunewell.surrogate.observations import observe, tried, values_of
from tunewell.surrogate.tiering import ALL, FIRST, Standing, is_short, leader, standing, tier_in_words
from tunewell.surrogate.tiering_words import entered
from tunewell.tiers import (
    Tier,
    checked_shares,
    checked_tiers,
    decade_of,
    default_of,
    interacting,
    optimizer_of,
    tiers_of,
    values_differ,
)

_FITTED = 3  # losses before the first fit
_BOLD = 2  # trials of all other parameters, where one tier is all that is tuned alone
_REOPENED = 3  # every so many trials of a later tier vary what interacts with it
_MOVED = 0.05  # of a scale: less is no other value
_STEPS = (1.0, -1.0, 0.5, -0.5, 2.0, -2.0)  # decades from the default, before the first fit
_DOWN = (-1.0, -0.5, -0.25, 1.0, 0.5, 2.0)  # from the least that diverged, while everything has
_WIDEST = 0.3  # of a scale: a first step
_FINEST = 0.03  # of a scale: what is nearer to a trial is its neighbour
_DRAWS = 50  # until one is new


@dataclass(frozen=True)
class Tiered:
    """What matters most first, on a share of the budget; see the module's text.

    Attributes:
        tiers: names of parameters, tier by tier; None takes them from the knowledge and from what parameters state.
        shares: of the budget, one for each tier, as weights; None means 50, 20, 20 and 10 %.
        domain: where it is tuned, a key of :data:`tunewell.knowledge.DOMAINS`.
        optimizer: under which, a key of :data:`tunewell.knowledge.OPTIMIZERS`; None: the space's default one, if any.
        plan: what ``study.plan`` returned, changed or not, in the place of the other options.

    Raises:
        ValueError: an unknown domain or optimizer, a share that is not above 0, an empty tier.

    >>> import tunewell as tw
    >>> sampler = tw.strategies.Tiered(domain="vision")
    """

    tiers: Sequence[Sequence[str]] | None = None
    shares: Sequence[float] | None = None
    domain: str = "generic"
    optimizer: str | None = None
    plan: InitVar[TieredPlan | None] = None

    def __post_init__(self, plan: TieredPlan | None) -> None:
        if plan is not None:
            if self != type(self)():
                raise ValueError("Tiered expected a plan or other options, got both: write plan.changed(tiers=...)")
            for name, value in plan.options.items():
                object.__setattr__(self, name, value)
        check_where(self.domain, self.optimizer)
        if self.shares is not None:
            object.__setattr__(self, "shares", checked_shares(self.shares))
        if self.tiers is not None:
            object.__setattr__(self, "tiers", checked_tiers(self.tiers))

    def check_space(self, space: Space) -> None:
        """Refuse tiers that name parameters which the space does not have.

        Raises:
            ValueError: so it is.
        """
        tiers_of(space, self.tiers, self.shares, self.domain, self.optimizer)

    def suggest(self, space: Space, history: History, rng: np.random.Generator) -> Suggestion:
        """Return a configuration with the tier it belongs to; the first one of each tier comes with a note.

        Raises:
            ValueError: the space lacks a parameter that ``tiers`` names.
            Exhausted: everything has been tried.
        """
        tiers = tiers_of(space, self.tiers, self.shares, self.domain, self.optimizer)
        default = default_of(space, self.domain, optimizer_of(space, self.domain, self.optimizer))
        if not history.trials:
            return Suggestion(default, FIRST)
        at = standing(tiers, history)
        note = _note(tiers, at, history)
        base = _best(space, history) or default
        aim = self._aim(tiers, at, base, space, history)
        found = None if aim is None else _searched(aim, base, _units(space, default, base), space, history, rng)
        if found is not None:
            return Suggestion(found.config, found.reason, note)
        place = f"{ALL} parameters together" if aim is None else f"{aim.place}: all tried, so all parameters together"
        found = Evidence().suggest(space, history, rng)
        return Suggestion(found.config, f"{place}: {found.reason}", found.note or note)

    def _aim(self, tiers: Sequence[Tier], at: Standing, base: Config, space: Space, history: History) -> _Aim | None:
        """Return what is to be varied now; None where that is for the default sampler to say."""
        if at.now.tier < len(tiers):
            tier = tiers[at.now.tier]
            again, why = _reopened(tiers, at, base, space, history, self.domain)
            place = f"{tier_in_words(tiers, at.now.tier)}, {', '.join(tier.parameters)}{why}"
            return _Aim([*tier.parameters, *again], place, near=at.few)
        if not at.few:
            return None
        known = tiers[0].parameters
        others = [name for name in space if name not in known]
        if others and at.now.trials < _BOLD:
            return _Aim(others, f"{ALL} but {', '.join(known)} together", near=False)
        return _Aim(list(space), f"{ALL} together around the best so far", near=True)


@dataclass(frozen=True)
class _Aim:
    """Which parameters vary, where the search stands in words, and whether good ones are believed to lie near."""

    opened: Sequence[str]
    place: str
    near: bool


def _searched(
    aim: _Aim, base: Config, units: Floats, space: Space, history: History, rng: np.random.Generator
) -> Suggestion | None:
    """Return a configuration that differs from ``base``, which lies at ``units``, in what is open only.

    A process of all trials decides. None when all have been tried.
    """
    opened, place = aim.opened, aim.place
    part = Slice(np.array([list(space).index(name) for name in opened]), units)
    around = units if aim.near else None
    with processes.one_thread():
        process = GP(warping=True)
        view = look(space, history, _FITTED, process.evaluations, rng, process.warping, around=around)
        if view is None:
            return _spread(space, history, part, base, opened, place, rng)
        repeated = view.to_repeat(space, history)
        if repeated is not None:
            return Suggestion(repeated.config, f"{place}: {repeated.reason}")
        target = process.target(view, history.suggested, rng)
        try:
            found = ranked(view.cube, space, history, target, view.top, process.candidates, rng, part)
            config = _apart(space, history, part, list(_kept(space, history, found, base, opened)))
        except Exhausted:
            return None
        if config is None:
            return None
        return Suggestion(config, f"{place}: {process.reason(view, space, config, history.suggested)}")


def _best(space: Space, history: History) -> Config | None:
    """Return the best configuration so far that the space can hold, None where there is none.

    Where some trials rest early, best is who leads after equal training.
    """
    if len(history.goals) == 1:
        early = any(record.observed and is_short(record, history) for record in history.trials)
        record = leader(history, history.trials) if early else incumbent(history)
        return None if record is None else _held(space, record.params)
    seen = results(space, history)
    if not np.isfinite(seen.losses).all(axis=1).any():
        return None
    best = int(seen.numbers[np.argmin(places(seen.losses, seen.violations))])
    return _held(space, history.trials[best].params)


def _held(space: Space, config: Config) -> Config | None:
    """Return a configuration that may be of an earlier space, None where today's cannot hold it."""
    try:
        return space.check(config)
    except ValueError:
        return None


def _units(space: Space, default: Config, base: Config) -> Floats:
    """Return the coordinates of ``base``, shape ``(d,)``; of the default where a parameter is not active there."""
    values = {name: parameter.default_value for name, parameter in space.items()} | dict(default) | dict(base)
    return np.array([parameter.to_unit(values[name]) for name, parameter in space.items()])


def _reopened(
    tiers: Sequence[Tier], at: Standing, base: Config, space: Space, history: History, domain: str
) -> tuple[list[str], str]:
    """Return the parameters of earlier tiers that are open again, and why in words."""
    now = tiers[at.now.tier].parameters
    partners = interacting(space, domain)
    related = [name for tier in tiers[: at.now.tier] for name in tier.parameters if partners[name] & set(now)]
    if not related:
        return [], ""
    before = None if at.now.before is None else _held(space, history.trials[at.now.before].params)
    moved = [
        name
        for name in now
        if before is not None
        and any(name in partners[other] for other in related)
        and values_differ(space, base, before, name, _MOVED)
    ]
    if moved:
        return related, f", and {', '.join(related)} again, for {', '.join(moved)} changed"
    if len(history.trials) % _REOPENED == 0:
        return related, f", and {', '.join(related)} with it"
    return [], ""


def _spread(
    space: Space,
    history: History,
    part: Slice,
    base: Config,
    opened: Sequence[str],
    place: str,
    rng: np.random.Generator,
) -> Suggestion | None:
    """Return a configuration before there is anything to fit: decades from the default, or one drawn at random."""
    units = [part.base.copy() for _ in _STEPS]
    parameter = space[opened[0]]
    decade = decade_of(parameter)
    if len(opened) == 1 and decade is not None:
        center, column = parameter.to_unit(base[opened[0]]), int(part.columns[0])
        diverged = _diverged(space, history)
        if diverged:  # what is smaller is safer
            center = min([center, *(parameter.to_unit(each[opened[0]]) for each in diverged if opened[0] in each)])
        for unit, steps in zip(units, _DOWN if diverged else _STEPS, strict=True):
            step = float(np.sign(steps)) * min(_WIDEST, abs(steps) * decade)
            unit[column] = center + step if 0.0 <= center + step <= 1.0 else (center + (step > 0.0)) / 2.0
    else:
        units = []
    drawn = (part.hold(rng.random((1, len(space))))[0] for _ in range(_DRAWS))
    configs = (space.decode_one(unit.tolist()) for each in (units, drawn) for unit in each)
    config = next(_kept(space, history, configs, base, opened), None)
    return None if config is None else Suggestion(config, f"{place}: to begin with")


def _diverged(space: Space, history: History) -> list[Config]:
    """Return the configurations of the trials so far if all diverged, else none."""
    silent = (Status.RUNNING, Status.FAILED, Status.LOST)  # these say nothing of the configuration
    ended = [record for record in history.trials if record.status not in silent]
    if any(record.status is not Status.DIVERGED for record in ended):
        return []
    return [config for record in ended if (config := _held(space, record.params)) is not None]


def _kept(
    space: Space, history: History, found: Iterator[Config], base: Config, opened: Sequence[str]
) -> Iterator[Config]:
    """Yield what has not been tried; what is not open has exactly the values of ``base``."""
    done = tried(space, history)
    for config in found:
        exact = {name: base.get(name, value) if name not in opened else value for name, value in config.items()}
        if values_of(space, exact) not in done:
            yield exact


def _apart(space: Space, history: History, part: Slice, configs: Sequence[Config]) -> Config | None:
    """Return the first configuration that is no neighbour of one that was tried, or the first one; None for none.

    While the other parameters wait for their turn, the second digit of one is worth no training.
    """
    if not configs:
        return None
    units = space.encode(configs)
    seen = observe(space, history)
    known = np.concatenate([seen.units, seen.failed, seen.pending])
    gaps = np.nan_to_num(np.abs(units[:, None, :] - known[None, :, :]), nan=0.0)
    near = (gaps < _FINEST).all(axis=2).any(axis=1)
    return configs[int(np.argmin(near))]


def _note(tiers: Sequence[Tier], at: Standing, history: History) -> str:
    """Return a remark on the tier that the search has come to; empty when the study has it."""
    head, text = entered(tiers, at)
    said = sum(note.text.startswith(head) for note in history.notes)
    return "" if said >= sum(passage.tier == at.now.tier for passage in at.passages) else f"{head}{text}"

"""What a tiered search says: when it comes to a tier, and in the end, its plan against what happened."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from tunewell.history import History, TrialRecord
from tunewell.surrogate.tiering import Passage, Standing, Unit, is_short, leader, loss_at, standing, tier_in_words
from tunewell.tiers import Tier, tiers_of

TOGETHER = "all parameters together"


def entered(tiers: Sequence[Tier], at: Standing) -> tuple[str, str]:
    """Return what is to be said when a tier begins: what tells it from all other remarks, and the rest."""
    now, left = at.now, [passage for passage in at.passages[:-1] if passage.trials]
    why = f", {_why_left(tiers, left[-1])}" if left else ""
    if now.tier >= len(tiers):
        small = ", and what is left is too little for each of the others by itself" if at.few else ""
        return f"tiered: {TOGETHER}", why + small
    limit = "" if math.isinf(now.allotted) else f" on up to {amount(now.allotted, at.unit)}"
    return f"{tier_in_words(tiers, now.tier)}: {_names(tiers, now.tier)}", f"{limit}{why}"


def came_of_it(history: History) -> list[str]:
    """Return the plan of a tiered search against what happened, a line for each tier; none of another search."""
    sampler = history.settings.get("sampler", "auto")
    if isinstance(sampler, str) or sampler.get("name") != "tiered" or not history.trials:
        return []
    options = {name: value for name, value in sampler.items() if name in ("tiers", "shares", "domain", "optimizer")}
    try:
        tiers = tiers_of(history.space, **options)
    except ValueError:  # the space has changed since
        return []
    return list(_lines(tiers, standing(tiers, history), history))


def _lines(tiers: Sequence[Tier], at: Standing, history: History) -> Iterator[str]:
    if at.unit == "trials" and at.total < 2.0:
        yield "one training: nothing was tuned"
        return
    for place, passage in enumerate(at.passages):
        if not passage.trials:
            continue
        if place + 1 == len(at.passages):
            after = leader(history, history.trials)
        else:
            after = _trial(history, at.passages[place + 1].before)
        found = _found(_trial(history, passage.before), after, history)
        if passage.tier >= len(tiers):
            yield f"{TOGETHER}: {amount(passage.trials, 'trials')}{found}"
        else:
            ending = {"found": ", then nothing more was found", "spent": "", "": ", not over"}[passage.ended]
            taken = f"{amount(passage.taken, passage.unit)} taken{ending}{found}"
            yield f"tier {passage.tier + 1}, {_names(tiers, passage.tier)}: {_limits(passage)}{taken}"
    reached = {passage.tier for passage in at.passages if passage.trials}
    for place in range(1 if at.few else len(tiers)):
        if place not in reached:
            yield f"tier {place + 1}, {_names(tiers, place)}: not reached"
    if len(tiers) not in reached:
        yield f"{TOGETHER}: not reached"


def _limits(passage: Passage) -> str:
    """Return what a tier could take: as it was planned, and what flowed on to it."""
    if math.isinf(passage.allotted) or math.isinf(passage.planned):
        return ""
    more = passage.allotted - passage.planned
    planned = f"up to {amount(passage.planned, passage.unit)}" if passage.planned else "nothing"
    flowed = f" and {amount(more, passage.unit)} left by others" if more >= 1.0 else ""
    return f"{planned} planned{flowed}, "


def _found(before: TrialRecord | None, after: TrialRecord | None, history: History) -> str:
    """Return the best value before and after a tier, after equal training; nothing with several goals."""
    if len(history.goals) > 1 or before is None or after is None:
        return ""
    if before is after:
        return f"; {_shown(after.value)} stayed"
    step = min(before.step, after.step)
    if before.step == after.step or not (is_short(before, history) or is_short(after, history)):
        return f"; {_shown(before.value)} to {_shown(after.value)}"
    values = [record.goals[0].loss(loss_at(record, step)) for record in (before, after)]  # the sign flips back
    return f"; {_shown(values[0])} to {_shown(values[1])} after {amount(step, 'steps')} of each"


def _trial(history: History, number: int | None) -> TrialRecord | None:
    return None if number is None else history.trials[number]


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"


def _names(tiers: Sequence[Tier], place: int) -> str:
    return ", ".join(tiers[place].parameters)


def _why_left(tiers: Sequence[Tier], left: Passage) -> str:
    if left.tier >= len(tiers):
        return "for a longer run pays for it"
    names, took = _names(tiers, left.tier), amount(left.taken, left.unit)
    if left.ended == "found":
        return f"for the last results on {names} brought nothing more after {took}"
    return f"for {names} had {took}"


def amount(number: float, unit: Unit) -> str:
    """Return so many trials or steps, or so much time, in words."""
    if unit == "seconds":
        return time_in_words(number)
    whole = round(number)
    return f"{whole:,} {unit[:-1] if whole == 1 else unit}"


def time_in_words(seconds: float) -> str:
    """Return a time as one says it: ``45 s``, ``12 min``, ``1 h 12 min``."""
    if seconds < 90:
        return f"{seconds:.3g} s"
    minutes = round(seconds / 60.0)
    hours, rest = divmod(minutes, 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{hours} h {rest} min" if rest else f"{hours} h"

"""What a tiered search says: when it comes to a tier, and in the end, its plan against what happened."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from tunewell.history import History, TrialRecord
from tunewell.surrogate.tiering import Passage, Standing, Unit, standing
from tunewell.tiers import Tier, tiers_of

TOGETHER = "all parameters together"


def entered(tiers: Sequence[Tier], at: Standing) -> tuple[str, str]:
    """Return what is to be said when a tier begins: what tells it from all other remarks, and the rest."""
    now = at.now
    why = "" if len(at.passages) < 2 else f", {_why_left(tiers, at.passages[-2], at.unit)}"
    if now.tier >= len(tiers):
        small = ", and what is left is too little for each of the others by itself" if at.few else ""
        return f"tiered: {TOGETHER}", why + small
    limit = "" if math.isinf(now.allotted) else f" on up to {amount(now.allotted, at.unit)}"
    return f"tiered, tier {now.tier + 1} of {len(tiers)}: {_names(tiers, now)}", f"{limit}{why}"


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
    single = len(history.goals) == 1
    for place, passage in enumerate(at.passages):
        last = place + 1 == len(at.passages)
        after = history.best if last else _trial(history, at.passages[place + 1].before)
        before = _trial(history, passage.before)
        found = ""
        if single and after is not None and before is not None:
            gained = after.loss != before.loss
            found = (
                f"; {_shown(before.value)} to {_shown(after.value)}" if gained else f"; {_shown(after.value)} stayed"
            )
        if passage.tier >= len(tiers):
            number = history.spent_trials - 1 - sum(each.trials for each in at.passages[:-1])
            if number > 0:
                yield f"{TOGETHER}: {amount(number, 'trials')}{found}"
            continue
        planned = "" if math.isinf(passage.allotted) else f"up to {amount(passage.allotted, at.unit)} planned, "
        ending = {"found": ", then nothing more was found", "spent": "", "": ", not over"}[passage.ended]
        head = f"tier {passage.tier + 1}, {_names(tiers, passage)}"
        yield f"{head}: {planned}{amount(passage.taken, at.unit)} taken{ending}{found}"
    reached = at.now.tier
    for place in range(reached + 1, len(tiers)):
        yield f"tier {place + 1}, {', '.join(tiers[place].parameters)}: not reached"


def _trial(history: History, number: int | None) -> TrialRecord | None:
    return None if number is None else history.trials[number]


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"


def _names(tiers: Sequence[Tier], passage: Passage) -> str:
    return ", ".join(tiers[passage.tier].parameters)


def _why_left(tiers: Sequence[Tier], left: Passage, unit: Unit) -> str:
    names, took = _names(tiers, left), amount(left.taken, unit)
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

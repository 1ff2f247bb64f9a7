"""Advice: keep what was found, tune the learning rate again, or everything; with reasons and the study to run next."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from tunewell import knowledge
from tunewell.fingerprints import Fingerprint
from tunewell.history import History, TrialRecord
from tunewell.retuning.changes import (
    VERDICTS,
    Change,
    Verdict,
    changes_between,
    not_compared,
    nothing_compared,
    unrecorded,
)
from tunewell.scales import SCALES
from tunewell.space import Choice, Config, Float, Int, Parameter, Prior, Space
from tunewell.surrogate.incumbent import incumbent
from tunewell.values import joined

PER_DECADE = 4  # trials of a learning rate, for each factor of ten that is searched
LEAST = 3
PER_PARAMETER = 5  # trials, for each parameter, when all are tuned again


class Fresh(Protocol):
    """A study that may be told what to try first."""

    @property
    def history(self) -> History:
        """Its events so far."""
        ...

    @property
    def space(self) -> Space:
        """Its space."""
        ...

    def enqueue(self, params: Mapping[str, Any]) -> None:
        """Put a configuration first in line."""
        ...


@dataclass(frozen=True)
class Advice:
    """What to do with what a study found; it prints well.

    Attributes:
        verdict: ``"keep"``, ``"learning_rate"`` or ``"all"``; ``"unknown"`` where nothing of the training
            could be compared and nothing else speaks against what was found.
        changes: what changed, the weightiest first, each with ``what``, ``message``, ``verdict`` and ``why``.
        best: the best configuration so far; None where the study has several goals or no result.
        around: the same, with learning rate and weight decay moved to where they are expected now.
        tuned: the parameters to tune again.
        near: those of them that are searched only within ``width`` of ``around``; the others in their whole range.
        width: how far, as a factor, the best learning rate may lie from the one in ``around``.
        trials: how many configurations to try in all.
        unknown: what could not be compared.
        unrecorded: those parts that were said now and that the study does not know of itself.
        found: whether any trial has a value that could hold; without one everything is tuned from the beginning.
    """

    verdict: Verdict | Literal["unknown"]
    changes: tuple[Change, ...]
    best: Config | None
    around: Config | None
    tuned: tuple[str, ...]
    near: tuple[str, ...]
    width: float
    trials: int
    unknown: tuple[str, ...]
    found: bool = True
    unrecorded: tuple[str, ...] = ()

    def space(self, space: Space) -> Space:
        """Return the space to search next, made of the study's: what stays is fixed, what is tuned has a prior.

        The default configuration is :attr:`around`. A parameter that is fixed is a range of one point; one that was not
        active in the best configuration is left out where it can no longer be. A range grows where its new default lies
        beyond it, and has no ``step`` any more where that lies between two.
        """
        if self.around is None:
            return space
        if self.verdict == "all":
            return Space({name: self._open(name, parameter) for name, parameter in space.items()})
        kept = {name: parameter for name, parameter in space.items() if name in self.around}
        return Space(
            {
                name: self._searched(name, p) if name in self.tuned else _fixed(p, self.around[name])
                for name, p in kept.items()
            }
        )

    def apply(self, study: Fresh) -> None:
        """Put the best values so far of what is tuned first in line in a new study over :meth:`space`.

        Its default configuration, :attr:`around`, comes after it. Nothing happens where the two are the same, where the
        old values lie outside the space, or where the study has begun.
        """
        history = study.history
        if self.best is None or self.around is None or history.trials or history.queue:
            return
        anew = _RATES if any(change.what == "optimizer" for change in self.changes) else ()
        old = [name for name in self.tuned if name in self.best and knowledge.find(name) not in anew]
        config = {**self.around, **{name: self.best[name] for name in old}}
        try:
            config = study.space.check(config)
        except ValueError:
            return
        if config != study.space.default():
            study.enqueue(config)

    def to_json(self) -> dict[str, Any]:
        """Return the advice as plain data."""
        return {
            "verdict": self.verdict,
            "found": self.found,
            "trials": self.trials,
            "tuned": list(self.tuned),
            "around": None if self.around is None else dict(self.around),
            "width": self.width,
            "changes": [
                {"what": c.what, "message": c.message, "verdict": c.verdict, "factor": c.factor, "why": c.why}
                for c in self.changes
            ],
            "not_compared": list(self.unknown),
            "unrecorded": list(self.unrecorded),
        }

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        headings = _HEADINGS | ({"unknown": _UNRECORDED} if self.unrecorded else {})
        heading = headings[self.verdict] if self.found else _NOTHING
        yield heading.format(names=" and ".join(self.tuned), trials=self.trials)
        if self.around is not None and self.best is not None and self.changes:
            for name, value in self.around.items():
                moved = f", was {_shown(self.best[name])}" if value != self.best[name] else ""
                told = f"{name} = {_shown(value)}{moved}"
                if name in self.near:
                    told += f", searched by a factor of {self.width:g} on either side"
                elif name in self.tuned:
                    told += ", searched in its whole range"
                if moved or name in self.tuned:
                    yield f"  {told}"
        for change in self.changes:
            yield f"  {_ASKS[change.verdict]}: {change.message}"
            yield f"    {change.why}"
        if self.unknown:
            yield f"  not compared: {', '.join(self.unknown)}"
        if self.unrecorded and self.found:
            said = joined([part.replace("_", " ") for part in self.unrecorded])
            given = ", ".join(f"{part}=..." for part in self.unrecorded)
            yield (
                f"  the study does not know its {said}: run it once more to the same total with "
                f"fingerprint=tw.fingerprint({given}), as it was"
            )

    def _searched(self, name: str, parameter: Parameter) -> Parameter:
        """Return what is searched of a parameter: the part around the centre, or all, with a prior at the centre."""
        centre: Any = (self.around or {})[name]
        if name in self.near and isinstance(parameter, Float):
            prior = Prior(centre, "medium")
            return dataclasses.replace(
                parameter, low=centre / self.width, high=centre * self.width, default=centre, prior=prior
            )
        return self._open(name, parameter)

    def _open(self, name: str, parameter: Parameter) -> Parameter:
        """Return the whole parameter with the centre as its default and a prior there, wider where it has to be."""
        if self.around is None or name not in self.around:
            return parameter
        centre: Any = self.around[name]
        changed: dict[str, Any] = {"default": centre, "prior": Prior(centre, "medium")}
        if isinstance(parameter, Float | Int):
            changed |= {"low": min(parameter.low, centre), "high": max(parameter.high, centre)}
            changed["step"] = parameter.step if _on_steps(parameter, centre) else None
        if isinstance(parameter, Choice) and centre not in parameter.choices:
            choices = [*parameter.choices, centre]
            changed["choices"] = sorted(choices) if parameter.ordered else choices
        return dataclasses.replace(parameter, **changed)


_RATES = ("learning_rate", "weight_decay")  # whose values mean something else under another optimizer
_HEADINGS = {
    "keep": "keep what was found",
    "learning_rate": "tune {names} again and keep the rest: {trials} trials",
    "all": "tune everything again, starting from what was found: {trials} trials",
    "unknown": "nothing of data, model, batch size, steps or optimizer could be compared, so nobody knows whether what "
    "was found still holds: say what they are now",
}
_UNRECORDED = "nothing that was said could be compared, so nobody knows whether what was found still holds"
_NOTHING = "no trial has a value that could hold, so there is nothing to keep: tune everything, {trials} trials"
_ASKS = {"keep": "keep", "learning_rate": "learning rate", "all": "all"}


def advise(history: History, now: Fingerprint) -> Advice:
    """Return what to do with what a study found, now that things are as ``now`` says.

    Raises:
        TypeError: ``now`` is no fingerprint.
    """
    if not isinstance(now, Fingerprint):
        raise TypeError(f"retune expected a fingerprint, got {now!r:.60}: write tw.fingerprint(data=..., model=...)")
    best = incumbent(history) if len(history.goals) == 1 else None
    then = as_found(history, best)
    changes = changes_between(then, now)
    verdict: Verdict = max((change.verdict for change in changes), key=VERDICTS.index, default="keep")
    found = best is not None if len(history.goals) == 1 else any(t.observed and t.feasible for t in history.trials)
    if not found:
        verdict = "all"
    tuned = _tuned(history.space, best, verdict)
    near = [name for name in tuned if verdict == "learning_rate" and _narrows(history.space[name])]
    width = max((change.width for change in changes), default=1.0)
    return Advice(
        "unknown" if verdict == "keep" and nothing_compared(then, now) else verdict,
        changes,
        None if best is None else best.params,
        None if best is None else _moved(history.space, best.params, changes, now.over(then)),
        tuned,
        tuple(near),
        width,
        _trials(verdict, tuned, width),
        not_compared(then, now),
        found,
        unrecorded(then, now),
    )


def as_found(history: History, best: TrialRecord | None) -> Fingerprint:
    """Return the study's fingerprint with what its best configuration and its history say of the training."""
    told = history.fingerprint or Fingerprint()
    named = {knowledge.find(name): value for name, value in (best.params if best is not None else {}).items()}
    batch, optimizer = named.get("batch_size"), str(named.get("optimizer", "")).lower()
    return dataclasses.replace(
        told,
        batch_size=batch if isinstance(batch, int) else told.batch_size,
        optimizer=optimizer if optimizer in knowledge.OPTIMIZERS else told.optimizer,
        steps=told.steps or history.horizon,
    )


def _tuned(space: Space, best: TrialRecord | None, verdict: Verdict) -> tuple[str, ...]:
    """Return the parameters to tune again: all, or the learning rates, or what is tuned first where there are none."""
    several = [name for name, p in space.items() if p.count > 1 and (best is None or name in best.params)]
    if verdict == "keep":
        return ()
    if verdict == "all":
        return tuple(name for name, parameter in space.items() if parameter.count > 1)
    rates = [name for name in several if knowledge.find(name) == "learning_rate"]
    first = min((_tier(name, space[name]) for name in several), default=1)
    return tuple(rates or [name for name in several if _tier(name, space[name]) == first])


def _narrows(parameter: Parameter) -> bool:
    """Tell whether a part of a parameter is a factor on either side of a value."""
    return isinstance(parameter, Float) and parameter.scale == "log"


def _tier(name: str, parameter: Parameter) -> int:
    known = knowledge.find(name)
    return parameter.tier or (knowledge.explain(known).tier.value if known is not None else knowledge.LAST_TIER)


def _trials(verdict: Verdict, tuned: tuple[str, ...], width: float) -> int:
    if verdict == "keep" or not tuned:
        return 1
    if verdict == "all":
        return PER_PARAMETER * len(tuned)
    return len(tuned) * max(LEAST, math.ceil(PER_DECADE * 2.0 * math.log10(width)))


def _moved(space: Space, config: Config, changes: tuple[Change, ...], now: Fingerprint) -> Config:
    """Return the configuration with learning rate, batch size and decoupled weight decay where they are expected now.

    AdamW averages weights over 1 / (rate x decay) updates, and the best average lasts as many epochs whatever the data
    (Wang and Aitchison 2024), so rate x decay follows batch size over examples. Under another optimizer learning rate
    and weight decay are its usual ones.
    """
    anew = now.optimizer if any(change.what == "optimizer" for change in changes) else None
    factors = {change.what: change.factor for change in changes}
    rate = math.prod(change.learning_rate for change in changes)
    decay = factors.get("batch_size", 1.0) / factors.get("examples", 1.0) / rate if now.optimizer == "adamw" else 1.0
    moved = dict(config)
    for name, value in config.items():
        known = knowledge.find(name)
        if known == "batch_size" and "batch_size" in factors:
            moved[name] = now.batch_size
        elif known in _RATES and name in space and isinstance(value, int | float):
            factor = rate if known == "learning_rate" else decay
            wanted = _usual(known, anew) if anew in knowledge.OPTIMIZERS else value * factor
            moved[name] = value if wanted == value else _held(space[name], value, wanted)
    return moved


def _usual(name: str, optimizer: str | None) -> float:
    """Return the usual default of a number under an optimizer."""
    return float(knowledge.explain(name, optimizer=optimizer).default.value)


def _held(parameter: Parameter, value: Any, wanted: float) -> Any:
    """Return what comes nearest to the wanted number: of a choice, or of what the scale of a range can hold."""
    if isinstance(parameter, Choice):
        numbers = [v for v in parameter.choices if isinstance(v, int | float) and v > 0]
        return min(numbers, key=lambda v: abs(math.log(v / wanted)), default=value) if wanted > 0 else value
    if not isinstance(parameter, Float | Int):
        return value
    moved = round(wanted) if isinstance(parameter, Int) else float(f"{wanted:.4g}")
    law = SCALES[parameter.scale]
    return moved if law.above < moved < law.below else min(max(moved, parameter.low), parameter.high)


def _on_steps(parameter: Float | Int, value: float) -> bool:
    """Tell whether whole steps, if it has any, lead from a range's low end to a value, which may lie beyond it."""
    if parameter.step is None:
        return False
    steps = (value - parameter.low) / parameter.step
    return abs(steps - round(steps)) <= 1e-9 * max(1.0, abs(steps))


def _fixed(parameter: Parameter, value: Any) -> Parameter:
    """Return the parameter with one value."""
    changed: dict[str, Any] = {"default": value, "prior": None}
    changed |= {"choices": [value]} if isinstance(parameter, Choice) else {"low": value, "high": value, "step": None}
    return dataclasses.replace(parameter, **changed)


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)

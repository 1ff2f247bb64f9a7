"""What hyperparameters usually do to a training, as numbers learnt from recorded tables: ``effects.toml``.

They say where in its *range* a hyperparameter is usually good: somebody who gives a range has thought of it, and in
eight families of recorded trainings the middle of the range told well where the best learning rates lay; what moves the
best rate (batch size, momentum, width, …); and how much a little of each changes. ``python -m
benchmarks.fidelity.learn_effects`` writes the file and a page that shows how far families agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType

from tunewell.knowledge.reading import parsed

EFFECTS = "effects.toml"


@dataclass(frozen=True, slots=True)
class UsualEffect:
    """What a hyperparameter does over a range to the normal scores of losses among the configurations of a task.

    Attributes:
        scale: of the hyperparameter, as of :class:`~tunewell.Float`, or ``"names"``.
        span: how wide the range is that this holds for: in decades on the scales ``"log"`` (of the value) and
            ``"reverse_log"`` (of 1 minus it), otherwise as it is. In narrower ranges slopes and bends are
            proportionally less, and there is a part of the well. 0: any range.
        slope: at the first step and at the end: negative where the upper end is better.
        bend: at the first step and at the end: positive where the middle is better.
        depth: of a well at the first step and at the end: how much worse it is far from the best place than there.
        towards_default: how far, from the middle towards the default, the best place lies.
        codes: of a hyperparameter on the scale ``"names"``: the number that stands for a name, in the place of how far
            a value is above the middle of its range.
        beside: other hyperparameters, each with how far the bottom of the well sinks, as a share of the span, while
            the other one rises from one end of its span to the other; at the first step and at the end: negative where
            the best values rise with the other one.
        length: the log of the usual length scale over such a range, minus that of a hyperparameter that nothing is
            known of: negative where little changes much; None where it is not known. In narrower ranges it is longer in
            proportion.
    """

    scale: str
    span: float
    slope: tuple[float, float] = (0.0, 0.0)
    bend: tuple[float, float] = (0.0, 0.0)
    depth: tuple[float, float] = (0.0, 0.0)
    towards_default: float = 0.0
    codes: Mapping[str, float] = field(default_factory=dict)
    beside: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    length: float | None = None


@cache
def usual_effects() -> Mapping[str, UsualEffect]:
    """Return the effects that are known, by the names of hyperparameters."""
    found = {}
    for name, about in parsed(EFFECTS).items():
        alone = {key: _pair(about[key]) for key in ("slope", "bend", "depth") if key in about}
        beside = {other: _pair(ends) for other, ends in about.get("beside", {}).items()}
        found[name] = UsualEffect(
            about["scale"],
            about["span"],
            towards_default=about.get("towards_default", 0.0),
            codes=MappingProxyType(about.get("codes", {})),
            beside=MappingProxyType(beside),
            length=about.get("length"),
            **alone,
        )
    return MappingProxyType(found)


def _pair(ends: Sequence[float]) -> tuple[float, float]:
    first, last = ends
    return float(first), float(last)

"""What hyperparameters usually do to a training, as numbers learnt from recorded tables: ``effects.toml``.

They say where in its *range* a hyperparameter is usually good: somebody who gives a range has thought of it, and in
eight families of recorded trainings the middle of the range told well where the best learning rates lay. ``python -m
benchmarks.fidelity.learn_effects`` writes the file and a page that shows how far families agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from tunewell.knowledge.reading import parsed

EFFECTS = "effects.toml"


@dataclass(frozen=True, slots=True)
class UsualEffect:
    """What a hyperparameter does over a range to the normal scores of losses among the configurations of a task.

    Attributes:
        scale: of the hyperparameter, as of :class:`~tunewell.Float`.
        span: how wide the range is that this holds for: in decades on the scales ``"log"`` (of the value) and
            ``"reverse_log"`` (of 1 minus it), otherwise as it is. In narrower ranges there is proportionally less of
            it. 0: any range.
        slope: at the first step and at the end: negative where the upper end is better.
        bend: at the first step and at the end: positive where the middle is better.
        towards_default: how far, from the middle towards the default, the best place lies.
    """

    scale: str
    span: float
    slope: tuple[float, float] = (0.0, 0.0)
    bend: tuple[float, float] = (0.0, 0.0)
    towards_default: float = 0.0


@cache
def usual_effects() -> Mapping[str, UsualEffect]:
    """Return the effects that are known, by the names of hyperparameters."""
    found = {}
    for name, about in parsed(EFFECTS).items():
        pairs = {key: (float(about[key][0]), float(about[key][1])) for key in ("slope", "bend")}
        found[name] = UsualEffect(about["scale"], about["span"], towards_default=about["towards_default"], **pairs)
    return MappingProxyType(found)

"""What hyperparameters usually do to a training, as numbers learnt from recorded tables: ``effects.toml``.

They say where in its *range* a hyperparameter is usually good: somebody who gives a range has thought of it, so its
middle tells more about a good learning rate than any number that holds for all networks. ``python -m
benchmarks.fidelity.learn_effects`` writes the file and shows how alike families of tables are.
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
    """What a hyperparameter does to the normal score of the loss over a range, see :mod:`tunewell.numerics.trends`.

    Attributes:
        span: the range that this holds for, in decades on a scale of ratios, otherwise as it is; in narrower ranges
            there is proportionally less of it. 0: any range.
        slope: at the first step and at the end: negative where the upper end is better.
        bend: at the first step and at the end: positive where the middle is better.
        towards_default: how far, from the middle towards the default, the best place lies.
    """

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
        found[name] = UsualEffect(about["span"], towards_default=about["towards_default"], **pairs)
    return MappingProxyType(found)

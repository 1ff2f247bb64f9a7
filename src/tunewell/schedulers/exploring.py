"""How the configuration of a fork differs from its donor's: the exploring half of population-based training.

Jaderberg et al. 2017 (arXiv:1711.09846, Section 3) multiply a hyperparameter by 0.8 or 1.2, or draw it anew. A factor f
means what it says on the logarithmic scale only. So here it is a step of log f in the parameter's own scale:

=========== ================================= ===============================================
scale       a factor f makes of x             for example, f = 1.25
=========== ================================= ===============================================
log         x f                               a learning rate of 0.01 becomes 0.0125
reverse_log 1 - (1 - x) / f                   a momentum of 0.9 becomes 0.92
logit       the odds of x, times f            0.1 becomes 0.122
linear      x + ½ log f of the whole range    a dropout of 0.2 in 0 … 0.5 becomes 0.256
=========== ================================= ===============================================

A step over an end of the range is mirrored there, so no value is stuck at a bound. Whole numbers and numbers with steps
move at least one place, ordered choices exactly one; unordered ones are drawn anew or stay.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from tunewell.parameters import Choice, Float, Int, Parameter
from tunewell.samplers.offspring import stepped
from tunewell.scales import SCALES
from tunewell.space import Config, Space
from tunewell.surrogate.cube import cube_of
from tunewell.values import nearest


def explored(
    space: Space,
    config: Config,
    rng: np.random.Generator,
    factors: Sequence[float] = (0.8, 1.25),
    resample: float = 0.25,
    fixed: Collection[str] = (),
) -> dict[str, Any]:
    """Return a configuration near another one: each value a step away, or with probability ``resample`` drawn anew.

    Values of ``fixed`` parameters stay. Parameters that the other one does not have, or whose value ``space`` (changed
    meanwhile) does not allow, are drawn, from their priors where there are any.
    """
    d = len(space)
    drawn = cube_of(space).believe(rng.random((1, d)))[0]
    anew, sides = rng.random(d) < resample, rng.integers(len(factors), size=d)
    unit = np.empty(d)
    for column, (name, parameter) in enumerate(space.items()):
        if not allows(parameter, name, config):
            unit[column] = drawn[column]
        elif name in fixed:
            unit[column] = parameter.to_unit(config[name])
        elif anew[column]:
            unit[column] = drawn[column]
        elif parameter.is_categorical or parameter.count <= 1 or factors[sides[column]] == 1.0:
            unit[column] = parameter.to_unit(config[name])
        else:
            step = _step(parameter, math.log(factors[sides[column]]))
            unit[column] = stepped(parameter, parameter.to_unit(config[name]), step)
    found = space.decode_one(unit.tolist())
    return {name: config[name] if _same(space[name], name, config, value) else value for name, value in found.items()}


def allows(parameter: Parameter, name: str, config: Config) -> bool:
    """Whether a configuration has a value for a parameter that the parameter can have."""
    return name in config and parameter.allows(config[name])


def _step(parameter: Parameter, log_factor: float) -> float:
    """Return what a factor amounts to in the unit cube."""
    if isinstance(parameter, Float | Int) and parameter.scale != "linear":
        edge = 0.5 if isinstance(parameter, Int) else 0.0  # the whole number k owns what lies between k - ½ and k + ½
        ends = np.array([parameter.low - edge, parameter.high + edge])
        low, high = SCALES[parameter.scale].warp(ends).tolist()
        return log_factor / float(high - low)
    if isinstance(parameter, Choice):
        return math.copysign(1.0 / float(parameter.count), log_factor)
    return 0.5 * log_factor


def check_fixed(who: str, fixed: Collection[str], space: Space) -> None:
    """Say which name of a parameter that is not to be explored is none.

    Raises:
        ValueError: the space has no parameter of that name.
    """
    for name in fixed:
        if name not in space:
            hint = nearest(name, space) or f": the parameters are {', '.join(space)}"
            raise ValueError(f"{who} expected the names of parameters in fixed, got {name!r}{hint}")


def _same(parameter: Parameter, name: str, config: Config, value: Any) -> bool:
    """Whether a value is the donor's but for the last digit, which the way through the unit cube may have cost."""
    if not allows(parameter, name, config):
        return False
    old = config[name]
    if isinstance(value, float) and isinstance(old, float):
        return math.isclose(value, old, rel_tol=1e-12)
    return type(old) is type(value) and old == value

"""Where good values are believed to lie, as a term of an acquisition function: πBO with a check.

Hvarfner et al., "πBO: augmenting acquisition functions with user beliefs" (arXiv:2204.11051): the acquisition is
multiplied by the density of the belief to the power β/n, here added in logs, so that a belief counts less with every
result. They let a wrong belief fade; we look: once the third of the trials that it favours most has done worse than
the others, it is dropped (compare Fehring et al. 2025, arXiv:2511.02570).

A belief is a mixture: the priors of the parameters are one component, a person's belief about a configuration is
another, which follows those priors where it says nothing. Without any there is a mild pull to the middle of the ranges,
which were drawn around what is plausible; it is what keeps the first model-based trials away from corners. A strategy
may add one more component, narrow and around a configuration that it has reason to stay near.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tunewell.history import History
from tunewell.scales import Floats
from tunewell.space import Space
from tunewell.surrogate.cube import Cube
from tunewell.surrogate.observations import believed

_STRENGTH = 10.0  # β
_MIDDLE_STD = 0.35
_NEAR_STD = 0.2
_LEAST = 4  # trials in a third of them before a belief is judged


@dataclass(frozen=True, eq=False)
class Belief:
    """A mixture of b equally likely normal laws over d columns, to the power ``weight``.

    Attributes:
        cube: the space.
        centers: shape ``(b, d)``; NaN where a component says nothing.
        stds: shape ``(b, d)``.
        weight: the factor of the log density.
    """

    cube: Cube
    centers: Floats
    stds: Floats
    weight: float

    def value(self, units: Floats) -> Floats:
        """Return the term at coordinates, shape ``(m, d)`` to ``(m,)``."""
        logs, _ = self._logs(units)
        total: Floats = self.weight * np.logaddexp.reduce(logs, axis=1)
        return total

    def value_and_slopes(self, units: Floats) -> tuple[Floats, Floats]:
        """Return the term and its gradient, ``(m,)`` and ``(m, d)``."""
        logs, slopes = self._logs(units)
        total = np.logaddexp.reduce(logs, axis=1)
        shares = np.exp(logs - total[:, None])
        return self.weight * total, self.weight * np.einsum("mb,mbd->md", shares, slopes)

    def _logs(self, units: Floats) -> tuple[Floats, Floats]:
        """Return the components' log densities up to a constant, ``(m, b)``, and their gradients, ``(m, b, d)``."""
        away = (units[:, None, :] - self.centers) / self.stds
        away = np.where(np.isnan(away), 0.0, away)
        slopes = away / -self.stds
        if not self.cube.categorical.any():
            return -0.5 * np.einsum("mbd,mbd->mb", away, away), slopes
        slopes = np.where(self.cube.categorical, 0.0, slopes)
        elsewhere = np.where(np.abs(away) > 1e-9, 1.0 / (3.0 * self.stds), 0.0)  # another category: a third away
        away = np.where(self.cube.categorical, elsewhere, away)
        return -0.5 * np.einsum("mbd,mbd->mb", away, away), slopes


def components(cube: Cube, space: Space, history: History) -> tuple[Floats, Floats]:
    """Return centres and deviations of what is believed, both of shape ``(b, d)``; b is 0 where nothing is."""
    d = len(cube.counts)
    center, std = np.full(d, np.nan), np.full(d, 1.0)
    for j, middle, deviation in cube.beliefs:
        center[j], std[j] = middle, deviation
    said, sure = believed(space, history)
    about = ~np.isnan(said)
    centers, stds = np.where(about, said, center), np.where(about, sure[:, None], std)
    if cube.beliefs:
        centers, stds = np.concatenate([center[None], centers]), np.concatenate([std[None], stds])
    return centers, stds


def belief(
    cube: Cube, space: Space, history: History, units: Floats, targets: Floats, around: Floats | None = None
) -> Belief | None:
    """Return the belief as it counts after trials at ``units``, shape ``(n, d)``, with ``targets``, shape ``(n,)``.

    ``around``, shape ``(d,)``, is the centre of one more component.
    """
    centers, stds = components(cube, space, history)
    said = len(centers) > 0
    if not said:
        centers = np.where(cube.smooth, 0.5, np.nan)[None]
        stds = np.full_like(centers, _MIDDLE_STD)
    if around is not None:
        centers = np.concatenate([centers, around[None]])
        stds = np.concatenate([stds, np.full((1, len(around)), _NEAR_STD)])
    found = Belief(cube, centers, stds, _STRENGTH / max(1, len(targets)))
    return None if said and _misleads(found.value(units), targets) else found


def _misleads(favour: Floats, targets: Floats) -> bool:
    """Tell whether the third of the trials with the most favour has done worse than the others, by their medians."""
    third = len(targets) // 3
    if third < _LEAST:
        return False
    order = np.argsort(-favour, kind="stable")
    return bool(np.median(targets[order[:third]]) > np.median(targets[order[third:]]))

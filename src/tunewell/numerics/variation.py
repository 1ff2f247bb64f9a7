"""How a child differs from its parents: simulated binary crossover and polynomial mutation, in the unit cube.

Deb and Agrawal, "Simulated binary crossover for continuous search space", Complex Systems 9 (1995), and Deb and Goyal,
"A combined genetic adaptive search (GeneAS) for engineering design", Computer Science and Informatics 26 (1996), both
in the form for bounded variables of the code that came with NSGA-II (Deb et al. 2002): the laws are cut off so that no
child lies beyond a wall. Both are concentrated on the parents, the more so the larger η.

    x± = ½ ((1 ± β) x₁ + (1 ∓ β) x₂)                       the children of x₁ and x₂                   (S1)
    c(β) = ½ (η+1) β^η for β ≤ 1, ½ (η+1) / β^(η+2) above   the density of the spread factor            (S2)
    y = x + δ,  p(δ) = ½ (η+1) (1 - |δ|)^η                  the density of a mutation, in units of 1    (P1)
"""

from __future__ import annotations

import numpy as np

from tunewell.scales import Floats


def spread_factor(uniform: Floats, largest: Floats, eta: float) -> Floats:
    """Return β with the density (S2), cut off at ``largest`` (at least 1), for uniform numbers; all of one shape."""
    mass = 2.0 - largest ** -(eta + 1.0)  # twice that of (S2) up to the largest
    v = uniform * mass
    return np.where(v <= 1.0, v, 1.0 / np.maximum(2.0 - v, 1e-300)) ** (1.0 / (eta + 1.0))


def simulated_binary_crossover(first: Floats, second: Floats, eta: float, rng: np.random.Generator) -> Floats:
    """Return one child, shape ``(d,)``, of parents in the unit cube, shape ``(d,)`` each.

    Of the two children that a factor gives, the one on the first parent's side (S1); which side has the wall that cuts
    the law off is seen to. Equal coordinates stay as they are.
    """
    gap = second - first
    room = np.where(gap > 0.0, first, 1.0 - first)  # between the first parent and the wall behind it
    apart = np.maximum(np.abs(gap), 1e-14)
    beta = spread_factor(rng.random(first.shape), 1.0 + 2.0 * room / apart, eta)
    child = 0.5 * ((1.0 + beta) * first + (1.0 - beta) * second)
    return np.where(gap == 0.0, first, np.clip(child, 0.0, 1.0))


def polynomial_step(units: Floats, eta: float, rng: np.random.Generator) -> Floats:
    """Return δ with the density (P1), for coordinates in the unit cube, both of shape ``(d,)``.

    Half of the mass lies on either side, cut off at the wall.
    """
    r = rng.random(units.shape)
    down = r <= 0.5
    share = np.where(down, 2.0 * r, 2.0 * (1.0 - r))
    beyond = np.where(down, 1.0 - units, units) ** (eta + 1.0)  # what (P1) has behind the wall
    size = 1.0 - (share + (1.0 - share) * beyond) ** (1.0 / (eta + 1.0))
    return np.where(down, -size, size)


def mirrored(units: Floats) -> Floats:
    """Return coordinates folded back into the unit interval at its ends."""
    folded = np.mod(units, 2.0)
    return np.where(folded > 1.0, 2.0 - folded, folded)

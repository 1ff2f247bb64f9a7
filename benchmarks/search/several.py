"""Problems with several objectives, all minimised, whose whole front and its hypervolume are known.

ZDT1, ZDT2, ZDT3 (Zitzler, Deb & Thiele 2000) and DTLZ2 (Deb et al. 2002) have their front where the last variables
have one value; the seed moves that value from the edge (ZDT) or the centre (DTLZ2) to a random place. Branin-Currin
(Belakaria et al. 2019) has warped and flipped axes. ``tradeoff`` weighs a made-up network's error against its size.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from benchmarks.search.hypervolume import hypervolume
from benchmarks.search.instances import Losses, Params, Several, generator
from benchmarks.search.synthetic import Warp, box, branin, vector
from tunewell.space import Choice, Float, Int, Space

ZDT_REFERENCE = (1.1, 6.0)  # a random configuration in six dimensions lies about (0.5, 4)
CURRIN_REFERENCE = (18.0, 6.0)
CURRIN_HYPERVOLUME = 59.36011874867746  # as BoTorch states it
TRADEOFF_REFERENCE = (1.0, 1.0)


def _distance(x: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Return how far each coordinate is from the centre's, as a share of the farthest it can be."""
    share: np.ndarray = np.abs(x - centre) / np.maximum(centre, 1 - centre)
    return share


def _least(points: np.ndarray) -> np.ndarray:
    """Return the points, shape ``(n, 2)``, that no other is at least as good as in both objectives."""
    points = points[np.lexsort((points[:, 1], points[:, 0]))]
    lowest = np.append(np.inf, np.minimum.accumulate(points[:, 1])[:-1])
    return points[points[:, 1] < lowest]


def zdt(second: Callable[[np.ndarray, float], np.ndarray], exact: float | None) -> Callable[[int], Several]:
    """Return the instances of a ZDT problem in six dimensions: ``f2 = second(f1, g)``; ``exact`` is its hypervolume."""

    def front(n: int) -> np.ndarray:
        first = np.linspace(0.0, 1.0, n)
        return _least(np.stack([first, second(first, 1.0)], axis=1))

    volume = exact if exact is not None else hypervolume(front(200_001), ZDT_REFERENCE)

    def make(seed: int) -> Several:
        rng = generator(seed)
        warp, centre = Warp(rng, 6), rng.uniform(0.1, 0.9, 5)

        def truth(params: Params) -> Losses:
            x = warp(vector(params, 6))
            g = 1 + 9 * float(np.mean(_distance(x[1:], centre)))
            return float(x[0]), float(second(x[0], g))

        return Several(box(6, 0.0, 1.0), truth, ZDT_REFERENCE, volume, front)

    return make


def make_dtlz2(seed: int) -> Several:
    """Return DTLZ2 with three objectives in six dimensions; its front is the unit sphere's positive octant."""
    rng = generator(seed)
    warp, centre = Warp(rng, 6), rng.uniform(0.1, 0.9, 4)

    def truth(params: Params) -> Losses:
        x = warp(vector(params, 6))
        r = 1 + float(np.sum((x[2:] - centre) ** 2))
        a, b = 0.5 * math.pi * x[0], 0.5 * math.pi * x[1]
        return r * math.cos(a) * math.cos(b), r * math.cos(a) * math.sin(b), r * math.sin(a)

    def front(n: int) -> np.ndarray:
        a, b = np.meshgrid(*[np.linspace(0.0, 0.5 * math.pi, round(math.sqrt(n)))] * 2)
        return np.stack([np.cos(a) * np.cos(b), np.cos(a) * np.sin(b), np.sin(a)], axis=-1).reshape(-1, 3)

    return Several(box(6, 0.0, 1.0), truth, (1.5, 1.5, 1.5), 1.5**3 - math.pi / 6, front)


def currin(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return Currin's function on [0, 1]²."""
    factor = 1 - np.exp(-1 / (2 * np.maximum(y, 1e-9)))
    value: np.ndarray = factor * (2300 * x**3 + 1900 * x**2 + 2092 * x + 60) / (100 * x**3 + 500 * x**2 + 4 * x + 20)
    return value


def branin_currin_front(n: int) -> np.ndarray:
    """Return what a grid of ``100 n`` points has of the front."""
    axis = np.linspace(0.0, 1.0, round(math.sqrt(100 * n)))
    x, y = (values.ravel() for values in np.meshgrid(axis, axis))
    return _least(np.stack([branin(15 * x - 5, 15 * y), currin(x, y)], axis=1))


def make_branin_currin(seed: int) -> Several:
    """Return Branin-Currin with warped axes."""
    warp = Warp(generator(seed), 2)

    def truth(params: Params) -> Losses:
        x, y = warp(vector(params, 2))
        return float(branin(15 * x - 5, 15 * y)), float(currin(x, y))

    return Several(box(2, 0.0, 1.0), truth, CURRIN_REFERENCE, CURRIN_HYPERVOLUME, branin_currin_front)


CELLS = ("plain", "residual", "gated", "attention")


def make_tradeoff(seed: int) -> Several:
    """Return the error and the size of a made-up network: cell, depth, width, learning rate and dropout.

    A larger network has less error if its learning rate, best at a place that depends on cell and depth, is right. The
    front has the best learning rate and dropout, so it is among the finitely many cells, depths and widths.
    """
    rng = generator(seed)
    space = Space(
        cell=Choice(list(CELLS)),
        depth=Int(1, 8),
        width=Int(16, 256, scale="log"),
        learning_rate=Float(1e-5, 1e-1, scale="log"),
        dropout=Float(0.0, 0.6),
    )
    power, bulk = rng.permutation([0.6, 0.8, 1.0, 1.2]), rng.permutation([0.0, 0.06, 0.12, 0.18])
    rate = rng.uniform(0.35, 0.65, len(CELLS))
    slope, dropout = rng.uniform([0.1, 0.2], [0.3, 0.8]).tolist()

    def at_best(cell: int, depth: int, width: int) -> Losses:
        capacity = (0.5 * (depth - 1) / 7 + 0.5 * math.log(width / 16) / math.log(16)) * power[cell]
        size = bulk[cell] + 0.8 * math.log(depth * (width / 16) ** 2) / math.log(8 * 16**2)
        return 0.1 + 0.7 * math.exp(-1.5 * capacity), size

    def truth(params: Params) -> Losses:
        cell = CELLS.index(params["cell"])
        error, size = at_best(cell, params["depth"], params["width"])
        r = math.log(params["learning_rate"] / 1e-5) / math.log(1e4) - rate[cell] + slope * (params["depth"] - 4) / 8
        wrong = 4 * r**2 + 0.5 * (params["dropout"] / 0.6 - dropout) ** 2
        return 1 - (1 - error) * math.exp(-wrong), size

    whole = np.array([at_best(c, d, w) for c in range(len(CELLS)) for d in range(1, 9) for w in range(16, 257)])
    best = _least(whole)
    return Several(space, truth, TRADEOFF_REFERENCE, hypervolume(best, TRADEOFF_REFERENCE), lambda n: best)


MAKERS: dict[str, Callable[[int], Several]] = {
    "zdt1": zdt(lambda x, g: g * (1 - np.sqrt(x / g)), 5 + 2 / 3 + 0.6),
    "zdt2": zdt(lambda x, g: g * (1 - (x / g) ** 2), 5 + 1 / 3 + 0.6),
    "zdt3": zdt(lambda x, g: g * (1 - np.sqrt(x / g) - x / g * np.sin(10 * math.pi * x)), None),
    "dtlz2": make_dtlz2,
    "branin_currin": make_branin_currin,
    "tradeoff": make_tradeoff,
}

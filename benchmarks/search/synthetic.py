"""Problems in closed form with one objective, moved by the seed so that nobody profits from the centre of the box.

Where the minimum lies at one point (Ackley, Levy, Rosenbrock, Rastrigin) the seed shifts it to somewhere within the
middle 60 % of every axis. Branin and Hartmann-6 keep their shape: the seed flips axes and stretches them by a monotone
warp. The other problems draw their minimiser and their interactions.

The formulas are those of Surjanovic & Bingham's Virtual Library of Simulation Experiments.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.search.instances import Instance, Params, generator
from tunewell.space import Choice, Float, Int, Space

Vector = np.ndarray
NOISE_SHARE = 0.05  # of the distance from the optimum to the 90 % quantile of random configurations


# --- axes -------------------------------------------------------------------------------------------------------------


class Warp:
    """Monotone maps of [0, 1] onto itself, one per axis: ``u -> k u / (1 + (k - 1) u)``, some of them from 1 to 0.

    ``k`` is log-uniform between 1/3 and 3, so the slope at the ends is at most 3 and at least 1/3.
    """

    def __init__(self, rng: np.random.Generator, d: int) -> None:
        self._k = np.exp(rng.uniform(-math.log(3), math.log(3), d))
        self._flip = rng.random(d) < 0.5

    def __call__(self, u: Vector) -> Vector:
        """Return where ``u``, shape ``(d,)``, lies on the problem's own axes."""
        v: Vector = self._k * u / (1 + (self._k - 1) * u)
        return np.clip(np.where(self._flip, 1 - v, v), 0.0, 1.0)  # rounding may leave the box

    def inverse(self, v: Vector) -> Vector:
        """Return the ``u`` that is mapped to ``v``."""
        v = np.where(self._flip, 1 - v, v)
        u: Vector = v / (self._k + (1 - self._k) * v)
        return u


def box(d: int, low: float, high: float) -> Space:
    """Return ``d`` equal linear axes."""
    return Space({f"x{j}": Float(low, high) for j in range(d)})


def vector(params: Params, d: int) -> Vector:
    """Return the values of a box, shape ``(d,)``."""
    return np.array([params[f"x{j}"] for j in range(d)])


def point(x: Vector) -> dict[str, float]:
    """Return the configuration of a box at ``x``, shape ``(d,)``."""
    return {f"x{j}": float(value) for j, value in enumerate(x)}


def _log_unit(value: float, low: float, high: float) -> float:
    return math.log(value / low) / math.log(high / low)


def _from_log_unit(u: float, low: float, high: float) -> float:
    return float(low * (high / low) ** u)


# --- formulas, minimum 0 at z = 0 unless said otherwise ---------------------------------------------------------------


def branin(x: Vector, y: Vector) -> Vector:
    """Return Branin's function on [-5, 10] × [0, 15]; minimum 0.39788735772973816 at (π, 2.275) and two others."""
    quadratic = (y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6) ** 2
    value: Vector = quadratic + 10 * (1 - 1 / (8 * math.pi)) * np.cos(x) + 10
    return value


HARTMANN_A = np.array(
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
)
HARTMANN_P = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)
HARTMANN_WEIGHTS = np.array([1.0, 1.2, 3.0, 3.2])
HARTMANN_MINIMISER = np.array([0.20168951, 0.15001069, 0.47687398, 0.27533243, 0.31165162, 0.65730053])
HARTMANN_MINIMUM = -3.3223680114155147


def hartmann6(u: Vector) -> float:
    """Return Hartmann's function of six variables in [0, 1]."""
    return -float(HARTMANN_WEIGHTS @ np.exp(-np.sum(HARTMANN_A * (u - HARTMANN_P) ** 2, axis=1)))


def ackley(z: Vector) -> float:
    """Return Ackley's function."""
    root = math.sqrt(float(np.mean(z**2)))
    return 20 - 20 * math.exp(-0.2 * root) + math.e - math.exp(float(np.mean(np.cos(2 * math.pi * z))))


def levy(z: Vector) -> float:
    """Return Levy's function, its minimum moved from 1 to 0."""
    w = 1 + z / 4
    middle = np.sum((w[:-1] - 1) ** 2 * (1 + 10 * np.sin(math.pi * w[:-1] + 1) ** 2))
    last = (w[-1] - 1) ** 2 * (1 + math.sin(2 * math.pi * w[-1]) ** 2)
    return float(math.sin(math.pi * w[0]) ** 2 + middle + last)


def rosenbrock(z: Vector) -> float:
    """Return Rosenbrock's function, its minimum moved from 1 to 0."""
    x = z + 1
    return float(np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (x[:-1] - 1) ** 2))


def rastrigin(z: Vector) -> float:
    """Return Rastrigin's function."""
    return float(np.sum(z**2 + 10 * (1 - np.cos(2 * math.pi * z))))


# --- instances --------------------------------------------------------------------------------------------------------


INSIDE = 0.2
"""Optima of the scored problems keep so much of the box from its edges."""


def shifted(
    formula: Callable[[Vector], float], d: int, low: float, high: float, margin: float = INSIDE
) -> Callable[[int], Instance]:
    """Return the instances of a formula whose minimum, 0 at 0, is moved to a random point inside the box."""

    def make(seed: int) -> Instance:
        rng = generator(seed)
        centre = low + (high - low) * rng.uniform(margin, 1.0 - margin, d)
        return Instance(box(d, low, high), lambda params: formula(vector(params, d) - centre), 0.0, 0.0, point(centre))

    return make


def make_branin(seed: int) -> Instance:
    """Return Branin's function with warped axes."""
    warp = Warp(generator(seed), 2)

    def truth(params: Params) -> float:
        x, y = warp(vector(params, 2))
        return float(branin(15 * x - 5, 15 * y))

    best = warp.inverse(np.array([(math.pi + 5) / 15, 2.275 / 15]))
    return Instance(box(2, 0.0, 1.0), truth, 0.39788735772973816, 0.0, point(best))


def make_hartmann6(seed: int) -> Instance:
    """Return Hartmann's function with warped axes."""
    warp = Warp(generator(seed), 6)
    best = point(warp.inverse(HARTMANN_MINIMISER))
    return Instance(box(6, 0.0, 1.0), lambda p: hartmann6(warp(vector(p, 6))), HARTMANN_MINIMUM, 0.0, best)


def make_sparse20(seed: int) -> Instance:
    """Return a rippled bowl over 20 axes of which 3 to 6 matter, coupled with each other."""
    rng = generator(seed)
    active = rng.permutation(20)[: rng.integers(3, 7)]
    centre = rng.uniform(0.2, 0.8, 20)
    stretch = np.diag(np.geomspace(3.0, 1.0, len(active))) + 0.5 * rng.standard_normal((len(active), len(active)))

    def truth(params: Params) -> float:
        z = (vector(params, 20) - centre)[active]
        return float(np.sum((stretch @ z) ** 2) + 0.2 * np.sum(1 - np.cos(4 * math.pi * z)))

    return Instance(box(20, 0.0, 1.0), truth, 0.0, 0.0, point(centre))


OPTIMIZERS = ("sgd", "adam", "lion")
ACTIVATIONS = ("relu", "gelu", "tanh", "silu")
BATCHES = (16, 32, 64, 128, 256)


def make_mixed(seed: int) -> Instance:
    """Return a made-up network's loss: floats, whole numbers and categories that depend on each other.

    The best learning rate depends on the optimizer, the width and the batch size; the best dropout on width and depth;
    which activation is best, on the optimizer. Far from the optimum the loss saturates at chance, 1.05.
    """
    rng = generator(seed)
    space = Space(
        learning_rate=Float(1e-5, 1.0, scale="log"),
        weight_decay=Float(1e-6, 1e-1, scale="log"),
        dropout=Float(0.0, 0.8),
        width=Int(16, 1024, scale="log"),
        depth=Int(1, 8),
        batch_size=Choice(list(BATCHES), ordered=True),
        optimizer=Choice(list(OPTIMIZERS)),
        activation=Choice(list(ACTIVATIONS)),
    )
    width, depth, batch = int(rng.integers(32, 513)), int(rng.integers(2, 8)), int(rng.integers(0, 5))
    optimizer, activation = rng.integers(len(OPTIMIZERS)), rng.integers(len(ACTIVATIONS))
    price = rng.uniform(0.05, 0.5, (len(OPTIMIZERS), len(ACTIVATIONS)))
    price[np.arange(len(OPTIMIZERS)), rng.integers(len(ACTIVATIONS), size=len(OPTIMIZERS))] = 0.05
    price[optimizer, activation] = 0.0
    rate = rng.uniform(0.3, 0.7, len(OPTIMIZERS))  # place of the best learning rate, for each optimizer
    decay, dropout = rng.uniform(0.2, 0.8, 2)
    coupling = rng.uniform(0.2, 0.5, 3) * rng.choice([-1.0, 1.0], 3)

    def truth(params: Params) -> float:
        which = OPTIMIZERS.index(params["optimizer"])
        w = _log_unit(params["width"], 16, 1024) - _log_unit(width, 16, 1024)
        b = (BATCHES.index(params["batch_size"]) - batch) / 4
        k = (params["depth"] - depth) / 7
        r = _log_unit(params["learning_rate"], 1e-5, 1.0) - rate[which] - coupling[0] * w - coupling[1] * b
        wd = _log_unit(params["weight_decay"], 1e-6, 1e-1) - decay
        drop = params["dropout"] / 0.8 - dropout - coupling[2] * (w + k)
        cost = 12 * r**2 + wd**2 + 2 * drop**2 + 1.5 * w**2 + 1.5 * k**2 + 0.5 * b**2
        return 0.05 + 1 - math.exp(-cost - price[which, ACTIVATIONS.index(params["activation"])])

    best = {
        "learning_rate": _from_log_unit(rate[optimizer], 1e-5, 1.0),
        "weight_decay": _from_log_unit(decay, 1e-6, 1e-1),
        "dropout": 0.8 * float(dropout),
        "width": width,
        "depth": depth,
        "batch_size": BATCHES[batch],
        "optimizer": OPTIMIZERS[optimizer],
        "activation": ACTIVATIONS[activation],
    }
    return Instance(space, truth, 0.05, 0.0, best)


BRANCHES = {
    "sgd": {"sgd_rate": (1e-4, 10.0)},
    "adam": {"adam_rate": (1e-5, 1e-1), "adam_epsilon": (1e-10, 1e-2)},
    "lbfgs": {"lbfgs_history": (3, 100), "lbfgs_tolerance": (1e-9, 1e-2)},
}


def make_conditional(seed: int) -> Instance:
    """Return a made-up network's loss over optimizers with hyperparameters of their own, one of them nested.

    Each optimizer has a best loss of its own, 0.3 and 0.12 above the best of them; ``momentum`` exists only where
    SGD's ``kind`` is ``"heavy"`` or ``"nesterov"``.
    """
    rng = generator(seed)
    heavy = {"optimizer": "sgd", "kind": ["heavy", "nesterov"]}
    space = Space(
        optimizer=Choice(["sgd", "adam", "lbfgs"]),
        weight_decay=Float(1e-6, 1e-1, scale="log"),
        sgd_rate=Float(1e-4, 10.0, scale="log", when={"optimizer": "sgd"}),
        kind=Choice(["plain", "heavy", "nesterov"], when={"optimizer": "sgd"}),
        momentum=Float(0.5, 0.999, scale="reverse_log", when=heavy),
        adam_rate=Float(1e-5, 1e-1, scale="log", when={"optimizer": "adam"}),
        beta1=Float(0.5, 0.99, scale="reverse_log", when={"optimizer": "adam"}),
        adam_epsilon=Float(1e-10, 1e-2, scale="log", when={"optimizer": "adam"}),
        lbfgs_history=Int(3, 100, scale="log", when={"optimizer": "lbfgs"}),
        lbfgs_tolerance=Float(1e-9, 1e-2, scale="log", when={"optimizer": "lbfgs"}),
    )
    base = dict(zip(("sgd", "adam", "lbfgs"), rng.permutation([0.0, 0.12, 0.3]).tolist(), strict=True))
    centre = {name: float(rng.uniform(0.25, 0.75)) for branch in BRANCHES.values() for name in branch}
    centre["lbfgs_history"] = _log_unit(int(rng.integers(5, 60)), 3, 100)
    decay, momentum, beta = rng.uniform(0.25, 0.75, 3).tolist()
    kinds = {"plain": 0.2, "heavy": 0.05, "nesterov": 0.0}

    def reverse(value: float, low: float, high: float) -> float:
        return math.log((1 - value) / (1 - low)) / math.log((1 - high) / (1 - low))

    def truth(params: Params) -> float:
        chosen = params["optimizer"]
        cost = base[chosen] + 0.5 * (_log_unit(params["weight_decay"], 1e-6, 1e-1) - decay) ** 2
        shift = 0.0
        if chosen == "sgd":
            cost += kinds[params["kind"]]
            if "momentum" in params:  # more momentum wants a smaller rate
                m = reverse(params["momentum"], 0.5, 0.999) - momentum
                cost, shift = cost + 0.8 * m**2, -0.4 * m
        elif chosen == "adam":
            cost += 0.4 * (reverse(params["beta1"], 0.5, 0.99) - beta) ** 2
        for (name, (low, high)), weight in zip(BRANCHES[chosen].items(), (4.0, 0.3), strict=False):
            cost += weight * (_log_unit(params[name], low, high) - centre[name] - shift) ** 2
        return 0.1 + 1 - math.exp(-cost)

    chosen = min(base, key=lambda name: base[name])
    best: dict[str, Any] = {"optimizer": chosen, "weight_decay": _from_log_unit(decay, 1e-6, 1e-1)}
    best |= {name: _from_log_unit(centre[name], low, high) for name, (low, high) in BRANCHES[chosen].items()}
    if chosen == "sgd":
        best |= {"kind": "nesterov", "momentum": 1 - 0.5 * (0.001 / 0.5) ** momentum}
    elif chosen == "adam":
        best["beta1"] = 1 - 0.5 * (0.01 / 0.5) ** beta
    else:
        best["lbfgs_history"] = round(best["lbfgs_history"])
    return Instance(space, truth, 0.1, 0.0, space.check(best))


def noisy(make: Callable[[int], Instance]) -> Callable[[int], Instance]:
    """Return the same instances with noise: 5 % of the way from the optimum to the 90 % quantile of 500 draws."""

    def make_noisy(seed: int) -> Instance:
        instance, rng = make(seed), generator(seed)
        drawn = [instance.truth(instance.space.sample(rng)) for _ in range(500)]
        return replace(instance, noise=NOISE_SHARE * float(np.quantile(drawn, 0.9) - instance.optimum))

    return make_noisy


SHIFTED: dict[str, tuple[Callable[[Vector], float], int, float, float]] = {
    "ackley5": (ackley, 5, -32.768, 32.768),
    "levy8": (levy, 8, -10.0, 10.0),
    "rosenbrock4": (rosenbrock, 4, -5.0, 5.0),
    "rastrigin4": (rastrigin, 4, -5.12, 5.12),
}
ANYWHERE: dict[str, Callable[[int], Instance]] = {
    f"{name}_anywhere": shifted(*formula, margin=0.0) for name, formula in SHIFTED.items()
}
"""The same formulas with optima anywhere in the box, its edges and corners among them; not in the score."""

MAKERS: dict[str, Callable[[int], Instance]] = {
    "branin": make_branin,
    "hartmann6": make_hartmann6,
    "ackley5": shifted(*SHIFTED["ackley5"]),
    "levy8": shifted(*SHIFTED["levy8"]),
    "rosenbrock4": shifted(*SHIFTED["rosenbrock4"]),
    "rastrigin4": shifted(*SHIFTED["rastrigin4"]),
    "sparse20": make_sparse20,
    "mixed": make_mixed,
    "conditional": make_conditional,
    "hartmann6_noisy": noisy(make_hartmann6),
    "ackley5_noisy": noisy(shifted(*SHIFTED["ackley5"])),
    "mixed_noisy": noisy(make_mixed),
}

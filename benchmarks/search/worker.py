"""One method on one problem, seed after seed, under the method's own Python; prints a JSON line for each seed.

All losses are written as regret, the distance from the optimum; for several objectives that is the share of the
hypervolume still missing, and the losses themselves are kept instead.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.search.hypervolume import hypervolume
from benchmarks.search.instances import Instance, Several
from benchmarks.search.methods import LATE, METHODS, Method, Search, Task
from benchmarks.search.problems import ANYWHERE, LIVE, MULTI, PROBLEMS


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("problem")
    parser.add_argument("seeds", type=int, nargs="+")
    parser.add_argument("--budget", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    given = parser.parse_args()
    method = METHODS[given.method]
    versions = {name: importlib.metadata.version(name) for name in method.packages}
    for seed in given.seeds:
        about = {"method": given.method, "problem": given.problem, "seed": seed}
        about |= {"budget": given.budget, "batch": given.batch, "versions": versions}
        if given.problem in MULTI:
            row = search_several(method, MULTI[given.problem].make(seed), seed, given.budget, given.batch)
        else:
            problem = {**PROBLEMS, **ANYWHERE, **LIVE}[given.problem].make(seed)
            row = search_one(method, problem, seed, given.budget, given.batch)
        print(json.dumps(about | row, separators=(",", ":")), flush=True)


class Clock:
    """The seconds of processor time that each ask and each tell took: a busy neighbour changes little of them."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self._asked: list[float] = []
        self._told: list[float] = []

    def ask(self) -> tuple[Any, dict[str, Any]]:
        """Ask, timed."""
        begun = time.process_time()
        answer = self._search.ask()
        self._asked.append(time.process_time() - begun)
        return answer

    def tell(self, ticket: Any, losses: tuple[float, ...]) -> None:
        """Tell, timed."""
        begun = time.process_time()
        self._search.tell(ticket, losses)
        self._told.append(time.process_time() - begun)

    def measured(self) -> dict[str, float]:
        """Return the median seconds of an ask and its tell, those of the last ten, and all of them together."""
        both = [asked + told for asked, told in zip(self._asked, self._told, strict=True)]
        named = {"median": statistics.median(both), "last": statistics.median(both[-10:]), "total": sum(both)}
        return {name: _short(seconds) for name, seconds in named.items()}


def rounds(clock: Clock, budget: int, batch: int) -> Iterator[list[tuple[Any, dict[str, Any]]]]:
    """Yield what was asked for, ``batch`` configurations at a time."""
    for begun in range(0, budget, batch):
        yield [clock.ask() for _ in range(min(batch, budget - begun))]


def search_one(method: Method, instance: Instance, seed: int, budget: int, batch: int) -> dict[str, Any]:
    """Search with one objective and return what was found; a slow one is not asked for every trial's truth."""
    search = method.begin(Task(instance.space, seed, batch=batch, budget=budget))
    clock, noise = Clock(search), np.random.default_rng([0x7E57, seed, 1])
    regrets: list[float] = []
    least = float("inf")
    incumbent: dict[str, Any] = {}
    recommended: dict[str, float] = {}
    for asked in rounds(clock, budget, batch):
        for ticket, config in asked:
            instance.space.check(config)
            loss = instance.evaluate(config, noise)
            regrets.append((loss if instance.slow else instance.truth(config)) - instance.optimum)
            if not incumbent or loss < least:
                least, incumbent = loss, config
            clock.tell(ticket, (loss,))
            if due(len(regrets), budget, LATE if instance.slow else method.checkpoints):
                handed = search.recommend() or incumbent
                recommended[str(len(regrets))] = _short(instance.truth(handed) - instance.optimum)
    return {"recommended": recommended, "regrets": [_short(r) for r in regrets], "cpu": clock.measured()}


def due(n: int, budget: int, checkpoints: Sequence[int] = ()) -> bool:
    """Tell whether a recommendation is asked for after ``n`` evaluations: at the checkpoints, or at every fifth."""
    return n == budget or (n in checkpoints if checkpoints else n % 5 == 0)


def search_several(method: Method, instance: Several, seed: int, budget: int, batch: int) -> dict[str, Any]:
    """Search with several objectives and return what was found: the front of all evaluations is handed over."""
    k = len(instance.reference)
    search = method.begin(Task(instance.space, seed, k, instance.reference, batch, budget))
    clock, noise = Clock(search), np.random.default_rng([0x7E57, seed, 1])
    losses: list[Sequence[float]] = []
    recommended: dict[str, float] = {}
    for asked in rounds(clock, budget, batch):
        for ticket, config in asked:
            instance.space.check(config)
            losses.append(instance.evaluate(config, noise))
            clock.tell(ticket, tuple(losses[-1]))
            if due(len(losses), budget):
                missing = 1 - hypervolume(np.array(losses), instance.reference) / instance.hypervolume
                recommended[str(len(losses))] = _short(missing)
    rounded = [[_short(value) for value in point] for point in losses]
    return {"recommended": recommended, "losses": rounded, "cpu": clock.measured()}


def _short(value: float) -> float:
    """Return a number with four significant digits."""
    return float(f"{value:.4g}")


if __name__ == "__main__":
    main()

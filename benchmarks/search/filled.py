"""One study filled with finished trials: prints the seconds of the next calls of ask and tell as a JSON object."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.search.methods import METHODS, Search, Task
from benchmarks.search.synthetic import box
from tunewell.space import Space


@dataclass
class Later:
    """A sampler that draws at random until it is switched on, and is ``sampler`` from then on."""

    sampler: Any
    on: bool = False

    def suggest(self, space: Space, history: Any, rng: np.random.Generator) -> Any:
        """Return what the sampler says, or a random configuration."""
        return self.sampler.suggest(space, history, rng) if self.on else space.sample(rng)


def main() -> None:
    """Read the command line, fill a study and time what comes next."""
    name, (size, d, calls, seed) = sys.argv[1], map(int, sys.argv[2:])
    space, rng = box(d, 0.0, 1.0), np.random.default_rng(seed)
    search = _ours(name, space, seed, size) if METHODS[name].module == "ours" else _optuna(name, space, seed, size)
    wall: list[float] = []
    cpu: list[float] = []
    for _ in range(calls + 1):
        begun, busy = time.perf_counter(), time.process_time()
        ticket, config = search.ask()
        asked, worked = time.perf_counter() - begun, time.process_time() - busy
        loss = _loss(config) + 0.01 * float(rng.standard_normal())
        begun, busy = time.perf_counter(), time.process_time()
        search.tell(ticket, (loss,))
        wall.append(asked + time.perf_counter() - begun)
        cpu.append(worked + time.process_time() - busy)
    print(json.dumps({"wall": wall[1:], "cpu": cpu[1:], "first": cpu[0]}))


def _loss(config: dict[str, Any]) -> float:
    return float(sum((value - 0.3) ** 2 for value in config.values()))


def _ours(name: str, space: Space, seed: int, size: int) -> Search:
    """Return a study of Tunewell's; its sampler takes over from a random one."""
    from benchmarks.search.methods.ours import Ours
    from tunewell.samplers import SAMPLERS

    later = Later(SAMPLERS.make(METHODS[name].options["sampler"]))
    search = Ours(Task(space, seed, budget=size), later)
    for _ in range(size):
        ticket, config = search.ask()
        search.tell(ticket, (_loss(config),))
    later.on = True
    return search


def _optuna(name: str, space: Space, seed: int, size: int) -> Search:
    """Return a study of Optuna's that was given finished trials."""
    search: Any = METHODS[name].begin(Task(space, seed, budget=size))
    rng = np.random.default_rng(seed)
    configs = [space.sample(rng) for _ in range(size)]
    search.add(configs, [_loss(config) for config in configs])
    return search  # type: ignore[no-any-return]


if __name__ == "__main__":
    main()

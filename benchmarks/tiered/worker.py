"""One method on one problem, seed after seed, under the method's own Python; prints a JSON line for each search."""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.tiered.methods import METHODS
from benchmarks.tiered.tasks import ANSWERS, Problem, problem


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("table")
    parser.add_argument("answer", choices=ANSWERS)
    parser.add_argument("seeds", type=int, nargs="+")
    parser.add_argument("--budgets", type=int, nargs="+", required=True)
    given = parser.parse_args()
    method, at = METHODS[given.method], problem(given.table, given.answer)
    search: Callable[..., Sequence[float]] = by_peer if method.peer else by_us
    for seed in given.seeds:
        about = {"method": given.method, "table": given.table, "answer": given.answer, "seed": seed}
        for budget in given.budgets if method.plans else [max(given.budgets)]:
            begun = time.process_time()
            losses = search(at, method.sampler, seed, budget)
            for reached in [budget] if method.plans else given.budgets:
                best = min(loss for loss in losses[:reached] if not math.isnan(loss))
                row = {"budget": reached, "best": float(f"{best:.7g}")}
                cpu = round((time.process_time() - begun) * reached / budget, 2)
                print(json.dumps(about | row | {"cpu": cpu}, separators=(",", ":")), flush=True)


def by_us(at: Problem, sampler: str, seed: int, budget: int) -> list[float]:
    """Return the losses of a run of Tunewell in the order of its trials."""
    import tunewell as tw

    chosen: Any = tw.strategies.Tiered(domain=at.domain) if sampler == "tiered" else sampler
    study = tw.Study(at.space, "loss", sampler=chosen, scheduler="fifo", seed=seed)
    losses: list[float] = []

    def evaluate(params: dict[str, Any], step: int) -> tuple[dict[str, float], float]:
        losses.append(at.loss(params))
        return {"loss": losses[-1]}, 1.0

    study.run(trials=budget, max_steps=1, executor=tw.executors.Simulated(evaluate, workers=1), progress=False)
    return losses


def by_peer(at: Problem, sampler: str, seed: int, budget: int) -> list[float]:
    """Return the losses of a run of Optuna, which is given the default first and the worst loss for a divergence."""
    import optuna

    from benchmarks.search.methods import Task
    from benchmarks.search.methods.axes import said
    from benchmarks.search.methods.with_optuna import Optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    search = Optuna(Task(at.space, seed, budget=budget), sampler)
    search.enqueue(said(at.space, at.space.default()))
    losses: list[float] = []
    for _ in range(budget):
        ticket, config = search.ask()
        losses.append(at.loss(config))
        search.tell(ticket, (at.worst if math.isnan(losses[-1]) else losses[-1],))
    return losses


if __name__ == "__main__":
    main()

"""The page of results: regrets, ranks, and who is ahead where."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from scipy.stats import rankdata

from benchmarks.tiered.methods import METHODS, PEERS, RANDOM, TIERED
from benchmarks.tiered.tasks import ANSWERS, problem

QUICK = 0.9  # of the tasks: who has finished less is left out of the second part
MOST = 0.75  # of the searches that answer in one way: the same there
Task: TypeAlias = tuple[str, str]  # a table and how it answers
HEAD = (
    "# Tiered search against searches over everything",
    "",
    "`python -m benchmarks.tiered`: recorded tables with at least six hyperparameters, answered by the nearest row, "
    "smoothly, or *live*, by really training the small network that the table was recorded of; full trainings only. "
    "All methods get the same space with the same defaults (the known ones, else the middle of the range), and train "
    "the default configuration first; so up to ten trainings Optuna's samplers draw at random, both alike. The tiered "
    "strategy knows the budget and the domain, so each budget is a search of its own. Regret is normalised: 0 is the "
    "best row of a task, or what a search found beyond it, 1 the median row.",
    "",
)
Found: TypeAlias = Mapping[tuple[str, Task, int, int], float]  # method, task, seed, budget


def page(rows: Mapping[str, Sequence[Mapping[str, Any]]], budgets: Sequence[int]) -> str:
    """Return the page, from the searches that all methods have finished; a second part leaves slow methods out.

    The last parts are of the tasks that answer in one way only, for example by really training; each is of the methods
    that have most of its searches.
    """
    found = {
        (method, (row["table"], row["answer"]), row["seed"], row["budget"]): row["best"]
        for method, of in rows.items()
        for row in of
    }
    done = {
        method: {(task, seed) for m, task, seed, budget in found if m == method and budget == budgets[-1]}
        for method in METHODS
        if rows.get(method)
    }
    tasks = {method: len({task for task, _ in pairs}) for method, pairs in done.items()}
    quick = [method for method, number in tasks.items() if number >= QUICK * max(tasks.values())]
    every = _shared(found, done, list(done), budgets)
    text = [*HEAD, *_part(every, list(done), budgets)]
    more = every
    if len(quick) < len(done):
        more = _shared(found, done, quick, budgets)
        left_out = ", ".join(method for method in done if method not in quick)
        text += [f"# Without {left_out}, on more tasks", "", *_part(more, quick, budgets)]
    for answer in ANSWERS:
        own = {method: {pair for pair in pairs if pair[0][1] == answer} for method, pairs in done.items()}
        most = max(map(len, own.values()))
        often = [method for method, pairs in own.items() if len(pairs) >= max(1.0, MOST * most)]
        some = _shared(found, own, often, budgets) if often else {}
        if 0 < len(some) < len(more):
            told = _part if often != quick else _without_each
            text += [f"# Only {answer}", "", *told(some, often, budgets)]
    return "\n".join(text)


def _shared(
    found: Found, done: Mapping[str, set[tuple[Task, int]]], methods: Sequence[str], budgets: Sequence[int]
) -> dict[Task, Any]:
    """Return the normalised regrets of some methods, by task, on the searches that all of them have finished."""
    shared = set.intersection(*(done[method] for method in methods))
    tasks = sorted({task for task, _ in shared})
    seeds = {task: sorted(seed for t, seed in shared if t == task) for task in tasks}
    return {task: _regrets(found, methods, task, seeds[task], budgets) for task in tasks}


def _part(regrets: Mapping[Task, Any], methods: Sequence[str], budgets: Sequence[int]) -> list[str]:
    """Return the tables of some methods."""
    return [*_without_each(regrets, methods, budgets), *_each(regrets, methods, budgets)]


def _without_each(regrets: Mapping[Task, Any], methods: Sequence[str], budgets: Sequence[int]) -> list[str]:
    """Return the summary of some methods alone."""
    return [_counted(regrets), "", *_summary(regrets, methods, budgets)]


def _counted(regrets: Mapping[Task, Any]) -> str:
    """Return how many searches there are of each method."""
    seeds = [regret.shape[1] for regret in regrets.values()]
    count = f"{min(seeds)}" if min(seeds) == max(seeds) else f"{min(seeds)} to {max(seeds)}"
    tables = len({table for table, _ in regrets})
    return f"{len(regrets)} tasks on {tables} tables, {count} seeds each: {sum(seeds)} searches a method."


def _regrets(
    found: Found, methods: Sequence[str], task: Task, seeds: Sequence[int], budgets: Sequence[int]
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return normalised regrets, shape ``(n_methods, n_seeds, n_budgets)``: 0 the best known, 1 the median row."""
    best = np.array([[[found[m, task, s, b] for b in budgets] for s in seeds] for m in methods])
    least, middle = problem(*task).scale  # type: ignore[arg-type]
    least = min(least, float(best.min()))
    return np.asarray((best - least) / (middle - least))


def _ranks(regrets: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the ranks of the methods, 1 for the best, the mean over seeds, shape ``(n_methods, n_budgets)``."""
    return np.asarray(rankdata(np.round(regrets, 9), axis=0).mean(axis=1))


def _summary(regrets: Mapping[Task, Any], methods: Sequence[str], budgets: Sequence[int]) -> list[str]:
    """Return the means over tasks, and on how many tasks the tiered strategy is ahead."""
    text = [f"| | {' | '.join(f'{b} trainings' for b in budgets)} |", "| --- |" + " ---: |" * len(budgets)]
    ranks = np.mean([_ranks(regret) for regret in regrets.values()], axis=0)
    means = np.mean([regret.mean(axis=1) for regret in regrets.values()], axis=0)
    for k, method in enumerate(methods):
        cells = [f"{ranks[k, b]:.2f} ({100 * means[k, b]:.1f} %)" for b in range(len(budgets))]
        text.append(f"| {method} | {' | '.join(cells)} |")
    text = ["Mean rank over tasks and seeds (1 is best), and mean regret:", "", *text, ""]
    if TIERED in methods:
        text += [f"{TIERED} has the lower mean regret on so many of the {len(regrets)} tasks:", ""]
        text += [f"| against | {' | '.join(f'{b} trainings' for b in budgets)} |", "| --- |" + " ---: |" * len(budgets)]
        mine = methods.index(TIERED)
        for other, label in [(k, m) for k, m in enumerate(methods) if m != TIERED]:
            cells = [str(_ahead(regrets, mine, [other], b)) for b in range(len(budgets))]
            text.append(f"| {label} | {' | '.join(cells)} |")
        plain = [method for method in (RANDOM, *PEERS) if method in methods]
        if len(plain) > 1:
            others = [methods.index(method) for method in plain]
            cells = [str(_ahead(regrets, mine, others, b)) for b in range(len(budgets))]
            text.append(f"| {', '.join(plain)} at once | {' | '.join(cells)} |")
        text.append("")
    return text


def _ahead(regrets: Mapping[Task, Any], mine: int, others: Sequence[int], budget: int) -> int:
    means = [regret.mean(axis=1)[:, budget] for regret in regrets.values()]
    return sum(all(mean[mine] < mean[other] for other in others) for mean in means)


def _each(regrets: Mapping[Task, Any], methods: Sequence[str], budgets: Sequence[int]) -> list[str]:
    """Return a table of mean regrets for each budget."""
    text: list[str] = []
    for b, budget in enumerate(budgets):
        text += [f"## {budget} trainings: mean regret in % (± standard error, where there are several seeds)", ""]
        text += [f"| task | {' | '.join(methods)} |", "| --- |" + " ---: |" * len(methods)]
        for (table, answer), regret in regrets.items():
            cells = [_mean(regret[k, :, b]) for k in range(len(methods))]
            text.append(f"| {table}, {answer} | {' | '.join(cells)} |")
        text.append("")
    return text


def _mean(values: Any) -> str:
    """Return the mean and, of two seeds or more, its standard error, in per cent."""
    mean = f"{100 * statistics.fmean(values):.1f}"
    if len(values) < 2:
        return mean
    return f"{mean} ± {100 * statistics.stdev(values) / len(values) ** 0.5:.1f}"

"""Hyperopt's tree of Parzen estimators, the space nested as its users write it.

Hyperopt has no ask and tell: its trials are inserted by hand, as its own distributed backends do.
"""

from __future__ import annotations

import logging
import math
from typing import Any

import hyperopt
import numpy as np
from hyperopt import hp, pyll

from benchmarks.search.methods import Search, Task
from benchmarks.search.methods.axes import Axis, active, axes


class Hyperopt:
    """A list of trials and a suggesting function."""

    def __init__(self, task: Task) -> None:
        logging.getLogger("hyperopt").setLevel(logging.ERROR)
        self._axes = axes(task.space)
        self._rng = np.random.default_rng(task.seed)
        self._domain = hyperopt.Domain(lambda config: None, _nested(self._axes), pass_expr_memo_ctrl=False)
        self._trials = hyperopt.Trials()

    def ask(self) -> tuple[Any, dict[str, Any]]:
        """Insert a new trial."""
        number = self._trials.new_trial_ids(1)
        self._trials.refresh()
        [trial] = hyperopt.tpe.suggest(number, self._domain, self._trials, int(self._rng.integers(2**31 - 1)))
        self._trials.insert_trial_docs([trial])
        self._trials.refresh()
        said = {name: values[0] for name, values in trial["misc"]["vals"].items() if values}
        config: dict[str, Any] = {}
        for axis in self._axes:
            if active(axis, config):
                place = said[axis.name]
                config[axis.name] = axis.choices[place] if axis.kind == "category" else axis.value(place)
        return trial["tid"], config

    def tell(self, ticket: Any, losses: tuple[float, ...]) -> None:
        """Write the result into the trial."""
        for trial in self._trials._dynamic_trials:  # there is no public way to end one
            if trial["tid"] == ticket:
                trial["state"] = hyperopt.JOB_STATE_DONE
                trial["result"] = {"loss": losses[0], "status": hyperopt.STATUS_OK}
        self._trials.refresh()

    def recommend(self) -> dict[str, Any] | None:
        """Return nothing: Hyperopt hands over the best observed."""
        return None


def _nested(described: list[Axis]) -> dict[str, Any]:
    """Return the space as nested choices: what a choice switches on lies within its options."""
    nodes: dict[str, Any] = {}

    def depth(axis: Axis) -> int:
        parents = [other for other in described if other.name in (axis.when or {})]
        return 1 + max((depth(parent) for parent in parents), default=0)

    for axis in sorted(described, key=depth, reverse=True):
        nodes[axis.name] = _node(axis, _children(axis, described, depth), nodes)
    return {axis.name: nodes[axis.name] for axis in described if not axis.when}


def _children(parent: Axis, described: list[Axis], depth: Any) -> list[Axis]:
    """Return the axes whose deepest condition is on ``parent``."""
    return [axis for axis in described if parent.name in (axis.when or {}) and depth(axis) == depth(parent) + 1]


def _node(axis: Axis, children: list[Axis], nodes: dict[str, Any]) -> Any:
    if axis.kind == "category":
        options = [
            (choice, {c.name: nodes[c.name] for c in children if choice in (c.when or {})[axis.name]})
            for choice in axis.choices
        ]
        return hp.choice(axis.name, options)
    if axis.kind == "int" and axis.log:
        return pyll.scope.int(hp.qloguniform(axis.name, math.log(axis.low), math.log(axis.high), 1))
    if axis.kind == "int":
        return hp.uniformint(axis.name, axis.low, axis.high)
    if axis.log:
        return hp.loguniform(axis.name, math.log(axis.low), math.log(axis.high))
    return hp.uniform(axis.name, axis.low, axis.high)


def begin(task: Task) -> Search:
    """Start a search."""
    return Hyperopt(task)

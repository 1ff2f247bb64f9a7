"""Does the advice help? Every held-out training that was diagnosed is trained again with what the diagnosis says.

It starts from scratch with the same seed, for as many steps. Changes of values are applied together, as
``action.apply(params)`` makes them. Where the advice is to *check* something, the person is taken to find the fault:
labels, wiring, decay of the rate and validation rows are put right. What is compared is the test loss at the end; for
early stopping that at the step named; for a noisy evaluation how far the validation loss moves where the test loss
does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.diagnosis.copies import params_of
from benchmarks.diagnosis.labels import Row, late
from benchmarks.diagnosis.plan import ending
from benchmarks.diagnosis.record import made, run_of
from benchmarks.diagnosis.training import Run
from tunewell.analysis.diagnosis import Action, Diagnosis

BETTER = 0.98
"""A training is better when it ends with at most this share of the loss."""
NO_CLIPPING = 1e9


@dataclass(frozen=True)
class Outcome:
    """What came of one piece of advice: the loss, or what stands for it, without and with it."""

    label: str
    action: str
    before: float
    after: float

    @property
    def better(self) -> bool:
        """Whether it helped."""
        return bool(self.after <= BETTER * self.before) if np.isfinite(self.before) else bool(np.isfinite(self.after))


def all_params_of(run: Run) -> dict[str, Any]:
    """Return the hyperparameters that an action may change, under the names that users give them."""
    more = {"hidden_units": 64.0 * run.width, "max_grad_norm": run.clip or NO_CLIPPING}
    return params_of(run) | more


def changed(run: Run, actions: Sequence[Action]) -> Run:
    """Return the training with the actions applied to its values."""
    params = all_params_of(run)
    for action in actions:
        params = action.apply(params)
    clip = 0.0 if params["max_grad_norm"] == NO_CLIPPING else params["max_grad_norm"]
    return replace(
        run,
        learning_rate=params["lr"],
        weight_decay=params["weight_decay"],
        dropout=params["dropout"],
        width=params["hidden_units"] / 64.0,
        clip=clip,
        purpose="advice",
    )


def repaired(run: Run) -> Run:
    """Return the training with everything put right that a person can check."""
    right = {"noise": 0.0, "mislabelled": False, "wiring": "", "drop_at": 0.0, "eval_rows": 0}
    return replace(run, **right, purpose="advice")  # type: ignore[arg-type]


def outcomes(row: Row, said: Diagnosis, known: dict[str, dict[str, Any]]) -> list[Outcome]:
    """Return what came of the advice for one training."""
    run, code = run_of(row), said.code
    found = []
    if said.actions and said.actions[0].kind == "stop":
        step = int(said.actions[0].amount)
        found.append(Outcome(code, "stop early", ending(row), float(row["test_loss"][step - 1])))
    values = [action for action in said.actions if action.changes_values]
    if values:
        again = made(changed(run, values), known)
        found.append(Outcome(code, "; ".join(a.words for a in values), ending(row), ending(again)))
    elif not found:
        again = made(repaired(run), known)
        found.append(Outcome(code, said.fix, *_compared(code, row, again)))
    return found


def _compared(code: str, row: Row, again: Row) -> tuple[float, float]:
    if code == "noisy-evaluation":
        return _jitter(row), _jitter(again)
    if run_of(row).mislabelled:
        return late(row, "val_loss"), late(again, "val_loss")
    return ending(row), ending(again)


def _jitter(row: Row) -> float:
    """Return how much the validation loss moves from report to report where the test loss does not."""
    moved = np.diff(np.array(row["val_loss"])) - np.diff(np.array(row["test_loss"]))
    return float(np.sqrt(np.mean(moved[run_of(row).reports // 6 :] ** 2)))

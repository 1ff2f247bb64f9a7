"""The demo: a small convolutional network on handwritten digits, tuned, then checked on images nobody has looked at.

Everything in it is meant to be copied: a search space with every hyperparameter on its own scale, an objective that
saves all it needs to go on exactly where it was, and a final comparison that can also come out against the search.

The images are the 1797 of scikit-learn's ``load_digits``, 8 x 8 pixels each, cut once into three equal, stratified
parts. The search trains on the first and measures on the second; the third is not even sent to its workers.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tunewell.console.summary import command, program
from tunewell.demo.comparison import compare as compare
from tunewell.demo.comparison import pairs as pairs
from tunewell.demo.comparison import percent, table
from tunewell.demo.digits import MISSING, SPACE, Final, Search, load_part, three_parts
from tunewell.demo.digits import Training as Training
from tunewell.demo.digits import shifted as shifted
from tunewell.events import Ended, Event
from tunewell.history import History, TrialRecord
from tunewell.protocols import Executor
from tunewell.schedulers.asha import Asha
from tunewell.space import Choice, Space
from tunewell.study import Study
from tunewell.study import open as open_study


@dataclass(frozen=True)
class Plan:
    """How large the demo is; the tests run a tiny one."""

    trials: int = 120
    epochs: int = 27
    seeds: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)
    executor: Literal["processes", "inline"] | Executor = "processes"


def run(directory: Path, workers: int = 2, quiet: bool = False) -> int:
    """Run the demo in ``directory``, or go on with it, and return the exit status.

    Raises:
        ModuleNotFoundError: PyTorch or scikit-learn is not installed.
    """
    if MISSING:
        raise ModuleNotFoundError(f"the demo expected {MISSING} to be installed: pip install 'tunewell[demo]'")
    try:
        return run_plan(Plan(), directory, workers, quiet)
    except KeyboardInterrupt:
        print("\nInterrupted. The same command goes on where this one stopped.", file=sys.stderr)
        return 130


def run_plan(plan: Plan, directory: Path, workers: int | None, quiet: bool = False) -> int:
    """Search, compare, report. Both studies go on to their totals, so all of this may be killed and called again."""
    directory.mkdir(parents=True, exist_ok=True)
    database = directory / "digits.db"
    training, validation, test = three_parts()
    finished = _is_finished(database, plan)
    shows = not quiet and not finished
    with Study(
        SPACE,
        metric="val_loss",
        name="digits",
        storage=str(database),
        scheduler=Asha(reduction=3, max_steps=plan.epochs),
        seed=0,
    ) as search:
        if not quiet:
            _say(_FINISHED if finished else _introduction(plan, workers, search.history, len(test)))
        search.run(
            Search(load_part(training), load_part(validation), plan.epochs),
            trials=plan.trials,
            workers=workers,
            executor=plan.executor,
            progress=shows,
        )
        best, default = search.best, SPACE.default()
        if shows:
            print()
        print(_winner(best, default, search.history), flush=True)
        if best.params == default:
            _say("Nothing that the search tried was better than the default, so there is nothing to compare.")
            return _finish(search, database)
    configs = {"default": default, f"trial {best.number}": best.params}
    with Study(
        Space(seed=Choice(plan.seeds), configuration=Choice(list(configs))),
        metric="test_accuracy",
        mode="max",
        name="digits-final",
        storage=str(database),
        sampler="grid",
        scheduler="fifo",
        seed=0,
    ) as comparison:
        if shows:
            _say(
                f"Now both are trained in full, {len(plan.seeds)} times each with the same seeds, and measured on the "
                "test images. The search has never seen these, and it chose the winner for looking good on others."
            )
        comparison.run(
            Final(load_part(training), load_part(test), plan.epochs, configs),
            trials=2 * len(plan.seeds),
            workers=workers,
            executor=plan.executor,
            progress=_tell_ends if shows else False,
        )
        print("\n" + table(pairs(comparison.history, plan.seeds), len(test)))
    return _finish(search, database)


def _is_finished(database: Path, plan: Plan) -> bool:
    """Whether an earlier run has come to the end of the comparison."""
    try:
        with open_study(str(database), "digits-final") as comparison:
            history = comparison.history
            return history.spent_trials >= 2 * len(plan.seeds) and not history.running and not history.unfinished
    except (FileNotFoundError, KeyError):
        return False


# --- what it says -----------------------------------------------------------------------------------------------------

_FINISHED = "This demo is finished; here is what it found. Nothing is trained again."


def _say(text: str) -> None:
    print("\n" + textwrap.fill(text, 100) + "\n", flush=True)


def _introduction(plan: Plan, workers: int | None, history: History, images: int) -> str:
    if history.trials:
        return (
            f"Going on where the demo stopped: {len(history.trials)} of {plan.trials} configurations were started, "
            f"{history.steps_done} epochs trained."
        )
    return (
        f"Tuning {len(SPACE)} hyperparameters of a small convolutional network on handwritten digits: {plan.trials} "
        f"configurations, {workers or 1} at a time. Each trains for one epoch; the best third go on to 3 epochs, the "
        f"best third of those to 9, and so on up to {plan.epochs}, each from its own checkpoint. Afterwards the winner "
        f"and the default configuration are trained anew with {len(plan.seeds)} seeds and compared on {images} test "
        "images. All this takes about two minutes on two cores. Kill it at any time and in any way, kill -9 included: "
        "the same command goes on to the same total."
    )


def _tell_ends(history: History, events: Sequence[Event]) -> None:
    """Print one line for each full training that ended; which seed did best is nothing to look at."""
    for event in events:
        if isinstance(event, Ended):
            trial = history.trials[event.trial]
            outcome = str(event.status) if trial.value is None else percent(trial.value)
            print(f"  {trial.params['configuration']}, seed {trial.params['seed']}: {outcome}", flush=True)


def _winner(best: TrialRecord, default: Mapping[str, Any], history: History) -> str:
    full = history.space
    lines = [
        f"{history.spent_trials} configurations took {history.steps_done} epochs; each in full, it would have been "
        f"{history.spent_trials * history.furthest_step}.",
        f"The winner is trial {best.number}: after {best.step} epochs its validation loss is {best.value:.4f}, its "
        f"validation accuracy {percent(best.metric('val_accuracy') or 0.0)}.",
        "",
        f"  {'':<15}{'default':>10}{'winner':>10}",
    ]
    lines += [f"  {name:<15}{_short(default[name]):>10}{_short(best.params[name]):>10}" for name in full]
    return "\n".join(lines)


def _finish(search: Study, database: Path) -> int:
    from tunewell.analysis.report import write_report

    report = write_report(search.history, database.with_name("report.html"))
    storage = str(database)
    print(
        f"""
The report is {report}: open it in a browser. What to type next:
  {command("show", "digits", storage)}
  {command("best", "digits", storage)}
  {command("report", "digits-final", storage)}
To start over, delete the folder {database.parent} or name another one: {program()} demo FOLDER"""
    )
    return 0


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)

"""``ls``, ``show`` and ``best``: what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tunewell.cli.output import as_json, table
from tunewell.cli.storage import (
    DEFAULT,
    NO,
    Json,
    Mistake,
    Name,
    Storage,
    chosen,
    opened,
    read,
    read_from,
    told_in_a_sentence,
)

if TYPE_CHECKING:
    from tunewell.history import History, TrialRecord
    from tunewell.journals.sql import SqlStorage


def ls(
    place: Annotated[str | None, typer.Argument(metavar="[STORAGE]", help="The same as --storage.")] = None,
    storage: Storage = DEFAULT,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the names only.")] = False,
    json: Json = False,
) -> None:
    """List the studies of a storage. Exit status 1 when there are none."""
    from tunewell.console.text import counts, goal, moment

    storage = place or storage
    with opened(storage) as database:
        names = database.names()
        if quiet and not json:
            found = {}
            for name in names:
                typer.echo(name)
        else:
            found = {name: _history_or_why_not(database, name) for name in names}
    if json:
        as_json([{"study": name, "error": h} if isinstance(h, str) else _about(name, h) for name, h in found.items()])
    elif found:
        rows = [
            [name, "?", "cannot be read", "-", "-", "-"]
            if isinstance(h, str)
            else [name, str(len(h.trials)), counts(h) if h.trials else "-", _best_value(h), goal(h), moment(_active(h))]
            for name, h in found.items()
        ]
        table(["study", "trials", "of these", "best", "goal", "last active"], rows, right=["trials", "best"])
        for reason in found.values():
            if isinstance(reason, str):
                typer.echo(f"tunewell: {reason}", err=True)
    if not names:
        typer.echo(f"{storage} holds no study yet", err=True)
        raise typer.Exit(NO)


def show(
    study: Name = None,
    trial: Annotated[int | None, typer.Argument(metavar="[TRIAL]", help="A trial's number: show all of it.")] = None,
    storage: Storage = DEFAULT,
    by: Annotated[Literal["number", "value"], typer.Option(help="Newest trials first, or best first.")] = "number",
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Trials in the table; 0 for all.")] = 30,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Leave the table of trials away.")] = False,
    json: Json = False,
) -> None:
    """Show a study and its trials, or one trial in full."""
    from tunewell.analysis.words import counted
    from tunewell.cli import describe

    with opened(storage) as database:
        names = database.names()
        if trial is None and study is not None and study.isdigit() and study not in names and len(names) == 1:
            study, trial = names[0], int(study)
        stored = read_from(database, chosen(names, study, storage))
    history = stored.history
    if trial is not None:
        with told_in_a_sentence():
            if not 0 <= trial < len(history.trials):
                raise Mistake(
                    f"study {stored.name!r} has no trial {trial}: it has {counted(len(history.trials), 'trial')}"
                )
        record = history.trials[trial]
        if json:
            as_json(describe.trial_data(history, record))
        else:
            describe.print_trial(history, record, brief=quiet)
        return
    trials = list(reversed(history.trials))
    if by == "value":
        trials.sort(key=_by_value)
    if json:
        shown = [] if quiet else [describe.trial_data(history, record) for record in trials[: limit or None]]
        as_json({**_about(stored.name, history), "settings": history.settings, "seed": history.seed, "trials": shown})
        return
    describe.print_study(stored.name, history)
    if trials and not quiet:
        typer.echo("")
        describe.print_trials(history, trials[: limit or None])
        if limit and len(trials) > limit:
            typer.echo(f"and {len(trials) - limit} more: --limit 0 shows all")


def best(
    study: Name = None,
    storage: Storage = DEFAULT,
    json: Json = False,
    python: Annotated[bool, typer.Option("--python", help="Print the configuration as a Python dictionary.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the value only.")] = False,
) -> None:
    """Print the best configuration; of several goals, all that no other beats. Exit status 1 when there is none."""
    from pprint import pformat

    from tunewell.analysis.standing import constrained, why_none_is_best
    from tunewell.console.text import counts, measured, number

    stored = read(storage, study)
    history = stored.history
    found = _best_trials(history)
    if not found:
        nothing = f"study {stored.name!r} has no trial with a value yet ({counts(history)})"
        measured_at_all = any(trial.observed for trial in history.trials)
        typer.echo(f"study {stored.name!r}: {why_none_is_best(history)}" if measured_at_all else nothing, err=True)
        raise typer.Exit(NO)
    if json:
        data = [_found(history, record) for record in found]
        as_json(data[0] if len(history.goals) == 1 else data)
        return
    for record in found:
        if quiet:
            typer.echo(" ".join("-" if value is None else repr(value) for value in record.values))
        elif python:
            typer.echo(pformat(dict(record.params), sort_dicts=False))
        else:
            kept = constrained(record)
            typer.echo(f"trial {record.number}: {measured(history, record)}{f' ({kept})' if kept else ''}")
            for name, value in record.params.items():
                typer.echo(f"  {name} = {number(value)}")


def _history_or_why_not(database: SqlStorage, name: str) -> History | str:
    """Return the history of a study, or in a sentence why it cannot be read."""
    try:
        return read_from(database, name).history
    except ValueError as error:
        return str(error)


def _by_value(record: TrialRecord) -> tuple[int, float, int]:
    """Return what sorts trials: the feasible ones first, then by the first goal, those without a value last."""
    if not record.observed or record.loss is None:
        return 2, 0.0, record.number
    return 0 if record.feasible else 1, record.loss, record.number


def _best_trials(history: History) -> list[TrialRecord]:
    from tunewell.surrogate.incumbent import incumbent

    if len(history.goals) == 1:
        best = incumbent(history)
        return [best] if best is not None else []
    return history.pareto


def _found(history: History, record: TrialRecord) -> dict[str, Any]:
    from tunewell.cli.describe import kept

    return {
        "study": history.name,
        "trial": record.number,
        "step": record.step,
        "values": {goal.metric: record.metric(goal.metric) for goal in history.goals},
        **({"constraints": kept(record)} if history.constraints else {}),
        "params": dict(record.params),
    }


def _best_value(history: History) -> str:
    from tunewell.console.text import number
    from tunewell.surrogate.incumbent import incumbent

    if len(history.goals) != 1:
        return f"{len(_best_trials(history))} unbeaten"
    best = incumbent(history)
    return number(best.value) if best is not None else "-"


def _active(history: History) -> float:
    return max(history.created, history.last_time)


def _about(name: str, history: History) -> dict[str, Any]:
    from tunewell.surrogate.incumbent import incumbent

    best = incumbent(history) if len(history.goals) == 1 else None
    return {
        "study": name,
        "goals": [{"metric": goal.metric, "mode": goal.mode} for goal in history.goals],
        **({"constraints": [str(rule) for rule in history.constraints]} if history.constraints else {}),
        "trials": len(history.trials),
        "statuses": {status.value: n for status, n in history.counts.items() if n},
        "untold": [{"trial": trial.number, "since": trial.began} for trial in history.untold],
        "best": None if best is None else {"trial": best.number, "value": best.value, "params": dict(best.params)},
        "steps": history.steps_done,
        "seconds": history.active_seconds,
        "last_active": _active(history),
        "events": len(history),
    }

"""``diagnose``: what trials suffer from, by their learning curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tunewell.cli.output import as_json, table
from tunewell.cli.storage import DEFAULT, NO, Json, Mistake, Name, Storage, read, told_in_a_sentence

if TYPE_CHECKING:
    from tunewell.analysis.diagnosis import Diagnosis, StudyDiagnosis


def diagnose(
    study: Name = None,
    trial: Annotated[
        int | None, typer.Argument(metavar="[TRIAL]", help="A trial's number: all that is said of it.")
    ] = None,
    storage: Storage = DEFAULT,
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", "-m", help="Which metric is which, such as train_loss=objective; may be repeated."),
    ] = None,
    json: Json = False,
) -> None:
    """Say what trials suffer from, by their learning curves, and what to do. Exit status 1 when something is wrong."""
    stored = read(storage, study)
    with told_in_a_sentence():
        from tunewell.analysis.diagnosis import diagnose_study, diagnose_trial
        from tunewell.analysis.diagnosis.overview import planned
        from tunewell.analysis.words import counted

        roles = _roles(metric or [])
        history = stored.history
        if trial is None:
            found = diagnose_study(history, roles)
            ill = any(one[0].label.ill for one in found.trials.values())
            as_json(found.to_json()) if json else _print_study(found)
        else:
            if not 0 <= trial < len(history.trials):
                raise Mistake(
                    f"study {stored.name!r} has no trial {trial}: it has {counted(len(history.trials), 'trial')}"
                )
            record = history.trials[trial]
            said = diagnose_trial(record, metrics=roles, total=planned(history, record))
            ill = any(one.label.ill for one in said)
            as_json([one.to_json() for one in said]) if json else _print_trial(trial, said)
    if ill:
        raise typer.Exit(NO)


def _roles(given: list[str]) -> dict[str, str] | None:
    """Return the metric of each role.

    Raises:
        Mistake: one that is no ``role=metric``.
    """
    from tunewell.analysis.diagnosis.curves import ROLES

    roles = dict(text.partition("=")[::2] for text in given)
    for role, name in roles.items():
        if role not in ROLES or not name:
            raise Mistake(f"expected --metric ROLE=NAME with a role of {', '.join(ROLES)}, got {role}={name}")
    return roles or None


def _print_study(found: StudyDiagnosis) -> None:
    typer.echo(str(found))
    ill = {number: said[0] for number, said in found.trials.items() if said[0].label.ill}
    if ill:
        rows = [[str(n), one.code, f"{100 * one.confidence:.0f} %", one.fix or "-"] for n, one in ill.items()]
        table(["trial", "diagnosis", "sure", "what to do"], rows, right=["trial", "sure"])


def _print_trial(trial: int, said: list[Diagnosis]) -> None:
    if not said:
        typer.echo(f"trial {trial} has reported no curve that is known")
    for one in said:
        typer.echo(f"trial {trial}: {one.headline}")
        for sentence in one.evidence:
            typer.echo(f"  {sentence}")
        for action in one.actions:
            typer.echo(f"  -> {action.words}")

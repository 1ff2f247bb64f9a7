"""``explain`` and ``lint``: what is known of hyperparameters, and what it says about a space or a study."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunewell.cli.output import as_json, table
from tunewell.cli.storage import DEFAULT, NO, Json, Storage, read, told_in_a_sentence

if TYPE_CHECKING:
    from tunewell.lint import Plan

Domain = Annotated[str | None, typer.Option("--domain", "-d", help="Such as vision; `tunewell explain` lists all.")]
Optimizer = Annotated[str | None, typer.Option("--optimizer", help="Such as sgd or adamw.")]


def explain(
    name: Annotated[
        str | None, typer.Argument(metavar="[HYPERPARAMETER]", help="Such as learning_rate, or lr; all if left out.")
    ] = None,
    domain: Domain = None,
    optimizer: Optimizer = None,
    json: Json = False,
) -> None:
    """Say what is known of a hyperparameter: scale, usual range, default, order of importance, why, and who says so."""
    with told_in_a_sentence():
        from tunewell import knowledge

        where = domain or "generic"
        names = knowledge.names() if name is None else [name]
        found = [knowledge.explain(each, domain=where, optimizer=optimizer) for each in names]
    if json:
        as_json([one.to_json() for one in found] if name is None else found[0].to_json())
    elif name is not None:
        typer.echo(found[0])
    else:
        rows = [[one.name, *(one.shown(aspect) for aspect in ("tier", "scale", "range", "default"))] for one in found]
        table(["hyperparameter", "tier", "scale", "usual range", "default"], rows)
        typer.echo("domains: " + ", ".join(knowledge.DOMAINS))


def lint(
    what: Annotated[
        str | None,
        typer.Argument(metavar="[FILE|STUDY]", help="A Python file with spaces or studies, or a stored study."),
    ] = None,
    storage: Storage = DEFAULT,
    domain: Domain = None,
    optimizer: Optimizer = None,
    trials: Annotated[int | None, typer.Option(help="Trials that are planned in all.")] = None,
    samples: Annotated[int | None, typer.Option(help="Examples there are to train on.")] = None,
    held_out: Annotated[int | None, typer.Option(help="Examples that the search never sees.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Seeds that the winner is trained with.")] = None,
    json: Json = False,
) -> None:
    """Check spaces and studies before compute is spent on them. Exit status 1 when something was found.

    The top level of a file is executed up to where a study would begin to train; nothing is stored.
    """
    with told_in_a_sentence():
        from tunewell.lint import lint as look

        given: dict[str, Any] = {
            "optimizer": optimizer,
            "trials": trials,
            "samples": samples,
            "held_out": held_out,
            "seeds": seeds,
        }
        plans = _of_file(Path(what), domain, given) if what and what.endswith(".py") else None
        if plans is None:
            from tunewell.plans import plan_of

            stored = read(storage, what)
            plans = {stored.name: plan_of(stored.history, domain, **given)}
        found = {name: look(plan) for name, plan in plans.items()}
    if json:
        as_json(
            [
                {
                    "in": name,
                    "code": one.code,
                    "severity": one.severity,
                    "parameter": one.parameter,
                    "message": one.message,
                    "fix": one.fix,
                }
                for name, findings in found.items()
                for one in findings
            ]
        )
    else:
        for name, findings in found.items():
            typer.echo(f"{name}: {len(findings) or 'nothing'} found")
            for one in findings:
                typer.echo(f"  {one.severity} {one.code}: {one.message}\n    {one.fix}")
    if any(found.values()):
        raise typer.Exit(NO)


def _of_file(path: Path, domain: str | None, given: dict[str, Any]) -> dict[str, Plan]:
    """Return the spaces and studies that a Python file makes, by their names there.

    Raises:
        FileNotFoundError: there is no such file.
        Mistake: it has none, or it fails.
    """
    from tunewell.cli.files import spaces_and_studies
    from tunewell.lint import Plan
    from tunewell.plans import plan_of
    from tunewell.study import Study

    return {
        name: plan_of(each.history, domain, **given) if isinstance(each, Study) else Plan(each, domain=domain, **given)
        for name, each in spaces_and_studies(path).items()
    }

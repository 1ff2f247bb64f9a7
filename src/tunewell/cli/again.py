"""``retune``: whether what a study found still holds."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from tunewell.cli.output import as_json
from tunewell.cli.storage import DEFAULT, NO, Json, Name, Storage, read, told_in_a_sentence


def retune(
    study: Name = None,
    storage: Storage = DEFAULT,
    now: Annotated[
        Path | None,
        typer.Option("--now", help="A file that tw.fingerprint(...).to_json() was written to. [default: this machine]"),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Examples of an update, all devices together.")] = None,
    steps: Annotated[int | None, typer.Option(help="Steps of a full training.")] = None,
    examples: Annotated[int | None, typer.Option(help="Examples there are to train on.")] = None,
    parameters: Annotated[int | None, typer.Option(help="Numbers that the model learns.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="Such as sgd or adamw.")] = None,
    json: Json = False,
) -> None:
    """Say whether what a study found still holds, and what to tune again where it does not.

    What is given is compared; with nothing of the training given, nobody knows. Exit status 1 when something is to be
    tuned again, or nothing of the training could be compared.
    """
    stored = read(storage, study)
    with told_in_a_sentence():
        from tunewell.fingerprinting import fingerprint
        from tunewell.fingerprints import Fingerprint
        from tunewell.retuning import advise

        given = fingerprint(examples, parameters, batch_size=batch_size, steps=steps, optimizer=optimizer)
        if now is not None:
            taken = Fingerprint.from_json(now.read_text(encoding="utf-8"))
            given = dataclasses.replace(given.over(taken), hardware=taken.hardware, versions=taken.versions)
        advice = advise(stored.history, given)
    if json:
        as_json(advice.to_json())
    else:
        typer.echo(advice)
        if advice.tuned and advice.around is not None:
            typer.echo(f"\nthe space to search next: {advice.space(stored.history.space)!r}")
    if advice.verdict != "keep":
        raise typer.Exit(NO)

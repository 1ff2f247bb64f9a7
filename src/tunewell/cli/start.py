"""``init``: a study file to start from."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunewell.cli.storage import Mistake, told_in_a_sentence

if TYPE_CHECKING:
    from tunewell.starting.reading import Script


def init(
    script: Annotated[
        Path | None, typer.Argument(metavar="[SCRIPT]", help="A training script to wrap; without one, built-in data.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path("study.py"),
    task: Annotated[str | None, typer.Option(help="image, tabular or text.")] = None,
    framework: Annotated[str | None, typer.Option(help="torch or sklearn.")] = None,
    minutes: Annotated[float | None, typer.Option(help="The time there is for the search.")] = None,
    workers: Annotated[int | None, typer.Option("--workers", "-w", help="Trainings at a time.")] = None,
    metric: Annotated[str | None, typer.Option(help="What the search goes by, such as val_loss.")] = None,
    trials: Annotated[int | None, typer.Option(help="Configurations in all. [default: what the time allows]")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing: take the usual answers.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write a study file: what to tune, on which scale, in which range, an objective that runs, and the plan.

    Five questions are asked, unless an option answers them. A script is read, not run.
    """
    with told_in_a_sentence(output):
        from tunewell.starting import FRAMEWORKS, TASKS, Answers, read_script, write_for_script, write_study
        from tunewell.starting.answers import likely_framework, likely_workers

        if output.exists() and not force:
            raise FileExistsError(17, "File exists, say --force or another --output", str(output))
        found = read_script(script) if script is not None else None
        likely = found.framework if found is not None and found.framework in FRAMEWORKS else likely_framework()
        questions: dict[str, tuple[str, Any, Any]] = {
            "task": (f"What kind of data ({', '.join(TASKS)})?", task, "image"),
            "framework": (f"Which framework ({', '.join(FRAMEWORKS)})?", framework, likely),
            "minutes": ("How many minutes may the search take?", minutes, 10.0),
            "workers": ("How many trainings at a time on this machine?", workers, likely_workers()),
            "metric": ("Which metric, measured on examples that training does not see?", metric, _metric_of(found)),
        }
        answers = Answers(**{name: _answer(*question, yes) for name, question in questions.items()}, trials=trials)
        if found is None:
            text, told = write_study(answers, output.name), "runs as it is"
        else:
            text, told = write_for_script(found, answers, output)
        output.write_text(text, encoding="utf-8")
    typer.echo(f"{output} {told}; next: python {shlex.quote(str(output))}")


def _metric_of(script: Script | None) -> str:
    """Return the name under which the training returns its value, where it says whether more or less is better."""
    from tunewell.lint.studies import usual_mode

    function = script.train_function if script is not None else None
    return function.metric if function is not None and usual_mode(function.metric) is not None else "val_loss"


def _answer(question: str, given: Any, usual: Any, yes: bool) -> Any:
    if given is not None or yes:
        return usual if given is None else given
    try:
        return typer.prompt(question, default=usual, type=type(usual))
    except typer.Abort:
        raise Mistake("expected answers on standard input, found its end: say --yes, or give options") from None

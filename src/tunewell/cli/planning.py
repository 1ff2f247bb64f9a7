"""``plan``: what a tiered search would do with a budget."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunewell.cli.knowing import Domain, Optimizer
from tunewell.cli.output import as_json
from tunewell.cli.storage import DEFAULT, Json, Mistake, Storage, read, told_in_a_sentence

if TYPE_CHECKING:
    from tunewell.strategies.plan import TieredPlan

_SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_TIME = re.compile(r"(?:\d+(?:\.\d+)?\s*(?:min|[smhd])\s*)+")


def plan(
    what: Annotated[
        str | None,
        typer.Argument(metavar="[FILE|STUDY]", help="A Python file with spaces or studies, or a stored study."),
    ] = None,
    storage: Storage = DEFAULT,
    trials: Annotated[int | None, typer.Option(help="Trials in all.")] = None,
    steps: Annotated[int | None, typer.Option(help="Steps in all.")] = None,
    time: Annotated[str | None, typer.Option(help="Time in all, such as 20m, 2h or 1d.")] = None,
    training: Annotated[
        str | None, typer.Option(help="What one full training takes: so many steps, or a time such as 3m.")
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", "-w", min=1, help="Trainings at a time.")] = None,
    domain: Domain = None,
    optimizer: Optimizer = None,
    json: Json = False,
) -> None:
    """Say how a tiered search would spend a budget: what is tuned first, on how much, how, and why.

    The top level of a file is executed up to where a study would begin to train; nothing is stored.
    """
    with told_in_a_sentence():
        from tunewell.limits import Limits
        from tunewell.strategies.plan import only_total, plan_of

        given: dict[str, float | None] = {"trials": trials, "steps": steps, "seconds": _seconds(time, "--time")}
        Limits(trials, given["seconds"], steps)
        budget = only_total(given)
        by_time = steps is None and training is not None and not training.isdigit()
        each = _seconds(training, "--training") if by_time else None if training is None else float(training)
        where: dict[str, Any] = {"domain": domain, "optimizer": optimizer}
        options: dict[str, Any] = {"budget": budget, "training": each, "workers": workers, **where}
        plans: dict[str, TieredPlan]
        if what and what.endswith(".py"):
            plans = _of_file(Path(what), options)
        else:
            stored = read(storage, what)
            plans = {stored.name: plan_of(stored.history, **options)}
    if json:
        as_json([{"in": name, **one.to_json()} for name, one in plans.items()])
    else:
        for name, one in plans.items():
            typer.echo(f"{name}: {one}")


def _of_file(path: Path, options: dict[str, Any]) -> dict[str, TieredPlan]:
    from tunewell.cli.files import spaces_and_studies
    from tunewell.strategies.plan import plan_of
    from tunewell.study import Study

    found = spaces_and_studies(path).items()
    return {
        name: plan_of((each if isinstance(each, Study) else Study(each)).history, **options) for name, each in found
    }


def _seconds(text: str | None, option: str) -> float | None:
    """Return a time such as ``1h30m`` in seconds; plain numbers are seconds.

    Raises:
        Mistake: it is no time.
    """
    if text is None:
        return None
    plain = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", plain):
        return float(plain)
    if not _TIME.fullmatch(plain):
        raise Mistake(f"expected a time for {option}, such as 20m, 2h or 1h30m, got {text!r}")
    return sum(float(n) * _SECONDS[unit] for n, unit in re.findall(r"(\d+(?:\.\d+)?)\s*(min|[smhd])", plain))

"""A study as something to check: what its events say about space, goals, algorithms and budget."""

from __future__ import annotations

from tunewell.history import History
from tunewell.lint import Plan

RESULTS = 20  # from which on it counts that no configuration was trained twice


def plan_of(
    history: History,
    domain: str | None = None,
    *,
    optimizer: str | None = None,
    trials: int | None = None,
    samples: int | None = None,
    held_out: int | None = None,
    seeds: int | None = None,
) -> Plan:
    """Return a study as a plan; what is given comes before what the newest run said.

    Raises:
        TypeError: a count that is no whole number.
        ValueError: an unknown domain or optimizer.
    """
    run, scheduler = history.run, dict(history.settings.get("scheduler", {}))
    if scheduler.get("name") == "auto" and run is not None and run.trials is None:
        scheduler = {"name": "freeze_thaw"}  # what the default takes for a total of steps or seconds
    return Plan(
        history.space,
        domain=domain,
        optimizer=optimizer,
        trials=trials if trials is not None else run.trials if run is not None else None,
        samples=samples,
        held_out=held_out,
        seeds=seeds if seeds is not None else _seeds(history),
        goals=tuple((goal.metric, goal.mode) for goal in history.goals),
        sampler=dict(history.settings.get("sampler", {})),
        scheduler=scheduler,
    )


def _seeds(history: History) -> int | None:
    """Return 1 when there are results enough and each is of another configuration, None otherwise."""
    results = [trial for trial in history.trials if trial.observed]
    different = {tuple(trial.params.items()) for trial in results}
    return 1 if len(results) >= RESULTS and len(different) == len(results) else None

"""What a study is for, as a person says it: goals and constraints, and whether a stored study is about the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tunewell.events import Constraint, Goal, StudyCreated
from tunewell.history import History
from tunewell.space import Choice, Parameter, Space


def goals_of(metric: str | Sequence[str], mode: str | Sequence[str]) -> tuple[Goal, ...]:
    """Return the goals that metrics and modes name; raise TypeError or ValueError when they name none."""
    for given in (metric, mode):
        if not isinstance(given, str | list | tuple):
            raise TypeError(f"a study expected metric and mode to be a name or a list of names, got {given!r}")
    metrics = [metric] if isinstance(metric, str) else list(metric)
    modes = [mode] * len(metrics) if isinstance(mode, str) else list(mode)
    if not metrics:
        raise ValueError(f"a study expected the name of at least one metric, got {metric!r}: say what decides")
    if len(modes) != len(metrics):
        raise ValueError(f"a study expected one mode per metric, got {len(modes)} for {len(metrics)}")
    if len(set(metrics)) != len(metrics) or not all(isinstance(name, str) and name for name in metrics):
        raise ValueError(f"a study expected different metric names, got {metrics!r}")
    for one in modes:
        if one not in ("min", "max"):
            meant = next((f': did you mean "{known}"?' for known in ("min", "max") if str(one).startswith(known)), "")
            raise ValueError(f'a study expected mode "min" or "max", got {one!r}{meant}')
    return tuple(Goal(name, one) for name, one in zip(metrics, modes, strict=True))  # type: ignore[arg-type]


def constraints_of(given: str | Sequence[str]) -> tuple[Constraint, ...]:
    """Return the constraints that texts say; raise TypeError or ValueError when they say none or contradict."""
    if not isinstance(given, str | list | tuple):
        raise TypeError(f'a study expected constraints to be a list such as ["latency_ms <= 20"], got {given!r}')
    rules = tuple(map(Constraint.parse, [given] if isinstance(given, str) else given))
    for rule in rules:
        for other in rules:
            if rule.metric == other.metric and rule.sense == "<=" and other.sense == ">=" and rule.bound < other.bound:
                raise ValueError(f"a study expected constraints that can hold together, got {other} and {rule}")
    if len({(rule.metric, rule.sense) for rule in rules}) < len(rules):
        raise ValueError(f"a study expected one bound of a kind for each metric, got {', '.join(map(str, rules))}")
    return rules


def check_same(history: History, given: StudyCreated, seed: int | None) -> None:
    """Raise ValueError in words when the stored study is about something else than what was given."""
    differences: list[str] = []
    differences += space_differences(history.space, given.space)
    if history.goals != given.goals:
        stored, new = (", ".join(f"{goal.metric} ({goal.mode})" for goal in g) for g in (history.goals, given.goals))
        differences.append(f"the goal is {stored}, not {new}")
    if set(history.constraints) != set(given.constraints):
        stored, new = (", ".join(map(str, rules)) or "none" for rules in (history.constraints, given.constraints))
        differences.append(f"the constraints are {stored}, not {new}")
    if seed is not None and history.seed != seed:
        differences.append(f"the seed is {history.seed}, not {seed}")
    if differences:
        raise ValueError(
            f"the stored study {given.name!r} differs from the one given: {'; '.join(differences)}. Choose another "
            f"name, go on with what is stored (tw.open), change its space (study.change_space), or tw.delete it"
        )


def space_differences(stored: Space, given: Space) -> list[str]:
    """Return in words what differs between two spaces, for decisions go by the stored one.

    The order of parameters, and of the options of an unordered choice, is no difference, nor are remarks for people.
    """
    found = []
    for name in dict.fromkeys([*stored, *given]):
        if name not in given:
            found.append(f"parameter {name!r} is missing")
        elif name not in stored:
            found.append(f"parameter {name!r} is new")
        elif _as_meant(stored[name]) != _as_meant(given[name]):
            found.append(f"parameter {name!r} is stored as {stored[name]!r}, given as {given[name]!r}")
    return found


def _as_meant(parameter: Parameter) -> Parameter:
    """Return a parameter without its remark, and the options of an unordered choice in one order."""
    if isinstance(parameter, Choice) and not parameter.ordered:
        return replace(parameter, note="", choices=sorted(parameter.choices, key=repr))
    return replace(parameter, note="")

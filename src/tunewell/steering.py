"""A person's hand on single trials: what may be wished, checked before it is written down.

A wish is an event like any other. Whoever looks after the trial carries it out at the next step boundary (see
:mod:`tunewell.wishes`), so a study can be steered from another process, from another thread, or before its next run.
"""

from __future__ import annotations

import math
import operator
import sys
import time
from collections.abc import Collection, Mapping
from typing import Any

from tunewell import knowledge
from tunewell.events import Requested, Status, Wish
from tunewell.history import TrialRecord
from tunewell.parameters import Float, Int, Parameter
from tunewell.reading import AnyTrial, Reading
from tunewell.scales import SCALES
from tunewell.space import Config, Space
from tunewell.values import plain
from tunewell.wishes import Refused, completed, point_of

_SHARES = {"attention_dropout", "dropout", "label_smoothing", "stochastic_depth", "warmup_ratio"}
_FROM_ZERO = {"layers", "warmup_steps"}  # whole numbers that may be 0


class Steering(Reading):
    """The methods of a study by which a person works on a trial.

    Each returns the request as it was written; what became of it stands in ``study.history.answers``.
    """

    def adjust(
        self,
        trial: AnyTrial,
        values: Mapping[str, Any] | None = None,
        *,
        reason: str = "",
        guard: bool = True,
        **named: Any,
    ) -> Requested:
        """Change values of a trial that trains or rests, from its next step on.

        The objective finds them in ``trial.params`` and, at that one step, in ``trial.changed``. A number may lie
        outside its range, though not beyond what its scale holds or what the parameter can be; the reason then says
        so. From here on no scheduler decides on the trial any more, and samplers learn from what it reported before.

        Args:
            trial: which.
            values: the new values, by name; or as keywords. A name may be short: see :func:`parameter_meant`.
            reason: why, for the list.
            guard: take the change back if it makes things clearly worse: see :mod:`tunewell.guards`.

        Raises:
            ValueError: there is no such trial, it is over, or a parameter or value that it cannot have.
        """
        record = self._steered(trial, "adjust")
        _check_in_training(record, "adjust")
        now = record.values_after(record.step)
        changed, said = _checked("adjust", self.history.space, now, values, named)
        if left_out := [name for name in changed if name not in now]:
            raise ValueError(
                f"adjust expected parameters that are active in the trial, got {left_out[0]!r}: {', '.join(now)}"
            )
        if set(completed(self.history.space, now, changed)) != set(now):
            raise ValueError(
                f"adjust expected values under which the same parameters are active, got {dict(changed)!r}: "
                "fork the trial instead"
            )
        return self._wish(record, "adjust", changed, None, _joined(reason, said, "adjust"), guard)

    def go_back(
        self,
        trial: AnyTrial,
        step: int,
        values: Mapping[str, Any] | None = None,
        *,
        reason: str = "",
        **named: Any,
    ) -> Requested:
        """Take a trial back to its checkpoint of an earlier step, with other values where any are given.

        A fork takes its place; the trial itself is held, with all that it has, and :meth:`resume` lets it go on.

        Raises:
            ValueError: there is no such trial, or a step, parameter or value that it cannot have.
        """
        return self._from(trial, "back", step, values, reason, named)

    def fork(
        self,
        trial: AnyTrial,
        step: int | None = None,
        values: Mapping[str, Any] | None = None,
        *,
        reason: str = "",
        **named: Any,
    ) -> Requested:
        """Start a trial from a checkpoint of another, with other values where any are given; that one goes on.

        It comes first in line for the next free worker, and does not count towards a total of trials. ``step=None``:
        the newest checkpoint there is now.

        Raises:
            ValueError: there is no such trial, or a step, parameter or value that it cannot have.
        """
        return self._from(trial, "fork", step, values, reason, named)

    def pause(self, trial: AnyTrial, *, reason: str = "") -> Requested:
        """Hold a trial at its next checkpoint; nothing but :meth:`resume` lets it go on, and its worker is free.

        Raises:
            ValueError: there is no such trial, or it is over.
        """
        record = self._steered(trial, "pause")
        _check_in_training(record, "pause")
        return self._wish(record, "pause", reason=_joined(reason, "", "pause"))

    def resume(self, trial: AnyTrial, *, reason: str = "") -> Requested:
        """Let a trial that rests, or that a person stopped, go on from its checkpoint, first in line.

        Raises:
            ValueError: there is no such trial, or it is over.
        """
        record = self._steered(trial, "resume")
        if record.status is not Status.CANCELLED:
            _check_in_training(record, "resume")
        return self._wish(record, "resume", reason=_joined(reason, "", "resume"))

    def stop(self, trial: AnyTrial, *, reason: str = "") -> Requested:
        """End a trial as ``cancelled`` at its next step boundary.

        Raises:
            ValueError: there is no such trial, or it is over.
        """
        record = self._steered(trial, "stop")
        _check_in_training(record, "stop")
        return self._wish(record, "stop", reason=_joined(reason, "", "stop"))

    def undo(self, trial: AnyTrial, *, reason: str = "") -> Requested:
        """Take back the newest change of a trial: a fork from before it takes its place, with the values before.

        Where nothing was trained since, the values change back in place. Of a trial that took the place of another
        and was not changed itself, that is undone: the other goes on.

        Raises:
            ValueError: there is no such trial.
        """
        return self._wish(self._steered(trial, "undo"), "undo", reason=_joined(reason, "", "undo"))

    # --- shared steps -------------------------------------------------------------------------------------------------

    def _from(
        self, trial: AnyTrial, wish: Wish, step: Any, values: Mapping[str, Any] | None, reason: str, named: Config
    ) -> Requested:
        who = "go_back" if wish == "back" else wish
        record = self._steered(trial, who)
        if step is not None or wish == "back":
            step = _checked_step(who, record, step)
            try:
                point_of(self.history, record, step)
            except Refused as refused:
                raise ValueError(f"{who}: {refused}") from None
        now = record.values_after(record.step)
        changed, said = _checked(who, self.history.space, now, values, named) if values or named else ({}, "")
        return self._wish(record, wish, changed, step, _joined(reason, said, who))

    def _steered(self, trial: AnyTrial, who: str) -> TrialRecord:
        record = self.history.trials[self._number(trial, who)]
        if record.untold:
            raise ValueError(
                f"{who} expected a trial that a run trains, got {record.number}, which was asked for: "
                f'study.tell({record.number}, status="cancelled") gives it up'
            )
        return record

    def _wish(
        self,
        record: TrialRecord,
        wish: Wish,
        values: Config | None = None,
        step: int | None = None,
        reason: str = "",
        guard: bool = True,
    ) -> Requested:
        request = Requested(time.time(), record.number, wish, values or {}, step, reason, guard)
        self._add(request)
        return request


def _check_in_training(record: TrialRecord, who: str) -> None:
    if record.over:
        status = record.status.value.replace("_", " ")
        raise ValueError(
            f"{who} expected a trial that trains or rests, got {record.number}, which is {status}: "
            "fork it, or go back to a checkpoint"
        )


def _checked_step(who: str, record: TrialRecord, step: Any) -> int:
    try:
        if isinstance(step, bool) or not 0 <= operator.index(step) <= record.step:
            raise TypeError
    except TypeError:
        raise ValueError(
            f"{who} expected a step that trial {record.number} has come to, 0 to {record.step}, got {step!r}"
        ) from None
    return operator.index(step)


def _checked(
    who: str, space: Space, in_force: Config, values: Mapping[str, Any] | None, named: Config
) -> tuple[dict[str, Any], str]:
    """Return values in plain Python by the parameters that are meant, and which lie outside their range, in words."""
    if values is not None and not isinstance(values, Mapping):
        raise ValueError(f"{who} expected a mapping from names to values, got {values!r}")
    given = {**(values or {}), **named}
    if not given:
        raise ValueError(f"{who} expected at least one value, got none: say e.g. learning_rate=1e-3")
    found: dict[str, Any] = {}
    said = []
    for word, value in given.items():
        name = parameter_meant(word, in_force, space) or word
        space.check_names([name])
        if name in found:
            raise ValueError(f"{who} expected one value for {name!r}, got several: {', '.join(map(repr, given))}")
        found[name], outside = fitting(name, space[name], value)
        said += [outside] if outside else []
    return found, "; ".join(said)


def parameter_meant(word: str, names: Collection[str], others: Collection[str] = ()) -> str | None:
    """Return the one of some parameters that a word means, None when there is none or more than one.

    Its name, what it is (``lr`` for ``learning_rate``), or how its name begins. A name in full means itself; else
    ``others`` are looked at where none of ``names`` is meant.
    """
    if word in names or word in others:
        return word
    role = knowledge.find(word, ambiguous=True)
    for some in (names, others):
        for meant in (
            [name for name in some if role is not None and knowledge.find(name, ambiguous=True) == role],
            [name for name in some if name.lower().startswith(word.lower()) and word],
        ):
            if len(meant) == 1:
                return meant[0]
    return None


def fitting(name: str, parameter: Parameter, value: Any) -> tuple[Any, str]:
    """Return a value as the parameter has them, and in words if it is a number outside its range.

    Raises:
        ValueError: it is of another kind, or none of the choices, or a number that the parameter's scale cannot hold
            or that is beyond what the parameter can be, such as a dropout of 1.5.
    """
    try:
        return parameter.check(value), ""
    except ValueError as error:
        number = plain(value)
        kinds = int if isinstance(parameter, Int) else int | float
        if not isinstance(parameter, Float | Int) or isinstance(number, bool) or not isinstance(number, kinds):
            raise ValueError(f"parameter {name!r}: {error}") from None
        if not abs(number) <= sys.float_info.max:
            raise ValueError(f"parameter {name!r}: expected a finite number, got {value!r}") from None
        number = number if isinstance(parameter, Int) else float(number)
        possible = _possible(name, parameter, number)
        if possible:
            raise ValueError(f"parameter {name!r}: expected a number {possible}, got {number!r}") from None
        return number, f"{name}={number!r} lies outside {parameter!r}"


def nearest_values(space: Space, values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return values of some parameters, for numbers outside a range its nearer end, and in words which.

    Raises:
        TypeError: ``values`` is no mapping.
        ValueError: unknown names, values that a parameter cannot have, or one that rules the parameter of another out.
    """
    if not isinstance(values, Mapping):
        raise TypeError(f"expected a mapping from names to values, got {values!r}")
    space.check_names(values)
    found, said = {}, []
    for name, value in values.items():
        parameter = space[name]
        found[name], outside = fitting(name, parameter, value)
        if outside and isinstance(parameter, Float | Int) and not parameter.low <= found[name] <= parameter.high:
            found[name] = parameter.low if found[name] < parameter.low else parameter.high
            said.append(f"{outside}, so {found[name]!r} stands for it")
    return space.check_part(found), said


def _possible(name: str, parameter: Float | Int, number: float) -> str:
    """Return in words what the parameter can be by its scale or its meaning where the number is not, or nothing."""
    law = SCALES[parameter.scale]
    if not law.above < number < law.below:
        ends = [f"above {law.above:g}"] if law.above > -math.inf else []
        ends += [f"below {law.below:g}"] if law.below < math.inf else []
        return f"{' and '.join(ends)}, which is all that the scale {parameter.scale!r} holds"
    least, most, excluded = _meaning(name)
    if least <= number <= most and number != excluded:
        return ""
    ends = [f"from {least:g} on"] if most == math.inf else [f"from {least:g} to {most:g}"]
    return ", ".join([*ends, f"without {excluded:g}"] if excluded is not None else ends)


def _meaning(name: str) -> tuple[float, float, float | None]:
    """Return the least and the most that a hyperparameter can be by definition, and an end that it cannot be."""
    known = knowledge.find(name)
    about = knowledge.explain(known) if known is not None else None
    if about is None or about.scale.value == "unordered":
        return -math.inf, math.inf, None
    if about.scale.value == "reverse_log":  # an average that forgets
        return 0.0, 1.0, 1.0
    if known in _SHARES:
        return 0.0, 1.0, None
    return (0.0 if about.kind == "Float" or known in _FROM_ZERO else 1.0), math.inf, None


def _joined(reason: Any, said: str, who: str) -> str:
    if not isinstance(reason, str):
        raise TypeError(f"{who} expected a text as reason, got {reason!r}: put it in quotes")
    return "; ".join(filter(None, (reason, said)))

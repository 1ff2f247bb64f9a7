"""What to do next, as data: changes of hyperparameters that are recognised by what they are, not by their names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from tunewell.knowledge import find
from tunewell.parameters import Choice, Float, Int, Parameter
from tunewell.space import Space

Kind: TypeAlias = Literal["multiply", "at_least", "at_most", "stop", "check"]


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do.

    Attributes:
        kind: ``"multiply"`` a value by ``amount``, bring it to ``"at_least"`` or ``"at_most"`` that; ``"stop"``: end
            the training at step ``amount``; ``"check"``: something only a person can do.
        role: the hyperparameter, by its name in :mod:`tunewell.knowledge`; empty for what is none.
        amount: see ``kind``.
        words: the same for a person, as a sentence without its full stop.
    """

    kind: Kind
    role: str
    amount: float
    words: str

    @property
    def changes_values(self) -> bool:
        """Whether it is a change of hyperparameters, so that :meth:`apply` may do something."""
        return self.kind in ("multiply", "at_least", "at_most")

    def parameters(self, params: Mapping[str, Any]) -> list[str]:
        """Return the names of the parameters that it is about."""
        return [
            name for name in params if self.role and find(name, ambiguous=True) in _MEANT.get(self.role, (self.role,))
        ]

    def apply(self, params: Mapping[str, Any], space: Space | None = None) -> dict[str, Any]:
        """Return the values with the change made, within the ranges of ``space``; others stay as they are.

        A parameter that is not there is not added, for nobody would read it. What is no number stays.
        """
        changed = dict(params)
        if not self.changes_values:
            return changed
        for name in self.parameters(params):
            value = params[name]
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            moved = self._moved(float(value))
            parameter = space[name] if space is not None and name in space else None
            changed[name] = _fitting(moved, value, parameter)
        return changed

    def _moved(self, value: float) -> float:
        if self.kind == "multiply":
            return value * self.amount
        return max(value, self.amount) if self.kind == "at_least" else min(value, self.amount)


_MEANT = {
    "hidden_units": ("hidden_units", "model_width", "channels", "embedding_size"),
    "weight_decay": ("weight_decay", "l2"),
}


def _fitting(moved: float, before: Any, parameter: Parameter | None) -> Any:
    """Return the value that a parameter can take, nearest to the one wanted."""
    if isinstance(parameter, Choice):
        numbers = [c for c in parameter.choices if isinstance(c, int | float) and not isinstance(c, bool)]
        return min(numbers, key=lambda choice: abs(choice - moved))
    if isinstance(parameter, Float | Int):
        step = parameter.step or (1 if isinstance(parameter, Int) else None)
        inside = min(max(moved, parameter.low), parameter.high)
        if step is not None:
            inside = parameter.low + step * round((inside - parameter.low) / step)
        return parameter.check(inside)
    return max(1, round(moved)) if isinstance(before, int) else moved

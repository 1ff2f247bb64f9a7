"""Which sampler and scheduler decide: those that the study's settings name, so that any driver decides alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunewell.history import History
from tunewell.protocols import Sampler, Scheduler
from tunewell.registry import Registry
from tunewell.samplers import SAMPLERS
from tunewell.schedulers import SCHEDULERS
from tunewell.values import jsonable


class Deciders:
    """The algorithms of a study as its settings name them, made when they are first needed.

    Instances that were given are used while the settings describe them; only they can stand for algorithms of the
    user's own, whose code no journal holds.
    """

    def __init__(self, sampler: Sampler | None = None, scheduler: Scheduler | None = None) -> None:
        self._given: dict[str, Any] = {"sampler": sampler, "scheduler": scheduler}
        self._settings: Mapping[str, Any] | None = None
        self._made: tuple[Sampler, Scheduler] | None = None

    def __call__(self, history: History) -> tuple[Sampler, Scheduler]:
        """Return sampler and scheduler in force.

        Raises:
            ValueError: the settings name an algorithm of somebody else's own.
        """
        if self._made is None or self._settings is not history.settings:
            self._settings = history.settings
            self._made = self._one("sampler", SAMPLERS), self._one("scheduler", SCHEDULERS)
        return self._made

    def _one(self, kind: str, registry: Registry) -> Any:
        stored, given = (self._settings or {}).get(kind, "auto"), self._given[kind]
        stored = {"name": stored} if isinstance(stored, str) else stored
        if given is not None and plain(registry.describe(given)) == plain(stored):
            return given
        return registry.make(stored)


def plain(settings: Any) -> Any:
    """Return settings as they look after a trip through the journal."""
    import msgspec

    return jsonable(msgspec.to_builtins(settings))  # a journal holds lists in the place of tuples

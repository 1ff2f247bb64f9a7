"""New configurations that a scheduler chooses itself, because what it knows of rungs and brackets helps to choose.

A study that names a sampler means it: then the sampler decides, and the scheduler chooses nothing. The same goes for a
configuration that a person put first in line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tunewell.history import History
from tunewell.protocols import Action, Done, Exhausted, Start, Suggestion
from tunewell.samplers.acquiring import anything_new, drawn
from tunewell.space import Space
from tunewell.surrogate.cube import cube_of
from tunewell.surrogate.observations import tried, values_of


def chooses(history: History) -> bool:
    """Whether the next configuration is a scheduler's to choose: unless the study names a sampler of its own."""
    sampler = history.settings.get("sampler", "auto")
    named = sampler if isinstance(sampler, str) else sampler.get("name")
    return named == "auto" and history.first_in_line is None


def chosen(action: Action, history: History, choose: Callable[[], Suggestion]) -> Action:
    """Return an action with the configuration that ``choose`` returns, if it starts a trial and wants for one."""
    if not isinstance(action, Start) or action.config is not None or not chooses(history):
        return action
    try:
        found = choose()
    except Exhausted as exhausted:
        return Done(str(exhausted))
    return replace(action, config=found.config, reason="; ".join(filter(None, (action.reason, found.reason))))


def explored(space: Space, history: History, rng: np.random.Generator) -> Suggestion:
    """Return a configuration that no model chose; every other one follows what is believed, if anything is.

    Raises:
        Exhausted: everything has been tried.
    """
    believed = drawn(cube_of(space), space, history, 1, rng)
    if believed is not None and (not history.trials or rng.random() < 0.5):
        config = space.decode_one(np.nan_to_num(believed[0], nan=0.5).tolist())
        if values_of(space, config) not in tried(space, history):
            return Suggestion(config, "where somebody believes in")
    return Suggestion(anything_new(space, history, rng), "at random")

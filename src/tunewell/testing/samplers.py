"""What every sampler keeps to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tunewell.events import Believed, Constraint, Goal, SpaceChanged, StudyCreated
from tunewell.history import History
from tunewell.protocols import Exhausted, Sampler, Suggestion
from tunewell.space import Choice, Config, Float, Int, Space
from tunewell.testing.histories import mixed_space, random_events

SPACES = {
    "mixed": mixed_space(),
    "one_float": Space(x=Float(0.0, 1.0)),
    "one_point": Space(x=Float(0.5, 0.5)),
    "choices": Space(a=Choice(["x", "y", "z"]), b=Choice([1, 2])),
    "dotted": Space({"optimizer.lr": Float(1e-4, 1.0, scale="log"), "model.layers": Int(1, 8)}),
    "wide": Space({f"x{i}": Float(0.0, 1.0) for i in range(60)}),
}


class SamplerContract:
    """Inherit and give a fixture ``sampler``."""

    @pytest.fixture
    def sampler(self) -> Sampler:
        """Return the sampler under test."""
        raise NotImplementedError

    @staticmethod
    def ask(sampler: Sampler, history: History, number: int) -> Config | None:
        """Return a suggestion, or None from an exhausted sampler."""
        try:
            answer = sampler.suggest(history.space, history, np.random.default_rng([history.seed, number]))
        except Exhausted:
            return None
        suggestion = Suggestion.of(answer)
        assert isinstance(suggestion.reason, str)
        assert isinstance(suggestion.note, str)
        return suggestion.config

    @pytest.mark.parametrize("name", SPACES)
    @pytest.mark.parametrize("trials", [0, 1, 7, 40])
    def test_suggestions_are_valid(self, sampler: Sampler, name: str, trials: int) -> None:
        history = History(random_events(SPACES[name], trials, pending=min(trials, 3)))
        config = self.ask(sampler, history, trials)
        if config is not None:
            assert dict(config) == history.space.check(config)

    def test_suggesting_is_pure(self, sampler: Sampler) -> None:
        events = random_events(SPACES["mixed"], 20, pending=2)
        history, again = History(events), History(events)
        first = [self.ask(sampler, history, 20) for _ in range(2)]
        assert first[0] == first[1] == self.ask(sampler, again, 20)
        assert len(history) == len(events)

    def test_what_is_remembered_on_the_way_changes_nothing(self, sampler: Sampler) -> None:
        """A history that was asked as it grew answers like a new one, also where another space came and went."""
        wider = Space({**mixed_space(), "layers": Int(1, 6)})
        events = random_events(SPACES["mixed"], 20, pending=2)
        events[30:30] = [SpaceChanged(30.0, wider, "wider")]
        events[60:60] = [SpaceChanged(60.0, mixed_space(), "as before")]
        grown = History()
        for event in events:
            grown.apply(event)
            if len(grown) in (25, 45, 65):
                self.ask(sampler, grown, 20)
        assert self.ask(sampler, grown, 20) == self.ask(sampler, History(events), 20)

    def test_global_random_state_is_neither_read_nor_touched(self, sampler: Sampler) -> None:
        history = History(random_events(SPACES["mixed"], 12))
        np.random.seed(1)  # noqa: NPY002 (the point of the test)
        before = np.random.get_state()[1].tolist()  # type: ignore[index] # noqa: NPY002
        first = self.ask(sampler, history, 12)
        assert np.random.get_state()[1].tolist() == before  # type: ignore[index] # noqa: NPY002
        np.random.seed(2)  # noqa: NPY002
        assert self.ask(sampler, history, 12) == first

    def test_several_goals(self, sampler: Sampler) -> None:
        goals = (Goal("loss"), Goal("accuracy", "max"))
        history = History(random_events(SPACES["mixed"], 15, goals=goals))
        config = self.ask(sampler, history, 15)
        assert config is None or dict(config) == history.space.check(config)

    def test_constraints_and_beliefs(self, sampler: Sampler) -> None:
        """One constraint is kept by about half of the trials, of the other nothing is known."""
        head, *rest = random_events(SPACES["mixed"], 25, pending=2)
        assert isinstance(head, StudyCreated)
        head = replace(head, constraints=(Constraint("loss", 0.5), Constraint("unheard_of", 1.0, ">=")))
        hints = [Believed(0.0, {"learning_rate": 1e-3, "optimizer": "sgd"}), Believed(0.0, {"layers": 2}, "high")]
        history, again = History([head, *hints, *rest]), History([head, *hints, *rest])
        config = self.ask(sampler, history, 25)
        assert config == self.ask(sampler, again, 25)
        assert config is None or dict(config) == history.space.check(config)

    def test_a_study_in_which_nothing_worked(self, sampler: Sampler) -> None:
        events = random_events(SPACES["mixed"], 10)
        started: Sequence[object] = [
            event for event in events if type(event).__name__ in ("StudyCreated", "TrialStarted")
        ]
        history = History(started)  # type: ignore[arg-type]
        config = self.ask(sampler, history, 10)
        assert config is None or dict(config) == history.space.check(config)

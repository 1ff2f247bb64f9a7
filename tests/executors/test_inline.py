from __future__ import annotations

import pytest

from tunewell.executors.inline import Inline
from tunewell.testing.executors import ExecutorContract, square


class TestInline(ExecutorContract):
    @pytest.fixture
    def executor(self):
        return Inline()


def test_an_objective_is_needed():
    with pytest.raises(TypeError, match="expected an objective, got none"):
        Inline().start(None, None)


def test_there_is_one_worker():
    with pytest.raises(ValueError, match='use executor="processes"'):
        Inline().start(square, 2)

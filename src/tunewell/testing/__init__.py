"""For whoever extends Tunewell: contract suites for the four protocols, ways to make things go wrong, recorded tables.

A contract suite is a class of tests. An implementation's own test file inherits it and supplies a fixture::

    class TestMySampler(SamplerContract):
        @pytest.fixture
        def sampler(self):
            return MySampler()

:class:`Table` makes an objective of recorded learning curves, to compare schedulers and samplers on a virtual clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunewell.testing.tables import Table as Table

__all__ = ["Table"]


def __getattr__(name: str) -> Any:
    if name == "Table":
        from tunewell.testing.tables import Table

        return Table
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

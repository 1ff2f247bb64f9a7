"""All problems of the search benchmark by name: one objective in ``PROBLEMS`` and ``LIVE``, several in ``MULTI``.

A problem is a family of instances: its seed moves the optimum and puts categories in another order. Optima of
``PROBLEMS`` keep clear of the edges, so methods that begin in the middle profit at first; how much, those of
``ANYWHERE`` show. Problems from recorded trainings need the folder of the tables in ``TUNEWELL_TABLES``;
``LIVE`` trains, and needs PyTorch. ``LEFT_OUT`` says in a sentence each what is missing here.
"""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.search import live, several, synthetic, tables
from benchmarks.search.instances import Instance as Instance
from benchmarks.search.instances import Problem as Problem
from benchmarks.search.instances import Several as Several
from benchmarks.search.instances import SeveralProblem as SeveralProblem

_RECORDED = tables.MAKERS if tables.folder() is not None else {}

PROBLEMS: Mapping[str, Problem] = {n: Problem(n, make) for n, make in {**synthetic.MAKERS, **_RECORDED}.items()}
ANYWHERE: Mapping[str, Problem] = {name: Problem(name, make) for name, make in synthetic.ANYWHERE.items()}
LIVE: Mapping[str, Problem] = {name: Problem(name, make) for name, make in live.MAKERS.items()}
MULTI: Mapping[str, SeveralProblem] = {name: SeveralProblem(name, make) for name, make in several.MAKERS.items()}

LEFT_OUT: tuple[str, ...] = (
    *([] if _RECORDED else [f"TUNEWELL_TABLES names no folder: {', '.join(tables.MAKERS)} are left out."]),
    *([] if LIVE else [f"{live.missing()} is not installed: the network that trains is left out."]),
)

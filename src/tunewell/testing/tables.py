"""Recorded learning curves as an objective: schedulers and samplers are compared without training anything again.

A table knows trainings of n configurations. What is asked for is seldom one of them, so there are two ways to answer:

* ``"nearest"``: with the curve of the nearest row, as it was measured, noise included. In seven to nine dimensions the
  nearest of some hundred rows answers half of a search's suggestions with a row that the search has seen before, so
  the last digits of a result measure luck with the rows rather than the search.
* ``"smooth"``: with a weighted mean of all curves, so that every configuration has a curve of its own. That is the
  usual way of surrogate benchmarks: Eggensperger et al., "Efficient benchmarking of hyperparameter optimizers via
  surrogates", AAAI 2015 (there by random forests, for single values). Means leave out the noise.

What is nearest is told in the unit cube of the space: by squared differences, 1 for another category, and with an
inactive parameter at -1. The weights of a smooth answer are those of the mean of a Gaussian process
(:mod:`tunewell.numerics.gp`) that explains how trainings end; they add up to 1, and some are below 0. Values are
averaged as normal scores of their ranks, or a few trainings that failed would decide what the good ones look like.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tunewell.scales import Floats
from tunewell.space import Config, Space
from tunewell.surrogate.cube import cube_of
from tunewell.testing.means import Smooth

Answer: TypeAlias = Literal["nearest", "smooth"]
_MOST_ROWS = 2000  # that smooth answers are made from
_REMEMBERED = 20_000  # configurations whose answer is kept
_AT_ONCE = 2_000_000  # numbers in the largest array of distances


@dataclass(frozen=True, eq=False)
class Training:
    """What the table answers for one configuration.

    Attributes:
        values: the metric after each step, shape ``(T,)``; NaN from where the training has diverged.
        seconds: that each step takes, shape ``(T,)``.
        row: which recorded training it is; None for a mean of several.
    """

    values: Floats
    seconds: Floats
    row: int | None = None


class Table:
    """Recorded trainings of n configurations, up to T steps each, as the objective of a simulated study.

    A training whose row was recorded for fewer steps keeps its last value. Where lengths differ, the median one is a
    full training. Values that are not finite are a divergence, from the first such step on.

    A smooth answer diverges at a step where rows with more than half of the weight had diverged; otherwise these count
    as the worst value of all. It never leaves the range of the recorded values and seconds. Of more than 2,000 rows it
    is made from so many, evenly spaced.

    Args:
        space: of the configurations.
        rows: the configurations, as mappings or as coordinates in the unit cube of the space, shape ``(n, d)``, NaN
            where a parameter is not active.
        curves: the metric after each step, shape ``(n, T)``.
        seconds: that a step takes: a number, one per row, shape ``(n,)``, or one per step, shape ``(n, T)``.
        mode: whether a small or a large metric is good: ``"min"`` or ``"max"``.
        lengths: the steps of each row that were recorded, shape ``(n,)``. None: all.
        metric: its name.
        answer: ``"nearest"`` or ``"smooth"``; see the module's text.

    Raises:
        ValueError: shapes that do not fit, a configuration that is none of the space, a mode or answer that is none.

    >>> import tunewell as tw
    >>> space = tw.Space(lr=tw.Float(1e-3, 1.0, scale="log"))
    >>> configs = [{"lr": 0.001}, {"lr": 0.03}, {"lr": 1.0}]
    >>> curves = [[2.0, 1.9, 1.8, 1.7], [1.5, 1.0, 0.7, 0.5], [2.0, 5.0, float("nan"), float("nan")]]
    >>> table = tw.testing.Table(space, configs, curves, seconds=60.0)
    >>> study = tw.Study(space, table.metric, table.mode, scheduler="asha", sampler="random", seed=0)
    >>> cluster = tw.executors.Simulated(table.evaluate, workers=4)
    >>> study.run(trials=20, max_steps=table.steps, executor=cluster, progress=False)
    '20 trials are done'
    >>> study.best.value
    0.5
    """

    def __init__(
        self,
        space: Space,
        rows: Sequence[Config] | ArrayLike,
        curves: ArrayLike,
        *,
        seconds: ArrayLike = 1.0,
        mode: Literal["min", "max"] = "min",
        lengths: ArrayLike | None = None,
        metric: str = "loss",
        answer: Answer = "nearest",
    ) -> None:
        if mode not in ("min", "max"):
            raise ValueError(f'Table expected mode="min" or "max", got {mode!r}')
        if answer not in ("nearest", "smooth"):
            raise ValueError(f'Table expected answer="nearest" or "smooth", got {answer!r}')
        self.space, self.mode, self.metric, self.answer = space, mode, metric, answer
        self.units = _coordinates(space, rows)
        given, recorded = _checked_curves(curves, lengths, len(self.units))
        steps = given.shape[1] if recorded.min() == given.shape[1] else int(np.median(recorded))
        last = np.minimum(np.arange(steps), recorded[:, None] - 1)  # the last recorded step goes on
        values = np.take_along_axis(given, last, axis=1)
        self.values: Floats = np.where(np.logical_or.accumulate(~np.isfinite(values), axis=1), np.nan, values)
        self.seconds: Floats = np.take_along_axis(_checked_seconds(seconds, given.shape), last, axis=1)
        self._trainings: dict[tuple[tuple[str, Any], ...], Training] = {}

    @classmethod
    def load(cls, path: str | PathLike[str], answer: Answer = "nearest") -> Table:
        """Return the table that :meth:`save` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it holds something else.
        """
        with np.load(path, allow_pickle=False) as stored:
            if missing := {"about", "units", "curves", "seconds"} - set(stored.files):
                raise ValueError(
                    f"Table expected a file with about, units, curves and seconds, got {path!r} without "
                    f"{', '.join(sorted(missing))}: write it with table.save"
                )
            about = json.loads(str(stored["about"]))
            space = Space.from_json(about.pop("space"))
            return cls(space, stored["units"], stored["curves"], seconds=stored["seconds"], answer=answer, **about)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the table as an .npz file: ``units``, ``curves``, ``seconds``, and JSON about space, mode, metric."""
        about = json.dumps({"space": self.space.to_json(), "mode": self.mode, "metric": self.metric})
        with open(path, "wb") as file:
            np.savez_compressed(file, about=about, units=self.units, curves=self.values, seconds=self.seconds)

    def __repr__(self) -> str:
        return f"Table({len(self.units)} trainings, {self.steps} steps, {len(self.space)} parameters, {self.answer})"

    @property
    def steps(self) -> int:
        """T, the steps of a full training."""
        return int(self.values.shape[1])

    def evaluate(self, params: Config, step: int) -> tuple[dict[str, float], float]:
        """Return the metric after a step, counted from 1, and the seconds it takes: for ``tw.executors.Simulated``.

        Raises:
            ValueError: the table has no such step.
        """
        if not 1 <= step <= self.steps:
            raise ValueError(
                f"the table expected a step from 1 to {self.steps}, got {step}: run with max_steps={self.steps}"
            )
        training = self.training(params)
        return {self.metric: float(training.values[step - 1])}, float(training.seconds[step - 1])

    def training(self, params: Config) -> Training:
        """Return the whole training of a configuration; the newest answers are remembered."""
        key = tuple(sorted(params.items()))
        found = self._trainings.get(key)
        if found is None:
            if len(self._trainings) >= _REMEMBERED:
                del self._trainings[next(iter(self._trainings))]
            found = self._trainings[key] = self.trainings(self.space.encode([dict(params)]))[0]
        return found

    def trainings(self, units: ArrayLike) -> list[Training]:
        """Return the trainings at coordinates in the unit cube, shape ``(m, d)``, NaN where one is not active."""
        places = np.asarray(units, dtype=np.float64)
        answer = self._near if self.answer == "nearest" else self._mean
        size = max(1, _AT_ONCE // self._places.size)
        return [found for begin in range(0, len(places), size) for found in answer(places[begin : begin + size])]

    def _near(self, places: Floats) -> list[Training]:
        rows = np.argmin(self._squares(np.nan_to_num(places, nan=-1.0), self._places).sum(axis=2), axis=1)
        return [Training(self.values[row], self.seconds[row], int(row)) for row in rows]

    def _mean(self, places: Floats) -> list[Training]:
        sign = 1.0 if self.mode == "min" else -1.0
        losses, seconds = self._smooth.answers(places[:, self._free])
        return [Training(sign * each, taken) for each, taken in zip(losses, seconds, strict=True)]

    @cached_property
    def _free(self) -> NDArray[np.int64]:
        """The coordinates that may vary."""
        return cube_of(self.space).free

    @cached_property
    def _smooth(self) -> Smooth:
        rows = np.unique(np.linspace(0, len(self.units) - 1, min(len(self.units), _MOST_ROWS)).astype(int))
        losses = self.values[rows] if self.mode == "min" else -self.values[rows]
        return Smooth.of(cube_of(self.space).columns, self.units[rows][:, self._free], losses, self.seconds[rows])

    @cached_property
    def _places(self) -> Floats:
        return np.nan_to_num(self.units, nan=-1.0)

    @cached_property
    def _categorical(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        return np.array([parameter.is_categorical for parameter in self.space.values()])

    def _squares(self, first: Floats, second: Floats) -> Floats:
        """Return squared distances in each coordinate, shape ``(m, n, d)``."""
        gaps = first[:, None, :] - second
        return np.asarray(np.where(self._categorical, (np.abs(gaps) > 1e-6) * 1.0, gaps**2))


def _coordinates(space: Space, rows: Sequence[Config] | ArrayLike) -> Floats:
    if isinstance(rows, Sequence) and rows and isinstance(rows[0], Mapping):
        return space.encode([space.check(config) for config in rows])  # type: ignore[arg-type]
    units = np.asarray(rows, dtype=np.float64)
    if units.ndim != 2 or not len(units) or units.shape[1] != len(space):
        raise ValueError(
            f"Table expected configurations, or their coordinates of shape (n, {len(space)}), got shape {units.shape}"
        )
    if np.nanmin(units, initial=0.0) < 0.0 or np.nanmax(units, initial=1.0) > 1.0:
        raise ValueError("Table expected coordinates from 0 to 1, got others: space.encode(configs) makes them")
    return units


def _checked_curves(
    curves: ArrayLike, lengths: ArrayLike | None, n: int
) -> tuple[Floats, np.ndarray[Any, np.dtype[np.int64]]]:
    given = np.asarray(curves, dtype=np.float64)
    if given.ndim != 2 or len(given) != n or not given.shape[1]:
        raise ValueError(f"Table expected curves of shape ({n}, steps), one row a configuration, got {given.shape}")
    recorded = np.full(n, given.shape[1]) if lengths is None else np.asarray(lengths, dtype=np.int64)
    if recorded.shape != (n,) or recorded.min() < 1 or recorded.max() > given.shape[1]:
        raise ValueError(f"Table expected {n} lengths from 1 to {given.shape[1]}, got {lengths!r}")
    return given, recorded


def _checked_seconds(seconds: ArrayLike, shape: tuple[int, ...]) -> Floats:
    given = np.asarray(seconds, dtype=np.float64)
    given = given[:, None] if given.shape == shape[:1] else given
    if given.shape not in ((), (shape[0], 1), shape):
        raise ValueError(f"Table expected seconds as a number or of shape {shape[:1]} or {shape}, got {given.shape}")
    if not np.isfinite(given).all() or given.min() < 0.0:
        raise ValueError("Table expected seconds from 0 on, got others: put 0 where a training had diverged")
    return np.broadcast_to(given, shape)

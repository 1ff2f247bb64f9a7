"""What hyperparameters usually do to a training: learnt from recorded tables, written to ``knowledge/effects.toml``.

In each table the normal scores of the losses, at the first step and at the end, are regressed on what all
hyperparameters whose names are known do, as :mod:`tunewell.numerics.trends` defines it: a slope and a bend, or a well
around the place where :mod:`tunewell.surrogate.usual` expects the best values, whose bottom other hyperparameters move.
Around that mean, told by the tables of other data, a process is fitted to the scores at the end, whose length scales
tell how much a little changes. What is written are the medians over tables, as if ranges were as wide as :data:`SPANS`
says.

``python -m benchmarks.fidelity.learn_effects`` writes what each table tells into ``results/effects.json``, and the file
and ``results/effects.md`` from that. The benchmark's method ``tunewell-auto-held-out`` searches a table not with
the file but with what the tables of other data teach.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from scipy.optimize import least_squares

import tunewell.knowledge as home
from benchmarks._common import RESULTS
from benchmarks.fidelity import tables
from benchmarks.search import tables as final
from tunewell.knowledge.effects import EFFECTS, UsualEffect
from tunewell.numerics import curves, gp, warps
from tunewell.numerics.trends import Effect, Trend, Well
from tunewell.parameters import Choice, Float, Parameter
from tunewell.space import Space
from tunewell.surrogate import usual
from tunewell.surrogate.cube import cube_of

Key: TypeAlias = tuple[str, str]
PAGE, TOLD = RESULTS / "effects.md", RESULTS / "effects.json"
KINDS = ("slope", "bend", "depth")
SPANS: Mapping[str, tuple[str, float]] = {
    "learning_rate": ("log", 5.0),
    "batch_size": ("log", 1.2),
    "hidden_units": ("log", 1.2),
    "embedding_size": ("log", 1.2),
    "layers": ("linear", 0.0),
    "dropout": ("linear", 0.6),
    "weight_decay": ("log", 5.0),
    "l2": ("log", 5.0),
    "momentum": ("reverse_log", 1.7),
    "epsilon": ("log", 10.0),
    "beta2": ("reverse_log", 3.0),
    "schedule": ("names", 0.0),
    "optimizer": ("names", 0.0),
}
"""What is learnt: the scales and ranges that effects are stated for, see :mod:`tunewell.knowledge.effects`."""
LIKE = {"channels": "hidden_units", "model_width": "hidden_units", "l1": "l2", "beta1": "momentum"}
"""What is learnt together, under the second name."""
ALIKE_BESIDE = {name: like for name, like in LIKE.items() if like == "hidden_units"}
"""The same of what moves wells: Adam divides by what its momentum makes of the gradients, so beta1 moves no rate."""
CODES = {
    "schedule": {"constant": -0.5, "const": -0.5, "fixed": -0.5, "none": -0.5}
    | dict.fromkeys(("step", "cosine", "linear", "polynomial", "exponential", "onecycle"), 0.5),
    "optimizer": dict.fromkeys(("sgd", "momentum", "nesterov"), -0.5)
    | dict.fromkeys(("adam", "adamw", "nadam", "rmsprop"), 0.5),
}
"""Of what is named by words: the numbers that stand for them; a learning rate that falls, and one for each weight."""
BESIDE = {"learning_rate": ("batch_size", "momentum", "hidden_units", "layers", "schedule", "optimizer")}
"""What has a well, and what is learnt to move its bottom."""
ALIKE_LENGTHS = {name: like for name, like in LIKE.items() if name != "beta1"}
BENT = ("weight_decay", "l2", "momentum", "epsilon")
"""Of these the middle is told from the ends; of the others only the ends from each other."""
TOWARDS_DEFAULT = {"learning_rate": 0.3}
KINDS_OF_NETWORKS = {"mlp": "MLPs here", "cnn": "CNNs here", "bag": "text here", "gru": "text here"}
NARROW = 1.0 / 3.0  # of the span: narrower ranges tell too little
RIDGE = 2.0  # in observations
DEPTH = 2.0  # of a well, to begin with
WIDTHS = (0.12, 0.18, usual.WIDTH, 0.3, 0.4, 2.0)  # the last is nearly a parabola
ROWS = 4000  # of a large table
GENERAL = curves.Law(shorter=0.0)
FITTED, EVALUATIONS = 200, 80  # rows that length scales are learnt from, and evaluations of their posterior
FROM_LOGS = ("layers", "num_cells", "dropout", "learning_rate", "batches", "context")  # the columns of DeepAR


@dataclass(frozen=True, eq=False)
class Seen:
    """A table: configurations in the unit cube, and the scores of their losses."""

    family: str
    source: str
    task: str
    space: Space
    units: np.ndarray
    ends: Mapping[int, np.ndarray]  # 0: after the first step, 1: at the end


def scores(losses: np.ndarray) -> np.ndarray:
    """Return the normal scores of losses; what is not finite is the worst."""
    return warps.scores(np.where(np.isfinite(losses), losses, np.inf))


@cache
def every() -> tuple[Seen, ...]:
    """Return all tables."""
    return (*_curves(), *_grids(), *_deepar())


def family(task: str) -> str:
    """Return which tables a table of learning curves is like: those of its file, or of its kind of network."""
    file, _, rest = task.partition("/")
    return file if rest else KINDS_OF_NETWORKS[task.rpartition("_")[2]]


def source(task: str) -> str:
    """Return where the data of a table of learning curves come from: a file, or the data set of what was recorded."""
    file, _, rest = task.partition("/")
    return file if rest else task.partition("_")[0]


def _curves() -> Iterator[Seen]:
    for name in tables.names():
        table = tables.load(name)
        sign = 1.0 if table.mode == "min" else -1.0
        last = table.curves[np.arange(len(table.curves)), table.lengths - 1]
        ends = {0: scores(sign * table.curves[:, 0]), 1: scores(sign * last)}
        yield Seen(family(name), source(name), name, table.space, table.units, ends)


def _grids() -> Iterator[Seen]:
    folder = final.folder()
    if folder is None:
        return
    for file, sign, column in (("fcnet_final.npz", 1.0, "val_loss"), ("hpobench_mlp_final.npz", -1.0, "val_acc")):
        for key in final.load(folder, file):
            task, _, what = key.partition("/")
            if what == column and task != "car":  # saturated
                grid = final.grid(folder, file, key, sign, 0.0)
                space = Space({name: _axis(name, values) for name, values in grid.values.items()})
                rows = np.random.default_rng(0).permutation(grid.rows.size)[:ROWS]
                places = np.unravel_index(rows, grid.rows.shape)
                units = (np.stack(places, axis=1) + 0.5) / np.array(grid.rows.shape)
                losses = np.nanmean(grid.losses, axis=1)[grid.rows[places]]
                yield Seen(*2 * (file.partition("_")[0],), task, space, units, {1: scores(losses)})


def _axis(name: str, values: Sequence[object]) -> Parameter:
    return Choice(list(values), ordered=name not in final.UNORDERED)


def _deepar() -> Iterator[Seen]:
    folder = final.folder()
    if folder is None:
        return
    stored = final.load(folder, "deepar.npz")
    for task in sorted({key.partition("/")[0] for key in stored if "/" in key}):
        logs = stored[f"{task}/configs"].astype(float)
        low, high = logs.min(axis=0), logs.max(axis=0)
        ends = zip(FROM_LOGS, np.exp(low), np.exp(high), strict=True)
        space = Space({name: Float(float(a), float(b), scale="log") for name, a, b in ends})
        yield Seen(
            "deepar",
            "deepar",
            task,
            space,
            (logs - low) / (high - low),
            {1: scores(stored[f"{task}/CRPS"].astype(float))},
        )


@dataclass(frozen=True)
class Told:
    """What one table tells.

    Attributes:
        family, source, task: of the table.
        effects: sizes at the first step and at the end, by the name and the kind of the effect, see :func:`measured`.
        lengths: log length scales by name, minus that of an unknown column.
    """

    family: str
    source: str
    task: str
    effects: Mapping[Key, tuple[float, float]]
    lengths: Mapping[str, float]


@cache
def told() -> tuple[Told, ...]:
    """Return what all tables tell, as it was written."""
    return tuple(
        Told(
            table["family"],
            table["source"],
            table["task"],
            {tuple(key.split(", ")): tuple(map(_number, ends)) for key, ends in table["effects"].items()},
            table["lengths"],
        )
        for table in json.loads(TOLD.read_text(encoding="utf-8"))
    )


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def tell() -> Iterator[dict[str, Any]]:
    """Yield what each table tells, to be written."""
    for seen in every():
        effects = {
            ", ".join(key): [None if np.isnan(end) else round(float(end), 3) for end in ends]
            for key, ends in measured(seen).items()
        }
        others = [
            Told(other.family, other.source, other.task, measured(other), {})
            for other in every()
            if not _same_data(seen.source, other.source, other.task)
        ]
        lengths = {name: round(length, 3) for name, length in lengths_of(seen, taught(others)).items()}
        print(seen.family, seen.task, lengths, flush=True)
        yield {"family": seen.family, "source": seen.source, "task": seen.task, "effects": effects, "lengths": lengths}


def lengths_of(seen: Seen, effects: Mapping[str, UsualEffect]) -> Mapping[str, float]:
    """Return the log length scales at the end of a training, as if ranges were as wide as stated, by name.

    They are those of a process around the mean that ``effects`` make, minus those of a column that nothing is known of.
    Columns of one name are averaged.
    """
    cube, rows = cube_of(seen.space), np.random.default_rng(0).permutation(len(seen.units))[:FITTED]
    units, ones = seen.units[rows][:, cube.free], np.ones(len(rows))
    columns = usual.columns_of(seen.space, effects)
    trend = usual.trend_from((), columns)
    evidence = curves.Evidence(
        cube.columns, units, ones, np.arange(len(rows)), seen.ends[1][rows], law=GENERAL, trend=trend
    )
    theta, _ = curves.fit(evidence, EVALUATIONS)
    away = theta[: len(cube.free)] - gp.prior(len(cube.free)).center[: len(cube.free)]
    found: dict[str, list[float]] = {}
    for column in columns:
        known = ALIKE_LENGTHS.get(column.called, column.called)
        much = 1.0 if column.codes else abs(column.strength)
        if much >= NARROW and column.on_its_scale:
            found.setdefault(known, []).append(float(away[column.place]) + np.log(much))
    return {name: float(np.mean(each)) for name, each in found.items()}


def known_columns(seen: Seen) -> list[usual.Column]:
    """Return the columns of a table whose names are known."""
    plain = {
        name: UsualEffect(*SPANS[name], towards_default=_towards(name), codes=CODES.get(name, {})) for name in SPANS
    }
    return usual.columns_of(seen.space, plain | {name: plain[like] for name, like in LIKE.items()})


def parts_of(columns: Sequence[usual.Column]) -> Iterator[tuple[Key, Effect]]:
    """Yield what scores are regressed on but wells: a name and a kind, and the effect of size 1."""
    for column in columns:
        known = LIKE.get(column.called, column.called)
        for kind in () if known in BESIDE else ("slope", "bend") if known in BENT else ("slope",):
            effect = replace(column, usual=replace(column.usual, **{kind: (1.0, 1.0)})).effect
            if effect is not None and max(*map(abs, effect.slope), *map(abs, effect.bend)) >= NARROW:
                yield (known, kind), effect


def wells_of(columns: Sequence[usual.Column]) -> Iterator[tuple[list[Key], Well]]:
    """Yield wells of depth 1 and what moves them by 1, with the names of all that."""
    for column in columns:
        if column.called in BESIDE and abs(column.strength) >= NARROW:
            others = [
                other
                for other in columns
                if _moving(other) in BESIDE[column.called] and (other.codes or abs(other.strength) >= NARROW)
            ]
            beside = {other.called: (1.0, 1.0) for other in others}
            found = replace(column, usual=replace(column.usual, depth=(1.0, 1.0), beside=beside)).well(others)
            if found is not None:
                names = {other.place: _moving(other) for other in others}
                keys = [(column.called, names[mover.column]) for mover in found.movers]
                yield [(column.called, "depth"), *keys], found


def _moving(column: usual.Column) -> str:
    """Return the name under which it is learnt what a column does to wells."""
    return ALIKE_BESIDE.get(column.called, column.called)


@dataclass(frozen=True, eq=False)
class Regression:
    """What the scores of a table are regressed on: effects of size 1, wells of depth 1, and what moves these by 1."""

    keys: Sequence[Key]
    units: np.ndarray
    design: np.ndarray  # the effects, (n, k)
    wells: Sequence[Well]

    @classmethod
    def of(cls, seen: Seen) -> Regression:
        """Return that of a table."""
        units, columns = seen.units[:, cube_of(seen.space).free], known_columns(seen)
        ones = np.ones(len(units))
        parts = [(key, Trend((effect,)).value(units, ones)) for key, effect in parts_of(columns)]
        parts = [(key, part) for key, part in parts if part.std() > 0.0]
        wells = list(wells_of(columns))
        design = np.stack([part for _, part in parts], axis=1) if parts else np.zeros((len(units), 0))
        keys = [key for key, _ in parts] + [key for names, _ in wells for key in names]
        return cls(keys, units, design, [well for _, well in wells])

    def fitted(self, numbers: np.ndarray) -> np.ndarray:
        """Return the scores that sizes, depths and shifts make, in the order of the keys."""
        ones, k = np.ones(len(self.units)), self.design.shape[1]
        total, rest = self.design @ numbers[:k], numbers[k:]
        for well in self.wells:
            size = 1 + len(well.movers)
            total, rest = total + _sized(well, rest[:size]).value(self.units, ones), rest[size:]
        return np.asarray(total)

    def solved(self, values: np.ndarray) -> np.ndarray:
        """Return the numbers that tell most of ``values``, each with a ridge of :data:`RIDGE` observations."""
        begin = [x for well in self.wells for x in (DEPTH, *[0.0] * len(well.movers))]
        start = np.array([0.0] * self.design.shape[1] + begin)
        steps = 1e-3 * np.eye(len(start))
        sizes = [(self.fitted(start + step) - self.fitted(start)).std() / 1e-3 for step in steps]
        ridge = np.sqrt(RIDGE) * np.array(sizes)

        def residuals(numbers: np.ndarray) -> np.ndarray:
            left = self.fitted(numbers) - values
            return np.concatenate([left - left.mean(), ridge * numbers])

        return np.asarray(least_squares(residuals, start).x)


@cache
def measured(seen: Seen) -> Mapping[Key, np.ndarray]:
    """Return what a table tells by name and kind, at the first step and at the end, shape ``(2,)``.

    A kind is one of :data:`KINDS`, or the name of another hyperparameter, of what moves a well. NaN is what the table
    does not tell. Columns of one name are averaged.
    """
    regression = Regression.of(seen)
    if not regression.keys:
        return {}
    told = np.full((len(regression.keys), 2), np.nan)
    for end, values in seen.ends.items():
        told[:, end] = regression.solved(values)
    found: dict[Key, list[np.ndarray]] = {}
    for key, numbers in zip(regression.keys, told, strict=True):
        found.setdefault(key, []).append(numbers)
    return {key: np.mean(each, axis=0) for key, each in found.items()}


def explained(width: float) -> float:
    """Return how much of the variance of scores at the end wells of a width tell, the mean over tables with wells."""
    found = []
    for seen in every():
        plain = Regression.of(seen)
        if plain.wells:
            wells = [replace(well, width=well.width * width / usual.WIDTH) for well in plain.wells]
            regression, values = replace(plain, wells=wells), seen.ends[1]
            left = values - regression.fitted(regression.solved(values))
            found.append(1.0 - left.var() / values.var())
    return float(np.mean(found))


def _sized(well: Well, numbers: np.ndarray) -> Well:
    """Return a well with another depth and other shifts, as many times those that it has."""
    depth, *shifts = map(float, numbers)
    movers = [
        replace(mover, shift=(shift * mover.shift[0], shift * mover.shift[1]))
        for mover, shift in zip(well.movers, shifts, strict=True)
    ]
    return replace(well, depth=(depth * well.depth[0], depth * well.depth[1]), movers=tuple(movers))


def _towards(called: str) -> float:
    return TOWARDS_DEFAULT.get(called, 0.0)


def of_family(which: str) -> Told:
    """Return the medians over the tables of a family."""
    tables = [table for table in told() if table.family == which]
    return Told(
        which, "", "", _medians([table.effects for table in tables]), _middle([table.lengths for table in tables])
    )


def _medians(each: Sequence[Mapping[Key, np.ndarray]]) -> dict[Key, np.ndarray]:
    """Return the medians over tables; NaN where none tells."""
    found = {}
    for key in sorted({key for told in each for key in told}):
        there = np.stack([told[key] for told in each if key in told])
        ends = [column[np.isfinite(column)] for column in there.T]
        found[key] = np.array([np.median(column) if len(column) else np.nan for column in ends])
    return found


def _middle(each: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the medians of lengths over tables."""
    names = sorted({name for lengths in each for name in lengths})
    return {name: float(np.median([lengths[name] for lengths in each if name in lengths])) for name in names}


@cache
def learnt(without: str = "") -> Mapping[str, UsualEffect]:
    """Return what all tables teach but those of one source, and those whose name says that its data are theirs.

    Their length scales were fitted around means that all but *their* data taught.
    """
    return taught([table for table in told() if not without or not _same_data(without, table.source, table.task)])


def _same_data(one: str, source: str, task: str) -> bool:
    return one == source or one in task.lower()


def taught(tables: Sequence[Told]) -> Mapping[str, UsualEffect]:
    """Return what some tables teach; what none of them has stays out."""
    medians = _medians([table.effects for table in tables])
    lengths = _middle([table.lengths for table in tables])
    found = {}
    for name in SPANS:
        pairs = {kind: medians[name, kind] for kind in KINDS if (name, kind) in medians}
        if pairs:
            numbers = {kind: _ends(pair) for kind, pair in pairs.items()}
            found[name] = UsualEffect(
                *SPANS[name],
                **numbers,
                towards_default=_towards(name),
                codes=CODES.get(name, {}),
                beside={other: _ends(medians[name, like]) for other, like in _beside(name) if (name, like) in medians},
            )
    found |= {name: found[like] for name, like in LIKE.items() if like in found}
    for name, effect in found.items():
        known = ALIKE_LENGTHS.get(name, name)
        found[name] = replace(effect, length=_short(lengths[known]) if known in lengths else None)
    return found


def _beside(name: str) -> list[tuple[str, str]]:
    """Return what moves the best value of a hyperparameter, each with the name under which that was learnt."""
    others = BESIDE.get(name, ())
    return [*((other, other) for other in others), *(pair for pair in ALIKE_BESIDE.items() if pair[1] in others)]


def _ends(pair: np.ndarray) -> tuple[float, float]:
    begun, last = pair
    return _short(last if np.isnan(begun) else begun), _short(last)


def _short(value: float) -> float:
    return round(float(value), 2) + 0.0  # no -0.0


def written(effects: Mapping[str, UsualEffect]) -> str:
    """Return the file."""
    lines = [
        "# What hyperparameters usually do to the score of a loss over their ranges; see effects.py beside this.",
        "# Written by python -m benchmarks.fidelity.learn_effects. Pairs are at the first step and at the end.",
    ]
    for name, effect in effects.items():
        lines += ["", f"[{name}]", f'scale = "{effect.scale}"', f"span = {effect.span}"]
        lines += [f"{kind} = {list(ends)}" for kind in KINDS if any(ends := getattr(effect, kind))]
        lines += [f"towards_default = {effect.towards_default}"] if effect.towards_default else []
        lines += [] if effect.length is None else [f"length = {effect.length}"]
        if effect.codes:
            lines += ["", f"[{name}.codes]", *(f"{word} = {code}" for word, code in effect.codes.items())]
        if effect.beside:
            lines += ["", f"[{name}.beside]", *(f"{other} = {list(ends)}" for other, ends in effect.beside.items())]
    return "\n".join(lines) + "\n"


def page() -> str:
    """Return the page: what each family says, and all together."""
    counts = Counter(table.family for table in told())
    medians = {which: of_family(which) for which in counts}
    lines = [
        "# What hyperparameters usually do",
        "",
        "`python -m benchmarks.fidelity.learn_effects`: for families of recorded tables the medians over their tables "
        "of slope, bend and depth at the end of a training (see `numerics/trends.py`), in normal scores over the range "
        "that the effect is stated for, and in the last column the medians over all tables, which are shipped. "
        "Negative slopes: the upper end is better. Positive bends: the middle is better. A depth is that of a well "
        "around a place three tenths of the way from the middle to the usual default; beside another name stands how "
        "far its bottom sinks, as a share of the range, while the other one rises through its own: negative where the "
        "best values rise together. Ranges narrower "
        "than a third of what is stated are left out. A log length is that of the length scale, over such a range, "
        "minus that of a column that nothing is known of: negative where little changes much.",
        "",
        "| | " + " | ".join(f"{which} ({n})" for which, n in counts.items()) + " | all |",
        "| --- | " + " | ".join("---:" for _ in counts) + " | ---: |",
    ]
    for name, kind in ((known, kind) for known in SPANS for kind in (*KINDS, *BESIDE.get(known, ()))):
        cells = [
            f"{each.effects[name, kind][1]:+.2f}" if (name, kind) in each.effects else "" for each in medians.values()
        ]
        if any(cells):
            last = (learnt()[name].beside[kind] if kind in BESIDE.get(name, ()) else getattr(learnt()[name], kind))[1]
            what = f"{name}, {kind}" if kind in KINDS else f"{name} × {kind}"
            lines.append(f"| {what} | " + " | ".join(cells) + f" | {last:+.2f} |")
    for name in [*SPANS, "beta1"]:
        cells = [f"{each.lengths[name]:+.1f}" if name in each.lengths else "" for each in medians.values()]
        if (length := learnt()[name].length) is not None:
            lines.append(f"| {name}, log length | " + " | ".join(cells) + f" | {length:+.1f} |")
    shares = ", ".join(f"{100.0 * explained(width):.1f} % with {width:g}" for width in WIDTHS)
    lines += [
        "",
        f"Of the variance of scores at the end, wells tell, by their width as a share of the range: {shares}, "
        "which is nearly a parabola.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Learn, write the file and the page."""
    file = Path(home.__file__).parent / EFFECTS
    TOLD.write_text(json.dumps(list(tell()), indent=1) + "\n", encoding="utf-8")
    file.write_text(written(learnt()), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")
    print(file.read_text(encoding="utf-8"), page(), sep="\n")


if __name__ == "__main__":
    main()

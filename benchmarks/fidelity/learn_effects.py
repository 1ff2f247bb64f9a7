"""What hyperparameters usually do to a training: learnt from recorded tables, written to ``knowledge/effects.toml``.

In each table the normal scores of the losses, at the first step and at the end, are regressed on the effects of all
hyperparameters whose names are known, as :mod:`tunewell.numerics.trends` defines them: a slope, and a bend around the
place where :mod:`tunewell.surrogate.usual` expects the best values. Coefficients are the medians over tables, as if
ranges were as wide as :data:`SPANS` says.

``python -m benchmarks.fidelity.learn_effects`` writes the file and ``results/effects.md``. The benchmark's method
``tunewell-freeze-thaw-held-out`` searches a table not with the file but with what the tables of other data teach.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

import tunewell.knowledge as home
from benchmarks._common import RESULTS
from benchmarks.fidelity import tables
from benchmarks.search import tables as final
from tunewell import knowledge
from tunewell.knowledge.effects import EFFECTS, UsualEffect
from tunewell.numerics import warps
from tunewell.numerics.trends import Trend
from tunewell.parameters import Choice, Float, Parameter
from tunewell.space import Space
from tunewell.surrogate.usual import effect_of
from tunewell.tiers import optimizer_of

PAGE = RESULTS / "effects.md"
KINDS = ("slope", "bend")
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
}
"""What is learnt: the scales and ranges that effects are stated for, see :mod:`tunewell.knowledge.effects`."""
LIKE = {"channels": "hidden_units", "model_width": "hidden_units", "l1": "l2", "beta1": "momentum"}
"""What is learnt together, under the second name."""
WELLS = ("learning_rate", "weight_decay", "l2", "momentum", "epsilon")
"""Of these the middle is told from the ends; of the others only the ends from each other."""
TOWARDS_DEFAULT = {"learning_rate": 0.3}
KINDS_OF_NETWORKS = {"mlp": "MLPs here", "cnn": "CNNs here", "bag": "text here", "gru": "text here"}
NARROW = 1.0 / 3.0  # of the span: narrower ranges tell too little
RIDGE = 2.0  # in observations
ROWS = 4000  # of a large table
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


@cache
def measured(seen: Seen) -> Mapping[tuple[str, str], np.ndarray]:
    """Return the slopes and bends of a table by name and kind, at the first step and at the end, shape ``(2,)``.

    NaN is what the table does not tell. Columns of one name are averaged.
    """
    parts: list[tuple[str, str, np.ndarray]] = []
    for place, (name, parameter) in enumerate(seen.space.items()):
        called = knowledge.find(name, ambiguous=True) or ""
        called = LIKE.get(called, called)
        if called in SPANS and not parameter.is_categorical:
            for kind in KINDS:
                if called in WELLS if kind == "bend" else called not in TOWARDS_DEFAULT:
                    alone = UsualEffect(*SPANS[called], **{kind: (1.0, 1.0)}, towards_default=_towards(called))
                    default = knowledge.explain(called, optimizer=optimizer_of(seen.space, "generic")).default.value
                    effect = effect_of(place, parameter, alone, default)
                    if effect is None or max(*map(abs, effect.slope), *map(abs, effect.bend)) < NARROW:
                        continue
                    part = Trend((effect,))
                    parts.append((called, kind, part.value(seen.units, np.ones(len(seen.units)))))
    parts = [part for part in parts if part[2].std() > 0.0]
    if not parts:
        return {}
    design = np.stack([part for _, _, part in parts], axis=1)
    gram = design.T @ design + RIDGE * np.diag((design**2).mean(axis=0))
    told = np.full((len(parts), 2), np.nan)
    for end, values in seen.ends.items():
        told[:, end] = np.linalg.solve(gram, design.T @ values)
    found: dict[tuple[str, str], list[np.ndarray]] = {}
    for (called, kind, _), numbers in zip(parts, told, strict=True):
        found.setdefault((called, kind), []).append(numbers)
    return {key: np.mean(each, axis=0) for key, each in found.items()}


def _towards(called: str) -> float:
    return TOWARDS_DEFAULT.get(called, 0.0)


def of_family(which: str) -> Mapping[tuple[str, str], np.ndarray]:
    """Return the medians over the tables of a family."""
    return _medians([measured(seen) for seen in every() if seen.family == which])


def _medians(each: Sequence[Mapping[tuple[str, str], np.ndarray]]) -> dict[tuple[str, str], np.ndarray]:
    """Return the medians over tables; NaN where none tells."""
    found = {}
    for key in sorted({key for told in each for key in told}):
        there = np.stack([told[key] for told in each if key in told])
        ends = [column[np.isfinite(column)] for column in there.T]
        found[key] = np.array([np.median(column) if len(column) else np.nan for column in ends])
    return found


def families() -> list[str]:
    """Return the families of tables there are."""
    return list(dict.fromkeys(seen.family for seen in every()))


@cache
def learnt(without: str = "") -> Mapping[str, UsualEffect]:
    """Return what all tables teach but those of one source; what none of the others has stays out."""
    medians = _medians([measured(seen) for seen in every() if seen.source != without])
    found = {}
    for name in SPANS:
        pairs = {kind: medians[name, kind] for kind in KINDS if (name, kind) in medians}
        if pairs:
            numbers = {
                kind: (_short(last if np.isnan(begun) else begun), _short(last))
                for kind, (begun, last) in pairs.items()
            }
            found[name] = UsualEffect(*SPANS[name], **numbers, towards_default=_towards(name))
    return found | {name: found[like] for name, like in LIKE.items() if like in found}


def _short(value: float) -> float:
    return round(float(value), 1) + 0.0  # no -0.0


def written(effects: Mapping[str, UsualEffect]) -> str:
    """Return the file."""
    lines = [
        "# What hyperparameters usually do to the score of a loss over their ranges; see effects.py beside this.",
        "# Written by python -m benchmarks.fidelity.learn_effects. Pairs are at the first step and at the end.",
    ]
    for name, effect in effects.items():
        lines += [
            "",
            f"[{name}]",
            f'scale = "{effect.scale}"',
            f"span = {effect.span}",
            f"slope = {list(effect.slope)}",
        ]
        lines += [f"bend = {list(effect.bend)}", f"towards_default = {effect.towards_default}"]
    return "\n".join(lines) + "\n"


def page() -> str:
    """Return the page: what each family says, and all together."""
    counts = {which: sum(seen.family == which for seen in every()) for which in families()}
    told = {which: of_family(which) for which in counts}
    lines = [
        "# What hyperparameters usually do",
        "",
        "`python -m benchmarks.fidelity.learn_effects`: for families of recorded tables the medians over their tables "
        "of slope and bend at the end of a training (see `numerics/trends.py`), in normal scores over the range that "
        "the effect is stated for, and in the last column the medians over all tables, which are shipped. Negative "
        "slopes: the upper end is better. Positive bends: the middle is better, of learning rates a place three tenths "
        "of the way from there to the usual default. Ranges narrower than a third of what is stated are left out.",
        "",
        "| | " + " | ".join(f"{which} ({n})" for which, n in counts.items()) + " | all |",
        "| --- | " + " | ".join("---:" for _ in counts) + " | ---: |",
    ]
    for name, kind in ((name, kind) for name in SPANS for kind in KINDS):
        cells = [f"{each[name, kind][1]:+.1f}" if (name, kind) in each else "" for each in told.values()]
        if any(cells):
            lines.append(f"| {name}, {kind} | " + " | ".join(cells) + f" | {getattr(learnt()[name], kind)[1]:+.1f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Learn, write the file and the page."""
    file = Path(home.__file__).parent / EFFECTS
    file.write_text(written(learnt()), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")
    print(file.read_text(encoding="utf-8"), page(), sep="\n")


if __name__ == "__main__":
    main()

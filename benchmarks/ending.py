"""What the probability by which ``Worthwhile`` ends a study is worth: how often is a gain left where it says so?

``python -m benchmarks.ending`` writes ``results/ending.md`` in some twenty minutes; ``--quick`` looks at two instances.
Surfaces are drawn anew by every seed. Those of ``benchmarks.search`` have a known minimum; that of the others is
searched for with 130,000 evaluations.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

import tunewell as tw
from benchmarks._common import RESULTS, SCRATCH
from benchmarks.search import synthetic
from benchmarks.search.instances import Instance, Params, generator

Surface = Callable[[np.ndarray], np.ndarray]  # of points in the unit cube, (n, d) -> (n,)
FIRST_SEED, SEEDS, TRIALS, EVERY, PROBABILITY = 300, 10, 60, 3, 0.05
SHARES = (0.01, 0.1)  # of what the search has gained: without noise, with noise
EDGES = (0.0, 0.01, 0.05, 0.1, 0.3, 1.01)
HEAD = """# When a study ends

`python -m benchmarks.ending`: {seeds} instances of each surface from seed {first}, {trials} trials each with the
default sampler. After every third trial `Worthwhile` is asked for the probability of a gain of 1 % of what the search
has gained so far, of 10 % under noise. *Left* says how often such a gain was in truth left between the best trial and
the minimum of the surface. *Found* says how often one of the trials up to the last one brought it.

## Where it ends a study

| surface | ended | trials, median | stated | left | found |
| --- | ---: | ---: | ---: | ---: | ---: |
"""
STATED = """
## Whatever it states

How often a gain was left, by what was stated, and how many statements there were.

"""


@dataclass(frozen=True)
class Stated:
    """What was stated after so many trials: the probability, whether a gain was left, whether it was found."""

    trials: int
    probability: float
    left: bool
    found: bool


def bowl(rng: np.random.Generator, d: int) -> Surface:
    """Return a quadratic bowl, steeper along some axes."""
    centre, steep = rng.uniform(0.1, 0.9, d), rng.lognormal(0.0, 0.7, d)
    return lambda u: ((u - centre) ** 2) @ steep


def waves(rng: np.random.Generator, d: int) -> Surface:
    """Return a draw from a process, by 300 random cosines; its length scale is drawn, too."""
    length = rng.choice([0.25, 0.5, 1.0])
    turns, shifts = rng.standard_t(5, (300, d)) / length, rng.uniform(0.0, 2.0 * np.pi, 300)
    heights = rng.standard_normal(300) * np.sqrt(2.0 / 300)
    return lambda u: np.cos(u @ turns.T + shifts) @ heights


def ripples(rng: np.random.Generator, d: int) -> Surface:
    """Return a cone with many small valleys on it."""
    centre, steep, small = rng.uniform(0.1, 0.9, d), rng.lognormal(0.0, 1.0, d), waves(rng, d)
    return lambda u: 3.0 * np.sqrt((((u - centre) * steep) ** 2).sum(axis=1) + 0.01) + 0.3 * small(u)


def wells(rng: np.random.Generator, d: int) -> Surface:
    """Return a plain with two to five wells of different depths and widths."""
    count = int(rng.integers(2, 6))
    centres, widths = rng.uniform(0.1, 0.9, (count, d)), rng.uniform(0.12, 0.4, (count, d))
    depths = rng.uniform(0.6, 1.0, count)
    return lambda u: 1.0 - (depths * np.exp(-0.5 * (((u[:, None] - centres) / widths) ** 2).sum(axis=2))).max(axis=1)


def stairs(rng: np.random.Generator, d: int) -> Surface:
    """Return waves on a bowl that only take some twenty values."""
    small, large = waves(rng, d), bowl(rng, d)
    return lambda u: np.floor(6.0 * (small(u) + 2.0 * large(u))) / 6.0


def instance(
    make: Callable[[np.random.Generator, int], Surface], d: int, noise: float = 0.0
) -> Callable[[int], Instance]:
    """Return the instances of a surface over ``d`` axes; ``noise`` is a share of its standard deviation."""

    def made(seed: int) -> Instance:
        surface = make(generator(seed), d)
        units = np.random.default_rng(0).random((70_000, d))
        values = surface(units)
        rng, reach, spread = np.random.default_rng(1), 0.08, float(values.std())
        for _ in range(50):
            best = units[np.argsort(values)[:30]]
            units = np.concatenate(
                [best, np.clip(np.repeat(best, 40, 0) + rng.normal(0.0, reach, (1200, d)), 0.0, 1.0)]
            )
            values, reach = surface(units), 0.86 * reach

        def truth(params: Params) -> float:
            return float(surface(synthetic.vector(params, d)[None])[0])

        found = synthetic.point(units[int(np.argmin(values))])
        return Instance(synthetic.box(d, 0.0, 1.0), truth, float(values.min()), noise * spread, found)

    return made


SURFACES: dict[str, Callable[[int], Instance]] = {
    "a bowl, 4 axes": instance(bowl, 4),
    "a bowl, 3 axes, noise": instance(bowl, 3, 0.05),
    "Branin, 3 equal valleys": synthetic.MAKERS["branin"],
    "Hartmann, 6 axes": synthetic.MAKERS["hartmann6"],
    "waves, 3 axes": instance(waves, 3),
    "waves, 2 axes, noise": instance(waves, 2, 0.1),
    "stairs, 3 axes": instance(stairs, 3),
    "wells, 3 axes": instance(wells, 3),
    "ripples, 4 axes": instance(ripples, 4),
}


def course(made: Instance, seed: int) -> list[Stated]:
    """Run a study; return all that was stated on the way."""
    scheduler, rng = tw.schedulers.Worthwhile(share=SHARES[made.noise > 0.0]), generator(seed)
    study = tw.Study(made.space, metric="loss", seed=seed, default_first=False)
    truths: list[float] = []
    said: list[tuple[int, float, float, float]] = []
    for number in range(1, TRIALS + 1):
        trial = study.ask()
        truths.append(made.truth(trial.params))
        study.tell(trial, made.evaluate(trial.params, rng))
        outlook = scheduler.outlook(made.space, study.history) if number % EVERY == 0 else None
        if outlook is not None:
            said.append((number, outlook.probability, truths[study.best.number], outlook.gain))
    return [
        Stated(n, chance, made.optimum < best - gain, min(truths[n:], default=np.inf) < best - gain)
        for n, chance, best, gain in said
    ]


def percent(values: Iterable[float]) -> str:
    """Return a mean in words."""
    known = list(values)
    mean = 100.0 * float(np.mean(known or [0.0]))
    return (f"{mean:.2g} %" if mean < 99.5 else "100 %") if known else "–"


def page(seeds: int) -> str:
    """Return the page."""
    text, rows = HEAD.format(seeds=seeds, first=FIRST_SEED, trials=TRIALS), []
    for name, make in SURFACES.items():
        courses = [course(make(seed), seed) for seed in range(FIRST_SEED, FIRST_SEED + seeds)]
        ends = [next((each for each in said if each.probability < PROBABILITY), None) for said in courses]
        ended = [each for each in ends if each is not None]
        when = np.median([np.inf if each is None else each.trials for each in ends])
        shares = (percent(getattr(e, field) for e in ended) for field in ("probability", "left", "found"))
        cells = [name, f"{len(ended)} of {seeds}", f"{when:g}" if when < np.inf else f"> {TRIALS}", *shares]
        text += f"| {' | '.join(cells)} |\n"
        said = [each for one in courses for each in one]
        groups = [[s for s in said if low <= s.probability < high] for low, high in pairwise(EDGES)]
        rows.append([name, *(f"{percent(s.left for s in group)} of {len(group)}" for group in groups)])
        print(text.splitlines()[-1], rows[-1], flush=True)
    heads = [
        "surface",
        *(f"{100 * low:g} to {100 * min(high, 1):g} %" for low, high in pairwise(EDGES)),
    ]
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return text + STATED + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ending", description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--quick", action="store_true", help="two instances each; write to build/")
    quick = parser.parse_args().quick
    folder = SCRATCH if quick else RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ending.md").write_text(page(2 if quick else SEEDS), encoding="utf-8")


if __name__ == "__main__":
    main()

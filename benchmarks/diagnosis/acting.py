"""Does it help the search to act on diagnoses? ``python -m benchmarks.diagnosis.acting`` replays recorded trainings.

The networks of ``fidelity/recorded`` answer from their nearest recorded configuration, on a virtual clock. Their
learning rates may be ten times as high as recorded ones, as in a first range that is too wide; what trains there
explodes, which is made up. Compared is the best validation loss after so many trials, as a factor over
the best of the table, for each choice of ``diagnosis``.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

import tunewell as tw
from benchmarks._common import RESULTS, SCRATCH, markdown
from benchmarks.fidelity.record import RECORDED

CHOICES = ("off", "stop", "act")
AFTER = (8, 12, 16, 20)
WIDER = 10.0

HEAD = """# Acting on diagnoses

`python -m benchmarks.diagnosis.acting --sampler {sampler}`: {tasks} recorded tasks, {seeds} seeds, whole trainings,
learning rates up to {wider} times the recorded range (beyond which curves explode: made up, not recorded). Mean of
log(best validation loss / best of the table), at most 3, after so many trials, with its standard error; and the steps
trained.

"""


@cache
def stored(task: str) -> tuple[tw.Space, tw.Space, dict[str, np.ndarray]]:
    """Return the space of a task, the wider one that is searched, and its curves."""
    with np.load(RECORDED / f"{task}.npz") as file:
        arrays = {name: file[name].astype(float) for name in ("units", "train_loss", "val_loss", "seconds")}
        space = tw.Space.from_json(json.loads(str(file["meta"]))["space"])
    rate: Any = space["learning_rate"]
    return space, tw.Space({**space, "learning_rate": replace(rate, high=rate.high * WIDER)}), arrays


def evaluate(task: str, params: Any, step: int) -> tuple[dict[str, float], float]:
    """Return what the nearest recorded training measured after a step; beyond the range, what explodes."""
    space, _, arrays = stored(task)
    rate: Any = space["learning_rate"]
    beyond = params["learning_rate"] > rate.high
    inside = {**params, "learning_rate": min(params["learning_rate"], rate.high)}
    row = int(np.square(arrays["units"] - space.encode([inside])[0]).sum(axis=1).argmin())
    train, val = arrays["train_loss"], arrays["val_loss"]
    if beyond:  # a curve that explodes, as those of higher rates do
        return {"train_loss": train[row, 0] * 3.0**step, "val_loss": val[row, 0] * 3.0**step}, 1.0
    return {"train_loss": train[row, step - 1], "val_loss": val[row, step - 1]}, 1.0


def search(task: str, diagnosis: Any, sampler: str, seed: int) -> tuple[list[float], int]:
    """Return the best loss after :data:`AFTER` trials, over the best of the table, and the steps of all."""
    _, wide, arrays = stored(task)
    study = tw.Study(
        wide, "val_loss", sampler=sampler, scheduler="fifo", seed=seed, diagnosis=diagnosis, default_first=False
    )
    executor = tw.executors.Simulated(lambda params, step: evaluate(task, params, step), workers=1)
    study.run(executor=executor, trials=AFTER[-1], max_steps=arrays["val_loss"].shape[1], progress=False)
    values = [trial.value if trial.observed and trial.value is not None else np.inf for trial in study.trials]
    least = float(np.nanmin(arrays["val_loss"][:, -1]))
    return [float(np.log(min(values[:n]) / least)) for n in AFTER], study.history.steps_done


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.diagnosis.acting")
    parser.add_argument("--quick", action="store_true", help="one seed; write to build/")
    parser.add_argument("--sampler", default="tpe")
    given = parser.parse_args()
    tasks = sorted(path.stem for path in RECORDED.glob("*.npz"))
    seeds = range(1 if given.quick else 10)
    rows = []
    for choice in CHOICES:
        found = [search(task, choice, given.sampler, seed) for task in tasks for seed in seeds]
        logs = np.array([np.minimum(one, 3.0) for one, _ in found])
        spread = logs.std(axis=0) / np.sqrt(len(logs))
        rows.append([choice, *(f"{m:.3f} ± {s:.3f}" for m, s in zip(logs.mean(axis=0), spread, strict=True)),
                     f"{np.mean([steps for _, steps in found]):.0f}"])  # fmt: skip
        print(rows[-1], flush=True)
    head = HEAD.format(sampler=given.sampler, tasks=len(tasks), seeds=len(seeds), wider=f"{WIDER:g}")
    text = head + markdown(["diagnosis", *(f"{n} trials" for n in AFTER), "steps"], rows) + "\n"
    folder = SCRATCH if given.quick else RESULTS
    (folder / "diagnosis_acting.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()

"""The everyday path, from `tunewell init` to the report: what image.py, tabular.py and text.py have in common.

Baseline, learning rate, next tier, regularisation if it overfits, confirmation with several seeds, when to come back.
docs/everyday.md explains it. Each stage is a study of its own over a part of the space that `tunewell init` wrote; what
a stage found is where the next one starts.
"""

import dataclasses
import importlib
import statistics
import subprocess
import sys
from pathlib import Path

from scipy import stats

import tunewell as tw
from tunewell.analysis.report import write_report

RATE, REGULARISERS = "learning_rate", ("dropout", "weight_decay", "l2")
OVERFITS = 0.3  # the share of the validation loss by which the training loss is lower


def write_study_file(task, framework, trials, folder):
    """Let `tunewell init` write study.py into a folder, and return it as a module."""
    command = [sys.executable, "-m", "tunewell.cli", "init", "--yes", "--task", task, "--framework", framework]
    options = ["--trials", str(trials), "--workers", "1", "--output", str(folder / "study.py")]
    subprocess.run([*command, *options], check=True)
    sys.path.insert(0, str(folder))
    return importlib.import_module("study")


def stage(file, name, names, found, trials, executor):
    """Search some parameters, starting from what is found so far."""
    started = {}
    for parameter in names:
        best = found[parameter]
        prior = None if file.space[parameter].is_categorical else tw.Prior(best, "medium")
        started[parameter] = dataclasses.replace(file.space[parameter], default=best, prior=prior)

    def train(trial):
        return file.fit(trial, {**found, **trial.params}, trial.seed, "validation")

    study = tw.Study(tw.Space(started), file.METRIC, file.MODE, name=name, storage=file.STORAGE, seed=0)
    taken = tw.fingerprint(file.parts()["train"], file.network(), batch_size=found["batch_size"], steps=file.EPOCHS)
    study.run(train, trials=trials, workers=1, executor=executor, fingerprint=taken, progress=False)
    return study


def at_an_end(space, found):
    """Say which of the values found lie at an end of their range: there the best may lie beyond."""
    ordered = [name for name in space if not space[name].is_categorical]
    ends = [name for name in ordered if found[name] in (space[name].grid(2)[0], space[name].grid(2)[-1])]
    return f"; at an end of its range: {', '.join(ends)}" if ends else ""


def walk(task, framework, scale=1.0, seeds=5, executor="inline"):
    """Walk the whole path in the current folder; ``scale`` makes every stage shorter or longer.

    Trainings of a few seconds run in this process, ``"inline"``; longer ones want ``"processes"``, the usual.
    """
    file = write_study_file(task, framework, trials=30, folder=Path.cwd())
    default = found = {**file.fixed, **file.space.default()}
    kept = None  # the study that has what was found

    def ahead(study):
        gained = kept.best.value - study.best.value
        return gained > 0 if file.MODE == "min" else gained < 0

    def trials(usual):
        return max(2, round(scale * usual))

    def told(stage, study, text):
        number, first = len(study.trials), study.trials[0].value  # the first is what was found so far, another seed
        counted = "1 trial" if number == 1 else f"{number} trials, {first:.4f} the first"
        if kept is not study:
            text = f"no better than {kept.best.value:.4f} before, which stays"
        ends = at_an_end(study.space, study.best.params)
        print(f"{stage:<10} {file.METRIC} {study.best.value:.4f} after {counted}: {text}{ends}", flush=True)

    def searched(name, names, usual):
        """Go through a stage; what it found counts only where it is better than before."""
        nonlocal kept, found
        study = stage(file, name, names, found, trials(usual), executor)
        if ahead(study):
            kept, found = study, {**found, **study.best.params}
        return study

    kept = baseline = stage(file, "1 baseline", [RATE], found, 1, executor)
    told("baseline", baseline, "the default configuration")

    study = searched("2 learning rate", [RATE], 8)
    told("rate", study, f"learning_rate {default[RATE]:.3g} -> {found[RATE]:.3g}")

    second = [name for name in file.space if name not in REGULARISERS]
    study = searched("3 next tier", second, 15)
    told("next tier", study, ", ".join(f"{name} {found[name]:.3g}" for name in second))

    gap = file.overfits(kept.best)
    regularisers = [name for name in file.space if name in REGULARISERS]
    if gap > OVERFITS and regularisers:
        study = searched("4 regularise", [RATE, *regularisers], 12)
        values = ", ".join(f"{name} {found[name]:.3g}" for name in [RATE, *regularisers])
        told("regularise", study, f"{values}; the training loss was {100 * gap:.0f} % lower than the validation loss")
    else:
        print(f"regularise not needed: the training loss is {100 * gap:.0f} % lower than the validation loss")

    gains = file.confirm({name: found[name] for name in file.space}, range(1, seeds + 1), workers=1, executor=executor)
    mean, reach = statistics.mean(gains), stats.t.ppf(0.975, seeds - 1) * stats.sem(gains)  # 95 % of the intervals hold
    better = -mean if file.MODE == "min" else mean
    verdict = "better" if better > reach else "worse" if better < -reach else "not clearly better"
    advice = "" if verdict == "better" else ": keep the default"
    metric = file.METRIC.replace("val", "test")
    print(f"confirm    {metric} {mean:+.4f} ± {reach:.4f} with {seeds} seeds: {verdict} than the default{advice}")
    if verdict != "better":
        kept, found = baseline, default

    print(f"report     {write_report(study.history, 'report.html')}, of the last search; all searches: tunewell ls")

    examples = len(file.parts()["train"][1])
    print("come back  when? In a year there may be three times as many examples, in batches four times as large:")
    later = tw.fingerprint(3 * examples, file.network(), batch_size=4 * found["batch_size"], steps=file.EPOCHS)
    print(kept.retune(later))
    return found

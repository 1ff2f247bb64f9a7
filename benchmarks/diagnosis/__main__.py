"""What the diagnosis is worth on families it was not learnt from: ``python -m benchmarks.diagnosis``.

Writes ``results/diagnosis.md`` and the same numbers as ``diagnosis.json``. The labelled set is recorded (see
``record.py``); what the advice comes to is trained anew where it is not among the rows yet, which needs PyTorch and
``TUNEWELL_TABLES``.
"""

from __future__ import annotations

import argparse
import collections
import importlib.metadata
import itertools
import json
import platform
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks._common import RESULTS, SCRATCH, markdown
from benchmarks.diagnosis import live
from benchmarks.diagnosis.advice import Outcome, outcomes
from benchmarks.diagnosis.copies import curves_of, params_of
from benchmarks.diagnosis.families import FAMILIES
from benchmarks.diagnosis.labels import Row, finite, learnt_in_the_end
from benchmarks.diagnosis.learn import set_of
from benchmarks.diagnosis.plan import VARIANTS
from benchmarks.diagnosis.record import assemble, recorded, run_of
from tunewell.analysis.diagnosis import Diagnosis
from tunewell.analysis.diagnosis.diagnosing import diagnosed
from tunewell.analysis.diagnosis.judge import PATTERNS, judge, told
from tunewell.analysis.diagnosis.labels import Label

SILENT = tuple(label.value for label in Label if not label.ill)
MANY = 18
CIRCUMSTANCES = {variant: f"*{variant or 'plain'}*" for variant in VARIANTS} | {"four": "these four", "own": "*own*"}
SHARES = (0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0)
Labelled = Sequence[tuple[Row, str]]

HEAD = """# Diagnosis of training curves

`python -m benchmarks.diagnosis`, after `python -m benchmarks.diagnosis.record` and `python -m
benchmarks.diagnosis.learn`: {versions}; seeds 0 to 3. {n} small networks were really trained, with 8 to 60 reports;
{labelled} of them have a label that is confirmed by what the diagnosis never sees (other trainings of the same family,
losses on test rows), the others lie between two labels and are left out. {learnt} trainings of {dev} families are
learnt from; everything below is measured on the {held} of the {out} families held out, network and data together:
{names}. They are trained in *plain* circumstances (360 steps, 24 reports), *brief* (120 steps with warm-up and cosine,
10 reports), *small* (three tenths of the rows, 240 steps, 8 reports) and with a *staircase* of rates (up to 1,080
steps, 54 reports). {drawn} families, {drawn_held} of them held out, have circumstances of their *own*, drawn by their
names: optimizer, batch size, schedule, regularisation, 120 to 600 steps and 8 to 60 reports.
"""


def said_of(row: Row, share: float = 1.0, pattern: str = "all", params: bool = True) -> list[Diagnosis]:
    """Return the diagnoses of a training up to a share of its steps, with its hyperparameters or without."""
    return diagnosed(curves_of(row, PATTERNS[pattern], share), params_of(run_of(row)) if params else {})


def guessed(row: Row) -> str:
    """Return the most probable label of a training, also where its diagnosis is that nothing is certain."""
    said = said_of(row)[0]
    if said.label is not Label.UNCERTAIN:
        return said.code
    probable = judge().probabilities(told(curves_of(row), params_of(run_of(row))))
    return max(probable, key=lambda label: probable[label])


def confusion(held: Labelled) -> tuple[str, dict[str, Any]]:
    """Return the table of true against named labels, and per label how often it is right."""
    labels = [label.value for label in Label if label not in (Label.TOO_EARLY, Label.UNCERTAIN)]
    table = collections.Counter((truth, said_of(row)[0].code) for row, truth in held)
    named = [*labels, "too-early", "uncertain"]
    rows = [[truth, *(table[truth, code] or "" for code in named)] for truth in labels]
    per = []
    for label in labels:
        true = sum(n for (t, _), n in table.items() if t == label)
        said = sum(n for (_, c), n in table.items() if c == label)
        hit = table[label, label]
        per.append([label, true, said, hit, _share(hit, true), _share(hit, said)])
    right = sum(table[label, label] for label in labels)
    healthy = sum(n for (t, _), n in table.items() if t == "healthy")
    false = healthy - sum(table["healthy", code] for code in SILENT)
    unsure = sum(n for (_, code), n in table.items() if code == "uncertain")
    numbers = {"n": len(held), "right": right, "healthy": healthy, "false_alarms": false, "uncertain": unsure,
               "right_or_second": sum(truth in [d.code for d in said_of(row)] for row, truth in held),
               "right_guess": sum(guessed(row) == truth for row, truth in held)}  # fmt: skip
    text = "\n\n".join(
        [
            f"**{numbers['right_guess'] / len(held):.1%} right**: of {numbers['right_guess']} of {len(held)} trainings "
            "the most probable label is the true one (target 90 %). Where nothing is certain enough the diagnosis says "
            f"so ({_share(unsure, len(held))}); counted as wrong, {right / len(held):.1%} are named rightly ({right}). "
            f"**{false / healthy:.1%} false alarms** on healthy trainings ({false} of {healthy}; target 2 %). "
            f"In {_share(numbers['right_or_second'], len(held))} the true label is named, first or second.",
            "## True (rows) and named (columns)",
            markdown(["true", *named], rows),
            "## Per label",
            markdown(["label", "true", "named", "both", "found", "of the named are true"], per),
        ]
    )
    return text, numbers


def by_family(held: Labelled) -> str:
    """Return how often each family, and each variant of the circumstances, is right."""
    found: dict[str, list[tuple[str, str]]] = collections.defaultdict(list)
    for row, truth in held:
        pair = said_of(row)[0].code, truth
        found[run_of(row).family].append(pair)
        own = bool(FAMILIES[run_of(row).family].usual)
        for circumstances in ("own",) if own else (run_of(row).variant, "four"):
            found[CIRCUMSTANCES[circumstances]].append(pair)
    order = [*(name for name in found if name not in CIRCUMSTANCES.values()), *CIRCUMSTANCES.values()]
    return markdown(
        ["family or circumstances", "labelled", "right", "healthy", "false alarms"],
        [[name, len(pairs), _share(sum(c == t for c, t in pairs), len(pairs)), *_alarms(pairs)]
         for name in order if (pairs := found.get(name))],
    )  # fmt: skip


def _alarms(pairs: Sequence[tuple[str, str]]) -> tuple[int, str]:
    """Return how many are healthy, and the share of them that is called ill; of pairs of said and true."""
    well = [code for code, truth in pairs if truth == "healthy"]
    return len(well), _share(sum(code not in SILENT for code in well), len(well))


def dead(held: Labelled) -> str:
    """Return what is said of trainings that ended no better than guessing."""
    rows = []
    guessing = [row for row, truth in held if truth != "healthy" and finite(row) and not learnt_in_the_end(row)]
    for pattern, params in (("all", True), ("all", False), ("losses", True), ("losses", False)):
        codes = [said_of(row, 1.0, pattern, params)[0].code for row in guessing]
        counts = [sum(code == one for code in codes) for one in ("healthy", "uncertain")]
        rows.append([", ".join(PATTERNS[pattern]) + ("; hyperparameters" if params else ""), len(codes),
                     len(codes) - sum(counts), *reversed(counts)])  # fmt: skip
    return DEAD + "\n\n" + markdown(["what is known", "trainings", "a fault is named", "uncertain", "healthy"], rows)


def by_curves(held: Labelled) -> str:
    """Return how much each set of curves tells, with hyperparameters and without."""
    rows = []
    for (pattern, roles), params in itertools.product(PATTERNS.items(), (True, False)):
        able = [(row, truth) for row, truth in held if any(not np.isnan(row[role]).all() for role in roles)]
        codes = [(said_of(row, 1.0, pattern, params)[0].code, truth) for row, truth in able]
        hit = sum(code == truth for code, truth in codes)
        known = ", ".join(roles) + ("; hyperparameters" if params else "")
        rows.append([known, len(able), _share(hit, len(able)), _alarms(codes)[1]])
    return markdown(["what is reported", "trainings", "right", "false alarms"], rows)


def early(held: Labelled) -> str:
    """Return how often the diagnosis is right after a share of the steps, and how often healthy ones are called ill.

    Of trainings with as many reports as most of them have, so that a quarter of them can be judged at all.
    """
    held = [(row, truth) for row, truth in held if run_of(row).reports >= MANY]
    ill = [(row, truth) for row, truth in held if truth != "healthy"]
    well = [(row, truth) for row, truth in held if truth == "healthy"]
    rows = []
    for share in SHARES:
        codes = [(said_of(row, share)[0].code, truth) for row, truth in ill]
        hit, silent = sum(c == t for c, t in codes), sum(c in SILENT for c, _ in codes)
        false = sum(said_of(row, share)[0].label.ill for row, _ in well)
        rows.append([f"{share:.1%}", _share(hit, len(ill)), _share(silent, len(ill)),
                     _share(hit, len(ill) - silent), _share(false, len(well))])  # fmt: skip
    heads = [
        "share of the steps",
        "ill: named rightly",
        "ill: nothing named",
        "right where something is",
        "false alarms",
    ]
    return markdown(heads, rows)


def calibration(held: Labelled) -> str:
    """Return how often a diagnosis of each confidence is right; "uncertain" claims nothing."""
    firsts = [(said_of(row)[0], truth) for row, truth in held]
    found = [(one.confidence, one.code == truth) for one, truth in firsts if one.label is not Label.UNCERTAIN]
    rows = []
    for low, high in ((0.0, 0.5), (0.5, 0.7), (0.7, 0.9), (0.9, 0.97), (0.97, 1.01)):
        part = [(p, hit) for p, hit in found if low <= p < high]
        if part:
            rows.append([f"{low:g} to {min(high, 1.0):g}", len(part), f"{np.mean([p for p, _ in part]):.2f}",
                         f"{np.mean([hit for _, hit in part]):.2f}"])  # fmt: skip
    return markdown(["confidence", "trainings", "mean confidence", "share right"], rows)


def advice(held: Labelled, known: dict[str, dict[str, Any]]) -> tuple[str, list[Outcome]]:
    """Return what the advice came to, by label and action; given for every plain training that is called ill."""
    plain = [row for row, _ in held if not run_of(row).variant]
    found = [one for row in plain if (said := said_of(row)[0]).label.ill for one in outcomes(row, said, known)]
    groups: dict[tuple[str, str], list[Outcome]] = collections.defaultdict(list)
    for one in found:
        groups[one.label, one.action].append(one)
    rows = []
    for (label, action), part in sorted(groups.items()):
        logs = [np.log(one.after / one.before) for one in part if np.isfinite(one.before) and np.isfinite(one.after)]
        middle = f"x {np.exp(np.median(logs)):.2f}" if logs else "-"
        rows.append([f"{label}: {action}", len(part), _share(sum(one.better for one in part), len(part)), middle])
    return markdown(["diagnosis and advice", "given", "helped", "median loss"], rows), found


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "-"


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.diagnosis", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="write to build/, and train nothing")
    given = parser.parse_args()
    known = recorded()
    labelled = set_of(known)
    held = [(row, label) for row, label in labelled if FAMILIES[run_of(row).family].held_out]
    names = [name for name, family in FAMILIES.items() if family.held_out]
    modules = ("tunewell", "torch", "numpy")
    head = HEAD.format(
        versions=", ".join(
            [f"Python {platform.python_version()}", *(f"{m} {importlib.metadata.version(m)}" for m in modules)]
        ),
        n=sum(run_of(row).purpose != "advice" for row in known.values()),
        labelled=len(labelled),
        learnt=len(labelled) - len(held),
        dev=len(FAMILIES) - len(names),
        held=len(held),
        out=len(names),
        names=", ".join(names),
        drawn=sum(bool(family.usual) for family in FAMILIES.values()),
        drawn_held=sum(bool(family.usual) for family in FAMILIES.values() if family.held_out),
    )
    text, numbers = confusion(held)
    parts = [head, text, "## By family and circumstances", by_family(held),
             "## Is a dead training called healthy?", dead(held), "## By what is reported", by_curves(held),
             "## How early", early(held), "## Is the confidence what it says?", calibration(held)]  # fmt: skip
    if not given.quick:
        table, found = advice(held, known)
        assemble(known.values())
        helped = sum(one.better for one in found)
        numbers |= {"advice": len(found), "advice_helped": helped}
        parts += ["## What the advice does", ADVICE.format(share=_share(helped, len(found)), n=len(found)), table]
    parts += ["## Ending trials early", live.page()]
    folder = SCRATCH if given.quick else RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    page = "\n\n".join(part.strip() for part in parts) + "\n"
    (folder / "diagnosis.md").write_text(page, encoding="utf-8")
    (folder / "diagnosis.json").write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    print(page)


DEAD = """Of the held-out trainings with a fault, those that ended no better than the loss of always giving the shares
of the classes (or the mean): nothing was learnt, for whatever reason."""

ADVICE = """Every held-out training in plain or its own circumstances that is called ill, rightly or not, gets what
its diagnosis advises, and is trained again from scratch with the same seed. "Helped" means that it ends with at most
98 % of the test loss: {share} of {n} (target 80 % of each). Advice to *check* something is judged with the
fault put right; stopping early by the test loss at that step; more validation rows by how far the validation loss jumps
where the test loss does not."""


if __name__ == "__main__":
    main()

"""The study file for data that come with the libraries, put together from pieces."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from importlib.resources import files
from string import Template

from tunewell.starting.answers import METRICS, Answers
from tunewell.starting.planning import CANDIDATES, EXAMPLES, OPTIMIZER, choose, fixed_lines, space_lines

EPOCHS = {"image": 15, "tabular": 20, "text": 12}
WHAT = {
    "image": "handwritten digits, 8 x 8 pixels (scikit-learn's load_digits)",
    "tabular": "tumours from thirty measurements each (scikit-learn's load_breast_cancer)",
    "text": "lines of the Python reference manual by the page they come from (pydoc_data, part of Python)",
}


def write_study(answers: Answers, name: str = "study.py") -> str:
    """Return a study file that runs as it is.

    Raises:
        ValueError: the metric is none that the objective reports.
    """
    if answers.metric not in METRICS:
        raise ValueError(
            f"the objective reports {' and '.join(METRICS)}, got the metric {answers.metric!r}: choose one of them, "
            "or name your own script"
        )
    chosen = choose(
        dict.fromkeys(CANDIDATES[answers.framework, answers.task]),
        answers.domain,
        OPTIMIZER[answers.framework],
        answers.planned,
        EXAMPLES[answers.task],
    )
    network = "torch_image" if (answers.framework, answers.task) == ("torch", "image") else f"{answers.framework}_rows"
    imports, text = imports_first(["head", f"data_{answers.task}", network, f"fit_{answers.framework}", "path"])
    return Template(text).substitute(
        imports=imports,
        file=name,
        what=WHAT[answers.task],
        name=name.removesuffix(".py"),
        task=answers.task,
        metric=answers.metric,
        mode=answers.mode,
        test_metric=answers.metric.replace("val", "test"),
        epochs=EPOCHS[answers.task],
        trials=answers.planned,
        minutes=f"{answers.minutes:g}",
        workers=answers.workers,
        optimizer=OPTIMIZER[answers.framework],
        domain=answers.domain,
        space=space_lines(chosen.tuned),
        fixed=fixed_lines(chosen.fixed),
    )


def imports_first(pieces: Iterable[str]) -> tuple[str, str]:
    """Return the import lines of all pieces, standard library first, and the pieces one after another without them."""
    folder = files("tunewell.starting").joinpath("pieces")
    texts = [folder.joinpath(f"{piece}.txt").read_text(encoding="utf-8").strip("\n") for piece in pieces]
    lines = "\n\n\n".join(texts).splitlines()
    found = sorted({line for line in lines if _IMPORT.match(line)}, key=lambda line: (line[0] == "f", line.split()[1]))
    standard = [line for line in found if line.split()[1].split(".")[0] in sys.stdlib_module_names]
    own = [line for line in found if " tunewell." in line]
    others = [line for line in found if line not in (*standard, *own)]
    rest = re.sub(r"\n{4,}", "\n\n\n", "\n".join(line for line in lines if line not in found)) + "\n"
    blocks = ["\n".join(block) for block in (standard, others, ["import tunewell as tw", *own]) if block]
    return "\n\n".join(blocks), rest


_IMPORT = re.compile(r"(import|from) [^$]+$")

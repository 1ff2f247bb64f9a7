"""The study file for a script: around its train function, around its command line, or with the lines to change.

The first that fits is taken. A function is called with the configuration and returns the metric; a script with options
is started with them, and the metric is read off what it prints; otherwise the file shows the lines to change.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from string import Template

from tunewell import knowledge
from tunewell.starting.answers import Answers
from tunewell.starting.planning import Choices, choose, fixed_lines, space_lines
from tunewell.starting.reading import Script, Setting
from tunewell.starting.writing import imports_first


def write_for_script(script: Script, answers: Answers, target: Path) -> tuple[str, str]:
    """Return the study file for a script, and in a sentence how it calls it.

    Raises:
        ValueError: the script has no hyperparameter that is known.
    """
    way, usable = _way(script)
    settings = {setting.written: setting.value for setting in usable}
    if not settings:
        raise ValueError(
            f"expected a learning rate, a batch size or another known hyperparameter in {script.path}, found none: "
            "name them as `tunewell explain` does, or run `tunewell init` without a script and copy from its file"
        )
    chosen = choose(settings, answers.domain, script.optimizer, answers.planned)
    call, told = _CALLS[way](script, usable, target)
    pieces = ["script_head", f"script_{way}", "script_path"]
    imports, text = imports_first(pieces)
    text = Template(text).substitute(
        call,
        imports=imports,
        file=target.name,
        name=target.stem,
        script=script.path.name,
        metric=answers.metric,
        mode=answers.mode,
        trials=answers.planned,
        minutes=f"{answers.minutes:g}",
        workers=answers.workers,
        told=told,
        space=space_lines(chosen.tuned),
        fixed=fixed_lines(chosen.fixed),
        optimizer="None" if script.optimizer is None else repr(script.optimizer),
        batch_size=_batch_size(chosen, usable),
    )
    return text, told


def _batch_size(chosen: Choices, usable: tuple[Setting, ...]) -> str:
    """Return the batch size for the fingerprint: what the script has, where it is not tuned."""
    tuned = {item.known.name for item in chosen.tuned}
    found = [setting.value for setting in usable if setting.known == "batch_size" and isinstance(setting.value, int)]
    return repr(found[0]) if found and "batch_size" not in tuned else "None"


def _way(script: Script) -> tuple[str, tuple[Setting, ...]]:
    """Return how the script is called, and the hyperparameters that it takes in this way."""
    settings = tuple(setting for setting in script.settings if _is_number(setting))
    function = script.train_function
    if function is not None and script.guarded:
        return "function", tuple(s for s in settings if s.how == "argument" and s.written in function.arguments)
    options = tuple(setting for setting in settings if setting.how == "option")
    return ("options", options) if options else ("lines", tuple(s for s in settings if s.value is not None))


def _is_number(setting: Setting) -> bool:
    """Tell whether a hyperparameter is a number to search: names differ between scripts, and lengths are given."""
    known = knowledge.explain(setting.known)
    return known.scale.value != "unordered" and known.name != "epochs" and not isinstance(setting.value, str)


def _around_function(script: Script, usable: tuple[Setting, ...], target: Path) -> tuple[dict[str, str], str]:
    function = script.train_function
    assert function is not None
    seed = next((f", {name}=seed" for name in function.arguments if name in ("seed", "random_state")), "")
    told = f"calls {function.name}() of {script.path.name}, line {function.line}, which has to return the metric"
    call = {"module": script.path.stem, "function": function.name, "seed": seed}
    return {**call, "folder": _folder(script, target)}, told


def _around_options(script: Script, usable: tuple[Setting, ...], target: Path) -> tuple[dict[str, str], str]:
    named = "".join(f"    {setting.written!r}: {setting.owner!r},\n" for setting in usable)
    without = "[]  # an option --seed would make trials repeatable"
    seed = next((f"[{option!r}, str(seed)]" for option in script.options if option.lstrip("-") == "seed"), without)
    told = f"starts {script.path.name} with options, and reads the metric off the last line that says it"
    return {"options": named, "seed": seed, "folder": _folder(script, target)}, told


def _show_lines(script: Script, usable: tuple[Setting, ...], target: Path) -> tuple[dict[str, str], str]:
    told = f"needs {script.path.name} to be changed: the lines are in the file"
    return {"lines": "\n".join(f"# {line}".rstrip() for line in changed_lines(script, usable))}, told


def changed_lines(script: Script, settings: tuple[Setting, ...]) -> list[str]:
    """Return, as a diff without context, the script's lines with each value taken from the configuration."""
    before = script.text.splitlines()
    after = [line.encode() for line in before]  # columns are counted in bytes
    for setting in sorted(settings, key=lambda s: (s.place.line, s.place.begin), reverse=True):
        line, place = after[setting.place.line - 1], setting.place
        after[place.line - 1] = line[: place.begin] + f"config[{setting.written!r}]".encode() + line[place.end :]
    diff = difflib.unified_diff(before, [line.decode() for line in after], lineterm="", n=0)
    return [line for line in diff if not line.startswith(("---", "+++"))]


def _folder(script: Script, target: Path) -> str:
    """Return how the study file names the script's folder: from its own."""
    relative = os.path.relpath(script.path.absolute().parent, target.absolute().parent)
    return "Path(__file__).parent" if relative == "." else f"Path(__file__).parent / {relative!r}"


_CALLS = {"function": _around_function, "options": _around_options, "lines": _show_lines}

"""The study file for a script: around its train function, around its command line, or with the lines to change.

The first that fits is taken. A function is called with the configuration and returns the metric; a script with options
is started with them, and the metric is read off what it prints; otherwise the file shows the lines to change. What a
script computes itself stays its own, unless it is searched or has to be given.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from string import Template

from tunewell.starting.answers import Answers
from tunewell.starting.planning import Choices, choose, fixed_lines, space_lines
from tunewell.starting.reading import How, Script, Setting
from tunewell.starting.writing import imports_first
from tunewell.values import joined


def write_for_script(script: Script, answers: Answers, target: Path) -> tuple[str, str]:
    """Return the study file for a script, and in a sentence how it calls it.

    Raises:
        ValueError: the script has no hyperparameter that is known.
    """
    way, usable = _way(script)
    settings = {setting.written: setting for setting in usable}
    chosen = choose(
        {name: setting.value for name, setting in settings.items()},
        answers.domain,
        script.optimizer,
        answers.planned,
        choices={name: setting.choices for name, setting in settings.items() if setting.choices is not None},
    )
    if not chosen.tuned:
        found = ", ".join(f"{item.name} at {item.value!r}" for item in chosen.fixed) or "none"
        raise ValueError(
            f"expected a learning rate, a batch size or another known hyperparameter in {script.path} whose value can "
            f"change, found {found}: name them as `tunewell explain` does, or run `tunewell init` without a script and "
            "copy from its file"
        )
    call, told = _CALLS[way](script, usable, target)
    missing = _missing(script, usable) if way == "options" else []
    own = {name for name, setting in settings.items() if setting.value is None and not setting.needed}
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
        assumed='# "min" is assumed, as the name does not tell: write "max" if more of it is better\n'
        if answers.mode_is_assumed
        else "",
        trials=answers.planned,
        minutes=f"{answers.minutes:g}",
        workers=answers.workers,
        told=told,
        space=space_lines(chosen.tuned),
        fixed=fixed_lines(item for item in chosen.fixed if item.name not in own),
        optimizer="None" if script.optimizer is None else repr(script.optimizer),
        batch_size=_batch_size(chosen, usable),
    )
    if way == "function":
        told += f" ({answers.metric}, {'less' if answers.mode == 'min' else 'more'} is better)"
    guessed = [item.name for item in chosen.tuned if item.name in own]
    if guessed:
        told += f"; {joined(guessed)} cannot be read there and begin{'s' * (len(guessed) == 1)} at what is usual"
    if missing:
        told += f"; it needs {joined(missing)}, which you fill in as ALWAYS"
    if answers.mode_is_assumed:
        told += f"; it takes less of {answers.metric} to be better, change MODE if more of it is"
    return text, told


def _missing(script: Script, usable: tuple[Setting, ...]) -> list[str]:
    """Return what a script has to be started with and only its owner knows."""
    given = {setting.owner for setting in usable}
    return [o.name for o in script.options if o.needed and o.name not in given and o.name != "--seed"]


def _batch_size(chosen: Choices, usable: tuple[Setting, ...]) -> str:
    """Return the batch size for the fingerprint: what the script has, where it is not tuned."""
    tuned = {item.known.name for item in chosen.tuned}
    found = [setting.value for setting in usable if setting.known == "batch_size" and isinstance(setting.value, int)]
    return repr(found[0]) if found and "batch_size" not in tuned else "None"


def _way(script: Script) -> tuple[str, tuple[Setting, ...]]:
    """Return how the script is called, and the hyperparameters that it takes in this way."""
    if script.train_function is not None and script.guarded:
        return "function", script.arguments_of(script.train_function)
    settings = tuple(setting for setting in script.settings if setting.is_number)
    options = tuple(setting for setting in settings if setting.how == "option")
    if options:
        return "options", options
    said = sorted((s for s in settings if s.value is not None), key=lambda setting: _RANK[setting.how])
    once = {setting.known: setting for setting in reversed(said)}
    return "lines", tuple(setting for setting in settings if once.get(setting.known) is setting)


_RANK: dict[How, int] = {"option": 0, "argument": 1, "field": 2, "constant": 2, "attribute": 2, "literal": 3}


def _around_function(script: Script, usable: tuple[Setting, ...], target: Path) -> tuple[dict[str, str], str]:
    function = script.train_function
    assert function is not None
    seed = next((f", {name}=seed" for name in function.arguments if name in ("seed", "random_state")), "")
    told = f"calls {function.name}() of {script.path.name}, line {function.line}, which has to return the metric"
    call = {"module": repr(script.path.stem), "function": function.name, "seed": seed}
    return {**call, "folder": _folder(script, target)}, told


def _around_options(script: Script, usable: tuple[Setting, ...], target: Path) -> tuple[dict[str, str], str]:
    named = "".join(f"    {setting.written!r}: {setting.owner!r},\n" for setting in usable)
    without = "[]  # an option --seed would make trials repeatable"
    seed = next((f"[{o.name!r}, str(seed)]" for o in script.options if o.name == "--seed"), without)
    missing = _missing(script, usable)
    always = f"[]  # to fill in: {joined(missing)}" if missing else "[]  # other options, the same in every trial"
    told = f"starts {script.path.name} with options, and reads the metric off the last line that says it"
    return {"options": named, "seed": seed, "always": always, "folder": _folder(script, target)}, told


def _show_lines(script: Script, usable: tuple[Setting, ...], target: Path) -> tuple[dict[str, str], str]:
    told = f"needs {script.path.name} to be changed: the lines are in the file"
    return {"lines": "\n".join(f"# {line}".rstrip() for line in changed_lines(script, usable))}, told


def changed_lines(script: Script, settings: tuple[Setting, ...]) -> list[str]:
    """Return, as a diff without context, the script's lines with each value taken from the configuration.

    There is none yet where a function or a class is defined, so that its calls follow, to be changed instead.
    """
    before = script.text.splitlines()
    after = [line.encode() for line in before]  # columns are counted in bytes
    calls: dict[str, list[str]] = {}
    for setting in sorted(settings, key=lambda s: (s.place.line, s.place.begin), reverse=True):
        line, place, value = after[setting.place.line - 1], setting.place, f"config[{setting.written!r}]"
        if setting.how in ("argument", "field"):
            calls.setdefault(setting.owner, []).insert(0, f"{setting.written}={value}")
        elif setting.how == "attribute":
            calls.setdefault(f"{setting.owner}.{setting.written} = {value}", [])
        else:
            after[place.line - 1] = line[: place.begin] + value.encode() + line[place.end :]
    diff = difflib.unified_diff(before, [line.decode() for line in after], lineterm="", n=0)
    changed = [line for line in diff if not line.startswith(("---", "+++"))]
    return changed + [f"{called}({', '.join(given)})" if given else called for called, given in calls.items()]


def _folder(script: Script, target: Path) -> str:
    """Return how the study file names the script's folder: from its own."""
    relative = os.path.relpath(script.path.absolute().parent, target.absolute().parent)
    return "Path(__file__).parent" if relative == "." else f"Path(__file__).parent / {relative!r}"


_CALLS = {"function": _around_function, "options": _around_options, "lines": _show_lines}

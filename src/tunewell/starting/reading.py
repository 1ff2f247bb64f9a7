"""What a training script says of its hyperparameters, read off its syntax tree; the script is not run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from tunewell import knowledge

How: TypeAlias = Literal["option", "argument", "constant", "literal"]

_RANK: dict[How, int] = {"option": 0, "argument": 1, "constant": 2, "literal": 3}
_FRAMEWORKS = ("lightning", "torch", "keras", "tensorflow", "jax", "sklearn")
_OPTIMIZERS = {"sgd": "sgd", "adam": "adam", "adamw": "adamw", "nadam": "nadam", "rmsprop": "rmsprop"}
_POSITIONAL = {  # calls whose arguments without a name are hyperparameters
    "SGD": {1: "learning_rate"},
    "Adam": {1: "learning_rate"},
    "AdamW": {1: "learning_rate"},
    "RMSprop": {1: "learning_rate"},
    "NAdam": {1: "learning_rate"},
    "Dropout": {0: "dropout"},
    "Dropout2d": {0: "dropout"},
    "DataLoader": {1: "batch_size"},
}
_TRAINS = ("train", "fit", "run", "objective", "main", "evaluate")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands in the text: the line counted from 1, the columns from 0."""

    line: int
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Setting:
    """A hyperparameter as the script has it.

    Attributes:
        known: its name in :mod:`tunewell.knowledge`.
        written: its name in the script: an option's destination, an argument, a variable; else the known one.
        value: what it is there; None where that is computed.
        how: an option of the command line, an argument of a function, a named constant, or a value within a call.
        place: where the value stands.
        owner: the option (``"--lr"``), or the function with this argument.
    """

    known: str
    written: str
    value: Any
    how: How
    place: Place
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Function:
    """A function that may be the training: name, arguments, those without a default, whether it returns a value."""

    name: str
    arguments: tuple[str, ...]
    required: tuple[str, ...]
    returns: bool
    line: int


@dataclass(frozen=True, slots=True)
class Script:
    """What a training script says.

    Attributes:
        settings: its hyperparameters, each once, in the order of the text.
        guarded: whether importing it only defines things.
    """

    path: Path
    text: str
    framework: str | None
    optimizer: str | None
    settings: tuple[Setting, ...]
    functions: tuple[Function, ...]
    options: tuple[str, ...]
    guarded: bool

    @property
    def train_function(self) -> Function | None:
        """The function to call: it takes known hyperparameters, needs nothing else, and returns a value."""
        own = {setting.written for setting in self.settings if setting.how == "argument" and setting.known != "epochs"}
        fitting = [
            function
            for function in self.functions
            if function.returns and own & set(function.arguments) and set(function.required) <= own
        ]
        return max(fitting, key=lambda function: len(own & set(function.arguments)), default=None)


def read_script(path: Path) -> Script:
    """Read a training script.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is no Python.
    """
    text = path.read_text(encoding="utf-8")
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise ValueError(f"expected Python in {path}, got a syntax error in line {error.lineno}: {error.msg}") from None
    found = sorted(_settings(tree), key=lambda setting: (_RANK[setting.how], setting.place.line, setting.place.begin))
    once = {setting.known: setting for setting in reversed(found)}
    calls = [_called(node) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    modules = {name.split(".")[0].replace("pytorch_lightning", "lightning") for name in _imports(tree)}
    return Script(
        path=path,
        text=text,
        framework=next((name for name in _FRAMEWORKS if name in modules), None),
        optimizer=next((_OPTIMIZERS[name.lower()] for name in calls if name.lower() in _OPTIMIZERS), None),
        settings=tuple(sorted(once.values(), key=lambda setting: setting.place.line)),
        functions=tuple(_function(node) for node in tree.body if isinstance(node, ast.FunctionDef)),
        options=tuple(option for node in ast.walk(tree) if (option := _option(node)[0])),
        guarded=all(_only_defines(node) for node in tree.body),
    )


# --- hyperparameters --------------------------------------------------------------------------------------------------


def _settings(tree: ast.Module) -> Iterator[Setting]:
    for node in ast.walk(tree):
        option, default = _option(node)
        if option:
            yield from _setting(option.lstrip("-").replace("-", "_"), default, "option", option, node)
        elif isinstance(node, ast.Call):
            yield from _in_call(node)
        elif isinstance(node, ast.FunctionDef):
            yield from _arguments(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            if len(names) == 1 and _value(node.value) is not None:
                yield from _setting(names[0], node.value, "constant", "", node)


def _in_call(node: ast.Call) -> Iterator[Setting]:
    positional = _POSITIONAL.get(_called(node), {})
    for index, argument in enumerate(node.args):
        if index in positional and _value(argument) is not None:
            yield from _setting(positional[index], argument, "literal", "", node)
    for keyword in node.keywords:
        name = "dropout" if keyword.arg == "p" and "Dropout" in _called(node) else keyword.arg
        if name is not None and _value(keyword.value) is not None:
            yield from _setting(name, keyword.value, "literal", "", node)


def _arguments(node: ast.FunctionDef) -> Iterator[Setting]:
    if not any(word in node.name.lower() for word in _TRAINS):
        return
    arguments = [*node.args.posonlyargs, *node.args.args]
    defaults = [None] * (len(arguments) - len(node.args.defaults)) + list(node.args.defaults)
    pairs = [*zip(arguments, defaults, strict=True), *zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)]
    for argument, default in pairs:
        yield from _setting(argument.arg, default, "argument", node.name, argument)


def _setting(name: str, value: ast.expr | None, how: How, owner: str, node: ast.AST) -> Iterator[Setting]:
    known = knowledge.find(name)
    if known is None:
        return
    at: Any = value if value is not None else node
    place = Place(at.lineno, at.col_offset, at.end_col_offset)
    yield Setting(known, known if how == "literal" else name, _value(value), how, place, owner)


def _value(node: ast.expr | None) -> Any:
    """Return a number or a string that is written out, None for anything else."""
    try:
        value = ast.literal_eval(node) if node is not None else None
    except (ValueError, TypeError, SyntaxError):
        return None
    return value if isinstance(value, int | float | str) and not isinstance(value, bool) else None


def _option(node: ast.AST) -> tuple[str, ast.expr | None]:
    """Return the long option with a value that ``add_argument`` adds, and its default; an empty text for others."""
    if not isinstance(node, ast.Call) or _called(node) != "add_argument":
        return "", None
    if any(keyword.arg == "action" for keyword in node.keywords):  # such as a switch
        return "", None
    names = [value for argument in node.args if isinstance(value := _value(argument), str) and value.startswith("-")]
    default = next((keyword.value for keyword in node.keywords if keyword.arg == "default"), None)
    return max(names, key=len, default=""), default


# --- around them ------------------------------------------------------------------------------------------------------


def _called(node: ast.Call) -> str:
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def _function(node: ast.FunctionDef) -> Function:
    arguments = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
    keywords = [argument.arg for argument in node.args.kwonlyargs]
    required = arguments[: len(arguments) - len(node.args.defaults)]
    required += [name for name, value in zip(keywords, node.args.kw_defaults, strict=True) if value is None]
    returns = any(isinstance(part, ast.Return) and part.value is not None for part in ast.walk(node))
    return Function(node.name, (*arguments, *keywords), tuple(required), returns, node.lineno)


def _only_defines(node: ast.stmt) -> bool:
    if isinstance(node, ast.If):
        return "__name__" in ast.unparse(node.test)
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)  # a docstring
    return isinstance(
        node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign | ast.Try
    )

"""What a training script says of its hyperparameters, read off its syntax tree; the script is not run."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from tunewell import knowledge

How: TypeAlias = Literal["option", "argument", "constant", "field", "attribute", "literal"]

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
_PERCEPTRONS = ("MLPClassifier", "MLPRegressor")  # of scikit-learn: trained by Adam unless it is said
_TRAINS = ("train", "fit", "run", "objective", "main")


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
        how: an option of the command line, an argument of a function, a constant with a name or a key, an annotated
            field or another attribute of a class, or a value within a call.
        place: where the value stands.
        owner: the option (``"--lr"``), the function with this argument, the class of a field or an attribute.
        choices: what an option may be; None: anything, empty: what cannot be read.
        needed: whether the option or the argument has to be given.
    """

    known: str
    written: str
    value: Any
    how: How
    place: Place
    owner: str = ""
    choices: tuple[Any, ...] | None = None
    needed: bool = False

    @property
    def is_number(self) -> bool:
        """Whether it is a number to search: names differ between scripts, and lengths are given."""
        known = knowledge.explain(self.known)
        values = (self.value,) if self.choices is None else (self.value, *self.choices)
        numbers = self.choices != () and not any(isinstance(value, str) for value in values)
        return numbers and known.scale.value != "unordered" and known.name != "epochs"


@dataclass(frozen=True, slots=True)
class Option:
    """What ``add_argument`` adds: an option by its longest name, or an argument without dashes; how it is given."""

    name: str
    needed: bool
    default: ast.expr | None
    choices: tuple[Any, ...] | None
    several: bool = False  # values at a time


@dataclass(frozen=True, slots=True)
class Function:
    """A function that may be the training: name, arguments, those without a default, whether it returns a value.

    ``metric`` is what the value is called where it is returned, as a variable or as the first key; empty for others.
    """

    name: str
    arguments: tuple[str, ...]
    required: tuple[str, ...]
    returns: bool
    line: int
    metric: str = ""


@dataclass(frozen=True, slots=True)
class Script:
    """What a training script says.

    Attributes:
        settings: its hyperparameters, wherever they are said, in the order of the text.
        guarded: whether importing it only defines things.
    """

    path: Path
    text: str
    framework: str | None
    optimizer: str | None
    settings: tuple[Setting, ...]
    functions: tuple[Function, ...]
    options: tuple[Option, ...]
    guarded: bool

    @property
    def train_function(self) -> Function | None:
        """The function to call: it takes known hyperparameters, needs nothing else, and returns a value."""
        fitting = [
            (len(own), function)
            for function in self.functions
            if function.returns
            and (own := {setting.written for setting in self.arguments_of(function)})
            and set(function.required) <= own
        ]
        return max(fitting, key=lambda pair: pair[0], default=(0, None))[1]

    def arguments_of(self, function: Function) -> tuple[Setting, ...]:
        """Return the hyperparameters to search among a function's arguments."""
        own = (s for s in self.settings if s.how == "argument" and s.owner == function.name)
        return tuple(setting for setting in own if setting.is_number)


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
    _resolve(tree)
    calls = [_optimizer(node) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    modules = {name.split(".")[0].replace("pytorch_lightning", "lightning") for name in _imports(tree)}
    return Script(
        path=path,
        text=text,
        framework=next((name for name in _FRAMEWORKS if name in modules), None),
        optimizer=next((_OPTIMIZERS[name] for name in calls if name in _OPTIMIZERS), None),
        settings=tuple(sorted(_settings(tree), key=lambda setting: (setting.place.line, setting.place.begin))),
        functions=tuple(_function(node) for node in tree.body if isinstance(node, ast.FunctionDef)),
        options=tuple(option for node in ast.walk(tree) if (option := _option(node)) is not None),
        guarded=all(_only_defines(node) for node in tree.body),
    )


# --- hyperparameters --------------------------------------------------------------------------------------------------


def _settings(node: ast.AST, owner: str = "") -> Iterator[Setting]:
    """Yield what is said at a node and below it; ``owner`` is the class whose body the node stands in."""
    option = _option(node)
    if option is not None:
        if option.name.startswith("-") and not option.several:
            found = _setting(option.name.lstrip("-").replace("-", "_"), option.default, "option", option.name, node)
            for setting in found:
                value = setting.value if option.choices is None or setting.value in option.choices else None
                yield replace(setting, value=value, choices=option.choices, needed=option.needed)
    elif isinstance(node, ast.Call):
        yield from _in_call(node)
    elif isinstance(node, ast.FunctionDef):
        yield from _arguments(node, owner)
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        how: How = "constant" if not owner else "field" if isinstance(node, ast.AnnAssign) else "attribute"
        if len(names) == 1 and _value(node.value) is not None:
            yield from _setting(names[0], node.value, how, owner, node)
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(name := _value(key), str) and _value(value) is not None:
                yield from _setting(name, value, "constant", "", node)
    for child in ast.iter_child_nodes(node):
        yield from _settings(child, node.name if isinstance(node, ast.ClassDef) else "")


def _in_call(node: ast.Call) -> Iterator[Setting]:
    positional = _POSITIONAL.get(_called(node), {})
    for index, argument in enumerate(node.args):
        if index in positional and _value(argument) is not None:
            yield from _setting(positional[index], argument, "literal", "", node)
    for keyword in node.keywords:
        name = keyword.arg
        if name == "p" and "Dropout" in _called(node):
            name = "dropout"
        elif name == "alpha" and _called(node) in _PERCEPTRONS:
            name = "l2"
        if name is not None and _value(keyword.value) is not None:
            yield from _setting(name, keyword.value, "literal", "", node)


def _arguments(node: ast.FunctionDef, owner: str) -> Iterator[Setting]:
    if not any(word in node.name.lower() for word in _TRAINS):
        return
    arguments = [*node.args.posonlyargs, *node.args.args]
    defaults = [None] * (len(arguments) - len(node.args.defaults)) + list(node.args.defaults)
    pairs = [*zip(arguments, defaults, strict=True), *zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)]
    for argument, default in pairs:
        found = _setting(argument.arg, default, "argument", f"{owner}.{node.name}" if owner else node.name, argument)
        yield from (replace(setting, needed=default is None) for setting in found)


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


def _option(node: ast.AST) -> Option | None:
    """Return what ``add_argument`` adds, None at other nodes and for switches."""
    if not isinstance(node, ast.Call) or _called(node) != "add_argument":
        return None
    said = {keyword.arg: keyword.value for keyword in node.keywords}
    names = [value for argument in node.args if isinstance(value := _value(argument), str)]
    if "action" in said or not names:  # such as a switch
        return None
    name = max(names, key=len)
    needed = "required" in said and ast.unparse(said["required"]) == "True"
    if not name.startswith("-"):
        needed = "nargs" not in said or _value(said["nargs"]) not in ("?", "*")
    choices = None
    if "choices" in said:
        written = said["choices"].elts if isinstance(said["choices"], ast.List | ast.Tuple | ast.Set) else []
        choices = tuple(_value(item) for item in written)
        choices = () if None in choices else choices
    several = "nargs" in said and _value(said["nargs"]) != "?"
    return Option(name, needed, said.get("default"), choices, several)


def _resolve(tree: ast.Module) -> None:
    """Put the constants of a module where their names are defaults, of options and of functions."""
    assigned = Counter(
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    )
    known = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and _value(node.value) is not None
        for target in node.targets
        if isinstance(target, ast.Name) and assigned[target.id] == 1
    }

    def resolved(node: ast.expr | None) -> Any:
        if not isinstance(node, ast.Name) or node.id not in known:
            return node
        return ast.copy_location(ast.Constant(_value(known[node.id])), node)

    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node) == "add_argument":
            for keyword in node.keywords:
                keyword.value = resolved(keyword.value)
        elif isinstance(node, ast.FunctionDef):
            node.args.defaults = [resolved(default) for default in node.args.defaults]
            node.args.kw_defaults = [resolved(default) for default in node.args.kw_defaults]


# --- around them ------------------------------------------------------------------------------------------------------


def _called(node: ast.Call) -> str:
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _optimizer(node: ast.Call) -> str:
    """Return what a call may say of the optimizer, in small letters."""
    if _called(node) in _PERCEPTRONS:
        return str(next((_value(keyword.value) for keyword in node.keywords if keyword.arg == "solver"), "adam"))
    return _called(node).lower()


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
    returned = [part.value for part in ast.walk(node) if isinstance(part, ast.Return) and part.value is not None]
    returned.sort(key=lambda value: value.lineno)
    metric = _name_of(returned[-1]) if returned else ""
    return Function(node.name, (*arguments, *keywords), tuple(required), bool(returned), node.lineno, metric)


def _name_of(value: ast.expr) -> str:
    """Return what a returned value is called: a variable, an attribute, the first key of a dict, else nothing."""
    if isinstance(value, ast.Dict):
        return next((name for key in value.keys if isinstance(name := _value(key), str)), "")
    return value.id if isinstance(value, ast.Name) else value.attr if isinstance(value, ast.Attribute) else ""


def _only_defines(node: ast.stmt) -> bool:
    if isinstance(node, ast.If):
        return "__name__" in ast.unparse(node.test)
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)  # a docstring
    return isinstance(
        node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign | ast.Try
    )

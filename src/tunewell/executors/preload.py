"""What an objective will import, read from its code before it runs.

Loading PyTorch takes seconds, forking a process that has loaded it takes milliseconds. The modules named at the top of
a file are found through the objects the objective refers to, those named inside function bodies through its byte code.
"""

from __future__ import annotations

import contextlib
import dis
import functools
import importlib.util
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

Import = tuple[str, tuple[str, ...]]
"""A module and the names taken from it, as in ``from sklearn import datasets``, where these may be modules too."""


def imports_of(objective: Any) -> tuple[Import, ...]:
    """Return what ``objective`` imports, itself or through the user's own functions and classes it refers to.

    A good guess, and harmless where it is wrong: what is missing is imported by the trial itself.
    """
    walk = _Walk()
    with contextlib.suppress(Exception):  # objects of the user's that resent being looked at
        walk.see(objective)
    return tuple(walk.found)


def installed(name: str) -> bool:
    """Return whether a module comes with Python or a package, as opposed to the user's own folders."""
    top = name.partition(".")[0]
    if top == "__main__":  # may well be a package's own: that of pytest, of a notebook
        return False
    if top in sys.stdlib_module_names or top == "tunewell":
        return True
    module = sys.modules.get(top)
    try:
        spec = importlib.util.find_spec(top) if module is None else None
    except (ImportError, ValueError):
        return False
    origin = getattr(module, "__file__", None) or (spec and spec.origin)
    places = getattr(module, "__path__", None) or (spec and spec.submodule_search_locations)
    place = Path(origin or next(iter(places or ()), ""))
    return not {"site-packages", "dist-packages"}.isdisjoint(place.parts)


class _Walk:
    """One pass over everything an objective refers to. The user's own code is entered, packages are only named."""

    def __init__(self) -> None:
        self.found: dict[Import, None] = {}  # a set that keeps its order
        self._seen: dict[int, Any] = {}  # holds the objects too, so that no number is used twice

    def see(self, thing: Any) -> None:
        """Visit anything an objective may refer to."""
        if id(thing) in self._seen:
            return
        self._seen[id(thing)] = thing
        if isinstance(thing, ModuleType):
            self._name(thing.__name__)
        elif isinstance(thing, functools.partial):
            for part in (thing.func, *thing.args, *thing.keywords.values()):
                self.see(part)
        elif isinstance(thing, MethodType):
            self.see(thing.__func__)
            self.see(thing.__self__)
        elif isinstance(thing, FunctionType | type):
            self._see_definition(thing)
        else:
            self.see(type(thing))

    def _see_definition(self, thing: FunctionType | type) -> None:
        module = thing.__module__ or ""
        if "<locals>" not in thing.__qualname__:  # what was defined in a function travels without its module
            self._name(module)
        if installed(module):
            return
        if isinstance(thing, FunctionType):
            self._see_function(thing)
        else:
            for part in (*thing.__mro__[1:], *vars(thing).values()):
                self.see(getattr(part, "__func__", part))  # static and class methods

    def _see_function(self, function: FunctionType) -> None:
        for code in _codes(function.__code__):
            package = function.__globals__.get("__package__") or ""
            self.found.update(dict.fromkeys(_imports(code, package)))
            for name in code.co_names:
                if name in function.__globals__:
                    self.see(function.__globals__[name])
        for cell in function.__closure__ or ():
            try:
                self.see(cell.cell_contents)
            except ValueError:  # a name that is not bound yet
                continue
        for default in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            self.see(default)

    def _name(self, module: str) -> None:
        """Note a module. Importing one of the user's own files imports all that stands at its top: note that too."""
        if module in ("", "__main__", "builtins") or (module, ()) in self.found:
            return
        self.found[module, ()] = None
        if module not in sys.modules or installed(module):
            return
        for value in list(vars(sys.modules[module]).values()):
            name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", "")
            if isinstance(name, str):
                self._name(name)


def _codes(code: CodeType) -> Iterator[CodeType]:
    """Yield a function's code and that of the functions, classes and comprehensions written inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _imports(code: CodeType, package: str) -> Iterator[Import]:
    """Yield the import statements of one code object; ``package`` is where its relative imports start from."""
    before: deque[Any] = deque(maxlen=2)  # the constants an import takes: level and from-list
    for instruction in dis.get_instructions(code):
        if instruction.opname == "IMPORT_NAME" and len(before) == 2:
            level, names = before
            name = instruction.argval
            if level:
                name = importlib.util.resolve_name("." * level + name, package) if package else ""
            if name:
                yield name, tuple(names or ())
        before.append(instruction.argval)

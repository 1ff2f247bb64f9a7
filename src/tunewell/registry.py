"""Names for algorithms: ``"asha"`` and ``Asha(reduction=4)`` mean the same kind of thing, and both can be written down.

A study stores which sampler and scheduler decide, so that anybody who opens it can go on with the same ones or check
their decisions. What is stored is plain data: the name and the options.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
from collections.abc import Collection, Mapping
from importlib import import_module
from typing import Any

_NEAR = 0.7  # of difflib's ratio, from which on a name is taken for another one that was mistyped


class Registry:
    """Algorithms of one kind, by name, imported when first used."""

    def __init__(self, kind: str, homes: Mapping[str, str], aliases: Mapping[str, str], method: str) -> None:
        """``homes`` says where each name's class is, ``method`` what an instance must be able to do."""
        self._kind = kind
        self._method = method
        self._homes = dict(homes)
        self._aliases = dict(aliases)

    def names(self) -> list[str]:
        """Return all names, aliases included."""
        return [*self._homes, *self._aliases]

    def describe(self, choice: Any) -> dict[str, Any]:
        """Return a name or an instance as plain data: the name and the options that differ from their defaults.

        An option that is itself an algorithm of this kind, as of one that wraps another, is described in the same way.

        An algorithm of the user's own is described by its class; only its owner can make it again.
        """
        if isinstance(choice, str):
            return {"name": self._known(choice)}
        choice = self.make(choice) if isinstance(choice, Mapping) else choice
        cls = type(choice)
        home = f"{cls.__module__}:{cls.__qualname__}"
        names = [name for name, path in self._homes.items() if path == home]
        if not dataclasses.is_dataclass(choice) or isinstance(choice, type):
            return {"name": names[0] if names else home}
        options = {
            field.name: getattr(choice, field.name)
            for field in dataclasses.fields(choice)
            if getattr(choice, field.name) != field.default
        }
        inner = {name: self.describe(option) for name, option in options.items() if callable_by(option, self._method)}
        return {"name": names[0] if names else home, **options, **inner}

    def make(self, choice: Any) -> Any:
        """Return the algorithm for a name, a description or an instance (which is returned as it is).

        Raises:
            ValueError: the name or an option is unknown, where the nearest is suggested; or an option is not there, or
                not what it can be.
            TypeError: it is a class, or something else that cannot do the work.
        """
        if isinstance(choice, str):
            return self._with_options(choice, {})
        if isinstance(choice, Mapping):
            options = {key: self._inner(value) for key, value in choice.items()}
            if not isinstance(name := options.pop("name", None), str):
                example = {"name": self.names()[0]}
                raise ValueError(f"expected a {self._kind} by its name and options, such as {example}, got {choice!r}")
            return self._with_options(name, options)
        if isinstance(choice, type) or not callable_by(choice, self._method):
            hint = f"write {choice.__name__}()" if isinstance(choice, type) else f"e.g. {self.names()[0]!r}"
            raise TypeError(f"expected a {self._kind}, by name or as an instance, got {choice!r}: {hint}")
        return choice

    def attribute(self, name: str) -> Any:
        """Return the class called ``name``: a module's ``__getattr__``."""
        for home in self._homes.values():
            if home.endswith(f":{name}"):
                module, _, attribute = home.partition(":")
                return getattr(import_module(module), attribute)
        raise AttributeError(f"there is no {self._kind} class {name!r}")

    def classes(self) -> list[str]:
        """Return the names of all classes: what a module's ``__dir__`` adds to its own."""
        return [home.partition(":")[2] for home in self._homes.values()]

    def _with_options(self, name: str, options: Mapping[str, Any]) -> Any:
        name = self._known(name)
        cls = self._class(name)
        known = inspect.signature(cls).parameters
        for option in options:
            if option not in known:
                hint = _nearest(str(option), known) or f"it has {', '.join(known) or 'none'}"
                raise ValueError(f"{name} has no option {option!r}: {hint}")
        for option, parameter in known.items():
            if parameter.default is parameter.empty and option not in options:
                raise ValueError(f"{name} expected its option {option}, got none: write {cls.__name__}({option}=...)")
        return cls(**options)

    def _inner(self, option: Any) -> Any:
        described = isinstance(option, Mapping) and "name" in option
        return self.make(option) if described else option

    def _class(self, name: str) -> Any:
        module, _, attribute = self._homes[name].partition(":")
        return getattr(import_module(module), attribute)

    def _known(self, name: str) -> str:
        name = self._aliases.get(name, name)
        if name in self._homes:
            return name
        if ":" in name:
            raise ValueError(
                f"the study's {self._kind} is {name}, which is not one of Tunewell's: "
                f"pass an instance of it with the same options, {self._kind}=..."
            )
        hint = _nearest(name, self.names()) or f"choose one of {', '.join(self.names())}"
        raise ValueError(f"expected the name of a {self._kind}, got {name!r}: {hint}")


def _nearest(word: str, known: Collection[str]) -> str:
    """Return a question after the known word that was perhaps meant, or nothing."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=_NEAR)
    return f"did you mean {near[0]!r}?" if near else ""


def callable_by(choice: Any, method: str) -> bool:
    """Whether an object can do what ``method`` names; a class, which has yet to be called, cannot."""
    return not isinstance(choice, type) and callable(getattr(choice, method, None))

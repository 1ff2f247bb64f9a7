from __future__ import annotations

import functools
import json
import xml.dom as dom

import pytest

from tunewell.executors.preload import imports_of, installed


def found(objective):
    return {name for name, _ in imports_of(objective)}


def test_imports_in_function_bodies_are_found_with_the_names_they_take():
    def train(trial):
        import wave as w

        def later():
            from xml.sax import handler, saxutils

            return handler, saxutils

        return w, later, [__import__ for _ in range(2)]

    imports = imports_of(train)
    assert ("wave", ()) in imports
    assert ("xml.sax", ("handler", "saxutils")) in imports


def helper():
    import sndhdr_that_is_not_there  # type: ignore[import-not-found]  # noqa: F401


class Net:
    def forward(self):
        import tabnanny  # noqa: F401

        return json.dumps(dom.__name__)


def test_the_users_own_functions_classes_and_modules_are_followed():
    def train(trial):
        helper()
        return Net()

    assert {"sndhdr_that_is_not_there", "tabnanny", "json", "xml.dom"} <= found(train)


@pytest.mark.parametrize("wrap", [functools.partial, lambda f: functools.wraps(f)(lambda trial: f(trial))])
def test_wrapped_functions_are_followed(wrap):
    assert "sndhdr_that_is_not_there" in found(wrap(lambda trial: helper()))


def test_methods_and_callable_objects_are_followed():
    class Trainer:
        def __call__(self, trial):
            import tabnanny  # noqa: F401

        @staticmethod
        def fit(trial):
            import wave  # noqa: F401

    assert {"tabnanny", "wave"} <= found(Trainer())
    assert {"tabnanny", "wave"} <= found(Trainer.fit) | found(Trainer().__call__)


def test_two_functions_that_call_each_other_end_the_search():
    def even(n):
        return n == 0 or odd(n - 1)

    def odd(n):
        return n != 0 and even(n - 1)

    assert found(even) == set()


def test_an_object_that_resents_being_looked_at_is_left_alone():
    class Touchy:
        def __getattribute__(self, name):
            raise RuntimeError("do not touch")

        def __call__(self, trial):
            return 1.0

    touchy = Touchy()
    imports_of(lambda trial: touchy(trial))


def test_packages_are_told_from_the_users_own_folders():
    assert installed("json")
    assert installed("numpy.random")
    assert not installed("test_preload")
    assert not installed("__main__")
    assert not installed("no.such.module")

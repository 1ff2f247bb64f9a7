"""A model's summary: how many numbers it learns, in layers of which kinds, by what it says of itself."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tunewell.fingerprints import ModelSummary
from tunewell.values import fingerprint_of


def summarise_model(model: Any) -> ModelSummary:
    """Return the summary of a PyTorch, Keras or scikit-learn model, of a mapping of arrays, or of a count.

    Raises:
        TypeError: it is none of these.
        ValueError: a count below 1, or lazy layers that never ran.
    """
    name = type(model).__name__
    if isinstance(model, int) and not isinstance(model, bool):
        if model < 1:
            raise ValueError(f"model expected a number of parameters of at least 1, got {model!r}")
        return ModelSummary("", model)
    if isinstance(model, type):
        raise TypeError(f"model expected a model, got the class {model.__name__}: make one, {model.__name__}(...)")
    if callable(getattr(model, "named_parameters", None)):
        kinds = Counter(type(part).__name__ for part in model.modules() if not list(part.children()))
        weights = dict(model.named_parameters())
        if any(type(weight).__name__ == "UninitializedParameter" for weight in weights.values()):
            raise ValueError("model expected weights, got lazy layers that have none yet: call it once with a batch")
        return _of_shapes(name, ((key, weight.shape) for key, weight in weights.items()), kinds)
    if callable(getattr(model, "count_params", None)):
        kinds = Counter(type(layer).__name__ for layer in model.layers)
        return _of_shapes(name, ((str(n), weight.shape) for n, weight in enumerate(model.trainable_weights)), kinds)
    if callable(getattr(model, "get_params", None)):
        return ModelSummary(name, _learnt(model), {name: 1})
    if isinstance(model, Mapping):
        return _of_shapes("arrays", ((key, leaf.shape) for key, leaf in _leaves(model, "")), {})
    raise TypeError(
        f"model expected a PyTorch, Keras or scikit-learn model, a mapping of arrays or a number of parameters, "
        f"got {model!r:.80}: leave it out"
    )


def _of_shapes(name: str, weights: Iterable[tuple[str, Iterable[int]]], kinds: Mapping[str, int]) -> ModelSummary:
    shapes = [(key, tuple(map(int, shape))) for key, shape in weights]
    return ModelSummary(
        name, sum(math.prod(shape) for _, shape in shapes), dict(kinds), fingerprint_of(repr(shapes))[:12]
    )


def _leaves(tree: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}{key}/")
        elif getattr(value, "shape", None) is not None:
            yield f"{path}{key}", value
        else:
            raise TypeError(f"model expected a mapping of arrays, got {value!r:.60} at {path}{key}: leave it out")


def _learnt(estimator: Any) -> int | None:
    """Return how many numbers a fitted linear model or perceptron of scikit-learn has; None where it cannot be told."""
    found = 0
    for name in ("coef_", "intercept_", "coefs_", "intercepts_"):
        part = getattr(estimator, name, ())
        found += sum(int(array.size) for array in (part if isinstance(part, list | tuple) else [part]))
    return found or None

"""What practitioners know of hyperparameters, as data: scale, range, default, tier, interactions, and who says so.

The facts are in the TOML files of this folder, read when first asked for. They differ by domain and by optimizer.

>>> learning_rate = explain("lr", domain="vision", optimizer="sgd")
>>> learning_rate.name, learning_rate.range.value, learning_rate.default.value
('learning_rate', (0.0001, 1.0), 0.05)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from tunewell.knowledge.reading import hyperparameters
from tunewell.knowledge.records import LAST_TIER as LAST_TIER
from tunewell.knowledge.records import UNSAID
from tunewell.knowledge.records import Explanation as Explanation
from tunewell.knowledge.records import Fact as Fact
from tunewell.knowledge.records import Hyperparameter as Hyperparameter
from tunewell.values import listed, nearest

DOMAINS = {
    "generic": "any network, where nothing more is known",
    "vision": "images: convolutional networks and vision transformers",
    "tabular": "tables of numbers and categories",
    "language_finetuning": "pre-trained language models, tuned on a task",
    "llm_pretraining": "language models, trained from scratch on text",
}
OPTIMIZERS = {  # each with what it is a kind of, the nearest first
    "sgd": ("sgd",),
    "momentum": ("sgd",),
    "nesterov": ("sgd",),
    "adam": ("adam",),
    "adamw": ("adamw", "adam"),
    "nadam": ("adam",),
    "rmsprop": ("adam",),
}

_PARTS = {
    "actor", "adam", "adamw", "backbone", "body", "classifier", "critic", "decoder", "discriminator", "embedding",
    "encoder", "generator", "head", "model", "net", "optimizer", "policy", "sgd", "stem", "trunk", "value",
}  # fmt: skip
_GREEK = str.maketrans({"β": "beta", "ε": "epsilon"})


def names() -> list[str]:
    """Return the names of all hyperparameters that are known."""
    return list(hyperparameters())


def explain(name: str, *, domain: str = "generic", optimizer: str | None = None) -> Explanation:
    """Return what is known of a hyperparameter, by its name or an alias such as ``"lr"``; it prints well.

    Raises:
        TypeError: the name is no string.
        ValueError: an unknown name, domain or optimizer; the nearest known one is suggested.
    """
    if not isinstance(name, str):
        raise TypeError(f"expected the name of a hyperparameter, got {name!r}: write it in quotes")
    found = find(name, ambiguous=True)
    if found is None:
        hint = nearest(name, _by_name(True)) or f": known are {listed(hyperparameters())}"
        raise ValueError(f"unknown hyperparameter {name!r}{hint}")
    check_where(domain, optimizer)
    known = hyperparameters()[found]
    kinds = OPTIMIZERS[optimizer] if optimizer is not None else (UNSAID,)
    return Explanation(
        name=found,
        domain=domain,
        optimizer=optimizer,
        kind=known.kind,
        means=known.means,
        aliases=known.aliases,
        architecture=known.architecture,
        complement=known.complement,
        scale=known.fact("scale", domain, kinds),
        range=known.fact("range", domain, kinds),
        default=known.fact("default", domain, kinds),
        tier=known.fact("tier", domain, kinds),
        interactions=known.fact("interactions", domain, kinds),
    )


def find(name: str, *, ambiguous: bool = False) -> str | None:
    """Return the name under which a hyperparameter is known, None for one that is not.

    Case, capitals within a name, dashes and whatever comes before a dot, a slash or two underscores do not matter
    (``"optimizer.lr"``), unless both together are a name (``"bn.momentum"``). β and ε may be written so; a number
    (``"dropout_2"``) and the part of a network (``"head_lr"``) need not be known. Names that often mean something else
    count only with ``ambiguous``.
    """
    known = _by_name(ambiguous)
    split = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower().translate(_GREEK)
    parts = [re.sub(r"[^a-z0-9]+", "_", part).strip("_") for part in re.split(r"[./]|__", split)]
    forms = (form for plain in ("_".join(parts[-2:]), parts[-1]) for form in _forms(plain))
    return next((known[form] for form in forms if form in known), None)


def _forms(plain: str) -> Iterator[str]:
    """Return a name as it is, without its numbers, and without the part of a network that it begins or ends with."""
    yield plain
    yield re.sub(r"_?\d+$", "", plain)
    yield re.sub(r"_?\d+(?=_|$)", "", plain)
    first, _, rest = plain.partition("_")
    if first in _PARTS:
        yield rest
    rest, _, last = plain.rpartition("_")
    if last in _PARTS:
        yield rest


@cache
def _by_name(ambiguous: bool) -> dict[str, str]:
    known: dict[str, str] = {}
    for name, about in hyperparameters().items():
        for alias in (name, *about.aliases, *about.ambiguous):
            if ambiguous or alias not in about.ambiguous:
                known.setdefault(alias, name)
    return known


def check_where(domain: str | None, optimizer: str | None) -> None:
    """Raise ValueError for an unknown domain or optimizer; None is any."""
    for what, given, known in (("domain", domain, list(DOMAINS)), ("optimizer", optimizer, list(OPTIMIZERS))):
        if given is not None and given not in known:
            hint = nearest(given, known) or f": choose one of {listed(known)}"
            raise ValueError(f"unknown {what} {given!r}{hint}")

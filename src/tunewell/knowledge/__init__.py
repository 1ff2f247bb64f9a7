"""What practitioners know of hyperparameters, as data: scale, range, default, tier, interactions, and who says so.

The facts are in the TOML files of this folder, read when first asked for. They differ by domain and by optimizer.

>>> learning_rate = explain("lr", domain="vision", optimizer="sgd")
>>> learning_rate.name, learning_rate.range.value, learning_rate.default.value
('learning_rate', (0.0001, 1.0), 0.05)
"""

from __future__ import annotations

import re
from functools import cache

from tunewell.knowledge.reading import hyperparameters
from tunewell.knowledge.records import LAST_TIER as LAST_TIER
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
    kinds = OPTIMIZERS[optimizer] if optimizer is not None else ()
    return Explanation(
        name=found,
        domain=domain,
        optimizer=optimizer,
        kind=known.kind,
        means=known.means,
        aliases=known.aliases,
        architecture=known.architecture,
        scale=known.fact("scale", domain, kinds),
        range=known.fact("range", domain, kinds),
        default=known.fact("default", domain, kinds),
        tier=known.fact("tier", domain, kinds),
        interactions=known.fact("interactions", domain, kinds),
    )


def find(name: str, *, ambiguous: bool = False) -> str | None:
    """Return the name under which a hyperparameter is known, None for one that is not.

    Case, dashes and whatever comes before a dot, a slash or two underscores do not matter (``"optimizer.lr"``), β and ε
    may be written so, and a number at the end need not be known (``"dropout_2"``). Names that often mean something else
    count only with ``ambiguous``.
    """
    known = _by_name(ambiguous)
    last = re.split(r"[./]|__", name.lower().translate(_GREEK))[-1]
    plain = re.sub(r"[^a-z0-9]+", "_", last).strip("_")
    for form in (plain, re.sub(r"_?\d+$", "", plain)):
        if form in known:
            return known[form]
    return None


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

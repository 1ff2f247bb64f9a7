"""Rules about who trains what: parameters, optimizers, and what neither knows of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from torch import Tensor

from tunewell.lint.finding import Finding
from tunewell.torch.auditing.evidence import Evidence
from tunewell.torch.auditing.parts import hidden, joined, listed
from tunewell.torch.optimizers import held_by


def unregistered(given: Evidence) -> Iterator[Finding]:
    """Point out layers and weights that PyTorch does not know of."""
    found = hidden(given.model)
    weights = [name for name, thing in found.items() if isinstance(thing, Tensor)]
    layers = [name for name in found if name not in weights]
    if layers:
        yield Finding(
            "unregistered-module",
            joined(layers),
            f"{listed(layers)} stand in a plain list or dict, so parameters(), to() and state_dict() leave them out",
            "hold them in nn.ModuleList or nn.ModuleDict",
        )
    if weights:
        yield Finding(
            "unregistered-parameter",
            joined(weights),
            f"{listed(weights)} want gradients and are no nn.Parameter of the model, so parameters(), to() and "
            f"state_dict() leave them out",
            "hold them as nn.Parameter, or in nn.ParameterList",
        )


def optimizers(given: Evidence) -> Iterator[Finding]:
    """Point out parameters that an optimizer should have and has not, or has and should not."""
    if not given.optimizers:
        return
    held = held_by(given.optimizers)
    own = dict(given.model.named_parameters())
    known = {id(p) for p in own.values()}
    loose = {id(t) for thing in hidden(given.model).values() for t in _weights(thing)}
    missing = [name for name, p in own.items() if p.requires_grad and id(p) not in held]
    foreign = [p for key, p in held.items() if key not in known | loose]
    if missing and foreign:
        yield Finding(
            "stale-optimizer",
            joined(missing),
            f"the optimizer holds {len(foreign)} parameters that are not the model's, and {listed(missing)} of the "
            f"model are not in it: the model was changed after the optimizer was made",
            "make the optimizer after the last change of the model",
        )
    elif missing:
        yield Finding(
            "not-in-optimizer",
            joined(missing),
            f"{len(missing)} parameters ({listed(missing)}) want gradients, are in no optimizer and so never change",
            "pass them to the optimizer, or set requires_grad=False",
        )
    if frozen := [name for name, p in own.items() if not p.requires_grad and id(p) in held]:
        yield Finding(
            "frozen-in-optimizer",
            joined(frozen),
            f"{len(frozen)} parameters ({listed(frozen)}) are frozen and in the optimizer all the same",
            "pass only parameters with requires_grad to the optimizer",
            "advice",
        )
    names = {id(p): name for name, p in own.items()}
    counts = Counter(id(p) for optimizer in given.optimizers for g in optimizer.param_groups for p in g["params"])
    if twice := [names.get(key, "a parameter") for key, n in counts.items() if n > 1]:
        yield Finding(
            "duplicate-in-optimizer",
            joined(twice),
            f"{listed(twice)} {'is' if len(twice) == 1 else 'are'} held more than once, so a step moves them twice",
            "pass each parameter to one optimizer, once",
        )


def _weights(thing: object) -> list[Tensor]:
    return [thing] if isinstance(thing, Tensor) else [*thing.parameters()]  # type: ignore[attr-defined]


RULES = (unregistered, optimizers)

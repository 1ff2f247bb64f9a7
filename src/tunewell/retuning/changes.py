"""What changed between two fingerprints, and what each change asks for: one small function a kind of change."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Literal, TypeAlias

from tunewell import knowledge
from tunewell.fingerprints import DataSummary, Fingerprint
from tunewell.knowledge.reading import changes as rules
from tunewell.retuning.drift import largest_loss, largest_shift, moved_share

Verdict: TypeAlias = Literal["keep", "learning_rate", "all"]
VERDICTS: tuple[Verdict, ...] = ("keep", "learning_rate", "all")  # the mildest first
TRAINING = ("data", "model", "batch_size", "steps", "optimizer")  # parts of a fingerprint that somebody has to say


@dataclass(frozen=True, slots=True)
class Change:
    """Something that is not as it was.

    Attributes:
        what: a key of the rules: ``"batch_size"``, ``"examples"``, ``"drift"``, …
        message: what was and what is.
        verdict: what it asks for: ``"keep"``, ``"learning_rate"`` or ``"all"``.
        factor: what is over what was, 1 where the change is no factor.
        learning_rate: by what the best learning rate is expected to be multiplied.
        width: how far, as a factor, the best rate may lie from there.
    """

    what: str
    message: str
    verdict: Verdict
    factor: float = 1.0
    learning_rate: float = 1.0
    width: float = 1.0

    @property
    def why(self) -> str:
        """What follows from it, and who says so."""
        rule = rules()[self.what]
        return f"{rule.why} [{'; '.join(map(str, rule.sources))}]"


def changes_between(then: Fingerprint, now: Fingerprint) -> tuple[Change, ...]:
    """Return all that changed and is known on both sides, the weightiest first."""
    found = [change for look in LOOKS for change in look(then, now)]
    return tuple(sorted(found, key=lambda change: -VERDICTS.index(change.verdict)))


def not_compared(then: Fingerprint, now: Fingerprint) -> tuple[str, ...]:
    """Return the parts of a fingerprint that one side does not know, the labels' classes among them."""
    parts = (*TRAINING, "hardware")
    missing = [part for part in parts if getattr(then, part) is None or getattr(now, part) is None]
    if then.data and now.data and bool(then.data.classes) != bool(now.data.classes):
        missing.append("classes")
    return tuple(missing)


def unrecorded(then: Fingerprint, now: Fingerprint) -> tuple[str, ...]:
    """Return the parts of the training that are said now and were not then."""
    return tuple(part for part in TRAINING if getattr(then, part) is None and getattr(now, part) is not None)


def nothing_compared(then: Fingerprint, now: Fingerprint) -> bool:
    """Tell whether no part of the training is known on both sides: machine and libraries alone say too little."""
    return not any(getattr(then, part) and getattr(now, part) for part in TRAINING)


def family(optimizer: str | None) -> str:
    """Return ``"sgd"`` or ``"adam"``: by which of them a rate follows the batch; Adam where nothing is said."""
    return "sgd" if optimizer is not None and "sgd" in knowledge.OPTIMIZERS.get(optimizer, ()) else "adam"


# --- sizes ------------------------------------------------------------------------------------------------------------


def sizes(then: Fingerprint, now: Fingerprint) -> Iterator[Change]:
    """Look at the numbers that change by a factor."""
    pairs = {
        "batch_size": (then.batch_size, now.batch_size),
        "examples": (then.data and then.data.examples, now.data and now.data.examples),
        "parameters": (then.model and then.model.parameters, now.model and now.model.parameters),
        "steps": (then.steps, now.steps),
    }
    kind = family(now.optimizer or then.optimizer)
    for what, (before, after) in pairs.items():
        if before and after and before != after:
            yield _sized(what, before, after, kind)


def _sized(what: str, before: int, after: int, kind: str) -> Change:
    rule, factor = rules()[what], after / before
    verdict = _verdict(what, max(factor, 1.0 / factor) * (1.0 + 1e-9))
    shown = f"x{factor:.3g}" if factor > 1 else f"/{1.0 / factor:.3g}"
    return Change(
        what,
        f"the {rule.means} is {after:,} and was {before:,} ({shown})",
        verdict,
        factor,
        learning_rate=factor ** rule.learning_rate[kind],
        width=rule.width if verdict != "keep" else 1.0,
    )


def _verdict(what: str, amount: float) -> Verdict:
    rule = rules()[what]
    return "all" if amount >= rule.much else "learning_rate" if amount >= rule.some else "keep"


# --- data -------------------------------------------------------------------------------------------------------------


def another_task(then: Fingerprint, now: Fingerprint) -> Iterator[Change]:
    """Look for inputs of another shape and for other classes."""
    if then.data is None or now.data is None:
        return
    if then.data.sampled and now.data.sampled and then.data.shape != now.data.shape:
        yield Change("shape", f"an input has the shape {now.data.shape} and had {then.data.shape}", "all")
    new, gone = now.data.classes.keys() - then.data.classes.keys(), then.data.classes.keys() - now.data.classes.keys()
    if then.data.classes and now.data.classes and (new or gone) and not _rare(then.data, now.data, new, gone):
        told = [f"{word} {', '.join(sorted(names)[:5])}" for word, names in (("new:", new), ("gone:", gone)) if names]
        yield Change("shape", f"the classes are others ({'; '.join(told)})", "all")


def _rare(then: DataSummary, now: DataSummary, new: set[str], gone: set[str]) -> bool:
    """Tell whether a sample may have missed these classes."""
    shares = [now.classes[name] for name in new] + [then.classes[name] for name in gone]
    return max(shares) * min(then.sampled, now.sampled) < 10


def drift(then: Fingerprint, now: Fingerprint) -> Iterator[Change]:
    """Look for inputs and labels that are distributed otherwise."""
    if then.data is None or now.data is None or not (then.data.sampled and now.data.sampled):
        return
    if then.data.shape == now.data.shape:
        name, shift = largest_shift(then.data, now.data)
        if (verdict := _verdict("drift", shift)) != "keep":
            message = f"the inputs are others: {_moved(name, shift, then.data, now.data)}"
            yield Change("drift", message, verdict, width=rules()["drift"].width)
        name, share = largest_loss(then.data, now.data)
        if (verdict := _verdict("missing", abs(share))) != "keep":
            words = "more" if share > 0 else "less"
            message = f"column {name!r} lacks a value in {abs(share):.0%} {words} of the examples, beyond chance"
            yield Change("missing", message, verdict, width=rules()["missing"].width)
    if then.data.classes and then.data.classes.keys() & now.data.classes.keys():
        share = moved_share(then.data, now.data)
        if (verdict := _verdict("classes", share)) != "keep":
            message = f"the shares of the classes are others: {share:.0%} of the examples more than chance"
            yield Change("classes", message, verdict, width=rules()["classes"].width)


def _moved(name: str, shift: float, then: DataSummary, now: DataSummary) -> str:
    """Return in words how a column moved: its values as a whole, their spread, or the shares of its categories."""
    before, after = ({feature.name: feature for feature in side.features}.get(name) for side in (then, now))
    if before is None or after is None:
        return f"the values of column {name!r} have other shares, in {shift:.0%} of the examples more than chance"
    if abs(after.mean - before.mean) < 0.5 * shift * math.sqrt(before.std * after.std):
        return f"column {name!r} has the standard deviation {after.std:.3g} and had {before.std:.3g}"
    return f"column {name!r} moved by {shift:.2g} standard deviations more than chance"


def age(then: Fingerprint, now: Fingerprint) -> Iterator[Change]:
    """Look how long ago the data were last compared, where they are not compared now."""
    compared = then.data is not None and now.data is not None and then.data.sampled and now.data.sampled
    if compared or not then.date or not now.date:
        return
    days = (date.fromisoformat(now.date) - date.fromisoformat(then.date)).days
    if (verdict := _verdict("age", days)) != "keep":
        yield Change(
            "age", f"it is {days} days old, and the data are not compared", verdict, width=rules()["age"].width
        )


# --- model, libraries, machine ----------------------------------------------------------------------------------------


def architecture(then: Fingerprint, now: Fingerprint) -> Iterator[Change]:
    """Look for layers of other kinds; more of the same kinds are a matter of size."""
    if then.model is None or now.model is None or not (then.model.layers and now.model.layers):
        return
    new, gone = now.model.layers.keys() - then.model.layers.keys(), then.model.layers.keys() - now.model.layers.keys()
    told = [f"{word} {', '.join(sorted(names))}" for word, names in (("new:", new), ("gone:", gone)) if names]
    if told:
        yield Change("layers", f"the model has other kinds of layers ({'; '.join(told)})", "all")


def optimizer(then: Fingerprint, now: Fingerprint) -> Iterator[Change]:
    """Look for another optimizer."""
    if then.optimizer and now.optimizer and then.optimizer != now.optimizer:
        yield Change("optimizer", f"the optimizer is {now.optimizer} and was {then.optimizer}", "all")


def libraries(then: Fingerprint, now: Fingerprint) -> Iterator[Change]:
    """Look for other major versions of what trains; Python's own does not matter."""
    both = (then.versions.keys() & now.versions.keys()) - {"python"}
    for name in sorted(both):
        before, after = then.versions[name], now.versions[name]
        if before.partition(".")[0] != after.partition(".")[0]:
            width = rules()["versions"].width
            yield Change("versions", f"{name} is {after} and was {before}", "learning_rate", width=width)


def machine(then: Fingerprint, now: Fingerprint) -> Iterator[Change]:
    """Look for another machine."""
    if then.hardware is None or now.hardware is None or then.hardware == now.hardware:
        return
    before, after = (
        f"{len(h.gpus)} x {h.gpus[0]}" if h.gpus else f"{h.cores} cores of {h.cpu}"
        for h in (then.hardware, now.hardware)
    )
    many = len(then.hardware.gpus) != len(now.hardware.gpus) and math.isclose(_batches(then, now), 1.0)
    hint = "; if an update now sees another batch, say batch_size=" if many else ""
    yield Change("hardware", f"the machine has {after} and had {before}{hint}", "keep")


def _batches(then: Fingerprint, now: Fingerprint) -> float:
    return now.batch_size / then.batch_size if now.batch_size and then.batch_size else 1.0


Look: TypeAlias = Callable[[Fingerprint, Fingerprint], Iterator[Change]]
LOOKS: tuple[Look, ...] = (sizes, another_task, architecture, optimizer, drift, libraries, age, machine)

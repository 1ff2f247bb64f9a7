"""What a study was tuned for, as a small record: data, model, machine and libraries.

A fingerprint is compared with a later one, to say whether what was found still holds (:mod:`tunewell.retuning`). None,
or nothing, is what nobody said. :mod:`tunewell.fingerprinting` takes one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
"""The quantiles that a feature is summarised by."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One column of numbers: mean, standard deviation and the quantiles at :data:`LEVELS`, in its own units.

    ``missing`` is the share of examples that have no finite number there, None in fingerprints of before it was kept.
    """

    name: str
    mean: float
    std: float
    quantiles: tuple[float, ...]
    missing: float | None = None


@dataclass(frozen=True, slots=True)
class DataSummary:
    """A set of examples.

    Attributes:
        examples: how many there are.
        shape: the shape of one example's input; empty for a text.
        sampled: how many examples the statistics rest on.
        features: columns of numbers; of wide examples, such as images, a few dozen means that stand for them.
        categories: of each column that has no numbers, the shares of its most frequent values.
        classes: the shares of the labels; empty where targets are numbers, or not given.
    """

    examples: int
    shape: tuple[int, ...]
    sampled: int
    features: tuple[Feature, ...] = ()
    categories: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    classes: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """A model: its name, how many numbers it learns (None: unknown), how many layers of which kind.

    ``shapes`` are 12 hexadecimal digits that differ where any weight's name or shape does.
    """

    name: str
    parameters: int | None = None
    layers: Mapping[str, int] = field(default_factory=dict)
    shapes: str = ""


@dataclass(frozen=True, slots=True)
class Hardware:
    """A machine: the name of its processor, the cores that may be used, the names of its GPUs."""

    cpu: str
    cores: int
    gpus: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a study is tuned for.

    Attributes:
        batch_size: the examples of an update, where it is not a parameter of the space.
        steps: the steps of a full training.
        optimizer: as in :data:`tunewell.knowledge.OPTIMIZERS`.
        versions: of Python and of the libraries that train.
        date: the day it was taken, ``"2026-11-21"``; two fingerprints that differ in it only are equal.
    """

    data: DataSummary | None = None
    model: ModelSummary | None = None
    batch_size: int | None = None
    steps: int | None = None
    optimizer: str | None = None
    hardware: Hardware | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    date: str = field(default="", compare=False)

    def over(self, earlier: Fingerprint | None) -> Fingerprint:
        """Return this fingerprint with what it does not say taken from an earlier one."""
        if earlier is None:
            return self
        kept = {
            part.name: getattr(earlier, part.name)
            for part in dataclasses.fields(self)
            if getattr(self, part.name) in (None, {}, "")
        }
        return dataclasses.replace(self, **kept)

    def to_json(self) -> str:
        """Return the fingerprint as text, to be taken elsewhere."""
        import msgspec

        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str) -> Fingerprint:
        """Rebuild a fingerprint from :meth:`to_json`; raise ValueError on anything else."""
        import msgspec

        try:
            found = msgspec.json.decode(text, type=cls)
            if unknown := msgspec.json.decode(text).keys() - {part.name for part in dataclasses.fields(cls)}:
                raise msgspec.ValidationError(f"unknown keys: {', '.join(sorted(unknown))}")
        except msgspec.MsgspecError as error:
            raise ValueError(
                f"expected a fingerprint as Fingerprint.to_json writes it, got {text[:60]!r} ({error})"
            ) from None
        return found

    def __str__(self) -> str:
        parts = []
        if self.data is not None:
            shape = " x ".join(map(str, (self.data.examples, *self.data.shape)))
            parts.append(f"data {shape}" + (f", {len(self.data.classes)} classes" if self.data.classes else ""))
        if self.model is not None:
            size = f", {self.model.parameters:,} parameters" if self.model.parameters is not None else ""
            parts.append(f"model {self.model.name}{size}".replace(" ,", ""))
        said = {name: getattr(self, name) for name in ("batch_size", "steps", "optimizer")}
        parts += [f"{name} {value}" for name, value in said.items() if value is not None]
        if self.hardware is not None:
            gpus = self.hardware.gpus
            parts.append(f"{len(gpus)} x {gpus[0]}" if gpus else f"{self.hardware.cores} cores")
        parts += [f"{name} {version}" for name, version in self.versions.items()]
        return "; ".join(parts) or "nothing known"

"""Events to text and back.

An event is stored as its kind and a JSON object of its fields. The kind carries a version when the fields have changed
since the first release (``"ended@2"``); older ones are lifted step by step through :data:`UPGRADES`, so a study
outlives the release that wrote it. JSON has no NaN or infinity: such metrics are stored as ``"nan"``, ``"inf"`` and
``"-inf"``.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from tunewell.events import (
    Adjusted,
    Answered,
    Believed,
    CheckpointSaved,
    Ended,
    Enqueued,
    Event,
    Fingerprinted,
    Noted,
    Paused,
    Planned,
    Reported,
    Requested,
    RunStarted,
    SettingsChanged,
    SpaceChanged,
    StudyCreated,
    TrialResumed,
    TrialStarted,
)
from tunewell.space import Space

KINDS: dict[str, tuple[type, int]] = {
    "study_created": (StudyCreated, 1),
    "space_changed": (SpaceChanged, 1),
    "settings_changed": (SettingsChanged, 1),
    "run_started": (RunStarted, 1),
    "fingerprinted": (Fingerprinted, 1),
    "enqueued": (Enqueued, 1),
    "believed": (Believed, 1),
    "trial_started": (TrialStarted, 1),
    "trial_resumed": (TrialResumed, 1),
    "planned": (Planned, 1),
    "reported": (Reported, 1),
    "checkpoint_saved": (CheckpointSaved, 1),
    "adjusted": (Adjusted, 1),
    "paused": (Paused, 1),
    "ended": (Ended, 1),
    "noted": (Noted, 1),
    "requested": (Requested, 1),
    "answered": (Answered, 1),
}
"""Each kind with its class and the version that is written today."""

Upgrade = Callable[[dict[str, Any]], dict[str, Any]]

UPGRADES: dict[tuple[str, int], Upgrade] = {}
"""``UPGRADES[kind, n]`` turns the fields of version ``n`` into those of version ``n + 1``."""


RESCUE = "tunewell export --events writes out what is there"


class Unreadable(ValueError):
    """An event that this release cannot read, or a database that is damaged; trying again does not help."""


def encode(event: Event) -> tuple[str, str]:
    """Return the kind and the JSON text of an event.

    What is written can be read: an event whose fields have wrong types is refused here, not by whoever opens the study
    next year. Reports are left out of that check, since they are many and made by this library alone.

    Raises:
        TypeError: a field is not of the type that the event says.
    """
    name = _NAMES[event.__class__]
    metrics = getattr(event, "metrics", None)
    try:
        if metrics and not all(map(math.isfinite, metrics.values())):
            body = _ENCODER.encode(_storable(event)).decode()
        else:
            body = _ENCODER.encode(event).decode()
    except UnicodeEncodeError:  # half a character, as in the names of badly encoded files
        body = _ENCODER.encode(_storable(event)).decode()
    if event.__class__ is not Reported:
        try:
            _DECODERS[name].decode(body)
        except msgspec.MsgspecError as error:
            raise TypeError(f"expected plain data in a {name!r} event, got {event!r} ({error})") from error
    return name, body


def _storable(event: Event) -> dict[str, Any]:
    """Return the fields of an event with whatever JSON cannot say put into words."""
    return {field.name: _said(getattr(event, field.name)) for field in dataclasses.fields(event)}


def _said(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {_said(key): _said(part) for key, part in value.items()}
    return value


def decode(kind: str, body: str) -> Event:
    """Return the event that :func:`encode` gave ``kind`` and ``body`` for, in this release or an older one.

    Raises:
        Unreadable: the kind or its version is unknown, or the fields do not fit.
    """
    try:
        decoder = _DECODERS.get(kind)
        if decoder is None:
            return _decode_older(kind, body)
        event = decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise Unreadable(f"expected the fields of a {kind!r} event, got {body[:200]!r} ({error}): {RESCUE}") from error
    return _with_tuples(event) if event.__class__ in _WITH_CONFIG else event  # type: ignore[no-any-return]


def decode_all(rows: Sequence[tuple[int, str, str]], first: int) -> Iterator[Event]:
    """Yield the events of many rows of position, kind and text, whose positions count on from ``first``.

    As :func:`decode` for each, with less ado for the bulk of them, the reports.

    Raises:
        Unreadable: see :func:`decode`; or a position is another, as after a damage of the file.
    """
    name, reports = _NAMES[Reported], _DECODERS[_NAMES[Reported]].decode
    if rows and (rows[0][0], rows[-1][0]) != (first, first + len(rows) - 1):  # the key keeps those between in order
        raise gap(next(each for each, (position, _, _) in enumerate(rows, first) if position != each))
    for position, kind, body in rows:
        try:
            event = reports(body) if kind == name else decode(kind, body)
        except (msgspec.MsgspecError, Unreadable):
            event = _decoded_at(position, kind, body)  # says what is wrong
        yield event


def _decoded_at(position: int, kind: str, body: str) -> Event:
    try:
        return decode(kind, body)
    except Unreadable as error:
        raise Unreadable(f"at event {position} {error}") from error


def gap(position: int) -> Unreadable:
    """Return the error that says that there are later events and not this one."""
    return Unreadable(f"expected event {position} before later ones, found none, so the database is damaged: {RESCUE}")


def _decode_older(kind: str, body: str) -> Event:
    name, _, number = kind.partition("@")
    version = int(number) if number.isdigit() else 1
    if name not in KINDS or version > KINDS[name][1]:
        raise Unreadable(f"there is a {kind!r} event, which a newer release wrote: upgrade tunewell to read it")
    newest = KINDS[name][1]
    fields = msgspec.json.decode(body)
    for step in range(version, newest):
        fields = UPGRADES[name, step](fields)
    return decode(_NAMES[KINDS[name][0]], _ENCODER.encode(fields).decode())


def _kind(name: str, version: int) -> str:
    return name if version == 1 else f"{name}@{version}"


def _to_plain(value: Any) -> Any:
    if isinstance(value, Space):
        return value.to_json()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"expected plain data in an event, got {type(value).__name__}")


def _from_plain(kind: type, value: Any) -> Any:
    return Space.from_json(value) if kind is Space else value


def _with_tuples(event: Any) -> Any:
    """JSON has lists only, configurations tuples only."""
    name = _WITH_CONFIG[event.__class__]
    config = getattr(event, name)
    if any(value.__class__ in (list, tuple) for value in config.values()):
        return dataclasses.replace(event, **{name: {key: _tupled(value) for key, value in config.items()}})
    return event


def _tupled(value: Any) -> Any:
    return tuple(map(_tupled, value)) if isinstance(value, list | tuple) else value


_WITH_CONFIG: dict[type, str] = {
    TrialStarted: "config",
    Enqueued: "config",
    Believed: "config",
    Adjusted: "values",
    Requested: "values",
}
_NAMES = {cls: _kind(name, version) for name, (cls, version) in KINDS.items()}
_ENCODER = msgspec.json.Encoder(enc_hook=_to_plain)
# Only the two kinds with metrics are read leniently ("nan" as a number): a choice "1" must stay a string.
_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    _NAMES[cls]: msgspec.json.Decoder(cls, dec_hook=_from_plain, strict=cls not in (Reported, Ended))
    for cls, _ in KINDS.values()
}

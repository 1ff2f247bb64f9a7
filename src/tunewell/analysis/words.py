"""Numbers, times and values in words: how a report says things, and how it makes foreign text safe to show.

Every string that comes from a study (names, choices, reasons, tracebacks, notes) is foreign: it reaches HTML only
through :func:`escape` and a script only through :func:`json_for_script`.
"""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

NOTHING = "–"

_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # what terminals make of tracebacks
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def clean(text: object) -> str:
    """Return ``text`` without terminal colours, with every character that HTML or UTF-8 cannot hold as ``�``."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", _COLOURS.sub("", str(text)))


def escape(text: object) -> str:
    """Return ``text`` safe inside HTML text and quoted attributes."""
    return html.escape(clean(text))


def json_for_script(data: Any) -> str:
    """Return JSON that cannot end the ``<script>`` element it stands in."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def short(value: float | None, digits: int = 4) -> str:
    """Return a number with ``digits`` significant digits, or what it is instead of a number.

    >>> short(0.031249), short(1.2e-5), short(48213.7), short(None), short(float("inf"))
    ('0.03125', '1.2e-5', '48,214', '–', '∞')
    """
    if value is None:
        return NOTHING
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "∞" if value > 0 else "−∞"
    if 1e4 <= abs(value) < 1e7:
        return f"{value:,.0f}".replace("-", "−")
    return tidy_exponent(f"{value:.{digits}g}")


def tidy_exponent(text: str) -> str:
    """Return ``1e-05`` as ``1e-5`` and a leading hyphen as a minus sign."""
    text = re.sub(r"e([+-])0*(\d)", lambda m: f"e{'-' if m[1] == '-' else ''}{m[2]}", text)
    return f"−{text[1:]}" if text.startswith("-") else text


def shown(value: Any) -> str:
    """Return a parameter's value as people read it: floats rounded, strings without quotes."""
    if isinstance(value, float):
        return short(value)
    if isinstance(value, tuple):
        return f"({', '.join(map(shown, value))}{',' if len(value) == 1 else ''})"
    return str(value)


def clipped(text: str, width: int) -> str:
    """Return at most ``width`` characters of ``text``, an ellipsis in place of the rest."""
    return text if len(text) <= width else f"{text[: max(1, width - 1)]}…"


def told_apart(texts: Sequence[str], width: int) -> list[str]:
    """Return ``texts`` clipped to ``width``: at the end, or in the middle where only their ends differ.

    >>> told_apart(["resnet-large", "resnet-larger"], 8)
    ['res…arge', 'res…rger']
    """
    short_ones = [clipped(text, width) for text in texts]
    if len(set(short_ones)) == len(set(texts)):
        return short_ones
    head, tail = max(1, (width - 1) // 2), max(1, width - 1 - (width - 1) // 2)
    return [text if len(text) <= width else f"{text[:head]}…{text[-tail:]}" for text in texts]


def literal(value: Any) -> str:
    """Return a parameter's value as Python source that evaluates to exactly that value.

    >>> literal(("adam", 0.1, None)), literal('a "b"')
    ('("adam", 0.1, None)', '"a \\\\"b\\\\""')
    """
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False) if value.isprintable() else repr(value)
    if isinstance(value, tuple):
        return f"({', '.join(map(literal, value))}{',' if len(value) == 1 else ''})"
    return repr(value)


def counted(n: int, noun: str, plural: str = "") -> str:
    """Return ``1 trial``, ``12,000 trials``."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def duration(seconds: float) -> str:
    """Return a length of time in its two largest units.

    >>> duration(0.0042), duration(2.345), duration(123.4), duration(90061)
    ('4.2 ms', '2.3 s', '2 min 3 s', '1 d 1 h')
    """
    if not math.isfinite(seconds) or seconds <= 0.0:
        return "0 s"
    if seconds < 0.1:
        return f"{seconds * 1e3:.2g} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, unit, next_size, next_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // next_size
            return f"{whole // size:,} {unit}" + (f" {rest} {next_unit}" if rest else "")
    return f"{whole} s"


def unbroken(text: str) -> str:
    """Return ``text`` with numbers tied to their units, so that no line ends between them."""
    return re.sub(r"(?<=\d) (?=(ms|s|min|h|d|%)\b|%)", "\N{NO-BREAK SPACE}", text)


def moment(time: float | None) -> str:
    """Return a time since the epoch as a date in UTC, or an empty string for the times of a virtual clock."""
    if time is None or not 1e8 < time < 1e11:
        return ""
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M UTC")


def span(begin: float | None, end: float | None) -> str:
    """Return two moments as one phrase, the day said once when it is the same."""
    first, last = moment(begin), moment(end)
    if not first or not last or first == last:
        return first or last
    return f"{first[:-4]} to {last[11:] if first[:10] == last[:10] else last}"


def percent(share: float) -> str:
    """Return a share of 1 in per cent, without ever rounding up to all or down to nothing."""
    points = 100.0 * share
    if 0.0 < points < 1.0:
        return "under 1 %"
    if 99.0 < points < 100.0:
        return "over 99 %"
    return f"{points:.0f} %"

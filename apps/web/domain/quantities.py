"""Durations, moments and money in the few forms in which people read them: the only place that
says how. ``static/js/quantities.js`` has the forms that pages keep fresh; a test holds both to one
table."""

from __future__ import annotations

from datetime import timedelta
from math import isfinite

MINUTE, HOUR, DAY = 60, 3600, 86400
MICRO = 1_000_000  # in a dollar, as costs are kept
SOON_SECONDS = 120
SOON_SHARE = 0.2
DASH = "\N{EM DASH}"  # no value; ranges have an en dash
UNITS = ((DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (1, "s"))


def duration_words(seconds: float) -> str:
    """``840 ms``, ``3.2 s``, ``1 m 04 s``, ``2 h 05 m``, ``3 d 4 h``."""
    if seconds < 0:
        return f"-{duration_words(-seconds)}"
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} m {whole % MINUTE:02} s"
    if whole < DAY:
        return f"{whole // HOUR} h {whole % HOUR // MINUTE:02} m"
    return f"{whole // DAY} d {whole % DAY // HOUR} h"


def measured_words(seconds: float | None) -> str:
    """The same, or a dash where nothing was measured."""
    return DASH if seconds is None or not isfinite(seconds) else duration_words(seconds)


def exact_words(seconds: float) -> str:
    """What somebody set, to the second: ``4 h``, ``1 m 30 s``, ``0.5 s``."""
    if seconds != int(seconds) or seconds < MINUTE:
        return f"{seconds:g} s"
    rest, parts = int(seconds), []
    for size, unit in UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts)


def coarse_words(length: timedelta | float) -> str:
    """The one unit that matters: ``12 s``, ``5 min``, ``2 h``, ``3 d``, ``for ever``."""
    total = length.total_seconds() if isinstance(length, timedelta) else length
    if not isfinite(total):
        return "for ever"
    seconds = int(abs(total))
    if seconds < MINUTE:
        return f"{seconds} s"
    if seconds < HOUR:
        return f"{seconds // MINUTE} min"
    if seconds < DAY:
        return f"{seconds // HOUR} h"
    return f"{seconds // DAY} d"


def ago_words(delta: timedelta) -> str:
    """``12 s ago`` for a moment that lies ``delta`` in the past, ``in 5 min`` for the future."""
    words = coarse_words(delta)
    return f"{words} ago" if delta.total_seconds() >= 0 else f"in {words}"


def due_words(left: timedelta) -> str:
    """``2 m 10 s`` while there is time, ``overdue 40 s`` afterwards; coarse beyond ten minutes."""
    seconds = left.total_seconds()
    if seconds < 0:
        return f"overdue {coarse_words(left)}"
    if seconds < MINUTE:
        return f"{int(seconds)} s"
    if seconds < 10 * MINUTE:
        return duration_words(int(seconds))
    return coarse_words(left) if seconds < HOUR else duration_words(int(seconds))


def urgency(left: timedelta, window: timedelta | None) -> str:
    """``late``, ``soon`` (two minutes or a fifth of the window left) or ``""``."""
    seconds = left.total_seconds()
    if seconds < 0:
        return "late"
    share = window.total_seconds() * SOON_SHARE if window else 0.0
    return "soon" if seconds <= max(SOON_SECONDS, share) else ""


def money_words(cents: int, currency: str = "$") -> str:
    """Exact to the cent, never through a float: ``$1,240.00``, ``-$0.05``."""
    whole, rest = divmod(abs(int(cents)), 100)
    return f"{'-' if cents < 0 else ''}{currency}{whole:,}.{rest:02}"


def cost_words(usd: float | None) -> str:
    """What something cost: small sums keep the digits that tell them apart, ``$0.0312``, ``$4.20``;
    a dash where nobody knows."""
    if usd is None:
        return DASH
    return f"${usd:,.2f}" if usd >= 1 or usd == 0 else f"${usd:.4f}"

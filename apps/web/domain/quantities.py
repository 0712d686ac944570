"""Durations, moments and money in the few forms in which people read them."""

from __future__ import annotations

from datetime import timedelta

MINUTE, HOUR, DAY = 60, 3600, 86400
SOON_SECONDS = 120
SOON_SHARE = 0.2


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


def coarse_words(delta: timedelta) -> str:
    """The one unit that matters: ``12 s``, ``5 min``, ``2 h``, ``3 d``."""
    seconds = int(abs(delta.total_seconds()))
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
    return coarse_words(left) if seconds < HOUR else duration_words(seconds)


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

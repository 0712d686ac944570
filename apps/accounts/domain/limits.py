"""How long a session lives, and how long somebody waits after wrong passwords. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

BEGAN, SEEN, PROVED = "began", "seen", "proved"  # moments in a session, in seconds since 1970
NOTED_EVERY_S = 60  # how exact "seen" is
PROVED_FOR_S = 15 * 60  # for so long a log-in lets people change how they log in

FREE_TRIES = 5
FIRST_WAIT_S, LONGEST_WAIT_S = 30, 15 * 60
FORGOTTEN_AFTER_S = 24 * 3600


def wait_after(failures: int) -> int:
    """Seconds until the next try after so many wrong ones: none for the first four, then 30 s, and
    twice as long each time, a quarter of an hour at most."""
    if failures < FREE_TRIES:
        return 0
    return int(min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(failures - FREE_TRIES, 10)))


def is_over(session: Mapping[str, Any], *, now_s: float, idle_s: float, longest_s: float) -> bool:
    """Whether a session ended by its times. What isn't a time counts as one long past."""
    began, seen = (_moment(session.get(name)) for name in (BEGAN, SEEN))
    return now_s - began > longest_s or now_s - seen > idle_s


def is_proved(session: Mapping[str, Any], *, now_s: float) -> bool:
    """Whether its person logged in just now."""
    return now_s - _moment(session.get(PROVED)) <= PROVED_FOR_S


def _moment(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0

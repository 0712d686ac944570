"""Circuit breaker: stop asking a tool that fails, probe it, let it back.

Closed → open at half of at least ten calls failed within thirty seconds, or five timeouts in a
row; open for twenty seconds; then half-open: it is tried again, and any failure opens it (Nygard,
"Release It!", 2007; Azure Architecture Center, "Circuit Breaker pattern").
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

WINDOW = timedelta(seconds=30)
OPEN_FOR = timedelta(seconds=20)
LEAST_CALLS = 10
TIMEOUTS_IN_A_ROW = 5


@dataclass(frozen=True, slots=True)
class Breaker:
    state: str
    window_started_at: datetime
    calls: int = 0
    failures: int = 0
    timeouts_in_a_row: int = 0
    open_until: datetime | None = None
    reason: str = ""


def after(
    breaker: Breaker, *, successes: int, failures: int, timeouts: int, now: datetime
) -> Breaker:
    """The breaker after a batch of calls ended. ``failures`` includes ``timeouts``."""
    if breaker.state == "open":
        return breaker
    if breaker.state == "half_open":
        if failures:
            return _opened(breaker, now, "a probe failed")
        return Breaker("closed", now) if successes else breaker
    if now - breaker.window_started_at > WINDOW:
        breaker = Breaker("closed", now, timeouts_in_a_row=breaker.timeouts_in_a_row)
    breaker = replace(
        breaker,
        calls=breaker.calls + successes + failures,
        failures=breaker.failures + failures,
        timeouts_in_a_row=0 if successes else breaker.timeouts_in_a_row + timeouts,
    )
    if breaker.timeouts_in_a_row >= TIMEOUTS_IN_A_ROW:
        return _opened(breaker, now, f"{breaker.timeouts_in_a_row} timeouts in a row")
    if breaker.calls >= LEAST_CALLS and breaker.failures * 2 >= breaker.calls:
        return _opened(breaker, now, f"{breaker.failures} of {breaker.calls} calls failed")
    return breaker


def _opened(breaker: Breaker, now: datetime, reason: str) -> Breaker:
    return replace(breaker, state="open", open_until=now + OPEN_FOR, reason=reason)

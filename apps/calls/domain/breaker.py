"""Circuit breaker: stop asking a tool that fails, probe it, let it back.

Closed → open at half of at least ten calls failed within thirty seconds, or five timeouts in a
row; open for twenty seconds and up to a fifth more; then half-open: at most two probes at a time,
closed after as many successes, open again at any failure (Nygard, "Release It!", 2007; Azure
Architecture Center, "Circuit Breaker pattern"). One that a person opened stays open until a person
closes it, and then has to pass its probes like any other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

WINDOW = timedelta(seconds=30)
OPEN_FOR = timedelta(seconds=20)
JITTER = 0.2  # of OPEN_FOR, so that many breakers don't try at one moment
LEAST_CALLS = 10
TIMEOUTS_IN_A_ROW = 5
PROBES = 2


@dataclass(frozen=True, slots=True)
class BreakerStatus:
    """A breaker as it stands. ``probes_passed`` counts in half-open only."""

    state: str  # closed | open | half_open
    window_started_at: datetime
    calls: int = 0
    failures: int = 0
    timeouts_in_a_row: int = 0
    open_until: datetime | None = None
    reason: str = ""
    manual: bool = False
    probes_passed: int = 0


def after(
    breaker: BreakerStatus,
    *,
    successes: int,
    failures: int,
    timeouts: int,
    now: datetime,
    jitter: float = 0.0,
) -> BreakerStatus:
    """The breaker after a batch of calls ended. ``failures`` includes ``timeouts``; ``jitter`` is
    a number from 0 to 1. Calls that were under way when it opened change nothing."""
    if breaker.state == "open":
        return breaker
    if breaker.state == "half_open":
        return _probed(breaker, successes, failures, now, jitter)
    if now - breaker.window_started_at > WINDOW:
        breaker = BreakerStatus("closed", now, timeouts_in_a_row=breaker.timeouts_in_a_row)
    breaker = replace(
        breaker,
        calls=breaker.calls + successes + failures,
        failures=breaker.failures + failures,
        timeouts_in_a_row=0 if successes else breaker.timeouts_in_a_row + timeouts,
    )
    if breaker.timeouts_in_a_row >= TIMEOUTS_IN_A_ROW:
        return _opened(breaker, now, jitter, f"{breaker.timeouts_in_a_row} timeouts in a row")
    if breaker.calls >= LEAST_CALLS and breaker.failures * 2 >= breaker.calls:
        reason = f"{breaker.failures} of {breaker.calls} calls failed"
        return _opened(breaker, now, jitter, reason)
    return breaker


def _probed(
    breaker: BreakerStatus, successes: int, failures: int, now: datetime, jitter: float
) -> BreakerStatus:
    if failures:
        return _opened(breaker, now, jitter, "a probe failed")
    passed = breaker.probes_passed + successes
    return (
        BreakerStatus("closed", now) if passed >= PROBES else replace(breaker, probes_passed=passed)
    )


def _opened(breaker: BreakerStatus, now: datetime, jitter: float, reason: str) -> BreakerStatus:
    until = now + OPEN_FOR * (1 + JITTER * jitter)
    return replace(breaker, state="open", open_until=until, reason=reason, probes_passed=0)


def is_probed(breaker: BreakerStatus, now: datetime) -> bool:
    """Whether probes may be sent: half-open, or open by itself with its time over."""
    if breaker.state == "half_open":
        return True
    over = breaker.open_until is not None and breaker.open_until <= now
    return breaker.state == "open" and not breaker.manual and over


def half_opened(breaker: BreakerStatus) -> BreakerStatus:
    """The breaker that is being tried."""
    return replace(breaker, state="half_open", open_until=None, manual=False, probes_passed=0)


def held_open(breaker: BreakerStatus, reason: str) -> BreakerStatus:
    """The breaker that a person opened: nothing but a person lets it be tried."""
    return replace(breaker, state="open", open_until=None, reason=reason, manual=True)


def room(out: int) -> int:
    """How many more probes may be sent while ``out`` calls of the tool are under way."""
    return max(0, PROBES - out)

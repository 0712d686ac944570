from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from apps.runs.domain.breaker import LEAST_CALLS, OPEN_FOR, Breaker, after

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CLOSED = Breaker("closed", NOW)


def test_half_of_enough_calls_failing_opens_it() -> None:
    opened = after(CLOSED, successes=5, failures=5, timeouts=0, now=NOW)

    assert (opened.state, opened.open_until) == ("open", NOW + OPEN_FOR)


@given(st.integers(0, LEAST_CALLS - 1))
def test_few_calls_never_open_it_by_their_share(failures: int) -> None:
    assert after(CLOSED, successes=0, failures=failures, timeouts=0, now=NOW).state == "closed"


def test_five_timeouts_in_a_row_open_it() -> None:
    breaker = CLOSED
    for _ in range(5):
        breaker = after(breaker, successes=0, failures=1, timeouts=1, now=NOW)

    assert breaker.state == "open"


def test_old_failures_are_forgotten() -> None:
    failing = after(CLOSED, successes=0, failures=9, timeouts=0, now=NOW)

    later = after(failing, successes=1, failures=1, timeouts=0, now=NOW + timedelta(seconds=31))

    assert (later.state, later.calls) == ("closed", 2)


def test_a_probe_decides_in_half_open() -> None:
    probing = Breaker("half_open", NOW)

    assert after(probing, successes=1, failures=0, timeouts=0, now=NOW).state == "closed"
    assert after(probing, successes=0, failures=1, timeouts=0, now=NOW).state == "open"

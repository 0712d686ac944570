from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.calls.domain.breaker import (
    JITTER,
    LEAST_CALLS,
    OPEN_FOR,
    PROBES,
    BreakerStatus,
    after,
    half_opened,
    held_open,
    is_probed,
    room,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CLOSED = BreakerStatus("closed", NOW)
TRIED = half_opened(BreakerStatus("open", NOW, open_until=NOW))

batches = st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(0, 20)).map(
    lambda n: {"successes": n[0], "failures": n[1] + n[2], "timeouts": n[2]}
)


def test_half_of_enough_calls_failing_opens_it() -> None:
    opened = after(CLOSED, successes=5, failures=5, timeouts=0, now=NOW)

    assert (opened.state, opened.open_until) == ("open", NOW + OPEN_FOR)
    assert opened.reason == "5 of 10 calls failed"


@given(st.integers(0, LEAST_CALLS - 1))
def test_few_calls_never_open_it_by_their_share(failures: int) -> None:
    assert after(CLOSED, successes=0, failures=failures, timeouts=0, now=NOW).state == "closed"


@given(st.integers(6, 500))
def test_fewer_than_half_never_open_it(failures: int) -> None:
    calm = after(CLOSED, successes=failures + 1, failures=failures, timeouts=0, now=NOW)

    assert calm.state == "closed"


def test_five_timeouts_in_a_row_open_it() -> None:
    breaker = CLOSED
    for n in range(5):
        assert breaker.state == "closed", n
        breaker = after(breaker, successes=0, failures=1, timeouts=1, now=NOW)

    assert (breaker.state, breaker.reason) == ("open", "5 timeouts in a row")


def test_a_success_between_timeouts_ends_their_row() -> None:
    breaker = after(CLOSED, successes=0, failures=4, timeouts=4, now=NOW)
    breaker = after(breaker, successes=5, failures=0, timeouts=0, now=NOW)
    breaker = after(breaker, successes=0, failures=4, timeouts=4, now=NOW + timedelta(seconds=31))

    assert (breaker.state, breaker.timeouts_in_a_row) == ("closed", 4)


def test_old_failures_are_forgotten() -> None:
    failing = after(CLOSED, successes=0, failures=9, timeouts=0, now=NOW)

    later = after(failing, successes=1, failures=1, timeouts=0, now=NOW + timedelta(seconds=31))

    assert (later.state, later.calls) == ("closed", 2)


@given(batches, st.floats(0, 1))
def test_it_stays_open_between_its_time_and_a_fifth_more(
    batch: dict[str, int], jitter: float
) -> None:
    changed = after(CLOSED, **batch, now=NOW, jitter=jitter)

    if changed.state == "open":
        assert changed.open_until is not None
        assert OPEN_FOR <= changed.open_until - NOW <= OPEN_FOR * (1 + JITTER)


@given(st.lists(batches, max_size=8))
def test_calls_that_end_while_it_is_open_change_nothing(found: list[dict[str, int]]) -> None:
    opened = breaker = after(CLOSED, successes=0, failures=10, timeouts=0, now=NOW)
    for batch in found:
        breaker = after(breaker, **batch, now=NOW + timedelta(seconds=5))

    assert breaker == opened


@given(st.integers(0, 5), st.integers(1, 5))
def test_any_failed_probe_opens_it_again(successes: int, failures: int) -> None:
    tried = after(TRIED, successes=successes, failures=failures, timeouts=0, now=NOW)

    assert (tried.state, tried.open_until) == ("open", NOW + OPEN_FOR)


def test_as_many_successes_as_probes_close_it() -> None:
    once = after(TRIED, successes=1, failures=0, timeouts=0, now=NOW)
    twice = after(once, successes=PROBES - 1, failures=0, timeouts=0, now=NOW)

    assert (once.state, once.probes_passed) == ("half_open", 1)
    assert twice == CLOSED


@pytest.mark.parametrize(("seconds", "probed"), [(19, False), (20, True)])
def test_it_is_probed_once_its_time_is_over(seconds: int, *, probed: bool) -> None:
    opened = after(CLOSED, successes=0, failures=10, timeouts=0, now=NOW)

    assert is_probed(opened, NOW + timedelta(seconds=seconds)) is probed


@given(st.timedeltas(timedelta(0), timedelta(days=3650)), st.lists(batches, max_size=5))
def test_one_that_a_person_opened_stays_open_until_a_person_closes_it(
    later: timedelta, found: list[dict[str, int]]
) -> None:
    breaker = held_open(CLOSED, "maintenance")
    for batch in found:
        breaker = after(breaker, **batch, now=NOW + later)

    assert not is_probed(breaker, NOW + later)
    assert (breaker.state, breaker.manual, breaker.reason) == ("open", True, "maintenance")
    assert is_probed(half_opened(breaker), NOW)


@given(st.integers(0, 100))
def test_there_is_never_room_for_more_than_two_probes(out: int) -> None:
    assert 0 <= room(out) <= PROBES
    assert room(out) + out >= PROBES

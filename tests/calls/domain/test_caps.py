"""Caps: nothing goes beyond what they allow, whatever comes and in whatever order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from apps.calls.domain.caps import BUSY_S, CapLimits, Rooms, Who, charge, own_pace, pace_of

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
WHO = Who("shop/refund", "shop-refund", "shop-agent", "acme")


def rooms(*caps: CapLimits, **running: int) -> Rooms:
    counts = {(scope, getattr(WHO, scope)): n for scope, n in running.items()}
    return Rooms({(c.scope, c.key): c for c in caps}, NOON, counts)


def test_without_caps_there_is_always_room() -> None:
    assert all(rooms().take(WHO) is None for _ in range(100))


@given(allowed=st.integers(1, 40), at_work=st.integers(0, 50), asked=st.integers(0, 60))
def test_no_more_run_at_once_than_the_cap_allows(allowed: int, at_work: int, asked: int) -> None:
    free = rooms(CapLimits("job", "shop-refund", max_in_flight=allowed), job=at_work)
    taken = sum(free.take(WHO) is None for _ in range(asked))
    assert taken == min(asked, max(0, allowed - at_work))


def test_the_block_says_which_cap_it_is_and_spreads_those_who_wait() -> None:
    free = rooms(CapLimits("tool", "shop/refund", max_in_flight=2), tool=2)
    blocks = [free.take(WHO) for _ in range(100)]
    assert {b.waits_for for b in blocks if b} == {"cap of 2 at once for tool shop/refund"}
    waits = [b.retry_in_s for b in blocks if b]
    assert waits == sorted(waits)
    assert waits[0] < 1 < waits[-1] <= 15


def test_a_step_that_one_bound_holds_back_uses_up_no_other() -> None:
    free = rooms(CapLimits("job", "shop-refund", 5, 600), CapLimits("tenant", "acme", 1), tenant=1)
    assert free.take(WHO) is not None
    assert free.running.get(("job", "shop-refund"), 0) == 0
    assert free.charged == set()


def test_an_unnamed_tenant_is_not_capped() -> None:
    free = rooms(CapLimits("tenant", "acme", 1), tenant=1)
    assert free.take(WHO._replace(tenant="")) is None


@given(
    per_minute=st.integers(1, 6000),
    gaps=st.lists(st.floats(0, 30, allow_nan=False), min_size=1, max_size=200),
)
def test_a_bucket_never_lets_more_through_than_its_rate(per_minute: int, gaps: list[float]) -> None:
    pace = own_pace("j", "t", per_minute)
    assert pace is not None
    now, due, passed = NOON, None, []
    for gap in gaps:
        now += timedelta(seconds=gap)
        due, wait = charge(due, now=now, interval=pace.interval, burst=pace.burst)
        if not wait:
            passed.append(now)
    for first in range(0, len(passed), 7):
        within = [t for t in passed[first:] if t - passed[first] < timedelta(minutes=1)]
        assert len(within) <= per_minute + pace.burst


@given(per_minute=st.integers(1, 6000), calls=st.integers(1, 100))
def test_who_waits_as_told_gets_through(per_minute: int, calls: int) -> None:
    pace = own_pace("j", "t", per_minute)
    assert pace is not None
    now, due = NOON, None
    for _ in range(calls):
        due, wait = charge(due, now=now, interval=pace.interval, burst=pace.burst)
        if wait:
            now += timedelta(seconds=wait, microseconds=2)
            due, wait = charge(due, now=now, interval=pace.interval, burst=pace.burst)
        assert wait == 0


def test_the_contracts_rate_and_a_caps_rate_both_hold() -> None:
    free = rooms(CapLimits("agent", "shop-agent", per_minute=60))
    own = own_pace("shop-refund", "refund", 12)
    assert [free.take(WHO, own) is None for _ in range(4)] == [True, True, False, False]
    block = free.take(WHO, own)
    assert block is not None
    assert block.waits_for == "12 calls a minute of refund in job shop-refund"
    assert free.charged == {"job:shop-refund:refund", "cap:agent:shop-agent"}


def test_a_cap_without_a_rate_has_no_bucket() -> None:
    assert pace_of(CapLimits("job", "x", max_in_flight=1)) is None
    assert own_pace("j", "t", None) is None


def test_approved_work_is_held_by_its_tools_bounds_only() -> None:
    free = rooms(CapLimits("job", "shop-refund", 1, 6), job=1)
    assert free.take(WHO) is not None
    assert free.take(WHO, first=True) is None
    assert free.running["job", "shop-refund"] == 2
    full = rooms(CapLimits("tool", "shop/refund", 1), tool=1)
    assert full.take(WHO, first=True) is not None


def test_what_another_worker_holds_is_no_room_for_a_moment_and_not_charged() -> None:
    cap = CapLimits("tool", "shop/refund", max_in_flight=9, per_minute=600)
    pace = pace_of(cap)
    assert pace
    uncounted = Rooms({("tool", "shop/refund"): cap}, NOON, None)
    uncharged = Rooms({("tool", "shop/refund"): cap}, NOON, {}, {}, frozenset({pace.key}))
    for held in (uncounted, uncharged):
        block = held.take(WHO)
        assert block
        assert block.retry_in_s == BUSY_S
        assert not held.charged

    job = CapLimits("job", "shop-refund", per_minute=600)
    bucket = pace_of(job)
    assert bucket
    passing = Rooms({("job", "shop-refund"): job}, NOON, {}, {}, frozenset({bucket.key}))
    assert passing.take(WHO, first=True) is None
    assert not passing.charged

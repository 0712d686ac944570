"""Retry budgets: never overspent, and full again when things go well."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.calls.domain.budget import CAPACITY, cost, later_s, settle, words

batches = st.lists(
    st.tuples(st.lists(st.sampled_from([0.0, 5.0, 10.0]), max_size=30), st.integers(0, 50)),
    max_size=30,
)


@given(batches=batches)
def test_no_more_is_spent_than_was_there_and_earned(
    batches: list[tuple[list[float], int]],
) -> None:
    tokens, spent, earned = CAPACITY, 0.0, 0
    for costs, successes in batches:
        tokens, allowed = settle(tokens, costs=costs, successes=successes)
        spent += sum(c for c, ok in zip(costs, allowed, strict=True) if ok)
        earned += successes
        assert 0 <= tokens <= CAPACITY
        assert spent <= CAPACITY + earned
        assert all(ok for c, ok in zip(costs, allowed, strict=True) if c == 0)


def test_a_storm_of_retries_becomes_a_trickle() -> None:
    tokens, allowed = settle(CAPACITY, costs=[5.0] * 1000, successes=0)
    assert (tokens, sum(allowed)) == (0.0, 20)
    assert settle(tokens, costs=[5.0], successes=4) == (4.0, [False])
    assert settle(tokens, costs=[5.0], successes=5) == (0.0, [True])


def test_a_time_out_costs_twice_and_a_told_time_nothing() -> None:
    assert cost(timed_out=False, told_when=False) == 5
    assert cost(timed_out=True, told_when=False) == 10
    assert cost(timed_out=True, told_when=True) == 0


@pytest.mark.parametrize(("cap_s", "least", "most"), [(0.5, 15, 30), (60, 60, 120)])
def test_what_is_put_off_waits_longer_than_any_pause(
    cap_s: float, least: float, most: float
) -> None:
    assert later_s(cap_s, 0.0) == least
    assert later_s(cap_s, 0.999) < most
    assert words("shop/refund") == "retry budget of shop/refund is used up"

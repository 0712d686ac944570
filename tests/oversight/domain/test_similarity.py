"""How alike two requests are: the formula of the docstring, as properties."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.oversight.domain import showing
from apps.oversight.domain.similarity import PastTraits, Traits, amounts, likeness, most_like, share

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
WORDS = st.sampled_from("abcdef")
CENTS = st.none() | st.integers(-(10**6), 10**6)
ARGUMENTS = st.frozensets(st.tuples(WORDS, WORDS), max_size=6)
TRAITS = st.builds(Traits, st.frozensets(WORDS, max_size=4), CENTS, st.none() | ARGUMENTS)
PAST = st.lists(
    st.builds(
        PastTraits, st.uuids(), TRAITS, st.integers(0, 9).map(lambda n: NOON + timedelta(hours=n))
    ),
    max_size=25,
    unique_by=lambda p: p.key,
)


@given(TRAITS, TRAITS)
def test_it_goes_from_nought_to_one_whichever_comes_first(one: Traits, other: Traits) -> None:
    assert likeness(one, other) == likeness(other, one)
    assert all(0 <= part <= 1 for part in likeness(one, other))


@given(TRAITS)
def test_nothing_is_more_like_it_than_itself(one: Traits) -> None:
    rules, closeness = likeness(one, one)

    assert rules == 1
    assert closeness == (0.5 if one.arguments is None else 1)


@given(TRAITS, TRAITS)
def test_it_is_the_formula(one: Traits, other: Traits) -> None:
    a, b = one.amount_cents, other.amount_cents
    if a is None or b is None:
        close = Fraction(int(a is b))
    else:
        close = max(Fraction(0), 1 - Fraction(abs(a - b), max(abs(a), abs(b), 1)))
    same = Fraction(0)
    if one.arguments is not None and other.arguments is not None:
        either = one.arguments | other.arguments
        same = (
            Fraction(len(one.arguments & other.arguments), len(either)) if either else Fraction(1)
        )

    assert likeness(one, other)[1] == pytest.approx(float((close + same) / 2))


@given(st.integers(1, 10**6), st.integers(0, 10**6), st.integers(1, 10**6))
def test_the_further_an_amount_the_less_close(amount: int, off: int, more: int) -> None:
    assert amounts(amount, amount + off) > amounts(amount, amount + off + more)


@pytest.mark.parametrize(
    ("one", "other", "close"),
    [(None, None, 1), (None, 0, 0), (0, 0, 1), (500, -500, 0), (100, 50, 0.5), (0, 100, 0)],
)
def test_amounts_that_are_not_known_or_go_the_other_way(
    one: int | None, other: int | None, close: float
) -> None:
    assert amounts(one, other) == close


@given(TRAITS, PAST)
def test_the_most_alike_come_first_and_rules_before_all(
    wanted: Traits, past: list[PastTraits]
) -> None:
    found = most_like(wanted, past, most=5)

    assert len(found) == min(5, len(past))
    order = [(*likeness(wanted, p.traits), p.decided_at) for p in found]
    assert order == sorted(order, reverse=True)
    left = [p for p in past if p not in found]
    assert all((*likeness(wanted, p.traits), p.decided_at) <= order[-1] for p in left)


@given(ARGUMENTS, ARGUMENTS)
def test_what_is_in_both_counts(one: frozenset[object], other: frozenset[object]) -> None:
    assert share(one, other) == (1 if one == other else pytest.approx(share(other, one)))
    assert (share(one, other) == 0) == (not one & other and bool(one | other))


def test_arguments_are_compared_place_by_place_and_by_value() -> None:
    found = showing.places({"a": {"b": 1}, "c": ["1", 4.0]}, most=9)

    assert found == {("a.b", "1"), ("c[0]", '"1"'), ("c[1]", "4")}
    assert showing.places(list(range(10)), most=9) is None


def test_however_deep_and_many_they_come_to_an_end() -> None:
    deep: object = 1
    for _ in range(5_000):
        deep = [deep]

    assert showing.places(deep, most=9) is not None
    assert showing.places([deep] * 1_000, most=9) is None

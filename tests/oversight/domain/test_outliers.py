"""What is far from the rest of several alike requests."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.oversight.domain.outliers import Fact, FarFact, outliers

numbers = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12)
facts = st.one_of(numbers, st.text(max_size=5))
rows = st.lists(st.dictionaries(st.sampled_from("abcd"), facts, max_size=4), max_size=25)


def of(*values: Fact | int) -> list[dict[str, Fact]]:
    return [{"x": Decimal(v) if isinstance(v, int) else v} for v in values]


def places(*values: Fact | int) -> list[int]:
    return [n for n, far in enumerate(outliers(of(*values))) if far]


@pytest.mark.parametrize(
    ("values", "far"),
    [
        ([100, 120, 110, 95, 105, 9000], [5]),
        ([100, 120, 110, 95, 105, -9000], [5]),
        ([100] * 24 + [101], []),  # MAD is 0: the floor of 5 % keeps it in
        ([100] * 24 + [126], [24]),
        ([100] * 24 + [125], []),  # 3.5 · 5 / 0.6745 = 25.9
        ([0, 0, 0, 0, 0, 1], [5]),
        ([100, 140], []),
        ([10, 10_000], [0, 1]),  # of two nobody knows which is the strange one
        ([12, 10, 1000], [2]),
        ([12, 10, 12, 1000], [3]),
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], []),
        ([7], []),
        ([], []),
        (["a", "a", "a", "b"], [3]),
        (["a", "a", "b"], []),
        (["a", "a", "a", "b", "b"], []),
        (["Q1", "Q2", "Q3", "Q4", "Q5"], []),
        ([5, 5, 5, "five"], [3]),
    ],
)
def test_known_cases(values: list[Fact | int], far: list[int]) -> None:
    assert places(*values) == far


def test_it_says_what_it_has_and_what_is_usual() -> None:
    found = outliers(
        [*({"bags": Decimal(1), "to": "card"} for _ in range(5)), {"bags": Decimal(9)}]
    )
    assert found[5] == (
        FarFact("bags", Decimal(9), Decimal(1)),
        FarFact("to", "not given", "card"),
    )
    assert found[:5] == [()] * 5


def test_numbers_without_measure_are_compared_all_the_same() -> None:
    huge = [Decimal(1)] * 5 + [Decimal("1e999999")]
    assert places(*huge) == [5]
    assert places(*[Decimal("1e-400000")] * 6) == []


@given(rows, st.randoms(use_true_random=False))
def test_the_order_is_of_no_matter(some: list[dict[str, Fact]], dice: object) -> None:
    order = list(range(len(some)))
    dice.shuffle(order)  # type: ignore[attr-defined]
    found = outliers(some)
    mixed = outliers([some[n] for n in order])
    flagged = [[far.name for far in found[n]] for n in order]
    assert [[far.name for far in one] for one in mixed] == flagged


@given(st.lists(numbers, min_size=5, max_size=25))
def test_of_five_or_more_numbers_half_are_never_outliers(values: list[Decimal]) -> None:
    far = places(*values)
    assert 2 * len(far) <= len(values)


@given(numbers, st.integers(min_value=1, max_value=25))
def test_what_is_the_same_is_no_outlier(value: Decimal, number: int) -> None:
    assert places(*[value] * number) == []


@given(
    st.lists(st.integers(min_value=100, max_value=120), min_size=5, max_size=24),
    st.integers(min_value=300, max_value=10**9),
    st.sampled_from([1, -1]),
)
def test_one_that_is_planted_far_away_is_found_and_alone(
    near: list[int], far: int, sign: int
) -> None:
    assert places(*near, sign * far) == [len(near)]


@given(
    st.lists(st.integers(min_value=-(10**6), max_value=10**6), min_size=5, max_size=25),
    st.integers(min_value=2, max_value=10**6),
)
def test_the_unit_is_of_no_matter(values: list[int], factor: int) -> None:
    """Cents or dollars: the same ones are far."""
    assert places(*values) == places(*[factor * value for value in values])


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=25))
def test_texts_are_far_only_from_three_quarters_that_agree(values: list[str]) -> None:
    for place in places(*values):
        usual = max(set(values), key=values.count)
        assert values[place] != usual
        assert 4 * values.count(usual) >= 3 * len(values)

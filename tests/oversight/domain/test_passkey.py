from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.oversight.domain.passkey import challenge_of, is_wanted

BOUND: dict[str, Any] = {"approval_id": "a", "asked": "d" * 64, "user_id": 7, "nonce": "n-12345678"}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda some: st.lists(some) | st.dictionaries(st.text() | st.just("passkey"), some),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("rules", "wanted"),
    [
        ([{"id": "large", "passkey": True}], True),
        ([{"id": "other"}, {"id": "large", "passkey": True}], True),
        ([{"id": "large"}], False),
        ([], False),
    ],
)
def test_one_rule_that_asks_is_enough(rules: Any, wanted: bool) -> None:
    assert is_wanted(rules) is wanted


@given(ANYTHING)
def test_whatever_is_stored_there_is_read(rules: Any) -> None:
    assert is_wanted(rules) in (True, False)


@pytest.mark.parametrize(
    ("name", "other"),
    [("approval_id", "b"), ("asked", "e" * 64), ("user_id", 8), ("nonce", "n-12345679")],
)
def test_what_is_signed_is_one_answer_of_one_person_to_one_question(name: str, other: Any) -> None:
    one, two = challenge_of(**BOUND), challenge_of(**{**BOUND, name: other})

    assert len(one) == len(two) == 32
    assert one != two
    assert one == challenge_of(**BOUND)

"""When two requests are the same, and what becomes of those is said of."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.oversight.domain import repeats

ONE = UUID(int=1)
STATES = st.lists(st.sampled_from(["pending", "granted", "approved", "rejected"]), max_size=30)


@pytest.mark.parametrize(
    ("states", "words"),
    [
        ([], ""),
        (["approved"], "was approved once"),
        (["pending"], "waits in another request"),
        (["approved", "granted", "pending"], "was approved 2 times and waits in another request"),
        (
            ["pending", "rejected", "approved", "pending"],
            "was approved once, was rejected once and waits in 2 other requests",
        ),
    ],
)
def test_what_became_of_them_is_a_sentences_end(states: list[str], words: str) -> None:
    assert repeats.told(states) == words


@given(STATES)
def test_every_one_of_them_is_told(states: list[str]) -> None:
    words = repeats.told(states).replace("once", "1").replace("another", "1").replace(",", "")
    numbers = [int(part) for part in words.split() if part.isdecimal()]

    assert sum(numbers) == len(states)


def test_that_it_can_still_be_taken_back_is_no_news_but_any_other_answer_is() -> None:
    looked = [repeats.mark(ONE, "granted")]

    assert repeats.unlooked([repeats.mark(ONE, "approved")], looked) == []
    for state in ("pending", "rejected"):
        assert repeats.unlooked([repeats.mark(ONE, state)], looked)
    assert repeats.unlooked([repeats.mark(UUID(int=2), "approved")], looked)


@pytest.mark.parametrize(
    ("preview", "tells"),
    [
        ({"changes": [{"path": "/a/1", "after": 2}]}, True),
        ({"changes": []}, False),
        ({"changes": "all of it"}, False),
        ({"changes": [{"path": "/a/1"}], "notes": ["3 more changes are not kept."]}, False),
        ({"changes": [{"path": "/a/1"}], "said": ["and more"]}, False),
        ({}, False),
        (None, False),
        ([1], False),
    ],
)
def test_only_a_preview_that_tells_all_is_compared(preview: Any, tells: bool) -> None:
    assert repeats.tells_changes(preview) == tells

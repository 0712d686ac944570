"""What a run's context may hold, and what of a stored one is told."""

from __future__ import annotations

from typing import Any

import pytest

from apps.calls.domain.context import MOST_CHARACTERS, MOST_NAMES, problem, told


@pytest.mark.parametrize(
    "context",
    [
        {},
        {"tenant": "north", "a.b-c_9": ""},
        {"n" * 40: "x" * MOST_CHARACTERS},
        {f"n{i}": "" for i in range(MOST_NAMES)},
    ],
)
def test_short_texts_by_name_are_a_context(context: dict[str, str]) -> None:
    assert problem(context) == ""
    assert told(context) == context


@pytest.mark.parametrize(
    ("context", "said"),
    [
        ({f"n{i}": "" for i in range(MOST_NAMES + 1)}, "at most 16 names"),
        ({"Tenant": "x"}, "“Tenant”"),
        ({"tower/call": "x"}, "“tower/call”"),
        ({"n" * 41: "x"}, "at most 40"),
        ({"tenant\n": "x"}, "at most 40"),
        ({1: "x"}, "“1”"),
        ({"run": "x"}, "“run” is what the tower itself tells"),
        ({"idempotency_key": "x"}, "choose another name"),
        ({"tenant": 5}, "“tenant” must be a text"),
        ({"tenant": {"of": "x"}}, "must be a text"),
        ({"tenant": "x" * (MOST_CHARACTERS + 1)}, "at most 200 characters"),
        ({"tenant": "a\0b"}, "must be a text"),
    ],
)
def test_what_is_none_is_told_with_its_fix(context: dict[Any, Any], said: str) -> None:
    assert said in problem(context)


@pytest.mark.parametrize("stored", [None, 5, "text", [], [["run", "x"]], {"run": "x", "a": 1}])
def test_nothing_of_what_nobody_could_have_sent_is_told(stored: Any) -> None:
    assert told(stored) == {}

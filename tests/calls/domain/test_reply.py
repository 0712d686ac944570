"""What a model's reply may be."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.calls.domain.naming import PROVIDER_NAME, provider_name, provider_names
from apps.calls.domain.reply import (
    MOST_TOKENS,
    Fault,
    ModelReply,
    Spent,
    arguments_of,
    fault_of,
    items_of,
    object_of,
    spent_by,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.text() | st.binary().map(repr))
def test_arguments_are_an_object_or_stay_text(raw: str) -> None:
    found = arguments_of(raw)

    assert isinstance(found, dict | str)
    json.dumps(found).encode()
    assert "\x00" not in str(found)


def test_arguments_keep_every_digit() -> None:
    found = arguments_of('{"wei": 12345678901234567890, "rate": 0.10, "n": 6e4}')

    assert found == {"wei": 12345678901234567890, "rate": 0.1, "n": 60000}
    assert isinstance(found["n"], int)


@given(
    st.lists(st.text(), max_size=3),
    st.lists(st.tuples(st.text(), st.text()), max_size=3),
    st.sampled_from(["", "stop", "tool_call", "length", "content_filter", "error", "whatever"]),
    st.text(max_size=5),
)
def test_a_reply_is_a_turn_or_says_why_not(
    texts: list[str], calls: list[tuple[str, str]], finish: str, refusal: str
) -> None:
    reply = ModelReply(texts, calls, finish, refusal)

    fault = fault_of(reply)

    if fault is None:
        items = items_of(reply, {})
        assert len([i for i in items if "call" in i]) == len(calls)
        assert ("done" in items[-1]) is not bool(calls)
    else:
        assert fault.sentence


@pytest.mark.parametrize("text", ["", "[1]", "{", "null", '{"a": NaN}'])
def test_what_is_no_object_is_named(text: str) -> None:
    assert isinstance(object_of(ModelReply([text])), Fault)


@given(JSON)
def test_usage_is_counted_or_nothing(value: Any) -> None:
    body = json.dumps({"usage": {"prompt_tokens": value, "completion_tokens": 7, "cost": value}})

    found = spent_by(body.encode())

    assert 0 <= found.tokens_in <= MOST_TOKENS
    assert found.cost_usd is None or found.cost_usd >= 0
    assert spent_by(json.dumps(value).encode()) == Spent()


def test_spent_adds_up() -> None:
    assert Spent(1, 2, None) + Spent(3, 4, 0.5) == Spent(4, 6, 0.5)
    assert Spent() + Spent() == Spent()


@given(st.lists(st.text(min_size=1, max_size=90) | st.from_regex(PROVIDER_NAME, fullmatch=True)))
def test_every_tool_has_a_name_of_its_own_that_providers_take(names: list[str]) -> None:
    found = provider_names(names)

    assert all(re.fullmatch(PROVIDER_NAME, name) for name in found)
    for name in names:
        assert found[provider_name(name)] == name


def test_a_cost_of_many_digits_is_counted() -> None:
    found = spent_by(b'{"usage": {"prompt_tokens": 7.0, "cost": 0.000123456789012345678}}')

    assert found.tokens_in == 7
    assert found.cost_usd == pytest.approx(0.000123456789)

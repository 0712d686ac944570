from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.catalog.domain.drift import GONE, changes, served_digest
from apps.catalog.domain.served import ServedTool, read_tool

SCHEMA = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}
PUBLISHED = ServedTool("refund", "Refunds.", SCHEMA, None, {"readOnlyHint": False}).document()


def now(**change: Any) -> dict[str, Any]:
    return {**PUBLISHED, **change}


def schema(**change: Any) -> dict[str, Any]:
    return {**SCHEMA, **change}


@pytest.mark.parametrize(
    ("live", "said"),
    [
        (dict(GONE), "doesn't offer it any more"),
        ({"problem": "It is larger than 256 kB."}, "can't be read: It is larger"),
        (now(description="Refunds twice."), "Its description changed."),
        (now(hints={}), "Hint readOnlyHint: false → not stated."),
        (now(output_schema={"type": "object"}), "The output schema was added."),
        (
            now(input_schema=schema(properties={"id": {"type": "integer"}})),
            "The argument “id” is of another kind.",
        ),
        (
            now(input_schema=schema(properties={"id": {"type": "string", "title": "Id"}})),
            "The argument “id” is described anew.",
        ),
        (
            now(input_schema=schema(properties={"id": {"type": "string"}, "to": {}})),
            "The argument “to” is new.",
        ),
        (now(input_schema=schema(required=[])), "“id” is not required any more."),
        (now(input_schema=schema(properties={})), "The argument “id” is gone."),
        (now(input_schema=schema(additionalProperties=False)), "The input schema changed"),
    ],
)
def test_every_change_is_a_sentence(live: dict[str, Any], said: str) -> None:
    assert any(said in sentence for sentence in changes(PUBLISHED, live))
    assert served_digest(live) != served_digest(PUBLISHED)


def test_no_change_is_none() -> None:
    assert changes(PUBLISHED, now()) == []


def test_a_thousand_changes_are_not_a_thousand_sentences() -> None:
    live = now(input_schema=schema(properties={f"p{i}": {} for i in range(1000)}))

    assert len(changes(PUBLISHED, live)) <= 13


@pytest.mark.parametrize(
    "schema",
    [
        {"x": "\x00"},
        {"x": "\ud800"},
        {"maximum": float("inf")},
        {"maximum": float("nan")},
        {"x": "y" * 300_000},
    ],
)
def test_what_cannot_be_kept_is_a_problem_of_that_tool(schema: dict[str, Any]) -> None:
    found = read_tool("refund", "", schema, None, {})

    assert found.problem
    assert changes(PUBLISHED, found.document())


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda x: (
        st.lists(x, max_size=3)
        | st.dictionaries(st.sampled_from(["properties", "required", "type", "a"]), x, max_size=4)
    ),
    max_leaves=15,
)


@given(ANY, ANY)
def test_whatever_a_server_says_is_compared(one: Any, other: Any) -> None:
    before = read_tool("t", "", one, other, {}).document()
    after = read_tool("t", "", other, one, {}).document()

    if not before.get("problem"):  # such a tool can't be published
        assert changes(before, before) == []
        assert bool(changes(before, after)) == (served_digest(before) != served_digest(after))

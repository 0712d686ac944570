from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.catalog.domain.sifting import Sieve

GOOD = {"name": "ok", "inputSchema": {"type": "object"}}


def answer(*tools: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"tools": list(tools)}}).encode()


def sifted(*tools: Any) -> tuple[list[dict[str, Any]], Sieve]:
    sieve = Sieve()
    return json.loads(sieve.body(answer(*tools), is_stream=False))["result"]["tools"], sieve


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "bad", "inputSchema": 5},
        {"name": "bad"},
        {"name": "bad", "inputSchema": {"type": "array"}},
        {"name": "bad", "inputSchema": {"type": "object"}, "description": 7},
        {"name": "bad", "inputSchema": {"type": "object"}, "outputSchema": []},
        {"name": "bad", "inputSchema": {"type": "object", "x": "\ud800"}},
        {"name": "bad", "inputSchema": {"type": "object", "x": "\x00"}},
        {"name": "bad", "inputSchema": {"type": "object", "x": float("inf")}},
    ],
)
def test_a_wrong_entry_is_put_aside_with_words_and_the_others_are_read(entry: Any) -> None:
    tools, sieve = sifted(entry, GOOD)

    assert tools == [GOOD]
    assert len(sieve.problems["bad"]) > 10


@pytest.mark.parametrize("entry", [5, None, [], {}, {"name": 7}, {"name": "a b"}, {"name": ""}])
def test_an_entry_that_names_no_tool_is_counted(entry: Any) -> None:
    tools, sieve = sifted(GOOD, entry)

    assert (tools, sieve.unnamable) == ([GOOD], 1)


def test_hints_that_cannot_be_read_say_nothing() -> None:
    said = {"readOnlyHint": "maybe", "destructiveHint": True, "title": 3}
    tools, _ = sifted({**GOOD, "annotations": said}, {**GOOD, "name": "b", "annotations": []})

    assert [t["annotations"] for t in tools] == [{"destructiveHint": True}, {}]


def test_a_stream_of_events_is_read_alike() -> None:
    sieve = Sieve()
    stream = b"event: message\r\ndata: " + answer({"name": "bad"}, GOOD) + b"\r\n\r\n"

    assert sieve.is_answered(stream)
    assert not sieve.is_answered(stream[:-20])
    assert not sieve.is_answered(b'data: {"method": "notifications/message"}\n\n')
    assert b'"bad"' not in sieve.body(stream, is_stream=True)
    assert sieve.problems


@given(st.binary(max_size=200), st.booleans())
def test_what_is_no_list_of_tools_stays_as_it_came(body: bytes, is_stream: bool) -> None:
    if not is_stream:
        assert Sieve().body(body, is_stream=False) == body
    Sieve().body(body, is_stream=is_stream)
    Sieve.is_answered(body)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda x: (
        st.lists(x, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "inputSchema", "type", "annotations", "description"]), x
        )
    ),
    max_leaves=15,
)


@given(st.lists(ANY, max_size=5))
def test_whatever_stands_in_the_list_is_kept_or_put_aside(entries: list[Any]) -> None:
    tools, _ = sifted(*entries, GOOD)

    assert tools[-1] == GOOD
    assert all(t["inputSchema"]["type"] == "object" for t in tools)

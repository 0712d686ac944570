"""Hostile text is read without harm: refused by name, or an answer whatever a part of it is."""

from __future__ import annotations

from contextlib import suppress
from random import Random
from typing import Any

import pytest

from apps.calls.domain.content import read_result
from apps.calls.domain.envelope import is_legible, read
from apps.calls.executor import wire
from apps.kernel import exactjson
from tests.fuzz import cases, corpus

LONGEST = 200_000  # that it takes seconds only
LONG = "7" * 4301


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (f"[{LONG}, .5]", "no_json"),  # what is odd stands before what is no JSON at all
        (f"[{LONG}, {'[' * 120_000}", "too_deep"),
        ('{"a": 1, "a": 2} x', "key_twice"),
        ("[NaN, 1,]", "no_json"),
        (f"[{LONG}]", "not_exact"),
    ],
)
def test_text_that_is_odd_in_two_ways_is_refused_by_name(text: str, code: str) -> None:
    with pytest.raises(exactjson.NotCarriedError) as refused:
        exactjson.loads(text)

    assert refused.value.code == code


@pytest.mark.parametrize("seed", range(10))
def test_no_text_breaks_the_door(seed: int) -> None:
    random = Random(seed)
    for _ in range(40):
        text = corpus.value(random)
        if len(text) > LONGEST:
            continue
        with suppress(exactjson.NotCarriedError):
            found = exactjson.loads(text)
            assert exactjson.same(exactjson.loads(exactjson.dumps(found)), found)


@pytest.mark.parametrize("seed", range(10))
def test_no_answer_of_a_tool_breaks_its_reading(seed: int) -> None:
    random = Random(seed)
    for _ in range(40):
        text = cases.odd_answer(random).replace("ID", "7")
        if len(text) > LONGEST:
            continue
        for raw in (
            text,
            text.encode(errors="surrogatepass"),
            text[: random.randint(0, len(text))],
        ):
            reply = read(raw, 7)
            if reply.result is not None:
                read_result(reply).told.encode()
            assert reply.is_answer or is_legible(reply.missing)


RESULT = '{"jsonrpc":"2.0","id":7,"result":{%s}}'


@pytest.mark.parametrize(
    "members",
    [
        f'"content":[{{"type":"text","text":"done"}}],"structuredContent":[{LONG},.5]',
        f'"content":[{{"type":"text","text":"done"}}],"_meta":{{"a":"\\u0000","b":{LONG}}}',
        '"content":[{"type":"text","text":"done"},{"type":[[]],"text":"x"}]',
        '"content":[{"type":"text","text":"done"},{"type":{},"data":""}]',
    ],
)
def test_a_part_that_is_odd_in_two_ways_leaves_the_answer_an_answer(members: str) -> None:
    content = read_result(read(RESULT % members, 7))

    assert "done" in content.told
    assert not content.is_error


@pytest.mark.parametrize("flags", [("true", "false"), ("false", "true"), ("false", "false")])
def test_an_error_flag_that_is_written_twice_is_taken_for_an_error(flags: tuple[str, str]) -> None:
    members = '"content":[],' + ",".join(f'"isError":{flag}' for flag in flags)

    content = read_result(read(RESULT % members, 7))

    assert content.is_error
    assert any("written 2 times" in note for note in content.notes)


def test_an_answer_that_breaks_its_reading_is_one_calls_trouble(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: Any) -> Any:
        raise RecursionError("maximum recursion depth exceeded")

    monkeypatch.setattr(wire, "read", broken)

    assert "could not be read" in wire._reply(b"{}", 7).missing

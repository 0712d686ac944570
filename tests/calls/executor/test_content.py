"""What comes with an answer: all kinds of content, and what comes after it."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest

from apps.calls.domain.retry import Ending
from tests.calls.executor.calling import OK, met, one, raw
from tests.calls.executor.raw_server import (
    SESSION,
    STATELESS,
    Answer,
    RawServer,
    Request,
    always,
    http,
    rpc,
    text,
)

SCHEMA = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}


@pytest.mark.parametrize("revision", [SESSION, STATELESS])
@pytest.mark.parametrize(
    ("answer", "note"),
    [
        (text("x", structuredContent={"ok": True}), ""),
        (text("x", structuredContent={"ok": "yes"}), "does not fit the tool's output schema: ok"),
        (text("x"), "lacks the structured value"),
    ],
)
def test_an_answer_unlike_its_schema_was_given_all_the_same(
    revision: str, answer: dict[str, Any], note: str, settings: Any
) -> None:
    tool = {"name": "do", "inputSchema": {"type": "object"}, "outputSchema": SCHEMA}
    server = RawServer(
        always(lambda r: http(rpc(r, result={**answer, **OK}))), revision, tools=[tool]
    )

    server, [result] = met(server, settings)

    assert result.ending is Ending.ANSWERED
    assert note in " ".join(result.notes)
    assert bool(note) == bool(result.notes)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://127.0.0.1:1/x"},
        {"$ref": "file:///etc/passwd"},
        {"type": "object", "properties": {"ok": {"pattern": "(a|aa)+$", "type": "string"}}},
        {"type": 7},
    ],
)
def test_a_schema_that_makes_no_sense_says_nothing_about_the_answer(
    schema: dict[str, Any], settings: Any
) -> None:
    tool = {"name": "do", "inputSchema": {"type": "object"}, "outputSchema": schema}
    said = text("x", structuredContent={"ok": "a" * 80 + "b"})
    server = RawServer(always(lambda r: http(rpc(r, result=said))), tools=[tool])

    assert met(server, settings)[1][0].ending is Ending.ANSWERED


def test_a_list_of_tools_that_never_comes_costs_an_answer_little(settings: Any) -> None:
    class Mute(RawServer):
        async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> Answer:
            if request.body and request.message.get("method") == "tools/list":
                await asyncio.sleep(60)
            return await super()._answer(request, writer)

    server = Mute(always(lambda r: http(rpc(r, result=text("done")))))

    assert met(server, settings)[1][0].content == "done"


@pytest.mark.parametrize(
    ("before", "after"),
    [("", "rubbish"), ("", '{"jsonrpc":"2.0"}'), ("", "\x00\x00"), ("  \n", "\n\n")],
)
def test_rubbish_after_an_answer_is_ignored(before: str, after: str, settings: Any) -> None:
    body = f'{before}{{"jsonrpc":"2.0","id":%ID%,"result":{json.dumps(text("done"))}}}{after}'

    result = raw(body, settings)

    assert (result.ending, result.content) == (Ending.ANSWERED, "done")


def test_a_stream_that_breaks_after_the_answer_undoes_nothing(settings: Any) -> None:
    async def calls(request: Request, writer: asyncio.StreamWriter) -> Answer:
        said = f"data: {rpc(request, result=text('done'))}\n\n".encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        head += b"Transfer-Encoding: chunked\r\n\r\n"
        writer.write(head + b"%x\r\n%b\r\nxyz" % (len(said), said))
        await writer.drain()
        return None

    result = met(RawServer(calls), settings)[1][0]

    assert (result.ending, result.content) == (Ending.ANSWERED, "done")


def test_a_body_that_is_shorter_than_it_says_but_whole_is_the_answer(settings: Any) -> None:
    async def calls(request: Request, writer: asyncio.StreamWriter) -> Answer:
        said = http(rpc(request, result=text("done"))).replace(
            b"Content-Length: ", b"Content-Length: 9"
        )
        writer.write(said)
        await writer.drain()
        return None

    result = met(RawServer(calls), settings)[1][0]

    assert (result.ending, result.content) == (Ending.ANSWERED, "done")


PNG = b"\x89PNG" + bytes(200)


def b64(body: bytes) -> str:
    return base64.b64encode(body).decode()


ITEMS: list[tuple[dict[str, Any], str, str]] = [
    ({"type": "text", "text": "hello"}, "text", "hello"),
    ({"type": "text", "text": "hello", "annotations": {"audience": ["user"]}}, "text", "hello"),
    (
        {"type": "image", "data": b64(PNG), "mimeType": "image/png"},
        "image",
        "[image image/png, 204 bytes: left out]",
    ),
    (
        {"type": "audio", "data": b64(PNG), "mimeType": "audio/wav"},
        "audio",
        "[audio audio/wav, 204 bytes: left out]",
    ),
    ({"type": "image", "data": "!!", "mimeType": "image/png"}, "image", "left out]"),
    (
        {"type": "resource", "resource": {"uri": "file:///a.txt", "text": "inside"}},
        "resource",
        "inside",
    ),
    (
        {"type": "resource", "resource": {"uri": "file:///a.bin", "blob": b64(PNG)}},
        "resource",
        "[resource file:///a.bin, 204 bytes: left out]",
    ),
    (
        {"type": "resource_link", "uri": "https://x.example/a", "name": "A"},
        "link",
        "[link https://x.example/a] A",
    ),
    (
        {"type": "hologram", "of": [1.50, 12345678901234567890]},
        "unknown",
        '{"type":"hologram","of":[1.5,12345678901234567890]}',
    ),
    ({"type": "text"}, "unknown", '{"type":"text"}'),
    ({"type": "resource", "resource": 7}, "unknown", '"resource":7'),
]


@pytest.mark.parametrize(("item", "kind", "told"), ITEMS)
@pytest.mark.parametrize("revision", [SESSION, STATELESS])
def test_every_kind_of_content_is_kept_and_told(
    item: dict[str, Any], kind: str, told: str, revision: str, settings: Any
) -> None:
    result = one({"content": [{"type": "text", "text": "see:"}, item]}, settings, revision=revision)

    assert result.ending is Ending.ANSWERED
    assert result.content.startswith("see:\n")
    assert told in result.content
    plain = kind == "text" and "annotations" not in item
    assert [p.kind for p in result.parts] == ([] if plain else ["text", kind])
    if "left out" in told and "!!" not in item.get("data", ""):
        assert result.parts[1].body == PNG


def test_every_part_has_its_part_in_the_digest(settings: Any) -> None:
    answers: list[dict[str, Any]] = [{"content": [item]} for item, _, _ in ITEMS]
    answers += [{"content": [], "structuredContent": {"n": n}} for n in (1, 2, 2.5)]
    answers += [text("hello", structuredContent={"n": 1})]
    waiting: list[dict[str, Any]] = list(answers)
    server = RawServer(always(lambda r: http(rpc(r, result=waiting.pop(0)))))

    _, results = met(server, settings, times=len(answers))

    digested = [json.dumps(r.digested, sort_keys=True) for r in results]
    assert len(set(digested)) == len(answers)


def test_a_structured_answer_is_told_once(settings: Any) -> None:
    value = {"balance": "5", "at": [1, 2]}
    only = one({"content": [], "structuredContent": value}, settings)
    both = one(text(json.dumps(value), structuredContent=value), settings)
    unlike = one(text("Balance: 5", structuredContent=value), settings)

    assert json.loads(only.content) == json.loads(both.content) == value
    assert unlike.content == f"Balance: 5\n{only.content}"
    assert only.data == both.data == unlike.data == value


def test_an_answer_of_many_parts_is_bounded(settings: Any) -> None:
    result = one({"content": [{"type": "text", "text": f"t{n}"} for n in range(500)]}, settings)

    assert len(result.parts) == 101
    assert result.content.splitlines()[-1] == "t499"

"""Answers that make no sense, and calls that share a connection with one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from apps.calls.domain.retry import Ending
from apps.calls.executor import CallResult, ToolClient
from tests.calls.executor.calling import OK, ask, met, raw
from tests.calls.executor.raw_server import (
    SESSION,
    STATELESS,
    Answer,
    RawServer,
    Request,
    always,
    http,
    rpc,
    serving,
    text,
)


def envelope(result: str) -> str:
    return f'{{"jsonrpc":"2.0","id":%ID%,"result":{result}}}'


DEEP = "[" * 100_000 + "]" * 100_000
ODD = [
    ('{"content":[{"type":"text","text":"a\\u0000b"}]}', "a\ufffdb"),
    ('{"content":[{"type":"text","text":"a\\ud800b"}]}', "a\ufffdb"),
    ('{"content":[{"type":"text","text":"x"}],"structuredContent":{"n":NaN}}', "x"),
    ('{"content":[{"type":"text","text":"x"}],"structuredContent":{"n":1e999999999}}', "x"),
    (f'{{"content":[{{"type":"text","text":"x"}}],"structuredContent":{DEEP}}}', "x"),
    ('{"content":[{"type":"text","text":"x"}],"structuredContent":{"a":1,"a":2}}', "x"),
    (f'{{"content":[{{"type":"text","text":"x"}},{DEEP}]}}', "x"),
    ('{"content":[{"type":"text","text":"x"}],"_meta":7}', "x"),
    ('{"content":{"type":"text","text":"x"}}', "x"),
    ('"just text"', "just text"),
    ("[1,2]", "[1,2]"),
    ("null", ""),
    ("{}", ""),
    ('{"content":null}', ""),
]


@pytest.mark.parametrize(("result", "told"), ODD)
def test_an_odd_answer_is_an_answer_with_a_note(result: str, told: str, settings: Any) -> None:
    found = raw(envelope(result), settings)

    assert found.ending is Ending.ANSWERED
    assert told in found.content
    assert found.notes or result in ('{"content":[{"type":"text","text":"x"}],"_meta":7}',)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "empty"),
        ("null", "no JSON-RPC message"),
        ("[]", "batch"),
        ("7", "no JSON-RPC message"),
        ('"text"', "no JSON-RPC message"),
        (envelope(json.dumps(text("x")))[:-9], "no JSON-RPC message"),
        ('{"jsonrpc":"2.0","id":%ID%}', "no result and no error"),
        ('{"jsonrpc":"2.0","id":7777,"result":{}}', "names another request"),
        ('{"jsonrpc":"2.0","id":null,"result":{}}', "names another request"),
        ('{"jsonrpc":"2.0","result":{}}', "names another request"),
        ('{"jsonrpc":"2.0","id":true,"result":{}}', "names another request"),
        ('{"jsonrpc":"2.0","id":%ID%,"result":{},"error":{"code":1,"message":""}}', "at once"),
        ('{"jsonrpc":"2.0","id":%ID%,"id":%ID%,"result":{}}', "no JSON-RPC message"),
        ('{"jsonrpc":"2.0","method":"notifications/progress","params":{}}', "in its place"),
        (DEEP, "no JSON-RPC message"),
        ("{" * 50_000, "no JSON-RPC message"),
    ],
)
def test_what_says_nothing_about_the_call_is_a_lost_answer(
    body: str, words: str, settings: Any
) -> None:
    found = raw(body, settings)

    assert (found.ending, found.error_class) == (Ending.LOST, "connection_lost")
    assert words in found.error


@pytest.mark.parametrize("version", ['"1.0"', "2.0", "null", '"2.0\\u0000"'])
def test_a_wrong_version_in_an_answer_of_ours_is_noted(version: str, settings: Any) -> None:
    body = f'{{"jsonrpc":{version},"id":%ID%,"result":{json.dumps(text("done"))}}}'

    found = raw(body, settings)

    assert (found.ending, found.content) == (Ending.ANSWERED, "done")
    assert found.notes


def test_an_id_that_came_back_as_text_is_ours(settings: Any) -> None:
    body = f'{{"jsonrpc":"2.0","id":"%ID%","result":{json.dumps(text("done"))}}}'

    assert raw(body, settings).content == "done"


def test_bytes_that_are_no_text_are_marked(settings: Any) -> None:
    body = envelope('{"content":[{"type":"text","text":"a@b"}]}').encode().replace(b"@", b"\xff")

    found = raw(body, settings)

    assert (found.ending, found.content) == (Ending.ANSWERED, "a\ufffdb")
    assert "UTF-8" in found.notes[0]


@pytest.mark.parametrize("kind", ["text/html", "", "application/xml", "text/plain; charset=x"])
def test_another_type_of_content_is_named(kind: str, settings: Any) -> None:
    found = raw("<html>log in</html>", settings, kind=kind)

    assert (found.ending, found.error_class) == (Ending.BROKEN, "not_mcp")
    assert kind.partition(";")[0] in found.error


def test_an_answer_of_another_type_is_an_answer(settings: Any) -> None:
    assert raw(envelope(json.dumps(text("done"))), settings, kind="text/plain").content == "done"


@pytest.mark.parametrize(
    ("flag", "ending"),
    [
        ("true", Ending.ERRED),
        ("false", Ending.ANSWERED),
        ("null", Ending.ANSWERED),
        ('"true"', Ending.ERRED),
        ("1", Ending.ERRED),
        ('"no"', Ending.ERRED),
    ],
)
def test_what_is_not_plainly_no_error_is_one(flag: str, ending: Ending, settings: Any) -> None:
    said = f'{{"content":[{{"type":"text","text":"out of stock"}}],"isError":{flag}}}'

    found = raw(envelope(said), settings)

    assert (found.ending, found.content) == (ending, "out of stock")


def test_a_call_that_asks_for_input_is_told_so(settings: Any) -> None:
    asked = {"resultType": "input_required", "inputRequests": {}, "requestState": "x"}
    server = RawServer(always(lambda r: http(rpc(r, result=asked))), STATELESS)

    result = met(server, settings)[1][0]

    assert result.ending is Ending.ERRED
    assert "more input" in result.error


async def _endless(request: Request, writer: asyncio.StreamWriter) -> Answer:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    while True:
        writer.write(b": still here\n\n")
        await writer.drain()
        await asyncio.sleep(0.01)


async def _drip(request: Request, writer: asyncio.StreamWriter) -> Answer:
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n"
    )
    for _ in range(999):
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.05)
    return None


async def _mute(request: Request, writer: asyncio.StreamWriter) -> Answer:
    await asyncio.sleep(60)
    return None


async def _cut(request: Request, writer: asyncio.StreamWriter) -> Answer:
    return None


async def _half(request: Request, writer: asyncio.StreamWriter) -> Answer:
    writer.write(http(rpc(request, result=text("x")))[:-20])
    await writer.drain()
    return None


async def _no_http(request: Request, writer: asyncio.StreamWriter) -> Answer:
    writer.write(b"\x00\x01 what?\r\n\r\n")
    await writer.drain()
    return None


async def _huge(request: Request, writer: asyncio.StreamWriter) -> Answer:
    return http(b" " * (5 * 2**20))


async def _flood(request: Request, writer: asyncio.StreamWriter) -> Answer:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    ping = b'data: {"jsonrpc":"2.0","id":1,"method":"ping"}\n\n' * 1000
    for _ in range(200):
        writer.write(ping)
        await writer.drain()
    return None


async def _packed(request: Request, writer: asyncio.StreamWriter) -> Answer:
    return http(rpc(request, result=text("x")), Content_Encoding="gzip")


TROUBLE: Sequence[tuple[Any, Ending, str]] = [
    (_endless, Ending.LOST, "timeout"),
    (_drip, Ending.LOST, "timeout"),
    (_mute, Ending.LOST, "timeout"),
    (_cut, Ending.LOST, "connection_lost"),
    (_half, Ending.LOST, "connection_lost"),
    (_no_http, Ending.LOST, "connection_lost"),
    (_huge, Ending.BROKEN, "too_large"),
    (_flood, Ending.BROKEN, "too_large"),
    (_packed, Ending.BROKEN, "packed"),
]


@pytest.mark.parametrize("revision", [SESSION, STATELESS])
@pytest.mark.parametrize(("trouble", "ending", "error_class"), TROUBLE)
def test_no_other_call_on_the_connection_suffers(
    trouble: Any, ending: Ending, error_class: str, revision: str, settings: Any
) -> None:
    async def calls(request: Request, writer: asyncio.StreamWriter) -> Answer:
        if request.message["params"]["name"] == "bad":
            return await trouble(request, writer)
        return http(rpc(request, result={**text("done"), **OK}))

    async def scene() -> tuple[CallResult, list[CallResult], int]:
        async with ToolClient() as tools:
            await ask(tools)
            bad = asyncio.create_task(ask(tools, tool="bad", timeout_s=patience_s))
            good = [await ask(tools) for _ in range(10)]
            found = await bad
            return found, [*good, await ask(tools)], len(server.sessions)

    patience_s = 2.0 if error_class == "timeout" else 20
    server = RawServer(calls, revision)
    with serving(server):
        settings.TOOL_SERVERS = {"raw": server.url}
        bad, good, sessions = asyncio.run(scene())

    assert (bad.ending, bad.error_class) == (ending, error_class)
    assert bad.error
    assert {(g.ending, g.content) for g in good} == {(Ending.ANSWERED, "done")}
    if error_class == "timeout":  # nobody waited until the other was given up
        assert max(g.duration_ms for g in good) < patience_s * 1000
    assert sessions == (1 if revision == SESSION else 0)  # nobody had to begin anew


def test_a_server_that_hangs_on_cancellations_holds_nobody_up(settings: Any) -> None:
    class Deaf(RawServer):
        async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> Answer:
            if request.body and request.message.get("method") == "notifications/cancelled":
                await asyncio.sleep(60)
            return await super()._answer(request, writer)

    async def calls(request: Request, writer: asyncio.StreamWriter) -> Answer:
        if request.message["params"]["name"] == "bad":
            await asyncio.sleep(60)
        return http(rpc(request, result=text("done")))

    async def scene() -> list[CallResult]:
        async with ToolClient() as tools:
            await ask(tools)
            found = [await ask(tools, tool="bad", timeout_s=0.2)]
            return [*found, await ask(tools, timeout_s=4)]

    server = Deaf(calls)
    with serving(server):
        settings.TOOL_SERVERS = {"raw": server.url}
        bad, good = asyncio.run(scene())

    assert (bad.error_class, good.content) == ("timeout", "done")


def test_a_handshake_that_hangs_was_sent_no_call(settings: Any) -> None:
    server = RawServer(_mute, greet=_mute)

    server, [result] = met(server, settings, timeout_s=0.3)

    assert (result.ending, result.error_class) == (Ending.NOT_SENT, "not_connected")
    assert server.called() == []


@pytest.mark.parametrize("greet", [_cut, _no_http, _huge, _packed])
def test_a_handshake_that_goes_wrong_is_told_in_words(greet: Any, settings: Any) -> None:
    _, [result] = met(RawServer(_cut, greet=greet), settings, timeout_s=3)

    assert (result.ending, result.error_class) == (Ending.NOT_SENT, "not_connected")
    assert result.error.startswith("No connection to the tool server")
    assert "TaskGroup" not in result.error

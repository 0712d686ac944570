"""Revisions of the protocol, sessions, and numbers on their way."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Any

import pytest

from apps.calls.domain.retry import Ending
from apps.calls.executor import CallResult, ToolClient
from apps.kernel import exactjson
from tests.calls.executor.calling import OK, REVISIONS, ask, met
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


def sse(request: Request, *messages: str, extra: str = "") -> bytes:
    events = "".join(f"event: message\ndata: {m}\n\n" for m in messages)
    return http(extra + events, kind="text/event-stream")


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("streamed", [False, True])
def test_the_same_client_speaks_every_revision(
    revision: str, streamed: bool, settings: Any
) -> None:
    def answer(request: Request) -> Answer:
        said = rpc(request, result={**text("done"), **OK})
        return sse(request, said) if streamed else http(said)

    server, results = met(RawServer(always(answer), revision), settings, times=3)

    assert [(r.ending, r.content) for r in results] == [(Ending.ANSWERED, "done")] * 3
    assert [r.message["params"]["arguments"] for r in server.called()] == [{"a": 1}] * 3
    assert [r.message["params"]["_meta"]["idempotency_key"] for r in server.called()] == ["k"] * 3
    sessions = {r.headers.get("mcp-session-id") for r in server.called()}
    assert sessions == ({"s1"} if revision == SESSION else {None})


@pytest.mark.parametrize("name", ["billing.refund", "billing/refund", "a.b/c-d_e", "été.ok"])
@pytest.mark.parametrize("revision", [SESSION, STATELESS])
def test_a_tools_name_reaches_the_server_as_it_is(name: str, revision: str, settings: Any) -> None:
    server = RawServer(always(lambda r: http(rpc(r, result={**text("x"), **OK}))), revision)

    server, [result] = met(server, settings, tool=name)

    assert result.ending is Ending.ANSWERED
    assert [r.message["params"]["name"] for r in server.called()] == [name]


def test_a_servers_own_requests_and_notes_do_not_disturb_a_call(settings: Any) -> None:
    def answer(request: Request) -> Answer:
        ping = json.dumps({"jsonrpc": "2.0", "id": 99, "method": "ping"})
        note = json.dumps({"jsonrpc": "2.0", "method": "notifications/message", "params": 7})
        other = json.dumps({"jsonrpc": "2.0", "id": 12345, "result": {}})
        return sse(request, "garbage", ping, note, other, rpc(request, result=text("done")))

    server, [result] = met(RawServer(always(answer)), settings)

    assert (result.ending, result.content) == (Ending.ANSWERED, "done")
    assert any(r.message.get("id") == 99 for r in server.seen if r.body)


def test_a_stream_that_breaks_off_is_taken_up_again(settings: Any) -> None:
    class Broken(RawServer):
        async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> Answer:
            if request.method == "GET" and request.headers.get("last-event-id") == "e1":
                said = rpc(self.called()[0], result=text("after all"))
                return sse(request, said)
            return await super()._answer(request, writer)

    def answer(request: Request) -> Answer:
        return http("id: e1\nretry: 10\ndata: \n\n", kind="text/event-stream")

    server, [result] = met(Broken(always(answer)), settings)

    assert (result.ending, result.content) == (Ending.ANSWERED, "after all")
    assert len(server.called()) == 1


LOST = [
    ("404 Not Found", ""),
    ("404 Not Found", '{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"gone"}}'),
    (
        "404 Not Found",
        '{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}',
    ),
    ("400 Bad Request", "Bad Request: No valid session ID provided"),
    (
        "400 Bad Request",
        '{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: no session"}}',
    ),
]


@pytest.mark.parametrize(("status", "body"), LOST)
def test_a_lost_session_is_begun_anew_and_the_call_made_again(
    status: str, body: str, settings: Any
) -> None:
    def answer(request: Request) -> Answer:
        if request.headers["mcp-session-id"] == "s1" and len(server.called()) > 2:
            return http(body, status=status)
        return http(rpc(request, result=text("done")))

    server = RawServer(always(answer))
    server, results = met(server, settings, times=5)

    assert [r.ending for r in results] == [Ending.ANSWERED] * 5
    sessions = [r.headers["mcp-session-id"] for r in server.called()]
    assert sessions == ["s1", "s1", "s1", "s2", "s2", "s2"]


def test_many_calls_that_lose_one_session_begin_one_new_one(settings: Any) -> None:
    def answer(request: Request) -> Answer:
        if request.headers["mcp-session-id"] == "s1":
            return http(b"", status="404 Not Found")
        return http(rpc(request, result=text("done")))

    server = RawServer(always(answer))

    async def scene() -> list[CallResult]:
        async with ToolClient() as tools:
            return await asyncio.gather(*(ask(tools) for _ in range(20)))

    with serving(server):
        settings.TOOL_SERVERS = {"raw": server.url}
        results = asyncio.run(scene())

    assert {r.ending for r in results} == {Ending.ANSWERED}
    assert len(server.sessions) <= 3


def test_a_server_that_never_knows_our_session_was_sent_nothing(settings: Any) -> None:
    server = RawServer(always(lambda r: http(b"", status="404 Not Found")))

    server, [result] = met(server, settings)

    assert (result.ending, result.error_class) == (Ending.NOT_SENT, "session_lost")
    assert "session" in result.error
    assert len(server.called()) == 2


def test_an_unknown_tool_under_a_session_is_an_answer(settings: Any) -> None:
    def answer(request: Request) -> Answer:
        error = {"code": -32602, "message": "Unknown tool: do"}
        return http(rpc(request, error=error), status="404 Not Found")

    server, [result] = met(RawServer(always(answer)), settings)

    assert result.ending is Ending.REFUSED
    assert len(server.called()) == 1


def test_a_server_that_was_started_anew_is_spoken_to_anew(settings: Any) -> None:
    done = always(lambda r: http(rpc(r, result=text("done"))))
    first = RawServer(done)

    async def scene() -> tuple[CallResult, CallResult]:
        async with ToolClient() as tools:
            with serving(first):
                settings.TOOL_SERVERS = {"raw": first.url}
                before = await ask(tools)
            second = RawServer(
                always(
                    lambda r: (
                        http(rpc(r, result=text("done")))
                        if r.headers.get("mcp-session-id") == "s1" and len(second.sessions) == 1
                        else http(b"", status="404 Not Found")
                    )
                ),
                port=first.port,
            )
            with serving(second):
                return before, await ask(tools)

    before, after = asyncio.run(scene())

    assert before.ending is Ending.ANSWERED
    assert after.ending in {Ending.ANSWERED, Ending.LOST}


NUMBERS = [
    "0",
    "-1",
    "60000",
    "1e18",
    "9007199254740993",
    "12345678901234567890",
    "1" * 400,
    "0.1",
    "1.10",
    "3.141592653589793238462643383279502884197",
    "1e-400",
    "5e300",
]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("revision", [SESSION, STATELESS])
def test_a_number_passes_exactly_both_ways(number: str, revision: str, settings: Any) -> None:
    arguments = exactjson.loads(f'{{"n": {number}, "deep": [{{"n": {number}}}]}}')

    def answer(request: Request) -> Answer:
        said = rpc(request, result={**text("x"), **OK, "structuredContent": "HERE"})
        return http(said.replace('"HERE"', f'{{"n": {number}}}'))

    server, [result] = met(RawServer(always(answer), revision), settings, arguments=arguments)

    sent = json.loads(server.called()[0].body, parse_float=Decimal, parse_int=Decimal)
    assert sent["params"]["arguments"]["n"] == Decimal(number)
    assert sent["params"]["arguments"]["deep"] == [{"n": Decimal(number)}]
    assert exactjson.same(result.data, exactjson.loads(f'{{"n": {number}}}'))


@pytest.mark.parametrize(
    "arguments",
    [
        {"n": float("nan")},
        {"n": Decimal("Infinity")},
        {"t": "a\ud800"},
        {"n": 10**5000},
        {"o": {1, 2}},
    ],
)
def test_arguments_that_no_json_holds_are_not_sent(arguments: Any, settings: Any) -> None:
    server = RawServer(always(lambda r: http(rpc(r, result=text("done")))))

    server, [result] = met(server, settings, arguments=arguments)

    assert (result.ending, result.error_class) == (Ending.REJECTED, "unsendable")
    assert result.error.startswith("The arguments can't be sent: ")
    assert server.called() == []


def test_a_call_goes_where_its_server_is_now(settings: Any) -> None:
    """Approvals are bound to the address, so no connection to another one may carry a call."""
    done = always(lambda r: http(rpc(r, result={**text("done"), **OK})))
    with serving(RawServer(done)) as old, serving(RawServer(done)) as new:

        async def scene() -> None:
            async with ToolClient() as tools:
                settings.TOOL_SERVERS = {"raw": old.url}
                await ask(tools)
                settings.TOOL_SERVERS = {"raw": new.url}
                await ask(tools)
                settings.TOOL_SERVERS = {"raw": "gopher://nobody"}
                assert (await ask(tools)).ending is not Ending.ANSWERED

        asyncio.run(scene())

        assert (len(old.called()), len(new.called())) == (1, 1)

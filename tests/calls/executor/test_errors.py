"""Errors of a tool server, and of what stands before it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from apps.calls.domain.retry import Ending
from apps.calls.executor import CallResult, ToolClient
from tests.calls.executor.calling import ask, met
from tests.calls.executor.raw_server import (
    PLAIN,
    SESSION,
    Answer,
    RawServer,
    Request,
    always,
    http,
    rpc,
)
from tests.calls.executor.raw_server import text as text_of


@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request", "404 Not Found", "500 Oops"])
@pytest.mark.parametrize(
    ("code", "ending"),
    [
        (-32700, Ending.REFUSED),
        (-32600, Ending.REFUSED),
        (-32601, Ending.REFUSED),
        (-32602, Ending.REFUSED),
        (-32042, Ending.REFUSED),
        (-32603, Ending.ERRED),
        (-32000, Ending.ERRED),
        (17, Ending.ERRED),
        (10**40, Ending.ERRED),
        ("odd", Ending.ERRED),
    ],
)
def test_an_error_of_the_servers_own_is_an_answer(
    status: str, code: Any, ending: Ending, settings: Any
) -> None:
    def answer(request: Request) -> Answer:
        error = {"code": code, "message": "amount must be positive"}
        return http(rpc(request, error=error), status=status)

    server, results = met(RawServer(always(answer), PLAIN), settings, times=2)

    assert {(r.ending, r.error_class) for r in results} == {(ending, "refused_by_tool")}
    assert all("amount must be positive" in r.error == r.content for r in results)
    assert len(server.called()) == 2


BLANK = ["", " ", "\n\t", "\u202e\u200f", "\u200b"]


@pytest.mark.parametrize(
    "members",
    [
        *({"error": {"code": -32000, "message": text}} for text in BLANK),
        *({"error": text} for text in BLANK),
        *({"result": text_of(said, isError=True)} for said in BLANK),
        {"result": {"content": [], "isError": True}},
    ],
)
def test_an_error_without_anything_to_read_is_told_in_words_of_ours(
    members: dict[str, Any], settings: Any
) -> None:
    server = RawServer(always(lambda request: http(rpc(request, **members))), PLAIN)

    _, (result,) = met(server, settings)

    assert result.error_class == "refused_by_tool"
    assert "no message" in result.error or "no reason" in result.error


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("at", ["handshake", "call"])
def test_refused_credentials_are_told_in_words(status: int, at: str, settings: Any) -> None:
    def no(request: Request) -> Answer:
        return http('{"error": "invalid_token"}', status=f"{status} No")

    greet = always(no) if at == "handshake" else None
    _, [result] = met(RawServer(always(no), greet=greet), settings)

    assert (result.ending, result.error_class) == (Ending.REJECTED, f"http_{status}")
    assert result.error.startswith("The tool server “raw” ")
    assert "token" in result.error
    assert "TaskGroup" not in result.error


@pytest.mark.parametrize(
    ("head", "ending", "words"),
    [
        ({"status": "404 Not Found", "revision": PLAIN}, Ending.REJECTED, "no MCP server at"),
        ({"status": "405 No"}, Ending.REJECTED, "no MCP server at"),
        ({"status": "413 Too Large"}, Ending.REJECTED, "refuses the tower's requests"),
        (
            {"status": "307 Moved", "location": "http://169.254.169.254/x?token=1"},
            Ending.REJECTED,
            "(HTTP 307), which is not followed",
        ),
        (
            {"status": "308 Moved", "location": "/elsewhere"},
            Ending.REJECTED,
            "set the right address",
        ),
        ({"status": "302 Found", "location": "/elsewhere"}, Ending.BROKEN, "HTTP 302"),
        ({"status": "400 Bad Request"}, Ending.BROKEN, "HTTP 400"),
        ({"status": "409 Conflict"}, Ending.BROKEN, "HTTP 409"),
        ({"status": "429 Slow Down", "retry-after": "7"}, Ending.TURNED_AWAY, "retry later"),
        ({"status": "503 Busy", "retry-after": "7"}, Ending.LOST, "failed (HTTP 503)"),
        ({"status": "502 Bad Gateway"}, Ending.LOST, "failed (HTTP 502)"),
        ({"status": "501 Not Implemented"}, Ending.REJECTED, "refuses the tower's requests"),
        ({"status": "202 Accepted"}, Ending.LOST, "empty"),
        ({"status": "204 No Content"}, Ending.LOST, "empty"),
    ],
)
def test_a_status_without_an_answer_is_told_in_words(
    head: dict[str, str], ending: Ending, words: str, settings: Any
) -> None:
    head = dict(head)
    revision = head.pop("revision", SESSION)
    server = RawServer(always(lambda r: http(b"", **head)), revision)

    server, [result] = met(server, settings)

    assert result.ending is ending
    assert words in result.error
    assert result.retry_after_s == (7 if "retry-after" in head else None)
    assert len(server.seen) < 8  # nothing was followed


def test_an_overloaded_server_that_says_so_itself_is_asked_again(settings: Any) -> None:
    def answer(request: Request) -> Answer:
        error = {"code": -32000, "message": "overloaded"}
        return http(rpc(request, error=error), status="503 Busy", Retry_After="9")

    result = met(RawServer(always(answer)), settings)[1][0]

    assert (result.ending, result.retry_after_s) == (Ending.TURNED_AWAY, 9)


def test_nobody_there_is_told_in_words(settings: Any) -> None:
    settings.TOOL_SERVERS = {"raw": "http://127.0.0.1:1/mcp"}

    async def scene() -> CallResult:
        async with ToolClient() as tools:
            return await ask(tools)

    result = asyncio.run(scene())

    assert (result.ending, result.error_class) == (Ending.NOT_SENT, "not_connected")
    assert "could not be connected to" in result.error

"""Tools that live in a module of this process."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import httpx2
import pytest

from apps.catalog.adapters import Connection
from apps.catalog.domain.servers import Source, read_entry
from apps.runs.domain.retry import Ending
from apps.runs.executor import (
    BODY_LIMIT_BYTES,
    META_CALL,
    CallResult,
    ToolClient,
    Trace,
    Witness,
    retry_after_seconds,
)


async def answer(tool: str, arguments: dict[str, Any], meta: dict[str, Any]) -> dict[str, Any]:
    if tool == "refuse":
        raise ValueError("not in stock")
    if tool == "break":
        raise KeyError("x")
    if tool == "hang":
        await asyncio.sleep(60)
    return {"tool": tool, "arguments": arguments, "key": meta.get("idempotency_key")}


def at_once(tool: str, arguments: dict[str, Any], meta: dict[str, Any]) -> dict[str, Any] | None:
    if tool == "refuse":
        raise ValueError("not in stock")
    if tool == "break":
        raise KeyError("x")
    return {"tool": tool} if tool == "quick" else None


@pytest.fixture
def company_tools(settings: Any) -> Iterator[None]:
    module = ModuleType("company_tools")
    module.call = answer  # type: ignore[attr-defined]
    module.call_at_once = at_once  # type: ignore[attr-defined]
    sys.modules["company_tools"] = module
    settings.TOOL_SERVERS = {"own": "python:company_tools"}
    yield
    del sys.modules["company_tools"]


def call(tool: str, server: str = "own") -> CallResult:
    async def once() -> CallResult:
        async with ToolClient() as tools:
            meta, patience = {"idempotency_key": "k"}, 0.2 if tool == "hang" else 30
            return await tools.call(
                server, tool, {"a": 1}, meta=meta, call_id="c", timeout_s=patience
            )

    return asyncio.run(once())


@pytest.mark.usefixtures("company_tools")
@pytest.mark.parametrize(
    ("tool", "ending", "error_class"),
    [
        ("do", Ending.ANSWERED, ""),
        ("refuse", Ending.REFUSED, "refused_by_tool"),
        ("break", Ending.LOST, "tool_error"),
        ("hang", Ending.LOST, "timeout"),
    ],
)
def test_a_tool_of_this_process_ends_as_honestly_as_one_on_the_network(
    tool: str, ending: Ending, error_class: str
) -> None:
    result = call(tool)

    assert (result.ending, result.error_class) == (ending, error_class)
    if ending is Ending.ANSWERED:
        assert result.data == {"tool": "do", "arguments": {"a": 1}, "key": "k"}
    else:
        assert result.error


@pytest.mark.django_db
def test_a_server_that_nobody_knows_is_a_result_too() -> None:
    result = call("do", server="nobody")

    assert result.ending is Ending.NOT_SENT
    assert "TOWER_TOOL_SERVERS" in result.error


def met(head: str, *, parts: int = 0, part: bytes = b"x" * 65536) -> tuple[Trace, str, int]:
    """A call over a real connection that is answered with this head and a body of so many parts:
    what the witness noted, how the client ended, and how many bytes the server could send."""
    sent = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head.replace("\n", "\r\n").encode() + b"\r\n\r\n")
        try:
            for _ in range(parts):
                writer.write(b"%x\r\n%b\r\n" % (len(part), part))
                await writer.drain()
                sent += len(part)
            writer.write(b"0\r\n\r\n")
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def scene() -> tuple[Trace, str]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        witness = Witness(Connection(read_entry("toys", url, Source.ENVIRONMENT)))
        trace = witness.traces["c"] = Trace()
        async with server, httpx2.AsyncClient(transport=witness, trust_env=False) as http:
            try:
                answer = await http.post(url, json={"params": {"_meta": {META_CALL: "c"}}})
            except httpx2.ReadError as error:
                return trace, str(error)
            return trace, str(answer.status_code)

    trace, ended = asyncio.run(scene())
    return trace, ended, sent


CHUNKED = "HTTP/1.1 200 OK\nTransfer-Encoding: chunked"


@pytest.mark.parametrize("megabytes", [5, 200])
def test_a_body_without_end_is_cut_off_where_it_grows_too_large(megabytes: int) -> None:
    trace, ended, sent = met(CHUNKED, parts=megabytes * 16)

    assert trace.too_large
    assert "too large" in ended
    assert sent < BODY_LIMIT_BYTES + 20 * 2**20  # what lies in buffers on the way


def test_a_body_of_the_allowed_size_is_read() -> None:
    trace, ended, sent = met(CHUNKED, parts=BODY_LIMIT_BYTES // 65536)

    assert (trace.too_large, trace.status, ended) == (False, 200, "200")
    assert sent == BODY_LIMIT_BYTES


@pytest.mark.parametrize(
    "head",
    [
        f"HTTP/1.1 200 OK\nContent-Length: {BODY_LIMIT_BYTES + 1}",
        "HTTP/1.1 200 OK\nContent-Length: 1000000000000000",
        f"{CHUNKED}\nContent-Encoding: gzip",
        f"{CHUNKED}\nContent-Encoding: zstd, br",
    ],
)
def test_what_says_that_it_is_too_large_or_is_packed_is_not_read(head: str) -> None:
    trace, ended, _ = met(head)

    assert trace.too_large
    assert "too large" in ended


def test_a_redirect_is_an_answer_and_not_followed() -> None:
    moved = "HTTP/1.1 307 Temporary Redirect\nLocation: http://127.0.0.1:1/\nContent-Length: 0"
    trace, ended, _ = met(moved)

    assert (trace.sent, trace.status, ended) == (True, 307, "307")


@pytest.mark.parametrize(
    ("said", "date", "seconds"),
    [
        ("7", None, 7),
        ("-3.5", None, -3.5),
        ("Fri, 01 Jan 2027 00:01:00 GMT", "Fri, 01 Jan 2027 00:00:00 GMT", 60),
        ("Fri, 01 Jan 1999 00:01:00 GMT", "Fri, 01 Jan 1999 00:00:00 +0000", 60),
        ("Fri, 01 Jan 2027 01:00:00 +0100", "Fri, 01 Jan 2027 00:00:00 GMT", 0),
    ],
)
def test_come_back_at_a_date_is_counted_from_the_answers_own_date(
    said: str, date: str | None, seconds: float
) -> None:
    assert retry_after_seconds(said, date) == seconds


@pytest.mark.parametrize("said", [None, "", "soon", "nan", "inf", "-infinity", "1e999", "99:99"])
def test_come_back_at_no_time_at_all(said: str | None) -> None:
    assert retry_after_seconds(said, "Fri, 01 Jan 2027 00:00:00 GMT") is None


@pytest.mark.usefixtures("company_tools")
def test_a_module_answers_at_once_what_needs_no_waiting() -> None:
    def ask(tool: str, server: str = "own") -> CallResult | None:
        return ToolClient().at_once(server, tool, {}, meta={})

    assert ask("do") is None
    assert ask("quick", server="nobody") is None
    quick, refused, broken = ask("quick"), ask("refuse"), ask("break")
    assert quick is not None
    assert (quick.ending, quick.data) == (Ending.ANSWERED, {"tool": "quick"})
    assert refused is not None
    assert refused.ending is Ending.REFUSED
    assert broken is not None
    assert broken.ending is Ending.LOST

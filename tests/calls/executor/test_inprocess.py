"""Tools that live in a module of this process."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from decimal import Decimal
from types import ModuleType
from typing import Any

import pytest

from apps.calls.domain.envelope import LIMIT_BYTES
from apps.calls.domain.retry import Ending
from apps.calls.executor import CallResult, ToolClient
from apps.calls.executor.result import retry_after_seconds
from tests.calls.executor.raw_server import Answer, RawServer, Request, rpc, serving, text

ODD: dict[str, Any] = {
    "list": [1, {"a": 2}],
    "text": "done",
    "nothing": None,
    "nan": {"n": float("nan")},
    "set": {1},
    "nul": {"t": "a\x00b"},
    "deep": [[]],
    "huge": {"t": "x" * (LIMIT_BYTES + 1)},
    "number": {"n": Decimal("0.1000000000000000000000000001")},
}
for _ in range(2000):
    ODD["deep"] = [ODD["deep"]]
ENDS: dict[str, BaseException] = {
    "exit": SystemExit(3),
    "interrupt": KeyboardInterrupt(),
    "cancel": asyncio.CancelledError(),
    "generator": GeneratorExit(),
    "group": BaseExceptionGroup("many", [SystemExit(1)]),
    "timeout": TimeoutError("the database was away"),
}


async def answer(tool: str, arguments: dict[str, Any], meta: dict[str, Any]) -> dict[str, Any]:
    if tool == "refuse":
        raise ValueError("not in stock")
    if tool == "break":
        raise KeyError("x")
    if tool == "hang":
        await asyncio.sleep(60)
    if tool in ODD:
        return ODD[tool]
    if tool in ENDS:
        raise ENDS[tool]
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


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n"


def streamed(head: bytes, settings: Any, *, parts: int = 0) -> tuple[CallResult, int]:
    """A call that is answered with this head and a body of so many parts of 64 KiB: how it ended,
    and how many bytes the server could send."""
    sent = 0

    async def calls(request: Request, writer: asyncio.StreamWriter) -> Answer:
        nonlocal sent
        writer.write(head + b"\r\n")
        for _ in range(parts):
            writer.write(b"%x\r\n%b\r\n" % (65536, b" " * 65536))
            await writer.drain()
            sent += 65536
        answer = rpc(request, result=text("done")).encode()
        writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(answer), answer))
        await writer.drain()
        return None

    with serving(RawServer(calls)) as server:
        settings.TOOL_SERVERS = {"raw": server.url}
        return call("do", server="raw"), sent


@pytest.mark.parametrize("megabytes", [5, 200])
def test_a_body_without_end_is_cut_off_where_it_grows_too_large(
    megabytes: int, settings: Any
) -> None:
    result, sent = streamed(CHUNKED, settings, parts=megabytes * 16)

    assert (result.ending, result.error_class) == (Ending.BROKEN, "too_large")
    assert sent < LIMIT_BYTES + 20 * 2**20  # what lies in buffers on the way


def test_a_body_of_the_allowed_size_is_read(settings: Any) -> None:
    result, _ = streamed(CHUNKED, settings, parts=LIMIT_BYTES // 65536 - 1)

    assert (result.ending, result.content) == (Ending.ANSWERED, "done")


@pytest.mark.parametrize(
    ("head", "error_class"),
    [
        (HEAD + b"Content-Length: %d\r\n" % (LIMIT_BYTES + 1), "too_large"),
        (HEAD + b"Content-Length: 1000000000000000\r\n", "too_large"),
        (CHUNKED + b"Content-Encoding: gzip\r\n", "packed"),
        (CHUNKED + b"Content-Encoding: zstd, br\r\n", "packed"),
    ],
)
def test_what_says_that_it_is_too_large_or_is_packed_is_not_read(
    head: bytes, error_class: str, settings: Any
) -> None:
    result, _ = streamed(head, settings)

    assert (result.ending, result.error_class) == (Ending.BROKEN, error_class)


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


@pytest.mark.usefixtures("company_tools")
@pytest.mark.parametrize("tool", list(ODD))
def test_whatever_a_tool_of_this_process_returns_it_has_answered(tool: str) -> None:
    result = call(tool)

    assert result.ending is Ending.ANSWERED
    if tool in {"list", "text", "number"}:
        assert result.data == ODD[tool]
        assert result.notes == ()
    elif tool != "nothing":
        assert "no JSON that can be kept" in result.notes[0]
        assert result.parts[0].sha256
        assert "\x00" not in result.content


@pytest.mark.usefixtures("company_tools")
@pytest.mark.parametrize("tool", list(ENDS))
def test_whatever_a_tool_of_this_process_raises_its_worker_lives(tool: str) -> None:
    result = call(tool)

    assert result.ending is Ending.LOST
    assert result.error


@pytest.mark.usefixtures("company_tools")
def test_a_cancelled_call_of_a_tool_of_this_process_is_cancelled() -> None:
    async def scene() -> None:
        async with ToolClient() as tools:
            task = asyncio.create_task(
                tools.call("own", "hang", {}, meta={}, call_id="c", timeout_s=30)
            )
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(scene())

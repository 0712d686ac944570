"""Calls of a raw tool server, made by the tower's own client."""

from __future__ import annotations

import asyncio
from typing import Any

from apps.calls.executor import CallResult, ToolClient
from tests.calls.executor.raw_server import (
    PLAIN,
    SESSION,
    STATELESS,
    Answer,
    RawServer,
    Request,
    always,
    http,
    rpc,
    serving,
)

REVISIONS = [SESSION, PLAIN, STATELESS]
OK = {"resultType": "complete"}


async def ask(
    tools: ToolClient, *, tool: str = "do", arguments: Any = None, timeout_s: float = 5
) -> CallResult:
    return await tools.call(
        "raw",
        tool,
        arguments or {"a": 1},
        meta={"idempotency_key": "k"},
        call_id="c",
        timeout_s=timeout_s,
    )


def met(
    server: RawServer, settings: Any, *, times: int = 1, **more: Any
) -> tuple[RawServer, list[CallResult]]:
    """The results of calls one after the other over one connection."""

    async def scene() -> list[CallResult]:
        async with ToolClient() as tools:
            return [await ask(tools, **more) for _ in range(times)]

    with serving(server):
        settings.TOOL_SERVERS = {"raw": server.url}
        return server, asyncio.run(scene())


def one(answer: Any, settings: Any, *, revision: str = SESSION, **more: Any) -> CallResult:
    """What a call comes to that is answered with this result, in this revision."""
    server = RawServer(always(lambda r: http(rpc(r, result={**OK, **answer}))), revision)
    return met(server, settings, **more)[1][0]


def raw(body: str | bytes, settings: Any, **more: Any) -> CallResult:
    """What a call comes to whose answer has this very body; ``%ID%`` stands for its id."""

    def answer(request: Request) -> Answer:
        given = body.encode() if isinstance(body, str) else body
        return http(given.replace(b"%ID%", str(request.message["id"]).encode()), **more)

    return met(RawServer(always(answer)), settings, timeout_s=2)[1][0]

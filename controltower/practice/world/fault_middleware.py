"""Where the faults happen: a small ASGI layer in front of MCP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

from controltower.practice.world.faults import Fault, Faults, called_tool

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

JSON_TYPE = (b"content-type", b"application/json")
MEGABYTE = b" " * 1_000_000


class FaultMiddleware:
    """Passes requests on untouched until a fault is set."""

    def __init__(self, app: App, faults: Faults) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, with the fault that strikes it."""
        if scope["type"] != "http" or scope["method"] != "POST" or not self._faults:
            await self._app(scope, receive, send)
            return
        body = await _read_body(receive)
        fault = self._faults.strike(called_tool(body))
        if fault is None:
            await self._app(scope, _Replayed(body, receive), send)
            return
        if fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
        held = _Held()
        if fault.works:
            # The work must be finished even if the caller leaves meanwhile: that is the point.
            await self._app(scope, _Replayed(body, None), held)
        await _answer(fault, held, receive, send)


class _Replayed:
    """A request body that was already read, then whatever the connection says."""

    def __init__(self, body: bytes, receive: Receive | None) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        if self._receive is None:
            await asyncio.Event().wait()
        assert self._receive is not None  # noqa: S101 - tells the type checker what the wait implies
        return await self._receive()


class _Held:
    """An answer caught before it reaches the caller."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def __call__(self, message: Message) -> None:
        self.messages.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)


async def _answer(fault: Fault, held: _Held, receive: Receive, send: Send) -> None:
    if fault.kind in ("delay", "late_reply"):
        if fault.kind == "late_reply":
            await asyncio.sleep(fault.seconds)
        for message in held.messages:
            await send(message)
    elif fault.kind == "hang":
        await _until_gone(receive)
    elif fault.kind == "drop_reply":
        await _cut(receive, send)
    elif fault.kind in ("error_before", "error_after", "rate_limit", "redirect"):
        await _reply(send, *_status_and_headers(fault), [_once(b"")])
    else:
        await _reply(send, 200, [JSON_TYPE], [_bodies(fault, held.body)])


def _status_and_headers(fault: Fault) -> tuple[int, list[tuple[bytes, bytes]]]:
    if fault.kind == "redirect":
        return 307, [(b"location", fault.location.encode())]
    status = 429 if fault.kind == "rate_limit" else fault.status
    told = fault.retry_after_header()
    return status, [] if told is None else [(b"retry-after", told.encode())]


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _bodies(fault: Fault, body: bytes) -> AsyncIterator[bytes]:
    if fault.kind == "garbage":
        yield b'\x00\xff{"jsonrpc": "2.0", "result": not json'
    elif fault.kind == "huge":
        for _ in range(fault.megabytes):
            yield MEGABYTE
    else:
        for index in range(len(body)):
            yield body[index : index + 1]
            await asyncio.sleep(fault.seconds)


async def _reply(
    send: Send, status: int, headers: list[tuple[bytes, bytes]], bodies: list[AsyncIterator[bytes]]
) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for parts in bodies:
        async for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _cut(receive: Receive, send: Send) -> None:
    """Close the connection under the server's feet; ASGI has no word for it."""
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        # Not served by uvicorn: an answer that breaks off is the nearest there is.
        start: Message = {"type": "http.response.start", "status": 200}
        await send({**start, "headers": [(b"content-length", b"1000")]})
        return
    transport.abort()
    await _until_gone(receive)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _read_body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return b"".join(parts)

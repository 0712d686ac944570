"""A tool server written byte by byte, so that it can answer what no library would let it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

SESSION, PLAIN, STATELESS = "2025-06-18", "2025-06-18 without ids", "2026-07-28"


@dataclass
class Request:
    """One HTTP request as it came."""

    method: str
    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> dict[str, Any]:
        return json.loads(self.body) if self.body else {}

    @property
    def is_call(self) -> bool:
        return self.message.get("method") == "tools/call"


Answer = bytes | None  # None: the answer was written, or the connection is to be closed
Calls = Callable[[Request, asyncio.StreamWriter], Awaitable[Answer]]


def http(
    body: bytes | str, *, status: str = "200 OK", kind: str = "application/json", **headers: str
) -> bytes:
    """An HTTP answer."""
    raw = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(raw)}"]
    lines += [f"Content-Type: {kind}"] if kind else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + raw


def rpc(request: Request, **members: Any) -> str:
    """A JSON-RPC message that answers this request."""
    return json.dumps({"jsonrpc": "2.0", "id": request.message["id"], **members})


def text(said: str, **more: Any) -> dict[str, Any]:
    """A result of one text."""
    return {"content": [{"type": "text", "text": said}], **more}


@dataclass
class RawServer:
    """Speaks one revision of MCP's handshake and leaves tools/call to ``calls``."""

    calls: Calls
    revision: str = SESSION
    tools: list[dict[str, Any]] = field(default_factory=list)
    greet: Calls | None = None  # instead of the handshake
    seen: list[Request] = field(default_factory=list)
    sessions: set[str] = field(default_factory=set)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    def called(self) -> list[Request]:
        """The calls of tools that came."""
        return [r for r in self.seen if r.is_call]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._converse(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            pairs = (line.partition(":") for line in head[1:] if line)
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            request = Request(head[0].split()[0], headers, body)
            self.seen.append(request)
            answer = await self._answer(request, writer)
            if answer is None:
                return
            writer.write(answer)
            await writer.drain()

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> Answer:
        if request.method != "POST":
            return http(b"", status="405 Method Not Allowed")
        method = request.message.get("method")
        if method == "tools/call":
            return await self.calls(request, writer)
        if self.greet is not None and method != "notifications/initialized":
            return await self.greet(request, writer)
        if method == "tools/list":
            result: dict[str, Any] = {"tools": self.tools}
            if self.revision == STATELESS:
                result |= {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
            return http(rpc(request, result=result))
        return self._handshake(request)

    def _handshake(self, request: Request) -> Answer:
        method = request.message.get("method")
        about = {"capabilities": {"tools": {}}}
        if method == "server/discover" and self.revision == STATELESS:
            caching = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
            result = {"supportedVersions": [STATELESS], **about, **caching}
            return http(rpc(request, result=result))
        if method == "initialize":
            info = {"serverInfo": {"name": "raw", "version": "1"}, "protocolVersion": "2025-06-18"}
            named = {}
            if self.revision == SESSION:
                session = f"s{len(self.sessions) + 1}"
                self.sessions.add(session)
                named = {"Mcp_Session_Id": session}
            return http(rpc(request, result={**about, **info}), **named)
        if "id" not in request.message:
            return http(b"", status="202 Accepted")
        error = {"code": -32601, "message": f"no method {method}"}
        return http(rpc(request, error=error))


@contextmanager
def serving(server: RawServer) -> Iterator[RawServer]:
    """Let a raw server listen, in a thread of its own."""
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    stop = asyncio.Event()

    async def main() -> None:
        listener = await asyncio.start_server(server.serve, "127.0.0.1", server.port, limit=2**24)
        server.port = listener.sockets[0].getsockname()[1]
        ready.set()
        await stop.wait()
        listener.close()
        open_ones = asyncio.all_tasks() - {asyncio.current_task()}
        for task in open_ones:
            task.cancel()
        await asyncio.gather(*open_ones, return_exceptions=True)
        await asyncio.sleep(0.01)  # transports close a turn later

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()), daemon=True)
    thread.start()
    ready.wait()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def always(answer: Callable[[Request], Answer | bytes]) -> Calls:
    """Answer each call in this way."""

    async def calls(request: Request, writer: asyncio.StreamWriter) -> Answer:
        return answer(request)

    return calls

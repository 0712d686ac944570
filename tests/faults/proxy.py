"""A TCP proxy that misbehaves on request: it stands before PostgreSQL, Valkey or a tool service.

Its loop runs in a thread of its own; the switches are plain attributes that a test sets. Bytes are
counted and held per connection, so a fault strikes one conversation and not the whole machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

CHUNK = 65536


@dataclass(frozen=True, slots=True)
class Arrival:
    """A tool call that really reached the wire, as the outside saw it."""

    at: float
    tool: str
    world: str
    key: str


@dataclass(slots=True)
class Switches:
    """What goes wrong now. Everything is off by default."""

    refuse: bool = False  # new connections are closed at once
    blackhole: bool = False  # nothing passes in either direction; nobody is told
    delay_s: float = 0.0  # each chunk waits as long, in both directions
    delay_marker: bytes = b""  # … but only chunks from the client that hold these bytes
    cut_after: int | None = None  # once: abort the connection after so many bytes of the client
    swallow: bytes = b""  # pass on what the client says with these bytes in it, drop the reply, cut
    swallows: int = 0  # how often still


@dataclass
class Proxy:
    """``Proxy(port)`` forwards to ``127.0.0.1:port`` from ``self.port`` once started."""

    target: int
    record_calls: bool = False
    port: int = 0
    switches: Switches = field(default_factory=Switches)
    arrivals: list[Arrival] = field(default_factory=list)
    swallowed: int = 0
    cuts: int = 0

    def __post_init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._serve, name="fault proxy", daemon=True)

    def start(self) -> Proxy:
        """Listen on a free port of the loopback."""
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._accept, "127.0.0.1", self.port))
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def stop(self) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def cut(self) -> int:
        """Abort every open connection now; returns how many there were."""
        return self._run(self._cut())

    def calm(self) -> None:
        """Everything off."""
        self.switches = Switches()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._cut()
        others = asyncio.all_tasks(self._loop) - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _cut(self) -> int:
        found = len(self._open)
        for writer in list(self._open):
            writer.transport.abort()
        self.cuts += found
        return found // 2

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.switches.refuse:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        pair = _Pair(self, writer, far_writer)
        self._open |= {writer, far_writer}
        try:
            tasks = [
                asyncio.create_task(pair.up(reader)),
                asyncio.create_task(pair.down(far_reader)),
            ]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            self._open -= {writer, far_writer}
            for end in (writer, far_writer):
                with contextlib.suppress(Exception):
                    end.close()


class _Pair:
    """One conversation through the proxy."""

    def __init__(self, proxy: Proxy, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self.proxy = proxy
        self.near = near
        self.far = far
        self.mute = False
        self.sent = 0
        self.calls = CallReader()

    async def up(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(CHUNK):
            switches = self.proxy.switches
            await self._hold(data)
            self._note(data)
            self.sent += len(data)
            if switches.cut_after is not None and self.sent > switches.cut_after:
                switches.cut_after = None
                self.far.write(data[: len(data) // 2])
                self._abort()
                return
            if switches.swallows > 0 and switches.swallow in data:
                switches.swallows -= 1
                self.mute = True
            self.far.write(data)
            await self.far.drain()

    async def down(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(CHUNK):
            if self.mute:  # it was said and heard, and the answer is lost
                self.proxy.swallowed += 1
                self._abort()
                return
            if not self.proxy.switches.delay_marker:
                await self._hold(b"")
            else:
                await self._dark()
            self.near.write(data)
            await self.near.drain()

    async def _hold(self, data: bytes) -> None:
        await self._dark()
        switches = self.proxy.switches
        if switches.delay_s and switches.delay_marker in data:
            await asyncio.sleep(switches.delay_s)

    async def _dark(self) -> None:
        while self.proxy.switches.blackhole:
            await asyncio.sleep(0.02)

    def _note(self, data: bytes) -> None:
        if self.proxy.record_calls:
            self.proxy.arrivals += self.calls.feed(data)

    def _abort(self) -> None:
        self.proxy.cuts += 1
        self.near.transport.abort()
        self.far.transport.abort()


class CallReader:
    """Finds the tool calls in one connection's stream of HTTP/1.1 requests."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[Arrival]:
        """The calls whose requests are complete now."""
        self._buffer += data
        found = []
        while (body := self._next()) is not None:
            found += _arrivals(body)
        return found

    def _next(self) -> bytes | None:
        head, parted, rest = self._buffer.partition(b"\r\n\r\n")
        if not parted:
            return None
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-length":
                length = int(value)
        if len(rest) < length:
            return None
        self._buffer = rest[length:]
        return rest[:length]


def _arrivals(body: bytes) -> list[Arrival]:
    try:
        message = json.loads(body)
    except ValueError:
        return []
    if not isinstance(message, dict) or message.get("method") != "tools/call":
        return []
    params = message.get("params") or {}
    meta = params.get("_meta") or {}
    key = str(meta.get("idempotency_key", ""))
    return [Arrival(time.time(), str(params.get("name", "")), str(meta.get("world", "")), key)]

"""The network door of the engine: a tool is called here, and how that ended is told honestly.

Outside any transaction, with a timeout, an idempotency key and a size limit; redirects are never
followed. The official MCP SDK speaks the protocol; a transport of ours under it notes what HTTP
really did with each request, since "was it sent?" decides whether a mutation may be repeated.
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from math import isfinite
from typing import Any

import httpx2
import mcp
import orjson
from mcp.client.streamable_http import streamable_http_client

from apps.catalog import adapters as servers
from apps.kernel.errors import TowerError
from apps.runs.domain.retry import Ending

logger = logging.getLogger(__name__)
InProcess = Callable[[str, Mapping[str, Any], Mapping[str, Any]], Any]
META_CALL = "tower/call"
BODY_LIMIT_BYTES = 4 * 1024 * 1024
PLAIN = "identity"
TURNED_AWAY = {408, 425, 429}


@dataclass(slots=True)
class Trace:
    """What HTTP did with one call."""

    sent: bool = False
    status: int | None = None
    retry_after_s: float | None = None
    too_large: bool = False


@dataclass(frozen=True, slots=True)
class CallResult:
    """How one attempt ended. ``content`` is the tool's text; ``data`` its structured answer."""

    ending: Ending
    content: str = ""
    data: Any = None
    error_class: str = ""
    error: str = ""
    http_status: int | None = None
    retry_after_s: float | None = None
    duration_ms: float = 0.0
    replayed: bool = False
    meta: Mapping[str, Any] = field(default_factory=dict)


def retry_after_seconds(value: str | None, answered_at: str | None = None) -> float | None:
    """``Retry-After`` (RFC 9110) as seconds: a number, or an HTTP date counted from the answer's
    own ``Date`` (``answered_at``), since the clock here may be minutes off; else ``None``."""
    if not value:
        return None
    with suppress(ValueError):
        return seconds if isfinite(seconds := float(value)) else None
    if (when := _http_date(value)) is None:
        return None
    return (when - (_http_date(answered_at) or datetime.now(UTC))).total_seconds()


def _http_date(value: str | None) -> datetime | None:
    try:
        return email.utils.parsedate_to_datetime(value or "").astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None


class Capped(httpx2.AsyncByteStream):
    """A body that breaks off where it grows beyond what an answer may be, so that no tool decides
    how much memory a worker needs. One that is too large by its own account isn't read at all, nor
    one that is packed, whatever it would unpack to: nobody asked for that."""

    def __init__(self, response: httpx2.Response, trace: Trace) -> None:
        self._stream: Any = response.stream
        self._trace = trace
        told = response.headers.get("content-length", "")
        packed = response.headers.get("content-encoding", PLAIN).strip().lower() != PLAIN
        is_long = told.isascii() and told.isdigit() and int(told) > BODY_LIMIT_BYTES
        self._left = -1 if packed or is_long else BODY_LIMIT_BYTES

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._left
        if left < 0:
            self._trace.too_large = True
            raise httpx2.ReadError("the answer is too large, or packed")
        async for part in self._stream:
            left -= len(part)
            if left < 0:
                self._trace.too_large = True
                raise httpx2.ReadError("the answer is too large")
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


class Witness(servers.EgressTransport):
    """Notes for each call whether it was sent and with which status it was answered."""

    def __init__(self, connection: servers.Connection) -> None:
        limits = httpx2.Limits(max_connections=256, max_keepalive_connections=256)
        super().__init__(connection, limits=limits)
        self.traces: dict[str, Trace] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        trace = self._trace_of(request)
        if trace is None:
            return await super().handle_async_request(request)
        try:
            trace.sent = True
            response = await super().handle_async_request(request)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout):
            trace.sent = False
            raise
        trace.status = response.status_code
        said = response.headers
        trace.retry_after_s = retry_after_seconds(said.get("retry-after"), said.get("date"))
        response.stream = Capped(response, trace)
        return response

    def _trace_of(self, request: httpx2.Request) -> Trace | None:
        if not self.traces or request.method != "POST":
            return None
        try:
            params = json.loads(request.content).get("params") or {}
        except (ValueError, AttributeError):
            return None
        return self.traces.get(str((params.get("_meta") or {}).get(META_CALL, "")))


class ToolClient:
    """One MCP client a tool server, shared by all concurrent calls of a drain.

    Each is kept by a task of its own: the SDK's scopes have to be left by the task that entered
    them, and no call that times out may take the shared connection with it.
    """

    def __init__(self) -> None:
        self._stop = asyncio.Event()
        self._modules: dict[str, str] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._ready: dict[str, asyncio.Future[tuple[mcp.Client, Witness]]] = {}

    async def __aenter__(self) -> ToolClient:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._stop.set()
        if self._keepers:
            _, late = await asyncio.wait(self._keepers.values(), timeout=5)
            for task in late:
                task.cancel()

    async def call(
        self,
        server: str,
        tool: str,
        arguments: Mapping[str, Any],
        *,
        meta: Mapping[str, Any],
        call_id: str,
        timeout_s: float,
    ) -> CallResult:
        """Call ``tool`` once. Never raises for what the other side does: the result says how it
        ended. ``meta`` carries the idempotency key, the world and the run."""
        if module := self._module_of(server):
            call = _in_process(module)
            return await _call_in_process(call, tool, arguments, meta=meta, timeout_s=timeout_s)
        started = time.monotonic()
        trace = Trace()
        try:
            async with asyncio.timeout(timeout_s):
                client, witness = await self._client(server)
                witness.traces[call_id] = trace
                try:
                    answer = await client.call_tool(
                        tool, dict(arguments), meta={**meta, META_CALL: call_id}
                    )
                finally:
                    witness.traces.pop(call_id, None)
            return _read_answer(answer, trace, started)
        except TimeoutError:
            ending = Ending.LOST if trace.sent else Ending.NOT_SENT
            return _failed(ending, trace, started, "timeout", f"no answer in {timeout_s:g} s")
        except Exception as error:  # anything the other side does is a result, not a crash
            return _read_failure(error, trace, started)

    def at_once(
        self, server: str, tool: str, arguments: Mapping[str, Any], *, meta: Mapping[str, Any]
    ) -> CallResult | None:
        """Call a tool of this process whose module answers it at once; ``None``, and nothing was
        done, for every other tool."""
        module = self._module_of(server)
        quick = _quick(module) if module else None
        if quick is None:
            return None
        started = time.monotonic()
        try:
            data = quick(tool, arguments, meta)
            return None if data is None else _answered(data, started)
        except Exception as error:  # whatever a tool does is a result, not a crash
            return _broke(error, started)

    def _module_of(self, server: str) -> str:
        """The module of an in-process server; empty for one on the network. Asked once a client:
        a drain lives for seconds, so a changed address is soon seen."""
        if server not in self._modules:
            self._modules[server] = servers.module_of(server)
        return self._modules[server]

    async def _client(self, server: str) -> tuple[mcp.Client, Witness]:
        ready = self._ready.get(server)
        if ready is None or (ready.done() and (ready.cancelled() or ready.exception())):
            ready = self._ready[server] = asyncio.get_running_loop().create_future()
            self._keepers[server] = asyncio.create_task(self._keep(server, ready))
        return await asyncio.shield(ready)

    async def _keep(self, server: str, ready: asyncio.Future[tuple[mcp.Client, Witness]]) -> None:
        try:
            connection = servers.resolve(server)
            witness = Witness(connection)
            async with (
                servers.http_client(connection, witness) as http,
                mcp.Client(streamable_http_client(connection.url, http_client=http)) as client,
            ):
                ready.set_result((client, witness))
                await self._stop.wait()
        except Exception as error:
            if not ready.done():
                ready.set_exception(error)
                ready.exception()  # told to whoever waits; not an unretrieved one
            else:
                logger.warning("a tool client broke down", exc_info=True)
                self._ready.pop(server, None)


async def _call_in_process(
    call: InProcess,
    tool: str,
    arguments: Mapping[str, Any],
    *,
    meta: Mapping[str, Any],
    timeout_s: float,
) -> CallResult:
    """Tools that live in a Python module of the company's own: ``python:package.module`` with an
    ``async def call(tool, arguments, meta)`` that returns a JSON object, or raises ``ValueError``
    when it refuses and nothing happened. Any other error, and a time-out, leave it open whether
    something happened, as with a tool on the network. For tools that neither wait nor take long,
    the module may have a plain ``def call_at_once`` beside it, which answers like ``call``, or
    returns ``None`` for a tool that it doesn't answer."""
    started = time.monotonic()
    try:
        async with asyncio.timeout(timeout_s):
            return _answered(await call(tool, arguments, meta), started)
    except TimeoutError:
        error = f"no answer in {timeout_s:g} s"
        return _failed(Ending.LOST, Trace(sent=True), started, "timeout", error)
    except Exception as error:  # whatever a tool does is a result, not a crash
        return _broke(error, started)


def _answered(data: dict[str, Any], started: float) -> CallResult:
    content = orjson.dumps(data).decode()
    took = (time.monotonic() - started) * 1000
    replayed = bool(data.get("replayed"))
    return CallResult(Ending.ANSWERED, content, data, duration_ms=took, replayed=replayed)


def _broke(error: Exception, started: float) -> CallResult:
    trace = Trace(sent=True)
    if isinstance(error, ValueError):
        return _failed(Ending.REFUSED, trace, started, "refused_by_tool", str(error)[:2000])
    text = f"{type(error).__name__}: {error}"[:500]
    return _failed(Ending.LOST, trace, started, "tool_error", text)


@cache
def _quick(module: str) -> InProcess | None:
    return getattr(import_module(module), "call_at_once", None)


@cache
def _in_process(module: str) -> InProcess:
    call: InProcess = import_module(module).call
    return call


def _read_answer(answer: Any, trace: Trace, started: float) -> CallResult:
    text = "\n".join(part.text for part in answer.content if getattr(part, "text", None))
    meta = dict(getattr(answer, "meta", None) or {})
    took = (time.monotonic() - started) * 1000
    if len(text) > BODY_LIMIT_BYTES:
        return _failed(Ending.BROKEN, trace, started, "too_large", "the answer is too large")
    refused = bool(answer.is_error)
    return CallResult(
        ending=Ending.REFUSED if refused else Ending.ANSWERED,
        content=text,
        data=answer.structured_content,
        error_class="refused_by_tool" if refused else "",
        error=text[:2000] if refused else "",
        http_status=trace.status,
        duration_ms=took,
        replayed=bool(meta.get("replayed")),
        meta=meta,
    )


def _read_failure(error: Exception, trace: Trace, started: float) -> CallResult:
    status = trace.status
    text = (str(error) if isinstance(error, TowerError) else f"{type(error).__name__}: {error}")[
        :500
    ]
    if not trace.sent:
        return _failed(Ending.NOT_SENT, trace, started, "not_connected", text)
    if trace.too_large:
        return _failed(Ending.BROKEN, trace, started, "too_large", "the answer is too large")
    if status in TURNED_AWAY:
        return _failed(Ending.TURNED_AWAY, trace, started, f"http_{status}", text)
    if status is not None and 300 <= status < 500:
        return _failed(Ending.BROKEN, trace, started, f"http_{status}", text)
    if status is not None and status >= 500:
        return _failed(Ending.LOST, trace, started, f"http_{status}", text)
    return _failed(Ending.LOST, trace, started, "connection_lost", text)


def _failed(
    ending: Ending, trace: Trace, started: float, error_class: str, error: str
) -> CallResult:
    return CallResult(
        ending=ending,
        error_class=error_class,
        error=error,
        http_status=trace.status,
        retry_after_s=trace.retry_after_s,
        duration_ms=(time.monotonic() - started) * 1000,
    )
